//! `tercet local` runs replicas on this machine, each with its own process and store, and a chat.
//!
//! Owns the processes from start to stop, and starts none again: a person starts a replica that ended, with
//! the command that `--no-chat` prints.

mod children;
mod layout;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::chat::{ChatLogin, chat};
use crate::commands::connect::Connect;
use crate::commands::everybody::views;
use crate::failure::Failure;
use crate::output::{notice, object};
use crate::stop_signals::StopSignals;
use children::Children;
use layout::Layout;
use tercet_client::Client;

const LEADER_TIMEOUT: Duration = Duration::from_secs(30);
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub struct Local {
    /// Run the replicas only: print one line of JSON for each, and run until stopped
    #[arg(long)]
    no_chat: bool,
    /// The directory for the data of the replicas
    #[arg(long, value_name = "DIR", default_value = "tercet-data")]
    data: PathBuf,
    /// The first of the ports: those for clients come first, then those for replicas
    #[arg(long, value_name = "P", default_value_t = 5001)]
    base_port: u16,
    /// The number of replicas
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(1..=9))]
    replicas: u16,
    #[command(flatten)]
    login: ChatLogin,
}

pub async fn run(args: Local) -> Result<(), Failure> {
    let io_failure = |doing: &str, error: io::Error| Failure::io(doing, &error);
    let data = std::path::absolute(&args.data).map_err(|e| io_failure("find --data", e))?;
    let program = std::env::current_exe().map_err(|e| io_failure("find this program", e))?;
    let layout = Layout::new(&data, &program, args.base_port, args.replicas)?;
    layout.check_ports()?;
    layout.prepare()?;
    let mut stop = StopSignals::listen().map_err(|e| io_failure("listen for signals", e))?;
    let mut children = Children::new(layout.clone());
    let ended = supervise(&args, &layout, &mut children, &mut stop).await;
    children.stop_all().await;
    ended
}

async fn supervise(
    args: &Local,
    layout: &Layout,
    children: &mut Children,
    stop: &mut StopSignals,
) -> Result<(), Failure> {
    let count = args.replicas;
    if !args.no_chat {
        notice(&format!(
            "This window runs {count} replicas and a chat. Ctrl-C, Ctrl-D or /quit, now or later, ends \
             the chat and stops the replicas too; what was said stays in {}. `tercet local --no-chat` \
             runs replicas alone.",
            layout.data
        ));
    }
    notice(&format!("starting {count} replicas in {}", layout.data));
    children.start_all()?;
    let client = Client::new(layout.replicas()?);
    tokio::select! {
        ready = wait_for_leader(&client, children) => ready?,
        () = stop.received() => return Ok(()),
    }
    if args.no_chat {
        for id in layout.ids() {
            let pid = children.pid(id).unwrap_or(0);
            match object(&layout.line(id, pid)) {
                // Nobody reads on; the replicas are wanted all the same.
                Ok(()) | Err(Failure::OutputClosed) => {}
                Err(failure) => return Err(failure),
            }
        }
        return tokio::select! {
            failure = watch(children) => Err(failure),
            () = stop.received() => Ok(()),
        };
    }
    notice(&format!(
        "operators show the token in {}",
        layout.admin_token_file().display()
    ));
    notice(&format!(
        "clients reach them by --replicas {}",
        client.replicas()
    ));
    let connect = Connect::of(client.replicas());
    let on_leaving = "/quit, Ctrl-D or Ctrl-C leaves, and stops the replicas.";
    tokio::select! {
        ended = chat(&args.login, &connect, on_leaving) => ended,
        failure = watch(children) => Err(failure),
        () = stop.received() => Ok(()),
    }
}

/// Prints a notice for each replica that ends, until all have ended.
async fn watch(children: &mut Children) -> Failure {
    while !children.all_gone() {
        let exit = children.next_exit().await;
        notice(&format!("replica {} has ended ({})", exit.id, exit.how));
    }
    Failure::failed("ALL_ENDED", "all replicas have ended", "")
}

async fn wait_for_leader(client: &Client, children: &mut Children) -> Result<(), Failure> {
    let patient = client.with_deadline(LEADER_TIMEOUT);
    let error = tokio::select! {
        found = patient.leader() => match found {
            Ok(_) => return Ok(()),
            Err(error) => error,
        },
        exit = children.next_exit() => {
            let (id, log) = (exit.id, children.log_tail(exit.id));
            let message = format!("replica {id} ended before a leader served ({})", exit.how);
            let advice = format!("Its last lines were:\n{log}");
            return Err(Failure::failed("REPLICA_ENDED", message, advice));
        }
    };
    let mut reasons = Vec::new();
    for (replica, answer) in views(client, client.replicas(), STATUS_TIMEOUT).await {
        if let Ok(view) = answer
            && !view.status.waiting.is_empty()
        {
            reasons.push(format!("Replica {}: {}", replica.id, view.status.waiting));
        }
    }
    let seconds = LEADER_TIMEOUT.as_secs();
    let message = format!("no leader served within {seconds} s: {error}");
    Err(Failure::failed("NO_LEADER", message, reasons.join("\n")))
}
