//! The command `search`.

use serde_json::json;

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::messages::{event_json, hit_json, marked, message_text};
use crate::output::{notice, object, print};

/// Hits on a page; the server gives no more.
const PAGE_MAX: u32 = 100;

#[derive(Debug, clap::Args)]
pub struct Search {
    /// Words, '"phrases"', beginnings of words ('begin*'), and from:NAME, in:'#ROOM' or in:NAME, before:2026-11-28,
    /// after:2026-11-01, has:link, has:pin, has:reaction: messages must have all of them
    #[arg(required = true, value_name = "WORDS")]
    words: Vec<String>,
    /// The most messages to show
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Continue after an earlier answer
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true
    )]
    page_token: String,
    #[command(flatten)]
    identity: Identity,
}

pub async fn search(args: Search, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let query = args.words.join(" ");
    let (mut left, mut page_token) = (args.limit, args.page_token);
    let (through, complete) = loop {
        let page = me.search_messages(&query, left.min(PAGE_MAX), &page_token);
        let page = page.await?;
        for hit in &page.hits {
            let object = event_json("hit", hit_json(hit));
            print(connect.json, &object, &message_text(&marked(hit)))?;
        }
        left = left.saturating_sub(u32::try_from(page.hits.len()).unwrap_or(u32::MAX));
        page_token = page.next_page_token;
        if page_token.is_empty() || left == 0 {
            break (page.through, page.complete);
        }
    };
    if connect.json {
        let end = json!({
            "next_page_token": page_token,
            "through": through,
            "complete": complete,
        });
        return object(&event_json("end", end));
    }
    if !complete {
        notice("the newest messages are not searched yet: ask again in a while");
    }
    if !page_token.is_empty() {
        notice(&format!("there are more: --page-token {page_token}"));
    }
    Ok(())
}
