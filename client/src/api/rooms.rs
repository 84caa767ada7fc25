//! The calls about rooms. Messages to rooms are sent as to accounts, with the name of the room.

use tercet_proto::v1::{
    ChangeRoomRequest, CreateRoomRequest, InviteToRoomRequest, JoinRoomRequest, LeaveRoomRequest,
    ListBansRequest, ListConversationsRequest, ListMembersRequest, ListRoomsRequest,
};

use super::types::FromWire;
use super::{
    BansPage, Client, ConversationsPage, Error, MembersPage, NewRoom, RoomChange, RoomEdit,
    RoomsPage,
};

impl Client {
    /// Makes a room, with this client's account as its owner. Returns the id of the conversation.
    ///
    /// # Errors
    /// `ROOM_NAME_TAKEN`; `INVALID_ROOM_NAME`; `INVALID_TOPIC`; `TOO_MANY_ROOMS`; `OLDER_REPLICAS`;
    /// [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn create_room(&self, room: NewRoom) -> Result<u64, Error> {
        let make = |request_id| CreateRoomRequest {
            request_id,
            room: room.name.clone(),
            topic: room.topic.clone(),
            private: room.private,
            announce_only: room.announce_only,
            feed: room.feed,
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(answer.conversation_id)
    }

    /// Makes this client's account a member of a public room. `room` is the name, with its `#`. Joining again is no
    /// error.
    ///
    /// # Errors
    /// `UNKNOWN_ROOM`, for a private room, too; `BANNED`; `TOO_MANY_MEMBERS`; `TOO_MANY_ROOMS`; `OLDER_REPLICAS`;
    /// [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn join_room(&self, room: &str) -> Result<RoomChange, Error> {
        let make = |request_id| JoinRoomRequest {
            request_id,
            room: room.to_owned(),
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(RoomChange {
            conversation_id: answer.conversation_id,
            seq: answer.seq,
        })
    }

    /// Ends the membership of this client's account in a room.
    ///
    /// # Errors
    /// `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn leave_room(&self, room: &str) -> Result<RoomChange, Error> {
        let make = |request_id| LeaveRoomRequest {
            request_id,
            room: room.to_owned(),
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(RoomChange {
            conversation_id: answer.conversation_id,
            seq: answer.seq,
        })
    }

    /// Makes another account a member of a room at once. Inviting a member is no error.
    ///
    /// # Errors
    /// `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `ROLE_MAY_NOT`; `UNKNOWN_ACCOUNT`; `BANNED`; `TOO_MANY_MEMBERS`; `TOO_MANY_ROOMS`;
    /// `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn invite_to_room(&self, room: &str, username: &str) -> Result<RoomChange, Error> {
        let make = |request_id| InviteToRoomRequest {
            request_id,
            room: room.to_owned(),
            username: username.to_owned(),
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(RoomChange {
            conversation_id: answer.conversation_id,
            seq: answer.seq,
        })
    }

    /// Makes one change of a room, or of what an account is in it. A change that leaves everything as it is is no error.
    ///
    /// # Errors
    /// `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `ROLE_MAY_NOT`; `UNKNOWN_ACCOUNT`; `UNKNOWN_MEMBER`; `LAST_OWNER`;
    /// `TOO_MANY_BANS`; `ROOM_NAME_TAKEN`; `INVALID_ROOM_NAME`; `INVALID_TOPIC`; `OLDER_REPLICAS`;
    /// [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn change_room(&self, room: &str, edit: RoomEdit) -> Result<RoomChange, Error> {
        let change = edit.into_wire();
        let make = |request_id| ChangeRoomRequest {
            request_id,
            room: room.to_owned(),
            change: Some(change.clone()),
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(RoomChange {
            conversation_id: answer.conversation_id,
            seq: answer.seq,
        })
    }

    /// Lists one page of the accounts that are banned from a room, in order of their ids, for its admins and owners. The
    /// arguments are as in [`Client::list_members`].
    ///
    /// # Errors
    /// `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `ROLE_MAY_NOT`; `WRONG_PAGE_TOKEN`; no leader until the deadline.
    pub async fn list_bans(
        &self,
        room: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<BansPage, Error> {
        let request = ListBansRequest {
            room: room.to_owned(),
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let answer = self.call(None, request).await?;
        Ok(BansPage::from_wire(answer))
    }

    /// Lists one page of the feeds whose name matches `pattern`, as [`Client::list_rooms`] does.
    ///
    /// # Errors
    /// `INVALID_PATTERN`; `WRONG_PAGE_TOKEN`; no leader until the deadline.
    pub async fn list_feeds(
        &self,
        pattern: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<RoomsPage, Error> {
        self.rooms_or_feeds(pattern, page_size, page_token, true)
            .await
    }

    /// Lists one page of the rooms whose name matches `pattern`, feeds too, public ones and those of this client's account, in
    /// order of the name without case. The arguments are as in [`Client::list_accounts`].
    ///
    /// # Errors
    /// `INVALID_PATTERN`; `WRONG_PAGE_TOKEN`; no leader until the deadline.
    pub async fn list_rooms(
        &self,
        pattern: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<RoomsPage, Error> {
        self.rooms_or_feeds(pattern, page_size, page_token, false)
            .await
    }

    async fn rooms_or_feeds(
        &self,
        pattern: &str,
        page_size: u32,
        page_token: &str,
        feeds_only: bool,
    ) -> Result<RoomsPage, Error> {
        let request = ListRoomsRequest {
            pattern: pattern.to_owned(),
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
            feeds_only,
        };
        let answer = self.call(None, request).await?;
        Ok(RoomsPage::from_wire(answer))
    }

    /// Lists one page of the members of a room, in order of their account ids. `page_size` 0 means 100; above 1,000 is
    /// 1,000. `page_token` is empty for the first page.
    ///
    /// # Errors
    /// `UNKNOWN_ROOM`; `WRONG_PAGE_TOKEN`; no leader until the deadline.
    pub async fn list_members(
        &self,
        room: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<MembersPage, Error> {
        let request = ListMembersRequest {
            room: room.to_owned(),
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let answer = self.call(None, request).await?;
        Ok(MembersPage::from_wire(answer))
    }

    /// Lists one page of the conversations of this client's account, rooms and direct ones, those with the newest messages
    /// first, with the number of unread messages and the last message of each. The arguments are as in
    /// [`Client::list_members`]. A subscription after the cursor of the first page ([`Start::After`](crate::Start)) goes on
    /// from there: it may deliver messages that the list has already, by their `seq`, and misses none.
    ///
    /// # Errors
    /// `WRONG_PAGE_TOKEN`; no leader until the deadline.
    pub async fn list_conversations(
        &self,
        page_size: u32,
        page_token: &str,
    ) -> Result<ConversationsPage, Error> {
        let request = ListConversationsRequest {
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let answer = self.call(None, request).await?;
        Ok(ConversationsPage::from_wire(answer))
    }
}
