//! Answers of replicas, for the tests of `cluster status`.

use tercet_client::{Error, Replica, ReplicaView, Role, RosterEntry, Status, View};

type Answer = (Replica, Result<ReplicaView, Error>);

fn replica(id: u32) -> Replica {
    Replica {
        id,
        address: format!("host:{id}"),
    }
}

/// A replica does not answer.
pub(super) fn silent(id: u32) -> Answer {
    let last = "gone".to_owned();
    (replica(id), Err(Error::Unanswered { last }))
}

/// A replica has a view of replicas 1 and 2.
pub(super) fn view(id: u32, is_master: bool, epoch: u64) -> Answer {
    let role = if is_master {
        Role::Leader
    } else {
        Role::Backup
    };
    let status = Status {
        replica_id: id,
        role,
        mode: "available".to_owned(),
        view: Some(View {
            epoch,
            config_lsn: 1,
            members: vec![1, 2],
        }),
        last_lsn: 5,
        ..Status::default()
    };
    (replica(id), Ok(ReplicaView { is_master, status }))
}

/// A replica names the leader and the replicas of the cluster.
pub(super) fn of_cluster(id: u32, leads: u32, belong: &[u32]) -> Answer {
    let (replica, view) = view(id, id == leads, 3);
    let view = view.map(|mut view| {
        view.status.leader_id = leads;
        let entry = |&id: &u32| RosterEntry {
            replica_id: id,
            ..RosterEntry::default()
        };
        view.status.replicas = belong.iter().map(entry).collect();
        view
    });
    (replica, view)
}
