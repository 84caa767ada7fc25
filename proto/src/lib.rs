//! The contracts of Tercet as generated code. Written by hand are only [`words`], which both sides of the
//! contracts use.
//!
//! The `.proto` files beside this crate's manifest are the documents: each message and
//! field says what it means, its unit and its limits.

pub mod words;

/// Public API, called by clients and operators (`tercet/v1/*.proto`).
pub mod v1 {
    tonic::include_proto!("tercet.v1");
}

/// What replicas say to one another (`tercet/peer/v1/peer.proto`).
pub mod peer {
    tonic::include_proto!("tercet.peer.v1");
}

/// What the replicated log holds (`tercet/log/v1/command.proto`).
pub mod log {
    tonic::include_proto!("tercet.log.v1");
}

/// Descriptors of the public API (`tercet.v1`), for server reflection.
pub const PUBLIC_DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/public_descriptors.bin"));
