//! Replicas that are stopped in order and started again as a supervisor would: no client notices, and a
//! second stop waits for the first to be in step again.

mod cluster;

use std::{
    io::{BufRead as _, BufReader},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use cluster::{Cluster, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use tercet_client::{Client, HistoryRequest, Replicas};

const SENDERS: usize = 4;
/// Sends that each sender has in flight.
const IN_FLIGHT: usize = 16;
const PASSWORD: &str = "correct horse";
/// Far above what is measured (see the notebook): it finds a client that waits for a timeout.
const GAP_MAX: Duration = Duration::from_secs(3);

/// Senders, each with a recipient of its own, through the client library.
struct Load {
    acknowledged: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Report>,
}

/// The sends of the test, and the messages found in the end.
struct Report {
    acknowledged: Vec<Acknowledged>,
    failed: Vec<String>,
    /// The numbers in each sender's conversation, ascending.
    found: Vec<Vec<usize>>,
}

struct Acknowledged {
    began: Instant,
    at: Instant,
    sender: usize,
    number: usize,
}

impl Load {
    fn start(cluster: &Cluster) -> Load {
        let replicas: Replicas = cluster.list().parse().expect("the list is well formed");
        let (acknowledged, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counter, stopped) = (acknowledged.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().expect("make a runtime");
            runtime.block_on(talk(replicas, counter, stopped))
        });
        Load {
            acknowledged,
            stop,
            thread,
        }
    }

    /// Waits until so many more were acknowledged.
    fn wait_for_more(&self, count: usize) {
        let goal = self.acknowledged.load(Ordering::Relaxed) + count;
        wait_until("more is acknowledged", || {
            self.acknowledged.load(Ordering::Relaxed) >= goal
        });
    }

    fn end(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the senders ran to their end")
    }
}

impl Report {
    /// The longest time in which nothing was acknowledged, of those that began at `from` or later and
    /// before `until`.
    fn longest_gap(&self, from: Instant, until: Instant) -> Duration {
        let times = self.acknowledged.windows(2);
        let times = times.filter(|pair| (from..until).contains(&pair[0].at));
        let gaps = times.map(|pair| pair[1].at - pair[0].at);
        gaps.max().unwrap_or_default()
    }

    /// The longest time that one message took.
    fn slowest(&self) -> Duration {
        let each = self.acknowledged.iter();
        each.map(|one| one.at - one.began).max().unwrap_or_default()
    }

    /// No send failed, and each message is there once.
    fn assert_complete(&self) {
        assert_eq!(self.failed, [""; 0], "{} sends failed", self.failed.len());
        for (sender, found) in self.found.iter().enumerate() {
            let own = self.acknowledged.iter().filter(|one| one.sender == sender);
            let mut sent: Vec<usize> = own.map(|one| one.number).collect();
            sent.sort_unstable();
            assert!(
                sent == *found,
                "sender {sender}: {} were acknowledged, {} are there",
                sent.len(),
                found.len()
            );
        }
    }
}

/// Sends until told to stop, then reads everything back.
async fn talk(replicas: Replicas, counter: Arc<AtomicUsize>, stop: Arc<AtomicBool>) -> Report {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut people = Vec::new();
    for sender in 0..SENDERS {
        people.push(person(&replicas, sender).await);
    }
    for (sender, client) in people.iter().enumerate() {
        let next = Arc::new(AtomicUsize::new(0));
        for _ in 0..IN_FLIGHT {
            let (client, tell) = (client.clone(), tell.clone());
            let (next, stop, counter) = (next.clone(), stop.clone(), counter.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let began = Instant::now();
                    let (to, body) = (recipient(sender), number.to_string());
                    let answer = client.send_message(&to, &body);
                    let answer = answer.await.map(|_| Acknowledged {
                        began,
                        at: Instant::now(),
                        sender,
                        number,
                    });
                    counter.fetch_add(1, Ordering::Relaxed);
                    let _ = tell.send(answer);
                }
            });
        }
    }
    drop(tell);
    let (mut acknowledged, mut failed) = (Vec::new(), Vec::new());
    while let Some(answer) = told.recv().await {
        match answer {
            Ok(one) => acknowledged.push(one),
            Err(error) => failed.push(error.to_string()),
        }
    }
    let mut found = Vec::new();
    for (sender, client) in people.iter().enumerate() {
        found.push(conversation(client, &recipient(sender)).await);
    }
    Report {
        acknowledged,
        failed,
        found,
    }
}

fn recipient(sender: usize) -> String {
    format!("reader{sender}")
}

/// A sender with a session, and the account that it writes to. A client of its own, so with connections
/// of its own.
async fn person(replicas: &Replicas, sender: usize) -> Client {
    let client = Client::new(replicas.clone());
    let name = format!("writer{sender}");
    for name in [&name, &recipient(sender)] {
        let made = client.create_account(name, PASSWORD).await;
        made.expect("make an account");
    }
    let session = client.login(&name, PASSWORD).await.expect("log in");
    client.with_token(&session.token).expect("it is a token")
}

/// The numbers in a conversation, ascending.
async fn conversation(client: &Client, peer: &str) -> Vec<usize> {
    let mut request = HistoryRequest {
        peer: peer.to_owned(),
        page_size: 500,
        ..HistoryRequest::default()
    };
    let mut numbers = Vec::new();
    loop {
        let page = client.list_messages(request.clone()).await;
        let page = page.expect("read a conversation");
        let bodies = page.messages.iter().map(|message| &message.body);
        numbers.extend(bodies.map(|body| body.parse::<usize>().expect("a number")));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            numbers.sort_unstable();
            return numbers;
        }
    }
}

/// Rounds of a rolling restart; more of them for figures.
fn rounds() -> usize {
    let rounds = std::env::var("TERCET_ROLLING_ROUNDS").ok();
    rounds.map_or(1, |rounds| rounds.parse().expect("a number of rounds"))
}

/// The supervisor: starts again what ended.
fn supervise(cluster: &mut Cluster) -> Vec<u64> {
    let mut command = cluster.command(&["cluster", "rolling-restart", "--json"]);
    let mut child = command.spawn().expect("run tercet");
    let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let mut order = Vec::new();
    for line in lines {
        let line: Value = serde_json::from_str(&line.expect("read a line")).expect("JSON");
        println!("{line}");
        if line["state"] == "stopped" {
            let id = line["id"].as_u64().expect("an id");
            cluster.wait_until_gone(id);
            cluster.restart(id);
            order.push(id);
        }
    }
    let output = child.wait_with_output().expect("wait for tercet");
    assert!(output.status.success(), "{}", cluster::said(&output));
    order
}

#[test]
fn no_client_notices_a_rolling_restart_under_load() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    let load = Load::start(&cluster);
    load.wait_for_more(1_000);
    let mut began = vec![Instant::now()];
    for _ in 0..rounds() {
        assert_eq!(supervise(&mut cluster), [3, 2, 1], "the leader goes last");
        cluster.wait_until_whole();
        load.wait_for_more(1_000);
        began.push(Instant::now());
    }
    let report = load.end();
    let rounds = began.windows(2);
    let gaps: Vec<Duration> = rounds.map(|of| report.longest_gap(of[0], of[1])).collect();
    let gap = gaps.iter().max().copied().unwrap_or_default();
    println!(
        "{} acknowledged, {} failed; slowest message {:.1?}; longest gap of each round {gaps:.1?}",
        report.acknowledged.len(),
        report.failed.len(),
        report.slowest(),
    );
    report.assert_complete();
    assert!(gap < GAP_MAX, "nothing was acknowledged for {gap:.1?}");
    cluster.assert_equal();
    for id in 1..=3 {
        let log = cluster.log(id);
        assert!(!log.contains("stopping while"), "{log}");
    }
}

#[test]
fn a_second_stop_is_refused_until_the_first_is_in_step_again() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    assert_eq!(
        cluster.json(&["cluster", "stop", "3", "--json"])["stopped"],
        3
    );
    cluster.wait_until_gone(3);
    for id in ["1", "2"] {
        let (code, why) = cluster.fails(&["cluster", "stop", id]);
        assert_eq!(code, 1);
        let words = ["replica 3 is not in step", "--force", "cluster members"];
        assert!(words.iter().all(|word| why.contains(word)), "{why}");
    }
    let (_, why) = cluster.fails(&["cluster", "rolling-restart", "--wait", "1"]);
    assert!(why.contains("not in step: replica 3"), "{why}");
    assert!(why.contains("nothing was stopped"), "{why}");
    let (code, why) = cluster.fails(&["cluster", "stop", "7"]);
    assert!(code == 1 && why.contains("no replica 7"), "{why}");
    // The signal warns, and is obeyed.
    cluster.signal(1, Signal::TERM);
    cluster.wait_until_gone(1);
    let log = cluster.log(1);
    assert!(
        log.contains("stopping while replica 3 is not in step"),
        "{log}"
    );
    cluster.wait_for_leader(2);
    cluster.json(&["cluster", "stop", "2", "--force", "--json"]);
    cluster.wait_until_gone(2);
    // It was the last, so it starts alone.
    cluster.restart(2);
    cluster.wait_for_leader(2);
    cluster.restart(1);
    cluster.restart(3);
    cluster.wait_until_whole();
    cluster.json(&["cluster", "stop", "2", "--json"]);
    cluster.wait_until_gone(2);
}

#[test]
fn a_rolling_restart_that_nobody_completes_says_how_to_go_on() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    let (code, why) = cluster.fails(&["cluster", "rolling-restart", "--wait", "1"]);
    assert_eq!(code, 1);
    let words = ["replica 3 was stopped", "Start replica 3", "--only 2,1"];
    assert!(words.iter().all(|word| why.contains(word)), "{why}");
    cluster.wait_until_gone(3);
    cluster.restart(3);
    let again = [
        "cluster",
        "rolling-restart",
        "--only",
        "2",
        "--wait",
        "60",
        "--json",
    ];
    let child = cluster.command(&again).spawn().expect("run tercet");
    cluster.wait_until_gone(2);
    cluster.restart(2);
    let output = child.wait_with_output().expect("wait for tercet");
    let done = cluster::last_json(&output).unwrap_or_else(|| panic!("{}", cluster::said(&output)));
    assert_eq!(done["restarted"], serde_json::json!([2]));
}
