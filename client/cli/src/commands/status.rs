//! `cluster status`: who leads, the state of each replica, and an exit code for monitors.

mod clocks;
mod health;
mod summary;
#[cfg(test)]
mod test_answers;
mod text;

use std::time::Duration;

use super::connect::Connect;
use super::everybody::roster_views;
use crate::failure::Failure;
use crate::output::print;
use health::Health;
use summary::Summary;

/// How long one replica may take to answer.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) async fn status(args: Status) -> Result<(), Failure> {
    let limit = args.connect.deadline()?;
    let limit = limit.map_or(STATUS_TIMEOUT, |limit| limit.min(STATUS_TIMEOUT));
    let client = args.connect.client()?;
    let (_, source) = args.connect.list();
    let summary = Summary::of(&roster_views(&client, source, limit).await);
    print(args.connect.json, &summary, &summary.text())?;
    match summary.health {
        Health::Whole => Ok(()),
        Health::Degraded => Err(Failure::Degraded),
        Health::Unavailable => Err(Failure::Told),
    }
}
