//! The calls about blocks.

use tercet_proto::v1::{BlockAccountRequest, ListBlocksRequest, UnblockAccountRequest};

use super::types::FromWire;
use super::{BlocksPage, Client, Error};

impl Client {
    /// Blocks an account: its direct messages to this account are refused from now on, as if no account had this
    /// account's name, or are accepted and hidden. Blocking it again changes which. Returns the id of the blocked
    /// account.
    ///
    /// # Errors
    /// `UNKNOWN_ACCOUNT`; `OWN_NAME`; `TOO_MANY_BLOCKS`; `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until
    /// the deadline.
    pub async fn block_account(&self, username: &str, refuse: bool) -> Result<u64, Error> {
        let make = |request_id| BlockAccountRequest {
            request_id,
            username: username.to_owned(),
            refuse,
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(answer.account_id)
    }

    /// Ends a block. Messages that were hidden until then stay hidden. Returns whether the account was blocked.
    ///
    /// # Errors
    /// `UNKNOWN_ACCOUNT`; `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn unblock_account(&self, username: &str) -> Result<bool, Error> {
        let make = |request_id| UnblockAccountRequest {
            request_id,
            username: username.to_owned(),
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(answer.was_blocked)
    }

    /// Lists one page of the accounts that this account blocks, in order of the name without case. `page_size` 0 means
    /// 100; above 1,000 is 1,000. `page_token` is empty for the first page.
    ///
    /// # Errors
    /// `WRONG_PAGE_TOKEN`; no leader until the deadline.
    pub async fn list_blocks(&self, page_size: u32, page_token: &str) -> Result<BlocksPage, Error> {
        let request = ListBlocksRequest {
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let answer = self.call(None, request).await?;
        Ok(BlocksPage::from_wire(answer))
    }
}
