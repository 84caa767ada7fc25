//! `tercet replay FILE` sends a file of conversations through the cluster, then reads every
//! conversation back and checks that each message is there once and in order.
//!
//! The figures:
//! - `sent`: messages of the file, within the limit, that this run began to send or that were there already.
//!   `acknowledged`: messages of `sent` that were acknowledged or were there already. `already_there`:
//!   messages that an earlier run had sent.
//! - `longest_gap_ms`: the longest time between two successive acknowledgements; the start and the end do not
//!   count. `per_second`: messages that were acknowledged in this run, from the first send to the last
//!   acknowledgement. `p50_ms`, `p99_ms`: the time from a message's first send to its acknowledgement,
//!   with retries and failovers.
//! - `missing`, `duplicated`, `out_of_order`, `altered`: faults, see `check`; null if the conversations could not
//!   be read back.
//! - `skipped`: records without text. `cleaned`: texts that were changed into bodies that a server accepts.

mod check;
mod file;
mod plan;
mod read_back;
mod rooms;
mod send;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::accounts;
use crate::commands::connect::Connect;
use crate::failure::Failure;
use crate::latency::ms;
use crate::output::{line, notice, object};
use check::Findings;
use plan::{Plan, Planned};
use send::{Sent, Speed};
use tercet_client::{Client, Options};

/// The time without an acknowledgement after which the replay gives up, without --timeout.
const PATIENCE: Duration = Duration::from_secs(60);
/// The number of connections: a single one would limit the rate of the client.
const CONNECTIONS: usize = 4;
/// The number of message ids that are named for each kind of fault.
const NAMED_MAX: usize = 10;

#[derive(Debug, clap::Args)]
pub struct Replay {
    /// The file of conversations, one JSON object a line, plain or compressed with gzip
    file: PathBuf,
    /// Messages that are sent at once; of each conversation one at most
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    in_flight: u32,
    /// The most messages a second [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Send each conversation to a private room of its own, whose members are its people
    #[arg(long)]
    rooms: bool,
    /// Only the first N messages of the file
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// The result of a replay.
struct Outcome {
    plan: Arc<Plan>,
    already_there: u64,
    sent: Sent,
    /// The findings, or the reason why the conversations could not be read back.
    findings: Result<Findings, String>,
    retries: u64,
    failovers: u64,
}

pub async fn run(args: Replay, connect: &Connect) -> Result<(), Failure> {
    let limit = args.limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let plan = file::read(&args.file, limit, args.rooms).map_err(|error| {
        let advice = "It wants lines of {conversation, time, from, to, text}.";
        Failure::failed("BAD_FILE", error.to_string(), advice)
    })?;
    let patience = connect.deadline()?.unwrap_or(PATIENCE);
    let options = Options {
        deadline: patience,
        connections: CONNECTIONS,
        ..connect.options()
    };
    let client = Client::with_options(connect.replicas()?, options);
    let speed = Speed {
        in_flight: usize::try_from(args.in_flight).unwrap_or(1),
        rate: args.rate,
        patience,
    };
    let outcome = replay(&client, Arc::new(plan), speed).await?;
    if connect.json {
        object(&outcome.json())?;
    } else {
        outcome.print()?;
    }
    if outcome.is_good() {
        return Ok(());
    }
    outcome.name_faults();
    Err(Failure::Reported)
}

async fn replay(client: &Client, plan: Arc<Plan>, speed: Speed) -> Result<Outcome, Failure> {
    let people = accounts::prepare(client, plan.people.clone(), HashSet::new()).await?;
    if !plan.rooms.is_empty() {
        rooms::prepare(&plan, &people).await?;
    }
    let pairs = read_back::pairs(&plan, &people);
    // Who is new cannot have written yet.
    let old: Vec<_> = pairs.iter().filter(|pair| !pair.is_new).cloned().collect();
    let mut there = HashSet::new();
    if !old.is_empty() {
        let histories = read_back::read("looking", old).await?;
        there.extend(histories.into_iter().flatten().map(|row| row.id));
    }
    let sent = send::send(plan.clone(), people, &there, speed).await?;
    let findings = match &sent.gave_up {
        Some(why) => Err(format!(
            "nothing was acknowledged for {} s: {why}",
            speed.patience.as_secs()
        )),
        None => match read_back::read("checking", pairs).await {
            Ok(histories) => Ok(check::check(&plan, &sent.acknowledged, &histories)),
            Err(Failure::OutputClosed) => return Err(Failure::OutputClosed),
            Err(failure) => Err(format!("not read back: {failure}")),
        },
    };
    let counters = client.counters();
    let found = |message: &&Planned| there.contains(&message.id.to_string());
    Ok(Outcome {
        already_there: plan.messages.iter().filter(found).count() as u64,
        plan,
        sent,
        findings,
        retries: counters.retries,
        failovers: counters.failovers,
    })
}

fn count(flags: &[bool]) -> u64 {
    flags.iter().filter(|flag| **flag).count() as u64
}

impl Outcome {
    fn unknown(&self) -> u64 {
        count(&self.sent.started) - count(&self.sent.acknowledged)
    }

    fn is_good(&self) -> bool {
        self.unknown() == 0 && self.findings.as_ref().is_ok_and(Findings::is_clean)
    }

    fn json(&self) -> Value {
        let findings = self.findings.as_ref().ok();
        let number = |list: fn(&Findings) -> &Vec<String>| findings.map(|all| list(all).len());
        let mut object = json!({
            "sent": count(&self.sent.started),
            "acknowledged": count(&self.sent.acknowledged),
            "missing": number(|all| &all.missing),
            "duplicated": number(|all| &all.duplicated),
            "out_of_order": number(|all| &all.out_of_order),
            "altered": number(|all| &all.altered),
            "longest_gap_ms": ms(self.sent.longest_gap),
            "per_second": (self.sent.per_second() * 10.0).round() / 10.0,
            "p50_ms": self.sent.latencies.within_ms(0.5),
            "p99_ms": self.sent.latencies.within_ms(0.99),
            "seconds": ms(self.sent.took) / 1e3,
            "already_there": self.already_there,
            "unknown": self.unknown(),
            "skipped": self.plan.skipped,
            "cleaned": self.plan.cleaned,
            "people": self.plan.people.len(),
            "conversations": self.plan.conversations.len(),
            "rooms": self.plan.rooms.len(),
            "retries": self.retries,
            "failovers": self.failovers,
        });
        if let Err(error) = &self.findings {
            object["error"] = json!(error);
        }
        object
    }

    fn print(&self) -> Result<(), Failure> {
        let sent = &self.sent;
        line(&format!(
            "{} sent ({} were there already), {} acknowledged, {} skipped",
            count(&sent.started),
            self.already_there,
            count(&sent.acknowledged),
            self.plan.skipped,
        ))?;
        if sent.new == 0 && self.already_there > 0 {
            line(
                "nothing was sent: an earlier replay has put all of it into this cluster, and the same file \
                 is not sent twice; it was only read back",
            )?;
            return self.print_findings();
        }
        line(&format!(
            "{:.0}/s; half within {:.1} ms, 99 of 100 within {:.1} ms; longest gap {:.1} ms; \
             {} retries, {} failovers",
            sent.per_second(),
            sent.latencies.within_ms(0.5),
            sent.latencies.within_ms(0.99),
            ms(sent.longest_gap),
            self.retries,
            self.failovers,
        ))?;
        self.print_findings()
    }

    fn print_findings(&self) -> Result<(), Failure> {
        match &self.findings {
            Ok(found) => line(&format!(
                "read back: {} missing, {} duplicated, {} out of order, {} altered",
                found.missing.len(),
                found.duplicated.len(),
                found.out_of_order.len(),
                found.altered.len(),
            )),
            Err(_) => line("not read back"),
        }
    }

    /// Writes the first faults of each kind to stderr.
    fn name_faults(&self) {
        let name = |what: &str, ids: &[String]| {
            for id in ids.iter().take(NAMED_MAX) {
                notice(&format!("{what}: {id}"));
            }
            if ids.len() > NAMED_MAX {
                notice(&format!("{what}: {} more", ids.len() - NAMED_MAX));
            }
        };
        match &self.findings {
            Ok(found) => {
                name("missing", &found.missing);
                name("duplicated", &found.duplicated);
                name("out of order", &found.out_of_order);
                name("altered", &found.altered);
            }
            Err(error) => notice(&format!("error: {error}")),
        }
        let started = self.plan.messages.iter().enumerate();
        let unknown = |index: &usize| self.sent.started[*index] && !self.sent.acknowledged[*index];
        let ids: Vec<String> = started
            .filter(|(index, _)| unknown(index))
            .map(|(_, message)| message.id.to_string())
            .collect();
        name("not known to be carried out", &ids);
        if !ids.is_empty() {
            notice("The same command goes on where this one stopped.");
        }
    }
}
