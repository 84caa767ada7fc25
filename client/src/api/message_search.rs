//! The call that searches messages.

use tercet_proto::v1::SearchMessagesRequest;

use super::types::FromWire as _;
use super::{Client, Error, HitsPage};

impl Client {
    /// Finds messages in what this client's account may read, the newest first. `query` has words, "phrases", beginnings
    /// of words (`begin*`) and filters (`from:NAME`, `in:#ROOM`, `in:NAME`, `before:2026-11-28`, `after:2026-11-01`,
    /// `has:link`, `has:pin`, `has:reaction`); messages must have all of them. `page_size` 0 means 20; above 100 is 100.
    /// `page_token` is empty for the first page. A page can be empty although another follows.
    ///
    /// # Errors
    /// `INVALID_QUERY`; `UNKNOWN_ACCOUNT`; `UNKNOWN_PEER`; `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `WRONG_PAGE_TOKEN`; no leader
    /// until the deadline.
    pub async fn search_messages(
        &self,
        query: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<HitsPage, Error> {
        let request = SearchMessagesRequest {
            query: query.to_owned(),
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let answer = self.call(None, request).await?;
        Ok(HitsPage::from_wire(answer))
    }
}
