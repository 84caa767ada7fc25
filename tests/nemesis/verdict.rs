//! Whether what the clients were told is what happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use tercet_linear::{
    Operation, Verdict, check,
    list::{GrownList, ListOp},
};

use crate::clients::{Conversation, Outcome, Record, What};

/// About a gigabyte of them.
const STATES_MAX: usize = 5_000_000;

/// Checks one conversation against what it is in the end: places and numbers, oldest first.
///
/// # Panics
/// When a promise was broken, saying which.
pub fn assert_kept(conversation: Conversation, records: &[&Record], end: &[(u64, u64)]) {
    let mut places: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (place, number) in end {
        places.entry(*number).or_default().push(*place);
    }
    assert!(
        end.windows(2).all(|pair| pair[0].0 < pair[1].0),
        "{conversation:?}: the places ascend"
    );
    let mut sent = BTreeSet::new();
    for record in records {
        let What::Send(number) = record.what else {
            continue;
        };
        sent.insert(number);
        let found = places.get(&number).map_or(&[][..], Vec::as_slice);
        let kept = match &record.outcome {
            Outcome::Answered(place) => found == [*place],
            Outcome::NotDone(_) => found.is_empty(),
            Outcome::Unknown => found.len() <= 1,
        };
        assert!(kept, "{conversation:?}: found at {found:?}: {record:?}");
    }
    let strangers: Vec<_> = places.keys().filter(|it| !sent.contains(it)).collect();
    assert!(
        strangers.is_empty(),
        "{conversation:?}: nobody sent {strangers:?}"
    );
    assert_linearizable(conversation, records, end);
}

fn assert_linearizable(conversation: Conversation, records: &[&Record], end: &[(u64, u64)]) {
    let model = GrownList {
        end: end.iter().map(|(_, number)| *number).collect(),
    };
    let mut history: Vec<Operation<ListOp>> =
        records.iter().filter_map(|it| operation(it)).collect();
    history.push(Operation {
        op: ListOp::Read(model.end.clone()),
        invoked: u64::MAX,
        responded: Some(u64::MAX),
    });
    let verdict = check(&model, &history, STATES_MAX);
    if let Verdict::Violation { prefix, stuck } = &verdict {
        let last = &prefix[prefix.len().saturating_sub(10)..];
        for position in last {
            println!("placed: {:?}", history[*position]);
        }
        println!("fits nowhere: {:?}", history[*stuck]);
    }
    assert!(verdict.is_linearizable(), "{conversation:?}: {verdict}");
}

/// A record as the checker wants it; none for what had no effect and no answer.
fn operation(record: &Record) -> Option<Operation<ListOp>> {
    let op = match &record.what {
        What::Send(number) => ListOp::Append(*number),
        What::Read(count, values) => ListOp::ReadLast(*count, values.clone()),
    };
    let responded = match (&record.outcome, &record.what) {
        (Outcome::Answered(_), _) => Some(record.responded),
        (Outcome::Unknown, What::Send(_)) => None,
        _ => return None,
    };
    Some(Operation {
        op,
        invoked: record.invoked,
        responded,
    })
}

/// Says what happened, in numbers.
pub fn report(records: &[Record]) {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for record in records {
        let kind = match record.what {
            What::Send(_) => "send",
            What::Read(..) => "read",
        };
        let outcome = match &record.outcome {
            Outcome::Answered(_) => "answered",
            Outcome::NotDone(why) => why,
            Outcome::Unknown => "unknown",
        };
        *counts.entry(format!("{kind}, {outcome}")).or_default() += 1;
    }
    for (what, count) in counts {
        println!("{count:>8} {what}");
    }
    let mut acknowledged: Vec<u64> = records
        .iter()
        .filter(|it| {
            matches!(
                (&it.what, &it.outcome),
                (What::Send(_), Outcome::Answered(_))
            )
        })
        .map(|it| it.responded)
        .collect();
    acknowledged.sort_unstable();
    let gaps = acknowledged.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = Duration::from_nanos(gaps.max().unwrap_or(0));
    println!("longest time without an acknowledgement: {longest:.2?}");
}

/// Checks that an operation failed only where no replica could do it: none led, or the last one's disk was full.
pub fn assert_nothing_refused(records: &[Record]) {
    let refused = |it: &&Record| match &it.outcome {
        Outcome::NotDone(why) => why != "NO_LEADER" && why != "DISK_FULL",
        _ => false,
    };
    let refused: Vec<&Record> = records.iter().filter(refused).collect();
    assert!(refused.is_empty(), "refused: {refused:#?}");
}

/// Gives the time that `check` takes.
pub fn timed(check: impl FnOnce()) -> Duration {
    let began = Instant::now();
    check();
    began.elapsed()
}
