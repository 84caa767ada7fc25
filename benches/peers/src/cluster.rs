//! Three servers of one kind on this machine: at which ports they are, and in which directories.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

pub const SERVERS: usize = 3;
/// For clients, for the other servers, for monitoring: not every peer needs all.
const PORTS_EACH: u16 = 3;
/// Below the ports that Linux gives to outgoing connections: a server that was killed finds its
/// own free when it starts again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Servers count from 0 here, and from 1 in names, directories and what is printed.
#[derive(Debug, Clone, Copy)]
pub struct Cluster {
    pub base_port: u16,
}

impl Cluster {
    pub fn client_port(self, server: usize) -> u16 {
        self.base_port + PORTS_EACH * u16::try_from(server).expect("there are three servers")
    }

    pub fn monitor_port(self, server: usize) -> u16 {
        self.client_port(server) + 2
    }

    /// Where clients go, the leader's address first.
    pub fn client_addresses(self, leader: usize) -> Vec<String> {
        let from_leader = (leader..SERVERS).chain(0..leader);
        from_leader
            .map(|server| format!("127.0.0.1:{}", self.client_port(server)))
            .collect()
    }
}

/// The first of as many free ports in a row as a cluster needs.
///
/// # Errors
/// When there are not so many.
pub fn free_base_port() -> Result<u16> {
    let all = PORTS_EACH * u16::try_from(SERVERS).expect("there are three servers");
    // Runs side by side begin their search at different ports.
    let offset = std::process::id() % u32::from(PORTS.end - PORTS.start) / u32::from(all);
    let start = PORTS.start + u16::try_from(offset)? * all;
    let bases = (start..PORTS.end).chain(PORTS.start..start);
    for base in bases.step_by(all.into()) {
        if (base..base + all).all(is_free) {
            return Ok(base);
        }
    }
    bail!("no {all} free ports in a row from {PORTS:?}")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_is_tried_first() {
        let cluster = Cluster { base_port: 20_000 };
        assert_eq!(
            cluster.client_addresses(1),
            ["127.0.0.1:20003", "127.0.0.1:20006", "127.0.0.1:20000"]
        );
    }
}
