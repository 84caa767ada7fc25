//! What applying an entry makes known to the leader's open streams and caches. Committed facts
//! only; backups drop them.

/// One fact, in LSN order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message to an account.
    Message(MessageRow),
    /// Messages of `sender_id` that waited for a deleted account are gone. Several may come for one account.
    MessagesDropped {
        lsn: u64,
        sender_id: u64,
        recipient: String,
        recipient_id: u64,
        count: u64,
    },
    /// A session was revoked.
    SessionEnded { lsn: u64, token_hash: [u8; 32] },
    /// Every session of an account but the one with that token hash was revoked.
    OtherSessionsEnded {
        lsn: u64,
        account_id: u64,
        kept: [u8; 32],
    },
    /// An account, and every session of it, ended.
    AccountDeleted { lsn: u64, account_id: u64 },
}

/// A message as it is stored, with the names that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Position; the cursor of its event.
    pub lsn: u64,
    /// Message id, a UUID.
    pub id: [u8; 16],
    pub sender_id: u64,
    pub sender: String,
    pub sender_deleted: bool,
    pub recipient_id: u64,
    pub recipient: String,
    pub recipient_deleted: bool,
    pub body: String,
    /// Milliseconds since the Unix epoch.
    pub sent_at_ms: i64,
    pub instant: bool,
    pub delivered: bool,
}
