//! The calls that change a message: editing and deleting it, reactions and pins. `conversation` is the name of the other account,
//! one's own for notes to oneself, or of a room with its `#`; `seq` is the number of the message there.

use tercet_proto::v1::{
    DeleteMessageRequest, EditMessageRequest, ListEditsRequest, ListPinsRequest, PinMessageRequest,
    SetReactionRequest, UnpinMessageRequest,
};

use super::types::{FromWire, list};
use super::{Client, EarlierText, Error, MessageChange, Pin};

impl Client {
    /// Replaces the text of one of this account's own messages. The text before is kept only in a room that keeps edits.
    ///
    /// # Errors
    /// `UNKNOWN_MESSAGE`; `NOT_YOUR_MESSAGE`; `MESSAGE_DELETED`; `NOT_A_TEXT`; `INVALID_BODY`; `UNKNOWN_ACCOUNT`; `UNKNOWN_ROOM`;
    /// `NOT_A_MEMBER`; `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn edit_message(
        &self,
        conversation: &str,
        seq: u64,
        body: &str,
    ) -> Result<MessageChange, Error> {
        let make = |request_id| EditMessageRequest {
            request_id,
            conversation: conversation.to_owned(),
            seq,
            body: body.to_owned(),
        };
        Ok(MessageChange::from_wire(self.call_with_new_id(make).await?))
    }

    /// Erases the text of a message: an own one, or, for admins and owners of a room, any there. Deleting it again is no
    /// error.
    ///
    /// # Errors
    /// `UNKNOWN_MESSAGE`; `NOT_YOUR_MESSAGE`, in a room `ROLE_MAY_NOT`, for a message of another account; `NOT_A_TEXT`;
    /// `UNKNOWN_ACCOUNT`; `UNKNOWN_ROOM`; `NOT_A_MEMBER`;
    /// `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn delete_message(
        &self,
        conversation: &str,
        seq: u64,
    ) -> Result<MessageChange, Error> {
        let make = |request_id| DeleteMessageRequest {
            request_id,
            conversation: conversation.to_owned(),
            seq,
        };
        Ok(MessageChange::from_wire(self.call_with_new_id(make).await?))
    }

    /// Adds a reaction of this account to a message, or removes it. `reaction` is an emoji or a short text of 1 to 32
    /// bytes without spaces. Doing so again is no error.
    ///
    /// # Errors
    /// `UNKNOWN_MESSAGE`; `MESSAGE_DELETED`; `NOT_A_TEXT`; `TOO_MANY_REACTIONS`; `INVALID_REACTION`; `UNKNOWN_ACCOUNT`; `UNKNOWN_ROOM`;
    /// `NOT_A_MEMBER`; `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn set_reaction(
        &self,
        conversation: &str,
        seq: u64,
        reaction: &str,
        remove: bool,
    ) -> Result<MessageChange, Error> {
        let make = |request_id| SetReactionRequest {
            request_id,
            conversation: conversation.to_owned(),
            seq,
            reaction: reaction.to_owned(),
            remove,
        };
        Ok(MessageChange::from_wire(self.call_with_new_id(make).await?))
    }

    /// Lists the earlier texts of a message in a room that kept edits when the message was edited, the oldest first.
    ///
    /// # Errors
    /// `UNKNOWN_MESSAGE`; `UNKNOWN_ROOM`; `NOT_A_MEMBER`; no leader until the deadline.
    pub async fn list_edits(&self, room: &str, seq: u64) -> Result<Vec<EarlierText>, Error> {
        let request = ListEditsRequest {
            room: room.to_owned(),
            seq,
        };
        let answer = self.call(None, request).await?;
        Ok(list(answer.texts))
    }

    /// Pins a message. Pinning it again is no error.
    ///
    /// # Errors
    /// `UNKNOWN_MESSAGE`; `MESSAGE_DELETED`; `NOT_A_TEXT`; `TOO_MANY_PINS`; `ROLE_MAY_NOT`; `UNKNOWN_ACCOUNT`; `UNKNOWN_ROOM`;
    /// `NOT_A_MEMBER`; `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn pin_message(&self, conversation: &str, seq: u64) -> Result<MessageChange, Error> {
        let make = |request_id| PinMessageRequest {
            request_id,
            conversation: conversation.to_owned(),
            seq,
        };
        Ok(MessageChange::from_wire(self.call_with_new_id(make).await?))
    }

    /// Takes the pin of a message back. It is no error when the message is not pinned.
    ///
    /// # Errors
    /// `UNKNOWN_MESSAGE`; `NOT_A_TEXT`; `ROLE_MAY_NOT`; `UNKNOWN_ACCOUNT`; `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `OLDER_REPLICAS`;
    /// [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn unpin_message(
        &self,
        conversation: &str,
        seq: u64,
    ) -> Result<MessageChange, Error> {
        let make = |request_id| UnpinMessageRequest {
            request_id,
            conversation: conversation.to_owned(),
            seq,
        };
        Ok(MessageChange::from_wire(self.call_with_new_id(make).await?))
    }

    /// Lists the pinned messages of a conversation, at most 50, the one that was pinned last first.
    ///
    /// # Errors
    /// `UNKNOWN_PEER`; `UNKNOWN_ROOM`; `NOT_A_MEMBER`; no leader until the deadline.
    pub async fn list_pins(&self, conversation: &str) -> Result<Vec<Pin>, Error> {
        let request = ListPinsRequest {
            conversation: conversation.to_owned(),
        };
        let answer = self.call(None, request).await?;
        Ok(list(answer.pins))
    }
}
