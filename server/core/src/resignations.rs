//! Which leaders gave up the lead for their disks, lately.

use alloc::collections::BTreeMap;

use crate::{
    id::{ReplicaId, StoreId, Time},
    progress::Progress,
};

/// A resignation is remembered for this long, microseconds: ten minutes.
const REMEMBERED: u64 = 600_000_000;

#[derive(Debug, Default)]
pub(crate) struct Resignations {
    last: BTreeMap<ReplicaId, Resignation>,
}

#[derive(Debug)]
struct Resignation {
    at: Time,
    store: StoreId,
    /// How often, with not more than `REMEMBERED` between one and the next.
    times: u32,
}

impl Resignations {
    /// A leader says that it gives up the lead for its disk.
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

    /// If a replica lately gave up the lead for its disk, it comes back as one that left the view for that.
    pub(crate) fn recall(&self, id: ReplicaId, progress: &mut Progress, now: Time) {
        if let Some(known) = self.last.get(&id)
            && known.store == progress.store
            && now.since(known.at) <= REMEMBERED
        {
            progress.latency.left_before(known.times, known.at);
        }
    }
}
