//! `bench batch`: messages of random accounts, many in one call.

use std::rc::Rc;
use std::time::Instant;

use tercet_client::OutgoingMessage;

use super::Workload;
use super::crowd::Crowd;
use super::options;
use super::run::Run;
use super::tally::Kind;
use crate::output::Failure;

pub struct Batch {
    crowd: Rc<Crowd>,
    in_flight: u32,
    batch: u32,
}

impl Batch {
    pub fn new(crowd: Crowd, options: &options::Batch) -> Batch {
        Batch {
            crowd: Rc::new(crowd),
            in_flight: options.common.in_flight,
            batch: options.batch,
        }
    }
}

impl Workload for Batch {
    async fn drive(&self, run: &Rc<Run>) -> Result<(), Failure> {
        let work = {
            let (crowd, run, batch) = (self.crowd.clone(), run.clone(), self.batch);
            move |due| {
                let (crowd, run) = (crowd.clone(), run.clone());
                async move { send(&crowd, &run, due, batch).await }
            }
        };
        run.keep_busy(self.in_flight, None, work).await
    }
}

/// Sends one batch of one account; each message succeeds or fails for itself.
async fn send(crowd: &Crowd, run: &Run, due: Instant, batch: u32) {
    let from = crowd.dice.below(crowd.members.len());
    let message = |_| OutgoingMessage {
        request_id: crowd.ids.next().0,
        recipient: crowd.members[crowd.dice.other_than(from, crowd.members.len())]
            .name
            .clone(),
        body: crowd.body().to_owned(),
    };
    let messages: Vec<OutgoingMessage> = (0..batch).map(message).collect();
    match crowd.members[from].client.send_batch(messages).await {
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
