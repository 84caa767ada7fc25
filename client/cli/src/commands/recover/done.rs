//! The result of a recovery.

use std::collections::BTreeSet;

use serde::Serialize;
use tercet_client::ReplicaView;
use tercet_proto::words::{is_or_are, replicas};

use crate::numbers::grouped;

/// A leader has declared the replicas dead. The fields are those of the JSON.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    declared_dead: BTreeSet<u32>,
    leader: u32,
    epoch: u64,
    config_lsn: u64,
    members: BTreeSet<u32>,
}

impl Done {
    pub(super) fn new(dead: &BTreeSet<u32>, leader: &ReplicaView) -> Done {
        let view = leader.status.view.clone().unwrap_or_default();
        Done {
            declared_dead: dead.clone(),
            leader: leader.status.replica_id,
            epoch: view.epoch,
            config_lsn: view.config_lsn,
            members: view.members.into_iter().collect(),
        }
    }

    /// Says which replica leads which view. A replica that was declared dead may be a member again by now.
    pub(super) fn text(&self) -> String {
        let (back, gone): (BTreeSet<u32>, BTreeSet<u32>) = self
            .declared_dead
            .iter()
            .partition(|id| self.members.contains(id));
        let mut text = format!(
            "replica {} leads; the view since LSN {} is {}",
            self.leader,
            grouped(self.config_lsn),
            replicas(&self.members)
        );
        if !gone.is_empty() {
            text.push_str(&format!(", without {}", replicas(&gone)));
        }
        if !back.is_empty() {
            let store = match back.len() {
                1 => "a new store",
                _ => "new stores",
            };
            text.push_str(&format!(
                "; the old store of each replica that was declared dead is out, and {} {} in the view on \
                 {store}",
                replicas(&back),
                is_or_are(back.len())
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json_line;

    fn done(members: &[u32], dead: &[u32]) -> Done {
        Done {
            declared_dead: dead.iter().copied().collect(),
            leader: 3,
            epoch: 7,
            config_lsn: 4_711,
            members: members.iter().copied().collect(),
        }
    }

    #[test]
    fn the_json_has_the_documented_fields() {
        let json =
            r#"{"config_lsn":4711,"declared_dead":[1],"epoch":7,"leader":3,"members":[2,3]}"#;
        assert_eq!(json_line(&done(&[2, 3], &[1])), json);
    }

    #[test]
    fn a_view_is_never_without_its_own_members() {
        for (members, dead, text) in [
            (
                &[2, 3][..],
                &[1][..],
                "replica 3 leads; the view since LSN 4,711 is replicas 2 and 3, without replica 1",
            ),
            (
                &[1, 2, 3],
                &[1, 2],
                "replica 3 leads; the view since LSN 4,711 is replicas 1, 2 and 3; the old store of \
                 each replica that was declared dead is out, and replicas 1 and 2 are in the view on new \
                 stores",
            ),
            (
                &[2, 3],
                &[1, 2],
                "replica 3 leads; the view since LSN 4,711 is replicas 2 and 3, without replica 1; the \
                 old store of each replica that was declared dead is out, and replica 2 is in the view on \
                 a new store",
            ),
        ] {
            assert_eq!(done(members, dead).text(), text);
        }
    }
}
