//! One conversation: its messages in their order, what is unread, and what is shown of it. Knows nothing of others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tercet_client::{HistoryPage, Message, NotificationLevel, SentMessage};

use crate::item::{Item, Mark, item_of};
use crate::marker::Marker;
use crate::model::Questions;

/// The messages of a conversation that the cache keeps.
pub const CACHED_MAX: usize = 200;
/// The messages of a conversation that are kept while nobody scrolls.
const KEPT_MAX: usize = 20_000;

/// The messages above those that are loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Older {
    /// The newest page was not loaded yet.
    #[default]
    Unknown,
    Loading,
    /// The token of the next page.
    Page(String),
    /// The oldest message is loaded.
    None,
}

/// The part of a conversation that is on the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scroll {
    /// The newest message is at the bottom.
    #[default]
    Bottom,
    /// The item with this place, counted from the newest (0), is at the bottom, with so many of its lines below the
    /// edge.
    Up { from_newest: usize, hidden: usize },
}

impl Scroll {
    /// Returns the place of the message at the bottom, counted from the newest, and its lines below the edge.
    #[must_use]
    pub fn place(self) -> (usize, usize) {
        match self {
            Scroll::Bottom => (0, 0),
            Scroll::Up {
                from_newest,
                hidden,
            } => (from_newest, hidden),
        }
    }
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    /// `@` for owners, `+` for admins, a space for others.
    pub sign: char,
}

/// The purpose of the text in the input, when it is no new message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aim {
    /// The text replaces that of the message with this number. `kept` is what was in the input before.
    Edit { seq: u64, kept: String },
    /// The text replies to the message with this number.
    Reply { seq: u64 },
}

/// A conversation with a person, or in a room.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    /// The name of the person, or of the room with its `#`.
    pub name: String,
    /// The id of the room, which stays when it gets another name; 0 while it is not known.
    pub id: u64,
    /// Whether the cluster has listed it: a room that is not listed any more was left.
    pub is_listed: bool,
    pub topic: String,
    pub items: Vec<Item>,
    pub older: Older,
    /// The cursor of the newest message that was known when some may have been missed after it; 0 if none were.
    pub gap_after: u64,
    /// Whether the newest page was loaded since the connection began.
    pub is_fresh: bool,
    /// The number of texts of others after the marker.
    pub unread: u32,
    pub mentions: u32,
    pub is_muted: bool,
    /// Whether only messages that mention the reader disturb.
    pub is_for_mentions: bool,
    /// The markers of the reader and the other account.
    pub marker: Marker,
    /// The number of the newest message, whether it is loaded or not.
    pub last_seq: u64,
    /// The number after which messages were not read when the conversation was opened: the place of the "new" line.
    pub new_after: Option<u64>,
    /// Whether messages came since everything was read, so that the "new" line moves.
    pub has_news: bool,
    /// Whether to scroll to the first unread message once it is loaded.
    pub wants_new: bool,
    /// Whether the reader marked it as unread, so that it stays so while it is open.
    pub stays_unread: bool,
    pub draft: String,
    /// The texts that are being written in threads, by the number of the first message.
    pub thread_drafts: BTreeMap<u64, String>,
    /// The beginning of the newest message, from the list of conversations.
    pub preview: String,
    pub aim: Option<Aim>,
    /// The cursor of the message that the next command is about.
    pub selected: Option<u64>,
    /// The cursor of a message to scroll to once it is loaded.
    pub wanted: Option<u64>,
    /// The time of a message to scroll to once it is loaded, in milliseconds since the Unix epoch.
    pub wanted_at_ms: Option<i64>,
    pub scroll: Scroll,
    pub members: Vec<Member>,
    /// The questions whether the other account has received messages.
    pub questions: Questions,
}

/// Returns what the conversation with that name is found by: names are compared without case.
#[must_use]
pub fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

impl Conversation {
    #[must_use]
    pub fn new(name: &str) -> Conversation {
        Conversation {
            name: name.to_owned(),
            ..Conversation::default()
        }
    }

    #[must_use]
    pub fn is_room(&self) -> bool {
        self.name.starts_with('#')
    }

    /// Takes over what the reader wants to be notified of.
    pub fn set_level(&mut self, level: NotificationLevel) {
        self.is_muted = level == NotificationLevel::None;
        self.is_for_mentions = level == NotificationLevel::Mentions;
    }

    /// Returns how many unread messages disturb.
    #[must_use]
    pub fn disturbing(&self) -> u32 {
        match (self.is_muted, self.is_for_mentions) {
            (true, _) => 0,
            (_, true) => self.mentions,
            _ => self.unread,
        }
    }

    /// Adds a message, or brings the one with its id up to date. Returns whether it is new here.
    pub fn add(&mut self, item: Item) -> bool {
        if let Some(at) = self.place_of(&item) {
            let old = &mut self.items[at];
            let mark = if old.mark == Mark::Delivered && item.mark == Mark::Sent {
                Mark::Delivered
            } else {
                item.mark.clone()
            };
            let had_place = old.cursor > 0;
            let is_changing = old.is_changing;
            *old = Item {
                mark,
                is_changing,
                ..item
            };
            if !had_place {
                let item = self.items.remove(at);
                self.insert(item);
            }
            return false;
        }
        self.insert(item);
        true
    }

    /// Brings a message that is loaded up to date with a change.
    pub fn change(&mut self, item: Item) {
        let place = self.place_of(&item);
        if let Some(old) = place.map(|at| &mut self.items[at]) {
            old.change(item);
        }
    }

    /// Returns the message with this number, if it is loaded.
    #[must_use]
    pub fn numbered(&self, seq: u64) -> Option<&Item> {
        self.place_of_number(seq).map(|at| &self.items[at])
    }

    /// Returns the message with this number, to change it.
    pub fn numbered_mut(&mut self, seq: u64) -> Option<&mut Item> {
        self.place_of_number(seq).map(|at| &mut self.items[at])
    }

    pub(crate) fn place_of_number(&self, seq: u64) -> Option<usize> {
        // Messages without a number are on their way, and come last.
        let at = self
            .items
            .partition_point(|item| item.seq > 0 && item.seq < seq);
        let is_it = seq > 0 && self.items.get(at).is_some_and(|item| item.seq == seq);
        is_it.then_some(at)
    }

    /// Returns the selected message.
    #[must_use]
    pub fn selected(&self) -> Option<&Item> {
        let cursor = self.selected?;
        self.items.iter().rfind(|item| item.cursor == cursor)
    }

    /// Returns the sign of a member by name; `None` if the members are not known.
    #[must_use]
    pub fn sign_of(&self, name: &str) -> Option<char> {
        let mut members = self.members.iter();
        let member = members.find(|member| member.name.eq_ignore_ascii_case(name));
        member.map(|member| member.sign)
    }

    fn place_of(&self, item: &Item) -> Option<usize> {
        // Messages without a cursor are on their way, and come last.
        let placed = self.items.partition_point(|old| old.cursor > 0);
        if item.cursor > 0 {
            let items = &self.items[..placed];
            let at = items.partition_point(|old| old.cursor < item.cursor);
            if items.get(at).is_some_and(|old| old.cursor == item.cursor) {
                return Some(at);
            }
        }
        if item.id.is_empty() {
            return None;
        }
        let from = if item.cursor > 0 { placed } else { 0 };
        let found = self.items[from..].iter().rposition(|old| old.id == item.id);
        found.map(|offset| from + offset)
    }

    fn insert(&mut self, item: Item) {
        let at = if item.cursor == 0 {
            self.items.len()
        } else {
            self.items
                .partition_point(|old| old.cursor > 0 && old.cursor < item.cursor)
        };
        if let Scroll::Up { from_newest, .. } = &mut self.scroll
            && self.items.len() - at <= *from_newest
        {
            *from_newest += 1;
        }
        self.items.insert(at, item);
        if self.items.len() > KEPT_MAX && self.scroll == Scroll::Bottom {
            self.items.drain(..KEPT_MAX / 10);
            self.older = Older::Unknown;
            self.is_fresh = false;
        }
    }

    /// Adds the newest page of the history. Messages from before it are dropped if some between are not known.
    pub fn add_newest(&mut self, page: HistoryPage, me: &str) {
        let oldest = page.messages.first().map_or(0, |message| message.cursor);
        let gap_after = std::mem::take(&mut self.gap_after);
        let is_after_gap = gap_after > 0 && oldest > gap_after;
        let is_there = self.items.iter().any(|item| item.cursor == oldest);
        let overlaps = is_there && !is_after_gap;
        if !overlaps && !page.older_page_token.is_empty() {
            self.items
                .retain(|item| item.cursor == 0 || item.cursor > oldest);
        }
        self.is_fresh = true;
        let keeps_place = overlaps && self.older == Older::None;
        for message in page.messages {
            self.add(item_of(message, me));
        }
        if !keeps_place {
            self.older = older(page.older_page_token);
        }
    }

    /// Notes that messages may have been missed after those that are known.
    pub fn has_gap(&mut self) {
        self.is_fresh = false;
        if self.gap_after == 0 {
            let newest = self.items.iter().map(|item| item.cursor).max();
            self.gap_after = newest.unwrap_or(0);
        }
    }

    /// Adds a page of older messages.
    pub fn add_older(&mut self, page: HistoryPage, me: &str) {
        let oldest = self.items.first().map_or(0, |item| item.cursor);
        let is_before = |message: &Message| message.cursor > 0 && message.cursor < oldest;
        if page.messages.iter().all(is_before) {
            // All at once: messages move in memory once a page.
            let items = page.messages.into_iter();
            let items: Vec<Item> = items.map(|message| item_of(message, me)).collect();
            self.items.splice(0..0, items);
        } else {
            for message in page.messages {
                self.add(item_of(message, me));
            }
        }
        self.older = older(page.older_page_token);
    }

    /// Notes the answer to a message that was sent.
    pub fn sent(&mut self, id: &str, answer: Result<SentMessage, Mark>) {
        let Some(at) = self.items.iter().rposition(|item| item.id == id) else {
            return;
        };
        match answer {
            Ok(sent) => {
                let mut item = self.items[at].clone();
                item.cursor = sent.cursor;
                item.seq = sent.seq;
                item.at_ms = sent.sent_at_ms;
                item.mark = Mark::Sent;
                self.add(item);
                self.last_seq = self.last_seq.max(sent.seq);
            }
            Err(mark) => self.items[at].mark = mark,
        }
    }

    /// Returns the last message that the reader sent.
    #[must_use]
    pub fn last_of_mine(&self) -> Option<&Item> {
        self.items
            .iter()
            .rev()
            .find(|item| item.is_mine && item.is_text())
    }
}

fn older(token: String) -> Older {
    if token.is_empty() {
        Older::None
    } else {
        Older::Page(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(cursor: u64, sender: &str) -> Message {
        Message {
            message_id: format!("id-{cursor}"),
            cursor,
            sender: sender.to_owned(),
            recipient: "ann".to_owned(),
            body: format!("text {cursor}"),
            ..Message::default()
        }
    }

    fn page(cursors: impl Iterator<Item = u64>, token: &str) -> HistoryPage {
        HistoryPage {
            messages: cursors.map(|cursor| message(cursor, "bob")).collect(),
            older_page_token: token.to_owned(),
            ..HistoryPage::default()
        }
    }

    fn cursors(conversation: &Conversation) -> Vec<u64> {
        conversation.items.iter().map(|item| item.cursor).collect()
    }

    #[test]
    fn messages_stand_in_the_order_of_the_cluster_and_once() {
        let mut conversation = Conversation::new("bob");
        for cursor in [5, 3, 9, 3] {
            conversation.add(item_of(message(cursor, "bob"), "ann"));
        }
        let pending = Item {
            id: "p".to_owned(),
            is_mine: true,
            mark: Mark::Sending,
            ..Item::default()
        };
        assert!(conversation.add(pending));
        conversation.add(item_of(message(12, "bob"), "ann"));
        assert_eq!(cursors(&conversation), [3, 5, 9, 12, 0]);
        let sent = SentMessage {
            message_id: "p".to_owned(),
            cursor: 10,
            ..SentMessage::default()
        };
        conversation.sent("p", Ok(sent));
        assert_eq!(cursors(&conversation), [3, 5, 9, 10, 12]);
        assert_eq!(conversation.items[3].mark, Mark::Sent);
        // As a member of a room one gets it from the subscription, too.
        assert!(!conversation.add(item_of(
            Message {
                message_id: "p".to_owned(),
                ..message(10, "ann")
            },
            "ann"
        )));
        assert_eq!(conversation.items.len(), 5);
    }

    #[test]
    fn a_gap_is_never_hidden() {
        let mut conversation = Conversation::new("bob");
        conversation.add_newest(page(1..=3, ""), "ann");
        assert_eq!(conversation.older, Older::None);
        // Away for long: the newest page does not reach back to what is known.
        conversation.add_newest(page(10..=12, "more"), "ann");
        assert_eq!(cursors(&conversation), [10, 11, 12]);
        assert_eq!(conversation.older, Older::Page("more".to_owned()));
        conversation.add_older(page(1..=9, ""), "ann");
        assert_eq!(cursors(&conversation), (1..=12).collect::<Vec<_>>());
        // An overlapping page drops nothing, and the beginning stays known.
        conversation.add_newest(page(11..=14, "more"), "ann");
        assert_eq!(cursors(&conversation).len(), 14);
        assert_eq!(conversation.older, Older::None);
        // A message from the subscription after a gap does not hide the gap.
        conversation.has_gap();
        conversation.add(item_of(message(30, "bob"), "ann"));
        conversation.add_newest(page(30..=31, "more"), "ann");
        assert_eq!(cursors(&conversation), [30, 31]);
    }

    #[test]
    fn what_was_scrolled_to_stays_when_messages_come() {
        let mut conversation = Conversation::new("bob");
        conversation.add_newest(page(1..=5, "more"), "ann");
        conversation.scroll = Scroll::Up {
            from_newest: 2,
            hidden: 0,
        };
        conversation.add(item_of(message(6, "bob"), "ann"));
        assert_eq!(
            conversation.scroll,
            Scroll::Up {
                from_newest: 3,
                hidden: 0
            }
        );
        conversation.add(item_of(message(0, "bob"), "ann"));
        assert_eq!(
            conversation.scroll,
            Scroll::Up {
                from_newest: 4,
                hidden: 0
            }
        );
    }
}
