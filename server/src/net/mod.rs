//! Connections of clients: the limits of this process, the choice of connections that are closed, and the budget of
//! bytes that are held for clients. Knows nothing of the services behind them.

mod accept;
mod connection;
mod descriptors;
mod held;
mod registry;
mod shared;

pub(crate) use accept::accept;
pub(crate) use descriptors::{clients_max, raise_limit};
pub(crate) use held::{Held, TooMuch};
pub(crate) use registry::Limits;
pub(crate) use shared::{CallGuard, Remote, UnreadGuard};
