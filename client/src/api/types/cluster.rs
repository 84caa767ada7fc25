//! The values of the calls about replicas and the cluster.

use tercet_proto::v1;

use super::{FromWire, list};

/// The role of a replica.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// A role that only a later version of the server has.
    #[default]
    Unknown,
    /// The replica commits writes and serves clients.
    Leader,
    /// The replica is a member of the view: every write waits for it.
    Backup,
    /// The replica follows the leader and catches up; writes do not wait for it.
    Learner,
    /// The replica collects promises to lead.
    Candidate,
    /// The replica waits without a known leader.
    Waiting,
}

impl FromWire<v1::Role> for Role {
    fn from_wire(wire: v1::Role) -> Self {
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

/// The state of a replica, and of the cluster as this replica knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The id of the replica that answers.
    pub replica_id: u32,
    /// The role of this replica.
    pub role: Role,
    /// The id of the leader that this replica knows; 0 for none.
    pub leader_id: u32,
    /// The newest view known here; `None` while there is none.
    pub view: Option<View>,
    /// The mode of the cluster: `available` or `majority`.
    pub mode: String,
    /// The highest LSN in this replica's log.
    pub last_lsn: u64,
    /// The highest LSN that this replica knows to be committed.
    pub committed_lsn: u64,
    /// The highest LSN whose effect is in this replica's state tables.
    pub applied_lsn: u64,
    /// Every replica of the cluster, by id, as this one sees it.
    pub replicas: Vec<RosterEntry>,
    /// The reason why this replica waits, and for which replicas, in words. Empty when it does not wait.
    pub waiting: String,
    /// The UUID of the cluster in text form; empty while there is none.
    pub cluster_id: String,
    /// Whether this replica refuses writes because its disk is full.
    pub disk_full: bool,
    /// The version of the running binary.
    pub version: String,
    /// A random number for this run of the process; a new one after each start.
    pub incarnation: u64,
    /// The LSN of the first entry in this replica's log; earlier entries are in the state alone. 0: not known yet.
    pub log_start_lsn: u64,
    /// The bytes of the commands in the log.
    pub log_bytes: u64,
    /// The bytes received of a snapshot that this replica is fetching; 0 when none is being fetched.
    pub snapshot_received_bytes: u64,
    /// The size of this snapshot in bytes; 0 when none is being fetched.
    pub snapshot_total_bytes: u64,
    /// The replicas that this one waits for before it may lead, by id; empty unless it waits.
    pub waiting_for: Vec<u32>,
    /// The replicas that an operator has declared dead at this replica, by id; empty once there is a leader.
    pub declared_dead: Vec<u32>,
    /// The stores that were declared dead, from the newest Config known here; they are refused for ever.
    pub dead_stores: Vec<ReplicaStore>,
    /// True when no account was ever made, as far as this replica has applied. False otherwise, and from replicas of
    /// earlier versions.
    pub no_accounts: bool,
    /// The time for which the disk of this replica has not answered, in whole seconds, once that exceeds the limit of a member
    /// (5 s); 0 otherwise. Meanwhile it does not lead, unless it is the last replica.
    pub disk_stalled_seconds: u64,
    /// The cluster time as this replica computes it, milliseconds since the Unix epoch. Stamps and the ends of
    /// sessions follow it.
    pub time_ms: i64,
    /// Whether more than half of the replicas, and at least two, agree with it within a second.
    pub time_agreed: bool,
    /// The time by which the last stamp is ahead of cluster time, milliseconds; 0 when it is not.
    pub stamps_ahead_ms: i64,
    /// The time for which messages are kept in the cluster, milliseconds, as far as this replica has applied; 0: for ever.
    pub retention_ms: i64,
}

impl FromWire<v1::GetStatusResponse> for Status {
    fn from_wire(wire: v1::GetStatusResponse) -> Self {
        Status {
            replica_id: wire.replica_id,
            role: Role::from_wire(wire.role()),
            leader_id: wire.leader_id,
            view: wire.view.map(View::from_wire),
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
            retention_ms: wire.retention_ms,
        }
    }
}

/// The replicas that must have each write on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The epoch's term: grows with each takeover.
    pub epoch: u64,
    /// The LSN of the log entry that holds this membership; 0 when there is none yet.
    pub config_lsn: u64,
    /// The ids of the members, ascending.
    pub members: Vec<u32>,
}

impl FromWire<v1::View> for View {
    fn from_wire(wire: v1::View) -> Self {
        View {
            epoch: wire.epoch,
            config_lsn: wire.config_lsn,
            members: wire.members,
        }
    }
}

/// A replica of the cluster, as another replica sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RosterEntry {
    /// The id of the replica.
    pub replica_id: u32,
    /// The address for clients, `HOST:PORT`.
    pub address: String,
    /// The address for replicas, `HOST:PORT`.
    pub peer_address: String,
    /// Whether the replica is in the newest Config known to the answering replica.
    pub member: bool,
    /// Whether the answering replica has a session with the replica (true for itself).
    pub connected: bool,
    /// The highest LSN known to be on the replica's disk, on the leader; 0 when unknown.
    pub matched_lsn: u64,
    /// On the leader: how long a write to the replica's disk takes, milliseconds, while the replica is kept out of
    /// the view for that; 0 otherwise.
    pub slow_disk_ms: u64,
    /// The time by which the replica's wall clock is ahead of [`Status::time_ms`], milliseconds; negative when behind; `None`
    /// when the answering replica has not read it within a day.
    pub clock_offset_ms: Option<i64>,
    /// The error bound of the offset, either way, milliseconds.
    pub clock_error_ms: Option<i64>,
}

impl FromWire<v1::ReplicaStatus> for RosterEntry {
    fn from_wire(wire: v1::ReplicaStatus) -> Self {
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

/// A replica on one store: on an empty disk it gets another store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaStore {
    /// The id of the replica.
    pub replica_id: u32,
    /// The UUID of the store in text form.
    pub store_id: String,
}

impl FromWire<v1::ReplicaStore> for ReplicaStore {
    fn from_wire(wire: v1::ReplicaStore) -> Self {
        ReplicaStore {
            replica_id: wire.replica_id,
            store_id: wire.store_id,
        }
    }
}

/// The log of one replica, and the replicas that it waits for, at a declaration of dead replicas. The best log is
/// that of the replica with the highest `last_epoch`, and among those the highest `last_lsn`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The id of the replica that answers.
    pub replica_id: u32,
    /// The LSN of the last entry in this replica's log. 0: the log is empty.
    pub last_lsn: u64,
    /// The epoch of that entry, as a number for comparison only; not the term that is shown elsewhere.
    pub last_epoch: u64,
    /// The highest LSN that this replica knows to be committed.
    pub committed_lsn: u64,
    /// The members of its newest Config, by id.
    pub members: Vec<u32>,
    /// The replicas that it waits for, by id, as in [`Status::waiting_for`].
    pub waiting_for: Vec<u32>,
    /// The reason why it waits, in words, as in [`Status::waiting`].
    pub waiting: String,
    /// The first LSN that may be missing if the cluster continues from this log. How many such entries the dead
    /// replicas acknowledged is not known.
    pub may_be_missing_from_lsn: u64,
    /// The stores that are declared dead: those of the named replicas in the newest Config.
    pub stores: Vec<ReplicaStore>,
    /// The other remaining replicas, by id: each must get the declaration.
    pub others: Vec<u32>,
    /// The replicas that this replica has noted as declared dead, by id; with `validate_only`, before this call.
    pub declared_dead: Vec<u32>,
}

impl FromWire<v1::RecoverResponse> for RecoveryReport {
    fn from_wire(wire: v1::RecoverResponse) -> Self {
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
