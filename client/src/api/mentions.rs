//! The call that lists mentions.

use tercet_proto::v1::ListMentionsRequest;

use super::types::FromWire as _;
use super::{Client, Error, MentionsPage};

impl Client {
    /// Lists one page of the messages of rooms that mention this client's account, by its name, `@here` or `@room`: of the
    /// rooms that it is in, since it joined, the newest first, read ones too. `page_size` 0 means 50; above 100 is 100.
    /// `page_token` is empty for the first page.
    ///
    /// # Errors
    /// `WRONG_PAGE_TOKEN`; no leader until the deadline.
    pub async fn list_mentions(
        &self,
        page_size: u32,
        page_token: &str,
    ) -> Result<MentionsPage, Error> {
        let request = ListMentionsRequest {
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let answer = self.call(None, request).await?;
        Ok(MentionsPage::from_wire(answer))
    }
}
