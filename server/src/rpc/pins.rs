//! Calls about pinned messages: pinning one, taking the pin back, and the list of a conversation.

use tercet_proto::{log, v1};
use tercet_store::{
    commands::pin_message::{self, Pin},
    fields,
    queries::{NoPins, PinRow, Pins, PinsOf},
};
use tercet_types::{
    fair::Key,
    name::{ROOM_MARK, is_of_room},
};

use super::{caller::Caller, chat::Chat, convert, message_changes::room_id, status::Failure};

impl Chat {
    pub(super) async fn do_pin_message(
        &self,
        caller: &Caller,
        request: v1::PinMessageRequest,
    ) -> Result<v1::PinMessageResponse, Failure> {
        let (conversation_id, done) = self.set_pin(caller, &request, false).await?;
        Ok(v1::PinMessageResponse {
            conversation_id,
            seq: done.seq,
            cursor: done.lsn,
        })
    }

    pub(super) async fn do_unpin_message(
        &self,
        caller: &Caller,
        request: v1::UnpinMessageRequest,
    ) -> Result<v1::UnpinMessageResponse, Failure> {
        let request = v1::PinMessageRequest {
            request_id: request.request_id,
            conversation: request.conversation,
            seq: request.seq,
        };
        let (conversation_id, done) = self.set_pin(caller, &request, true).await?;
        Ok(v1::UnpinMessageResponse {
            conversation_id,
            seq: done.seq,
            cursor: done.lsn,
        })
    }

    /// Pins a message, or takes its pin back; gives the id of the room, 0 for a direct conversation, and the change.
    async fn set_pin(
        &self,
        caller: &Caller,
        request: &v1::PinMessageRequest,
        remove: bool,
    ) -> Result<(u64, log::MessageChanged), Failure> {
        let Pin {
            request_id,
            conversation,
            seq,
        } = pin_message::validate(request)?;
        let account_id = self.session(caller).await?.account_id;
        let is_in_room = is_of_room(&conversation);
        let command = log::PinMessage {
            account_id,
            conversation,
            seq,
            remove,
        };
        let key = Key::account(account_id);
        let done = self.submit(key, request_id, command).await?;
        Ok((room_id(is_in_room, &done), done))
    }

    pub(super) async fn do_list_pins(
        &self,
        caller: &Caller,
        request: v1::ListPinsRequest,
    ) -> Result<v1::ListPinsResponse, Failure> {
        let name = fields::conversation("conversation", &request.conversation)?;
        let of = match name.strip_prefix(ROOM_MARK) {
            Some(room) => PinsOf::Room(room.to_owned()),
            None => PinsOf::Account(name.clone()),
        };
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let query = Pins { account_id, of };
        let key = Key::account(account_id);
        let found = self.read_under(permit, key, query).await?;
        let rows = found.map_err(|denied| match denied {
            NoPins::UnknownPeer => Failure::UnknownPeer,
            NoPins::Denied(denied) => {
                let room = name.strip_prefix(ROOM_MARK).unwrap_or_default();
                Failure::of_denied(denied, room.to_owned())
            }
        })?;
        Ok(v1::ListPinsResponse {
            pins: rows.into_iter().map(pin).collect(),
        })
    }
}

fn pin(row: PinRow) -> v1::Pin {
    v1::Pin {
        message: Some(convert::found(row.message)),
        pinned_by: row.pinned_by,
        pinned_by_id: row.pinned_by_id,
        pinned_at_ms: row.pinned_at_ms,
    }
}
