//! Calls that change a message: editing and deleting it, and reactions; and the list of its earlier texts.

use tercet_proto::{log, v1};
use tercet_store::{
    commands::{delete_message, edit_message, set_reaction},
    fields,
    queries::{EarlierText, Edits},
};
use tercet_types::{fair::Key, name::is_of_room};

use super::{caller::Caller, chat::Chat, status::Failure};

impl Chat {
    pub(super) async fn do_edit_message(
        &self,
        caller: &Caller,
        request: v1::EditMessageRequest,
    ) -> Result<v1::EditMessageResponse, Failure> {
        let edit = edit_message::validate(request)?;
        let account_id = self.session(caller).await?.account_id;
        let is_in_room = is_of_room(&edit.conversation);
        let command = log::EditMessage {
            account_id,
            conversation: edit.conversation,
            seq: edit.seq,
            body: edit.body,
        };
        let key = Key::account(account_id);
        let done = self.submit(key, edit.request_id, command).await?;
        Ok(v1::EditMessageResponse {
            conversation_id: room_id(is_in_room, &done),
            seq: done.seq,
            cursor: done.lsn,
        })
    }

    pub(super) async fn do_list_edits(
        &self,
        caller: &Caller,
        request: v1::ListEditsRequest,
    ) -> Result<v1::ListEditsResponse, Failure> {
        let room = fields::room_name("room", &request.room)?;
        let seq = fields::seq(request.seq)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let query = Edits {
            account_id,
            room: room.clone(),
            seq,
        };
        let key = Key::account(account_id);
        let found = self.read_under(permit, key, query).await?;
        let texts = found
            .map_err(|denied| Failure::of_denied(denied, room.clone()))?
            .ok_or(Failure::UnknownMessage(room))?;
        let text = |text: EarlierText| v1::EarlierText {
            body: text.body,
            written_at_ms: text.written_at_ms,
            replaced_at_ms: text.replaced_at_ms,
        };
        Ok(v1::ListEditsResponse {
            texts: texts.into_iter().map(text).collect(),
        })
    }

    pub(super) async fn do_delete_message(
        &self,
        caller: &Caller,
        request: v1::DeleteMessageRequest,
    ) -> Result<v1::DeleteMessageResponse, Failure> {
        let deletion = delete_message::validate(&request)?;
        let account_id = self.session(caller).await?.account_id;
        let is_in_room = is_of_room(&deletion.conversation);
        let command = log::DeleteMessage {
            account_id,
            conversation: deletion.conversation,
            seq: deletion.seq,
        };
        let key = Key::account(account_id);
        let done = self.submit(key, deletion.request_id, command).await?;
        Ok(v1::DeleteMessageResponse {
            conversation_id: room_id(is_in_room, &done),
            seq: done.seq,
            cursor: done.lsn,
        })
    }

    pub(super) async fn do_set_reaction(
        &self,
        caller: &Caller,
        request: v1::SetReactionRequest,
    ) -> Result<v1::SetReactionResponse, Failure> {
        let reaction = set_reaction::validate(&request)?;
        let account_id = self.session(caller).await?.account_id;
        let is_in_room = is_of_room(&reaction.conversation);
        let command = log::SetReaction {
            account_id,
            conversation: reaction.conversation,
            seq: reaction.seq,
            reaction: reaction.reaction,
            remove: request.remove,
        };
        let key = Key::account(account_id);
        let done = self.submit(key, reaction.request_id, command).await?;
        Ok(v1::SetReactionResponse {
            conversation_id: room_id(is_in_room, &done),
            seq: done.seq,
            cursor: done.lsn,
        })
    }
}

/// Gives the id of the room of a message that a command changed; 0 for a direct message.
pub(super) fn room_id(is_in_room: bool, done: &log::MessageChanged) -> u64 {
    if is_in_room { done.conversation_id } else { 0 }
}
