//! `tercet.v1.ClusterService`: the leader, the status of the replicas, and the hashes of their state.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tercet_core::id::{ReplicaId, StoreId};
use tercet_proto::{
    log::{self, command::Action, outcome},
    v1,
};
use tercet_store::{
    Readers, command,
    queries::{ClusterRetention, HasAccounts},
    roster::Member,
};
use tercet_types::fair::Key;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};
use uuid::Uuid;

use super::{caller::Caller, chat::unexpected, status::Failure};
use crate::{
    auth::admin::AdminToken,
    checkpoints::{Checkpoint, Checkpoints},
    cluster_clock::{ClusterClock, Shown},
    handle::{Handle, ReplicaStatus, Role},
    reply::Unavailability,
    shutdown::Stopper,
};

/// The time that a call may wait until a mark is applied and hashed here.
const HASH_WAIT_MAX: Duration = Duration::from_secs(60);

/// Concurrent calls that wait for a hash. An operator needs one.
const HASH_WAITS_MAX: usize = 32;

/// The result of a mark on its way into the log; `None` while it is under way.
type PendingCheckpoint = watch::Receiver<Option<Result<u64, Unavailability>>>;

/// The service. Cheap to clone.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) handle: Handle,
    pub(super) readers: Readers,
    checkpoints: Checkpoints,
    pub(super) admin: AdminToken,
    pub(super) stopper: Stopper,
    pending: Arc<Mutex<Option<PendingCheckpoint>>>,
    /// Whether an account exists. Once true it stays true, and the store is not read again.
    has_accounts: Arc<AtomicBool>,
    /// Permits of calls that wait for a hash.
    hash_waits: Arc<Semaphore>,
    clock: ClusterClock,
}

impl Cluster {
    pub fn new(
        handle: Handle,
        readers: Readers,
        checkpoints: Checkpoints,
        admin: AdminToken,
        stopper: Stopper,
        clock: ClusterClock,
    ) -> Self {
        Cluster {
            handle,
            readers,
            checkpoints,
            admin,
            stopper,
            pending: Arc::default(),
            has_accounts: Arc::default(),
            hash_waits: Arc::new(Semaphore::new(HASH_WAITS_MAX)),
            clock,
        }
    }

    pub(super) async fn do_is_master(
        &self,
        _: &Caller,
        _: v1::IsMasterRequest,
    ) -> Result<v1::IsMasterResponse, Failure> {
        let is_master = self.handle.leads();
        let mut status = ReplicaStatus::clone(&self.handle.status());
        if is_master {
            status.leader = Some(status.id);
        } else if status.leader == Some(status.id) {
            // During a takeover, or without a lease, this replica does not know whether it leads.
            status.leader = None;
        }
        let leader = status.leader.and_then(|id| status.roster.get(id));
        let replicas = status.roster.iter();
        Ok(v1::IsMasterResponse {
            is_master,
            leader_id: status.leader.map_or(0, |id| id.0),
            leader_address: leader.map_or_else(String::new, |at| at.address.clone()),
            view: Some(view(&status)),
            replica_id: status.id.0,
            replicas: replicas
                .map(|(id, member)| v1::ReplicaAddress {
                    replica_id: id.0,
                    address: member.address.clone(),
                })
                .collect(),
            cluster_id: cluster_id(&status),
            time_ms: self.clock.now_ms(),
        })
    }

    pub(super) async fn do_get_status(
        &self,
        _: &Caller,
        _: v1::GetStatusRequest,
    ) -> Result<v1::GetStatusResponse, Failure> {
        let status = self.handle.status();
        let replicas = status.roster.iter();
        let (time_ms, shown) = (self.clock.now_ms(), self.clock.shown());
        let replicas = replicas.map(|(id, member)| replica(&status, &shown, id, member));
        Ok(v1::GetStatusResponse {
            replica_id: status.id.0,
            role: role(status.role).into(),
            leader_id: status.leader.map_or(0, |id| id.0),
            view: Some(view(&status)),
            mode: status.mode.to_owned(),
            last_lsn: status.last.0,
            committed_lsn: status.commit.0,
            applied_lsn: status.applied.0,
            replicas: replicas.collect(),
            waiting: status.waiting.clone(),
            cluster_id: cluster_id(&status),
            disk_full: status.disk_full,
            disk_stalled_seconds: status.disk_stalled_seconds,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: status.incarnation.0,
            log_start_lsn: status.storage.log_start.0,
            log_bytes: status.storage.log_bytes,
            snapshot_received_bytes: status.storage.snapshot_received,
            snapshot_total_bytes: status.storage.snapshot_bytes,
            waiting_for: status.waiting_for.iter().map(|id| id.0).collect(),
            declared_dead: status.declared_dead.iter().map(|id| id.0).collect(),
            dead_stores: status.dead.iter().map(replica_store).collect(),
            no_accounts: !self.has_accounts(),
            time_ms,
            time_agreed: shown.agree,
            retention_ms: self.retention_ms(),
            stamps_ahead_ms: shown.last_stamp_ms.saturating_sub(time_ms).max(0),
        })
    }

    fn retention_ms(&self) -> i64 {
        // As far as it can be read.
        let retention = self.readers.read(&ClusterRetention).unwrap_or_default();
        retention.unwrap_or(0)
    }

    fn has_accounts(&self) -> bool {
        if !self.has_accounts.load(Ordering::Relaxed) {
            // A store that cannot be read gives no answer, and false would claim that there is no account.
            let has_accounts = self.readers.read(&HasAccounts).unwrap_or(true);
            self.has_accounts.store(has_accounts, Ordering::Relaxed);
        }
        self.has_accounts.load(Ordering::Relaxed)
    }

    pub(super) async fn do_create_checkpoint(
        &self,
        _: &Caller,
        _: v1::CreateCheckpointRequest,
    ) -> Result<v1::CreateCheckpointResponse, Failure> {
        let lsn = self.create_checkpoint().await?;
        Ok(v1::CreateCheckpointResponse { lsn })
    }

    /// Puts a mark into the log, one at a time: a call while one is under way gets the same mark. Returns its LSN.
    pub(super) async fn create_checkpoint(&self) -> Result<u64, Failure> {
        let mut pending_checkpoint = self.join_or_start()?;
        let finished = pending_checkpoint.wait_for(Option::is_some).await;
        let result = finished.ok().and_then(|finished| finished.clone());
        Ok(result.unwrap_or(Err(Unavailability::OutcomeUnknown))?)
    }

    fn join_or_start(&self) -> Result<PendingCheckpoint, Failure> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pending_checkpoint) = pending.as_ref()
            && pending_checkpoint.borrow().is_none()
            && pending_checkpoint.has_changed().is_ok()
        {
            return Ok(pending_checkpoint.clone());
        }
        if !self.checkpoints.has_room() {
            return Err(Unavailability::Busy.into());
        }
        let (finish, pending_checkpoint) = watch::channel(None);
        *pending = Some(pending_checkpoint.clone());
        // A task of its own, because the first caller may go away while the others wait.
        let handle = self.handle.clone();
        tokio::spawn(async move {
            finish.send_replace(Some(checkpoint(&handle).await));
        });
        Ok(pending_checkpoint)
    }

    pub(super) async fn do_get_state_hash(
        &self,
        _: &Caller,
        request: v1::GetStateHashRequest,
    ) -> Result<v1::GetStateHashResponse, Failure> {
        let v1::GetStateHashRequest { lsn } = request;
        // Every write wakes each waiting call.
        let waits = self.hash_waits.try_acquire();
        let _waits = waits.map_err(|_| Unavailability::Busy)?;
        let hash = timeout(HASH_WAIT_MAX, self.hashed(lsn)).await;
        let hash = hash.unwrap_or(Err(Failure::CheckpointPending(lsn)))?;
        Ok(v1::GetStateHashResponse {
            lsn,
            state_hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    async fn hashed(&self, lsn: u64) -> Result<[u8; 32], Failure> {
        let mut known = self.checkpoints.watch();
        let mut status = self.handle.watch_status();
        loop {
            // The status is read first: a status with a later `applied` is published after the snapshot was
            // registered.
            let applied = status.borrow_and_update().applied.0;
            let found = known.borrow_and_update().get(&lsn).copied();
            match found {
                Some(Checkpoint::Hashed(hash)) => return Ok(hash),
                Some(Checkpoint::Failed) => {
                    return Err(Failure::Internal(format!(
                        "the state at LSN {lsn} was not hashed"
                    )));
                }
                None if applied > lsn => return Err(Failure::NoSuchCheckpoint(lsn)),
                Some(Checkpoint::Pending) | None => {}
            }
            let more = tokio::select! {
                more = known.changed() => more,
                more = status.changed() => more,
            };
            more.map_err(|_| Unavailability::Stopping)?;
        }
    }
}

/// Puts a state-hash mark into the log.
async fn checkpoint(handle: &Handle) -> Result<u64, Unavailability> {
    let action = Action::Checkpoint(log::Checkpoint {});
    let command = command::proposal(Bytes::new(), action);
    let (lsn, outcome) = handle.propose(Key::REPLICA, command).await?;
    match outcome.result {
        Some(outcome::Result::Checkpointed(_)) | None => {}
        Some(other) => tracing::error!(error = %unexpected(&other), "create a checkpoint"),
    }
    Ok(lsn.0)
}

fn view(status: &ReplicaStatus) -> v1::View {
    v1::View {
        epoch: status.epoch.term(),
        config_lsn: status.config_lsn.0,
        members: status.members.iter().map(|id| id.0).collect(),
    }
}

fn cluster_id(status: &ReplicaStatus) -> String {
    let cluster = status.cluster;
    cluster.map_or_else(String::new, |id| Uuid::from_u128(id).to_string())
}

pub(super) fn replica_store((id, store): &(ReplicaId, StoreId)) -> v1::ReplicaStore {
    v1::ReplicaStore {
        replica_id: id.0,
        store_id: Uuid::from_u128(store.0).to_string(),
    }
}

fn role(role: Role) -> v1::Role {
    match role {
        Role::Leader => v1::Role::Leader,
        Role::Backup => v1::Role::Backup,
        Role::Learner => v1::Role::Learner,
        Role::Candidate => v1::Role::Candidate,
        Role::Waiting => v1::Role::Waiting,
    }
}

fn replica(
    status: &ReplicaStatus,
    shown: &Shown,
    id: ReplicaId,
    member: &Member,
) -> v1::ReplicaStatus {
    let (connected, matched) = if id == status.id {
        (true, status.last)
    } else {
        let peer = status.peers.iter().find(|(peer, ..)| *peer == id);
        peer.map_or_else(Default::default, |(_, connected, matched)| {
            (*connected, *matched)
        })
    };
    let slow = status.slow_disks.iter().find(|(slow, _)| *slow == id);
    let clock = shown.offsets.get(&id);
    v1::ReplicaStatus {
        replica_id: id.0,
        address: member.address.clone(),
        peer_address: member.peer_address.clone(),
        member: status.view_is_committed() && status.members.contains(&id),
        connected,
        matched_lsn: matched.0,
        slow_disk_ms: slow.map_or(0, |(_, ms)| *ms),
        clock_offset_ms: clock.map(|offset| offset.ahead / 1_000),
        // Rounded up, because it is a bound.
        clock_error_ms: clock.map(|offset| offset.error.saturating_add(999) / 1_000),
    }
}
