//! Commands: how they are made, and which version of the rules applies them.
//!
//! A replica applies a command by the rules of the version in it, so that replicas of different builds do the
//! same. The leader writes the highest version that it and every connected replica support. A replica with an
//! older build that meets a newer version stops before it applies any part of the command.
//!
//! | version | what it changed |
//! |---|---|
//! | 0 | The rules of all builds before there were versions. |
//! | 1 | `DeleteAccount` removes a bounded number of rows, and `CleanUp` the rest. `CreateSession` checks that the password is still the one that was checked; it judges by its own time (`made_at_ms`), not by the stamp, leaves the account's 100 sessions that end last, and removes a bounded number of others that have ended. `CorrectSessions` is new. `AcknowledgeMessages` goes through no waiting messages for ids that it does not find. Requests are remembered by the time as well as by the number of entries since, and one whose id says that it may be forgotten is refused (`window.rs`). |
//! | 2 | A refused address names the replica that has it. `CreateSession` keeps the label of the client; `ChangePassword` may revoke API tokens. New commands: `BlockAccount`, `UnblockAccount`, `CreateApiToken`, `RevokeApiToken`, `CreateRoom`, `JoinRoom`, `LeaveRoom`, `InviteToRoom`, `SendToRoom`; `CleanUp` leaves the rooms of a deleted account. Each names this version in its `version_needed`. |
//! | 3 | The seqs of direct messages are part of the state hash and of recorded answers; the first command of this version numbers the messages of conversations with a deleted account again (`seqs.rs`). New commands, each with this version in its `version_needed`: `UpdateProfile`, `ChangeRoom`, `EditMessage`, `DeleteMessage`, `SetReaction`, `PinMessage`, `MarkRead`, `SetState`, `SetRetention`, `RemoveExpired`, `SetLevel`, `SetKeyword`; `SendToRoom` and `SendMessage` with `reply_to`, `CreateRoom` of a feed. `InviteToRoom` does not find an account that refuses messages of the one who invites. Messages to rooms and edits mention members (`mentions.rs`); `ChangeRoom` restricts who mentions all of them. Changes of blocks and dropped messages are stored (`changes.rs`); a `CleanUp` that drops messages leaves no room. Not released yet. |
//!
//! A new rule is added to the row of the version that is not released yet, or begins a new version.

use bytes::Bytes;
use tercet_proto::log::{Command, command::Action};

use crate::{StoreError, commands::version_needed};

/// The highest version that this build supports.
pub const COMMAND_VERSION: u32 = 3;

/// Makes a command for a proposal. The leader's driver adds the version and the stamp.
pub fn proposal(request_id: Bytes, action: Action) -> Command {
    Command {
        request_id,
        stamp_ms: 0,
        version: 0,
        stamp_ahead_ms: 0,
        action: Some(action),
    }
}

/// Gives the version that a leader with version `own` writes while it has sessions with replicas of the
/// versions `others`.
pub fn version_written(own: u32, others: impl Iterator<Item = u32>) -> u32 {
    others.fold(own, u32::min)
}

/// Sets the version that a command is written with.
///
/// # Errors
/// When replicas that support no more than `version` would stop at the command: it must not be written.
pub fn set_version(command: &mut Command, version: u32) -> Result<(), NeedsNewer> {
    let action = command.action.as_ref();
    let needed = action.map_or(0, version_needed);
    if version < needed {
        return Err(NeedsNewer { needed });
    }
    command.version = version;
    Ok(())
}

/// The version that a command needs and that not all connected replicas support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the command needs command version {needed}")]
pub struct NeedsNewer {
    pub needed: u32,
}

/// Checks that this build may apply a command of `version`, or continue from a state that such a command made.
/// `what` names the command or state.
///
/// # Errors
/// `NewerCommands` when the version is newer than this build.
pub fn check_version(version: u32, what: impl FnOnce() -> String) -> Result<(), StoreError> {
    match version {
        ..=COMMAND_VERSION => Ok(()),
        found => Err(StoreError::NewerCommands {
            what: what(),
            found,
            known: COMMAND_VERSION,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_writes_no_version_that_a_replica_with_a_session_does_not_know() {
        let written = |others: &[u32]| version_written(2, others.iter().copied());
        assert_eq!(written(&[]), 2, "alone");
        assert_eq!(written(&[2, 3]), 2, "the others know more");
        assert_eq!(written(&[2, 1]), 1);
        assert_eq!(written(&[0, 2]), 0, "one does not say what it knows");
    }

    #[test]
    fn a_command_is_never_written_with_a_version_below_the_one_it_needs() {
        let action = Action::CorrectSessions(Default::default());
        let mut command = proposal(Bytes::new(), action);
        assert_eq!(set_version(&mut command, 0), Err(NeedsNewer { needed: 1 }));
        assert_eq!(command.version, 0);
        for version in [1, 2] {
            assert_eq!(set_version(&mut command, version), Ok(()));
            assert_eq!(command.version, version);
        }
        let old = Action::EndSession(Default::default());
        assert_eq!(set_version(&mut proposal(Bytes::new(), old), 0), Ok(()));
    }
}
