//! CreateRoom: makes a room, with its creator as the owner.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::params;
use tercet_proto::{
    log::{CreateRoom, Refusal, RoomChanged, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    fingerprint, name_key, refused,
    rooms::{self, Post},
};
use crate::{
    apply::CachedRoom,
    event::MessageKind,
    fields::{self, BadField},
    rooms::{Role, Settings},
};

/// A checked request.
pub struct NewRoom {
    pub request_id: [u8; 16],
    /// Without the `#`.
    pub name: String,
    pub topic: String,
    pub is_public: bool,
    pub is_announce_only: bool,
    pub is_feed: bool,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::CreateRoomRequest) -> Result<NewRoom, BadField> {
    Ok(NewRoom {
        request_id: fields::request_id(&request.request_id)?,
        name: fields::room_name("room", &request.room)?,
        topic: fields::topic(&request.topic)?,
        is_public: !request.private,
        is_announce_only: request.announce_only && !request.feed,
        is_feed: request.feed,
    })
}

impl Request for CreateRoom {
    type Outcome = RoomChanged;

    fn into_action(self) -> Action {
        Action::CreateRoom(self)
    }

    fn subject(&self) -> Subject {
        Subject::Room(self.name.clone())
    }

    fn outcome(result: outcome::Result) -> Option<RoomChanged> {
        rooms::changed(result)
    }
}

impl Command for CreateRoom {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(owner) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        if rooms::find(state, &self.name)?.is_some() {
            return Ok(refused(Refusal::RoomNameTaken));
        }
        if let Err(refusal) = rooms::has_place(state, owner.id)? {
            return Ok(refused(refusal));
        }
        let key = name_key(&self.name);
        state
            .connection
            .prepare_cached(
                "INSERT INTO rooms
                     (id, name, name_key, topic, is_public, is_announce_only, created_at_ms,
                      is_feed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                state.lsn,
                self.name,
                key,
                self.topic,
                self.is_public,
                self.is_announce_only,
                state.stamp_ms,
                self.is_feed
            ])?;
        let settings = Settings {
            is_public: self.is_public,
            is_announce_only: self.is_announce_only,
            keeps_edits: false,
            restricts_mentions: false,
            is_feed: self.is_feed,
        };
        let name = Arc::from(self.name.as_str());
        let room = CachedRoom::new(state.lsn, name, settings, (1, 0), BTreeMap::new());
        state.known.rooms.learn(&key, room);
        let message = Post::system(MessageKind::Created, &owner);
        let admitted = rooms::admit(state, state.lsn, &owner, Role::Owner, &message)?;
        Ok(admitted.map_or_else(refused, outcome::Result::RoomChanged))
    }

    fn fingerprint(&self) -> Fingerprint {
        let settings = [self.is_public, self.is_announce_only, self.is_feed].map(u8::from);
        // Builds without feeds keep two.
        let settings = if self.is_feed {
            &settings[..]
        } else {
            &settings[..2]
        };
        fingerprint(
            "create_room",
            [
                &self.account_id.to_be_bytes()[..],
                name_key(&self.name).as_bytes(),
                self.topic.as_bytes(),
                settings,
            ],
        )
    }

    fn version_needed(&self) -> u32 {
        if self.is_feed { 3 } else { 2 }
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("room"))
    }
}
