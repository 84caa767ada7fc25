//! From the wire to the domain and back, for reads and answers. `fields` checks single fields, and each command in
//! the store checks its own request.

use std::collections::BTreeSet;

use tercet_core::id::ReplicaId;
use tercet_proto::{
    log::change::What,
    v1::{self, subscribe_response},
};
use tercet_store::{
    event::{MessageKind, MessageRow, Reaction, RoomMessageRow},
    fields::{BadField, bad},
    queries::{FoundRow, Kept},
    rooms::Role,
};
use tercet_types::{limits::BATCH_MESSAGES_MAX, name::ROOM_MARK};
use uuid::Uuid;

use super::status::Failure;

/// A UUID in text form.
#[must_use]
pub fn uuid_text(id: [u8; 16]) -> String {
    Uuid::from_bytes(id).to_string()
}

/// The ids of replicas, each once.
///
/// # Errors
/// When there is none, or one is 0.
pub fn replica_ids(ids: &[u32]) -> Result<BTreeSet<ReplicaId>, BadField> {
    match ids.is_empty() || ids.contains(&0) {
        true => Err(bad(
            "replica_ids",
            "INVALID_REPLICA_IDS",
            "must be one or more, each 1 or more",
        )),
        false => Ok(ids.iter().copied().map(ReplicaId).collect()),
    }
}

/// The number of messages of one frame or one batch.
///
/// # Errors
/// When they are too many.
pub fn message_count(messages: &[v1::SendMessageRequest]) -> Result<(), BadField> {
    match messages.len() {
        0..=BATCH_MESSAGES_MAX => Ok(()),
        count => Err(bad(
            "messages",
            "INVALID_MESSAGES",
            format!("has {count} messages; at most {BATCH_MESSAGES_MAX} are allowed"),
        )),
    }
}

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// After this position.
    After(u64),
    /// After the newest event.
    Now,
}

/// Where a subscription starts, given the newest position that this replica knows.
///
/// # Errors
/// When the cursor is given although the start is now; `Resync` when it is beyond the newest event, and so of another
/// cluster, or when a change after it is not stored any more.
pub fn start(request: &v1::SubscribeRequest, kept: Kept, newest: u64) -> Result<Start, Failure> {
    match (request.from_now, request.cursor) {
        (true, 0) => Ok(Start::Now),
        (true, _) => Err(bad("cursor", "INVALID_CURSOR", "must be 0 with from_now").into()),
        // All that is stored.
        (false, 0) => Ok(Start::After(0)),
        (false, cursor) if cursor > newest || cursor < kept.forgotten => Err(Failure::Resync {
            cursor: kept.applied,
        }),
        (false, cursor) => Ok(Start::After(cursor)),
    }
}

/// The id of the conversation and the seq of the message that a change is about, if it is about one.
#[must_use]
pub fn message_of(what: &What) -> Option<(u64, u64)> {
    match what {
        What::MessageEdited(edited) => Some((edited.conversation_id, edited.seq)),
        What::MessageDeleted(deleted) => Some((deleted.conversation_id, deleted.seq)),
        What::ReactionChanged(changed) => Some((changed.conversation_id, changed.seq)),
        What::PinChanged(changed) => Some((changed.conversation_id, changed.seq)),
        What::MessagesDropped(_)
        | What::BlockChanged(_)
        | What::MarkersMoved(_)
        | What::ProfileChanged(_)
        | What::LevelChanged(_)
        | What::KeywordsChanged(_)
        | What::StateChanged(_) => None,
    }
}

/// A change as the clients of an account see it. `message` is that of [`message_of`] at present; without it there is no
/// event.
#[must_use]
pub fn change(
    what: What,
    message: Option<v1::Message>,
    account_id: u64,
) -> Option<subscribe_response::Event> {
    use subscribe_response::Event;
    Some(match what {
        What::MessageEdited(_) => Event::MessageEdited(v1::MessageEdited {
            message: Some(message?),
        }),
        What::MessageDeleted(deleted) => Event::MessageDeleted(v1::MessageDeleted {
            message: Some(message?),
            deleted_by: deleted.username,
            deleted_by_id: deleted.account_id,
        }),
        What::ReactionChanged(changed) => {
            let message = message?;
            let same = |of: &&v1::Reaction| of.reaction == changed.reaction;
            let now = message.reactions.iter().find(same);
            let count = now.map_or(0, |reaction| reaction.count);
            let (peer, peer_account_id) = match (message.conversation_id, message.sender_id) {
                (0, sender) if sender == account_id => (message.recipient, message.recipient_id),
                (0, sender) => (message.sender, sender),
                _ => (String::new(), 0),
            };
            Event::ReactionChanged(v1::ReactionChanged {
                conversation: message.conversation,
                conversation_id: message.conversation_id,
                seq: changed.seq,
                username: changed.username,
                account_id: changed.account_id,
                count,
                reaction: changed.reaction,
                removed: changed.removed,
                peer,
                peer_account_id,
            })
        }
        What::PinChanged(changed) => Event::PinChanged(v1::PinChanged {
            message: Some(message?),
            username: changed.username,
            account_id: changed.account_id,
            removed: changed.removed,
        }),
        What::MessagesDropped(dropped) => Event::MessagesDropped(v1::MessagesDropped {
            recipient: dropped.recipient,
            recipient_id: dropped.recipient_id,
            count: dropped.count,
        }),
        What::MarkersMoved(moved) => Event::MarkersMoved(v1::MarkersMoved {
            conversation_id: moved.conversation_id,
            conversation: match moved.room.as_str() {
                "" => String::new(),
                room => room_name(room),
            },
            username: moved.username,
            account_id: moved.account_id,
            read_seq: moved.read_seq,
            peer: moved.peer,
            peer_account_id: moved.peer_account_id,
        }),
        What::ProfileChanged(_) => Event::ProfileChanged(v1::ProfileChanged {}),
        What::KeywordsChanged(_) => Event::KeywordsChanged(v1::KeywordsChanged {}),
        What::LevelChanged(changed) => Event::LevelChanged(v1::LevelChanged {
            conversation_id: changed.conversation_id,
            conversation: match changed.room.as_str() {
                "" => changed.peer,
                room => room_name(room),
            },
            // The numbers are the same.
            level: i32::try_from(changed.level).unwrap_or_default(),
            peer_account_id: changed.peer_account_id,
        }),
        What::BlockChanged(changed) => Event::BlockChanged(v1::BlockChanged {
            username: changed.username,
            account_id: changed.account_id,
            blocked: changed.blocked,
            refuse: changed.refuse,
        }),
        // The stream adds the value.
        What::StateChanged(changed) => Event::StateChanged(v1::StateChanged {
            conversation_id: changed.conversation_id,
            key: changed.key,
            version: changed.version,
            ..v1::StateChanged::default()
        }),
    })
}

/// A stored message as clients see it.
#[must_use]
pub fn message(row: MessageRow) -> v1::Message {
    v1::Message {
        message_id: uuid_text(row.id),
        cursor: row.lsn,
        sender: row.sender,
        sender_id: row.sender_id,
        recipient: row.recipient,
        recipient_id: row.recipient_id,
        body: row.body,
        sent_at_ms: row.sent_at_ms,
        instant: row.instant,
        delivered: row.delivered,
        sender_deleted: row.sender_deleted,
        recipient_deleted: row.recipient_deleted,
        seq: row.seq,
        kind: v1::MessageKind::Text.into(),
        reply_to: row.parts.reply_to.unwrap_or(0),
        edited_at_ms: row.parts.edited_at_ms.unwrap_or(0),
        deleted_at_ms: row.parts.deleted_at_ms.unwrap_or(0),
        reactions: row.parts.reactions.iter().map(reaction).collect(),
        ..v1::Message::default()
    }
}

/// A stored message of any conversation as clients see it.
#[must_use]
pub fn found(row: FoundRow) -> v1::Message {
    match row {
        FoundRow::Direct(row) => message(row),
        FoundRow::Room(row) => room_message(&row),
    }
}

/// The name of a room as clients see it.
#[must_use]
pub fn room_name(name: &str) -> String {
    format!("{ROOM_MARK}{name}")
}

/// A stored message of a room as clients see it.
#[must_use]
pub fn room_message(row: &RoomMessageRow) -> v1::Message {
    let kind = match row.kind {
        MessageKind::Text => v1::MessageKind::Text,
        MessageKind::Created => v1::MessageKind::Created,
        MessageKind::Joined => v1::MessageKind::Joined,
        MessageKind::Left => v1::MessageKind::Left,
        MessageKind::Invited => v1::MessageKind::Invited,
        MessageKind::Kicked => v1::MessageKind::Kicked,
        MessageKind::Banned => v1::MessageKind::Banned,
        MessageKind::Unbanned => v1::MessageKind::Unbanned,
        MessageKind::MadeMember => v1::MessageKind::MadeMember,
        MessageKind::MadeAdmin => v1::MessageKind::MadeAdmin,
        MessageKind::MadeOwner => v1::MessageKind::MadeOwner,
        MessageKind::Topic => v1::MessageKind::Topic,
        MessageKind::Renamed => v1::MessageKind::Renamed,
        MessageKind::MadePublic => v1::MessageKind::MadePublic,
        MessageKind::MadePrivate => v1::MessageKind::MadePrivate,
        MessageKind::AnnounceOnly => v1::MessageKind::AnnounceOnly,
        MessageKind::Open => v1::MessageKind::Open,
        MessageKind::Archived => v1::MessageKind::Archived,
        MessageKind::Pinned => v1::MessageKind::Pinned,
        MessageKind::Unpinned => v1::MessageKind::Unpinned,
        MessageKind::KeepsEdits => v1::MessageKind::KeepsEdits,
        MessageKind::ForgetsEdits => v1::MessageKind::ForgetsEdits,
        MessageKind::MentionsRestricted => v1::MessageKind::MentionsRestricted,
        MessageKind::MentionsOpen => v1::MessageKind::MentionsOpen,
        MessageKind::Retention => v1::MessageKind::Retention,
    };
    v1::Message {
        message_id: row.id.map(uuid_text).unwrap_or_default(),
        cursor: row.lsn,
        sender: row.sender.clone(),
        sender_id: row.sender_id,
        recipient: room_name(&row.room),
        recipient_id: 0,
        body: row.body.clone(),
        sent_at_ms: row.sent_at_ms,
        instant: false,
        delivered: false,
        sender_deleted: row.sender_deleted,
        recipient_deleted: false,
        conversation: room_name(&row.room),
        conversation_id: row.room_id,
        seq: row.seq,
        kind: kind.into(),
        subject: row.subject.clone().unwrap_or_default(),
        subject_id: row.subject_id.unwrap_or(0),
        reply_to: row.parts.reply_to.unwrap_or(0),
        edited_at_ms: row.parts.edited_at_ms.unwrap_or(0),
        deleted_at_ms: row.parts.deleted_at_ms.unwrap_or(0),
        reactions: row.parts.reactions.iter().map(reaction).collect(),
        mentions_me: row.parts.mentions_me,
    }
}

fn reaction(reaction: &Reaction) -> v1::Reaction {
    v1::Reaction {
        reaction: reaction.reaction.clone(),
        count: reaction.count,
        own: reaction.own,
    }
}

/// A role as clients see it.
#[must_use]
pub fn role(role: Role) -> v1::MemberRole {
    match role {
        Role::Member => v1::MemberRole::Member,
        Role::Admin => v1::MemberRole::Admin,
        Role::Owner => v1::MemberRole::Owner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscription_starts_at_a_known_cursor_or_now() {
        let request = |cursor, from_now| v1::SubscribeRequest {
            cursor,
            from_now,
            presence: false,
        };
        let kept = Kept {
            applied: 8,
            forgotten: 3,
        };
        let start = |request| start(&request, kept, 9);
        assert_eq!(start(request(0, false)).unwrap(), Start::After(0));
        assert_eq!(start(request(3, false)).unwrap(), Start::After(3));
        assert_eq!(start(request(9, false)).unwrap(), Start::After(9));
        assert_eq!(start(request(0, true)).unwrap(), Start::Now);
        for cursor in [1, 2, 10, u64::MAX] {
            let found = start(request(cursor, false));
            assert!(
                matches!(found, Err(Failure::Resync { cursor: 8 })),
                "{cursor}"
            );
        }
        let Err(Failure::Bad(bad)) = start(request(1, true)) else {
            panic!("a cursor and from_now");
        };
        assert_eq!((bad.field, bad.reason), ("cursor", "INVALID_CURSOR"));
    }
}
