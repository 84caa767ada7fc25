//! `bench history`: pages of conversations at random depths, while messages are sent or not.
//!
//! Before the run each conversation is filled, and walked from its newest page to the depth that
//! was asked, which gives the tokens. A page that comes back shorter than it was is an error.

use std::rc::Rc;
use std::time::Instant;

use tercet_client::{Error, HistoryPage, HistoryRequest};
use tokio::task::JoinSet;

use super::Workload;
use super::accounts::Accounts;
use super::measurements::Kind;
use super::options;
use super::run::Run;
use super::send::limiter;
use crate::failure::Failure;
use crate::output::notice;

/// A page of a conversation, before the run.
struct Page {
    /// The token of the page; empty for the newest page.
    token: String,
    messages: usize,
}

/// A conversation between a member and the next member.
struct Conversation {
    reader: usize,
    peer: usize,
    pages: Vec<Page>,
}

pub struct History {
    accounts: Rc<Accounts>,
    conversations: Rc<Vec<Conversation>>,
    in_flight: u32,
    page_size: u32,
    send_rate: u32,
    /// The number of messages that were sent to fill the conversations.
    filled: u64,
}

impl History {
    /// Fills the conversations, and reads them to collect the tokens of their pages.
    ///
    /// # Errors
    /// The first send or page that failed.
    pub async fn prepare(
        accounts: Accounts,
        options: &options::History,
    ) -> Result<History, Failure> {
        notice("filling the conversations");
        let accounts = Rc::new(accounts);
        let members = accounts.members.len();
        let (page_size, messages) = (options.page_size, options.messages as usize);
        let mut filling = JoinSet::new();
        // Of two members there is one conversation.
        for reader in 0..if members == 2 { 1 } else { members } {
            let (accounts, peer) = (accounts.clone(), (reader + 1) % members);
            filling.spawn_local(async move {
                let there = walk(&accounts, reader, peer, page_size, messages).await?;
                let missing = messages.saturating_sub(count(&there));
                for number in 0..missing {
                    let (from, to) = [(reader, peer), (peer, reader)][number % 2];
                    let (from, to) = (&accounts.members[from].client, &accounts.members[to].name);
                    let (id, _) = accounts.ids.next();
                    from.send_message_as(id, to, accounts.body()).await?;
                }
                let pages = walk(&accounts, reader, peer, page_size, messages).await?;
                let conversation = Conversation {
                    reader,
                    peer,
                    pages,
                };
                Ok::<_, Error>((conversation, missing as u64))
            });
        }
        let (mut conversations, mut filled) = (Vec::new(), 0);
        while let Some(ended) = filling.join_next().await {
            let ended = ended.map_err(|error| Failure::failed("WORKER", error.to_string(), ""))?;
            let (conversation, missing) = ended?;
            conversations.push(conversation);
            filled += missing;
        }
        // The conversations ended in any order; the seed decides which pages are read.
        conversations.sort_by_key(|conversation| conversation.reader);
        Ok(History {
            accounts,
            conversations: Rc::new(conversations),
            in_flight: options.common.in_flight,
            page_size,
            send_rate: options.send_rate,
            filled,
        })
    }
}

impl Workload for History {
    async fn drive(&self, run: &Rc<Run>) -> Result<(), Failure> {
        run.count_stored(self.filled);
        let read = {
            let (accounts, conversations) = (self.accounts.clone(), self.conversations.clone());
            let (run, page_size) = (run.clone(), self.page_size);
            move |due| {
                let (accounts, conversations) = (accounts.clone(), conversations.clone());
                let run = run.clone();
                async move { read_one(&accounts, &conversations, page_size, &run, due).await }
            }
        };
        let reads = run.keep_busy(self.in_flight, None, read);
        if self.send_rate == 0 {
            return reads.await;
        }
        let send = {
            let (accounts, conversations) = (self.accounts.clone(), self.conversations.clone());
            let run = run.clone();
            move |due| {
                let (accounts, conversations) = (accounts.clone(), conversations.clone());
                let run = run.clone();
                async move {
                    let one = &conversations[accounts.random.below(conversations.len())];
                    accounts.send(&run, due, one.reader, one.peer).await;
                }
            }
        };
        let sends = run.keep_busy(self.in_flight, Some(limiter(self.send_rate)?), send);
        let (read, sent) = tokio::join!(reads, sends);
        read.and(sent)
    }
}

async fn read_one(
    accounts: &Accounts,
    conversations: &[Conversation],
    page_size: u32,
    run: &Run,
    due: Instant,
) {
    let conversation = &conversations[accounts.random.below(conversations.len())];
    let page = &conversation.pages[accounts.random.below(conversation.pages.len())];
    let (reader, peer) = (conversation.reader, conversation.peer);
    let read = fetch(accounts, reader, peer, page_size, &page.token).await;
    match read {
        Ok(answer) if answer.messages.len() < page.messages => {
            run.count_failed(Kind::Page, "SHORT_PAGE");
        }
        read => run.count(Kind::Page, due, &read),
    }
}

/// Reads pages from the newest on, until they have the wanted number of messages.
async fn walk(
    accounts: &Accounts,
    reader: usize,
    peer: usize,
    page_size: u32,
    messages: usize,
) -> Result<Vec<Page>, Error> {
    let mut pages: Vec<Page> = Vec::new();
    let mut token = String::new();
    loop {
        let answer = fetch(accounts, reader, peer, page_size, &token).await?;
        let older = answer.older_page_token;
        pages.push(Page {
            token,
            messages: answer.messages.len(),
        });
        if older.is_empty() || count(&pages) >= messages {
            return Ok(pages);
        }
        token = older;
    }
}

fn count(pages: &[Page]) -> usize {
    pages.iter().map(|page| page.messages).sum()
}

/// Reads a page of the conversation between two members, as the member `reader`.
pub async fn fetch(
    accounts: &Accounts,
    reader: usize,
    peer: usize,
    page_size: u32,
    token: &str,
) -> Result<HistoryPage, Error> {
    let request = HistoryRequest {
        peer: accounts.members[peer].name.clone(),
        page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
        page_token: token.to_owned(),
        ..HistoryRequest::default()
    };
    accounts.members[reader].client.list_messages(request).await
}
