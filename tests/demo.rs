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
        let missing = missing();
        assert!(
            missing.is_some(),
            "{script} was skipped where nothing is missing: {errors}"
        );
        println!("skipped: {}", errors.trim());
        return None;
    }
    println!("{said}");
    assert!(output.status.success(), "{}: {errors}", output.status);
    Some(said)
}

/// Gives what the demos need and this machine lacks, such as a program, found without their own scripts.
fn missing() -> Option<String> {
    let runs = |program: &str, arguments: &[&str]| {
        let run = Command::new(program).args(arguments).output();
        run.is_ok_and(|output| output.status.success())
    };
    let id = Command::new("id").arg("-u").output().ok()?;
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return Some("root".to_owned());
    }
    let programs = ["/usr/sbin/sshd", "ssh", "scp", "ssh-keygen", "ip"];
    let is_missing = |program: &&str| !runs("sh", &["-c", &format!("command -v {program}")]);
    if let Some(program) = programs.into_iter().find(is_missing) {
        return Some(program.to_owned());
    }
    // A namespace with a bridge and a cable in it.
    let name = format!("tercet-look-{}", std::process::id());
    if !runs("ip", &["netns", "add", &name]) {
        return Some("network namespaces".to_owned());
    }
    let in_it = |arguments: &[&str]| runs("ip", &[&["-n", &name], arguments].concat());
    let can = in_it(&["link", "add", "br0", "type", "bridge"])
        && in_it(&[
            "link", "add", "port", "type", "veth", "peer", "name", "eth0",
        ])
        && runs("ip", &["netns", "exec", &name, "true"]);
    runs("ip", &["netns", "del", &name]);
    (!can).then(|| "a network between namespaces".to_owned())
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
