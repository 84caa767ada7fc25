//! Compiles the contracts without `protoc`: `protox` parses them in Rust and
//! `tonic-prost-build` turns the descriptors into code.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let files = [
        "tercet/v1/chat.proto",
        "tercet/v1/cluster.proto",
        "tercet/peer/v1/peer.proto",
        "tercet/log/v1/change.proto",
        "tercet/log/v1/command.proto",
    ];
    println!("cargo:rerun-if-changed=tercet");
    println!("cargo:rerun-if-changed=google");
    let descriptors = protox::compile(files, ["."])?;

    // Reflection serves only what clients and operators may call.
    let mut public = descriptors.clone();
    public.file.retain(|file| {
        matches!(
            file.package(),
            "tercet.v1" | "google.protobuf" | "google.rpc"
        )
    });
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("public_descriptors.bin"), public.encode_to_vec())?;

    tonic_prost_build::configure()
        .bytes(".tercet.peer.v1")
        .bytes(".tercet.log.v1")
        .extern_path(".google.rpc", "::tonic_types::pb")
        .build_server(false)
        .compile_fds(descriptors.clone())?;

    // The servers apart, with another type for the responses of Subscribe.
    let servers = out.join("servers");
    fs::create_dir_all(&servers)?;
    tonic_prost_build::configure()
        .extern_path(".google.rpc", "::tonic_types::pb")
        .extern_path(".tercet.peer.v1", "crate::peer")
        .extern_path(".tercet.log.v1", "crate::log")
        .extern_path(".tercet.v1", "crate::v1")
        .extern_path(".tercet.v1.SubscribeResponse", "crate::streamed::Streamed")
        .build_client(false)
        .out_dir(servers)
        .compile_fds(descriptors)?;
    Ok(())
}
