//! Differences between an operator's lists and the cluster's own list, in words.

use tercet_core::id::ReplicaId;
use tercet_store::roster::{Member, Roster};

/// Gives one line for each replica whose given addresses differ from the stored roster, and one for this
/// replica when it was started at other addresses than the roster has.
pub(crate) fn differences(
    stored: &Roster,
    given: Option<&Roster>,
    (id, own_addresses): (ReplicaId, &Member),
) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(known) = stored.get(id)
        && known != own_addresses
    {
        lines.push(format!(
            "replica {id}, this one, was at {} and is at {} now: the leader puts that into the cluster's \
             own list",
            both(known),
            both(own_addresses)
        ));
    }
    for (other, listed) in given.into_iter().flat_map(Roster::iter) {
        if other == id {
            continue;
        }
        match stored.get(other) {
            Some(known) if known == listed => {}
            Some(known) => lines.push(format!(
                "replica {other} is at {} in the cluster's own list, and at {} in --replicas and --peers: \
                 both are tried, and the one where it answers is used",
                both(known),
                both(listed)
            )),
            None => lines.push(format!(
                "replica {other} is in --replicas and --peers, and does not belong to the cluster: it is \
                 left out (`tercet cluster add-replica` adds one)"
            )),
        }
    }
    lines
}

fn both(at: &Member) -> String {
    format!("{} and {}", at.address, at.peer_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Member {
        Member {
            address: format!("host:{port}"),
            peer_address: format!("host:{}", port + 1_000),
        }
    }

    fn list(members: &[(u32, u16)]) -> Vec<(ReplicaId, Member)> {
        let member = |&(id, port): &(u32, u16)| (ReplicaId(id), at(port));
        members.iter().map(member).collect()
    }

    #[test]
    fn the_lists_that_differ_are_named_and_what_is_used() {
        let stored = list(&[(1, 1), (2, 2)]).into_iter().collect();
        let stored = Roster::from_state(stored, Default::default());
        let told = |given: &[(u32, u16)], me: u16| {
            let given = Roster::configured(list(given));
            differences(&stored, Some(&given), (ReplicaId(1), &at(me)))
        };
        assert_eq!(told(&[(1, 1), (2, 2)], 1), [""; 0]);
        assert_eq!(told(&[(1, 1)], 1), [""; 0]);
        let [moved] = &told(&[(1, 1), (2, 7)], 1)[..] else {
            panic!("one differs");
        };
        assert!(
            moved.contains("replica 2 is at host:2 and host:1002 in the cluster's own list"),
            "{moved}"
        );
        assert!(
            moved.contains("host:7 and host:1007 in --replicas and --peers"),
            "{moved}"
        );
        let [stranger] = &told(&[(3, 3)], 1)[..] else {
            panic!("one differs");
        };
        assert!(
            stranger.contains("replica 3 is in --replicas"),
            "{stranger}"
        );
        let [own] = &told(&[], 9)[..] else {
            panic!("one differs");
        };
        assert!(own.contains("was at host:1 and host:1001"), "{own}");
    }
}
