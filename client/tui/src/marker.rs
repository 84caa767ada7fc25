//! The marker of the reader in a conversation, and the unread messages. Knows nothing of the screen and of calls.
//!
//! The cluster keeps the marker for all devices. This one moves it ahead, and tells the cluster later.

use serde::{Deserialize, Serialize};

use crate::conversation::{Conversation, Older};
use crate::item::Item;
use crate::text::mentions;

/// The markers of a conversation, as numbers of messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Whether the marker is known: of a room that was just joined it is not, until an event tells.
    pub is_known: bool,
    /// The reader has read all messages up to this one.
    pub read: u64,
    /// The marker that the cluster has, as far as is known: less than `read` until it is told.
    pub told: u64,
    /// The position of the event that last moved the marker of the cluster; 0 if it is not known.
    pub cursor: u64,
    /// Of a direct conversation: the other account has read all messages up to this one, as far as it shows.
    pub peer_read: u64,
    /// The calls without an answer.
    #[serde(skip)]
    pub calls: u32,
    /// When the cluster was last told, in milliseconds since the Unix epoch.
    #[serde(skip)]
    pub told_at_ms: i64,
}

impl Item {
    /// Tells whether the message counts as unread until it was read.
    #[must_use]
    pub fn is_countable(&self) -> bool {
        self.is_text() && !self.is_mine && self.seq > 0
    }
}

impl Conversation {
    /// Returns the place of the first loaded message that is unread.
    #[must_use]
    pub fn first_unread(&self) -> Option<usize> {
        self.first_countable_after(self.marker.read)
    }

    /// Returns the place of the message that the "new" line stands above.
    #[must_use]
    pub fn new_line(&self) -> Option<usize> {
        self.first_countable_after(self.new_after?)
    }

    fn first_countable_after(&self, seq: u64) -> Option<usize> {
        let from = self
            .items
            .partition_point(|item| item.seq > 0 && item.seq <= seq);
        let countable = self.items[from..].iter().position(Item::is_countable);
        countable.map(|offset| from + offset)
    }

    /// Tells whether all messages after the marker are loaded.
    #[must_use]
    pub fn has_all_unread(&self) -> bool {
        let oldest = self.items.first().map_or(0, |item| item.seq);
        let reaches_back = oldest > 0 && oldest <= self.marker.read + 1;
        let newest = self.items.iter().rev().find(|item| item.seq > 0);
        let reaches_ahead = newest.map_or(0, |item| item.seq) >= self.last_seq;
        let is_whole = self.older == Older::None || reaches_back;
        self.is_fresh && self.marker.is_known && is_whole && reaches_ahead
    }

    /// Counts what is unread, if that is known from the messages that are loaded. False if it is not.
    pub fn count_unread(&mut self, me: &str) -> bool {
        if self.has_all_unread() {
            let from = self.first_unread().unwrap_or(self.items.len());
            let unread = self.items[from..].iter().filter(|item| item.is_countable());
            let (mut count, mut mentioned) = (0, 0);
            for item in unread {
                count += 1;
                let is_mention = item.mentions_me || mentions(&item.text, me);
                mentioned += u32::from(!self.is_room() || is_mention);
            }
            (self.unread, self.mentions) = (count, mentioned);
            return true;
        }
        let is_read = self.marker.read >= self.last_seq;
        if is_read {
            (self.unread, self.mentions) = (0, 0);
        }
        is_read
    }

    /// Notes that all messages up to this one are read.
    pub fn read_up_to(&mut self, seq: u64, me: &str) {
        self.marker.read = self.marker.read.max(seq);
        self.count_unread(me);
    }

    /// Notes that everything is read, whether it is loaded or not.
    pub fn read_all(&mut self, me: &str) {
        self.stays_unread = false;
        self.read_up_to(self.last_seq, me);
    }

    /// Marks the message with this number and all later ones as unread, until the conversation is opened again.
    pub fn unread_from(&mut self, seq: u64, me: &str) {
        self.marker.read = seq.saturating_sub(1);
        self.marker.told = self.marker.read;
        self.stays_unread = true;
        if !self.count_unread(me) {
            self.unread = self.unread.max(1);
        }
        self.new_after = Some(self.marker.read);
    }

    /// Takes over a marker that moved on another device, or by an earlier call of this one. `cursor` is the position of
    /// the move. Returns whether the number of unread messages is not known any more.
    pub fn marker_moved(&mut self, seq: u64, cursor: u64, me: &str) -> bool {
        let marker = &mut self.marker;
        if marker.calls > 0 || (cursor > 0 && cursor < marker.cursor) {
            // The answer of the call tells.
            return false;
        }
        marker.cursor = marker.cursor.max(cursor);
        marker.is_known = true;
        if seq >= marker.told {
            marker.told = seq;
            marker.read = marker.read.max(seq);
        } else {
            // Marked as unread: it stays so on the screen, too.
            (marker.told, marker.read) = (seq, seq);
            self.stays_unread = true;
            self.new_after = Some(seq);
        }
        !self.count_unread(me)
    }
}
