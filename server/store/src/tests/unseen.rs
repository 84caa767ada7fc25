//! The entries of a store past a position, described for people.

use super::*;
use crate::{Lineage, Unseen, What};

fn told(store: &TestStore, after: u64) -> Vec<Unseen> {
    let mut all = Vec::new();
    let tell = &mut |unseen| {
        all.push(unseen);
        Ok(())
    };
    store.readers.unseen(Lsn(after), tell).unwrap();
    all
}

fn whats(store: &TestStore, after: u64) -> Vec<(u64, What)> {
    let told = told(store, after).into_iter();
    told.map(|unseen| (unseen.lsn.0, unseen.what)).collect()
}

fn message(id: &Bytes, sender: (&str, u64), recipient: &str, body: &str) -> What {
    What::Message {
        id: id[..].try_into().unwrap(),
        sender: sender.0.into(),
        sender_id: sender.1,
        recipient: recipient.into(),
        body: body.into(),
        delivered: Some(false),
    }
}

#[test]
fn what_was_trimmed_is_told_by_what_it_left_and_the_rest_by_the_log() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    let mut messages = Vec::new();
    for n in 0..6 {
        let body = format!("message {n}");
        let (id, lsn) = store.send(ann, "BOB", &body);
        messages.push((lsn, message(&id, ("ann", ann), "bob", &body)));
    }
    let whole = whats(&store, 2);
    assert_eq!(whole, messages);
    assert_eq!(whats(&store, 5), messages[3..]);
    assert_eq!(whats(&store, 8), []);
    for through in 1..=8 {
        let through = Lsn(through);
        store.writer.execute(&[WriteOp::Trim { through }]).unwrap();
        assert_eq!(whats(&store, 2), messages, "trimmed through {through}");
        assert_eq!(whats(&store, 5), messages[3..]);
    }
    let accounts = [(ann, "ann"), (bob, "bob")].map(|(id, name)| {
        let username = name.into();
        (id, What::AccountCreated { username })
    });
    assert_eq!(whats(&store, 0), [&accounts[..], &messages].concat());
    let first = &told(&store, 2)[0];
    assert_eq!((first.epoch, first.applied), (EPOCH, true));
    assert_eq!(first.time, Some((1_003, "1970-01-01T00:00:01.003Z".into())));
}

#[test]
fn what_had_no_effect_and_what_may_have_none_are_told_apart_from_messages() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    let first = store.command(send(ann, "bob", "once"));
    let to_nobody = store.command(send(ann, "nobody", "never"));
    store.apply_all(&[first.clone(), to_nobody, first.clone()]);
    let (dropped, _) = store.send(ann, "bob", "dropped with bob");
    store.act(Action::DeleteAccount(DeleteAccount { account_id: bob }));
    // Not applied: two of one request, one that was answered before, and one by who is not there yet.
    let new = store.command(create("eve"));
    let by_eve = store.command(send(8, "ann", "hello from eve"));
    let tail = [new, by_eve.clone(), by_eve.clone(), first.clone()];
    let entries = store.entries(&tail);
    store.writer.execute(&[persist(entries)]).unwrap();

    let nothing = What::Other("without_effect");
    let mut by_eve = message(&by_eve.request_id, ("eve", 8), "ann", "hello from eve");
    if let What::Message { delivered, .. } = &mut by_eve {
        *delivered = None;
    }
    let named = |name: &str| name.to_owned();
    let expected = [
        // Its row went with the account, too.
        (3, message(&first.request_id, ("ann", ann), "bob", "once")),
        (4, nothing.clone()),
        (5, nothing.clone()),
        (
            6,
            message(&dropped, ("ann", ann), "bob", "dropped with bob"),
        ),
        (
            7,
            What::AccountDeleted {
                username: named("bob"),
            },
        ),
        (
            8,
            What::AccountCreated {
                username: named("eve"),
            },
        ),
        (9, by_eve),
        (10, nothing.clone()),
        (11, nothing),
    ];
    assert_eq!(whats(&store, 2), expected);
    let acknowledged = |lsn: usize| self::told(&store, 2)[lsn - 3].applied;
    assert!(acknowledged(7) && !acknowledged(8));
}

#[test]
fn what_is_no_message_is_named_and_shows_no_secret() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let (id, _) = store.send(ann, "ann", "a note to myself");
    store.acknowledge(ann, &[&id]);
    store.act(log_in(ann, 7, 9_000));
    store.act(found(&[1, 2]));
    store.apply(&checkpoint());
    let view = entry(7, EPOCH, Payload::Config(config(&[2])));
    store.last = 7;
    store
        .writer
        .execute(&[persist(vec![view.clone()]), WriteOp::Apply(vec![view])])
        .unwrap();
    let told = whats(&store, 2);
    let ids = vec![id[..].try_into().unwrap()];
    let username = "ann".to_owned();
    let expected = [
        (3, What::MessagesAcknowledged { username, ids }),
        (4, What::Other("session")),
        (5, What::Other("roster")),
        (6, What::Other("checkpoint")),
        (7, What::Other("view")),
    ];
    assert_eq!(told, expected);
    let all = format!("{:?}", self::told(&store, 0));
    assert!(!all.contains("hash of"), "{all}");
}

#[test]
fn a_log_knows_what_it_is_made_of_however_much_was_trimmed() {
    for through in 0..=12 {
        let mut store = TestStore::new();
        super::trim::several_epochs(&mut store);
        let through = Lsn(through);
        store.writer.execute(&[WriteOp::Trim { through }]).unwrap();
        let epoch = |number: u64| Epoch {
            number: number << 24,
            proposer: ReplicaId(1),
        };
        let expected = Lineage {
            epochs: EpochHistory::from_iter([
                (Lsn(1), epoch(1)),
                (Lsn(5), epoch(3)),
                (Lsn(9), epoch(4)),
            ]),
            last: Lsn(12),
        };
        assert_eq!(store.readers.lineage().unwrap(), expected);
    }
    let empty = TestStore::new().readers.lineage().unwrap();
    assert_eq!((empty.epochs, empty.last), (EpochHistory::EMPTY, Lsn::ZERO));
}
