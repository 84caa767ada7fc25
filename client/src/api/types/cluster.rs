//! Values of the calls about replicas and the cluster, as plain types of this library.

use tercet_proto::v1;

use super::list;

/// The role of a replica.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// A role of a later version of the server.
    #[default]
    Unknown,
    /// Commits and serves.
    Leader,
    /// A member of the view: every write waits for it.
    Backup,
    /// Follows the leader and catches up; writes do not wait for it.
    Learner,
    /// Collects promises to lead.
    Candidate,
    /// Knows no leader.
    Waiting,
}

impl From<v1::Role> for Role {
    fn from(wire: v1::Role) -> Self {
        match wire {
            v1::Role::Unspecified => Role::Unknown,
            v1::Role::Leader => Role::Leader,
            v1::Role::Backup => Role::Backup,
            v1::Role::Learner => Role::Learner,
            v1::Role::Candidate => Role::Candidate,
            v1::Role::Waiting => Role::Waiting,
        }
    }
}

/// The status that a replica reports of itself and the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The replica that answers.
    pub replica_id: u32,
    pub role: Role,
    /// The leader it knows; 0 for none.
    pub leader_id: u32,
    pub view: Option<View>,
    /// `available` or `majority`.
    pub mode: String,
    /// Highest LSN in this replica's log.
    pub last_lsn: u64,
    /// Highest LSN that this replica knows to be committed.
    pub committed_lsn: u64,
    /// Highest LSN whose effect is in this replica's state tables.
    pub applied_lsn: u64,
    /// Every replica of the cluster, by id, as this one sees it.
    pub replicas: Vec<RosterEntry>,
    /// Why a waiting replica waits, and for which replicas, in words. Empty for others.
    pub waiting: String,
    /// UUID of the cluster in text form; empty while there is none.
    pub cluster_id: String,
    /// True when this replica refuses writes because its disk is full.
    pub disk_full: bool,
    /// Version of the running binary.
    pub version: String,
    /// This run of the replica's process: a random number, another one after each start.
    pub incarnation: u64,
    /// LSN of the first entry that this replica's log still has; what was before it is in the state alone.
    /// 0: not known yet.
    pub log_start_lsn: u64,
    /// Bytes of the commands in the log.
    pub log_bytes: u64,
    /// Bytes that have come of a snapshot which this replica is fetching, and how many it has. 0 of 0: none
    /// is fetched.
    pub snapshot_received_bytes: u64,
    pub snapshot_total_bytes: u64,
    /// Ids of the replicas that a waiting replica needs before it may lead. Empty for others.
    pub waiting_for: Vec<u32>,
    /// Ids of the replicas that an operator declared dead at this replica. Empty once there is a leader.
    pub declared_dead: Vec<u32>,
    /// Stores that were declared dead, as the newest membership known here says: they never come back.
    pub dead_stores: Vec<ReplicaStore>,
    /// True when no account was ever made, as far as this replica has applied its log. False from replicas of
    /// earlier versions.
    pub no_accounts: bool,
    /// How long the disk of this replica has not answered, in whole seconds, once that is longer than a
    /// member may take to acknowledge (5 s); 0 otherwise. Meanwhile it does not lead, unless it is the last
    /// one.
    pub disk_stalled_seconds: u64,
    /// Cluster time as this replica has it, milliseconds since the Unix epoch: stamps and the ends of sessions
    /// follow it.
    pub time_ms: i64,
    /// Whether more than half of the replicas, and not one alone, agree on it.
    pub time_agreed: bool,
    /// How far the last stamp is ahead of it, milliseconds; 0: it is not.
    pub stamps_ahead_ms: i64,
}

impl From<v1::GetStatusResponse> for Status {
    fn from(wire: v1::GetStatusResponse) -> Self {
        Status {
            replica_id: wire.replica_id,
            role: wire.role().into(),
            leader_id: wire.leader_id,
            view: wire.view.map(Into::into),
            mode: wire.mode,
            last_lsn: wire.last_lsn,
            committed_lsn: wire.committed_lsn,
            applied_lsn: wire.applied_lsn,
            replicas: list(wire.replicas),
            waiting: wire.waiting,
            cluster_id: wire.cluster_id,
            disk_full: wire.disk_full,
            version: wire.version,
            incarnation: wire.incarnation,
            log_start_lsn: wire.log_start_lsn,
            log_bytes: wire.log_bytes,
            snapshot_received_bytes: wire.snapshot_received_bytes,
            snapshot_total_bytes: wire.snapshot_total_bytes,
            waiting_for: wire.waiting_for,
            declared_dead: wire.declared_dead,
            dead_stores: list(wire.dead_stores),
            no_accounts: wire.no_accounts,
            disk_stalled_seconds: wire.disk_stalled_seconds,
            time_ms: wire.time_ms,
            time_agreed: wire.time_agreed,
            stamps_ahead_ms: wire.stamps_ahead_ms,
        }
    }
}

/// The replicas that must have each write on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The epoch's term: grows with each takeover.
    pub epoch: u64,
    /// LSN of the log entry that holds this membership; 0 when there is none yet.
    pub config_lsn: u64,
    /// Replica ids, ascending.
    pub members: Vec<u32>,
}

impl From<v1::View> for View {
    fn from(wire: v1::View) -> Self {
        View {
            epoch: wire.epoch,
            config_lsn: wire.config_lsn,
            members: wire.members,
        }
    }
}

/// A replica of the cluster, as another one sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RosterEntry {
    pub replica_id: u32,
    /// For clients, `HOST:PORT`.
    pub address: String,
    /// For replicas, `HOST:PORT`.
    pub peer_address: String,
    /// Whether it is in the newest membership known to the answering replica.
    pub member: bool,
    /// Whether the answering replica has a session with it (true for itself).
    pub connected: bool,
    /// Highest LSN known to be on its disk, on the leader; 0 when unknown.
    pub matched_lsn: u64,
    /// On the leader: how many milliseconds its disk takes for a write, while it is kept out of the view for that;
    /// 0 otherwise.
    pub slow_disk_ms: u64,
    /// How far its host's clock is ahead of [`Status::time_ms`], milliseconds, negative when it is behind; `None`
    /// when the answering replica has not heard it for a day.
    pub clock_offset_ms: Option<i64>,
    /// How far that may be wrong, either way, milliseconds.
    pub clock_error_ms: Option<i64>,
}

impl From<v1::ReplicaStatus> for RosterEntry {
    fn from(wire: v1::ReplicaStatus) -> Self {
        RosterEntry {
            replica_id: wire.replica_id,
            address: wire.address,
            peer_address: wire.peer_address,
            member: wire.member,
            connected: wire.connected,
            matched_lsn: wire.matched_lsn,
            slow_disk_ms: wire.slow_disk_ms,
            clock_offset_ms: wire.clock_offset_ms,
            clock_error_ms: wire.clock_error_ms,
        }
    }
}

/// A replica on one store; on an empty disk it has another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaStore {
    pub replica_id: u32,
    /// UUID in text form.
    pub store_id: String,
}

impl From<v1::ReplicaStore> for ReplicaStore {
    fn from(wire: v1::ReplicaStore) -> Self {
        ReplicaStore {
            replica_id: wire.replica_id,
            store_id: wire.store_id,
        }
    }
}

/// The report of one replica before or after a declaration of dead replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    pub replica_id: u32,
    /// The last entry in its log. 0: the log is empty.
    pub last_lsn: u64,
    /// The epoch of that entry, as a number that only ranks; not the term that is shown elsewhere.
    pub last_epoch: u64,
    /// Highest LSN that it knows to be committed.
    pub committed_lsn: u64,
    /// Its newest membership, by id.
    pub members: Vec<u32>,
    /// Ids of the replicas that it waits for, as in [`Status::waiting_for`].
    pub waiting_for: Vec<u32>,
    /// The same with the reason, in words.
    pub waiting: String,
    /// The first LSN that may be missing if the cluster goes on from this log: only the dead acknowledged
    /// entries from there on.
    pub may_be_missing_from_lsn: u64,
    /// The stores that are declared dead: the newest membership names those replicas with them.
    pub stores: Vec<ReplicaStore>,
    /// Ids of the other replicas that are left: each must get the declaration.
    pub others: Vec<u32>,
    /// Ids of the replicas that are declared dead here; with `validate_only`, before this call.
    pub declared_dead: Vec<u32>,
}

impl From<v1::RecoverResponse> for RecoveryReport {
    fn from(wire: v1::RecoverResponse) -> Self {
        RecoveryReport {
            replica_id: wire.replica_id,
            last_lsn: wire.last_lsn,
            last_epoch: wire.last_epoch,
            committed_lsn: wire.committed_lsn,
            members: wire.members,
            waiting_for: wire.waiting_for,
            waiting: wire.waiting,
            may_be_missing_from_lsn: wire.may_be_missing_from_lsn,
            stores: list(wire.stores),
            others: wire.others,
            declared_dead: wire.declared_dead,
        }
    }
}
