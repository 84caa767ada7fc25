//! `history` prints a conversation in its order, with a few pages in memory.

use serde_json::json;
use tercet_client::{Client, HistoryRequest, Message};
use tercet_types::name::is_of_room;

use super::connect::Connect;
use super::identity::Identity;
use super::receive::{PAGE_MAX, print_messages};
use crate::failure::Failure;
use crate::messages::event_json;
use crate::output::{notice, object};
use crate::times::parse_time;

/// The number of messages that are kept in memory until the earlier ones are printed. Older ones are
/// fetched a second time.
const KEPT_MAX: usize = 2_000;

#[derive(Debug, clap::Args)]
pub struct History {
    /// The other account, or a room: '#ROOM'
    #[arg(required_unless_present_any = ["account_id", "conversation_id"])]
    peer: Option<String>,
    /// The id of the other account, if it is deleted
    #[arg(long, value_name = "ID", conflicts_with = "peer")]
    account_id: Option<u64>,
    /// The id of a room, if it is archived and another one has its name
    #[arg(long, value_name = "ID", conflicts_with_all = ["peer", "account_id"])]
    conversation_id: Option<u64>,
    /// The most messages to show
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Continue from an earlier answer: its `next_page_token` (or `older_…`, `newer_…`)
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true
    )]
    page_token: String,
    /// Only messages with numbers (seq) below this one, or sent before this time: a day in UTC such as 2026-11-28, or
    /// 2026-11-28T10:00:00Z
    #[arg(
        long,
        value_name = "SEQ|TIME",
        conflicts_with_all = ["page_token", "oldest_first", "after", "before_cursor", "after_cursor"]
    )]
    before: Option<String>,
    /// Messages with numbers (seq) above this one, or sent at this time or later, from the oldest on
    #[arg(
        long,
        value_name = "SEQ|TIME",
        conflicts_with_all = ["page_token", "before_cursor", "after_cursor"]
    )]
    after: Option<String>,
    /// Only messages before this cursor
    #[arg(
        long,
        value_name = "CURSOR",
        conflicts_with_all = ["page_token", "oldest_first", "after_cursor"]
    )]
    before_cursor: Option<u64>,
    /// Messages after this cursor, from the oldest on
    #[arg(long, value_name = "CURSOR", conflicts_with = "page_token")]
    after_cursor: Option<u64>,
    /// Only the message of this number (seq) and the replies to it
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    thread: Option<u64>,
    /// Start at the oldest message instead of the newest
    #[arg(long)]
    oldest_first: bool,
    #[command(flatten)]
    identity: Identity,
}

/// A place in a conversation.
enum Place {
    Seq(u64),
    /// Milliseconds since the Unix epoch.
    Time(i64),
}

fn place(text: &str) -> Option<Place> {
    match text.parse() {
        Ok(seq) => Some(Place::Seq(seq)),
        Err(_) => parse_time(text).map(Place::Time),
    }
}

fn wrong(option: &str, text: &str) -> Failure {
    Failure::Usage(format!(
        "{option} takes the number of a message from 1 on, a day such as 2026-11-28, or a time such as \
         2026-11-28T10:00:00Z, not {text}"
    ))
}

/// A page; the pages go from the newest message to older ones.
struct Page {
    request: HistoryRequest,
    /// The messages; `None` if the page must be fetched again.
    messages: Option<Vec<Message>>,
}

pub async fn history(args: History, connect: &Connect) -> Result<(), Failure> {
    let peer = args.peer.clone().unwrap_or_default();
    // All numbers, cursors and times are above 0.
    let oldest_first = args.oldest_first || args.after.is_some() || args.after_cursor.is_some();
    let mut request = HistoryRequest {
        peer_account_id: args.account_id.unwrap_or(0),
        page_token: args.page_token.clone(),
        oldest_first,
        conversation_id: args.conversation_id.unwrap_or(0),
        thread_seq: args.thread.unwrap_or(0),
        before_cursor: args.before_cursor.map_or(0, |cursor| cursor.max(1)),
        after_cursor: args.after_cursor.unwrap_or(0),
        ..HistoryRequest::default()
    };
    match args.before.as_deref().map(|text| (text, place(text))) {
        None => {}
        Some((_, Some(Place::Seq(seq @ 1..)))) => request.before_seq = seq,
        Some((_, Some(Place::Time(ms)))) => request.before_ms = ms.max(1),
        // As `--page-token`, from before direct messages had numbers.
        Some((text, None)) if !is_of_room(&peer) && text.len() > 20 && !text.contains(':') => {
            text.clone_into(&mut request.page_token);
        }
        Some((text, _)) => return Err(wrong("--before", text)),
    }
    match args.after.as_deref().map(|text| (text, place(text))) {
        None => {}
        Some((_, Some(Place::Seq(seq)))) => request.after_seq = seq,
        Some((_, Some(Place::Time(ms)))) => request.after_ms = ms.max(0),
        Some((text, None)) => return Err(wrong("--after", text)),
    }
    request.peer = peer;
    let me = args.identity.logged_in(connect).await?.client;
    let mut left = args.limit;
    let (mut pages, mut kept): (Vec<Page>, usize) = (Vec::new(), 0);
    let mut ends: Option<(String, String)> = None;
    let (next, peer_account_id, conversation_id) = loop {
        request.page_size = i32::try_from(left.min(PAGE_MAX)).unwrap_or(i32::MAX);
        let page = me.list_messages(request.clone()).await?;
        left = left.saturating_sub(u32::try_from(page.messages.len()).unwrap_or(u32::MAX));
        let (older, newer) = (page.older_page_token, page.newer_page_token);
        ends = Some(match ends.take() {
            None => (older, newer),
            Some((first_older, _)) if oldest_first => (first_older, newer),
            Some((_, first_newer)) => (older, first_newer),
        });
        if oldest_first {
            print_messages(&page.messages, connect.json)?;
        } else {
            kept += page.messages.len();
            let request = request.clone();
            let messages = (kept <= KEPT_MAX).then_some(page.messages);
            pages.push(Page { request, messages });
        }
        if page.next_page_token.is_empty() || left == 0 {
            break (
                page.next_page_token,
                page.peer_account_id,
                page.conversation_id,
            );
        }
        request.page_token = page.next_page_token;
    };
    print_from_oldest(&me, pages, connect.json).await?;
    if connect.json {
        let (older, newer) = ends.unwrap_or_default();
        let end = json!({
            "peer_account_id": peer_account_id,
            "conversation_id": conversation_id,
            "older_page_token": older,
            "newer_page_token": newer,
            "next_page_token": next,
        });
        return object(&event_json("end", end));
    }
    if !next.is_empty() {
        notice(&format!("there are more: --page-token {next}"));
    }
    Ok(())
}

async fn print_from_oldest(
    client: &Client,
    pages: Vec<Page>,
    as_json: bool,
) -> Result<(), Failure> {
    for page in pages.into_iter().rev() {
        let messages = match page.messages {
            Some(messages) => messages,
            None => client.list_messages(page.request).await?.messages,
        };
        print_messages(&messages, as_json)?;
    }
    Ok(())
}
