//! ChangeRoom: kicks, bans, roles, topic, name, settings and the end of a room. Each is one change with one message of the
//! system.

use prost::Message as _;
use rusqlite::{ToSql, params};
use tercet_proto::{
    log::{
        ChangeRoom, Refusal, RoleOfMember, RoomChanged, change_room::Change, command::Action,
        outcome,
    },
    v1::{self, change_room_request::Change as Asked},
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Living, Request, StoreError, Subject, What,
    bans, fingerprint, name_key, refused,
    rooms::{self, Post, cached},
};
use crate::{
    event::MessageKind,
    fields::{self, BadField, bad},
    retention,
    rooms::{Act, Role, judge_on},
};

/// A checked request.
pub struct RoomEdit {
    pub request_id: [u8; 16],
    /// Without the `#`.
    pub room: String,
    pub change: Change,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::ChangeRoomRequest) -> Result<RoomEdit, BadField> {
    let nothing = || {
        bad(
            "change",
            "INVALID_CHANGE",
            "says which change is to be made",
        )
    };
    let change = match request.change.as_ref().ok_or_else(nothing)? {
        Asked::Kick(name) => Change::Kick(fields::username("kick", name)?),
        Asked::Ban(name) => Change::Ban(fields::username("ban", name)?),
        Asked::Unban(name) => Change::Unban(fields::username("unban", name)?),
        Asked::Role(asked) => Change::Role(RoleOfMember {
            username: fields::username("role.username", &asked.username)?,
            role: match asked.role() {
                v1::MemberRole::Member => Role::Member as u32,
                v1::MemberRole::Admin => Role::Admin as u32,
                v1::MemberRole::Owner => Role::Owner as u32,
                v1::MemberRole::Unspecified => {
                    let what = "is none of member, admin and owner";
                    return Err(bad("role.role", "INVALID_ROLE", what));
                }
            },
        }),
        Asked::Topic(topic) => Change::Topic(fields::topic(topic)?),
        Asked::Name(name) => Change::Name(fields::room_name("name", name)?),
        Asked::Private(private) => Change::IsPublic(!private),
        Asked::AnnounceOnly(only) => Change::IsAnnounceOnly(*only),
        Asked::KeepsEdits(keeps) => Change::KeepsEdits(*keeps),
        Asked::MentionsRestricted(only) => Change::RestrictsMentions(*only),
        Asked::RetentionMs(ms) => Change::RetentionMs(fields::retention(*ms)?),
        Asked::Archive(true) => Change::Archive(true),
        Asked::Archive(false) => {
            let what = "must be true: an archived room is not opened again";
            return Err(bad("archive", "INVALID_CHANGE", what));
        }
    };
    Ok(RoomEdit {
        request_id: fields::request_id(&request.request_id)?,
        room: fields::room_name("room", &request.room)?,
        change,
    })
}

impl Request for ChangeRoom {
    type Outcome = RoomChanged;

    fn into_action(self) -> Action {
        Action::ChangeRoom(self)
    }

    fn subject(&self) -> Subject {
        let room = self.room.clone();
        match &self.change {
            Some(
                Change::Kick(account)
                | Change::Ban(account)
                | Change::Unban(account)
                | Change::Role(RoleOfMember {
                    username: account, ..
                }),
            ) => Subject::InRoom {
                room,
                account: account.clone(),
            },
            Some(Change::Name(name)) => Subject::Renaming {
                room,
                name: name.clone(),
            },
            _ => Subject::Room(room),
        }
    }

    fn outcome(result: outcome::Result) -> Option<RoomChanged> {
        rooms::changed(result)
    }
}

impl Command for ChangeRoom {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(change) = &self.change else {
            return Err(state.unknown("its change of a room is unknown to this version"));
        };
        let Some(by) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let (room_id, role) = match rooms::permit(state, &self.room, by.id, act_of(change))? {
            Ok((room_id, Some(role))) => (room_id, role),
            Ok((_, None)) => return Ok(refused(Refusal::NotAMember)),
            Err(refusal) => return Ok(refused(refusal)),
        };
        let changing = Changing { room_id, by, role };
        let seq = match change {
            Change::Kick(name) => changing.kick(state, name)?,
            Change::Ban(name) => changing.ban(state, name)?,
            Change::Unban(name) => changing.unban(state, name)?,
            Change::Role(asked) => changing.set_role(state, asked)?,
            Change::Topic(topic) => changing.set_topic(state, topic)?,
            Change::Name(name) => changing.rename(state, name)?,
            Change::IsPublic(is_public) => changing.set_public(state, *is_public)?,
            Change::IsAnnounceOnly(only) => changing.set_announce_only(state, *only)?,
            Change::KeepsEdits(keeps) => changing.set_keeps_edits(state, *keeps)?,
            Change::RestrictsMentions(only) => changing.restrict_mentions(state, *only)?,
            Change::RetentionMs(ms) => changing.set_retention(state, *ms)?,
            Change::Archive(_) => changing.archive(state)?,
        };
        let changed = |seq| RoomChanged {
            room_id,
            seq,
            lsn: if seq > 0 { state.lsn } else { 0 },
        };
        Ok(seq.map_or_else(refused, |seq| outcome::Result::RoomChanged(changed(seq))))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint("change_room", [&self.encode_to_vec()[..]])
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("room"))
    }
}

fn act_of(change: &Change) -> Act {
    match change {
        Change::Kick(_) => Act::Kick,
        Change::Ban(_) | Change::Unban(_) => Act::Ban,
        Change::Role(_) => Act::SetRole,
        Change::Topic(_) => Act::SetTopic,
        Change::Name(_)
        | Change::IsPublic(_)
        | Change::IsAnnounceOnly(_)
        | Change::KeepsEdits(_)
        | Change::RetentionMs(_) => Act::Configure,
        Change::RestrictsMentions(_) => Act::RestrictMentions,
        Change::Archive(_) => Act::Archive,
    }
}

/// The seq of the message that tells of a change, 0 when there was nothing to change; or why the change is refused.
type Changed = Result<Result<u64, Refusal>, StoreError>;

/// A change by a member who may make it.
struct Changing {
    room_id: u64,
    by: Living,
    role: Role,
}

impl Changing {
    fn kick(&self, state: &mut Applier<'_, '_>, name: &str) -> Changed {
        let Some(other) = state.living_by_name(name)? else {
            return Ok(Err(Refusal::UnknownAccount));
        };
        let role = cached(state, self.room_id).role(other.id);
        if role.is_none() {
            return Ok(Err(Refusal::UnknownMember));
        }
        if let Err(denied) = judge_on(Act::Kick, self.role, role) {
            return Ok(Err(denied.refusal()));
        }
        // The one who goes is still in the audience.
        let seq = self.post_about(state, MessageKind::Kicked, &other)?;
        rooms::remove(state, self.room_id, other.id)?;
        Ok(Ok(seq))
    }

    fn ban(&self, state: &mut Applier<'_, '_>, name: &str) -> Changed {
        let Some(other) = state.living_by_name(name)? else {
            return Ok(Err(Refusal::UnknownAccount));
        };
        let role = cached(state, self.room_id).role(other.id);
        if let Err(denied) = judge_on(Act::Ban, self.role, role) {
            return Ok(Err(denied.refusal()));
        }
        if bans::is_banned(state, self.room_id, other.id)? {
            return Ok(Ok(0));
        }
        if bans::are_full(state, self.room_id)? {
            return Ok(Err(Refusal::TooManyBans));
        }
        bans::add(state, self.room_id, other.id, self.by.id)?;
        let seq = self.post_about(state, MessageKind::Banned, &other)?;
        if role.is_some() {
            rooms::remove(state, self.room_id, other.id)?;
        }
        Ok(Ok(seq))
    }

    fn unban(&self, state: &mut Applier<'_, '_>, name: &str) -> Changed {
        let Some(other) = state.living_by_name(name)? else {
            return Ok(Err(Refusal::UnknownAccount));
        };
        if !bans::remove(state, self.room_id, other.id)? {
            return Ok(Ok(0));
        }
        Ok(Ok(self.post_about(state, MessageKind::Unbanned, &other)?))
    }

    /// Gives a member another role. An owner may step down while there is another one.
    fn set_role(&self, state: &mut Applier<'_, '_>, asked: &RoleOfMember) -> Changed {
        let Some(new) = Role::of_number(asked.role) else {
            return Err(state.unknown("its role is unknown to this version"));
        };
        let Some(other) = state.living_by_name(&asked.username)? else {
            return Ok(Err(Refusal::UnknownAccount));
        };
        let Some(role) = cached(state, self.room_id).role(other.id) else {
            return Ok(Err(Refusal::UnknownMember));
        };
        if role == new {
            return Ok(Ok(0));
        }
        if other.id == self.by.id {
            if cached(state, self.room_id).is_only_owner(other.id) {
                return Ok(Err(Refusal::LastOwner));
            }
        } else if let Err(denied) = judge_on(Act::SetRole, self.role, Some(role)) {
            return Ok(Err(denied.refusal()));
        }
        rooms::set_role(state, self.room_id, other.id, new)?;
        let kind = match new {
            Role::Member => MessageKind::MadeMember,
            Role::Admin => MessageKind::MadeAdmin,
            Role::Owner => MessageKind::MadeOwner,
        };
        Ok(Ok(self.post_about(state, kind, &other)?))
    }

    fn set_topic(&self, state: &mut Applier<'_, '_>, topic: &str) -> Changed {
        let sql = "UPDATE rooms SET topic = ?2 WHERE id = ?1 AND topic <> ?2";
        if !self.update(state, sql, &topic)? {
            return Ok(Ok(0));
        }
        Ok(Ok(self.post(state, MessageKind::Topic, topic)?))
    }

    fn rename(&self, state: &mut Applier<'_, '_>, name: &str) -> Changed {
        if *cached(state, self.room_id).name == *name {
            return Ok(Ok(0));
        }
        // The same name in other letters is no other room's.
        if rooms::find(state, name)?.is_some_and(|id| id != self.room_id) {
            return Ok(Err(Refusal::RoomNameTaken));
        }
        let key = name_key(name);
        state
            .connection
            .prepare_cached("UPDATE rooms SET name = ?2, name_key = ?3 WHERE id = ?1")?
            .execute(params![self.room_id, name, key])?;
        // Finding the other room may have cleared the cache.
        rooms::load(state, self.room_id)?;
        state.known.rooms.rename(self.room_id, &key, name);
        Ok(Ok(self.post(
            state,
            MessageKind::Renamed,
            &format!("#{name}"),
        )?))
    }

    fn set_public(&self, state: &mut Applier<'_, '_>, is_public: bool) -> Changed {
        let sql = "UPDATE rooms SET is_public = ?2 WHERE id = ?1 AND is_public <> ?2";
        if !self.update(state, sql, &is_public)? {
            return Ok(Ok(0));
        }
        cached(state, self.room_id).settings.is_public = is_public;
        let kind = if is_public {
            MessageKind::MadePublic
        } else {
            MessageKind::MadePrivate
        };
        Ok(Ok(self.post(state, kind, "")?))
    }

    fn set_announce_only(&self, state: &mut Applier<'_, '_>, only: bool) -> Changed {
        if cached(state, self.room_id).settings.is_feed {
            return Ok(Err(Refusal::IsAFeed));
        }
        let sql = "UPDATE rooms SET is_announce_only = ?2 WHERE id = ?1 AND is_announce_only <> ?2";
        if !self.update(state, sql, &only)? {
            return Ok(Ok(0));
        }
        cached(state, self.room_id).settings.is_announce_only = only;
        let kind = if only {
            MessageKind::AnnounceOnly
        } else {
            MessageKind::Open
        };
        Ok(Ok(self.post(state, kind, "")?))
    }

    fn set_keeps_edits(&self, state: &mut Applier<'_, '_>, keeps: bool) -> Changed {
        let sql = "UPDATE rooms SET keeps_edits = ?2 WHERE id = ?1 AND keeps_edits <> ?2";
        if !self.update(state, sql, &keeps)? {
            return Ok(Ok(0));
        }
        cached(state, self.room_id).settings.keeps_edits = keeps;
        let kind = if keeps {
            MessageKind::KeepsEdits
        } else {
            MessageKind::ForgetsEdits
        };
        Ok(Ok(self.post(state, kind, "")?))
    }

    fn restrict_mentions(&self, state: &mut Applier<'_, '_>, only: bool) -> Changed {
        if cached(state, self.room_id).settings.restricts_mentions == only {
            return Ok(Ok(0));
        }
        let (sql, kind) = if only {
            let sql = "INSERT INTO mention_limits (room_id) VALUES (?1)";
            (sql, MessageKind::MentionsRestricted)
        } else {
            let sql = "DELETE FROM mention_limits WHERE room_id = ?1";
            (sql, MessageKind::MentionsOpen)
        };
        state
            .connection
            .prepare_cached(sql)?
            .execute([self.room_id])?;
        cached(state, self.room_id).settings.restricts_mentions = only;
        Ok(Ok(self.post(state, kind, "")?))
    }

    fn set_retention(&self, state: &mut Applier<'_, '_>, ms: i64) -> Changed {
        if !retention::set(state.connection, self.room_id, ms)? {
            return Ok(Ok(0));
        }
        Ok(Ok(self.post(
            state,
            MessageKind::Retention,
            &ms.to_string(),
        )?))
    }

    fn archive(&self, state: &mut Applier<'_, '_>) -> Changed {
        let seq = self.post(state, MessageKind::Archived, "")?;
        rooms::archive(state, self.room_id)?;
        Ok(Ok(seq))
    }

    /// Updates the row of the room; tells whether that changed it.
    fn update(
        &self,
        state: &Applier<'_, '_>,
        sql: &str,
        value: &dyn ToSql,
    ) -> Result<bool, StoreError> {
        let rows = state
            .connection
            .prepare_cached(sql)?
            .execute(params![self.room_id, value])?;
        Ok(rows > 0)
    }

    /// Posts the message that tells of a change of the room.
    fn post(
        &self,
        state: &mut Applier<'_, '_>,
        kind: MessageKind,
        body: &str,
    ) -> Result<u64, StoreError> {
        let message = Post {
            body,
            ..Post::system(kind, &self.by)
        };
        rooms::post(state, self.room_id, &message)
    }

    /// Posts the message that tells of a change of what another account is in the room. In a feed, whose followers do not
    /// see each other, only one about a role.
    fn post_about(
        &self,
        state: &mut Applier<'_, '_>,
        kind: MessageKind,
        other: &Living,
    ) -> Result<u64, StoreError> {
        let is_of_role = matches!(
            kind,
            MessageKind::MadeMember | MessageKind::MadeAdmin | MessageKind::MadeOwner
        );
        if cached(state, self.room_id).settings.is_feed && !is_of_role {
            return Ok(0);
        }
        let message = Post {
            subject: Some(other),
            ..Post::system(kind, &self.by)
        };
        rooms::post(state, self.room_id, &message)
    }
}
