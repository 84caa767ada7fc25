//! What a replica is started with.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub use tercet_core::{
    config::{Mode, Timing},
    id::ReplicaId,
};

pub use crate::driver::Retention;
use crate::roster::{Member, REPLICAS_MAX, Roster, is_address};

/// Settings of one replica. Addresses are `HOST:PORT`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub id: ReplicaId,
    /// Data directory; made if it is not there.
    pub data: PathBuf,
    /// Every replica's address for clients, until the state says it.
    pub replicas: BTreeMap<ReplicaId, String>,
    /// Every replica's address for replicas; the same ids.
    pub peers: BTreeMap<ReplicaId, String>,
    /// This replica's own address for clients, if not the one in `replicas`.
    pub address: Option<String>,
    /// This replica's own address for replicas, if not the one in `peers`.
    pub peer_address: Option<String>,
    /// On an empty store: join the cluster that these addresses for clients belong to, in place
    /// of making one with the lists.
    pub join: Vec<String>,
    /// Where to listen for clients, if not at the own address.
    pub listen: Option<String>,
    /// Where to listen for replicas, if not at the own address.
    pub peer_listen: Option<String>,
    /// What replicas show one another; the same on all.
    pub peer_secret: String,
    /// What operators show; without it their calls are refused.
    pub admin_token: Option<String>,
    /// For a cluster that is still to be made.
    pub mode: Mode,
    pub timing: Timing,
    /// How long a login lasts.
    pub session_ttl: Duration,
    /// Bytes kept on the disk for what must still be written when it is full; 0 for none.
    pub disk_reserve: u64,
    /// How long the log gets.
    pub retention: Retention,
    /// How long a stop may take before the replica goes without leaving its view.
    pub stop_timeout: Duration,
}

/// Settings that cannot work, found before anything is opened.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("a replica's id is 1 or more")]
    NoId,
    #[error(
        "where is replica {0}? Give its addresses with --address and --peer-address, or in the lists of replicas and of peers"
    )]
    UnknownId(ReplicaId),
    #[error("`{0}` is not an address of the form HOST:PORT")]
    BadAddress(String),
    #[error(
        "the lists of replicas and of peers name different ids: each replica needs an address for clients and one for replicas"
    )]
    DifferentIds,
    #[error(
        "the peer secret is shorter than 16 bytes: give all replicas the same longer one (--peer-secret-file or TERCET_PEER_SECRET)"
    )]
    ShortSecret,
    #[error(
        "the admin token is shorter than 16 bytes: make a longer one (`openssl rand -hex 32`), for operators only"
    )]
    ShortAdminToken,
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
    /// Where this replica is reached; `None` when that is not said.
    #[must_use]
    pub fn me(&self) -> Option<Member> {
        let own = |given: &Option<String>, list: &BTreeMap<_, String>| {
            given.clone().or_else(|| list.get(&self.id).cloned())
        };
        Some(Member {
            address: own(&self.address, &self.replicas)?,
            peer_address: own(&self.peer_address, &self.peers)?,
        })
    }

    /// The roster that the lists make, and this replica in it.
    pub(crate) fn roster(&self, me: &Member) -> Roster {
        let listed = self.replicas.iter().filter_map(|(id, address)| {
            let member = Member {
                address: address.clone(),
                peer_address: self.peers.get(id)?.clone(),
            };
            Some((*id, member))
        });
        Roster::configured(listed.chain([(self.id, me.clone())]))
    }

    /// Checks what can be checked without touching anything.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.id == ReplicaId(0) {
            return Err(ConfigError::NoId);
        }
        let me = self.me().ok_or(ConfigError::UnknownId(self.id))?;
        let own = [&me.address, &me.peer_address];
        if let Some(bad) = own
            .into_iter()
            .chain(&self.join)
            .find(|text| !is_address(text))
        {
            return Err(ConfigError::BadAddress(bad.clone()));
        }
        if self.join.is_empty() && !self.replicas.keys().eq(self.peers.keys()) {
            return Err(ConfigError::DifferentIds);
        }
        if self.replicas.len() > REPLICAS_MAX {
            return Err(ConfigError::TooMany);
        }
        if self
            .admin_token
            .as_ref()
            .is_some_and(|token| token.len() < 16)
        {
            return Err(ConfigError::ShortAdminToken);
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
            lease_margin,
            silence_timeout,
            heartbeat_interval,
            ..
        } = self.timing;
        if lease + lease_margin + heartbeat_interval > silence_timeout
            || lease <= 2 * heartbeat_interval
        {
            return Err(ConfigError::Silence {
                silence_ms: silence_timeout / 1_000,
                lease_ms: lease / 1_000,
            });
        }
        Ok(())
    }
}
