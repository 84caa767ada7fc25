//! The contracts of Tercet as generated code. Only [`method`] and [`words`] are written by hand.
//!
//! The `.proto` files beside this crate's manifest are the documents: each message and
//! field says what it means, its unit and its limits.

pub mod method;
pub mod words;

/// The public API, called by clients and operators (`tercet/v1/*.proto`).
pub mod v1 {
    tonic::include_proto!("tercet.v1");
}

/// The protocol between replicas (`tercet/peer/v1/peer.proto`).
pub mod peer {
    tonic::include_proto!("tercet.peer.v1");
}

/// The contents of the replicated log (`tercet/log/v1/command.proto`).
pub mod log {
    tonic::include_proto!("tercet.log.v1");
}

/// The descriptors of the public API (`tercet.v1`), for server reflection.
pub const PUBLIC_DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/public_descriptors.bin"));
