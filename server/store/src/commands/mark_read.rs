//! MarkRead: moves the marker of how far an account has read in a conversation.

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::{
    log::{MarkRead, MarkedRead, MarkersMoved, Refusal, change, command::Action, outcome},
    v1,
};
use tercet_types::name::ROOM_MARK;

use super::{
    About, Applier, Applying, Command, Fingerprint, Living, Request, StoreError, Subject, What,
    direct_messages, fingerprint, name_key, refused, rooms,
};
use crate::{
    changes::{self, To},
    fields::{self, BadField, LSN_MAX},
    queries::{ARCHIVED_ROOM_OF, LAST_SEQ, integer, peer_by_conversation},
    rooms::Act,
    seqs,
};

/// Checks a request; gives its id, and the command without the account.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: v1::MarkReadRequest) -> Result<([u8; 16], MarkRead), BadField> {
    let request_id = fields::request_id(&request.request_id)?;
    let conversation = match (request.conversation_id, request.conversation) {
        (1.., _) => String::new(),
        (_, name) => fields::conversation("conversation", &name)?,
    };
    if request.seq > 0 && request.unread_from > 0 {
        let what = "must be 0 with unread_from";
        return Err(fields::bad("seq", "INVALID_SEQ", what));
    }
    Ok((
        request_id,
        MarkRead {
            account_id: 0,
            conversation,
            conversation_id: request.conversation_id,
            seq: match request.seq {
                0 => LSN_MAX,
                seq => seq,
            },
            unread_from: request.unread_from,
        },
    ))
}

/// A conversation of the account.
pub(super) enum Place {
    Room { id: u64, name: String },
    Direct { peer_id: u64 },
}

/// The marker as it was and as it is.
struct Move {
    conversation_id: u64,
    before: u64,
    after: u64,
}

impl Request for MarkRead {
    type Outcome = MarkedRead;

    fn into_action(self) -> Action {
        Action::MarkRead(self)
    }

    fn subject(&self) -> Subject {
        match self.conversation_id {
            0 => Subject::of_conversation(&self.conversation),
            id => Subject::Room(id.to_string()),
        }
    }

    fn outcome(result: outcome::Result) -> Option<MarkedRead> {
        match result {
            outcome::Result::MarkedRead(marked) => Some(marked),
            _ => None,
        }
    }
}

impl Command for MarkRead {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let moved = match find(state, &account, &self.conversation, self.conversation_id)? {
            Ok(Place::Room { id, name }) => mark_room(self, state, &account, id, name)?,
            Ok(Place::Direct { peer_id }) => mark_direct(self, state, &account, peer_id)?,
            Err(refusal) => return Ok(refused(refusal)),
        };
        Ok(outcome::Result::MarkedRead(MarkedRead {
            conversation_id: moved.conversation_id,
            read_seq: moved.after,
            lsn: if moved.after == moved.before {
                0
            } else {
                state.lsn
            },
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        let conversation = name_key(&self.conversation);
        fingerprint(
            "mark_read",
            [
                &self.account_id.to_be_bytes()[..],
                conversation.as_bytes(),
                &self.conversation_id.to_be_bytes(),
                &self.seq.to_be_bytes(),
                &self.unread_from.to_be_bytes(),
            ],
        )
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("marker"))
    }
}

/// Finds the conversation that a command names: by its id, unless that is 0.
pub(super) fn find(
    state: &mut Applier<'_, '_>,
    account: &Living,
    conversation: &str,
    conversation_id: u64,
) -> Result<Result<Place, Refusal>, StoreError> {
    if conversation_id > 0 {
        return find_by_id(state, account.id, conversation_id);
    }
    if let Some(room) = conversation.strip_prefix(ROOM_MARK) {
        let refusal = match rooms::permit(state, room, account.id, Act::Read)? {
            Ok((id, _)) => {
                let name = rooms::cached(state, id).name.to_string();
                return Ok(Ok(Place::Room { id, name }));
            }
            Err(refusal) => refusal,
        };
        // As in ListMessages: a name that no room has now, or a private one, means an archived room.
        let archived: Option<u64> = match refusal {
            Refusal::UnknownRoom => state
                .connection
                .prepare_cached(ARCHIVED_ROOM_OF)?
                .query_row(params![account.id, name_key(room)], |row| row.get(0))
                .optional()?,
            _ => None,
        };
        return match archived {
            Some(id) => find_by_id(state, account.id, id),
            None => Ok(Err(refusal)),
        };
    }
    let peer_id = direct_messages::peer(state, account.id, conversation)?;
    Ok(match peer_id {
        Some(peer_id) => Ok(Place::Direct { peer_id }),
        None => Err(Refusal::UnknownAccount),
    })
}

/// Gives the marker that follows `before` in a conversation that ends with `last`.
fn after(command: &MarkRead, before: u64, last: u64) -> u64 {
    match command.unread_from {
        0 => command.seq.min(last).max(before),
        first => first.saturating_sub(1).min(last),
    }
}

fn mark_room(
    command: &MarkRead,
    state: &mut Applier<'_, '_>,
    account: &Living,
    id: u64,
    name: String,
) -> Result<Move, StoreError> {
    let last: u64 = match state.known.rooms.get(id) {
        Some(room) => room.last_seq,
        None => state
            .connection
            .prepare_cached(LAST_SEQ)?
            .query_row([id], |row| row.get(0))?,
    };
    let before: u64 = state
        .connection
        .prepare_cached(
            "SELECT read_seq FROM members WHERE conversation_id = ?1 AND account_id = ?2",
        )?
        .query_row([id, account.id], |row| row.get(0))?;
    let moved = Move {
        conversation_id: id,
        before,
        after: after(command, before, last),
    };
    if moved.after != before {
        state
            .connection
            .prepare_cached(
                "UPDATE members SET read_seq = ?3
                 WHERE conversation_id = ?1 AND account_id = ?2",
            )?
            .execute([id, account.id, moved.after])?;
        let what = change::What::MarkersMoved(MarkersMoved {
            conversation_id: id,
            username: account.username.to_string(),
            account_id: account.id,
            read_seq: moved.after,
            room: name,
            peer: String::new(),
            peer_account_id: 0,
        });
        changes::record(state, To::Account(account.id), what)?;
    }
    Ok(moved)
}

fn mark_direct(
    command: &MarkRead,
    state: &mut Applier<'_, '_>,
    account: &Living,
    peer_id: u64,
) -> Result<Move, StoreError> {
    let Some(last) = seqs::last(state, account.id, peer_id)? else {
        return Ok(Move {
            conversation_id: 0,
            before: 0,
            after: 0,
        });
    };
    let id = last.conversation_id;
    let (before, seen): (u64, u64) = state
        .connection
        .prepare_cached(
            "SELECT read_seq, seen_seq FROM markers
             WHERE conversation_id = ?1 AND account_id = ?2",
        )?
        .query_row([id, account.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or_default();
    let moved = Move {
        conversation_id: id,
        before,
        after: after(command, before, last.seq),
    };
    if moved.after == before {
        return Ok(moved);
    }
    state
        .connection
        .prepare_cached(
            "INSERT OR REPLACE INTO markers (conversation_id, account_id, read_seq, seen_seq)
             VALUES (?1, ?2, ?3, max(?3, ?4))",
        )?
        .execute([id, account.id, moved.after, seen])?;
    let peer: String = state
        .connection
        .prepare_cached("SELECT username FROM users WHERE id = ?1")?
        .query_row([peer_id], |row| row.get(0))?;
    let what = change::What::MarkersMoved(MarkersMoved {
        conversation_id: id,
        username: account.username.to_string(),
        account_id: account.id,
        read_seq: moved.after,
        room: String::new(),
        peer,
        peer_account_id: peer_id,
    });
    let shows_nothing = moved.after <= seen;
    let ids = direct_messages::audience(state, account.id, peer_id, shows_nothing)?;
    changes::record(state, To::Accounts(&ids), what)?;
    Ok(moved)
}

/// Finds a conversation of the account by its id: a room whose member it is, archived or not, or a direct one.
fn find_by_id(
    state: &Applier<'_, '_>,
    account_id: u64,
    id: u64,
) -> Result<Result<Place, Refusal>, StoreError> {
    let room = state
        .connection
        .prepare_cached(
            "SELECT r.id, r.name FROM members AS m CROSS JOIN rooms AS r ON r.id = m.conversation_id
             WHERE m.conversation_id = ?1 AND m.account_id = ?2",
        )?
        .query_row([id, account_id].map(integer), |row| {
            Ok(Place::Room {
                id: row.get(0)?,
                name: row.get(1)?,
            })
        })
        .optional()?;
    if let Some(room) = room {
        return Ok(Ok(room));
    }
    let peer_id = peer_by_conversation(state.connection, account_id, id)?;
    Ok(match peer_id {
        Some(peer_id) => Ok(Place::Direct { peer_id }),
        None => Err(Refusal::UnknownRoom),
    })
}
