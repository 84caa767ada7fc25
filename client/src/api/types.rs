//! The values that the library gives and takes. Callers never see the messages of the gRPC contract.

mod chat;
mod cluster;

pub use chat::{
    Account, AccountsPage, HistoryPage, HistoryRequest, LoginSession, Message, SentMessage,
    UndeliveredPage,
};
pub use cluster::{RecoveryReport, ReplicaStore, Role, RosterEntry, Status, View};

/// Values of the library in place of messages of the contract.
fn list<W, T: From<W>>(wire: Vec<W>) -> Vec<T> {
    wire.into_iter().map(T::from).collect()
}
