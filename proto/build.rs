//! Compiles the contracts without `protoc`: `protox` parses them in Rust and
//! `tonic-prost-build` turns the descriptors into code.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;
use prost_types::FileDescriptorSet;

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

    fs::write(out.join("methods.rs"), methods(&descriptors))?;

    tonic_prost_build::configure()
        .bytes(".tercet.peer.v1")
        .bytes(".tercet.log.v1")
        // The largest outcome and one of the rarest.
        .boxed(".tercet.log.v1.Outcome.result.state_set")
        .extern_path(".google.rpc", "::tonic_types::pb")
        .compile_fds(descriptors)?;
    Ok(())
}

/// Writes an impl of `Method` for each request of the public API that has one response.
fn methods(descriptors: &FileDescriptorSet) -> String {
    let rust_type = |name: &str| name.replacen(".tercet.v1.", "crate::v1::", 1);
    let mut code = String::new();
    for file in &descriptors.file {
        for service in file
            .service
            .iter()
            .filter(|_| file.package() == "tercet.v1")
        {
            for method in &service.method {
                if method.client_streaming() || method.server_streaming() {
                    continue;
                }
                let (request, response) = (method.input_type(), method.output_type());
                let (request, response) = (rust_type(request), rust_type(response));
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                code += &format!(
                    "impl Method for {request} {{ type Response = {response}; const PATH: &'static str = {path:?}; }}\n"
                );
            }
        }
    }
    code
}
