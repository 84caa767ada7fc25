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

/// The time that one replica may take to answer.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn status(connect: &Connect) -> Result<(), Failure> {
    let limit = connect.deadline()?;
    let limit = limit.map_or(STATUS_TIMEOUT, |limit| limit.min(STATUS_TIMEOUT));
    let client = connect.client()?;
    let (_, source) = connect.list();
    let summary = Summary::of(&roster_views(&client, source, limit).await);
    print(connect.json, &summary, &summary.text())?;
    match summary.health {
        Health::Whole => Ok(()),
        Health::Degraded => Err(Failure::Degraded),
        Health::Unavailable => Err(Failure::Reported),
    }
}
