//! The call that moves the marker of how far an account has read.

use tercet_proto::{log, v1};
use tercet_store::commands::mark_read;
use tercet_types::fair::Key;

use super::{caller::Caller, chat::Chat, status::Failure};

impl Chat {
    pub(super) async fn do_mark_read(
        &self,
        caller: &Caller,
        request: v1::MarkReadRequest,
    ) -> Result<v1::MarkReadResponse, Failure> {
        let (request_id, command) = mark_read::validate(request)?;
        let account_id = self.session(caller).await?.account_id;
        let command = log::MarkRead {
            account_id,
            ..command
        };
        let key = Key::account(account_id);
        let done = self.submit(key, request_id, command).await?;
        Ok(v1::MarkReadResponse {
            conversation_id: done.conversation_id,
            read_seq: done.read_seq,
            cursor: done.lsn,
        })
    }
}
