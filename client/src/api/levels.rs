//! The calls about what an account wants to be notified of: levels of conversations, and keywords.

use tercet_proto::v1::{ListKeywordsRequest, SetKeywordRequest, SetNotificationLevelRequest};

use super::{Client, Error, NotificationLevel};

impl Client {
    /// Sets what this client's account wants to be notified of in a conversation: a room, with its `#`, or an account. The
    /// server delivers and counts everything as before. Returns the cursor of the change; 0 when nothing changed.
    ///
    /// # Errors
    /// `UNKNOWN_PEER`, without a conversation with the account; `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `UNKNOWN_ACCOUNT`;
    /// `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn set_notification_level(
        &self,
        conversation: &str,
        level: NotificationLevel,
    ) -> Result<u64, Error> {
        let make = |request_id| SetNotificationLevelRequest {
            request_id,
            conversation: conversation.to_owned(),
            level: level.wire().into(),
        };
        Ok(self.call_with_new_id(make).await?.cursor)
    }

    /// Adds a keyword of this client's account: 1 to 32 characters. Returns the cursor of the change; 0 when the account has it
    /// already. See [`has_keyword`](crate::has_keyword).
    ///
    /// # Errors
    /// `INVALID_KEYWORD`; `TOO_MANY_KEYWORDS`; `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn add_keyword(&self, keyword: &str) -> Result<u64, Error> {
        self.set_keyword(keyword, false).await
    }

    /// Removes a keyword. Returns the cursor of the change; 0 when the account has no such keyword.
    ///
    /// # Errors
    /// As [`Client::add_keyword`].
    pub async fn remove_keyword(&self, keyword: &str) -> Result<u64, Error> {
        self.set_keyword(keyword, true).await
    }

    async fn set_keyword(&self, keyword: &str, remove: bool) -> Result<u64, Error> {
        let make = |request_id| SetKeywordRequest {
            request_id,
            keyword: keyword.to_owned(),
            remove,
        };
        Ok(self.call_with_new_id(make).await?.cursor)
    }

    /// Lists the keywords of this client's account, in order without case.
    ///
    /// # Errors
    /// No leader until the deadline.
    pub async fn list_keywords(&self) -> Result<Vec<String>, Error> {
        Ok(self.call(None, ListKeywordsRequest {}).await?.keywords)
    }
}
