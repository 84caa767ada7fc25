//! `bench send`: messages one a call, between random accounts.

use std::rc::Rc;

use super::Workload;
use super::crowd::Crowd;
use super::options;
use super::pace::Pace;
use super::run::Run;
use crate::output::Failure;

pub struct Send {
    crowd: Rc<Crowd>,
    in_flight: u32,
    rate: Option<u32>,
}

impl Send {
    pub fn new(crowd: Crowd, options: &options::Send) -> Send {
        Send {
            crowd: Rc::new(crowd),
            in_flight: options.common.in_flight,
            rate: options.rate,
        }
    }
}

impl Workload for Send {
    async fn drive(&self, run: &Rc<Run>) -> Result<(), Failure> {
        let pace = self.rate.map(pace).transpose()?;
        let work = {
            let (crowd, run) = (self.crowd.clone(), run.clone());
            move |due| {
                let (crowd, run) = (crowd.clone(), run.clone());
                async move {
                    let (from, to) = crowd.dice.two_below(crowd.members.len());
                    crowd.send(&run, due, from, to).await;
                }
            }
        };
        run.keep_busy(self.in_flight, pace, work).await
    }
}

/// Starts a pace.
pub fn pace(per_second: u32) -> Result<Pace, Failure> {
    Pace::start(per_second).map_err(|error| Failure::io("start a thread", &error))
}
