//! The detection of a stopped clock: a replica compares its own clock with those of its peers.
//!
//! A hypervisor can pause a guest and stop all of its clocks; such a pause leaves no gap between two ticks. But every
//! message that is sent regularly has its sender's clock in it. The offset, by which that clock is ahead of the
//! receiver's clock at receipt, stays the same, except that the delay of the message makes it smaller and that two
//! clocks drift apart. If the offset grows by more than the drift, this replica's clock stood still, or the peer's
//! jumped ahead. Both are treated as lost time of this replica: the cost of a mistake is one round trip.

use crate::id::{Incarnation, ReplicaId, Time};

/// Lost time above this counts as sleep, microseconds. It is more than the variation of message delays on a busy
/// host, because needless sleep makes a replica inactive for rule (i). Together with `tick_gap_max` it is below
/// `silence_timeout`, so that a replica that lost less, and paused for less, cannot have been declared silent by the
/// others.
const SLEEP_MIN: u64 = 200_000;

/// Lost time above this takes a leader's lease until the next round trip, microseconds. The margin of the lease
/// covers smaller losses.
const DOUBT_MIN: u64 = 30_000;

/// Two clocks that are each wrong by one part in a thousand, in opposite directions, drift by one microsecond in this
/// many.
const DRIFT_ONE_IN: u64 = 500;

/// The length of a window, microseconds. Later offsets are compared with the greatest offset of the last complete
/// window.
const WINDOW: u64 = 5_000_000;

/// The age at which an offset is forgotten, microseconds: by then the drift alone may exceed the limits above.
const FORGET_AFTER: u64 = 60_000_000;

/// The time within which a third replica sends a message, if it has a session, microseconds: three heartbeats. A
/// suspicion that no replica contradicts until then counts as sleep.
pub(crate) const CONTRADICTED_WITHIN: u64 = 150_000;

/// A peer's clock that falls back by more than this, in a new run of the peer, belongs to a host that was restarted.
/// Microseconds.
const RESTARTED_MIN: i128 = 1_000_000;

/// The conclusion from one message about this replica's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The peer's clock was compared for the first time, or again from the start: nothing is known of the time
    /// before.
    Unknown,
    Nothing,
    /// The lost time is enough to doubt a lease.
    Little,
    /// The lost time, microseconds, is so long that this replica slept.
    Slept(u64),
    /// The lost time, microseconds, is so long that this replica slept, judged by the clock of a new run of the peer.
    /// That run may be on another host, whose clock is ahead: a third replica shows which of the two it is.
    Suspected(u64),
}

/// A sign, from the clock of a new run of a peer, that this replica's own clock stood still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspicion {
    pub(crate) of: ReplicaId,
    pub(crate) at: Time,
    /// The lost time, microseconds.
    pub(crate) lost: u64,
}

/// The clock of a peer as compared with this replica's own, over all sessions with the peer.
#[derive(Debug)]
pub(crate) struct PeerClock {
    run: Incarnation,
    /// The greatest offset of the last complete window. Offsets of the current window do not count yet: messages that
    /// waited in a queue during a pause arrive one after the other, each with a slightly greater offset.
    settled: i128,
    settled_at: Time,
    /// The greatest offset of the current window.
    rising: i128,
    /// The greatest offset for which a lease was already doubted.
    doubted: i128,
}

impl PeerClock {
    fn new(run: Incarnation, offset: i128, now: Time) -> PeerClock {
        PeerClock {
            run,
            settled: offset,
            settled_at: now,
            rising: offset,
            doubted: offset,
        }
    }

    /// Compares the peer's clock in a message that arrives at `now` in a session with the run `run`, and remembers
    /// it.
    pub(crate) fn note(
        known: &mut Option<PeerClock>,
        run: Incarnation,
        theirs: Time,
        now: Time,
    ) -> Lost {
        let offset = i128::from(theirs.0) - i128::from(now.0);
        let anew = PeerClock::new(run, offset, now);
        let Some(clock) = known else {
            *known = Some(anew);
            return Lost::Unknown;
        };
        let age = now.since(clock.settled_at);
        let new_run = clock.run != run;
        let restarted = new_run && clock.settled - offset > RESTARTED_MIN;
        if age > FORGET_AFTER || restarted {
            *clock = anew;
            return Lost::Unknown;
        }
        clock.run = run;
        let drift = i128::from(age / DRIFT_ONE_IN);
        let ahead = |known: i128| u64::try_from(offset - known - drift).unwrap_or(0);
        let lost = ahead(clock.settled);
        let doubted = ahead(clock.settled.max(clock.doubted));
        if lost > SLEEP_MIN {
            *clock = anew;
            return if new_run {
                Lost::Suspected(lost)
            } else {
                Lost::Slept(lost)
            };
        }
        clock.rising = clock.rising.max(offset);
        if age >= WINDOW {
            clock.settled = clock.rising;
            clock.settled_at = now;
            clock.rising = offset;
        }
        if doubted > DOUBT_MIN {
            clock.doubted = offset;
            return Lost::Little;
        }
        Lost::Nothing
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const RUN: Incarnation = Incarnation(7);
    const AHEAD: u64 = 40_000_000_000;
    const BEAT: u64 = 50_000;

    /// Notes heartbeats, each with its delay, until `end`; gives the first result that is not `Nothing` or `Unknown`.
    fn beats(known: &mut Option<PeerClock>, from: u64, end: u64, delay: u64) -> Lost {
        let mut found = Lost::Nothing;
        for at in (from..end).step_by(BEAT as usize) {
            let lost = PeerClock::note(known, RUN, Time(at + AHEAD - delay), Time(at));
            if found == Lost::Nothing && lost != Lost::Unknown {
                found = lost;
            }
        }
        found
    }

    #[test]
    fn a_pause_that_stopped_the_clock_is_found_by_the_first_heartbeat_after_it() {
        let mut known = None;
        assert_eq!(beats(&mut known, 0, 12_000_000, 300), Lost::Nothing);
        let lost = PeerClock::note(
            &mut known,
            RUN,
            Time(12_000_000 + AHEAD + 3_000_000),
            Time(12_000_000),
        );
        assert!(
            matches!(lost, Lost::Slept(2_900_000..=3_000_300)),
            "{lost:?}"
        );
    }

    #[test]
    fn what_lay_in_a_queue_during_the_pause_hides_nothing() {
        let mut known = None;
        beats(&mut known, 0, 12_000_000, 300);
        let now = Time(12_000_000);
        let mut found = Vec::new();
        for sent in (0..1_000_000).step_by(1_000) {
            let theirs = Time(now.0 + AHEAD + sent);
            found.push(PeerClock::note(&mut known, RUN, theirs, now));
        }
        assert!(found.iter().any(|lost| matches!(lost, Lost::Slept(_))));
        assert!(found.contains(&Lost::Little));
    }

    #[test]
    fn clocks_that_run_unevenly_and_messages_that_are_late_are_no_sleep() {
        let mut known = Some(PeerClock::new(RUN, i128::from(AHEAD), Time(0)));
        let mut delay = 20_000;
        for at in (0..3_600_000_000_u64).step_by(BEAT as usize) {
            let theirs = AHEAD + at + at / 1_000 - delay;
            let mine = at - at / 1_000;
            delay = (delay + 7_919) % 28_000;
            assert_eq!(
                PeerClock::note(&mut known, RUN, Time(theirs), Time(mine)),
                Lost::Nothing
            );
        }
    }

    #[test]
    fn an_offset_that_is_old_and_the_clock_of_a_host_that_was_restarted_are_forgotten() {
        let mut known = None;
        beats(&mut known, 0, 12_000_000, 0);
        let lost = beats(&mut known, 80_000_000_000, 80_000_100_000, 0);
        assert_eq!(lost, Lost::Nothing);
        let now = Time(80_000_200_000);
        let next = Incarnation(8);
        assert_eq!(
            PeerClock::note(&mut known, next, Time(5), now),
            Lost::Unknown
        );
        let later = Time(5 + 900_000);
        let lost = PeerClock::note(&mut known, next, later, now);
        assert_eq!(lost, Lost::Slept(900_000));
        let ahead = Time(5 + 90_000_000);
        let lost = PeerClock::note(&mut known, Incarnation(9), ahead, now);
        assert!(matches!(lost, Lost::Suspected(_)), "{lost:?}");
    }

    #[test]
    fn any_number_is_taken() {
        let mut known = None;
        for (theirs, now) in [(0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX), (0, 0)] {
            PeerClock::note(&mut known, RUN, Time(theirs), Time(now));
        }
    }
}
