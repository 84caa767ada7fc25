//! Calls about blocks: blocking and unblocking an account, and the list of those that are blocked.

use tercet_proto::{log, v1};
use tercet_store::{
    commands::{
        block_account::{self, Blocking},
        unblock_account::{self, Unblocking},
    },
    fields, name_key,
    queries::{BlockRow, BlocksOf},
};
use tercet_types::{fair::Key, limits::PAGE_BLOCKS_MAX};

use super::{caller::Caller, chat::Chat, page, status::Failure};

/// Blocked accounts on a page unless the request says how many.
const PAGE_DEFAULT: usize = 100;

impl Chat {
    pub(super) async fn do_block_account(
        &self,
        caller: &Caller,
        request: v1::BlockAccountRequest,
    ) -> Result<v1::BlockAccountResponse, Failure> {
        let Blocking {
            request_id,
            username,
            refuse,
        } = block_account::validate(&request)?;
        let account_id = self.session(caller).await?.account_id;
        let command = log::BlockAccount {
            account_id,
            username,
            refuse,
        };
        let key = Key::account(account_id);
        let blocked = self.submit(key, request_id, command).await?;
        Ok(v1::BlockAccountResponse {
            account_id: blocked.account_id,
        })
    }

    pub(super) async fn do_unblock_account(
        &self,
        caller: &Caller,
        request: v1::UnblockAccountRequest,
    ) -> Result<v1::UnblockAccountResponse, Failure> {
        let Unblocking {
            request_id,
            username,
        } = unblock_account::validate(&request)?;
        let account_id = self.session(caller).await?.account_id;
        let command = log::UnblockAccount {
            account_id,
            username,
        };
        let key = Key::account(account_id);
        let unblocked = self.submit(key, request_id, command).await?;
        Ok(v1::UnblockAccountResponse {
            account_id: unblocked.account_id,
            was_blocked: unblocked.was_blocked,
        })
    }

    pub(super) async fn do_list_blocks(
        &self,
        caller: &Caller,
        request: v1::ListBlocksRequest,
    ) -> Result<v1::ListBlocksResponse, Failure> {
        let limit = fields::page_size(request.page_size, PAGE_DEFAULT, PAGE_BLOCKS_MAX)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let of_token = page::Query::Blocks { account_id };
        let query = BlocksOf {
            account_id,
            after: of_token.name(&request.page_token)?,
            limit,
        };
        let page = self
            .read_under(permit, Key::account(account_id), query)
            .await?;
        let next_page_token =
            page::next(&page, |last| of_token.after_name(&name_key(&last.username)));
        Ok(v1::ListBlocksResponse {
            blocks: page.rows.into_iter().map(block).collect(),
            next_page_token,
        })
    }
}

fn block(row: BlockRow) -> v1::Block {
    v1::Block {
        username: row.username,
        account_id: row.account_id,
        refuse: row.refuse,
        blocked_at_ms: row.blocked_at_ms,
    }
}
