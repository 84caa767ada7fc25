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
    /// Only messages with numbers (seq) below this one
    #[arg(long, value_name = "SEQ", conflicts_with_all = ["page_token", "oldest_first"])]
    before: Option<String>,
    /// Messages with numbers (seq) above this one, from the oldest on
    #[arg(long, value_name = "SEQ", conflicts_with_all = ["page_token", "before"])]
    after: Option<u64>,
    /// Only the message of this number (seq) and the replies to it
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    thread: Option<u64>,
    /// Start at the oldest message instead of the newest
    #[arg(long)]
    oldest_first: bool,
    #[command(flatten)]
    identity: Identity,
}

/// A page; the pages go from the newest message to older ones.
struct Page {
    request: HistoryRequest,
    /// The messages; `None` if the page must be fetched again.
    messages: Option<Vec<Message>>,
}

pub async fn history(args: History, connect: &Connect) -> Result<(), Failure> {
    let peer = args.peer.clone().unwrap_or_default();
    let (before_seq, page_token) = match &args.before {
        None => (0, args.page_token.clone()),
        Some(seq) => match seq.parse() {
            Ok(seq @ 1..) => (seq, String::new()),
            // As `--page-token`, from before direct messages had numbers.
            _ if !is_of_room(&peer) && seq.len() > 20 => (0, seq.clone()),
            _ => {
                let what = format!("--before takes the number of a message from 1 on, not {seq}");
                return Err(Failure::Usage(what));
            }
        },
    };
    // Numbers begin at 1: all are above 0.
    let oldest_first = args.oldest_first || args.after.is_some();
    let me = args.identity.logged_in(connect).await?.client;
    let mut request = HistoryRequest {
        peer,
        peer_account_id: args.account_id.unwrap_or(0),
        page_size: 0,
        page_token,
        oldest_first,
        before_seq,
        after_seq: args.after.unwrap_or(0),
        conversation_id: args.conversation_id.unwrap_or(0),
        thread_seq: args.thread.unwrap_or(0),
    };
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
