//! `tercet bench` puts a load on a cluster and measures the answers.
//!
//! The object of `--json` has these fields; unknown ones are null:
//! - `operations`, `per_second`: operations that succeeded and were started, or due, between the warm-up and
//!   the end. `seconds`: the time to the last answer; every operation that was started is waited for.
//! - `failed`, `errors`: operations that failed for good, in the warm-up too, in all and by reason. An
//!   operation that was retried and answered has not failed; see `retries`, `failovers`.
//! - `kinds`: the same for each kind of operation, with its latencies. Each message of a `batch` is an
//!   operation; the latencies are those of the calls. With `--rate` latencies begin when an operation is due;
//!   those of a `delivery` begin with its send, or its change.
//! - `longest_gap_ms`: the longest time between two successive answers.
//! - `stored`: acknowledged messages, also those before the run and in its warm-up.
//! - `behind`: operations that were due before the end and not started.
//! - `deliveries`: only of `subscribe`, `room` and `score`. `drill`: only with `--kill-leader-every`.
//! - `replicas`, `…cpu_seconds_per_1000`: only of replicas that are processes of this machine.
//!
//! Everything runs on one thread, so that it takes little from replicas on the same machine.

mod accounts;
mod batch;
mod failover_drill;
mod fault_injection;
mod history;
mod measurements;
mod mixed;
mod options;
mod proc;
mod process_stats;
mod random;
mod rate_limiter;
mod report;
mod run;
mod score;
mod send;
mod subscribe;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tercet_client::{Client, Counters, Options, Replicas};
use tokio::task::LocalSet;

use crate::commands::connect::Connect;
use crate::failure::Failure;
use crate::output::{notice, object};
use crate::stop_signals::StopSignals;
use accounts::Accounts;
use failover_drill::Drill;
pub use options::Bench;
use process_stats::ProcessStats;
use report::Report;
use run::Run;
use subscribe::{Deliveries, STREAMS_OF_A_CONNECTION};

const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// A load on the cluster.
trait Workload {
    /// Sends operations until the run is over, and waits for the answers.
    async fn drive(&self, run: &Rc<Run>) -> Result<(), Failure>;

    fn deliveries(&self) -> Option<Deliveries> {
        None
    }

    /// Gives a second client whose retries and failovers count.
    fn listener(&self) -> Option<&Client> {
        None
    }
}

pub async fn run(bench: Bench, connect: &Connect) -> Result<(), Failure> {
    LocalSet::new().run_until(run_here(&bench, connect)).await
}

async fn run_here(bench: &Bench, connect: &Connect) -> Result<(), Failure> {
    let common = bench.common();
    let client = client(bench, connect, common.connections)?;
    let accounts = Accounts::gather(&client, common, common.accounts).await?;
    match bench {
        Bench::Send(options) => {
            let workload = send::Send::new(accounts, options);
            measure(bench, connect, &client, workload).await
        }
        Bench::Batch(options) => {
            let workload = batch::Batch::new(accounts, options);
            measure(bench, connect, &client, workload).await
        }
        Bench::History(options) => {
            let workload = history::History::prepare(accounts, options).await?;
            measure(bench, connect, &client, workload).await
        }
        Bench::Subscribe(options) => {
            let connections = options.subscribers.div_ceil(STREAMS_OF_A_CONNECTION);
            let listener = self::client(bench, connect, connections)?;
            let listeners = Accounts::gather(&listener, common, options.subscribers).await?;
            let subscribe =
                subscribe::Subscribe::prepare(accounts, listeners, listener, options).await?;
            measure(bench, connect, &client, subscribe).await
        }
        Bench::Room(options) => {
            let connections = options.members.div_ceil(STREAMS_OF_A_CONNECTION);
            let listener = self::client(bench, connect, connections)?;
            let members = Accounts::gather(&listener, common, options.members).await?;
            let idle = self::client(bench, connect, 1)?;
            let first = options.members + 1;
            let idle = Accounts::gather_from(&idle, common, first, options.unread).await?;
            let room =
                subscribe::Subscribe::prepare_room(accounts, members, idle, listener, options);
            measure(bench, connect, &client, room.await?).await
        }
        Bench::Score(options) => {
            let connections = options.clients.div_ceil(STREAMS_OF_A_CONNECTION);
            let listener = self::client(bench, connect, connections)?;
            let people = Accounts::gather_from(&listener, common, 2, options.clients).await?;
            let score = score::Score::prepare(accounts, people, listener, options);
            measure(bench, connect, &client, score.await?).await
        }
        Bench::Mixed(options) => {
            let workload = mixed::Mixed::new(accounts, options);
            measure(bench, connect, &client, workload).await
        }
    }
}

fn client(bench: &Bench, connect: &Connect, connections: u32) -> Result<Client, Failure> {
    let mut options = Options {
        connections: usize::try_from(connections).unwrap_or(1),
        sends: bench.sends(),
        ..connect.options()
    };
    if let Some(deadline) = connect.deadline()? {
        options.deadline = deadline;
    }
    Ok(Client::with_options(connect.replicas()?, options))
}

async fn measure(
    bench: &Bench,
    connect: &Connect,
    client: &Client,
    workload: impl Workload,
) -> Result<(), Failure> {
    let common = bench.common();
    let roster = client.roster();
    let roster = roster.as_ref().unwrap_or(client.replicas());
    let stats = Rc::new(RefCell::new(ProcessStats::find(&replicas(roster)).await));
    let watcher = self::client(bench, connect, 1)?;
    let drill = Drill::prepare(&common.drill, &watcher, &stats).await?;
    let mut signals =
        StopSignals::listen().map_err(|error| Failure::io("listen for signals", &error))?;
    let counters = || count([Some(client), workload.listener()]);

    let run = Run::start(common);
    let load = async {
        let driven = workload.drive(&run).await;
        run.stop();
        run.finish();
        driven
    };
    let drilling = async {
        match &drill {
            Some(drill) => Some(drill.drill(&run).await),
            None => None,
        }
    };
    let beginning = async {
        tokio::select! {
            _ = run.reaches(run.begin()) => {}
            () = signals.received() => stop(&run),
        }
        stats.borrow_mut().begin();
        let began = (proc::cpu(std::process::id()), counters());
        show(&run, connect.json, &mut signals).await;
        began
    };
    let (driven, drilled, (own_before, before)) = tokio::join!(load, drilling, beginning);
    driven?;

    stats.borrow_mut().read();
    let (own_after, after) = (proc::cpu(std::process::id()), counters());
    let measurements = run.measurements();
    let replicas = stats.borrow().readings();
    let report = Report {
        bench,
        measurements: &measurements,
        retries: after.retries - before.retries,
        failovers: after.failovers - before.failovers,
        stored: run.stored(),
        behind: run.behind(),
        deliveries: workload.deliveries(),
        drill: drilled,
        replicas,
        own_cpu: own_after
            .zip(own_before)
            .map(|(after, before)| after - before),
    };
    if connect.json {
        object(&report.json())?
    } else {
        report.print()?
    }
    if report.is_good() {
        return Ok(());
    }
    report.name_faults();
    Err(Failure::Reported)
}

fn replicas(roster: &Replicas) -> Vec<tercet_client::Replica> {
    roster.iter().cloned().collect()
}

fn count(clients: [Option<&Client>; 2]) -> Counters {
    let mut all = Counters {
        retries: 0,
        failovers: 0,
    };
    for counters in clients.into_iter().flatten().map(Client::counters) {
        all.retries += counters.retries;
        all.failovers += counters.failovers;
    }
    all
}

/// Prints the number of operations of each second. A signal ends the run early: its measurements are
/// reported, and a replica that was killed is started again.
async fn show(run: &Run, quiet: bool, signals: &mut StopSignals) {
    let mut next = Instant::now() + PROGRESS_INTERVAL;
    let mut shown = 0;
    loop {
        tokio::select! {
            goes_on = run.reaches(next) => if !goes_on { return },
            () = signals.received() => return stop(run),
        }
        let operations = run.measurements().operations();
        if !quiet {
            let seconds = run.begin().elapsed().as_secs();
            notice(&format!("{seconds:>5} s: {}/s", operations - shown));
        }
        shown = operations;
        next += PROGRESS_INTERVAL;
    }
}

fn stop(run: &Run) {
    notice("stopping; what is under way is waited for");
    run.stop();
}
