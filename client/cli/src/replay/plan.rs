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
    /// An index into [`Plan::conversations`].
    pub conversation: usize,
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
    /// The room of each conversation, with its `#`; empty when messages are sent to people.
    pub rooms: Vec<String>,
    /// The message ids of the whole file, beyond the limit too.
    pub known: HashSet<Uuid>,
    /// The number of records without text, which no server accepts.
    pub skipped: u64,
    /// The number of messages that [`clean`] changed.
    pub cleaned: u64,
}

impl Plan {
    /// Gives the name that a message is sent to.
    pub fn recipient(&self, message: &Planned) -> &str {
        let room = self.rooms.get(message.conversation);
        room.map_or(&self.people[message.to].name, |room| room)
    }

    /// Lists the people of a conversation, the first sender first.
    pub fn members(&self, conversation: usize) -> Vec<usize> {
        let mut members = Vec::new();
        for &index in &self.conversations[conversation] {
            let message = &self.messages[index];
            for person in [message.from, message.to] {
                if !members.contains(&person) {
                    members.push(person);
                }
            }
        }
        members
    }
}

#[derive(Default)]
pub(super) struct Planner {
    pub(super) plan: Plan,
    /// Whether each conversation gets a room.
    with_rooms: bool,
    people: BTreeMap<Uuid, usize>,
    /// The number of records so far of each conversation, and its place in the plan.
    conversations: BTreeMap<Uuid, (u64, Option<usize>)>,
}

impl Planner {
    pub(super) fn new(with_rooms: bool) -> Planner {
        Planner {
            with_rooms,
            ..Planner::default()
        }
    }

    pub(super) fn add(&mut self, record: &Record, limit: usize) {
        let entry = self.conversations.entry(record.conversation).or_default();
        let id = message_id(record, entry.0, self.with_rooms);
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
        let with_rooms = self.with_rooms;
        let place = *entry.1.get_or_insert_with(|| {
            if with_rooms {
                plan.rooms.push(room(record.conversation));
            }
            plan.conversations.push(Vec::new());
            plan.conversations.len() - 1
        });
        plan.conversations[place].push(plan.messages.len());
        let from = self.person(record.from);
        let to = self.person(record.to);
        self.plan.people[from].logs_in = true;
        self.plan.messages.push(Planned {
            id,
            from,
            to,
            conversation: place,
            body,
        });
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

/// Gives the name of a conversation's room: a letter and 31 digits of a hash, because a name has no space for a letter
/// and the whole UUID.
fn room(conversation: Uuid) -> String {
    let hash = Sha256::digest(conversation.as_bytes());
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("#r{}", &digits[..31])
}

/// Gives the message id of a record: a UUID of version 7 with the time of the record and a hash of its
/// content and place. In a room it is another one, because an id belongs to one message.
fn message_id(record: &Record, index: u64, in_room: bool) -> Uuid {
    let mut hash = Sha256::new();
    if in_room {
        hash.update("room");
    }
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
