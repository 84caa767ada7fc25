//! Connections of clients: the limits of this process, and the choice of connections that are closed. Knows
//! nothing of the services behind them.

mod accept;
mod connection;
mod descriptors;

pub(crate) use accept::{Limits, accept};
pub(crate) use connection::Remote;
pub(crate) use descriptors::{clients_max, raise_limit};
