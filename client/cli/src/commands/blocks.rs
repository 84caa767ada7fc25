//! The commands `block`, `unblock` and `blocks`.

use serde_json::json;

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::messages::{block_changed_text, block_json, block_text, event_json};
use crate::output::{notice, object, print};

#[derive(Debug, clap::Args)]
pub struct Block {
    #[arg(value_name = "NAME", allow_hyphen_values = true)]
    account: String,
    /// Refuse the messages, as if no account had your name; otherwise they are accepted, and you never see them
    #[arg(long)]
    refuse: bool,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Unblock {
    #[arg(value_name = "NAME", allow_hyphen_values = true)]
    account: String,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Blocks {
    #[command(flatten)]
    identity: Identity,
}

pub async fn block(args: Block, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let account_id = me.block_account(&args.account, args.refuse).await?;
    let (name, refuse) = (&args.account, args.refuse);
    let blocked = json!({"username": name, "account_id": account_id, "refuse": refuse});
    print(
        connect.json,
        &blocked,
        &block_changed_text(name, true, refuse),
    )
}

pub async fn unblock(args: Unblock, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let was_blocked = me.unblock_account(&args.account).await?;
    let name = &args.account;
    let unblocked = json!({"username": name, "was_blocked": was_blocked});
    let text = if was_blocked {
        block_changed_text(name, false, false)
    } else {
        format!("{name} was not blocked")
    };
    print(connect.json, &unblocked, &text)
}

pub async fn blocks(args: Blocks, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let mut page_token = String::new();
    let mut shown = 0;
    loop {
        let page = me.list_blocks(0, &page_token).await?;
        for block in &page.blocks {
            let object = event_json("block", block_json(block));
            print(connect.json, &object, &block_text(block))?;
        }
        shown += page.blocks.len();
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if connect.json {
        return object(&event_json("end", json!({})));
    }
    if shown == 0 {
        notice("nobody is blocked");
    }
    Ok(())
}
