//! `bench mixed` imitates people who chat.

use std::rc::Rc;
use std::time::Instant;

use super::Workload;
use super::accounts::Accounts;
use super::history;
use super::measurements::Kind;
use super::options;
use super::run::Run;
use crate::failure::Failure;

/// The number of sends in 100 steps; the rest fetch waiting messages.
const SENDS: usize = 60;
const PAGES: usize = 25;
/// One page in this many is an older page.
const OLDER_ONE_OF: usize = 5;
/// The number of messages on a screen.
const PAGE_SIZE: u32 = 20;
/// The number of waiting messages that are fetched and acknowledged at once.
const WAITING_MAX: u32 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Send,
    Page,
    Look,
}

/// Gives the step for a number below 100.
fn step(number: usize) -> Step {
    match number {
        0..SENDS => Step::Send,
        number if number < SENDS + PAGES => Step::Page,
        _ => Step::Look,
    }
}

pub struct Mixed {
    accounts: Rc<Accounts>,
    in_flight: u32,
}

impl Mixed {
    pub fn new(accounts: Accounts, options: &options::Mixed) -> Mixed {
        Mixed {
            accounts: Rc::new(accounts),
            in_flight: options.common.in_flight,
        }
    }
}

impl Workload for Mixed {
    async fn drive(&self, run: &Rc<Run>) -> Result<(), Failure> {
        let work = {
            let (accounts, run) = (self.accounts.clone(), run.clone());
            move |due| {
                let (accounts, run) = (accounts.clone(), run.clone());
                async move { take_step(&accounts, &run, due).await }
            }
        };
        run.keep_busy(self.in_flight, None, work).await
    }
}

async fn take_step(accounts: &Accounts, run: &Run, due: Instant) {
    let (one, other) = accounts.random.two_below(accounts.members.len());
    match step(accounts.random.below(100)) {
        Step::Send => accounts.send(run, due, one, other).await,
        Step::Page => read(accounts, run, due, one, other).await,
        Step::Look => look(accounts, run, due, one).await,
    }
}

/// Opens a conversation, and sometimes reads an older page.
async fn read(accounts: &Accounts, run: &Run, due: Instant, reader: usize, peer: usize) {
    let newest = history::fetch(accounts, reader, peer, PAGE_SIZE, "").await;
    run.count(Kind::Page, due, &newest);
    let Ok(newest) = newest else { return };
    if newest.older_page_token.is_empty() || accounts.random.below(OLDER_ONE_OF) > 0 {
        return;
    }
    let begun = Instant::now();
    let older = history::fetch(accounts, reader, peer, PAGE_SIZE, &newest.older_page_token).await;
    run.count(Kind::Page, begun, &older);
}

/// Fetches the waiting messages, and acknowledges them.
async fn look(accounts: &Accounts, run: &Run, due: Instant, who: usize) {
    let client = &accounts.members[who].client;
    let waiting = client.fetch_undelivered(WAITING_MAX, "").await;
    run.count(Kind::Fetch, due, &waiting);
    let Ok(waiting) = waiting else { return };
    let messages = waiting.messages.into_iter();
    let ids: Vec<String> = messages.map(|message| message.message_id).collect();
    if ids.is_empty() {
        return;
    }
    let begun = Instant::now();
    let acknowledged = client.acknowledge_messages(ids).await;
    run.count(Kind::Acknowledgement, begun, &acknowledged);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_steps_are_the_documented_mix() {
        let count = |wanted| (0..100).filter(|number| step(*number) == wanted).count();
        assert_eq!(count(Step::Send), 60);
        assert_eq!(count(Step::Page), 25);
        assert_eq!(count(Step::Look), 15);
    }
}
