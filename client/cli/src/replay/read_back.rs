//! The histories of all pairs of people, read from the leader page by page.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tercet_client::{Client, HistoryRequest};
use tercet_types::limits::PAGE_MESSAGES_MAX;

use super::check::Row;
use super::plan::Plan;
use crate::accounts::Ready;
use crate::failure::Failure;
use crate::pool;
use crate::progress::Progress;

const PAGE: i32 = PAGE_MESSAGES_MAX as i32;
const AT_ONCE: usize = 8;

/// Two people with one history between them, or a room, and the client of one of its people.
#[derive(Clone)]
pub struct Pair {
    reader: Client,
    peer: String,
    /// True if either account is new: then no message can be there before the replay.
    pub is_new: bool,
}

/// Gives every room of the plan, with its first sender as the reader; or every pair of people with a message in it.
pub fn pairs(plan: &Plan, people: &[Ready]) -> Vec<Pair> {
    if !plan.rooms.is_empty() {
        let first_senders = plan.conversations.iter().map(|messages| {
            let first = messages.first()?;
            Some(plan.messages[*first].from)
        });
        let rooms = plan.rooms.iter().zip(first_senders);
        let pairs = rooms.filter_map(|(room, sender)| {
            let sender = &people[sender?];
            Some(Pair {
                reader: sender.client.clone()?,
                peer: room.clone(),
                is_new: sender.is_new,
            })
        });
        return pairs.collect();
    }
    let mut pairs = BTreeMap::new();
    for message in &plan.messages {
        let (from, to) = (message.from, message.to);
        let Some(reader) = &people[from].client else {
            continue; // every sender is logged in
        };
        pairs
            .entry((from.min(to), from.max(to)))
            .or_insert_with(|| Pair {
                reader: reader.clone(),
                peer: plan.people[to].name.clone(),
                is_new: people[from].is_new || people[to].is_new,
            });
    }
    pairs.into_values().collect()
}

/// Reads the histories of these pairs, each oldest first, in the order of the pages.
///
/// # Errors
/// When a history cannot be read until the client's deadline.
pub async fn read(what: &'static str, pairs: Vec<Pair>) -> Result<Vec<Vec<Row>>, Failure> {
    let count = pairs.len();
    let progress = Arc::new(Progress::start(what, count as u64));
    let pairs = Arc::new(pairs);
    let histories = Arc::new(Mutex::new(vec![Vec::new(); count]));
    let work = {
        let (progress, histories) = (progress.clone(), histories.clone());
        move |index: usize| {
            let (pairs, histories) = (pairs.clone(), histories.clone());
            let progress = progress.clone();
            async move {
                let history = read_pair(&pairs[index]).await?;
                let mut histories = histories.lock().unwrap_or_else(PoisonError::into_inner);
                histories[index] = history;
                progress.step();
                Ok(())
            }
        }
    };
    pool::for_each(AT_ONCE, count, work).await?;
    progress.finish();
    let mut histories = histories.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *histories))
}

async fn read_pair(pair: &Pair) -> Result<Vec<Row>, Failure> {
    let mut request = HistoryRequest {
        peer: pair.peer.clone(),
        page_size: PAGE,
        oldest_first: true,
        ..HistoryRequest::default()
    };
    let mut rows = Vec::new();
    loop {
        let page = pair.reader.list_messages(request.clone()).await?;
        // Messages of the system have no id.
        let texts = page.messages.into_iter();
        let texts = texts.filter(|message| !message.message_id.is_empty());
        rows.extend(texts.map(|message| Row {
            id: message.message_id,
            cursor: message.cursor,
            sender: message.sender,
            recipient: message.recipient,
            body: message.body,
        }));
        if page.next_page_token.is_empty() {
            return Ok(rows);
        }
        if page.next_page_token == request.page_token {
            let message = format!("the history with {} never ends", pair.peer);
            return Err(Failure::failed("PROTOCOL", message, ""));
        }
        request.page_token = page.next_page_token;
    }
}
