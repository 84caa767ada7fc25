//! The recent resignations: the leaders that gave up the lead for their disks.

use alloc::collections::BTreeMap;

use crate::{
    id::{ReplicaId, StoreId, Time},
    progress::Progress,
};

/// The time for which a resignation is remembered, microseconds: ten minutes.
const REMEMBERED: u64 = 600_000_000;

#[derive(Debug, Default)]
pub(crate) struct Resignations {
    last: BTreeMap<ReplicaId, Resignation>,
}

#[derive(Debug)]
struct Resignation {
    at: Time,
    store: StoreId,
    /// The number of resignations, each at most `REMEMBERED` after the one before.
    times: u32,
}

impl Resignations {
    /// Notes that a leader gives up the lead for its disk.
    pub(crate) fn note(&mut self, id: ReplicaId, store: StoreId, now: Time) {
        self.last
            .retain(|_, known| now.since(known.at) <= REMEMBERED);
        let before = self.last.get(&id).filter(|known| known.store == store);
        let resignation = Resignation {
            at: now,
            store,
            times: before.map_or(1, |known| known.times.saturating_add(1)),
        };
        self.last.insert(id, resignation);
    }

    /// Marks a replica that lately gave up the lead for its disk as one that left the view for it.
    pub(crate) fn recall(&self, id: ReplicaId, progress: &mut Progress, now: Time) {
        if let Some(known) = self.last.get(&id)
            && known.store == progress.store
            && now.since(known.at) <= REMEMBERED
        {
            progress.latency.left_before(known.times, known.at);
        }
    }
}
