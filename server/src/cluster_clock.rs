//! Cluster time: the median of the replicas' wall clocks. Stamps and the ends of sessions follow it, so that
//! one wrong clock does no harm, on the leader too. Pure, except for [`ClusterClock::now_ms`].
//!
//! Every wall clock is kept as its *base*: how far it is ahead of this replica's own steady clock, which nobody
//! can set. A wall clock that is set while the replica runs shows as a base that jumps. Cluster time is the
//! steady clock plus the median of the bases. Of an even number of bases the lower middle one counts: time that
//! is behind recovers when the clock is set, but time that is ahead has ended sessions and given stamps that
//! all later stamps must exceed. So two replicas that differ follow the clock that is behind.
//!
//! A jump counts only after it has lasted for [`JUMP_HOLD`]: a replica that is alone has only its own clock,
//! and the most common wrong clock is one that is set back a little later.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use tercet_core::id::{ReplicaId, Time};

use crate::clock;

/// The offset beyond which a replica's clock is reported, microseconds. Clocks set by a time service are within
/// some milliseconds; from a second on people see messages in an odd order.
pub(crate) const OFFSET_MAX: i64 = 1_000_000;
/// A larger change against the steady clock means that the wall clock was set, microseconds. A time service
/// that slews stays far below.
const JUMP_MAX: i64 = 1_000_000;
/// The time that a jump must last before it counts, microseconds: five minutes. Longer than a wrong time that is
/// soon corrected; short enough for a host that had no time when it started.
pub(crate) const JUMP_HOLD: u64 = 300_000_000;
/// The start of 2025, microseconds since 1970. A wall clock before it was never set, so a step away from it
/// counts at once.
const NEVER_SET: i64 = 1_735_689_600_000_000;
/// The time for which the clock of a disconnected replica counts, microseconds: one day. By then the steady clocks of two
/// hosts differ by some seconds.
const REMEMBER: u64 = 86_400_000_000;
/// The drift of two steady clocks that are each wrong by 100 parts in a million: one part in 5,000.
const DRIFT_ONE_IN: u64 = 5_000;
/// The greatest delay between making and receiving a hello, microseconds; its wall clock may be behind by as
/// much.
pub(crate) const HELLO_ERROR: i64 = 2_000_000;
/// The limit of bases and stamps, so that sums stay in range.
const BASE_MAX: i64 = i64::MAX / 4;

/// One reading of a wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The wall clock less this replica's steady clock, microseconds.
    base: i64,
    /// The error bound of `base`, either way, microseconds.
    error: i64,
    /// The steady time of the reading.
    at: Time,
}

impl Reading {
    /// Makes a reading of a clock that showed `wall` microseconds since 1970 at a moment between `asked` and
    /// `told`.
    pub(crate) fn between(asked: Time, told: Time, wall: i64) -> Reading {
        let half = told.since(asked) / 2;
        let middle = asked.0.saturating_add(half);
        Reading {
            base: base(wall, middle),
            error: i64::try_from(half).unwrap_or(i64::MAX / 4),
            at: told,
        }
    }

    /// Makes a reading from the `wall` clock in a hello that arrived `now`.
    pub(crate) fn of_hello(wall: i64, now: Time) -> Reading {
        Reading {
            base: base(wall, now.0),
            error: HELLO_ERROR,
            at: now,
        }
    }
}

fn base(wall: i64, steady: u64) -> i64 {
    let steady = i64::try_from(steady).unwrap_or(i64::MAX);
    let base = wall.saturating_sub(steady);
    base.clamp(-BASE_MAX, BASE_MAX)
}

/// One replica's wall clock.
#[derive(Debug)]
struct Source {
    /// The newest reading.
    latest: Reading,
    /// The reading that cluster time uses.
    followed: Reading,
    /// The time since which the two differ by a jump.
    jumped_at: Option<Time>,
}

impl Source {
    fn new(reading: Reading) -> Source {
        Source {
            latest: reading,
            followed: reading,
            jumped_at: None,
        }
    }

    fn note(&mut self, reading: Reading) {
        let age = reading.at.since(self.latest.at) / DRIFT_ONE_IN;
        let age = i64::try_from(age).unwrap_or(i64::MAX);
        let error = self.latest.error.saturating_add(age);
        let moved = (reading.base - self.latest.base).abs();
        // A reading with a longer round trip says less, unless the clock was set meanwhile.
        if reading.error <= error || moved > error.saturating_add(reading.error) {
            self.latest = reading;
        }
        self.follow(reading.at);
    }

    fn follow(&mut self, now: Time) {
        let (latest, followed) = (self.latest, self.followed);
        let noise = latest.error.saturating_add(followed.error);
        let jumped = (latest.base - followed.base).abs() > noise.saturating_add(JUMP_MAX);
        let since = match jumped {
            true => *self.jumped_at.get_or_insert(now),
            false => now,
        };
        let was_never_set = base_to_wall(followed.base, now) < NEVER_SET;
        if !jumped || was_never_set || now.since(since) >= JUMP_HOLD {
            self.followed = latest;
            self.jumped_at = None;
        }
    }
}

fn base_to_wall(base: i64, now: Time) -> i64 {
    base.saturating_add(i64::try_from(now.0).unwrap_or(i64::MAX))
}

/// The offset of a replica's wall clock from cluster time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset {
    /// Microseconds ahead; negative when behind.
    pub(crate) ahead: i64,
    /// The error bound of `ahead`, either way, microseconds.
    pub(crate) error: i64,
}

impl Offset {
    /// Tells whether the offset exceeds [`OFFSET_MAX`], whatever the error is.
    pub(crate) fn is_out(self) -> bool {
        self.ahead.saturating_abs() > OFFSET_MAX.saturating_add(self.error)
    }

    /// Tells whether the offset is within half of [`OFFSET_MAX`].
    pub(crate) fn is_well(self) -> bool {
        self.ahead.saturating_abs() <= OFFSET_MAX / 2
    }
}

/// All wall clocks that a replica has read, its own among them.
#[derive(Debug)]
pub(crate) struct Clocks {
    own_id: ReplicaId,
    sources: BTreeMap<ReplicaId, Source>,
}

impl Clocks {
    /// Starts with this replica's own clock; `wall` is microseconds since 1970.
    pub(crate) fn new(own_id: ReplicaId, wall: i64, now: Time) -> Clocks {
        let own = Source::new(Reading::between(now, now, wall));
        Clocks {
            own_id,
            sources: [(own_id, own)].into(),
        }
    }

    pub(crate) fn note(&mut self, id: ReplicaId, reading: Reading) {
        match self.sources.get_mut(&id) {
            Some(source) => source.note(reading),
            None => _ = self.sources.insert(id, Source::new(reading)),
        }
    }

    /// Forgets replicas outside the cluster, and clocks that were not read for a day.
    pub(crate) fn retain(&mut self, now: Time, belongs: impl Fn(ReplicaId) -> bool) {
        let own_id = self.own_id;
        self.sources.retain(|&id, source| {
            let recent = now.since(source.latest.at) <= REMEMBER;
            id == own_id || recent && belongs(id)
        });
    }

    /// Corrects for a steady clock that stood still for `lost` microseconds: all other clocks are further ahead
    /// of it than before.
    pub(crate) fn lost_time(&mut self, lost: u64) {
        let lost = i64::try_from(lost).unwrap_or(i64::MAX);
        for source in self.sources.values_mut() {
            for reading in [&mut source.latest, &mut source.followed] {
                let base = reading.base.saturating_add(lost);
                reading.base = base.clamp(-BASE_MAX, BASE_MAX);
            }
        }
    }

    /// Gives cluster time less the steady clock, microseconds.
    pub(crate) fn base(&self) -> i64 {
        let bases = self.sources.values().map(|source| source.followed.base);
        lower_median(bases.collect())
    }

    pub(crate) fn offsets(&self) -> BTreeMap<ReplicaId, Offset> {
        let base = self.base();
        let offset = |source: &Source| Offset {
            ahead: source.latest.base - base,
            error: source.latest.error,
        };
        let offsets = self.sources.iter();
        offsets.map(|(&id, source)| (id, offset(source))).collect()
    }

    /// Tells whether more than half of `replicas`, and at least two, agree with cluster time.
    pub(crate) fn agree(&self, replicas: usize) -> bool {
        let offsets = self.offsets();
        let well = offsets.values().filter(|offset| !offset.is_out()).count();
        well >= 2 && 2 * well > replicas
    }
}

/// Gives the lower median.
///
/// # Panics
/// When there are no bases.
fn lower_median(mut bases: Vec<i64>) -> i64 {
    bases.sort_unstable();
    bases[(bases.len() - 1) / 2]
}

/// The clocks as `cluster status` shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) offsets: BTreeMap<ReplicaId, Offset>,
    /// Whether most replicas of the cluster agree on cluster time.
    pub(crate) agree: bool,
    /// The greatest stamp that this replica has seen, milliseconds since 1970.
    pub(crate) last_stamp_ms: i64,
}

/// Cluster time as the driver computes it, for all readers. Cheap to clone; all clones are the same clock.
#[derive(Clone)]
pub(crate) struct ClusterClock {
    inner: Arc<Inner>,
}

struct Inner {
    base: AtomicI64,
    shown: Mutex<Shown>,
}

impl ClusterClock {
    /// Makes a clock that shows this replica's own wall clock until another clock is known.
    pub(crate) fn new() -> ClusterClock {
        let base = base(clock::wall_us(), clock::now().0);
        ClusterClock {
            inner: Arc::new(Inner {
                base: AtomicI64::new(base),
                shown: Mutex::default(),
            }),
        }
    }

    /// Gives cluster time, milliseconds since the Unix epoch. It may step back a little when another clock
    /// becomes known.
    pub(crate) fn now_ms(&self) -> i64 {
        base_to_wall(self.inner.base.load(Ordering::Relaxed), clock::now()) / 1_000
    }

    pub(crate) fn set(&self, base: i64, shown: Shown) {
        self.inner.base.store(base, Ordering::Relaxed);
        let before = self.inner.shown.lock();
        *before.unwrap_or_else(PoisonError::into_inner) = shown;
    }

    pub(crate) fn shown(&self) -> Shown {
        let shown = self.inner.shown.lock();
        shown.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The stamps that a leader gives: cluster time, and never less than the stamp before.
///
/// Where the last stamp is ahead, because an earlier build followed a wrong clock, stamps advance at half the
/// speed of time at most, by one millisecond a command. Times differ then, their order stays, and the gap
/// closes.
#[derive(Debug)]
pub(crate) struct Stamps {
    last_ms: i64,
    moved_at: Time,
}

/// The time between two steps of stamps that are ahead, microseconds: half the speed of time.
const SLOW_STEP: u64 = 2_000;

impl Stamps {
    /// Continues after `last_ms`, the greatest stamp in the state.
    pub(crate) fn new(last_ms: i64) -> Stamps {
        Stamps {
            last_ms,
            moved_at: Time(0),
        }
    }

    /// Gives the greatest stamp that was given or applied.
    pub(crate) fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// Notes a stamp that was applied, which an earlier leader may have given.
    pub(crate) fn applied(&mut self, stamp_ms: i64) {
        self.last_ms = self.last_ms.max(stamp_ms);
    }

    /// Gives the stamp of a command made `now`, when cluster time is `time_ms`.
    pub(crate) fn next(&mut self, time_ms: i64, now: Time) -> i64 {
        if time_ms > self.last_ms {
            self.last_ms = time_ms;
            self.moved_at = now;
        } else if time_ms < self.last_ms && now.since(self.moved_at) >= SLOW_STEP {
            self.last_ms = self.last_ms.saturating_add(1);
            self.moved_at = now;
        }
        self.last_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;
    /// In November 2026.
    const NOW: i64 = 1_795_824_000_000_000;
    const ME: ReplicaId = ReplicaId(1);

    fn read(seconds: u64, wall: i64) -> Reading {
        let at = Time(seconds * 1_000_000);
        Reading::between(at, at, wall)
    }

    /// Clocks that are this far from the right time, the first of them this replica's own.
    fn clocks(ahead: &[i64]) -> Clocks {
        let mut clocks = Clocks::new(ME, NOW + ahead[0], Time(0));
        for (id, ahead) in (2..).zip(&ahead[1..]) {
            clocks.note(ReplicaId(id), read(0, NOW + ahead));
        }
        clocks
    }

    #[test]
    fn one_wrong_clock_does_not_count() {
        assert_eq!(clocks(&[40 * DAY, 0, 1_000]).base(), NOW + 1_000);
        assert_eq!(clocks(&[0, 40 * DAY, 1_000]).base(), NOW + 1_000);
        assert_eq!(clocks(&[-40 * DAY, 1_000, 0]).base(), NOW);
        assert_eq!(
            clocks(&[40 * DAY, 0, 2_000, 1_000, -DAY]).base(),
            NOW + 1_000
        );
    }

    #[test]
    fn of_two_clocks_the_one_that_is_behind_counts() {
        assert_eq!(clocks(&[40 * DAY, 0]).base(), NOW);
        assert_eq!(clocks(&[0, 40 * DAY]).base(), NOW);
        assert_eq!(clocks(&[40 * DAY, 40 * DAY, 0, 0]).base(), NOW);
        assert_eq!(clocks(&[7]).base(), NOW + 7, "a lone one");
    }

    #[test]
    fn clocks_agree_when_more_than_half_of_the_replicas_say_the_same() {
        assert!(clocks(&[0, 1_000, 40 * DAY]).agree(3));
        assert!(clocks(&[0, 1_000]).agree(3));
        assert!(clocks(&[0, 1_000]).agree(2));
        assert!(!clocks(&[0, 40 * DAY]).agree(2));
        assert!(!clocks(&[0]).agree(3));
        assert!(!clocks(&[0]).agree(1), "one alone cannot tell");
        assert!(!clocks(&[0, 1_000]).agree(5));
    }

    #[test]
    fn offsets_say_whose_clock_is_out() {
        let clocks = clocks(&[0, 40 * DAY, 900_000]);
        let offsets = clocks.offsets();
        let ahead: Vec<i64> = offsets.values().map(|offset| offset.ahead).collect();
        assert_eq!(ahead, [-900_000, 40 * DAY - 900_000, 0]);
        let out: Vec<bool> = offsets.values().map(|offset| offset.is_out()).collect();
        assert_eq!(out, [false, true, false]);
    }

    #[test]
    fn a_lone_clock_that_is_set_ahead_and_back_is_not_followed() {
        let mut clocks = clocks(&[0]);
        clocks.note(ME, read(10, NOW + 40 * DAY + 10_000_000));
        assert_eq!(clocks.base(), NOW);
        assert_eq!(clocks.offsets()[&ME].ahead, 40 * DAY, "it is seen");
        clocks.note(ME, read(299, NOW + 40 * DAY + 299_000_000));
        assert_eq!(clocks.base(), NOW);
        clocks.note(ME, read(300, NOW + 300_000_000));
        assert_eq!(clocks.base(), NOW);
        // The hold starts again.
        clocks.note(ME, read(301, NOW + 40 * DAY + 301_000_000));
        clocks.note(ME, read(600, NOW + 40 * DAY + 600_000_000));
        assert_eq!(clocks.base(), NOW);
        clocks.note(ME, read(601, NOW + 40 * DAY + 601_000_000));
        assert_eq!(clocks.base(), NOW + 40 * DAY, "it has lasted");
    }

    #[test]
    fn a_steady_clock_that_stood_still_is_no_jump_of_the_others() {
        let hour = 3_600_000_000;
        let mut clocks = clocks(&[0, 0, 1_000]);
        clocks.lost_time(hour as u64);
        assert_eq!(clocks.base(), NOW + hour);
        // The other clocks advance; this host's wall clock stood still too, until it is set.
        clocks.note(ReplicaId(2), read(1, NOW + hour + 1_000_000));
        clocks.note(ReplicaId(3), read(1, NOW + hour + 1_001_000));
        clocks.note(ME, read(1, NOW + 1_000_000));
        assert_eq!(clocks.base(), NOW + hour);
        assert_eq!(clocks.offsets()[&ME].ahead, -hour);
        clocks.note(ME, read(9, NOW + hour + 9_000_000));
        assert_eq!(clocks.base(), NOW + hour);
        assert_eq!(clocks.offsets()[&ME].ahead, 0);
    }

    #[test]
    fn small_steps_and_a_clock_that_was_never_set_are_followed_at_once() {
        let mut clocks = clocks(&[0]);
        clocks.note(ME, read(10, NOW + 10_900_000));
        assert_eq!(clocks.base(), NOW + 900_000);
        let mut unset = Clocks::new(ME, 5_000_000, Time(0));
        unset.note(ME, read(10, NOW));
        assert_eq!(unset.base(), NOW - 10_000_000);
    }

    #[test]
    fn a_reading_that_took_long_does_not_replace_a_better_one_unless_the_clock_was_set() {
        let mut clocks = clocks(&[0]);
        let peer = ReplicaId(2);
        let slow = |from: u64, to: u64, wall| Reading::between(Time(from), Time(to), wall);
        clocks.note(peer, Reading::of_hello(NOW - 500_000, Time(0)));
        clocks.note(peer, slow(1_000_000, 1_000_400, NOW + 1_000_200));
        assert_eq!(clocks.offsets()[&peer].error, 200);
        clocks.note(peer, slow(2_000_000, 2_900_000, NOW + 2_880_000));
        assert_eq!(clocks.offsets()[&peer].error, 200);
        clocks.note(peer, slow(3_000_000, 3_900_000, NOW + DAY + 3_450_000));
        assert_eq!(clocks.offsets()[&peer].error, 450_000);
        assert_eq!(clocks.offsets()[&peer].ahead, DAY);
    }

    #[test]
    fn whoever_is_away_counts_for_a_day_and_who_was_removed_not_at_all() {
        let mut clocks = clocks(&[40 * DAY, 0, 0]);
        clocks.retain(Time(DAY as u64), |_| true);
        assert_eq!(clocks.base(), NOW);
        clocks.retain(Time(DAY as u64), |id| id != ReplicaId(2));
        assert_eq!(clocks.offsets().len(), 2);
        clocks.retain(Time(DAY as u64 + 1), |_| true);
        assert_eq!(clocks.base(), NOW + 40 * DAY, "only its own is left");
    }

    #[test]
    fn bytes_from_a_network_do_no_harm() {
        let mut clocks = clocks(&[0, 0]);
        for (id, wall) in (2..).zip([i64::MIN, i64::MAX, 0, -1]) {
            for _ in 0..2 {
                clocks.note(ReplicaId(id), Reading::of_hello(wall, Time(u64::MAX)));
                clocks.note(ReplicaId(id), Reading::between(Time(9), Time(1), wall));
                let far = Reading::between(Time(0), Time(u64::MAX), wall);
                clocks.note(ReplicaId(id), far);
                let _ = (clocks.offsets(), clocks.agree(3));
            }
        }
    }

    #[test]
    fn stamps_follow_time_and_never_go_back() {
        let mut stamps = Stamps::new(1_000);
        assert_eq!(stamps.next(5_000, Time(0)), 5_000);
        assert_eq!(stamps.next(5_000, Time(900)), 5_000);
        assert_eq!(stamps.next(5_001, Time(1_000)), 5_001);
        stamps.applied(5_010);
        assert_eq!(
            stamps.next(5_002, Time(2_000)),
            5_010,
            "too soon for a step"
        );
        assert_eq!(stamps.next(5_020, Time(20_000)), 5_020);
    }

    #[test]
    fn stamps_that_are_ahead_differ_and_come_closer_to_time() {
        let ahead = 40 * DAY / 1_000;
        // One command in ten milliseconds, and a hundred in one.
        for (every_us, commands, most) in [(10_000, 1_000, 1_000), (10, 1_000_000, 5_000)] {
            let mut stamps = Stamps::new(ahead);
            let mut before = ahead;
            let mut different = 0;
            for command in 1..=commands {
                let now = Time(command * every_us);
                let time_ms = i64::try_from(now.0 / 1_000).unwrap();
                let stamp = stamps.next(time_ms, now);
                assert!(stamp >= before);
                different += i64::from(stamp > before);
                before = stamp;
            }
            assert_eq!(different, most);
            assert_eq!(before, ahead + most, "10 s have passed");
        }
        assert_eq!(Stamps::new(i64::MAX).next(1, Time(9_000)), i64::MAX);
    }
}
