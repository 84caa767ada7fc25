//! Events: the committed facts that applying an entry publishes to the leader's subscriptions and caches.
//! Backups drop them.

/// One committed fact, in the order of LSNs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message to an account.
    Message(MessageRow),
    /// Messages of `sender_id` that waited for a deleted account were dropped. Several may come for one
    /// account.
    MessagesDropped {
        lsn: u64,
        sender_id: u64,
        recipient: String,
        recipient_id: u64,
        count: u64,
    },
    /// A session was revoked.
    SessionEnded { lsn: u64, token_hash: [u8; 32] },
    /// Every session of an account except the one with that token hash was revoked.
    OtherSessionsEnded {
        lsn: u64,
        account_id: u64,
        kept: [u8; 32],
    },
    /// An account was deleted, and every session of it ended.
    AccountDeleted { lsn: u64, account_id: u64 },
}

/// A message as it is stored, with the names that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// The LSN, which is the cursor of its event.
    pub lsn: u64,
    /// The message's id, a UUID.
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
