//! The commands `cluster members`, `cluster add-replica` and `cluster remove-replica`.

mod join;

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tercet_client::{ReplicaView, Replicas, RosterEntry, new_request_id};

use super::admin::Admin;
use super::connect::Connect;
use crate::failure::Failure;
use crate::output::{line, notice, object, print};
use crate::table::aligned;

/// The time that the leader may take to answer.
const VIEW_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub struct AddReplica {
    /// The replica: its id, which no other replica has, and its address for clients
    #[arg(value_name = "ID=HOST:PORT")]
    replica: Replicas,
    /// The address of the replica for the other replicas
    #[arg(long, visible_alias = "peer", value_name = "HOST:PORT")]
    peer_address: String,
    /// Show the progress of the replica, until it is a member
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, clap::Args)]
pub struct RemoveReplica {
    /// The id of the replica
    id: u32,
    #[command(flatten)]
    admin: Admin,
}

/// A replica of the cluster, as the leader sees it. The fields are those of the JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "replica")]
struct Member {
    id: u32,
    address: String,
    peer_address: String,
    leader: bool,
    member: bool,
    connected: bool,
    /// The number of entries of the leader's log that it lacks; `None` when that is not known.
    behind: Option<u64>,
}

fn members_of(view: &ReplicaView) -> Vec<Member> {
    let status = &view.status;
    let member = |replica: &RosterEntry| Member {
        id: replica.replica_id,
        address: replica.address.clone(),
        peer_address: replica.peer_address.clone(),
        leader: replica.replica_id == status.replica_id,
        member: replica.member,
        connected: replica.connected,
        behind: (replica.matched_lsn > 0)
            .then(|| status.last_lsn.saturating_sub(replica.matched_lsn)),
    };
    status.replicas.iter().map(member).collect()
}

pub async fn members(connect: &Connect) -> Result<(), Failure> {
    let client = connect.client()?;
    let members = members_of(&client.leader_view(VIEW_TIMEOUT).await?);
    if connect.json {
        members.iter().try_for_each(object)?;
        return object(&json!({"event": "end"}));
    }
    let rows: Vec<_> = members.iter().map(Member::row).collect();
    line(&aligned(&rows).join("\n"))
}

impl Member {
    fn row(&self) -> [String; 4] {
        let role = match (self.leader, self.member, self.connected) {
            (true, ..) => "leads".to_owned(),
            (_, true, _) => "member".to_owned(),
            (_, _, false) => "not connected".to_owned(),
            _ => match self.behind {
                Some(behind) => format!("catching up, {behind} entries behind"),
                None => "catching up".to_owned(),
            },
        };
        [
            self.id.to_string(),
            self.address.clone(),
            self.peer_address.clone(),
            role,
        ]
    }
}

pub async fn add(args: AddReplica, connect: &Connect) -> Result<(), Failure> {
    let mut parts = args.replica.iter();
    let (Some(replica), None) = (parts.next(), parts.next()) else {
        return Err(Failure::Usage("add one replica at a time".to_owned()));
    };
    let client = connect.client()?;
    let operator = args.admin.client(&client, connect)?;
    operator
        .add_replica(new_request_id(), replica, &args.peer_address)
        .await?;
    let json = connect.json;
    if json {
        object(&json!({"added": replica.id}))?;
    } else {
        let members = client.roster().unwrap_or_else(|| args.replica.clone());
        let others = members.iter().filter(|other| other.id != replica.id);
        let others: Vec<&str> = others.map(|other| other.address.as_str()).collect();
        line(&format!("replica {} belongs to the cluster", replica.id))?;
        notice(&format!(
            "if it does not run yet: tercet serve --id {} --join {} --address {} \
             --peer-address {} (and --data, --peer-secret-file, --admin-token-file)",
            replica.id,
            others.join(","),
            replica.address,
            args.peer_address
        ));
    }
    if !args.wait {
        return Ok(());
    }
    // A join may take long: --timeout is for the calls, and for being without any progress.
    join::watch(&client, replica.id, json).await
}

pub async fn remove(args: RemoveReplica, connect: &Connect) -> Result<(), Failure> {
    let client = connect.client()?;
    let operator = args.admin.client(&client, connect)?;
    let left_view = operator.remove_replica(new_request_id(), args.id).await?;
    let text = format!(
        "replica {} does not belong to the cluster any more",
        args.id
    );
    let removed = json!({"removed": args.id, "left_view": left_view});
    print(connect.json, &removed, &text)?;
    if !left_view && !connect.json {
        notice("the view still has it, and it leaves as soon as enough others are members");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json_line;

    /// Makes replica 4, which is connected and no member.
    pub(super) fn member(behind: Option<u64>) -> Member {
        Member {
            id: 4,
            address: "d:1".to_owned(),
            peer_address: "d:2".to_owned(),
            leader: false,
            member: false,
            connected: true,
            behind,
        }
    }

    #[test]
    fn the_json_has_the_documented_fields() {
        let json = r#"{"address":"d:1","behind":null,"connected":true,"event":"replica","id":4,"leader":false,"member":false,"peer_address":"d:2"}"#;
        assert_eq!(json_line(&member(None)), json);
    }
}
