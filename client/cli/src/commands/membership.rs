//! `cluster members`, `cluster add-replica` and `cluster remove-replica`.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tercet_client::{Client, Error, Replica, ReplicaView, Replicas, new_request_id};
use tokio::time::{Instant, sleep};

use super::connect::{Connect, given};
use crate::output::{Failure, line, notice, object};

/// Where `tercet local`, started in this directory, keeps the admin token.
const LOCAL_TOKEN: &str = "tercet-data/admin-token";
const VIEW_TIMEOUT: Duration = Duration::from_secs(2);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// The rate is that of so many intervals.
const RATE_INTERVALS: usize = 8;

/// The operator's credential.
#[derive(Debug, Clone, clap::Args)]
pub struct Admin {
    /// The replicas' admin token; better in a file
    #[arg(long, env = "TERCET_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,

    /// The file that holds it [default: that of a `tercet local` in this directory]
    #[arg(long, value_name = "FILE", env = "TERCET_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct Members {
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, clap::Args)]
pub struct AddReplica {
    /// The replica: its id, in use by no other, and its address for clients
    #[arg(value_name = "ID=HOST:PORT")]
    replica: Replicas,
    /// Its address for the other replicas
    #[arg(long, visible_alias = "peer", value_name = "HOST:PORT")]
    peer_address: String,
    /// Show how far it has caught up, until it is a member
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    admin: Admin,
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, clap::Args)]
pub struct RemoveReplica {
    /// Its id
    id: u32,
    #[command(flatten)]
    admin: Admin,
    #[command(flatten)]
    pub connect: Connect,
}

impl Admin {
    /// The same client, calling as an operator.
    pub(super) fn client(&self, client: &Client, connect: &Connect) -> Result<Client, Failure> {
        let variable = match (given(&self.admin_token), &self.admin_token_file) {
            (Some(_), _) => Some("TERCET_ADMIN_TOKEN"),
            (None, Some(_)) => Some("TERCET_ADMIN_TOKEN_FILE"),
            (None, None) => None,
        };
        if variable.is_some() {
            connect.check_list_for("the admin token", variable)?;
        }
        Ok(client.with_token(self.token()?.trim())?)
    }

    fn token(&self) -> Result<String, Failure> {
        if let Some(token) = given(&self.admin_token) {
            return Ok(token.to_owned());
        }
        let file = self.admin_token_file.as_deref();
        let file = file.filter(|path| !path.as_os_str().is_empty());
        let local = Some(Path::new(LOCAL_TOKEN)).filter(|path| path.exists());
        let Some(path) = file.or(local) else {
            let advice = "Name the file that the replicas were started with: --admin-token-file or \
                          TERCET_ADMIN_TOKEN_FILE; `tercet local` keeps it in its data directory.";
            return Err(Failure::failed(
                "NO_ADMIN_TOKEN",
                "no admin token is given",
                advice,
            ));
        };
        fs::read_to_string(path)
            .map_err(|error| Failure::io(&format!("read {}", path.display()), &error))
    }
}

/// One replica as the leader sees it.
struct Member {
    replica: Replica,
    peer_address: String,
    leads: bool,
    member: bool,
    connected: bool,
    /// Entries of the leader's log that it lacks; `None` when that is not known.
    behind: Option<u64>,
    /// Of a snapshot that it is fetching: bytes that have come, and of how many.
    snapshot: Option<(u64, u64)>,
}

fn members_of(view: &ReplicaView) -> Vec<Member> {
    let status = &view.status;
    let member = |replica: &tercet_client::RosterEntry| Member {
        replica: Replica {
            id: replica.replica_id,
            address: replica.address.clone(),
        },
        peer_address: replica.peer_address.clone(),
        leads: replica.replica_id == status.replica_id,
        member: replica.member,
        connected: replica.connected,
        behind: (replica.matched_lsn > 0)
            .then(|| status.last_lsn.saturating_sub(replica.matched_lsn)),
        snapshot: None,
    };
    status.replicas.iter().map(member).collect()
}

pub async fn members(args: Members) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let members = members_of(&client.leader_view(VIEW_TIMEOUT).await?);
    if args.connect.json {
        members
            .iter()
            .try_for_each(|member| object(&member.json()))?;
        return object(&json!({"event": "end"}));
    }
    members.iter().try_for_each(|member| line(&member.text()))
}

impl Member {
    fn json(&self) -> Value {
        json!({
            "event": "replica",
            "id": self.replica.id,
            "address": self.replica.address,
            "peer_address": self.peer_address,
            "leader": self.leads,
            "member": self.member,
            "connected": self.connected,
            "behind": self.behind,
        })
    }

    fn text(&self) -> String {
        let role = match (self.leads, self.member, self.connected) {
            (true, ..) => "leads".to_owned(),
            (_, true, _) => "member".to_owned(),
            (_, _, false) => "not connected".to_owned(),
            _ => match self.behind {
                Some(behind) => format!("catching up, {behind} entries behind"),
                None => "catching up".to_owned(),
            },
        };
        let Replica { id, address } = &self.replica;
        format!("{id}  {address}  {}  {role}", self.peer_address)
    }
}

pub async fn add(args: AddReplica) -> Result<(), Failure> {
    let mut parts = args.replica.iter();
    let (Some(replica), None) = (parts.next(), parts.next()) else {
        return Err(Failure::Usage("add one replica at a time".to_owned()));
    };
    let client = args.connect.client()?;
    let operator = args.admin.client(&client, &args.connect)?;
    operator
        .add_replica(new_request_id(), replica, &args.peer_address)
        .await?;
    let json = args.connect.json;
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
    watch_join(&client, replica.id, json).await
}

/// Tells how a replica catches up, until it is a member.
async fn watch_join(client: &Client, id: u32, json: bool) -> Result<(), Failure> {
    let mut rate = Rate::default();
    let mut told = None;
    loop {
        let view = match client.leader_view(VIEW_TIMEOUT).await {
            Ok(view) => view,
            Err(error @ Error::NoLeader { .. }) => return Err(error.into()),
            Err(_) => {
                // The leader has gone; the next call looks for the next one.
                sleep(PROGRESS_INTERVAL).await;
                continue;
            }
        };
        let mut members = members_of(&view);
        let Some(member) = members.iter_mut().find(|member| member.replica.id == id) else {
            let message = format!("replica {id} was removed meanwhile");
            return Err(Failure::failed("UNKNOWN_REPLICA", message, ""));
        };
        if !member.member && member.connected {
            // How much of a snapshot has come only it knows itself.
            let own = client.replica_view(&member.replica, VIEW_TIMEOUT).await;
            let bytes = own.ok().map(|own| {
                let status = own.status;
                (status.snapshot_received_bytes, status.snapshot_total_bytes)
            });
            member.snapshot = bytes.filter(|(_, total)| *total > 0);
        }
        let progress = rate.progress(member, Instant::now());
        if told.as_ref() != Some(&progress) {
            if json {
                object(&progress.json(id))?
            } else {
                line(&progress.text(id))?
            }
        }
        if progress.member {
            return Ok(());
        }
        told = Some(progress);
        sleep(PROGRESS_INTERVAL).await;
    }
}

/// How far a joining replica is.
#[derive(Clone, Debug, PartialEq)]
struct Progress {
    member: bool,
    connected: bool,
    behind: Option<u64>,
    snapshot: Option<(u64, u64)>,
    /// Entries by which it comes nearer in a second, or bytes of a snapshot; `None` while that is not
    /// known.
    per_second: Option<f64>,
}

impl Progress {
    fn seconds_left(&self) -> Option<f64> {
        let rate = self.per_second.filter(|rate| *rate >= 1.0)?;
        Some(left(self.snapshot, self.behind)? as f64 / rate)
    }

    fn json(&self, id: u32) -> Value {
        json!({
            "id": id,
            "member": self.member,
            "connected": self.connected,
            "behind": self.behind,
            "snapshot_received_bytes": self.snapshot.map(|(received, _)| received),
            "snapshot_total_bytes": self.snapshot.map(|(_, total)| total),
            "per_second": self.per_second.map(f64::round),
            "seconds_left": self.seconds_left().map(f64::round),
        })
    }

    fn text(&self, id: u32) -> String {
        let left = self.seconds_left().map_or_else(String::new, |seconds| {
            format!(", about {seconds:.0} s left")
        });
        match (self.member, self.connected, self.snapshot, self.behind) {
            (true, ..) => format!("replica {id} is a member"),
            (_, false, ..) => format!("replica {id} is not connected yet"),
            (_, _, Some((received, total)), _) => format!(
                "replica {id} has {:.1} of {:.1} MB of a snapshot{left}",
                received as f64 / 1e6,
                total as f64 / 1e6
            ),
            (_, _, None, None) => format!("replica {id} is connected"),
            (_, _, None, Some(behind)) => {
                let rate = self.per_second.map_or_else(String::new, |rate| {
                    format!(", {rate:.0} entries a second nearer")
                });
                format!("replica {id} is {behind} entries behind{rate}{left}")
            }
        }
    }
}

/// What is still to come: bytes of a snapshot, else entries.
fn left(snapshot: Option<(u64, u64)>, behind: Option<u64>) -> Option<u64> {
    let bytes = snapshot.map(|(received, total)| total.saturating_sub(received));
    bytes.or(behind)
}

/// The rate of the last intervals.
#[derive(Default)]
struct Rate {
    of_snapshot: bool,
    seen: VecDeque<(Instant, u64)>,
}

impl Rate {
    fn progress(&mut self, member: &Member, now: Instant) -> Progress {
        let behind = member.behind.filter(|_| member.connected);
        let left = left(member.snapshot, behind);
        if self.of_snapshot != member.snapshot.is_some() {
            self.of_snapshot = !self.of_snapshot;
            self.seen.clear();
        }
        match left {
            Some(left) => self.seen.push_back((now, left)),
            None => self.seen.clear(),
        }
        if self.seen.len() > RATE_INTERVALS {
            self.seen.pop_front();
        }
        let first = self.seen.front().filter(|(at, _)| *at < now);
        let per_second = first
            .zip(left)
            .map(|((at, before), left)| (*before as f64 - left as f64) / (now - *at).as_secs_f64());
        Progress {
            member: member.member,
            connected: member.connected,
            behind,
            snapshot: member.snapshot,
            per_second,
        }
    }
}

pub async fn remove(args: RemoveReplica) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let operator = args.admin.client(&client, &args.connect)?;
    let left_view = operator.remove_replica(new_request_id(), args.id).await?;
    if args.connect.json {
        return object(&json!({"removed": args.id, "left_view": left_view}));
    }
    line(&format!(
        "replica {} does not belong to the cluster any more",
        args.id
    ))?;
    if !left_view {
        notice("the view still has it, and it leaves as soon as enough others are members");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(behind: Option<u64>) -> Member {
        Member {
            replica: Replica {
                id: 4,
                address: "d:1".to_owned(),
            },
            peer_address: "d:2".to_owned(),
            leads: false,
            member: false,
            connected: true,
            behind,
            snapshot: None,
        }
    }

    #[test]
    fn the_rate_is_of_what_was_seen_lately_and_says_how_long_it_takes() {
        let mut rate = Rate::default();
        let start = Instant::now();
        let first = rate.progress(&member(Some(1_000)), start);
        assert_eq!(first.per_second, None);
        let later = rate.progress(&member(Some(500)), start + Duration::from_secs(1));
        assert_eq!(later.per_second, Some(500.0));
        assert_eq!(later.seconds_left(), Some(1.0));
        assert!(
            later.text(4).contains("500 entries behind"),
            "{}",
            later.text(4)
        );
    }

    #[test]
    fn a_snapshot_that_comes_is_told_in_bytes_and_has_a_rate_of_its_own() {
        let mut rate = Rate::default();
        let start = Instant::now();
        let with = |received| Member {
            snapshot: Some((received, 50_000_000)),
            ..member(None)
        };
        rate.progress(&member(Some(9)), start);
        let first = rate.progress(&with(10_000_000), start + Duration::from_secs(1));
        assert_eq!(first.per_second, None);
        let later = rate.progress(&with(30_000_000), start + Duration::from_secs(2));
        let told = "replica 4 has 30.0 of 50.0 MB of a snapshot, about 1 s left";
        assert_eq!(later.text(4), told);
    }

    #[test]
    fn a_replica_that_falls_back_has_no_time_left() {
        let mut rate = Rate::default();
        let start = Instant::now();
        rate.progress(&member(Some(500)), start);
        let later = rate.progress(&member(Some(900)), start + Duration::from_secs(1));
        assert_eq!(later.seconds_left(), None);
        assert_eq!(later.json(4)["seconds_left"], Value::Null);
    }
}
