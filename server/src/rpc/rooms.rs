//! Calls about rooms: making, joining, leaving and changing them, inviting, and the lists of rooms, members, messages. Messages to rooms are sent by the calls that send messages.

use tercet_proto::{log, v1};
use tercet_store::{
    commands::{Request, change_room, create_room, invite_to_room, join_room, leave_room},
    fields, name_key,
    queries::{
        BanRow, BansOf, MemberRow, Members, PageLimit, RoomHistory, RoomKey, RoomPage, RoomRow,
        RoomThread, RoomsByPattern, Start, Step,
    },
};
use tercet_types::{fair::Key, limits::PAGE_ROOMS_MAX, name::ROOM_MARK};

use super::{
    caller::Caller,
    chat::Chat,
    convert,
    messages::{neighbours, start},
    page,
    status::Failure,
};

const PAGE_DEFAULT: usize = 100;

impl Chat {
    pub(super) async fn do_create_room(
        &self,
        caller: &Caller,
        request: v1::CreateRoomRequest,
    ) -> Result<v1::CreateRoomResponse, Failure> {
        let room = create_room::validate(&request)?;
        let account_id = self.session(caller).await?.account_id;
        let command = log::CreateRoom {
            account_id,
            name: room.name,
            topic: room.topic,
            is_public: room.is_public,
            is_announce_only: room.is_announce_only,
            is_feed: room.is_feed,
        };
        let key = Key::account(account_id);
        let done = self.submit(key, room.request_id, command).await?;
        Ok(v1::CreateRoomResponse {
            conversation_id: done.room_id,
        })
    }

    pub(super) async fn do_join_room(
        &self,
        caller: &Caller,
        request: v1::JoinRoomRequest,
    ) -> Result<v1::JoinRoomResponse, Failure> {
        let (request_id, room) = join_room::validate(&request)?;
        let command = |account_id| log::JoinRoom { account_id, room };
        let done = self.change(caller, request_id, command).await?;
        Ok(v1::JoinRoomResponse {
            conversation_id: done.room_id,
            seq: done.seq,
        })
    }

    pub(super) async fn do_leave_room(
        &self,
        caller: &Caller,
        request: v1::LeaveRoomRequest,
    ) -> Result<v1::LeaveRoomResponse, Failure> {
        let (request_id, room) = leave_room::validate(&request)?;
        let command = |account_id| log::LeaveRoom { account_id, room };
        let done = self.change(caller, request_id, command).await?;
        Ok(v1::LeaveRoomResponse {
            conversation_id: done.room_id,
            seq: done.seq,
        })
    }

    pub(super) async fn do_invite_to_room(
        &self,
        caller: &Caller,
        request: v1::InviteToRoomRequest,
    ) -> Result<v1::InviteToRoomResponse, Failure> {
        let invitation = invite_to_room::validate(&request)?;
        let command = |account_id| log::InviteToRoom {
            account_id,
            room: invitation.room,
            invited: invitation.invited,
        };
        let done = self.change(caller, invitation.request_id, command).await?;
        Ok(v1::InviteToRoomResponse {
            conversation_id: done.room_id,
            seq: done.seq,
        })
    }

    pub(super) async fn do_change_room(
        &self,
        caller: &Caller,
        request: v1::ChangeRoomRequest,
    ) -> Result<v1::ChangeRoomResponse, Failure> {
        let edit = change_room::validate(&request)?;
        let command = |account_id| log::ChangeRoom {
            account_id,
            room: edit.room,
            change: Some(edit.change),
        };
        let done = self.change(caller, edit.request_id, command).await?;
        Ok(v1::ChangeRoomResponse {
            conversation_id: done.room_id,
            seq: done.seq,
        })
    }

    /// Proposes a change of a room by the account of the call.
    async fn change<R: Request<Outcome = log::RoomChanged>>(
        &self,
        caller: &Caller,
        request_id: [u8; 16],
        command: impl FnOnce(u64) -> R,
    ) -> Result<log::RoomChanged, Failure> {
        let account_id = self.session(caller).await?.account_id;
        self.submit(Key::account(account_id), request_id, command(account_id))
            .await
    }

    pub(super) async fn do_list_bans(
        &self,
        caller: &Caller,
        request: v1::ListBansRequest,
    ) -> Result<v1::ListBansResponse, Failure> {
        let room = fields::room_name("room", &request.room)?;
        let limit = fields::page_size(request.page_size, PAGE_DEFAULT, PAGE_ROOMS_MAX)?;
        let after = after(page::step_of_any(&request.page_token)?);
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let query = BansOf {
            account_id,
            room: room.clone(),
            after,
            limit,
        };
        let key = Key::account(account_id);
        let found = self.read_under(permit, key, query).await?;
        let (room_id, page) = found.map_err(|denied| Failure::of_denied(denied, room))?;
        let of_token = page::Query::Bans {
            account_id,
            room_id,
        };
        of_token.step(&request.page_token)?;
        let next_page_token = page::next(&page, |last| of_token.at(Step::After(last.account_id)));
        let ban = |row: BanRow| v1::Ban {
            username: row.username,
            account_id: row.account_id,
            banned_by: row.banned_by,
            banned_at_ms: row.banned_at_ms,
        };
        Ok(v1::ListBansResponse {
            bans: page.rows.into_iter().map(ban).collect(),
            next_page_token,
        })
    }

    pub(super) async fn do_list_rooms(
        &self,
        caller: &Caller,
        request: v1::ListRoomsRequest,
    ) -> Result<v1::ListRoomsResponse, Failure> {
        let pattern = &request.pattern;
        let pattern = fields::pattern(pattern.strip_prefix(ROOM_MARK).unwrap_or(pattern))?;
        let limit = fields::page_size(request.page_size, PAGE_DEFAULT, PAGE_ROOMS_MAX)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let of_token = page::Query::Rooms {
            account_id,
            feeds_only: request.feeds_only,
            pattern: &pattern,
        };
        let query = RoomsByPattern {
            account_id,
            feeds_only: request.feeds_only,
            pattern: pattern.clone(),
            after: of_token.name(&request.page_token)?,
            limit,
        };
        let key = Key::account(account_id);
        let page = self.read_under(permit, key, query).await?;
        let next_page_token = page::next(&page, |last| of_token.after_name(&name_key(&last.name)));
        Ok(v1::ListRoomsResponse {
            rooms: page.rows.into_iter().map(room).collect(),
            next_page_token,
        })
    }

    pub(super) async fn do_list_members(
        &self,
        caller: &Caller,
        request: v1::ListMembersRequest,
    ) -> Result<v1::ListMembersResponse, Failure> {
        let room = fields::room_name("room", &request.room)?;
        let limit = fields::page_size(request.page_size, PAGE_DEFAULT, PAGE_ROOMS_MAX)?;
        let after = after(page::step_of_any(&request.page_token)?);
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let query = Members {
            account_id,
            room: room.clone(),
            after,
            limit,
        };
        let key = Key::account(account_id);
        let found = self.read_under(permit, key, query).await?;
        let (room_id, page) = found.map_err(|denied| Failure::of_denied(denied, room))?;
        let of_token = page::Query::Members {
            account_id,
            room_id,
        };
        // Only now it is known of which room the token must be.
        of_token.step(&request.page_token)?;
        let next_page_token = page::next(&page, |last| of_token.at(Step::After(last.account_id)));
        Ok(v1::ListMembersResponse {
            members: page.rows.into_iter().map(member).collect(),
            next_page_token,
        })
    }

    /// Lists the messages of the room that `request.peer` names.
    pub(super) async fn list_room_messages(
        &self,
        caller: &Caller,
        request: v1::ListMessagesRequest,
        limit: PageLimit,
    ) -> Result<v1::ListMessagesResponse, Failure> {
        let (room, name) = match request.conversation_id {
            0 => {
                let name = fields::room_name("peer", &request.peer)?;
                (RoomKey::Name(name.clone()), name)
            }
            id => (RoomKey::Id(id), id.to_string()),
        };
        let given = page::step_of_any(&request.page_token)?;
        let start = start(&request)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let query = RoomHistory {
            account_id,
            room,
            start: given.map_or(start, Start::Seq),
            limit,
        };
        let key = Key::account(account_id);
        let found = match request.thread_seq {
            0 => self.read_under(permit, key, query).await?,
            seq => {
                let thread = RoomThread { of: query, seq };
                self.read_under(permit, key, thread).await?
            }
        };
        let RoomPage {
            room_id,
            step,
            messages,
        } = found.map_err(|denied| Failure::of_denied(denied, name))?;
        let oldest_first = start.is_ascending();
        let of_token = page::Query::RoomMessages {
            account_id,
            room_id,
            oldest_first,
        };
        let thread = page::Query::Thread {
            of: &of_token,
            seq: request.thread_seq,
        };
        let of_token = match request.thread_seq {
            0 => &of_token,
            _ => &thread,
        };
        of_token.step(&request.page_token)?;
        let (older, newer) = neighbours(&messages, |row| row.seq, step, given.is_some());
        let token = |step: Option<Step>| step.map_or_else(String::new, |step| of_token.at(step));
        let (older, newer) = (token(older), token(newer));
        Ok(v1::ListMessagesResponse {
            messages: messages.rows.iter().map(convert::room_message).collect(),
            next_page_token: if oldest_first {
                newer.clone()
            } else {
                older.clone()
            },
            older_page_token: older,
            newer_page_token: newer,
            peer_account_id: 0,
            conversation_id: room_id,
        })
    }
}

/// Gives the id that a page comes after. Tokens of these lists all go forward.
fn after(step: Option<Step>) -> u64 {
    match step {
        Some(Step::After(id)) => id,
        Some(Step::Before(_)) | None => 0,
    }
}

fn room(row: RoomRow) -> v1::Room {
    let role = row
        .membership
        .map(|membership| convert::role(membership.role));
    v1::Room {
        conversation_id: row.id,
        name: convert::room_name(&row.name),
        topic: row.topic,
        private: !row.settings.is_public,
        announce_only: row.settings.is_announce_only,
        keeps_edits: row.settings.keeps_edits,
        mentions_restricted: row.settings.restricts_mentions,
        feed: row.settings.is_feed,
        created_at_ms: row.created_at_ms,
        role: role.unwrap_or_default().into(),
        retention_ms: row.retention_ms.unwrap_or(0),
        kept_ms: row.kept_ms.unwrap_or(0),
    }
}

fn member(row: MemberRow) -> v1::Member {
    v1::Member {
        username: row.username,
        account_id: row.account_id,
        role: convert::role(row.role).into(),
        joined_at_ms: row.joined_at_ms,
        joined_seq: row.joined_seq,
        display_name: row.display_name,
    }
}
