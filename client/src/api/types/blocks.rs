//! The values of the calls about blocks.

use tercet_proto::v1;

use super::{FromWire, list};

/// An account that this account blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// The name, as it was registered.
    pub username: String,
    /// The id of the account.
    pub account_id: u64,
    /// Whether its direct messages are refused; otherwise they are hidden.
    pub refuse: bool,
    /// The time when it was blocked, or when `refuse` last changed: milliseconds since the Unix epoch.
    pub blocked_at_ms: i64,
}

impl FromWire<v1::Block> for Block {
    fn from_wire(wire: v1::Block) -> Self {
        Block {
            username: wire.username,
            account_id: wire.account_id,
            refuse: wire.refuse,
            blocked_at_ms: wire.blocked_at_ms,
        }
    }
}

/// One page of blocked accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlocksPage {
    /// The blocked accounts, in order of their names without case.
    pub blocks: Vec<Block>,
    /// The token of the next page; empty after the last page.
    pub next_page_token: String,
}

impl FromWire<v1::ListBlocksResponse> for BlocksPage {
    fn from_wire(wire: v1::ListBlocksResponse) -> Self {
        BlocksPage {
            blocks: list(wire.blocks),
            next_page_token: wire.next_page_token,
        }
    }
}
