//! `bench batch` sends messages of random accounts, many in one call.

use std::rc::Rc;
use std::time::Instant;

use tercet_client::OutgoingMessage;

use super::Workload;
use super::accounts::Accounts;
use super::measurements::Kind;
use super::options;
use super::run::Run;
use crate::failure::Failure;

pub struct Batch {
    accounts: Rc<Accounts>,
    in_flight: u32,
    batch: u32,
}

impl Batch {
    pub fn new(accounts: Accounts, options: &options::Batch) -> Batch {
        Batch {
            accounts: Rc::new(accounts),
            in_flight: options.common.in_flight,
            batch: options.batch,
        }
    }
}

impl Workload for Batch {
    async fn drive(&self, run: &Rc<Run>) -> Result<(), Failure> {
        let work = {
            let (accounts, run, batch) = (self.accounts.clone(), run.clone(), self.batch);
            move |due| {
                let (accounts, run) = (accounts.clone(), run.clone());
                async move { send(&accounts, &run, due, batch).await }
            }
        };
        run.keep_busy(self.in_flight, None, work).await
    }
}

/// Sends one batch of one account; each message succeeds or fails separately.
async fn send(accounts: &Accounts, run: &Run, due: Instant, batch: u32) {
    let from = accounts.random.below(accounts.members.len());
    let message = |_| OutgoingMessage {
        request_id: accounts.ids.next().0,
        recipient: accounts.members[accounts.random.other_than(from, accounts.members.len())]
            .name
            .clone(),
        body: accounts.body().to_owned(),
    };
    let messages: Vec<OutgoingMessage> = (0..batch).map(message).collect();
    match accounts.members[from].client.send_batch(messages).await {
        Ok(results) => {
            let failed = results.iter().filter_map(|result| result.as_ref().err());
            for error in failed.clone() {
                run.count_failed(Kind::Batch, error.reason());
            }
            let acknowledged = (results.len() - failed.count()) as u64;
            run.count_many(Kind::Batch, due, acknowledged);
            run.count_stored(acknowledged);
        }
        Err(error) => {
            for _ in 0..batch {
                run.count_failed(Kind::Batch, error.reason());
            }
        }
    }
}
