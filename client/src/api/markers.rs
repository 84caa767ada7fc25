//! The calls that mark messages as read and unread.

use tercet_proto::v1::MarkReadRequest;

use super::{Client, Error, MarkedRead};

impl Client {
    /// Marks all messages of a conversation up to `seq` as read, for all devices of the account; `None`: all messages.
    /// Messages that were read stay read. `conversation` is the name of a room with its `#`, or of another account.
    ///
    /// # Errors
    /// `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `UNKNOWN_ACCOUNT`; `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the
    /// deadline.
    pub async fn mark_read(
        &self,
        conversation: &str,
        seq: Option<u64>,
    ) -> Result<MarkedRead, Error> {
        self.move_marker(conversation, seq.unwrap_or(0), 0).await
    }

    /// Marks the message `seq` of a conversation and all later ones as unread.
    ///
    /// # Errors
    /// As [`Client::mark_read`].
    pub async fn mark_unread(&self, conversation: &str, seq: u64) -> Result<MarkedRead, Error> {
        self.move_marker(conversation, 0, seq.max(1)).await
    }

    async fn move_marker(
        &self,
        conversation: &str,
        seq: u64,
        unread_from: u64,
    ) -> Result<MarkedRead, Error> {
        let make = |request_id| MarkReadRequest {
            request_id,
            conversation: conversation.to_owned(),
            conversation_id: 0,
            seq,
            unread_from,
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(MarkedRead {
            conversation_id: answer.conversation_id,
            read_seq: answer.read_seq,
            cursor: answer.cursor,
        })
    }
}
