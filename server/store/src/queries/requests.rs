//! Queries of the position, and of finished requests.

use rusqlite::Connection;
use tercet_proto::log::Outcome;

use super::{super::requests::Requests, Query};
use crate::{StoreError, changes};

/// The LSN of the last entry whose effect the read includes, or a later one.
#[derive(Clone, Debug)]
pub struct AppliedLsn;

impl Query for AppliedLsn {
    type Rows = u64;

    fn read(&self, state: &Connection) -> Result<u64, StoreError> {
        Ok(state
            .prepare_cached("SELECT applied_lsn FROM position")?
            .query_row([], |row| row.get(0))?)
    }
}

/// The range of LSNs whose events a subscription finds in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The LSN of the last entry whose effect the read includes, or a later one.
    pub applied: u64,
    /// The LSN of the newest change that is not stored any more; 0 when there is none.
    pub forgotten: u64,
}

/// Reads the range of LSNs whose events are stored.
#[derive(Clone, Debug)]
pub struct KeptEvents;

impl Query for KeptEvents {
    type Rows = Kept;

    fn read(&self, state: &Connection) -> Result<Kept, StoreError> {
        // In this order a change that is forgotten in between counts as forgotten.
        let applied = AppliedLsn.read(state)?;
        let forgotten = changes::forgotten(state)?;
        Ok(Kept { applied, forgotten })
    }
}

/// The outcome of a request that is still remembered, for a retry that cannot be logged again: its session was
/// ended by the same request, or its password changed.
#[derive(Clone, Debug)]
pub struct RecordedOutcome {
    pub request_id: [u8; 16],
}

impl Query for RecordedOutcome {
    type Rows = Option<Outcome>;

    fn read(&self, state: &Connection) -> Result<Option<Outcome>, StoreError> {
        let next = AppliedLsn.read(state)?.saturating_add(1);
        let found = Requests::before(state, next)?.find(&self.request_id)?;
        Ok(found.map(|request| request.outcome))
    }
}
