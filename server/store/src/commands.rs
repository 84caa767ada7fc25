//! Commands: the changes of the state that the log holds. Each file here has all of one command: the check of a
//! request for it, the effect of applying it, its outcome, the part of it that a retry repeats, and its description
//! for people. `CONTRIBUTING.md` describes how to add one.
//!
//! Applying is deterministic: it reads only the command and the replicated tables. It uses no clock, no randomness,
//! no setting of the replica, and no order that the database may choose.

pub mod acknowledge_messages;
mod bans;
pub mod block_account;
mod blocks;
pub mod change_password;
pub mod change_room;
mod clean_up;
mod correct_sessions;
pub mod create_account;
pub mod create_api_token;
pub mod create_room;
pub mod create_session;
pub mod delete_account;
pub mod delete_message;
pub mod description;
mod direct_messages;
mod earlier_texts;
pub mod edit_message;
mod end_other_sessions;
mod end_session;
pub mod invite_to_room;
pub mod join_room;
pub mod leave_room;
mod mark;
pub mod mark_read;
mod mentions;
mod messages;
pub mod pin_message;
mod remove_expired;
pub mod revoke_api_token;
pub(crate) mod rooms;
pub mod roster;
pub mod send_message;
mod send_to_room;
pub mod set_keyword;
pub mod set_level;
pub mod set_reaction;
pub mod set_retention;
pub mod set_state;
mod state_rows;
pub mod unblock_account;
pub mod update_profile;

use sha2::{Digest as _, Sha256};
use tercet_core::id::ReplicaId;
use tercet_proto::log::{Refusal, Refused, command::Action, outcome};
use tercet_types::name::ROOM_MARK;

pub use self::correct_sessions::MADE_LATER_MAX;
use self::description::{About, What};
#[cfg(test)]
pub(super) use self::{clean_up::CLEANUP_ROWS, create_session::EXPIRED_ROWS};
use super::{
    StoreError,
    apply::{Applier, Living},
    name_key, password_digest,
};

/// A command in the log, as every replica treats it.
pub(super) trait Command {
    /// Changes the state, and gives the result; a refused command changes nothing.
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying;

    /// Gives the fingerprint of the request: the client's part of it, which a retry repeats. It leaves out the
    /// leader's additions, which may differ in a retry, such as times, a password hash (its salt), or whether the
    /// recipient was connected.
    fn fingerprint(&self) -> Fingerprint;

    /// Gives the lowest command version whose builds know the command, all its fields included. The command is
    /// not written with a lower version, see [`set_version`](crate::command::set_version).
    fn version_needed(&self) -> u32 {
        0
    }

    /// Describes the command to people.
    fn describe(&self, about: &mut About<'_>) -> Result<What, StoreError>;
}

/// A command that a service proposes for a client.
pub trait Request {
    /// The outcome of the command unless it is refused.
    type Outcome;

    fn into_action(self) -> Action;

    /// Gives the subject, which a refusal names.
    fn subject(&self) -> Subject {
        Subject::Unnamed
    }

    /// Gives the outcome; `None` when it is the outcome of another command.
    fn outcome(result: outcome::Result) -> Option<Self::Outcome>;
}

/// The thing that a request is about, as far as a refusal of it names the thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The account of the caller.
    Unnamed,
    /// The name of an account.
    Account(String),
    /// The name of a room, without the `#`.
    Room(String),
    /// The name of a room, and of an account that is to be in it or not.
    InRoom {
        room: String,
        account: String,
    },
    /// The name of a room, and the new one.
    Renaming {
        room: String,
        name: String,
    },
    /// The name of an API token.
    Token(String),
    Replica(ReplicaId),
}

impl Subject {
    /// Gives the conversation of that name: that of an account, or of a room with its `#`.
    pub fn of_conversation(name: &str) -> Subject {
        match name.strip_prefix(ROOM_MARK) {
            Some(room) => Subject::Room(room.to_owned()),
            None => Subject::Account(name.to_owned()),
        }
    }
}

/// Gives the command in an action. The only place that lists all commands.
pub(super) fn command(action: &Action) -> &dyn Command {
    match action {
        Action::AcknowledgeMessages(command) => command,
        Action::AddReplica(command) => command,
        Action::BlockAccount(command) => command,
        Action::ChangePassword(command) => command,
        Action::ChangeRoom(command) => command,
        Action::Checkpoint(command) => command,
        Action::CleanUp(command) => command,
        Action::CorrectSessions(command) => command,
        Action::CreateAccount(command) => command,
        Action::CreateRoom(command) => command,
        Action::CreateApiToken(command) => command,
        Action::CreateSession(command) => command,
        Action::DeleteAccount(command) => command,
        Action::EndOtherSessions(command) => command,
        Action::EndSession(command) => command,
        Action::FoundRoster(command) => command,
        Action::InviteToRoom(command) => command,
        Action::JoinRoom(command) => command,
        Action::LeaveRoom(command) => command,
        Action::MoveReplica(command) => command,
        Action::RemoveReplica(command) => command,
        Action::RevokeApiToken(command) => command,
        Action::SendMessage(command) => command,
        Action::UnblockAccount(command) => command,
        Action::UpdateProfile(command) => command,
        Action::SendToRoom(command) => command,
        Action::EditMessage(command) => command,
        Action::DeleteMessage(command) => command,
        Action::SetReaction(command) => command,
        Action::MarkRead(command) => command,
        Action::PinMessage(command) => command,
        Action::SetState(command) => command,
        Action::SetRetention(command) => command,
        Action::RemoveExpired(command) => command,
        Action::SetLevel(command) => command,
        Action::SetKeyword(command) => command,
    }
}

/// Gives the lowest command version that an action may be written with.
pub(super) fn version_needed(action: &Action) -> u32 {
    command(action).version_needed()
}

pub(super) type Applying = Result<outcome::Result, StoreError>;

/// Makes the result of a command that changes nothing.
pub(super) fn refused(reason: Refusal) -> outcome::Result {
    outcome::Result::Refused(Refused {
        reason: reason.into(),
        replica_id: 0,
    })
}

/// The client's part of a request, which a retry repeats. Kept in two forms: a digest beside each answer, and a checksum
/// in each request, because the digest of every message would cost a message more than its row.
pub(super) struct Fingerprint(Vec<u8>);

/// 16 bytes of SHA-256 over a fingerprint.
pub(super) type Digest = [u8; 16];

impl Fingerprint {
    pub fn digest(&self) -> Digest {
        let hash: [u8; 32] = Sha256::digest(&self.0).into();
        hash[..16].try_into().expect("16 of 32 bytes")
    }

    /// CRC-32. Of two requests with one id by mistake it finds all but one in four thousand million.
    pub fn checksum(&self) -> [u8; 4] {
        crc32fast::hash(&self.0).to_be_bytes()
    }
}

/// Makes a fingerprint from the command's name and the parts of the request.
fn fingerprint<'a>(name: &'a str, parts: impl IntoIterator<Item = &'a [u8]>) -> Fingerprint {
    let mut bytes = Vec::with_capacity(256);
    for part in std::iter::once(name.as_bytes()).chain(parts) {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    Fingerprint(bytes)
}
