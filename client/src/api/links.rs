//! The connections to replicas, by address, and the settings of every connection of the library. Knows nothing of
//! leaders.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// A paused process accepts connections and never answers. Only pings end a call to it.
const PING_INTERVAL: Duration = Duration::from_millis(200);
const PING_TIMEOUT: Duration = Duration::from_millis(300);
/// The addresses that a client connects to. Replicas name a few; the limit is against a replica that lies.
const ADDRESSES_MAX: usize = 128;

/// Makes the endpoint of an address: the one place for time limits, pings and encryption.
///
/// # Errors
/// The text is no address.
fn endpoint(address: &str) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| Error::Protocol(format!("`{address}` is no address: {error}")))?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true))
}

/// The connections to one address. Each connects when it is first used, and again after a failure.
pub(super) struct Link {
    channels: Vec<Channel>,
    next: AtomicUsize,
}

impl Link {
    /// Returns the next connection in turn.
    pub(super) fn channel(&self) -> Channel {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.channel_of(turn)
    }

    /// Returns the connection with this number, modulo their count.
    pub(super) fn channel_of(&self, connection: usize) -> Channel {
        self.channels[connection % self.channels.len()].clone()
    }

    /// Returns the first connection, for questions that should not open another.
    pub(super) fn first_channel(&self) -> Channel {
        self.channels[0].clone()
    }
}

/// The links of a client.
pub(super) struct Links {
    by_address: Mutex<BTreeMap<String, Arc<Link>>>,
    connections: usize,
}

impl Links {
    /// Makes links of `connections` connections each, at least one.
    pub(super) fn new(connections: usize) -> Links {
        Links {
            by_address: Mutex::default(),
            connections: connections.max(1),
        }
    }

    /// Returns the link to an address. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The text is no address, or there are too many links.
    pub(super) fn to(&self, address: &str) -> Result<Arc<Link>, Error> {
        let mut links = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(address) {
            return Ok(link.clone());
        }
        if links.len() >= ADDRESSES_MAX {
            let message = "the replicas named too many addresses";
            return Err(Error::Protocol(message.to_owned()));
        }
        let endpoint = endpoint(address)?;
        let link = Arc::new(Link {
            channels: (0..self.connections)
                .map(|_| endpoint.connect_lazy())
                .collect(),
            next: AtomicUsize::new(0),
        });
        links.insert(address.to_owned(), link.clone());
        Ok(link)
    }
}
