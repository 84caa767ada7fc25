//! For how long requests are remembered, by number and by time, and what becomes of ids that are older.

use std::collections::BTreeMap;

use super::*;
use crate::window::Limits;

const LIMITS: Limits = Limits {
    entries_min: 200,
    entries_max: 5_000,
    kept_ms: 600_000,
};

/// A UUID of version 7.
fn v7(made_ms: i64, number: u64) -> Bytes {
    let id = (made_ms as u128) << 80 | 7 << 76 | 0b10 << 62 | u128::from(number);
    request_id(id)
}

/// One of version 4.
fn v4(number: u64) -> Bytes {
    request_id(4 << 76 | 0b10 << 62 | u128::from(number))
}

/// A store with small limits, an account, and a clock of its own.
struct Timed {
    store: TestStore,
    ann: u64,
    /// Cluster time, and the stamps of the commands.
    now_ms: i64,
    sent: u64,
}

impl Timed {
    fn new(limits: Limits) -> Timed {
        let mut store = TestStore::new();
        let writer = &mut store.writer;
        writer.request_limits = limits;
        writer
            .connection
            .pragma_update(None, "synchronous", "OFF")
            .unwrap();
        let ann = store.register("ann");
        Timed {
            store,
            ann,
            now_ms: 1_000_000_000_000,
            sent: 0,
        }
    }

    fn command(&mut self, id: Bytes) -> Command {
        self.sent += 1;
        Command {
            request_id: id,
            stamp_ms: self.now_ms,
            version: 1,
            stamp_ahead_ms: 0,
            action: Some(send(self.ann, "ann", "hello")),
        }
    }

    /// So many messages, each so much later than the one before.
    fn others(&mut self, count: u64, step_ms: i64) {
        let mut left = count;
        while left > 0 {
            let some = left.min(500);
            let commands: Vec<_> = (0..some)
                .map(|_| {
                    self.now_ms += step_ms;
                    let id = v7(self.now_ms, 1_000_000 + self.sent);
                    self.command(id)
                })
                .collect();
            for applied in self.store.apply_all(&commands) {
                assert!(matches!(result(&applied), outcome::Result::MessageSent(_)));
            }
            left -= some;
        }
    }

    fn rows(&self) -> u64 {
        let sql = "SELECT count(*) FROM requests";
        raw(self.store.path())
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    }
}

#[test]
fn a_retry_within_the_time_gets_the_first_answer_however_many_came_between() {
    let mut timed = Timed::new(LIMITS);
    let first = timed.command(v7(timed.now_ms, 1));
    let old = timed.command(v4(1));
    let answers = timed.store.apply_all(&[first.clone(), old.clone()]);
    // Twenty times what is remembered at least, in nine minutes.
    timed.others(20 * LIMITS.entries_min, 135);
    for (command, answer) in [first, old].iter().zip(&answers) {
        let mut retry = command.clone();
        retry.stamp_ms = timed.now_ms;
        assert_eq!(timed.store.apply(&retry).outcome, answer.outcome);
    }
}

#[test]
fn an_id_that_says_that_it_may_be_forgotten_is_refused_and_others_are_new_requests() {
    let mut timed = Timed::new(LIMITS);
    let first = timed.command(v7(timed.now_ms, 1));
    let old = timed.command(v4(1));
    timed.store.apply_all(&[first.clone(), old.clone()]);
    timed.others(3 * LIMITS.entries_min, 2_000);
    assert!(timed.rows() < 2 * LIMITS.entries_min, "{}", timed.rows());

    let hash = |timed: &Timed| {
        let rows = "SELECT count(*) FROM messages";
        let count: u64 = raw(timed.store.path())
            .query_row(rows, [], |row| row.get(0))
            .unwrap();
        (count, timed.rows())
    };
    let before = hash(&timed);
    for _ in 0..2 {
        let mut retry = first.clone();
        retry.stamp_ms = timed.now_ms;
        assert_eq!(refused(&timed.store.apply(&retry)), Refusal::RequestTooOld);
    }
    assert_eq!(hash(&timed), before, "it is not recorded either");
    // An id of another version carries no time.
    let mut anew = old.clone();
    anew.stamp_ms = timed.now_ms;
    let anew = timed.store.apply(&anew);
    assert!(matches!(result(&anew), outcome::Result::MessageSent(sent) if sent.lsn == anew.lsn));
    // One whose maker's clock is a little behind is fresh.
    let id = v7(timed.now_ms - 100_000, 2);
    let fresh = timed.command(id);
    let fresh = timed.store.apply(&fresh);
    assert!(matches!(result(&fresh), outcome::Result::MessageSent(_)));
}

#[test]
fn an_old_id_is_taken_where_nothing_of_its_time_was_forgotten() {
    let mut timed = Timed::new(LIMITS);
    timed.others(LIMITS.entries_min / 2, 60_000);
    // A client whose clock is a year behind.
    let id = v7(timed.now_ms - 365 * 86_400_000, 1);
    let command = timed.command(id);
    let applied = timed.store.apply(&command);
    assert!(matches!(result(&applied), outcome::Result::MessageSent(_)));
}

#[test]
fn a_clock_that_jumps_does_not_empty_the_window_nor_refuse_what_is_fresh() {
    let mut timed = Timed::new(LIMITS);
    let first = timed.command(v7(timed.now_ms, 1));
    let answer = timed.store.apply(&first);
    timed.others(4 * LIMITS.entries_min, 100);
    // Forty days ahead. Then cluster time is right again, and the stamps are not.
    let right_ms = timed.now_ms;
    timed.now_ms += 40 * 86_400_000;
    timed.others(LIMITS.entries_min, 100);
    let ahead_ms = timed.now_ms - right_ms;
    let mut retry = first.clone();
    retry.stamp_ms = timed.now_ms;
    retry.stamp_ahead_ms = ahead_ms;
    assert_eq!(timed.store.apply(&retry).outcome, answer.outcome);
    // Time goes on until all of that is forgotten.
    for number in 0..10 * LIMITS.entries_min {
        timed.now_ms += 2_000;
        let id = v7(timed.now_ms - ahead_ms, 10 + number);
        let mut command = timed.command(id);
        command.stamp_ahead_ms = ahead_ms;
        let applied = timed.store.apply(&command);
        assert!(
            matches!(result(&applied), outcome::Result::MessageSent(_)),
            "{number}: {applied:?}"
        );
    }
    retry.stamp_ms = timed.now_ms;
    assert_eq!(refused(&timed.store.apply(&retry)), Refusal::RequestTooOld);
}

#[test]
fn too_many_are_forgotten_early_in_bounded_pieces_and_refused() {
    let mut timed = Timed::new(LIMITS);
    let first = timed.command(v7(timed.now_ms - 200_000, 1));
    timed.store.apply(&first);
    let mut before = timed.rows();
    for _ in 0..70 {
        timed.others(100, 1);
        let rows = timed.rows();
        assert!(rows <= LIMITS.entries_max + 1);
        // One command of these removes four steps of an entry each.
        assert!(before.saturating_sub(rows) <= 400, "{before}, {rows}");
        before = rows;
    }
    let mut retry = first;
    retry.stamp_ms = timed.now_ms;
    assert_eq!(refused(&timed.store.apply(&retry)), Refusal::RequestTooOld);
}

/// Clients with clocks that are wrong by up to a minute, who ask again after any time, and some with ids of
/// version 4 or clocks that are far behind.
fn asks(seed: u64, count: u64, first_of_version_1: u64) -> Vec<Command> {
    let mut numbers = super::state::Numbers(seed);
    let mut now_ms = 1_000_000_000_000;
    let mut asked: Vec<Command> = Vec::new();
    (0..count)
        .map(|number| {
            now_ms += match numbers.below(100) {
                0 => 30_000,
                1..10 => 5_000,
                _ => 500,
            };
            let before = asked.len() as u64;
            let mut command = match numbers.below(10) {
                0..3 if before > 0 => asked[numbers.below(before) as usize].clone(),
                3 if before > 20 => asked[(before - 1 - numbers.below(20)) as usize].clone(),
                kind => {
                    let skew = numbers.below(120_000) as i64 - 60_000;
                    let id = match kind {
                        4 => v4(number),
                        5 => v7(now_ms - 3_600_000, number),
                        _ => v7(now_ms + skew, number),
                    };
                    Command {
                        request_id: id,
                        action: Some(send(1, "ann", &format!("body {number}"))),
                        ..checkpoint()
                    }
                }
            };
            command.stamp_ms = now_ms;
            command.version = u32::from(number >= first_of_version_1);
            asked.push(command.clone());
            command
        })
        .collect()
}

#[test]
fn no_request_of_a_good_clock_is_applied_twice_and_no_fresh_one_is_refused() {
    for seed in 0..12 {
        let mut timed = Timed::new(Limits {
            entries_min: 50,
            entries_max: 700,
            ..LIMITS
        });
        let commands = asks(seed, 2_500, 0);
        let mut applied = Vec::new();
        for some in commands.chunks(64) {
            applied.extend(timed.store.apply_all(some));
        }
        let mut first: BTreeMap<&[u8], usize> = BTreeMap::new();
        let mut refusals = 0;
        for (at, (command, applied)) in commands.iter().zip(&applied).enumerate() {
            let id = &command.request_id[..];
            let age_ms = |since: usize| command.stamp_ms - commands[since].stamp_ms;
            let made_ms = (id[6] >> 4 == 7).then(|| {
                id[..6]
                    .iter()
                    .fold(0, |ms, &byte| ms << 8 | i64::from(byte))
            });
            match result(applied) {
                outcome::Result::MessageSent(sent) if sent.lsn == applied.lsn => {
                    if let Some(before) = first.insert(id, at) {
                        // Only an id that carries no time, or a wrong one, and is not remembered.
                        let wrong = made_ms.is_none_or(|made_ms| {
                            (commands[before].stamp_ms - made_ms).abs() > 60_000
                        });
                        assert!(wrong, "seed {seed}: {at} was applied at {before} as well");
                        assert!(at - before > 50, "seed {seed}: {at}, {before}");
                    }
                }
                outcome::Result::MessageSent(_) => assert!(first.contains_key(id)),
                outcome::Result::Refused(_) => {
                    assert_eq!(refused(applied), Refusal::RequestTooOld);
                    refusals += 1;
                    let made_ms = made_ms.expect("only such an id is refused");
                    assert!(command.stamp_ms - made_ms >= 120_000, "seed {seed}: {at}");
                    if let Some(&before) = first.get(id) {
                        assert!(at - before > 50, "seed {seed}: {at}, {before}");
                        let kept = age_ms(before) <= LIMITS.kept_ms && at - before < 600;
                        assert!(!kept, "seed {seed}: {at} is young, {before}");
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(refusals > 10, "seed {seed}: {refusals}");
    }
}

#[test]
fn stores_are_equal_however_entries_were_batched_and_where_they_were_opened_again() {
    let limits = Limits {
        entries_min: 3_000,
        entries_max: 3_300,
        kept_ms: 60_000,
    };
    // The first of them as builds before versions did.
    let commands = asks(5, 7_800, 3_700);
    let lived = [1_u64, 7, 300].map(|batch| {
        let mut timed = Timed::new(limits);
        for (number, some) in commands.chunks(batch as usize).enumerate() {
            if batch == 300 && number % 3 == 2 {
                let (last, dir) = (timed.store.last, timed.store.dir);
                drop((timed.store.writer, timed.store.readers));
                let mut opened = reopen(dir.path()).unwrap();
                opened.writer.request_limits = limits;
                timed.store = TestStore {
                    dir,
                    writer: opened.writer,
                    readers: opened.readers,
                    recovered: opened.recovered,
                    expects_note: true,
                    version: 0,
                    last,
                    requests: 0,
                    now_ms: 0,
                };
            }
            timed.store.apply_all(some);
        }
        assert!(timed.store.writer.at.mark.window.floor > 700);
        timed.store.state_hash()
    });
    assert_eq!(lived[0], lived[1]);
    assert_eq!(lived[0], lived[2]);
}
