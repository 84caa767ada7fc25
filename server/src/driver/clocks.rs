//! The wall clocks of all replicas: the driver asks each peer once a second, answers the peers' questions, and
//! keeps cluster time up to date.

use std::collections::{BTreeMap, BTreeSet};

use tercet_core::id::{ReplicaId, Time};
use tercet_proto::log::{CorrectSessions, Outcome, command::Action, outcome};
use tercet_store::{MADE_LATER_MAX, StoreError, queries::HasSessionMadeAfter};

use super::{Driver, Ended, Event};
use crate::{
    clock,
    cluster_clock::{Clocks, Offset, Reading, Shown},
    peers::ClockWord,
};

/// The interval between questions to each peer, and between computations of cluster time, microseconds.
const ASK_INTERVAL: u64 = 1_000_000;
/// The interval between a leader's searches for sessions that were made at a wrong time, microseconds: ten
/// minutes. Each search reads all sessions.
const SESSIONS_INTERVAL: u64 = 600_000_000;
/// The interval before the next search after one that found such sessions, microseconds.
const SESSIONS_AGAIN: u64 = 1_000_000;
/// The interval between readings of this replica's own wall clock, microseconds.
const LOOK_INTERVAL: u64 = 100_000;

/// The driver's state about time.
pub(super) struct TimeKeeper {
    clocks: Clocks,
    looked_at: Time,
    asked_at: Time,
    /// The time of the next search for sessions that were made at a wrong time.
    sessions_due: Time,
    report: Report,
}

impl TimeKeeper {
    pub(super) fn new(own_id: ReplicaId) -> TimeKeeper {
        let now = clock::now();
        TimeKeeper {
            clocks: Clocks::new(own_id, clock::wall_us(), now),
            looked_at: now,
            asked_at: Time(0),
            sessions_due: Time(0),
            report: Report::default(),
        }
    }
}

impl Driver {
    /// Does the clock work of one tick.
    pub(super) fn tick_clocks(&mut self) {
        let now = clock::now();
        if now.since(self.time.looked_at) < LOOK_INTERVAL {
            return;
        }
        self.time.looked_at = now;
        let own = Reading::between(now, now, clock::wall_us());
        self.time.clocks.note(self.deps.link_context.id, own);
        if now.since(self.time.asked_at) >= ASK_INTERVAL {
            self.time.asked_at = now;
            let peers: Vec<ReplicaId> = self.links.keys().copied().collect();
            for peer in peers {
                self.ask_clock(peer, now);
            }
        }
        self.find_time(now);
        self.tick_sessions(now);
    }

    /// Starts the leader's search for sessions that were made at a wrong time, if it is due and most clocks
    /// agree.
    fn tick_sessions(&mut self, now: Time) {
        if !self.leads {
            self.time.sessions_due = Time(0);
            return;
        }
        if now < self.time.sessions_due || !self.may_correct() {
            return;
        }
        self.time.sessions_due = Time(now.0.saturating_add(SESSIONS_INTERVAL));
        let readers = self.deps.readers.clone();
        let latest_ms = self.deps.cluster_clock.now_ms() + MADE_LATER_MAX;
        let events = self.events.0.clone();
        tokio::task::spawn_blocking(move || {
            let wrong = readers.read(&HasSessionMadeAfter { ms: latest_ms });
            let _ = events.send(Event::SessionsRead(wrong));
        });
    }

    /// Tells whether this replica may correct sessions: it leads, and most clocks agree.
    fn may_correct(&self) -> bool {
        let serves = self.deps.replica.status().serving && !self.stopping && !self.disk_full;
        serves && self.command_version() >= 1 && self.deps.cluster_clock.shown().agree
    }

    pub(super) fn on_sessions_read(
        &mut self,
        wrong: Result<bool, StoreError>,
    ) -> Result<(), Ended> {
        let wrong = match wrong {
            // An error of a reader alone affects nobody; the next search is soon enough.
            Err(StoreError::Io(error)) => {
                tracing::warn!(error, "look for sessions that were made at a wrong time");
                false
            }
            wrong => wrong?,
        };
        if !wrong || !self.may_correct() {
            return Ok(());
        }
        // One command corrects a bounded number of sessions, so more may remain.
        let again = clock::now().0.saturating_add(SESSIONS_AGAIN);
        self.time.sessions_due = Time(again);
        tracing::warn!(
            "sessions were made while a clock was wrong: they now end like sessions made now"
        );
        let ttl = self.deps.session_ttl.as_millis();
        let action = Action::CorrectSessions(CorrectSessions {
            now_ms: self.deps.cluster_clock.now_ms(),
            ttl_ms: i64::try_from(ttl).unwrap_or(i64::MAX),
        });
        self.propose_own(action)
    }

    /// Clears the session cache after sessions were corrected.
    pub(super) fn forget_corrected(&self, outcome: &Outcome) {
        if matches!(outcome.result, Some(outcome::Result::SessionsCorrected(_))) {
            self.deps.sessions.clear();
        }
    }

    /// Asks a peer for its clock.
    pub(super) fn ask_clock(&mut self, peer: ReplicaId, now: Time) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.clock_asked_at = Some(now);
            // A full queue is no place for a question.
            link.outgoing
                .send_clock(ClockWord::Question { asked_at: now });
        }
    }

    /// Notes the clock in the hello of a new session; it counts until the peer has answered a question.
    pub(super) fn on_hello_clock(&mut self, peer: ReplicaId, wall_us: i64) {
        let now = clock::now();
        if wall_us > 0 {
            let reading = Reading::of_hello(wall_us, now);
            self.time.clocks.note(peer, reading);
        }
        self.ask_clock(peer, now);
        self.find_time(now);
    }

    pub(super) fn on_clock(&mut self, peer: ReplicaId, word: ClockWord) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        match word {
            ClockWord::Question { asked_at } => {
                let wall_us = clock::wall_us();
                link.outgoing
                    .send_clock(ClockWord::Answer { asked_at, wall_us });
            }
            // An answer without a question, or after its question was dropped, is ignored.
            ClockWord::Answer { asked_at, wall_us } => {
                if link.clock_asked_at.take_if(|at| *at == asked_at).is_some() {
                    let now = clock::now();
                    let reading = Reading::between(asked_at, now, wall_us);
                    self.time.clocks.note(peer, reading);
                    self.find_time(now);
                }
            }
        }
    }

    /// Corrects the clocks for a pause in which this replica's steady clock stood still, as the core found by
    /// the clocks of its peers: the wall clocks did not jump. `lost_time` is the sum since the start,
    /// microseconds.
    pub(super) fn on_lost_time(&mut self, lost_time: u64) {
        let news = lost_time.saturating_sub(self.lost_time);
        if news > 0 {
            self.time.clocks.lost_time(news);
            self.find_time(clock::now());
        }
    }

    /// Computes cluster time and publishes it.
    fn find_time(&mut self, now: Time) {
        let roster = &self.membership.roster;
        let clocks = &mut self.time.clocks;
        clocks.retain(now, |id| roster.get(id).is_some());
        let shown = Shown {
            offsets: clocks.offsets(),
            agree: clocks.agree(roster.iter().count()),
            last_stamp_ms: self.stamps.last_ms(),
        };
        for words in self.time.report.due(&shown) {
            tracing::warn!("{words}");
        }
        self.deps.cluster_clock.set(clocks.base(), shown);
    }
}

/// The clocks that the log has reported as out.
#[derive(Default)]
struct Report {
    out: BTreeSet<ReplicaId>,
}

impl Report {
    /// Gives the lines to log now. A clock within half of the reported limit counts as correct again.
    fn due(&mut self, shown: &Shown) -> Vec<String> {
        let mut words = Vec::new();
        for (&id, offset) in &shown.offsets {
            if offset.is_out() && self.out.insert(id) {
                words.push(is_out(id, *offset, shown.agree));
            } else if offset.is_well() && self.out.remove(&id) {
                words.push(format!(
                    "the clock of replica {id} agrees with cluster time again"
                ));
            }
        }
        let offsets: &BTreeMap<ReplicaId, Offset> = &shown.offsets;
        self.out.retain(|id| offsets.contains_key(id));
        words
    }
}

fn is_out(id: ReplicaId, offset: Offset, agree: bool) -> String {
    let far = tercet_proto::words::ahead_or_behind(offset.ahead / 1_000);
    match agree {
        true => format!(
            "the clock of replica {id} is {far} what most replicas' clocks say: set the clock of its host, best by \
             a time service (NTP). Stamps and sessions do not follow it"
        ),
        false => format!(
            "the clock of replica {id} is {far} the time that this replica goes by, and too few other clocks are \
             known to say which is right: look at the clocks of the hosts"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_out_is_told_of_once_and_again_when_it_is_well() {
        let mut report = Report::default();
        let shown = |ahead: i64| Shown {
            offsets: [(ReplicaId(2), Offset { ahead, error: 300 })].into(),
            agree: true,
            last_stamp_ms: 0,
        };
        assert_eq!(report.due(&shown(1_000_000)), [""; 0]);
        let told = report.due(&shown(40 * 86_400_000_000));
        let words = "the clock of replica 2 is 40 days ahead of what most replicas' clocks say";
        assert!(told[0].starts_with(words), "{told:?}");
        assert_eq!(report.due(&shown(-3_000_000)), [""; 0], "it was told");
        assert_eq!(report.due(&shown(700_000)), [""; 0]);
        assert_eq!(report.due(&shown(400_000)).len(), 1);
        let told = report.due(&shown(-3_000_000));
        assert!(told[0].contains("is 3.0 s behind"), "{told:?}");
    }
}
