//! The latency of disks: of each other replica's disk, as its leader times it from an Append to the acknowledgement,
//! and of the replica's own. One slow disk among fast ones makes every write wait; its replica leaves the view, and
//! returns when the disk is fast again.

use crate::id::Time;

/// The number of consecutive late answers that make a disk slow; the last of them may still be missing.
const LATE_MIN: u32 = 3;

/// The least ratio between the latency of a slow disk and that of each disk that stays.
pub(crate) const TIMES_SLOWER: u64 = 4;

/// The time after its last late answer until a replica that left the view for its slow disk returns, microseconds. It
/// doubles each time that the replica leaves again.
const RETURN_AFTER: u64 = 10_000_000;

/// The most doublings of that time: it grows to 320 s.
const DOUBLINGS_MAX: u32 = 5;

/// The time as a member after which a replica begins with the shortest time again, microseconds.
const FORGIVEN_AFTER: u64 = 600_000_000;

/// The answers of one disk. One write is timed at a time; writes are numbered in ascending order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latency {
    /// The write whose answer is timed, and the time at which it was sent.
    timed: Option<(u64, Time)>,
    /// The latency of the last answer, microseconds.
    last: u64,
    /// The late answers since the last one in time.
    late: Option<Late>,
    /// The time of the last answer that was late by the limit for this replica at that time.
    late_at: Option<Time>,
    /// True if the replica left the view for its slow disk, and is no member since.
    out: bool,
    /// The number of times that it left the view for its disk.
    departures: u32,
    /// The time of its last return.
    back_at: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Late {
    /// The time at which the first of these writes was sent.
    since: Time,
    count: u32,
    /// The shortest latency of these answers, microseconds.
    least: u64,
}

impl Latency {
    /// Notes that a write was sent to the disk; timed unless another write is.
    pub(crate) fn started(&mut self, write: u64, now: Time) {
        self.timed.get_or_insert((write, now));
    }

    /// Notes that all writes up to `write` are on the disk. An answer is late after `limit` microseconds.
    pub(crate) fn finished(&mut self, write: u64, limit: u64, now: Time) {
        let Some((_, since)) = self.timed.take_if(|(timed, _)| *timed <= write) else {
            return;
        };
        let took = now.since(since);
        self.last = took;
        if took > self.limit(limit) {
            self.late_at = Some(now);
        }
        if took <= limit {
            self.late = None;
            return;
        }
        let late = self.late.get_or_insert(Late {
            since,
            count: 0,
            least: took,
        });
        late.count = late.count.saturating_add(1);
        late.least = late.least.min(took);
    }

    /// Stops timing the present write, because its replica was disconnected or this one slept.
    pub(crate) fn interrupted(&mut self) {
        self.timed = None;
    }

    /// Forgets the write that is timed and the late answers.
    pub(crate) fn forget(&mut self) {
        self.timed = None;
        self.late = None;
    }

    /// Gives the latency, microseconds: of the last answer, or of the one that is missing if that takes longer
    /// already.
    pub(crate) fn takes(&self, now: Time) -> u64 {
        self.last.max(self.waits(now))
    }

    fn waits(&self, now: Time) -> u64 {
        self.timed.map_or(0, |(_, since)| now.since(since))
    }

    /// Gives the shortest latency of the late answers, if the disk is slow: all answers for at least `span`
    /// microseconds took longer than `limit`, and they are at least `LATE_MIN`.
    pub(crate) fn slow(&self, limit: u64, span: u64, now: Time) -> Option<u64> {
        let late = self.late?;
        let count = late.count + u32::from(self.waits(now) > limit);
        (count >= LATE_MIN && now.since(late.since) >= span).then_some(late.least)
    }

    /// Tells whether this disk is much faster than one with a latency of `slow` microseconds.
    pub(crate) fn is_faster_than(&self, slow: u64, now: Time) -> bool {
        self.takes(now).saturating_mul(TIMES_SLOWER) <= slow
    }

    /// Notes that the replica leaves the view for its slow disk.
    pub(crate) fn leaves(&mut self, now: Time) {
        let forgiven = |back: Time| now.since(back) > FORGIVEN_AFTER;
        if self.back_at.is_some_and(forgiven) {
            self.departures = 0;
        }
        self.departures = self.departures.saturating_add(u32::from(!self.out));
        self.out = true;
        self.late = None;
        self.late_at = Some(now);
    }

    /// Notes that the replica left another leader's view, or resigned, for its slow disk `departures` times, the last
    /// time at `at`.
    pub(crate) fn left_before(&mut self, departures: u32, at: Time) {
        self.departures = departures;
        self.out = true;
        self.late_at = Some(at);
    }

    /// Notes that the replica is a member again.
    pub(crate) fn returns(&mut self, now: Time) {
        self.late = None;
        if core::mem::take(&mut self.out) {
            self.back_at = Some(now);
        }
    }

    /// Tells whether the replica left the view for its slow disk, and has not been a member since.
    pub(crate) fn is_out(&self) -> bool {
        self.out
    }

    /// Tells whether the replica may not join the view yet, because its disk was slow when it left, or lately with
    /// this leader.
    pub(crate) fn is_kept_out(&self, limit: u64, span: u64, now: Time) -> bool {
        let wait = match self.out {
            true => RETURN_AFTER << (self.departures.max(1) - 1).min(DOUBLINGS_MAX),
            false => span,
        };
        let late = self.late_at.is_some_and(|at| now.since(at) < wait);
        late || self.waits(now) > self.limit(limit)
    }

    /// Gives the limit for late answers: half of `limit` while the replica is out of the view for its disk.
    fn limit(&self, limit: u64) -> u64 {
        if self.out { limit / 2 } else { limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const SPAN: u64 = 5 * SECOND;

    /// Makes writes one after the other with these latencies in microseconds; gives the time of the last answer.
    fn writes(latency: &mut Latency, from: Time, times: &[u64]) -> Time {
        times.iter().fold(from, |now, &took| {
            latency.started(now.0, now);
            let end = now.after(took);
            latency.finished(now.0, SECOND, end);
            end
        })
    }

    #[test]
    fn three_late_answers_in_a_row_are_slow_and_the_last_may_be_missing() {
        let mut latency = Latency::default();
        let now = writes(&mut latency, Time(1), &[4 * SECOND, 3 * SECOND]);
        assert_eq!(latency.slow(SECOND, SPAN, now), None);
        latency.started(now.0, now);
        let now = now.after(SECOND + 1);
        assert_eq!(latency.slow(SECOND, SPAN, now), Some(3 * SECOND));
    }

    #[test]
    fn one_answer_in_time_begins_the_count_anew() {
        let mut latency = Latency::default();
        let times = [4 * SECOND, 4 * SECOND, SECOND / 10, 4 * SECOND, 4 * SECOND];
        let now = writes(&mut latency, Time(1), &times);
        assert_eq!(latency.slow(SECOND, SPAN, now), None);
    }

    #[test]
    fn short_row_of_late_answers_is_not_slow() {
        let mut latency = Latency::default();
        let now = writes(&mut latency, Time(1), &[SECOND + 1; 3]);
        assert_eq!(latency.slow(SECOND, SPAN, now), None);
        let now = writes(&mut latency, now, &[SECOND + 1; 2]);
        assert_eq!(latency.slow(SECOND, SPAN, now), Some(SECOND + 1));
    }

    #[test]
    fn who_left_returns_when_no_answer_was_late_for_long_and_later_each_time() {
        let mut latency = Latency::default();
        let mut now = writes(&mut latency, Time(1), &[2 * SECOND; 3]);
        for wait in [RETURN_AFTER, 2 * RETURN_AFTER] {
            latency.leaves(now);
            // Fast enough to stay is not fast enough to return.
            now = writes(&mut latency, now, &[6 * SECOND / 10]);
            let (early, due) = (now.after(wait - 1), now.after(wait));
            assert!(latency.is_kept_out(SECOND, SPAN, early));
            assert!(!latency.is_kept_out(SECOND, SPAN, due));
            latency.started(due.0, due);
            assert!(latency.is_kept_out(SECOND, SPAN, due.after(SECOND)));
            now = due.after(SECOND / 10);
            latency.finished(due.0, SECOND, now);
            latency.returns(now);
        }
        now = now.after(FORGIVEN_AFTER + 1);
        latency.leaves(now);
        assert!(!latency.is_kept_out(SECOND, SPAN, now.after(RETURN_AFTER)));
    }
}
