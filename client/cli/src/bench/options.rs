//! The options of `tercet bench`, with their limits.

mod drill;
mod values;

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};
use tercet_client::Sends;
use tercet_types::limits::PAGE_MESSAGES_MAX;

pub use drill::{Drill, Signal};
use values::{any_time, prefix, some_time, whole};

/// The password of the accounts of a load; it is no secret.
const PASSWORD: &str = "tercet bench password";

#[derive(Debug, clap::Subcommand)]
pub enum Bench {
    /// Send messages, one a call, between several accounts
    Send(Send),
    /// Send messages, many in one call
    Batch(Batch),
    /// Read pages of histories at random depths, while messages are sent or not
    History(History),
    /// Send messages to many subscribed accounts, and measure when each message arrives
    Subscribe(Subscribe),
    /// Send messages to one room, whose members are all subscribed, and measure when each message arrives at each
    Room(Room),
    /// Feed a live score board, a key of a room that one account changes by a program, and measure when each change
    /// reaches the accounts that watch it
    Score(Score),
    /// Imitate people who chat: of 100 steps 60 are sends, 25 open a conversation (a fifth of them read an
    /// older page too), and 15 fetch waiting messages and acknowledge them
    Mixed(Mixed),
}

#[derive(Debug, clap::Args)]
pub struct Send {
    #[command(flatten)]
    pub sending: Sending,
    /// Sends a second [default: no limit]. Latencies then begin when a send was due, not when it was
    /// started, so that a slow cluster cannot hide by slowing the load (coordinated omission)
    #[arg(long, value_name = "R", value_parser = whole(1..=1_000_000))]
    pub rate: Option<u32>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, clap::Args)]
pub struct History {
    /// Messages on a page
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = whole(1..=PAGE_MESSAGES_MAX as u64))]
    pub page_size: u32,
    /// Messages that each conversation has before the first page is read; messages of earlier runs count
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = whole(1..=1_000_000))]
    pub messages: u32,
    /// Sends a second in the same conversations, while pages are read
    #[arg(long, value_name = "R", default_value_t = 0, value_parser = whole(0..=1_000_000))]
    pub send_rate: u32,
    #[command(flatten)]
    pub sending: Sending,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, clap::Args)]
pub struct Subscribe {
    /// Accounts that are subscribed, each on a stream of its own, a hundred streams on a
    /// connection
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = whole(1..=16_000))]
    pub subscribers: u32,
    /// Sends a second to random subscribers. The recipients acknowledge nothing: the messages stay waiting
    #[arg(long, value_name = "R", default_value_t = 5_000, value_parser = whole(1..=1_000_000))]
    pub send_rate: u32,
    #[command(flatten)]
    pub sending: Sending,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, clap::Args)]
pub struct Room {
    /// Members of the room that are subscribed, each on a stream of its own, a hundred streams on a connection. The
    /// accounts that send are the first of them
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = whole(2..=9_000))]
    pub members: u32,
    /// Further members whose streams nobody reads, on connections of their own
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole(0..=100))]
    pub unread: u32,
    /// Messages a second to the room
    #[arg(long, value_name = "R", default_value_t = 100, value_parser = whole(1..=1_000_000))]
    pub send_rate: u32,
    #[command(flatten)]
    pub sending: Sending,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, clap::Args)]
pub struct Score {
    /// Accounts that watch the score, each on a stream of its own, a hundred streams on a connection
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole(1..=9_000))]
    pub clients: u32,
    /// Changes of the score a second
    #[arg(long, value_name = "R", default_value_t = 20, value_parser = whole(1..=1_000_000))]
    pub rate: u32,
    /// Reads of the score a second, by any of the accounts
    #[arg(long, value_name = "R", default_value_t = 0, value_parser = whole(0..=1_000_000))]
    pub pulls: u32,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, clap::Args)]
pub struct Mixed {
    #[command(flatten)]
    pub sending: Sending,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, clap::Args)]
pub struct Batch {
    /// Messages in each call. Latencies are those of the calls; everything else counts messages
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole(1..=100))]
    pub batch: u32,
    #[command(flatten)]
    pub common: Common,
}

/// The way of sending messages that are not in batches.
#[derive(Debug, Clone, clap::Args)]
pub struct Sending {
    /// Send over streams, or with one call for each message
    #[arg(long, value_enum, default_value = "stream")]
    pub via: Via,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Via {
    Stream,
    Unary,
}

/// Options of every workload.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// Accounts that send. Each sends over a stream of its own, on one of the connections
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = whole(2..=16_000))]
    pub accounts: u32,
    /// Operations that run at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = whole(1..=65_536))]
    pub in_flight: u32,
    /// Connections to the leader
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = whole(1..=256))]
    pub connections: u32,
    /// Bytes of each message
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = whole(1..=16_384))]
    pub size: u32,
    /// Seconds that are measured, after the warm-up
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = some_time)]
    pub duration: Duration,
    /// Seconds of load before the measurement
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = any_time)]
    pub warm_up: Duration,
    /// The prefix of the accounts PREFIX-1, PREFIX-2 …; accounts of an earlier run are used again
    #[arg(long, default_value = "bench", value_parser = prefix)]
    pub prefix: String,
    /// The password of these accounts
    #[arg(long, default_value = PASSWORD)]
    pub password: String,
    /// The seed of the choice of senders, recipients and pages; message ids are new each time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub drill: Drill,
}

impl Via {
    fn name(self) -> &'static str {
        match self {
            Via::Stream => "stream",
            Via::Unary => "unary",
        }
    }
}

impl Bench {
    pub fn common(&self) -> &Common {
        match self {
            Bench::Send(options) => &options.common,
            Bench::Batch(options) => &options.common,
            Bench::History(options) => &options.common,
            Bench::Subscribe(options) => &options.common,
            Bench::Room(options) => &options.common,
            Bench::Score(options) => &options.common,
            Bench::Mixed(options) => &options.common,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Bench::Send(_) => "send",
            Bench::Batch(_) => "batch",
            Bench::History(_) => "history",
            Bench::Subscribe(_) => "subscribe",
            Bench::Room(_) => "room",
            Bench::Score(_) => "score",
            Bench::Mixed(_) => "mixed",
        }
    }

    fn via(&self) -> Option<Via> {
        match self {
            Bench::Send(options) => Some(options.sending.via),
            Bench::Batch(_) | Bench::Score(_) => None,
            Bench::History(options) => Some(options.sending.via),
            Bench::Subscribe(options) => Some(options.sending.via),
            Bench::Room(options) => Some(options.sending.via),
            Bench::Mixed(options) => Some(options.sending.via),
        }
    }

    /// Gives the way in which the client sends.
    pub fn sends(&self) -> Sends {
        match self.via() {
            Some(Via::Unary) => Sends::Unary,
            Some(Via::Stream) | None => Sends::Stream,
        }
    }

    /// Gives the options as an object with their names.
    pub fn json(&self) -> Value {
        let common = self.common();
        let mut all = json!({
            "accounts": common.accounts,
            "in_flight": common.in_flight,
            "connections": common.connections,
            "duration": common.duration.as_secs_f64(),
            "warm_up": common.warm_up.as_secs_f64(),
            "prefix": common.prefix,
            "seed": common.seed,
            "size": common.size,
            "via": self.via().map(Via::name),
            "kill_leader_every": common.drill.kill_leader_every.map(|every| every.as_secs_f64()),
        });
        match self {
            Bench::Send(options) => all["rate"] = json!(options.rate),
            Bench::Batch(options) => all["batch"] = json!(options.batch),
            Bench::History(options) => {
                all["page_size"] = json!(options.page_size);
                all["messages"] = json!(options.messages);
                all["send_rate"] = json!(options.send_rate);
            }
            Bench::Subscribe(options) => {
                all["subscribers"] = json!(options.subscribers);
                all["send_rate"] = json!(options.send_rate);
            }
            Bench::Room(options) => {
                all["members"] = json!(options.members);
                all["unread"] = json!(options.unread);
                all["send_rate"] = json!(options.send_rate);
            }
            Bench::Score(options) => {
                all["clients"] = json!(options.clients);
                all["rate"] = json!(options.rate);
                all["pulls"] = json!(options.pulls);
            }
            Bench::Mixed(_) => {}
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        bench: Bench,
    }

    fn parse(words: &[&str]) -> Result<Bench, clap::Error> {
        Cli::try_parse_from([&["bench"], words].concat()).map(|cli| cli.bench)
    }

    #[test]
    fn a_workload_alone_has_the_documented_defaults() {
        let bench = parse(&["subscribe"]).unwrap();
        let json = bench.json();
        for (name, value) in [
            ("accounts", json!(4)),
            ("in_flight", json!(64)),
            ("connections", json!(4)),
            ("duration", json!(10.0)),
            ("warm_up", json!(2.0)),
            ("subscribers", json!(2_000)),
            ("send_rate", json!(5_000)),
            ("size", json!(100)),
            ("via", json!("stream")),
        ] {
            assert_eq!(json[name], value, "{name}");
        }
    }

    #[test]
    fn values_beyond_their_limits_are_wrong_usage_that_names_the_option() {
        for (option, value) in [
            ("--accounts", "1"),
            ("--in-flight", "0"),
            ("--in-flight", "65537"),
            ("--connections", "0"),
            ("--duration", "0"),
            ("--duration", "nan"),
            ("--duration", "86401"),
            ("--warm-up", "-1"),
            ("--warm-up", "soon"),
            ("--prefix", ""),
            ("--prefix", "with a space"),
            ("--prefix", "of-more-than-24-characters"),
            ("--size", "0"),
            ("--size", "16385"),
            ("--rate", "0"),
            ("--kill-leader-every", "0"),
            ("--signal", "hup"),
        ] {
            let option_is = format!("{option}={value}");
            let error = parse(&["send", &option_is]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{option_is}");
            assert!(error.to_string().contains(option), "{error}");
        }
        assert!(parse(&["history", "--page-size", "501"]).is_err());
        assert!(parse(&["batch", "--batch", "101"]).is_err());
        assert!(parse(&["batch", "--via", "unary"]).is_err());
        assert!(parse(&["subscribe", "--subscribers", "0"]).is_err());
        assert!(parse(&["send", "--warm-up", "0"]).is_ok());
    }

    #[test]
    fn options_of_the_drill_want_the_drill() {
        for words in [
            ["--kills", "2"],
            ["--kill-command", "x"],
            ["--restart-command", "x"],
            ["--signal", "term"],
        ] {
            assert!(parse(&[&["send"], &words[..]].concat()).is_err());
            let with = [&["send", "--kill-leader-every", "5"], &words[..]].concat();
            assert!(parse(&with).is_ok(), "{with:?}");
        }
        let both = ["--signal", "stop", "--kill-command", "x"];
        let words = [&["send", "--kill-leader-every", "5"], &both[..]].concat();
        assert!(parse(&words).is_err());
    }
}
