//! Connections of clients: how many this process accepts, and which of them end. Knows nothing of the
//! services behind them.

mod accept;
mod connection;
mod descriptors;

pub(crate) use accept::{Limits, accept};
pub(crate) use connection::Remote;
pub(crate) use descriptors::{clients_max, raise_limit};
