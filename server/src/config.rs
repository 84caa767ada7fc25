//! What a replica is started with.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub use tercet_core::{
    config::{Mode, Timing},
    id::ReplicaId,
};

/// Settings of one replica. Addresses are `HOST:PORT`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub id: ReplicaId,
    /// Data directory; made if it is not there.
    pub data: PathBuf,
    /// Every replica's address for clients, this one's included.
    pub replicas: BTreeMap<ReplicaId, String>,
    /// Every replica's address for replicas; the same ids.
    pub peers: BTreeMap<ReplicaId, String>,
    /// Where to listen for clients, if not at the own address in `replicas`.
    pub listen: Option<String>,
    /// Where to listen for replicas, if not at the own address in `peers`.
    pub peer_listen: Option<String>,
    /// What replicas show one another; the same on all.
    pub peer_secret: String,
    /// For a cluster that is still to be made.
    pub mode: Mode,
    pub timing: Timing,
    /// How long a login lasts.
    pub session_ttl: Duration,
    /// How long a stop may take before the replica goes without leaving its view.
    pub stop_timeout: Duration,
}

/// Settings that cannot work, found before anything is opened.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("replica {0} is not in the list of replicas: add it, or start another id")]
    UnknownId(ReplicaId),
    #[error(
        "the lists of replicas and of peers name different ids: each replica needs an address for clients and one for replicas"
    )]
    DifferentIds,
    #[error(
        "the peer secret is shorter than 16 bytes: give all replicas the same longer one (--peer-secret-file or TERCET_PEER_SECRET)"
    )]
    ShortSecret,
    #[error("more than 9 replicas are configured")]
    TooMany,
    #[error(
        "mode majority with {min_in_sync} replicas in sync needs at least that many replicas, and {min_in_sync} must be 2 or more"
    )]
    MinInSync { min_in_sync: u32 },
    #[error(
        "the silence timeout of {silence_ms} ms is too short: the lease of {lease_ms} ms and a heartbeat must fit in it"
    )]
    Silence { silence_ms: u64, lease_ms: u64 },
}

impl ServerConfig {
    /// Checks what can be checked without touching anything.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.replicas.contains_key(&self.id) {
            return Err(ConfigError::UnknownId(self.id));
        }
        if !self.replicas.keys().eq(self.peers.keys()) {
            return Err(ConfigError::DifferentIds);
        }
        if self.replicas.len() > 9 {
            return Err(ConfigError::TooMany);
        }
        if self.peer_secret.len() < 16 {
            return Err(ConfigError::ShortSecret);
        }
        if let Mode::Majority { min_in_sync } = self.mode
            && (min_in_sync < 2 || min_in_sync as usize > self.replicas.len())
        {
            return Err(ConfigError::MinInSync { min_in_sync });
        }
        let Timing {
            lease,
            silence_timeout,
            heartbeat_interval,
            ..
        } = self.timing;
        if lease + heartbeat_interval > silence_timeout || lease <= 2 * heartbeat_interval {
            return Err(ConfigError::Silence {
                silence_ms: silence_timeout / 1_000,
                lease_ms: lease / 1_000,
            });
        }
        Ok(())
    }
}
