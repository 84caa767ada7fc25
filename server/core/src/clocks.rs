//! Whether this replica's own clock stood still: the clocks of its peers tell.
//!
//! A hypervisor can pause a guest and stop all of its clocks: no gap between two ticks shows that pause.
//! But every message that is sent regularly carries its sender's clock. How far that is ahead of the
//! receiver's own clock, at receipt, is the same each time, but for the delay of the message, which only
//! makes it less, and for two clocks that run unevenly. If it grows by more, this replica's clock lost
//! time, or the peer's jumped ahead, which is taken for the same: both cost no more than a round trip.

use crate::id::{Incarnation, ReplicaId, Time};

/// Lost time from here on counts as sleep, microseconds. More than messages differ in their delays on a busy
/// host, as needless sleep costs rule (i). With `tick_gap_max` below `silence_timeout`, so that a replica
/// that lost less, and paused for less, was not taken for dead.
const SLEEP_MIN: u64 = 200_000;

/// Lost time from here on costs a leader its lease until the next round trip, microseconds. The margin of
/// the lease has room for less.
const DOUBT_MIN: u64 = 30_000;

/// Two clocks that are each wrong by a thousandth part one way differ by one microsecond in so many.
const DRIFT_ONE_IN: u64 = 500;

/// The greatest offset of each such time is what later ones are compared with, microseconds.
const WINDOW: u64 = 5_000_000;

/// An offset that is older is forgotten: the drift alone may be more than what counts. Microseconds.
const FORGET_AFTER: u64 = 60_000_000;

/// A third replica that is there speaks within this time, microseconds: three heartbeats. Then a suspicion
/// that nothing contradicts counts as sleep.
pub(crate) const CONTRADICTED_WITHIN: u64 = 150_000;

/// A clock that falls back so far, in a new run of the peer, is that of a host that was started again.
/// Microseconds.
const RESTARTED_MIN: i128 = 1_000_000;

/// What a message says about this replica's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The peer's clock was compared for the first time, or anew: it says nothing of what was before.
    Unknown,
    Nothing,
    /// Enough to doubt a lease.
    Little,
    /// So many microseconds: this replica slept.
    Slept(u64),
    /// The same, by the clock of a new run of the peer. It may be on another host, whose clock is ahead: a
    /// third replica shows which it is.
    Suspected(u64),
}

/// The clock of a new run of a peer says that this replica's own stood still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspicion {
    pub(crate) of: ReplicaId,
    pub(crate) at: Time,
    /// For how long, microseconds.
    pub(crate) lost: u64,
}

/// A peer's clock, compared with this replica's own, over all sessions with the peer.
#[derive(Debug)]
pub(crate) struct PeerClock {
    run: Incarnation,
    /// The greatest offset of the last whole window. Those of the window under way do not count:
    /// what lay in a queue during a pause comes one after the other, each a little further ahead.
    settled: i128,
    settled_at: Time,
    /// The greatest offset since then.
    rising: i128,
    /// The greatest offset for which a lease was doubted already.
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

    /// Takes note of the peer's clock in a message that arrives `now`, in a session with that run of it.
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

    /// Heartbeats, each with its delay, until `end`; the first lost time.
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
