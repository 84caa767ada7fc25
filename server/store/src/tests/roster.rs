//! Who belongs to the cluster, by the commands that were applied.

use super::*;
use crate::roster::Roster;

fn changed(applied: &Applied) {
    let result = result(applied);
    assert!(
        matches!(result, outcome::Result::RosterChanged(_)),
        "{result:?}"
    );
}

fn ids(roster: &Roster) -> Vec<u32> {
    roster.iter().map(|(id, _)| id.0).collect()
}

/// Gives the roster in the store, after a restart.
fn stored(store: &TestStore) -> Option<Roster> {
    let copy = crashed(store.path());
    reopen(copy.path()).unwrap().roster
}

#[test]
fn the_first_lists_become_the_roster_once() {
    let mut store = TestStore::new();
    assert_eq!(stored(&store), None);
    let early = store.act(add(4, 4));
    assert_eq!(refused(&early), Refusal::RosterNotFounded);
    changed(&store.act(found(&[1, 2, 3])));
    assert_eq!(ids(&stored(&store).unwrap()), [1, 2, 3]);
    let again = store.act(found(&[4, 5]));
    assert_eq!(refused(&again), Refusal::RosterFounded);
    assert_eq!(ids(&stored(&store).unwrap()), [1, 2, 3]);
}

#[test]
fn a_replica_is_added_moved_removed_and_added_again() {
    let mut store = TestStore::new();
    store.act(found(&[1, 2, 3]));
    changed(&store.act(add(4, 4)));
    changed(&store.act(move_to(4, 44)));
    let roster = stored(&store).unwrap();
    assert_eq!(roster.get(ReplicaId(4)).unwrap().address, "host:44");
    changed(&store.act(remove(4, 1)));
    let roster = stored(&store).unwrap();
    assert_eq!(ids(&roster), [1, 2, 3]);
    assert!(roster.was_removed(ReplicaId(4)));
    let moved = store.act(move_to(4, 4));
    assert_eq!(refused(&moved), Refusal::UnknownReplica);
    changed(&store.act(add(4, 4)));
    assert!(!stored(&store).unwrap().was_removed(ReplicaId(4)));
}

#[test]
fn what_cannot_be_is_refused() {
    let mut store = TestStore::new();
    store.act(found(&[1, 2, 3]));
    let mut refusal = |action| refused(&store.act(action));
    assert_eq!(refusal(add(3, 30)), Refusal::ReplicaExists);
    assert_eq!(refusal(add(4, 3)), Refusal::AddressTaken);
    assert_eq!(refusal(move_to(2, 3)), Refusal::AddressTaken);
    assert_eq!(refusal(remove(9, 1)), Refusal::UnknownReplica);
    assert_eq!(refusal(remove(3, 3)), Refusal::TooFewReplicas);
    changed(&store.act(add(3, 3)));
    for id in 4..=9 {
        changed(&store.act(add(id, id)));
    }
    assert_eq!(refused(&store.act(add(10, 10))), Refusal::TooManyReplicas);
}

#[test]
fn a_taken_address_names_its_owner_from_version_2_on() {
    let mut store = TestStore::new();
    store.act(found(&[1, 2, 3]));
    let mut owner = |version, action| {
        store.version = version;
        match result(&store.act(action)) {
            outcome::Result::Refused(refused) => refused.replica_id,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(owner(1, add(4, 3)), 0);
    assert_eq!(owner(2, add(4, 3)), 3);
    assert_eq!(owner(2, move_to(1, 2)), 2);
    let same = AddReplica {
        replica: Some(Replica {
            peer_address: "host:4".into(),
            address: "host:4".into(),
            replica_id: 4,
        }),
    };
    assert_eq!(owner(2, Action::AddReplica(same)), 0);
}

#[test]
fn the_last_replica_stays() {
    let mut store = TestStore::new();
    store.act(found(&[2]));
    assert_eq!(refused(&store.act(remove(2, 0))), Refusal::TooFewReplicas);
}

#[test]
fn a_retried_removal_gets_its_first_answer() {
    let mut store = TestStore::new();
    store.act(found(&[1, 2, 3]));
    let command = store.command(remove(3, 1));
    changed(&store.apply(&command));
    changed(&store.apply(&command));
}

#[test]
fn a_batch_tells_the_newest_roster_if_it_changed() {
    let mut store = TestStore::new();
    let commands = [found(&[1, 2]), add(3, 3), remove(1, 1)].map(|action| store.command(action));
    let entries = store.entries(&commands);
    let ops = [persist(entries.clone()), WriteOp::Apply(entries)];
    let executed = store.writer.execute(&ops).unwrap();
    assert_eq!(ids(&executed.roster.unwrap()), [2, 3]);
    let refused = [store.command(remove(7, 1))];
    let entries = store.entries(&refused);
    let ops = [persist(entries.clone()), WriteOp::Apply(entries)];
    assert_eq!(store.writer.execute(&ops).unwrap().roster, None);
}
