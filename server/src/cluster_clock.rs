//! Cluster time: what most replicas' wall clocks say. Stamps and the ends of sessions follow it, so that one clock
//! that is set wrong does no harm, on the leader too. Pure, but for [`ClusterClock::now_ms`].
//!
//! Every wall clock is kept as its *base*: how far it is ahead of this replica's own steady clock, which nobody
//! can set. A wall clock that is set while the replica runs shows as a base that jumps. Cluster time is the
//! steady clock plus the median of the bases. Of an even number the lower of the two in the middle counts: time
//! that is behind heals when the clock is set, and time that is ahead has ended sessions and given stamps that
//! everything later must exceed. So two replicas that differ follow the one that is behind.
//!
//! A jump counts only once it has lasted ([`JUMP_HOLD`]): a replica that knows no other clock has only its own, and
//! the commonest wrong clock is one that is set back a little later.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use tercet_core::id::{ReplicaId, Time};

use crate::clock;

/// A replica's clock that is out by more is told of, microseconds. Clocks that a time service sets are within some
/// milliseconds; by a second people see messages in an odd order.
pub(crate) const OFFSET_MAX: i64 = 1_000_000;
/// A clock that moves by more against the steady clock was set, microseconds. A time service that slews
/// stays far below.
const JUMP_MAX: i64 = 1_000_000;
/// How long such a jump must last before it counts, microseconds: five minutes. Longer than a wrong time
/// that somebody sets and takes back; short enough for a host that had no time when it started.
pub(crate) const JUMP_HOLD: u64 = 300_000_000;
/// A wall clock before 2025 was never set: a step away from there counts at once. Microseconds since 1970.
const NEVER_SET: i64 = 1_735_689_600_000_000;
/// The clock of a replica that is away counts for a day, microseconds: by then the steady clocks of two hosts differ
/// by some seconds.
const REMEMBER: u64 = 86_400_000_000;
/// Two steady clocks that are each wrong by 100 parts in a million differ by one part in so many.
const DRIFT_ONE_IN: u64 = 5_000;
/// What the wall clock in a hello may be behind: the hello can have waited so long. Microseconds.
pub(crate) const HELLO_ERROR: i64 = 2_000_000;
/// No base and no stamp is further from zero than half the range: sums stay within it.
const BASE_MAX: i64 = i64::MAX / 4;

/// A wall clock as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The wall clock less this replica's steady clock, microseconds.
    base: i64,
    /// How far that may be wrong, either way, microseconds.
    error: i64,
    /// When it was read, by the steady clock.
    at: Time,
}

impl Reading {
    /// A clock that showed `wall` microseconds since 1970, at a moment between `asked` and `told`.
    pub(crate) fn between(asked: Time, told: Time, wall: i64) -> Reading {
        let half = told.since(asked) / 2;
        let middle = asked.0.saturating_add(half);
        Reading {
            base: base(wall, middle),
            error: i64::try_from(half).unwrap_or(i64::MAX / 4),
            at: told,
        }
    }

    /// A clock that showed `wall` when its hello was made, which came `now`.
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
    /// What it says.
    latest: Reading,
    /// What counts.
    followed: Reading,
    /// Since when the two differ by a jump.
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
        // A reading that took longer says less, unless the clock was set meanwhile.
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

/// How far a replica's wall clock is ahead of cluster time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset {
    /// Negative: behind. Microseconds.
    pub(crate) ahead: i64,
    /// How far that may be wrong, either way, microseconds.
    pub(crate) error: i64,
}

impl Offset {
    /// Whether the clock is out by more than [`OFFSET_MAX`], whatever the error is.
    pub(crate) fn is_out(self) -> bool {
        self.ahead.saturating_abs() > OFFSET_MAX.saturating_add(self.error)
    }

    /// Whether it is within half of that.
    pub(crate) fn is_well(self) -> bool {
        self.ahead.saturating_abs() <= OFFSET_MAX / 2
    }
}

/// All wall clocks that a replica knows, its own among them.
#[derive(Debug)]
pub(crate) struct Clocks {
    me: ReplicaId,
    sources: BTreeMap<ReplicaId, Source>,
}

impl Clocks {
    /// `wall` is this replica's own, microseconds since 1970.
    pub(crate) fn new(me: ReplicaId, wall: i64, now: Time) -> Clocks {
        let own = Source::new(Reading::between(now, now, wall));
        Clocks {
            me,
            sources: [(me, own)].into(),
        }
    }

    pub(crate) fn note(&mut self, id: ReplicaId, reading: Reading) {
        match self.sources.get_mut(&id) {
            Some(source) => source.note(reading),
            None => _ = self.sources.insert(id, Source::new(reading)),
        }
    }

    /// Forgets replicas that do not belong, and clocks that were not read for a day.
    pub(crate) fn retain(&mut self, now: Time, belongs: impl Fn(ReplicaId) -> bool) {
        let me = self.me;
        self.sources.retain(|&id, source| {
            let recent = now.since(source.latest.at) <= REMEMBER;
            id == me || recent && belongs(id)
        });
    }

    /// The steady clock stood still for so many microseconds: all other clocks are further ahead of it than before.
    pub(crate) fn lost_time(&mut self, lost: u64) {
        let lost = i64::try_from(lost).unwrap_or(i64::MAX);
        for source in self.sources.values_mut() {
            for reading in [&mut source.latest, &mut source.followed] {
                let base = reading.base.saturating_add(lost);
                reading.base = base.clamp(-BASE_MAX, BASE_MAX);
            }
        }
    }

    /// Cluster time less the steady clock, microseconds.
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

    /// Whether cluster time is what more than half of `replicas` say, and not one alone.
    pub(crate) fn agree(&self, replicas: usize) -> bool {
        let offsets = self.offsets();
        let well = offsets.values().filter(|offset| !offset.is_out()).count();
        well >= 2 && 2 * well > replicas
    }
}

/// # Panics
/// When there are none.
fn lower_median(mut bases: Vec<i64>) -> i64 {
    bases.sort_unstable();
    bases[(bases.len() - 1) / 2]
}

/// What is shown of the clocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) offsets: BTreeMap<ReplicaId, Offset>,
    /// Whether most replicas of the cluster agree on cluster time.
    pub(crate) agree: bool,
    /// The greatest stamp that is known here, milliseconds since 1970.
    pub(crate) last_stamp_ms: i64,
}

/// Cluster time, as the driver finds it, for all who ask. Cheap to clone; all clones are the same clock.
#[derive(Clone)]
pub(crate) struct ClusterClock {
    inner: Arc<Inner>,
}

struct Inner {
    base: AtomicI64,
    shown: Mutex<Shown>,
}

impl ClusterClock {
    /// As long as no other clock is known, it is this replica's own.
    pub(crate) fn new() -> ClusterClock {
        let base = base(clock::wall_us(), clock::now().0);
        ClusterClock {
            inner: Arc::new(Inner {
                base: AtomicI64::new(base),
                shown: Mutex::default(),
            }),
        }
    }

    /// Milliseconds since the Unix epoch. A small step back is possible when another clock comes to be known.
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
/// Where the last stamp is ahead, as a wrong clock of an earlier build has left it, time goes on from there at
/// half its speed at most, a millisecond a command: instants differ, their order is kept, and the gap closes.
#[derive(Debug)]
pub(crate) struct Stamps {
    last_ms: i64,
    moved_at: Time,
}

/// Between two steps of stamps that are ahead, microseconds: half the speed of time.
const SLOW_STEP: u64 = 2_000;

impl Stamps {
    /// `last_ms` is the greatest stamp in the state.
    pub(crate) fn new(last_ms: i64) -> Stamps {
        Stamps {
            last_ms,
            moved_at: Time(0),
        }
    }

    /// The greatest stamp that was given or applied.
    pub(crate) fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// A stamp was applied: what a leader before this one gave, perhaps.
    pub(crate) fn applied(&mut self, stamp_ms: i64) {
        self.last_ms = self.last_ms.max(stamp_ms);
    }

    /// The stamp of a command that is made `now`, when cluster time is `time_ms`.
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
        // Anew from the beginning.
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
        // The others go on; this host's wall clock stood still too, until it is set.
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
