//! The call that reads all messages of an account or of a room.

use tercet_proto::v1::{ExportMessagesRequest, ExportMessagesResponse};

use super::types::list;
use super::{Client, Error, Message};

/// One page of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportPage {
    /// The messages, by conversation, and within one in its order.
    pub messages: Vec<Message>,
    /// The token of the next page; empty after the last page.
    pub next_page_token: String,
    /// The cursor up to which the export has all messages, the same on each of its pages.
    pub through: u64,
}

impl Client {
    /// Reads one page of all messages of this client's account, or, if `room` is not empty, of the room of that name, with
    /// its `#`, for its admins and owners. `page_token` is empty for the first page. Pages of one export have each message
    /// once, whichever leader answers. A page can be empty although another follows.
    ///
    /// # Errors
    /// `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `ROLE_MAY_NOT`; `WRONG_PAGE_TOKEN`; no leader until the deadline.
    pub async fn export_messages(&self, room: &str, page_token: &str) -> Result<ExportPage, Error> {
        let request = ExportMessagesRequest {
            room: room.to_owned(),
            page_size: 0,
            page_token: page_token.to_owned(),
        };
        let answer: ExportMessagesResponse = self.call(None, request).await?;
        Ok(ExportPage {
            messages: list(answer.messages),
            next_page_token: answer.next_page_token,
            through: answer.through,
        })
    }
}
