//! Retries, and request ids used twice.

use super::*;

#[test]
fn a_retry_gets_the_first_answer_and_is_no_news() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let first = store.command(send(ann, "ann", "once"));
    let answered = store.apply(&first);
    assert_eq!(answered.events.len(), 1);

    // What the leader adds may differ in a retry.
    let mut retry = first.clone();
    retry.stamp_ms += 50;
    if let Some(Action::SendMessage(send)) = &mut retry.action {
        send.instant = true;
        send.recipient = "ANN".to_owned();
    }
    let again = store.apply(&retry);
    assert_eq!(again.outcome, answered.outcome);
    assert_eq!(again.events, []);
    assert_ne!(again.lsn, answered.lsn);
    assert_eq!(store.waiting(ann), ["once"]);
}

#[test]
fn every_kind_of_command_can_be_retried() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let (id, _) = store.send(ann, "ann", "hello");
    for action in [
        create("bob"),
        log_in(ann, 1, 9_000),
        acknowledge(ann, &[&id]),
        log_out(ann, 1),
        delete(ann),
    ] {
        let mut command = store.command(action);
        let answered = store.apply(&command);
        match &mut command.action {
            Some(Action::CreateAccount(create)) => create.password_hash = "another salt".into(),
            Some(Action::CreateSession(create)) => create.expires_at_ms += 1,
            _ => {}
        }
        let again = store.apply(&command);
        assert!(
            !matches!(result(&again), outcome::Result::Refused(_)),
            "{again:?}"
        );
        assert_eq!(again.outcome, answered.outcome);
        assert_eq!(again.events, []);
    }
    let bob = store.readers.account_by_name("bob").unwrap().unwrap();
    assert_eq!(bob.password_hash, "hash of bob");
}

#[test]
fn a_refusal_is_an_answer_that_a_retry_gets_too() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let early = store.command(send(ann, "bob", "hello"));
    assert_eq!(refused(&store.apply(&early)), Refusal::UnknownRecipient);
    let bob = store.register("bob");
    assert_eq!(refused(&store.apply(&early)), Refusal::UnknownRecipient);
    assert_eq!(store.waiting(bob), [""; 0]);
}

#[test]
fn a_request_id_is_not_used_for_another_request() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    let first = store.command(send(ann, "bob", "one"));
    let answered = store.apply(&first);
    for action in [
        send(ann, "bob", "two"),
        send(ann, "ann", "one"),
        send(bob, "bob", "one"),
        delete(ann),
        create("eve"),
    ] {
        let mut other = first.clone();
        other.action = Some(action);
        assert_eq!(refused(&store.apply(&other)), Refusal::RequestIdReused);
    }
    assert_eq!(store.waiting(bob), ["one"]);
    // The refusals did not take the first answer's place.
    assert_eq!(store.apply(&first).outcome, answered.outcome);
}

#[test]
fn requests_are_forgotten_after_the_window() {
    let mut store = TestStore::new();
    store.writer.request_window = 4;
    let ann = store.register("ann");
    let command = store.command(send(ann, "ann", "again"));
    let outcome::Result::MessageSent(first) = result(&store.apply(&command)) else {
        panic!("not sent");
    };
    // The window covers the entries from one after `lsn - 4` on.
    store.act(create("a"));
    store.act(create("b"));
    let again = store.apply(&command);
    assert_eq!(again.lsn, first.lsn + 3);
    assert_eq!(result(&again), outcome::Result::MessageSent(first));
    let anew = store.apply(&command);
    assert_eq!(anew.lsn, first.lsn + 4);
    assert!(matches!(result(&anew), outcome::Result::MessageSent(sent) if sent.lsn == anew.lsn));
    assert_eq!(store.waiting(ann), ["again", "again"]);

    let kept: u64 = raw(store.path())
        .query_row("SELECT min(lsn) FROM requests", [], |row| row.get(0))
        .unwrap();
    assert!(kept > anew.lsn - 4);
}

#[test]
fn a_command_without_request_id_is_never_a_retry() {
    let mut store = TestStore::new();
    for _ in 0..2 {
        let applied = store.apply(&checkpoint());
        let outcome::Result::Checkpointed(done) = result(&applied) else {
            panic!("{applied:?}");
        };
        assert_eq!(done.lsn, applied.lsn);
    }
}
