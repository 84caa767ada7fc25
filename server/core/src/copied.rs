//! The handling of a store that was copied or moved since its replica last ran: it may be an older state of itself.
//! Until that is ruled out the replica only follows a leader: it does not become a candidate, it sends excuses in
//! place of promises (`ballot.rs`), it is not active, and its acknowledgements commit nothing.
//!
//! An older copy lacks entries that the replica acknowledged, and promises that it made. A leader that leads without
//! this replica's vote has all those entries, and this replica takes them from it. A forgotten promise for a later
//! epoch was one of a majority, and the other replicas of that majority remember theirs.

use alloc::collections::BTreeMap;

use crate::{
    config::{Config, LoggedConfig, Mode},
    effect::Effect,
    id::{Epoch, Lsn, ReplicaId, StoreId},
    message::Message,
    mutation::mutated,
    shared::Common,
};

/// The facts that are collected until the store is confirmed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unconfirmed {
    /// The highest epoch that each replica reported as promised since this one started, and its store.
    promised: BTreeMap<ReplicaId, (StoreId, Epoch)>,
    /// The leader's epoch, and the LSN up to which its log was committed when it first answered this run.
    target: Option<(Epoch, Lsn)>,
}

/// The statements of a leader in an Append, and the LSN up to which this log is known to be equal to the leader's.
pub(crate) struct Led {
    pub(crate) epoch: Epoch,
    pub(crate) commit: Lsn,
    pub(crate) config_lsn: Lsn,
    pub(crate) nonce: u64,
    pub(crate) verified: Lsn,
}

impl Common {
    /// Tells whether this store may be an older state of itself.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        self.unconfirmed.is_some()
    }

    /// Tells whether this replica may become a candidate.
    pub(crate) fn may_stand(&self) -> bool {
        !self.stopping() && !self.is_unconfirmed()
    }

    /// Notes the epoch that a peer has promised, if the message has it.
    pub(crate) fn note_promise(&mut self, from: ReplicaId, message: &Message) {
        let Some(unconfirmed) = &mut self.unconfirmed else {
            return;
        };
        let promised = match message {
            Message::Ping { promised, .. }
            | Message::Fenced { promised }
            | Message::PreVoteReply { promised, .. } => *promised,
            Message::Append(append) => append.epoch,
            _ => return,
        };
        let Some(hello) = self.peers.hello(from).filter(|_| promised.is_plausible()) else {
            return;
        };
        let told = unconfirmed.promised.entry(from);
        let told = told.or_insert((hello.store, promised));
        *told = match told.0 == hello.store {
            true => (told.0, told.1.max(promised)),
            false => (hello.store, promised),
        };
    }

    /// Confirms this store once it has, on disk, all entries that the leader knew to be committed when it first
    /// answered this run, and no later epoch can have been promised here and forgotten.
    pub(crate) fn confirm(&mut self, led: &Led) {
        if self.unconfirmed.is_none() || led.nonce != self.nonce {
            return;
        }
        let Some(LoggedConfig { lsn, config }) = self.log.logged_config() else {
            return;
        };
        let counts = *lsn == led.config_lsn && led.config_lsn <= led.commit;
        let superseded = self.may_have_promised_later(led.epoch, config);
        let have = led.verified.min(self.durable);
        let Some(unconfirmed) = self.unconfirmed.as_mut().filter(|_| counts) else {
            return;
        };
        let target = match unconfirmed.target {
            Some((epoch, target)) if epoch == led.epoch => target,
            _ => led.commit,
        };
        unconfirmed.target = Some((led.epoch, target));
        if have >= target && self.promised_durable >= led.epoch && !superseded {
            self.unconfirmed = None;
            self.effects.push(Effect::Confirmed);
        }
    }

    /// Tells whether this store may have promised a later epoch than that of a leader whose newest Config is
    /// committed. In mode majority such a promise was one of a majority of that Config. It is ruled out once so many
    /// other members have reported no later promise that every majority with this replica has at least one of them.
    /// In mode available, where partitions are outside the fault model, it is ruled out if no replica reported a
    /// later promise.
    fn may_have_promised_later(&self, epoch: Epoch, config: &Config) -> bool {
        let promised = self.unconfirmed.as_ref().map(|u| &u.promised);
        let told = |id: &ReplicaId, store: &StoreId| {
            let told = promised.and_then(|promised| promised.get(id));
            told.filter(|(at, _)| at == store).map(|(_, told)| *told)
        };
        let later = promised.is_some_and(|all| all.values().any(|(_, told)| *told > epoch));
        let others = config.members.iter().filter(|&(&id, _)| id != self.id);
        let vouching = others.filter(|&(id, store)| told(id, store).is_some());
        let quorum = config.members.len() / 2 + 1;
        let needed = match config.mode {
            _ if mutated!(self, ConfirmedByOne) => 0,
            Mode::Available => 0,
            Mode::Majority { .. } => config.members.len() - quorum + 1,
        };
        (later && !mutated!(self, ConfirmedByOne)) || vouching.count() < needed
    }
}
