//! Queries: reads of the committed state as values. A caller makes one, a reader runs it, and the caller gets its
//! rows. A query knows nothing of page tokens and of the wire.

mod accounts;
mod backlog;
mod bans;
mod blocks;
mod conversations;
mod delivered;
mod direct;
mod edits;
mod expired;
mod export;
mod levels;
mod mentions;
mod message_at;
mod message_parts;
mod messages;
mod pins;
mod presence;
mod profiles;
mod requests;
mod rooms;
mod search;
mod seq_index;
mod starts;
mod state;
mod threads;

use rusqlite::Connection;

pub(super) use self::direct::{
    conversation_of, conversation_with, peer_by_conversation, peer_by_name,
};
pub(super) use self::messages::is_kept;
#[cfg(test)]
pub(super) use self::messages::{
    INBOX_NOT_INDEXED, INDEXED_AFTER, INDEXED_BEFORE, MESSAGES_AFTER, MESSAGES_BEFORE,
    NOT_INDEXED_AFTER, NOT_INDEXED_BEFORE, UNDELIVERED, plain_page,
};
pub(super) use self::rooms::{ARCHIVED_ROOM_OF, LAST_SEQ};
#[cfg(test)]
pub(super) use self::rooms::{ROOM_AFTER, ROOM_BEFORE};
pub(crate) use self::search::{applied_lsn, readable_at, readable_room, rooms_of};
pub(crate) use self::starts::first_lsn_at;
pub use self::{
    accounts::{
        AccountById, AccountByName, ApiTokens, HasAccounts, HasSessionMadeAfter, OpenSession,
        OpenSessions, SessionByToken,
    },
    backlog::{Backlog, BacklogPage, BacklogRow},
    bans::{BanRow, BansOf},
    blocks::{BlockRow, BlocksOf},
    conversations::{ConversationRow, Conversations, ConversationsPage, With},
    edits::{EarlierText, Edits},
    expired::{ClusterRetention, Due, Expired},
    export::{Export, ExportPage, ExportPlace},
    levels::KeywordsOf,
    mentions::{ConnectedMembers, MentionRow, Mentions},
    message_at::MessageAt,
    messages::{Conversation, ConversationPage, Inbox, Peer, Undelivered, WaitingIds},
    pins::{NoPins, PinRow, Pins, PinsOf},
    presence::{NoTyping, PresenceAudience, PresenceOf, PresenceRow, TypingAudience},
    profiles::{AccountsByPattern, ProfileOf, ProfileRow},
    requests::{AppliedLsn, Kept, KeptEvents, RecordedOutcome},
    rooms::{
        MemberRow, Members, Membership, RoomHistory, RoomKey, RoomPage, RoomRow, RoomsByPattern,
    },
    search::FoundRow,
    starts::Start,
    state::{
        ListState, NoConversation, ProgramStart, StateAt, StateOf, StatePage, StateRow,
        ValueForProgram,
    },
    threads::{ConversationThread, RoomThread},
};
use super::{StoreError, name_key};

/// One read of the state.
pub trait Query: Send + 'static {
    /// The rows that the read gives.
    type Rows: Send + 'static;

    /// Whether the read scans messages that are not indexed yet.
    const SCANS_UNINDEXED: bool = false;

    /// Reads from a connection to the state.
    ///
    /// # Errors
    /// The error of the database.
    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError>;
}

/// One page of rows, in the order of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub rows: Vec<T>,
    /// Whether more rows follow in the direction of the read.
    pub more: bool,
}

/// The limits of a page. A page has at least one row, if there is one.
#[derive(Clone, Copy, Debug)]
pub struct PageLimit {
    pub rows: usize,
    /// Bytes of text.
    pub bytes: usize,
}

impl PageLimit {
    /// Limits the rows alone, of a page of short rows.
    fn of_rows(rows: usize) -> PageLimit {
        PageLimit {
            rows,
            bytes: usize::MAX,
        }
    }
}

/// A pattern of names, as SQLite finds them by an index of lower-cased names.
struct NamePattern {
    /// The part before the first wildcard, which bounds the part of the index that is searched.
    prefix: String,
    prefix_end: String,
    glob: String,
}

impl NamePattern {
    fn of(pattern: &str) -> NamePattern {
        let pattern = name_key(pattern);
        let prefix = pattern.split(['*', '?']).next().unwrap_or_default();
        NamePattern {
            prefix: prefix.to_owned(),
            prefix_end: format!("{prefix}{}", char::MAX),
            // In GLOB `[` begins a set; a set of it alone is the letter itself.
            glob: pattern.replace('[', "[[]"),
        }
    }
}

/// The place of a page among positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The newest messages below this position.
    Before(u64),
    /// The oldest messages above this position.
    After(u64),
}

impl<T> Page<T> {
    const EMPTY: Page<T> = Page {
        rows: Vec::new(),
        more: false,
    };

    /// Takes rows until the page is full. `bytes` gives the text of a row in bytes.
    fn fill(
        rows: impl Iterator<Item = rusqlite::Result<T>>,
        limit: PageLimit,
        bytes: impl Fn(&T) -> usize,
    ) -> Result<Page<T>, StoreError> {
        let mut page = Page::EMPTY;
        page.extend(rows, limit, bytes)?;
        Ok(page)
    }

    /// Takes further rows until the page is full.
    fn extend(
        &mut self,
        rows: impl Iterator<Item = rusqlite::Result<T>>,
        limit: PageLimit,
        bytes: impl Fn(&T) -> usize,
    ) -> Result<(), StoreError> {
        let taken = self.rows.iter().map(&bytes).sum();
        let mut bytes_left = limit.bytes.saturating_sub(taken);
        for row in rows {
            let row = row?;
            let fits = self.rows.len() < limit.rows && bytes(&row) <= bytes_left;
            if !fits && !self.rows.is_empty() {
                self.more = true;
                break;
            }
            bytes_left = bytes_left.saturating_sub(bytes(&row));
            self.rows.push(row);
        }
        Ok(())
    }
}

/// Converts an id or LSN to an integer of SQLite; greater values are beyond every row.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Converts a limit; a negative limit would mean none.
fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Gives the limit of rows by which a read finds out whether more rows follow a page.
fn one_more(limit: usize) -> i64 {
    limit_of(limit.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a page from rows of so many bytes each.
    fn fill(rows: impl Iterator<Item = u64>, limit: usize, row_bytes: usize) -> Page<u64> {
        let limit = PageLimit {
            rows: limit,
            bytes: 1 << 20,
        };
        Page::fill(rows.map(Ok), limit, |_| row_bytes).unwrap()
    }

    fn ends(page: &Page<u64>) -> (u64, u64, usize) {
        let rows = &page.rows;
        (rows[0], rows[rows.len() - 1], rows.len())
    }

    #[test]
    fn page_is_cut_at_its_far_end() {
        let newest = fill((1..=11).rev(), 10, 1);
        assert!(newest.more);
        assert_eq!(ends(&newest), (11, 2, 10));
        let oldest = fill(1..=11, 10, 1);
        assert!(oldest.more);
        assert_eq!(ends(&oldest), (1, 10, 10));
        let all = fill(1..=10, 10, 1);
        assert!(!all.more);
        assert_eq!(ends(&all), (1, 10, 10));
    }

    #[test]
    fn page_of_long_messages_stays_under_the_size_that_clients_take() {
        let newest = fill((1..=500).rev(), 500, 16_384);
        assert!(newest.more);
        assert_eq!(ends(&newest), (500, 437, 64));
        let oldest = fill(1..=500, 500, 16_384);
        assert!(oldest.more);
        assert_eq!(ends(&oldest), (1, 64, 64));
    }

    #[test]
    fn row_that_is_longer_than_a_page_is_a_page() {
        let page = fill(1..=2, 10, 2 << 20);
        assert!(page.more);
        assert_eq!(page.rows, [1]);
        assert!(!fill(1..=1, 10, 2 << 20).more);
        assert!(fill(1..1, 10, 1).rows.is_empty());
    }
}
