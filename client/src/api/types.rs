//! The values that the library gives and takes. Callers never see the messages of the gRPC contract.

mod blocks;
mod chat;
mod cluster;
mod levels;
mod mentions;
mod message_changes;
mod message_search;
mod people;
mod presence;
mod room_edits;
mod rooms;
mod state;

pub use blocks::{Block, BlocksPage};
pub use chat::{
    Account, AccountsPage, HistoryPage, HistoryRequest, LoginSession, Message, SentMessage,
    UndeliveredPage,
};
pub use cluster::{RecoveryReport, ReplicaStore, Role, RosterEntry, Status, View};
pub use levels::{NotificationLevel, has_keyword};
pub use mentions::{Mention, MentionKind, MentionsPage};
pub use message_changes::{EarlierText, MarkedRead, MessageChange, Pin, Reaction};
pub use message_search::{Hit, HitsPage};
pub use people::{ApiScope, ApiToken, NewApiToken, OpenSession, ProfileChange};
pub use presence::{Presence, PresenceState};
pub use room_edits::{Ban, BansPage, RoomEdit};
pub use rooms::{
    Conversation, ConversationKind, ConversationsPage, Member, MemberRole, MembersPage,
    MessageKind, MessagePreview, NewRoom, Room, RoomChange, RoomsPage,
};
pub use state::{Expected, StateEntry, StatePage, Submitted, Written};

/// Makes a value of the library from a message of the gRPC contract. `From` would make the message a part of the
/// public interface.
pub(super) trait FromWire<W> {
    fn from_wire(wire: W) -> Self;
}

pub(super) fn list<W, T: FromWire<W>>(wire: Vec<W>) -> Vec<T> {
    wire.into_iter().map(T::from_wire).collect()
}
