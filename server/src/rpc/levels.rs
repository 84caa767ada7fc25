//! The calls about what an account wants to be notified of: levels of conversations, and keywords.

use tercet_proto::{log, v1};
use tercet_store::{
    commands::{set_keyword, set_level},
    levels::Level,
    queries::KeywordsOf,
};
use tercet_types::fair::Key;

use super::{caller::Caller, chat::Chat, status::Failure};

impl Chat {
    pub(super) async fn do_set_notification_level(
        &self,
        caller: &Caller,
        request: v1::SetNotificationLevelRequest,
    ) -> Result<v1::SetNotificationLevelResponse, Failure> {
        let (request_id, conversation, level) = set_level::validate(&request)?;
        let account_id = self.session(caller).await?.account_id;
        let command = log::SetLevel {
            account_id,
            conversation,
            level,
        };
        let key = Key::account(account_id);
        let done = self.submit(key, request_id, command).await?;
        Ok(v1::SetNotificationLevelResponse {
            conversation_id: done.conversation_id,
            cursor: done.lsn,
        })
    }

    pub(super) async fn do_set_keyword(
        &self,
        caller: &Caller,
        request: v1::SetKeywordRequest,
    ) -> Result<v1::SetKeywordResponse, Failure> {
        let (request_id, command) = set_keyword::validate(&request)?;
        let account_id = self.session(caller).await?.account_id;
        let command = log::SetKeyword {
            account_id,
            ..command
        };
        let key = Key::account(account_id);
        let done = self.submit(key, request_id, command).await?;
        Ok(v1::SetKeywordResponse { cursor: done.lsn })
    }

    pub(super) async fn do_list_keywords(
        &self,
        caller: &Caller,
        _: v1::ListKeywordsRequest,
    ) -> Result<v1::ListKeywordsResponse, Failure> {
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let query = KeywordsOf { account_id };
        let keywords = self
            .read_under(permit, Key::account(account_id), query)
            .await?;
        Ok(v1::ListKeywordsResponse { keywords })
    }
}

/// A notification level as clients see it.
pub(super) fn level(level: Level) -> v1::NotificationLevel {
    match level {
        Level::All => v1::NotificationLevel::All,
        Level::Mentions => v1::NotificationLevel::Mentions,
        Level::None => v1::NotificationLevel::None,
    }
}
