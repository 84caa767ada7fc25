//! The failures of calls whose command was refused when it was applied: from the reason in the log, and what the request
//! named.

use tercet_core::id::{Lsn, ReplicaId};
use tercet_proto::log::{Refusal, Refused};
use tercet_store::commands::Subject;

use super::status::Failure;

impl Failure {
    /// Makes the failure for a command that the entry at `lsn` refused.
    #[must_use]
    pub fn of_refusal(refused: Refused, subject: Subject, lsn: Lsn) -> Self {
        let refusal = refused.reason();
        match (refusal, subject) {
            (Refusal::NameTaken, Subject::Account(name)) => Failure::NameTaken(name),
            (Refusal::UnknownRecipient, Subject::Account(name)) => Failure::UnknownRecipient(name),
            (Refusal::UnknownAccount, Subject::Account(name)) => Failure::UnknownAccount(name),
            (Refusal::OwnName, _) => Failure::OwnName,
            (Refusal::TooManyBlocks, _) => Failure::TooManyBlocks,
            (Refusal::UnknownReplica, Subject::Replica(id)) => Failure::UnknownReplica(id),
            (Refusal::ReplicaExists, Subject::Replica(id)) => Failure::ReplicaExists(id),
            (refusal, Subject::Room(room)) if is_of_room(refusal) => {
                Failure::of_room(refusal, room)
            }
            (refusal, Subject::Account(name)) if is_of_message(refusal) => {
                Failure::of_room(refusal, name)
            }
            (Refusal::Banned, Subject::Room(room)) => Failure::Banned {
                room,
                account: "your account".to_owned(),
            },
            (Refusal::UnknownAccount, Subject::InRoom { account, .. }) => {
                Failure::UnknownAccount(account)
            }
            (Refusal::Banned, Subject::InRoom { room, account }) => {
                Failure::Banned { room, account }
            }
            (Refusal::UnknownMember, Subject::InRoom { room, account }) => {
                Failure::UnknownMember { room, account }
            }
            (Refusal::RoomNameTaken, Subject::Renaming { name, .. }) => {
                Failure::RoomNameTaken(name)
            }
            (refusal, Subject::InRoom { room, .. } | Subject::Renaming { room, .. })
                if is_of_room(refusal) =>
            {
                Failure::of_room(refusal, room)
            }
            (Refusal::TokenNameTaken, Subject::Token(name)) => Failure::TokenNameTaken(name),
            (Refusal::UnknownToken, Subject::Token(name)) => Failure::UnknownToken(name),
            (Refusal::TooManyTokens, _) => Failure::TooManyTokens,
            (Refusal::TooManyKeywords, _) => Failure::TooManyKeywords,
            (Refusal::UnknownConversation, _) => Failure::UnknownPeer,
            (Refusal::TooManyKeys, _) => Failure::TooManyKeys,
            (Refusal::StateFull, _) => Failure::StateFull,
            (Refusal::AccountGone, _) => Failure::AccountGone,
            (Refusal::SessionEnded, _) => Failure::InvalidToken,
            (Refusal::PasswordChanged, _) => Failure::WrongCredentials,
            (Refusal::RequestIdReused, _) => Failure::RequestIdReused,
            (Refusal::RequestTooOld, _) => Failure::RequestTooOld,
            (Refusal::AddressTaken, _) => {
                let owner = (refused.replica_id > 0).then_some(ReplicaId(refused.replica_id));
                Failure::AddressTaken(owner)
            }
            (Refusal::TooManyReplicas, _) => Failure::TooManyReplicas,
            (Refusal::TooFewReplicas, _) => Failure::TooFewReplicas,
            (
                Refusal::Unspecified
                | Refusal::NameTaken
                | Refusal::UnknownRecipient
                | Refusal::TokenNameTaken
                | Refusal::UnknownToken
                | Refusal::UnknownReplica
                | Refusal::ReplicaExists
                | Refusal::RosterNotFounded
                | Refusal::RosterFounded
                | Refusal::UnknownRoom
                | Refusal::RoomNameTaken
                | Refusal::NotAMember
                | Refusal::RoleMayNot
                | Refusal::TooManyMembers
                | Refusal::TooManyRooms
                | Refusal::UnknownMessage
                | Refusal::NotYourMessage
                | Refusal::MessageDeleted
                | Refusal::NotAText
                | Refusal::TooManyReactions
                | Refusal::TooManyPins
                | Refusal::Banned
                | Refusal::UnknownMember
                | Refusal::TooManyBans
                | Refusal::LastOwner
                | Refusal::IsAFeed
                | Refusal::UnknownAccount,
                _,
            ) => Failure::Internal(format!("refused as {refusal:?} at LSN {lsn}")),
        }
    }

    /// Makes the failure for a refusal that [`is_of_room`].
    fn of_room(refusal: Refusal, room: String) -> Self {
        match refusal {
            Refusal::RoomNameTaken => Failure::RoomNameTaken(room),
            Refusal::NotAMember => Failure::NotAMember(room),
            Refusal::RoleMayNot => Failure::RoleMayNot(room),
            Refusal::TooManyMembers => Failure::TooManyMembers(room),
            Refusal::TooManyRooms => Failure::TooManyRooms,
            Refusal::UnknownMessage => Failure::UnknownMessage(room),
            Refusal::NotYourMessage => Failure::NotYourMessage,
            Refusal::MessageDeleted => Failure::MessageDeleted,
            Refusal::NotAText => Failure::NotAText,
            Refusal::TooManyReactions => Failure::TooManyReactions,
            Refusal::TooManyPins => Failure::TooManyPins,
            Refusal::TooManyBans => Failure::TooManyBans(room),
            Refusal::LastOwner => Failure::LastOwner(room),
            Refusal::IsAFeed => Failure::IsAFeed(room),
            _ => Failure::UnknownRoom(room),
        }
    }
}

/// Tells whether a refusal is about the room that a command names.
fn is_of_room(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::UnknownRoom
            | Refusal::RoomNameTaken
            | Refusal::NotAMember
            | Refusal::RoleMayNot
            | Refusal::TooManyMembers
            | Refusal::TooManyRooms
            | Refusal::UnknownMessage
            | Refusal::NotYourMessage
            | Refusal::MessageDeleted
            | Refusal::NotAText
            | Refusal::TooManyReactions
            | Refusal::TooManyPins
            | Refusal::TooManyBans
            | Refusal::LastOwner
            | Refusal::IsAFeed
    )
}

/// Tells whether a refusal is about a message, in a room or a direct conversation.
fn is_of_message(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::UnknownMessage
            | Refusal::NotYourMessage
            | Refusal::MessageDeleted
            | Refusal::TooManyReactions
            | Refusal::TooManyPins
    )
}
