//! The plan of a replay: the accounts and messages that are sent for a file.
//!
//! Pure: the same file gives the same plan, names, passwords and message ids on every machine,
//! so that a replay that was cut off can go on.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::accounts::Wanted;
use crate::numbers::hex;
use tercet_types::limits::BODY_BYTES_MAX;

#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub(super) conversation: Uuid,
    pub(super) time: DateTime<Utc>,
    pub(super) from: Uuid,
    pub(super) to: Uuid,
    pub(super) text: String,
}

/// A message of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The request id, which is the message id too.
    pub id: Uuid,
    /// The sender; this and `to` are indices into [`Plan::people`].
    pub from: usize,
    pub to: usize,
    pub body: String,
}

/// The plan of a replay.
#[derive(Debug, Default)]
pub struct Plan {
    /// One account for each person of the file. The name is the person's UUID without dashes, 32
    /// characters. A person who sends nothing within the limit needs no login session.
    pub people: Vec<Wanted>,
    /// Every message within the limit, in the order of the file.
    pub messages: Vec<Planned>,
    /// The messages of each conversation in order, as indices into `messages`.
    pub conversations: Vec<Vec<usize>>,
    /// The message ids of the whole file, beyond the limit too.
    pub known: HashSet<Uuid>,
    /// The number of records without text, which no server accepts.
    pub skipped: u64,
    /// The number of messages that [`clean`] changed.
    pub cleaned: u64,
}

#[derive(Default)]
pub(super) struct Planner {
    pub(super) plan: Plan,
    people: BTreeMap<Uuid, usize>,
    /// The number of records so far of each conversation, and its place in the plan.
    conversations: BTreeMap<Uuid, (u64, Option<usize>)>,
}

impl Planner {
    pub(super) fn add(&mut self, record: &Record, limit: usize) {
        let entry = self.conversations.entry(record.conversation).or_default();
        let id = message_id(record, entry.0);
        entry.0 += 1;
        let Some(body) = clean(&record.text) else {
            if self.plan.messages.len() < limit {
                self.plan.skipped += 1;
            }
            return;
        };
        self.plan.known.insert(id);
        if self.plan.messages.len() >= limit {
            return;
        }
        if body != record.text {
            self.plan.cleaned += 1;
        }
        let plan = &mut self.plan;
        let place = *entry.1.get_or_insert_with(|| {
            plan.conversations.push(Vec::new());
            plan.conversations.len() - 1
        });
        plan.conversations[place].push(plan.messages.len());
        let from = self.person(record.from);
        let to = self.person(record.to);
        self.plan.people[from].logs_in = true;
        self.plan.messages.push(Planned { id, from, to, body });
    }

    fn person(&mut self, id: Uuid) -> usize {
        let people = &mut self.plan.people;
        *self.people.entry(id).or_insert_with(|| {
            people.push(person(id));
            people.len() - 1
        })
    }
}

fn person(id: Uuid) -> Wanted {
    let name = id.simple().to_string();
    let hash = Sha256::digest(format!("tercet replay password of {name}"));
    Wanted {
        password: hex(&hash[..16]),
        name,
        logs_in: false,
    }
}

/// Gives the message id of a record: a UUID of version 7 with the time of the record and a hash of its
/// content and place.
fn message_id(record: &Record, index: u64) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(record.conversation.as_bytes());
    hash.update(index.to_be_bytes());
    hash.update(record.from.as_bytes());
    hash.update(record.to.as_bytes());
    hash.update(record.text.as_bytes());
    let hash = hash.finalize();
    let mut rest = [0; 10];
    rest.copy_from_slice(&hash[..10]);
    let ms = record.time.timestamp_millis();
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(ms).unwrap_or(0), &rest).into_uuid()
}

/// Makes a body that every server accepts of a text; `None` if nothing is left to send.
///
/// Control characters other than newline and tab become U+FFFD; what is over 16 KiB is cut at
/// the last whole character. Messages are compared in this form too.
fn clean(text: &str) -> Option<String> {
    let forbidden = |c: char| c.is_control() && c != '\n' && c != '\t';
    let mut body = text.replace(forbidden, "\u{fffd}");
    body.truncate(body.floor_char_boundary(BODY_BYTES_MAX));
    (!body.is_empty()).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_made_into_bodies_that_every_server_takes() {
        assert_eq!(clean("a\tb\nc").as_deref(), Some("a\tb\nc"));
        assert_eq!(
            clean("a\u{1b}[2J\u{85}\r").as_deref(),
            Some("a\u{fffd}[2J\u{fffd}\u{fffd}")
        );
        assert_eq!(clean(""), None);
        let long = clean(&"é".repeat(9000)).unwrap();
        assert_eq!(long.len(), 16 * 1024);
        let odd = clean(&format!("x{}", "é".repeat(9000))).unwrap();
        assert_eq!(odd.len(), 16 * 1024 - 1);
    }
}
