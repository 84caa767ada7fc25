//! The command `mentions`.

use serde_json::json;

use super::connect::Connect;
use super::identity::Identity;
use super::room::Pages;
use crate::failure::Failure;
use crate::messages::{event_json, message_json, message_text};
use crate::output::print;

#[derive(Debug, clap::Args)]
pub struct Mentions {
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    identity: Identity,
}

pub async fn mentions(args: Mentions, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let mut pages = args.pages;
    loop {
        let page = me.list_mentions(pages.page_size(), &pages.page_token);
        let page = page.await?;
        for mention in &page.mentions {
            let mut fields = message_json(&mention.message);
            fields["mentioned_by"] = json!(mention.kind.name());
            let object = event_json("mention", fields);
            print(connect.json, &object, &message_text(&mention.message))?;
        }
        if !pages.go_on(page.mentions.len(), page.next_page_token) {
            return pages.end(connect.json);
        }
    }
}
