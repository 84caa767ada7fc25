//! The settings that a replica is started with.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub use tercet_core::{
    config::{Mode, Timing},
    id::ReplicaId,
};
use tercet_store::roster::{Member, Roster};
use tercet_types::{
    address::{is_address, is_unspecified},
    limits::REPLICAS_MAX,
};

use crate::peers::Joiner;
pub use crate::{auth::limits::Rates, driver::Retention};

/// Settings of one replica. Addresses are `HOST:PORT`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub id: ReplicaId,
    /// The data directory; created if missing.
    pub data: PathBuf,
    /// Each replica's address for clients, used until the state has a roster.
    pub replicas: BTreeMap<ReplicaId, String>,
    /// Each replica's address for replicas; the same ids as `replicas`.
    pub peers: BTreeMap<ReplicaId, String>,
    /// This replica's own address for clients, if not the one in `replicas`.
    pub address: Option<String>,
    /// This replica's own address for replicas, if not the one in `peers`.
    pub peer_address: Option<String>,
    /// Addresses for clients of a cluster to join. With an empty store the replica joins that cluster in place
    /// of bootstrapping one from the lists.
    pub join: Vec<String>,
    /// Where to listen for clients, if not at the own address.
    pub listen: Option<String>,
    /// Where to listen for replicas, if not at the own address.
    pub peer_listen: Option<String>,
    /// The secret that replicas prove to each other; the same on all.
    pub peer_secret: String,
    /// The token of operators' calls; without it all such calls are refused.
    pub admin_token: Option<String>,
    /// The mode of a cluster that is still to be made.
    pub mode: Mode,
    /// The settings that the operator gave explicitly.
    pub given: Given,
    pub timing: Timing,
    /// The time for which a login session is valid.
    pub session_ttl: Duration,
    /// Limits on registrations and on guessed passwords.
    pub rates: Rates,
    /// Limits on clients' connections.
    pub connections: Connections,
    /// Bytes reserved on the disk for writes that must finish when the disk is full; 0 for none.
    pub disk_reserve: u64,
    /// Opens a store that was in use although its WAL is missing.
    pub accept_missing_wal: bool,
    /// Accepts a copied or moved store as the newest one, without asking the others.
    pub accept_copied_store: bool,
    /// The limits of the log.
    pub retention: Retention,
    /// The time that a stop may take before the replica ends without leaving its view.
    pub stop_timeout: Duration,
}

/// Limits on clients' connections; `None` for the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// The limit for all addresses together.
    pub max: Option<usize>,
    /// The limit for one address, or one /64 of IPv6.
    pub address_max: Option<usize>,
}

/// The settings that the operator gave by a flag or in the environment, of those that have a default. An
/// existing cluster has its own values: given values are compared with them, defaults are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// `replicas`, `peers` or both.
    pub lists: bool,
    pub mode: bool,
    pub min_in_sync: bool,
}

/// Settings that cannot work, found before a file or a socket is opened.
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
        "{address} ({option}) is not an address that others can reach, because it means every address of this machine. Give the address of this replica that others can reach, and listen at this one with {listen}"
    )]
    Unspecified {
        address: String,
        option: &'static str,
        listen: &'static str,
    },
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
    /// Gives this replica's own two addresses; `None` when the settings lack them.
    #[must_use]
    pub fn own_addresses(&self) -> Option<Member> {
        let own = |given: &Option<String>, list: &BTreeMap<_, String>| {
            given.clone().or_else(|| list.get(&self.id).cloned())
        };
        Some(Member {
            address: own(&self.address, &self.replicas)?,
            peer_address: own(&self.peer_address, &self.peers)?,
        })
    }

    /// Makes the roster from the lists, with this replica in it.
    pub(crate) fn roster(&self, own_addresses: &Member) -> Roster {
        let listed = self.replicas.iter().filter_map(|(id, address)| {
            let member = Member {
                address: address.clone(),
                peer_address: self.peers.get(id)?.clone(),
            };
            Some((*id, member))
        });
        Roster::configured(listed.chain([(self.id, own_addresses.clone())]))
    }

    /// Describes the given mode when it differs from `has`, the mode of the cluster.
    pub(crate) fn differs_from_mode(&self, has: Mode) -> Option<String> {
        let Given {
            mode, min_in_sync, ..
        } = self.given;
        let differs = match (self.mode, has) {
            (
                Mode::Majority {
                    min_in_sync: wanted,
                },
                Mode::Majority { min_in_sync: has },
            ) => min_in_sync && wanted != has,
            // Without `--mode`, `--min-in-sync` alone means nothing in mode available.
            (Mode::Available, Mode::Majority { .. }) | (Mode::Majority { .. }, Mode::Available) => {
                mode
            }
            (Mode::Available, Mode::Available) => false,
        };
        differs.then(|| in_words(self.mode))
    }

    /// Checks that the addresses given to others lead to one machine.
    fn check_reachable(&self, own_addresses: &Member) -> Result<(), ConfigError> {
        let own = |given: &Option<String>, option, list| match given {
            Some(_) => option,
            None => list,
        };
        let clients = own(&self.address, "--address", "--replicas");
        let replicas = own(&self.peer_address, "--peer-address", "--peers");
        let mut all = vec![(&own_addresses.address, clients, "--listen")];
        all.push((&own_addresses.peer_address, replicas, "--peer-listen"));
        let listed = self.replicas.values();
        all.extend(listed.map(|address| (address, "--replicas", "--listen")));
        let listed = self.peers.values();
        all.extend(listed.map(|address| (address, "--peers", "--peer-listen")));
        all.extend(
            self.join
                .iter()
                .map(|address| (address, "--join", "--listen")),
        );
        match all
            .into_iter()
            .find(|(address, ..)| is_unspecified(address))
        {
            None => Ok(()),
            Some((address, option, listen)) => Err(ConfigError::Unspecified {
                address: address.clone(),
                option,
                listen,
            }),
        }
    }

    /// Describes this replica for its questions to the cluster while it has no store, with the addresses of the
    /// command line.
    pub(crate) fn joiner(&self) -> Joiner {
        let listed = self.replicas.iter().filter(|(id, _)| **id != self.id);
        let listed = listed.map(|(_, address)| address.clone());
        Joiner {
            id: self.id,
            secret: self.peer_secret.as_str().into(),
            addresses: match self.join.is_empty() {
                true => listed.collect(),
                false => self.join.clone(),
            },
        }
    }

    /// Checks the settings without touching files or sockets.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.id == ReplicaId(0) {
            return Err(ConfigError::NoId);
        }
        let own_addresses = self
            .own_addresses()
            .ok_or(ConfigError::UnknownId(self.id))?;
        let own = [&own_addresses.address, &own_addresses.peer_address];
        if let Some(bad) = own
            .into_iter()
            .chain(&self.join)
            .find(|text| !is_address(text))
        {
            return Err(ConfigError::BadAddress(bad.clone()));
        }
        self.check_reachable(&own_addresses)?;
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

/// Describes a mode: `majority with 2 in sync`.
pub(crate) fn in_words(mode: Mode) -> String {
    match mode {
        Mode::Available => "available".to_owned(),
        Mode::Majority { min_in_sync } => format!("majority with {min_in_sync} in sync"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(mode: Mode, given: Given) -> ServerConfig {
        ServerConfig {
            id: ReplicaId(1),
            data: PathBuf::new(),
            replicas: BTreeMap::new(),
            peers: BTreeMap::new(),
            address: None,
            peer_address: None,
            join: Vec::new(),
            listen: None,
            peer_listen: None,
            peer_secret: String::new(),
            admin_token: None,
            mode,
            given,
            timing: Timing::default(),
            rates: Rates::default(),
            session_ttl: Duration::ZERO,
            connections: Connections::default(),
            disk_reserve: 0,
            accept_missing_wal: false,
            accept_copied_store: false,
            retention: Retention {
                keep_bytes: 0,
                bytes_max: 0,
            },
            stop_timeout: Duration::ZERO,
        }
    }

    #[test]
    fn an_address_that_is_told_to_others_leads_to_one_machine() {
        let refused = |address: &str| {
            let list = |port: u16| BTreeMap::from([(ReplicaId(1), format!("10.0.0.1:{port}"))]);
            let given = Some(address.to_owned());
            let mut config = config(Mode::Available, Given::default());
            config.peer_secret = "of sixteen bytes".to_owned();
            (config.replicas, config.peers) = (list(5001), list(5004));
            assert!(config.check().is_ok());
            (config.address, config.peer_address) = (given.clone(), None);
            let for_clients = config.check().map_err(|error| error.to_string());
            (config.address, config.peer_address) = (None, given);
            (
                for_clients,
                config.check().map_err(|error| error.to_string()),
            )
        };
        for everywhere in [
            "0.0.0.0:5001",
            "[::]:5001",
            "000.0.0.0:5001",
            "0:5001",
            "[::0]:1",
        ] {
            let (for_clients, for_replicas) = refused(everywhere);
            let said = for_clients.expect_err(everywhere);
            assert!(
                said.contains("--address") && said.contains("with --listen"),
                "{said}"
            );
            let said = for_replicas.expect_err(everywhere);
            assert!(said.contains("--peer-listen"), "{said}");
        }
        for one in [
            "127.0.0.1:5001",
            "[::1]:5001",
            "host.example:5001",
            "10.0.0.0:5001",
        ] {
            assert_eq!(refused(one), (Ok(()), Ok(())), "{one}");
        }
    }

    #[test]
    fn a_mode_that_was_given_and_is_not_the_clusters_is_told() {
        let majority = |min_in_sync| Mode::Majority { min_in_sync };
        let (given, both) = (
            Given {
                mode: true,
                ..Given::default()
            },
            Given {
                mode: true,
                min_in_sync: true,
                lists: false,
            },
        );
        let number = Given {
            min_in_sync: true,
            ..Given::default()
        };
        for (wanted, given, has, told) in [
            (Mode::Available, Given::default(), majority(2), None),
            (majority(2), Given::default(), Mode::Available, None),
            (Mode::Available, given, Mode::Available, None),
            (Mode::Available, given, majority(2), Some("available")),
            (
                majority(2),
                given,
                Mode::Available,
                Some("majority with 2 in sync"),
            ),
            (majority(2), given, majority(3), None),
            (
                majority(2),
                both,
                majority(3),
                Some("majority with 2 in sync"),
            ),
            (majority(3), both, majority(3), None),
            // `--min-in-sync` alone matters only where the cluster is in mode majority.
            (Mode::Available, number, Mode::Available, None),
        ] {
            let differs = config(wanted, given).differs_from_mode(has);
            assert_eq!(differs.as_deref(), told, "{wanted:?} {given:?} {has:?}");
        }
    }
}
