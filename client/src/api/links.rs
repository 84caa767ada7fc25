//! Connections to replicas, by address. Knows nothing of who leads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Without pings a paused process holds a call for ever: it still accepts connections.
const PING_INTERVAL: Duration = Duration::from_millis(200);
const PING_TIMEOUT: Duration = Duration::from_millis(300);
/// Addresses remembered at once. Replicas tell few; the limit is against a lying one.
const ADDRESSES_MAX: usize = 128;

/// The connections to one address. They connect when first used and again after a failure.
pub(super) struct Link {
    channels: Vec<Channel>,
    next: AtomicUsize,
}

impl Link {
    /// The next connection in turn.
    pub(super) fn channel(&self) -> Channel {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.channels[turn % self.channels.len()].clone()
    }

    /// The connection of that number.
    pub(super) fn channel_of(&self, connection: usize) -> Channel {
        self.channels[connection % self.channels.len()].clone()
    }

    /// Always the same connection: for questions that should not open another.
    pub(super) fn first_channel(&self) -> Channel {
        self.channels[0].clone()
    }
}

pub(super) struct Links {
    by_address: Mutex<BTreeMap<String, Arc<Link>>>,
    connections: usize,
}

impl Links {
    /// `connections` to each address, at least one.
    pub(super) fn new(connections: usize) -> Links {
        Links {
            by_address: Mutex::default(),
            connections: connections.max(1),
        }
    }

    /// The link to an address; must be called inside a runtime.
    ///
    /// # Errors
    /// When the text is no address, or too many were named.
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
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Error::Protocol(format!("`{address}` is no address: {error}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
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
