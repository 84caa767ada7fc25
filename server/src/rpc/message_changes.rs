//! Calls that change a message: editing and deleting it, and reactions.

use tercet_proto::{log, v1};
use tercet_store::commands::{delete_message, edit_message, set_reaction};
use tercet_types::fair::Key;

use super::{caller::Caller, chat::Chat, status::Failure};

impl Chat {
    pub(super) async fn do_edit_message(
        &self,
        caller: &Caller,
        request: v1::EditMessageRequest,
    ) -> Result<v1::EditMessageResponse, Failure> {
        let edit = edit_message::validate(request)?;
        let account_id = self.session(caller).await?.account_id;
        let command = log::EditMessage {
            account_id,
            room: edit.room,
            seq: edit.seq,
            body: edit.body,
        };
        let key = Key::account(account_id);
        let done = self.submit(key, edit.request_id, command).await?;
        Ok(v1::EditMessageResponse {
            conversation_id: done.conversation_id,
            seq: done.seq,
            cursor: done.lsn,
        })
    }

    pub(super) async fn do_delete_message(
        &self,
        caller: &Caller,
        request: v1::DeleteMessageRequest,
    ) -> Result<v1::DeleteMessageResponse, Failure> {
        let deletion = delete_message::validate(&request)?;
        let account_id = self.session(caller).await?.account_id;
        let command = log::DeleteMessage {
            account_id,
            room: deletion.room,
            seq: deletion.seq,
        };
        let key = Key::account(account_id);
        let done = self.submit(key, deletion.request_id, command).await?;
        Ok(v1::DeleteMessageResponse {
            conversation_id: done.conversation_id,
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
        let command = log::SetReaction {
            account_id,
            room: reaction.room,
            seq: reaction.seq,
            reaction: reaction.reaction,
            remove: request.remove,
        };
        let key = Key::account(account_id);
        let done = self.submit(key, reaction.request_id, command).await?;
        Ok(v1::SetReactionResponse {
            conversation_id: done.conversation_id,
            seq: done.seq,
            cursor: done.lsn,
        })
    }
}
