//! How long a disk takes: that of each other replica as its leader times it, from an Append to the
//! acknowledgement, and a replica's own. A disk that is slow, while the others are not, makes every write
//! wait; its replica leaves the view, and returns when the disk is fast again.

use crate::id::Time;

/// A disk is slow after this number of late answers, one after the other; the last may still be missing.
const LATE_MIN: u32 = 3;

/// A slow disk takes this many times as long as each of the disks that stay, or more.
pub(crate) const TIMES_SLOWER: u64 = 4;

/// A replica that left the view for its slow disk returns this long after its last late answer, microseconds,
/// and after twice the time each time that it left again.
const RETURN_AFTER: u64 = 10_000_000;

/// The time doubles this often at most: to 320 s.
const DOUBLINGS_MAX: u32 = 5;

/// A replica that was a member for this long begins with the shortest time again, microseconds.
const FORGIVEN_AFTER: u64 = 600_000_000;

/// The answers of one disk. One write is timed at a time; writes are numbered upwards.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latency {
    /// The write whose answer is timed, and when it was sent.
    timed: Option<(u64, Time)>,
    /// How long the last answer took, microseconds.
    last: u64,
    /// The late answers since the last that was in time.
    late: Option<Late>,
    /// When the last answer came that was late for a replica in this one's place.
    late_at: Option<Time>,
    /// Whether the replica left the view for its slow disk, and is no member since.
    out: bool,
    /// How often it left.
    departures: u32,
    /// When it returned last.
    back_at: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Late {
    /// When the first of these writes was sent.
    since: Time,
    count: u32,
    /// The shortest of these times, microseconds.
    least: u64,
}

impl Latency {
    /// A write is on its way to the disk.
    pub(crate) fn started(&mut self, write: u64, now: Time) {
        self.timed.get_or_insert((write, now));
    }

    /// Everything up to that write is on the disk. An answer is late after `limit` microseconds.
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

    /// The write under way will not be timed: its replica was away, or this one slept.
    pub(crate) fn interrupted(&mut self) {
        self.timed = None;
    }

    /// What was measured does not count any more.
    pub(crate) fn forget(&mut self) {
        self.timed = None;
        self.late = None;
    }

    /// How long an answer takes, microseconds: the last, or the one under way if that is longer already.
    pub(crate) fn takes(&self, now: Time) -> u64 {
        self.last.max(self.waits(now))
    }

    fn waits(&self, now: Time) -> u64 {
        self.timed.map_or(0, |(_, since)| now.since(since))
    }

    /// If every answer of late took longer than `limit`, for `span` microseconds or more: the shortest time.
    pub(crate) fn slow(&self, limit: u64, span: u64, now: Time) -> Option<u64> {
        let late = self.late?;
        let count = late.count + u32::from(self.waits(now) > limit);
        (count >= LATE_MIN && now.since(late.since) >= span).then_some(late.least)
    }

    /// Whether this disk is much faster than one that takes so many microseconds.
    pub(crate) fn is_faster_than(&self, slow: u64, now: Time) -> bool {
        self.takes(now).saturating_mul(TIMES_SLOWER) <= slow
    }

    /// The replica leaves the view for its slow disk.
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

    /// The replica left another leader's view, or the lead, for its slow disk: so often, the last time then.
    pub(crate) fn left_before(&mut self, departures: u32, at: Time) {
        self.departures = departures;
        self.out = true;
        self.late_at = Some(at);
    }

    /// The replica is a member again.
    pub(crate) fn returns(&mut self, now: Time) {
        self.late = None;
        if core::mem::take(&mut self.out) {
            self.back_at = Some(now);
        }
    }

    /// Whether the replica left the view for its slow disk, and is no member since.
    pub(crate) fn is_out(&self) -> bool {
        self.out
    }

    /// Whether the replica may not join the view yet: it left it, or came to this leader, with a slow disk.
    pub(crate) fn is_kept_out(&self, limit: u64, span: u64, now: Time) -> bool {
        let wait = match self.out {
            true => RETURN_AFTER << (self.departures.max(1) - 1).min(DOUBLINGS_MAX),
            false => span,
        };
        let late = self.late_at.is_some_and(|at| now.since(at) < wait);
        late || self.waits(now) > self.limit(limit)
    }

    /// To return a disk must be twice as fast as one that may stay.
    fn limit(&self, limit: u64) -> u64 {
        if self.out { limit / 2 } else { limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const SPAN: u64 = 5 * SECOND;

    /// Writes one after the other that take so many microseconds each; when the last is answered.
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
