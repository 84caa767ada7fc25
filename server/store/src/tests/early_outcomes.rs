//! Outcomes that are told before what they came of is durable.

use std::sync::mpsc;

use super::*;

#[test]
fn messages_are_told_before_they_are_applied_durably_and_again_after() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.register("bob");
    let (heard, told) = mpsc::channel();
    let readers = store.readers.clone();
    store.writer.report_outcomes_to(Box::new(move |outcomes| {
        let seen = readers.applied().unwrap();
        heard.send((seen, outcomes)).unwrap();
    }));
    let commands = [send(ann, "bob", "one"), send(ann, "bob", "two")];
    let commands = commands.map(|action| store.command(action));
    let applied = store.apply_all(&commands);

    let (seen, outcomes) = told.recv().unwrap();
    let lsns: Vec<_> = outcomes.iter().map(|(lsn, _)| lsn.0).collect();
    assert!(lsns.iter().all(|lsn| *lsn > seen), "{lsns:?} after {seen}");
    let again: Vec<_> = applied
        .into_iter()
        .map(|applied| (Lsn(applied.lsn), applied.outcome))
        .collect();
    assert_eq!(outcomes, again);
    assert_eq!(store.readers.applied().unwrap(), lsns[1]);
}

#[test]
fn what_is_no_message_and_all_behind_it_is_told_when_it_is_durable() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.register("bob");
    let (heard, told) = mpsc::channel();
    store
        .writer
        .report_outcomes_to(Box::new(move |outcomes: Vec<(Lsn, _)>| {
            heard.send(outcomes.len()).unwrap();
        }));
    let actions = [
        send(ann, "bob", "one"),
        send(ann, "nobody", "two"),
        send(ann, "bob", "three"),
    ];
    let commands = actions.map(|action| store.command(action));
    assert_eq!(store.apply_all(&commands).len(), 3);
    assert_eq!(told.try_recv(), Ok(1));
    store.act(create("cid"));
    assert!(told.try_recv().is_err());
}

#[test]
fn what_is_behind_a_checkpoint_is_told_when_it_is_durable() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let (heard, told) = mpsc::channel();
    store
        .writer
        .report_outcomes_to(Box::new(move |outcomes: Vec<(Lsn, _)>| {
            heard.send(outcomes.len()).unwrap();
        }));
    let message = store.command(send(ann, "ann", "one"));
    assert_eq!(store.apply_all(&[checkpoint(), message]).len(), 2);
    assert!(told.try_recv().is_err());
}
