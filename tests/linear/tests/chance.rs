//! Random histories: those of a real execution are accepted, and on short ones, whatever they
//! say, the search and the trial of every order agree.

use proptest::prelude::*;
use tercet_linear::{
    Model, Operation, Verdict, check,
    list::{GrownList, List, ListOp},
    register::{Register, RegisterOp},
};

const STATES_MAX: usize = 1_000_000;

/// Who does it, when it takes effect after the one before, how long before that it was asked, how
/// long after it was answered, and whether the answer arrived.
type Timing = (u64, u64, u64, bool);

fn timings(count: usize) -> impl Strategy<Value = Vec<Timing>> {
    let timing = (1..5u64, 0..8u64, 0..8u64, prop::bool::weighted(0.85));
    prop::collection::vec(timing, 1..=count)
}

/// Gives the operations of a sequential execution the times that concurrent clients see.
fn concurrent<Op>(ops: Vec<Op>, timings: &[Timing]) -> Vec<Operation<Op>> {
    let mut now = 10;
    let timed = ops.into_iter().zip(timings);
    timed
        .map(|(op, (after, before, until, arrived))| {
            now += after;
            Operation {
                op,
                invoked: now - before,
                responded: arrived.then_some(now + until),
            }
        })
        .collect()
}

/// Gives operations with the answers of a real list; even kinds append.
fn list_ops(kinds: &[u64]) -> (Vec<ListOp>, Vec<u64>) {
    let mut list: Vec<u64> = Vec::new();
    let ops = (0..).zip(kinds).map(|(value, kind)| match kind % 4 {
        0 | 2 => {
            list.push(value);
            ListOp::Append(value)
        }
        1 => ListOp::Read(list.clone()),
        _ => ListOp::ReadLast(2, list[list.len().saturating_sub(2)..].to_vec()),
    });
    (ops.collect(), list)
}

fn register_ops(kinds: &[u64]) -> Vec<RegisterOp> {
    let mut register = None;
    let ops = kinds.iter().map(|kind| match kind % 6 {
        value @ 0..=2 => {
            register = Some(value);
            RegisterOp::Write(value)
        }
        _ => RegisterOp::Read(register),
    });
    ops.collect()
}

/// Tries every order.
fn some_order_holds<M: Model>(
    model: &M,
    history: &[Operation<M::Op>],
    left: &[usize],
    state: &M::State,
) -> bool {
    let ended = |position: &usize| history[*position].responded.unwrap_or(u64::MAX);
    if left
        .iter()
        .all(|position| history[*position].responded.is_none())
    {
        return true;
    }
    left.iter().any(|&position| {
        let rest: Vec<usize> = left.iter().copied().filter(|it| *it != position).collect();
        let comes_too_late = rest
            .iter()
            .any(|other| ended(other) < history[position].invoked);
        !comes_too_late
            && model
                .step(state, &history[position].op)
                .is_some_and(|next| some_order_holds(model, history, &rest, &next))
    })
}

fn brute_force<M: Model>(model: &M, history: &[Operation<M::Op>]) -> bool {
    let all: Vec<usize> = (0..history.len()).collect();
    some_order_holds(model, history, &all, &model.initial())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn real_executions_of_a_list_are_accepted(
        kinds in prop::collection::vec(0..4u64, 60),
        timings in timings(60),
    ) {
        let (ops, end) = list_ops(&kinds[..timings.len()]);
        let mut history = concurrent(ops, &timings);
        let grown = GrownList { end: end.clone() };
        prop_assert_eq!(check(&grown, &history, STATES_MAX), Verdict::Linearizable);
        history.push(Operation { op: ListOp::Read(end), invoked: 900, responded: Some(901) });
        prop_assert_eq!(check(&grown, &history, STATES_MAX), Verdict::Linearizable);
    }

    #[test]
    fn real_executions_of_a_register_are_accepted(
        kinds in prop::collection::vec(0..6u64, 60),
        timings in timings(60),
    ) {
        let history = concurrent(register_ops(&kinds[..timings.len()]), &timings);
        prop_assert_eq!(check(&Register, &history, STATES_MAX), Verdict::Linearizable);
    }

    #[test]
    fn every_order_is_tried_on_lists_with_one_wrong_read(
        kinds in prop::collection::vec(0..4u64, 7),
        timings in timings(7),
        which in any::<prop::sample::Index>(),
        wrong in prop::collection::vec(0..7u64, 0..3),
    ) {
        let (ops, end) = list_ops(&kinds[..timings.len()]);
        let mut history = concurrent(ops, &timings);
        match &mut history[which.index(timings.len())].op {
            ListOp::Append(_) => {}
            ListOp::Read(read) | ListOp::ReadLast(_, read) => *read = wrong,
        }
        let verdict = check(&List, &history, STATES_MAX);
        prop_assert_eq!(verdict.is_linearizable(), brute_force(&List, &history), "{}", verdict);

        history.push(Operation {
            op: ListOp::Read(end.clone()),
            invoked: 900,
            responded: Some(901),
        });
        let whole = brute_force(&List, &history);
        let verdict = check(&GrownList { end }, &history, STATES_MAX);
        prop_assert_eq!(verdict.is_linearizable(), whole, "from its end: {}", verdict);
    }

    #[test]
    fn every_order_is_tried_on_registers_with_one_wrong_read(
        kinds in prop::collection::vec(0..6u64, 7),
        timings in timings(7),
        which in any::<prop::sample::Index>(),
        wrong in prop::option::of(0..3u64),
    ) {
        let mut history = concurrent(register_ops(&kinds[..timings.len()]), &timings);
        if let RegisterOp::Read(read) = &mut history[which.index(timings.len())].op {
            *read = wrong;
        }
        let verdict = check(&Register, &history, STATES_MAX);
        prop_assert_eq!(verdict.is_linearizable(), brute_force(&Register, &history), "{}", verdict);
    }
}
