//! Libraries in C that replicas load before libc, to stand for a broken disk or a wrong clock.

use std::{fs, path::Path, process::Command};

/// Compiles `source` to `NAME.so`, and gives its path. Tests that run at once each have a whole library: it is
/// built beside, and renamed.
pub fn library(name: &str, source: &str) -> String {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let own = format!("{name}-{}", std::process::id());
    let (code, built) = (dir.join(format!("{own}.c")), dir.join(format!("{own}.so")));
    let library = dir.join(format!("{name}.so"));
    fs::write(&code, source).expect("write the shim");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&built, &code])
        .arg("-ldl")
        .status()
        .expect("run cc");
    assert!(compiled.success(), "cc builds the shim");
    fs::rename(&built, &library).expect("rename the shim");
    fs::remove_file(&code).expect("remove the source");
    library.display().to_string()
}
