//! Histories whose verdict is known.

use tercet_linear::{
    Operation, Verdict, by_key, check,
    list::{GrownList, List, ListOp},
    register::{Register, RegisterOp},
};

const STATES_MAX: usize = 100_000;

fn op<Op>(op: Op, invoked: u64, responded: u64) -> Operation<Op> {
    let responded = Some(responded);
    Operation {
        op,
        invoked,
        responded,
    }
}

fn unknown<Op>(op: Op, invoked: u64) -> Operation<Op> {
    Operation {
        op,
        invoked,
        responded: None,
    }
}

fn write(value: u64) -> RegisterOp {
    RegisterOp::Write(value)
}

fn read(value: u64) -> RegisterOp {
    RegisterOp::Read(Some(value))
}

fn of_register(history: &[Operation<RegisterOp>]) -> Verdict {
    check(&Register, history, STATES_MAX)
}

fn append(value: u64) -> ListOp {
    ListOp::Append(value)
}

fn all(values: &[u64]) -> ListOp {
    ListOp::Read(values.to_vec())
}

/// The verdict on a history of a list, with a read of its end after everything else.
fn of_list(history: &[Operation<ListOp>], end: &[u64]) -> Verdict {
    let mut history = history.to_vec();
    history.push(op(all(end), u64::MAX - 1, u64::MAX));
    let verdict = check(&List, &history, STATES_MAX);
    let grown = GrownList { end: end.to_vec() };
    let from_the_end = check(&grown, &history, STATES_MAX);
    assert_eq!(
        verdict.is_linearizable(),
        from_the_end.is_linearizable(),
        "the two models agree: {verdict}, {from_the_end}"
    );
    verdict
}

fn violation(verdict: &Verdict) -> (usize, usize) {
    match verdict {
        Verdict::Violation { prefix, stuck } => (prefix.len(), *stuck),
        other => panic!("not a violation: {other}"),
    }
}

#[test]
fn nothing_at_all_is_linearizable() {
    assert!(of_register(&[]).is_linearizable());
    assert!(of_list(&[unknown(append(1), 0)], &[]).is_linearizable());
}

#[test]
fn overlapping_operations_may_be_seen_in_either_order() {
    let history = |seen| {
        [
            op(write(1), 0, 10),
            op(write(2), 5, 15),
            op(read(seen), 20, 30),
        ]
    };
    assert!(of_register(&history(1)).is_linearizable());
    assert!(of_register(&history(2)).is_linearizable());
    violation(&of_register(&history(3)));
}

#[test]
fn stale_read_is_found() {
    let history = [
        op(write(1), 0, 1),
        op(write(2), 2, 3),
        op(read(2), 4, 5),
        op(read(1), 6, 7),
    ];
    assert_eq!(violation(&of_register(&history)), (3, 3));
    let history = [
        op(append(1), 0, 1),
        op(append(2), 2, 3),
        op(all(&[1]), 4, 5),
    ];
    assert_eq!(violation(&of_list(&history, &[1, 2])), (2, 2));
}

#[test]
fn second_reader_must_not_see_less_than_the_first() {
    let history = [
        op(write(1), 0, 100),
        op(read(1), 10, 20),
        op(RegisterOp::Read(None), 30, 40),
    ];
    violation(&of_register(&history));
}

#[test]
fn lost_write_is_found() {
    let history = [op(append(1), 0, 1), op(append(2), 2, 3)];
    violation(&of_list(&history, &[2]));
    violation(&of_list(&history, &[1]));
    let history = [op(write(1), 0, 1), op(RegisterOp::Read(None), 2, 3)];
    violation(&of_register(&history));
}

#[test]
fn append_that_took_effect_twice_is_found() {
    let history = [op(append(1), 0, 1), op(append(2), 2, 3)];
    violation(&of_list(&history, &[1, 1, 2]));
    violation(&of_list(&history, &[1, 2, 1]));
}

#[test]
fn appends_against_the_clock_are_found() {
    let history = [op(append(1), 0, 1), op(append(2), 2, 3)];
    assert!(of_list(&history, &[1, 2]).is_linearizable());
    violation(&of_list(&history, &[2, 1]));
}

#[test]
fn what_nobody_appended_is_found() {
    violation(&of_list(&[op(append(1), 0, 1)], &[1, 9]));
}

#[test]
fn unknown_outcome_may_be_applied_late_or_never() {
    let history = [
        unknown(append(1), 0),
        op(append(2), 10, 11),
        op(all(&[2]), 12, 13),
        op(append(3), 14, 15),
    ];
    assert!(of_list(&history, &[2, 3]).is_linearizable(), "never");
    assert!(of_list(&history, &[2, 1, 3]).is_linearizable(), "late");
    assert!(of_list(&history, &[2, 3, 1]).is_linearizable(), "later");
    violation(&of_list(&history, &[1, 2, 3]));
    violation(&of_list(&history, &[2, 1, 3, 1]));
}

#[test]
fn unknown_outcome_is_not_applied_before_it_was_asked() {
    let history = [op(read(1), 0, 5), unknown(write(1), 6)];
    violation(&of_register(&history));
    let history = [op(read(1), 0, 5), unknown(write(1), 4)];
    assert!(of_register(&history).is_linearizable());
}

#[test]
fn newest_messages_are_those_at_the_end() {
    let last = |count, values: &[u64]| ListOp::ReadLast(count, values.to_vec());
    let history = |read| {
        [
            op(append(1), 0, 1),
            op(append(2), 2, 3),
            op(append(3), 4, 5),
            op(read, 6, 7),
        ]
    };
    let good = [last(2, &[2, 3]), last(5, &[1, 2, 3]), last(0, &[])];
    for read in good {
        assert!(of_list(&history(read), &[1, 2, 3]).is_linearizable());
    }
    let bad = [last(2, &[1, 2]), last(2, &[3]), last(5, &[2, 3])];
    for read in bad {
        violation(&of_list(&history(read), &[1, 2, 3]));
    }
}

#[test]
fn search_that_is_given_up_is_no_acceptance() {
    let mut history: Vec<_> = (0..14).map(|value| op(write(value), 0, 100)).collect();
    history.push(op(read(99), 101, 102));
    let verdict = check(&Register, &history, 1_000);
    assert_eq!(verdict, Verdict::Unknown { states: 1_000 });
    assert!(!verdict.is_linearizable());
    assert!(verdict.to_string().contains("1000"));
}

#[test]
fn long_history_with_many_unknown_outcomes_is_decided_quickly() {
    let mut history = Vec::new();
    let mut end = Vec::new();
    for value in 0..20_000 {
        let at = value * 10;
        if value % 50 == 0 {
            history.push(unknown(append(value), at));
        } else {
            history.push(op(append(value), at, at + 25));
        }
        if value % 100 != 0 {
            end.push(value);
            history.push(op(ListOp::ReadLast(1, vec![value]), at + 9, at + 10));
        }
    }
    let grown = GrownList { end: end.clone() };
    assert_eq!(check(&grown, &history, 1_000_000), Verdict::Linearizable);
    let late = history
        .iter()
        .rposition(|op| op.op == ListOp::ReadLast(1, vec![19_990]));
    history[late.expect("it was read")].op = ListOp::ReadLast(1, vec![19_980]);
    let (placed, stuck) = violation(&check(&grown, &history, 1_000_000));
    assert_eq!(Some(stuck), late);
    assert!(placed > 30_000, "nearly all was placed before it: {placed}");
}

#[test]
fn each_conversation_is_a_history_of_its_own() {
    let history = [op((7, 'a'), 0, 1), op((8, 'b'), 0, 1), op((7, 'c'), 2, 3)];
    let parts = by_key(history, |(key, _)| *key);
    let of_seven: Vec<char> = parts[&7].iter().map(|op| op.op.1).collect();
    assert_eq!((parts.len(), of_seven), (2, vec!['a', 'c']));
}

#[test]
#[should_panic(expected = "answered before it was asked")]
fn answer_before_the_question_is_no_history() {
    let _ = of_register(&[op(write(1), 5, 4)]);
}
