//! The demos in `demo/` play their story to the end with the binary of this build, and every check
//! in them passes. They need root and network namespaces; without, the tests say what they skip.

use std::{path::Path, process::Command};

/// The exit code by which a demo says that it cannot be played here.
const IMPOSSIBLE: i32 = 77;

/// The lines of the project's script, played to the end; none if it cannot be played here.
fn play(script: &str, arguments: &[&str]) -> Option<String> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(project.join(script))
        .args(arguments)
        .current_dir(project)
        .env("TERCET_BIN", env!("CARGO_BIN_EXE_tercet"))
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: {script}: {error}");
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(IMPOSSIBLE) {
        println!("skipped: {}", errors.trim());
        return None;
    }
    println!("{said}");
    assert!(output.status.success(), "{}: {errors}", output.status);
    Some(said)
}

fn assert_told(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "not in the story: {part}");
    }
    assert!(said.trim_end().ends_with(" checks passed, 0 failed"));
}

#[test]
fn the_story_on_hosts_of_namespaces_holds() {
    let Some(said) = play("demo/hosts.sh", &["--fast"]) else {
        return;
    };
    assert!(!said.contains("skipped: "), "no part is left out here");
    let parts = ["replica 3 leads", "replica 4 is a member", "nobody leads"];
    assert_told(&said, &parts);
}

#[test]
fn the_story_on_machines_over_ssh_holds() {
    let machines = ["host1", "host2", "host3", "host4"];
    let demo = [&["4", "demo/ssh.sh", "--fast", "--cut"], &machines[..]].concat();
    let Some(said) = play("tests/demo/machines.sh", &demo) else {
        return;
    };
    assert_told(&said, &["replica 3 leads", "replica 4 is a member"]);
}
