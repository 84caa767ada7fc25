//! Where the replicas run: on loopback, or each in a network namespace of its own, so that the
//! network between them can be parted. Owns the namespaces: they go when it is dropped, and
//! nothing outside them is touched.

use std::{
    collections::BTreeMap,
    fs::File,
    os::fd::AsFd as _,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{
    cluster::{Cluster, Replica, TERCET, free_ports},
    disks::Disks,
};

/// Whom a link leads to: a replica by its id, or the clients.
pub const CLIENTS: u64 = 100;

/// A network card that nobody has: what is sent there is lost, as on a cut cable.
const NOBODY: &str = "02:00:00:00:00:fe";

/// Replicas, their disks and their network. What uses another is dropped before it.
pub struct Place {
    pub cluster: Cluster,
    pub disks: Disks,
    /// None on loopback.
    pub network: Option<Network>,
}

impl Place {
    /// Replicas, started: in namespaces if there is a network of them.
    pub fn start(mode: &str, count: u64, network: Option<Network>) -> Place {
        let disks = Disks::make(count);
        let ports = u64::from(free_ports(2 * count as usize));
        let addresses = |id: u64| match &network {
            Some(_) => [5001, 5002].map(|port| format!("{}:{port}", host(id))),
            None => [ports, ports + count].map(|port| format!("127.0.0.1:{}", port + id - 1)),
        };
        let lists = [0, 1].map(|which| {
            let pairs = (1..=count).map(|id| format!("{id}={}", addresses(id)[which]));
            pairs.collect::<Vec<_>>().join(",")
        });
        let replicas = (1..=count).map(|id| {
            let [address, peer_address] = addresses(id);
            let data = disks.data(id);
            let mut argv = Vec::new();
            if let Some(network) = &network {
                let words = ["ip", "netns", "exec", &network.names[&id]];
                argv.extend(words.map(String::from));
            }
            let words = [
                TERCET,
                "serve",
                "--id",
                &id.to_string(),
                "--mode",
                mode,
                "--replicas",
                &lists[0],
                "--peers",
                &lists[1],
                "--data",
                data.to_str().expect("temporary paths are UTF-8"),
                "--peer-secret",
                "a secret of sixteen bytes or more",
            ];
            argv.extend(words.map(String::from));
            Replica {
                id,
                pid: 0,
                address,
                peer_address,
                data,
                argv,
            }
        });
        let dir = tempfile::tempdir().expect("make a directory");
        let cluster = Cluster::by_hand(dir, replicas.collect::<Vec<_>>());
        Place {
            cluster,
            disks,
            network,
        }
    }
}

/// A bridge in the clients' namespace, with a cable to a namespace for each replica.
pub struct Network {
    names: BTreeMap<u64, String>,
}

impl Network {
    /// # Errors
    /// Why this machine cannot do it.
    pub fn make(count: u64) -> Result<Network, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let name = |id| format!("tercet-{}-{made}-{id}", std::process::id());
        let ids = (1..=count).chain([CLIENTS]);
        let network = Network {
            names: ids.map(|id| (id, name(id))).collect(),
        };
        // From here on dropping it removes what was made.
        for name in network.names.values() {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        let clients = &network.names[&CLIENTS];
        ip(&format!("-n {clients} link add eth0 type bridge"))?;
        ip(&format!("-n {clients} link set eth0 up"))?;
        for (id, name) in &network.names {
            if *id != CLIENTS {
                ip(&format!(
                    "-n {clients} link add port{id} type veth peer name eth0 netns {name}"
                ))?;
                ip(&format!("-n {clients} link set port{id} master eth0 up"))?;
                ip(&format!("-n {name} link set eth0 up"))?;
            }
            ip(&format!("-n {name} address add {}/24 dev eth0", host(*id)))?;
        }
        Ok(network)
    }

    /// Moves this thread, and those and the processes that it starts, to where the clients are.
    pub fn enter(&self) {
        let file = File::open(format!("/run/netns/{}", self.names[&CLIENTS]));
        let file = file.expect("open a network namespace");
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("enter a network namespace");
    }

    /// From now on nothing that `from` sends reaches `to`.
    pub fn cut(&self, from: u64, to: u64) {
        let (name, host) = (&self.names[&from], host(to));
        ip(&format!(
            "-n {name} neighbour replace {host} lladdr {NOBODY} dev eth0 nud permanent"
        ))
        .expect("cut a link");
    }

    pub fn mend(&self, from: u64, to: u64) {
        let (name, host) = (&self.names[&from], host(to));
        // Was it mended before? Then there is none.
        let _ = ip(&format!("-n {name} neighbour delete {host} dev eth0"));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.names.values() {
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

fn host(id: u64) -> String {
    format!("10.77.0.{id}")
}

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(format!("ip {arguments}: {}", errors.trim()))
        }
    }
}
