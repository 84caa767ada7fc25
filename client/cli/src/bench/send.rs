//! `bench send` sends messages, one a call, between random accounts.

use std::rc::Rc;

use super::Workload;
use super::accounts::Accounts;
use super::options;
use super::rate_limiter::RateLimiter;
use super::run::Run;
use crate::failure::Failure;

pub struct Send {
    accounts: Rc<Accounts>,
    in_flight: u32,
    rate: Option<u32>,
}

impl Send {
    pub fn new(accounts: Accounts, options: &options::Send) -> Send {
        Send {
            accounts: Rc::new(accounts),
            in_flight: options.common.in_flight,
            rate: options.rate,
        }
    }
}

impl Workload for Send {
    async fn drive(&self, run: &Rc<Run>) -> Result<(), Failure> {
        let limiter = self.rate.map(limiter).transpose()?;
        let work = {
            let (accounts, run) = (self.accounts.clone(), run.clone());
            move |due| {
                let (accounts, run) = (accounts.clone(), run.clone());
                async move {
                    let (from, to) = accounts.random.two_below(accounts.members.len());
                    accounts.send(&run, due, from, to).await;
                }
            }
        };
        run.keep_busy(self.in_flight, limiter, work).await
    }
}

/// Starts a rate limiter.
pub fn limiter(per_second: u32) -> Result<RateLimiter, Failure> {
    RateLimiter::start(per_second).map_err(|error| Failure::io("start a thread", &error))
}
