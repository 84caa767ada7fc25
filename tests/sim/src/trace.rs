//! The trace of a run: always a hash of it, and on demand every step in words.

use std::fmt;

use tercet_core::{
    input::Input,
    log::{Entry, Payload},
    message::Message,
};

use crate::rng::fold;

/// The detail of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A hash of the times, replicas and results of the steps.
    Outline,
    /// A hash of every word of the trace.
    Words,
    /// The words, printed from this simulated microsecond on.
    Print { from: u64 },
}

/// The record of a run.
#[derive(Clone, Debug)]
pub struct Trace {
    detail: Detail,
    hash: u64,
}

impl Trace {
    #[must_use]
    pub fn new(detail: Detail) -> Trace {
        Trace { detail, hash: 0 }
    }

    /// Gives the hash of the run: the same seed gives the same hash.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Records a number.
    pub fn number(&mut self, value: u64) {
        self.hash = fold(self.hash, value);
    }

    /// Records a step in words, if the detail asks for words.
    pub fn line(&mut self, now: u64, words: impl FnOnce() -> String) {
        match self.detail {
            Detail::Outline => {}
            Detail::Words => {
                for byte in words().bytes() {
                    self.hash = fold(self.hash, u64::from(byte));
                }
            }
            Detail::Print { from } => {
                if now >= from {
                    println!("{:>4}.{:06} {}", now / 1_000_000, now % 1_000_000, words());
                }
            }
        }
    }
}

/// The entries in a few words: their range, and the Configs in it.
pub struct Brief<'a>(pub &'a [Entry]);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else {
            return write!(f, "[]");
        };
        write!(
            f,
            "[{}@{}..{}@{}",
            first.lsn, first.epoch, last.lsn, last.epoch
        )?;
        for entry in self.0 {
            if let Payload::Config(config) = &entry.payload {
                let members = config.members.keys().map(ToString::to_string);
                let members = members.collect::<Vec<_>>().join("");
                write!(f, " config {{{members}}} at {}", entry.lsn)?;
            }
        }
        write!(f, "]")
    }
}

/// Gives a message as one line.
#[must_use]
pub fn brief(message: &Message) -> String {
    match message {
        Message::Append(append) => format!(
            "Append epoch {} prev {}@{} {} commit {} config {}{} sent {} nonce {}",
            append.epoch,
            append.prev_lsn,
            append.prev_epoch,
            Brief(&append.entries),
            append.commit,
            append.config_lsn,
            if append.member { "" } else { " (not member)" },
            append.sent_at.0,
            append.nonce
        ),
        Message::Pulled {
            epoch,
            from,
            entries,
        } => format!("Pulled epoch {epoch} from {from} {}", Brief(entries)),
        other => format!("{other:?}"),
    }
}

/// Gives an input as one line.
#[must_use]
pub fn brief_input(input: &Input) -> String {
    match input {
        Input::Received { from, message } => format!("<- {from} {}", brief(message)),
        Input::Propose { proposals } => format!("Propose {}", proposals.len()),
        Input::LogRead {
            peer,
            from,
            entries,
        } => format!("LogRead for {peer} from {from} {}", Brief(entries)),
        other => format!("{other:?}"),
    }
}
