//! Retries, and request ids used twice.

use rusqlite::params;

use super::*;
use crate::commands;

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
        log_in(ann, 2, 9_000),
        update_profile(ann, Some("Ann"), None),
        create_token(ann, "bot", 9),
        revoke_token(ann, "bot"),
        end_others(ann, 1),
        change_password(ann, 1, "hash of ann", "new hash"),
        block(ann, "bob", true),
        unblock(ann, "bob"),
        log_out(ann, 1),
        create_room(ann, "Tea", true),
        invite(ann, "tea", "bob"),
        send_to_room(ann, "TEA", "hello"),
        reply(ann, "tea", "hello", 3),
        change_room(ann, "tea", Change::KeepsEdits(true)),
        edit(ann, "#tea", 3, "hello there"),
        react(ann, "#tea", 3, "+1", false),
        react(ann, "#tea", 3, "+1", true),
        pin(ann, "#tea", 3, false),
        pin(ann, "#tea", 3, true),
        pin(ann, "ann", 1, false),
        pin(ann, "ann", 1, true),
        mark_read(ann, "#tea", 3),
        mark_unread(ann, "ann", 1),
        mark_read(ann, "ann", 1),
        delete_message(ann, "#tea", 3),
        reply_direct(ann, "ann", "hello", 1),
        edit(ann, "ann", 2, "hello there"),
        react(ann, "ann", 2, "+1", false),
        react(ann, "ann", 2, "+1", true),
        delete_message(ann, "ann", 2),
        ban(ann, "tea", "bob"),
        unban(ann, "tea", "bob"),
        invite(ann, "tea", "bob"),
        promote(ann, "tea", "bob", Role::Owner),
        change_room(ann, "tea", Change::Topic("leaves".to_owned())),
        change_room(ann, "tea", Change::RestrictsMentions(true)),
        send_while_here(ann, "tea", "@here", &[ann]),
        set_level(ann, "#TEA", Level::None),
        set_level(ann, "ann", Level::Mentions),
        set_keyword(ann, "Tea", false),
        set_keyword(ann, "tea", true),
        set_state(ann, "#TEA", "k", Some(0), Some("v")),
        set_retention(3_600_000),
        change_room(ann, "tea", Change::RetentionMs(7_200_000)),
        leave(ann, "tea"),
        join(ann, "tea"),
        delete(ann),
    ] {
        let mut command = store.command(action);
        let answered = store.apply(&command);
        match &mut command.action {
            Some(Action::CreateAccount(create)) => create.password_hash = "another salt".into(),
            Some(Action::CreateSession(create)) => create.expires_at_ms += 1,
            Some(Action::CreateApiToken(create)) => create.made_at_ms += 1,
            Some(Action::SendToRoom(send)) => send.here_ids.push(7),
            Some(Action::ChangePassword(change)) => {
                change.password_hash = "another salt".into();
                change.password_digest = Bytes::copy_from_slice(&[0; 32]);
            }
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
    store.version = 0;
    store.writer.request_limits.entries_min = 4;
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

    assert_eq!(oldest_request(&store), anew.lsn - 3);
}

/// The LSN of the oldest request that has a row; every answer belongs to one that has.
fn oldest_request(store: &TestStore) -> u64 {
    let raw = raw(store.path());
    let stray = "SELECT count(*) FROM answers LEFT JOIN requests USING (request_id, lsn)
        WHERE requests.lsn IS NULL";
    let stray: u64 = raw.query_row(stray, [], |row| row.get(0)).unwrap();
    assert_eq!(stray, 0);
    raw.query_row("SELECT min(lsn) FROM requests", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn requests_are_forgotten_whether_their_ids_grow_or_not() {
    let grows = |number: u128| number;
    // So that those of a step have younger ones between them.
    let nearly = |number: u128| number & !7 | (number & 1) << 2 | (number & 6) >> 1;
    let scattered = |number: u128| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let kinds: [fn(u128) -> u128; 3] = [grows, nearly, scattered];
    for id in kinds {
        let mut store = TestStore::new();
        store.version = 0;
        store.writer.request_limits.entries_min = 2_000;
        let ann = store.register("ann");
        let sends = (1..=2_500_u128).map(|number| Command {
            request_id: request_id(id(number)),
            ..store.command(send(ann, "ann", "hello"))
        });
        let sends: Vec<_> = sends.collect();
        for some in sends.chunks(5) {
            store.apply_all(some);
        }
        let oldest = oldest_request(&store);
        let last = store.last;
        assert!((last - 2_001..last - 1_997).contains(&oldest), "{oldest}");
        let rows = "SELECT count(*) FROM requests";
        let rows: u64 = raw(store.path())
            .query_row(rows, [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, last - oldest + 1);
    }
}

#[test]
fn a_forgotten_request_goes_with_its_message_when_that_is_dropped() {
    let mut store = TestStore::new();
    store.version = 0;
    store.writer.request_limits.entries_min = 2_000;
    let ann = store.register("ann");
    let bob = store.register("bob");
    // Some of the first are forgotten, and not removed yet, when bob goes.
    for _ in 0..1_001 {
        store.send(ann, "bob", "hello");
        store.send(ann, "ann", "hello");
    }
    let floor = store.last + 1 - 2_000;
    store.act(delete(bob));
    let raw = raw(store.path());
    let orphans = "SELECT count(*) FROM requests WHERE lsn <= ?1 AND lsn > 2
        AND lsn NOT IN (SELECT lsn FROM messages UNION ALL SELECT lsn FROM answers)";
    let orphans: u64 = raw.query_row(orphans, [floor], |row| row.get(0)).unwrap();
    assert_eq!(orphans, 0);
}

#[test]
fn nothing_is_left_of_a_forgotten_request_whatever_it_was() {
    let mut store = TestStore::new();
    store.version = 0;
    store.writer.request_limits.entries_min = 3;
    let ann = store.register("ann");
    let bob = store.register("bob");
    for round in 0..4 {
        let delivered = store.send(ann, "ann", "kept").0;
        store.act(acknowledge(ann, &[&delivered]));
        // Refused, and one whose message goes with its recipient.
        store.act(send(ann, "nobody", "lost"));
        if round == 1 {
            store.send(ann, "bob", "dropped");
            store.act(delete(bob));
        }
        assert_eq!(oldest_request(&store), (store.last - 2).max(1));
    }
    for _ in 0..2 {
        store.act(create("a"));
    }
    assert_eq!(oldest_request(&store), store.last - 2);
}

#[test]
fn a_forgotten_id_that_is_still_there_is_taken_over() {
    let mut store = TestStore::new();
    store.version = 0;
    store.writer.request_limits.entries_min = 2;
    let ann = store.register("ann");
    let command = store.command(send(ann, "ann", "again"));
    // In one transaction, so that nothing is trimmed in between.
    let others = [create("a"), create("b")].map(|action| store.command(action));
    let [a, b] = others;
    let applied = store.apply_all(&[command.clone(), a, b, command.clone()]);
    let sent = |applied: &Applied| match result(applied) {
        outcome::Result::MessageSent(sent) => sent.lsn,
        other => panic!("{other:?}"),
    };
    assert_eq!(sent(&applied[0]), applied[0].lsn);
    assert_eq!(sent(&applied[3]), applied[3].lsn);
    let again = store.apply(&command);
    assert_eq!(sent(&again), applied[3].lsn);
    assert_eq!(oldest_request(&store), applied[3].lsn);
}

#[test]
fn a_message_that_went_with_its_recipient_still_answers_a_retry() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("Bob");
    let first = store.command(send(ann, "bob", "hello"));
    let answered = store.apply(&first);
    store.act(delete(bob));
    assert_eq!(store.apply(&first).outcome, answered.outcome);
    // Nor does it matter who has the name now.
    store.register("bob");
    assert_eq!(store.apply(&first).outcome, answered.outcome);
    let mut other = first.clone();
    other.action = Some(send(ann, "bob", "goodbye"));
    assert_eq!(refused(&store.apply(&other)), Refusal::RequestIdReused);
}

#[test]
fn a_retry_is_told_by_what_was_asked_and_not_by_what_became_of_it() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    let first = store.command(send(ann, "bob", "hello"));
    let answered = store.apply(&first);
    let mut other = first.clone();
    other.action = Some(send(ann, "bob", "edited"));
    let edit = |store: &TestStore, sql: &str| store.writer.connection.execute_batch(sql).unwrap();
    edit(&store, "UPDATE messages SET body = 'edited'");
    assert_eq!(store.apply(&first).outcome, answered.outcome);
    assert_eq!(refused(&store.apply(&other)), Refusal::RequestIdReused);
    store.act(delete(bob));
    assert_eq!(store.apply(&first).outcome, answered.outcome);
    assert_eq!(refused(&store.apply(&other)), Refusal::RequestIdReused);
}

#[test]
fn a_request_of_an_earlier_build_is_told_by_its_message_or_its_digest() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let first = store.command(send(ann, "ann", "hello"));
    let answered = store.apply(&first);
    let action = first.action.as_ref().unwrap();
    let digest = commands::command(action).fingerprint().digest();
    for recorded in [None, Some(&digest[..8])] {
        let hash = store.state_hash();
        let sql = "UPDATE requests SET fingerprint = ?1 WHERE request_id = ?2";
        let changed = store
            .writer
            .connection
            .execute(sql, params![recorded, &first.request_id[..]]);
        assert_eq!(changed, Ok(1));
        assert_eq!(store.state_hash(), hash);
        assert_eq!(store.apply(&first).outcome, answered.outcome);
        let mut other = first.clone();
        other.action = Some(send(ann, "ann", "goodbye"));
        assert_eq!(refused(&store.apply(&other)), Refusal::RequestIdReused);
    }
}

#[test]
fn a_store_of_schema_3_keeps_its_answers() {
    let mut store = TestStore::new();
    store.version = 0;
    let ann = store.register("ann");
    let bob = store.register("bob");
    let actions = [
        send(ann, "ann", "kept"),
        send(ann, "bob", "dropped"),
        send(ann, "eve", "refused"),
        delete(bob),
    ];
    let commands = actions.map(|action| store.command(action));
    let answered = store.apply_all(&commands);
    let hash = store.state_hash();
    let copy = crashed(store.path());
    raw(copy.path()).execute_batch(AS_IN_SCHEMA_3).unwrap();

    let mut opened = reopen(copy.path()).unwrap();
    let migrated = crate::StateSnapshot::pin(copy.path()).unwrap();
    assert_eq!(migrated.hash().unwrap(), hash);
    let retries = entries(store.last + 1, &commands);
    let ops = [persist(retries.clone()), WriteOp::Apply(retries)];
    let again = opened.writer.execute(&ops).unwrap().applied;
    let outcomes = |applied: Vec<Applied>| {
        let outcomes = applied.into_iter().map(|applied| applied.outcome);
        outcomes.collect::<Vec<_>>()
    };
    let mut answered = outcomes(answered);
    // Builds of that time recorded no seq with the answer of a dropped message.
    let Some(outcome::Result::MessageSent(dropped)) = &mut answered[1].result else {
        panic!("{:?}", answered[1]);
    };
    assert_eq!(std::mem::take(&mut dropped.seq), 1);
    assert_eq!(outcomes(again), answered);
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

#[test]
fn what_is_left_does_not_depend_on_how_entries_were_batched() {
    let mut stores = [1, 7, 300].map(|batch| {
        let mut store = TestStore::new();
        store.version = 0;
        store.writer.request_limits.entries_min = 3_000;
        (batch, store)
    });
    // By the rules of builds before versions; for those of version 1 see `window.rs`.
    let commands = super::state::life(31, 3_600).into_iter();
    let commands = commands.map(|command| Command {
        version: 0,
        ..command
    });
    let commands: Vec<_> = commands.collect();
    for (batch, store) in &mut stores {
        for commands in commands.chunks(*batch) {
            store.apply_all(commands);
        }
        // Removed in steps of three.
        let oldest = oldest_request(store);
        assert!((601..=603).contains(&oldest), "{oldest}");
    }
    let [(_, one), others @ ..] = &stores;
    for (_, other) in others {
        assert_eq!(other.state_hash(), one.state_hash());
    }
}
