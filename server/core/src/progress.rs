//! The progress of one peer: a leader's knowledge of the peer's log, within one session.

use alloc::collections::VecDeque;

use crate::{
    id::{Incarnation, Lsn, StoreId, Time},
    latency::Latency,
};

#[derive(Debug)]
pub(crate) struct Progress {
    /// The store of the peer.
    pub(crate) store: StoreId,
    /// The run of the peer's process.
    run: Incarnation,
    /// The LSN up to which the peer has the leader's log on disk.
    pub(crate) matched: Lsn,
    /// The highest LSN that was ever acknowledged from that store, in earlier sessions too: a repetition in a new
    /// session is not new.
    acknowledged_max: Lsn,
    /// The LSN up to which the peer has applied entries, durably.
    pub(crate) applied: Lsn,
    /// The next entry to send.
    pub(crate) next: Lsn,
    /// True if `next` is a guess: then only empty Appends are sent, until one matches.
    pub(crate) probing: bool,
    /// True if entries are being read from the store for this peer, from `next` on.
    pub(crate) reading: bool,
    /// The last LSN of each batch that is not acknowledged yet.
    in_flight: VecDeque<Lsn>,
    /// The latest of the leader's own stamps that came back; `None` before the first.
    pub(crate) echoed: Option<Time>,
    /// The time since which the peer has acknowledged nothing new, though there is something.
    behind_since: Option<Time>,
    /// The latency of the peer's acknowledgements, over all sessions on that store.
    pub(crate) latency: Latency,
    /// The time at which the session ended, if it did.
    ended_at: Option<Time>,
    /// The time since which the leader tells a member that leaves the view that it is no member, so that the member
    /// knows it before the view changes.
    dismissed_at: Option<Time>,
    /// The peer's nonce, which counts the breaks of its activity.
    pub(crate) nonce: u64,
    /// The nonce that is sent back and allows the peer to be active: the latest one at a tick of this leader at which
    /// it knew that it had not slept. 0 belongs to no replica.
    pub(crate) vouched: u64,
    /// True if the peer says that it is active.
    pub(crate) active: bool,
    /// True if the peer says that its store was copied and is not confirmed.
    pub(crate) unconfirmed: bool,
}

impl Progress {
    /// Makes the progress of a peer of which nothing is known; `next` is the likeliest position.
    pub(crate) fn new(next: Lsn, store: StoreId, run: Incarnation) -> Progress {
        Progress {
            store,
            run,
            matched: Lsn::ZERO,
            acknowledged_max: Lsn::ZERO,
            applied: Lsn::ZERO,
            next,
            probing: false,
            reading: false,
            in_flight: VecDeque::new(),
            echoed: None,
            behind_since: None,
            latency: Latency::default(),
            ended_at: None,
            dismissed_at: None,
            nonce: 0,
            vouched: 0,
            active: false,
            unconfirmed: false,
        }
    }

    /// Continues the progress `before` of the peer's last session: the time for which its disk has acknowledged
    /// nothing, and its latency. An acknowledgement is not timed over a gap of more than `gap_max` microseconds, or
    /// over a start of the peer.
    pub(crate) fn goes_on(&mut self, before: &Progress, gap_max: u64, now: Time) {
        if self.store != before.store {
            return;
        }
        self.acknowledged_max = before.acknowledged_max;
        self.behind_since = before.behind_since;
        self.latency = before.latency;
        let gap = before.ended_at.map_or(0, |ended| now.since(ended));
        if self.run != before.run || gap > gap_max {
            self.latency.interrupted();
        }
    }

    /// Notes that the session ends.
    pub(crate) fn ended(&mut self, now: Time) {
        self.ended_at = Some(now);
    }

    pub(crate) fn may_send(&self, batches_in_flight_max: usize) -> bool {
        !self.probing && !self.reading && self.in_flight.len() < batches_in_flight_max
    }

    /// Notes that a batch up to `last` was sent.
    pub(crate) fn sent(&mut self, last: Lsn, now: Time) {
        self.latency.started(last.0, now);
        self.in_flight.push_back(last);
        self.next = last.next();
    }

    /// Notes that the peer has everything up to `matched`. Returns true if that is new. An acknowledgement is late
    /// after `late_ack` microseconds.
    pub(crate) fn acknowledged(
        &mut self,
        matched: Lsn,
        last: Lsn,
        late_ack: u64,
        now: Time,
    ) -> bool {
        self.latency.finished(matched.0, late_ack, now);
        self.probing = false;
        self.next = self.next.max(matched.next());
        while self.in_flight.front().is_some_and(|&sent| sent <= matched) {
            self.in_flight.pop_front();
        }
        let news = matched > self.acknowledged_max;
        self.matched = self.matched.max(matched);
        self.acknowledged_max = self.acknowledged_max.max(matched);
        if self.matched >= last {
            self.behind_since = None;
        } else if news || self.behind_since.is_none() {
            self.behind_since = Some(now);
        }
        news
    }

    /// Goes back to `retry_from`, or to the last entry that the peer is known to have, because its log does not match
    /// before `next`. Returns true when a probe is to be sent at once.
    pub(crate) fn mismatched(&mut self, retry_from: Lsn, now: Time) -> bool {
        let retry_from = retry_from.max(self.matched.next());
        if retry_from >= self.next {
            return false;
        }
        self.next = retry_from;
        self.probing = true;
        self.in_flight.clear();
        self.behind_since.get_or_insert(now);
        true
    }

    /// Notes a stamp that came back. The leader never sent one that is later than its clock, so such a stamp renews
    /// no lease.
    pub(crate) fn echo(&mut self, sent_at: Time, now: Time) {
        if sent_at <= now {
            self.echoed = self.echoed.max(Some(sent_at));
        }
    }

    /// Notes that the leader appended something that the peer does not have.
    pub(crate) fn fell_behind(&mut self, now: Time) {
        self.behind_since.get_or_insert(now);
    }

    /// Forgets for how long the peer stalled, which is not known because the leader slept.
    pub(crate) fn leader_slept(&mut self, now: Time) {
        self.behind_since = self.behind_since.map(|_| now);
        self.latency.forget();
        self.dismissed_at = None;
        self.vouched = 0;
    }

    /// Tells a peer that stalls that it is no member, and one that does not stall any more that it is one.
    pub(crate) fn dismiss(&mut self, stalled: bool, now: Time) {
        match stalled {
            true => self.dismissed_at = self.dismissed_at.or(Some(now)),
            false => self.dismissed_at = None,
        }
    }

    pub(crate) fn is_dismissed(&self) -> bool {
        self.dismissed_at.is_some()
    }

    /// Tells whether the peer has answered, since its dismissal, that it is not active any more.
    pub(crate) fn knows_its_dismissal(&self) -> bool {
        !self.active && self.dismissed_at.is_some() && self.echoed >= self.dismissed_at
    }

    pub(crate) fn is_stalled(&self, ack_timeout: u64, now: Time) -> bool {
        self.behind_since
            .is_some_and(|since| now.since(since) > ack_timeout)
    }
}
