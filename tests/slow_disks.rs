//! Real processes whose disks hang or are slow, without an error: `fsync` and `fdatasync` of a library that
//! is loaded before libc's wait for as long as a file in the data directory says.

mod cluster;

use std::{fs, path::Path, sync::LazyLock};

use cluster::{Cluster, preload::library, wait_until};
use rustix::process::Signal;

/// While `slow-disk` is in the directory of a file, its fsyncs take as many milliseconds as that says; if it
/// says no number, they do not end before it is gone.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void wait_for_disk(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 32);
    if (length <= 0) return;
    path[length] = 0;
    char *slash = strrchr(path, '/');
    if (!slash) return;
    strcpy(slash + 1, "slow-disk");
    for (long waited = 0;; waited += 10) {
        FILE *file = fopen(path, "r");
        if (!file) return;
        long most = 0;
        int numbers = fscanf(file, "%ld", &most);
        fclose(file);
        if (numbers == 1 && waited >= most) return;
        usleep(10000);
    }
}

int fsync(int fd) {
    wait_for_disk(fd);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int fdatasync(int fd) {
    wait_for_disk(fd);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
"#;

/// The library, built once.
fn shim() -> &'static str {
    static SHIM_PATH: LazyLock<String> = LazyLock::new(|| library("slow-disk", SHIM));
    &SHIM_PATH
}

/// Three replicas with such disks.
fn start() -> Cluster {
    let settings = vec![("LD_PRELOAD", shim())].leak();
    Cluster::start_with(settings, 3)
}

fn slow(cluster: &Cluster, id: u64, how: &str) {
    put(&cluster.replicas[&id].data, how);
}

/// In one step, so that the shim never reads half of it.
fn put(data: &Path, how: &str) {
    fs::write(data.join("slow-disk.new"), how).expect("write a file");
    fs::rename(data.join("slow-disk.new"), data.join("slow-disk")).expect("rename a file");
}

fn well(cluster: &Cluster, id: u64) {
    fs::remove_file(cluster.replicas[&id].data.join("slow-disk")).expect("remove a file");
}

fn send(cluster: &Cluster, body: &str) {
    cluster.json(&["send", "ann", body, "--json", "--timeout", "60"]);
}

#[test]
fn leader_whose_disk_hangs_is_replaced_says_so_and_comes_back() {
    let cluster = start();
    cluster.person("ann");
    send(&cluster, "before");
    slow(&cluster, 1, "hang");
    // Acknowledged although the disk still hangs.
    send(&cluster, "meanwhile");
    cluster.wait_for_leader(2);
    send(&cluster, "after");
    let status = cluster.status_of(1);
    assert!(
        status["disk_stalled_seconds"].as_u64() > Some(4),
        "{status}"
    );
    assert_ne!(status["role"], "leader");
    let words = cluster.command(&["cluster", "status"]).output();
    let words = words.expect("ask for the status");
    assert_eq!(words.status.code(), Some(3));
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(
        words.contains("replica 1: its disk has not answered for"),
        "{words}"
    );
    assert!(
        cluster
            .log(1)
            .contains("this replica's disk has not answered for")
    );
    well(&cluster, 1);
    cluster.wait_until_whole();
    wait_until("replica 1 says that its disk answers", || {
        cluster.log(1).contains("this replica's disk answers again")
    });
    cluster.assert_equal();
}

#[test]
fn member_whose_disk_hangs_is_left_out_and_can_be_stopped() {
    let mut cluster = start();
    cluster.person("ann");
    slow(&cluster, 3, "hang");
    send(&cluster, "meanwhile");
    wait_until("replica 3 says that its disk hangs", || {
        cluster.status_of(3)["disk_stalled_seconds"].as_u64() > Some(4)
    });
    cluster.signal(3, Signal::TERM);
    cluster.wait_until_gone(3);
    well(&cluster, 3);
    cluster.restart(3);
    cluster.wait_until_whole();
    cluster.assert_equal();
}

/// Gives the number of takeovers so far: the term of the cluster.
fn takeovers(cluster: &Cluster) -> u64 {
    cluster.status()["epoch"].as_u64().expect("a term")
}

#[test]
fn next_one_leads_after_one_candidacy_however_slow_the_disks_are() {
    for fsync in ["700", "2000"] {
        let mut cluster = start();
        cluster.person("ann");
        let before = takeovers(&cluster);
        for id in [2, 3] {
            slow(&cluster, id, fsync);
        }
        send(&cluster, "before");
        cluster.kill(1);
        cluster.wait_for_leader(2);
        send(&cluster, "after");
        let tried = takeovers(&cluster) - before;
        assert!(tried <= 2, "{tried} takeovers with fsyncs of {fsync} ms");
        for id in [2, 3] {
            well(&cluster, id);
        }
        cluster.restart(1);
        cluster.wait_until_whole();
        cluster.assert_equal();
    }
}

/// Messages are sent until something holds.
fn send_until(cluster: &Cluster, what: &str, mut holds: impl FnMut() -> bool) {
    wait_until(what, || {
        send(cluster, "meanwhile");
        holds()
    });
}

#[test]
fn member_whose_disk_is_slow_leaves_the_view_is_named_and_returns() {
    let cluster = start();
    cluster.person("ann");
    slow(&cluster, 3, "4000");
    send_until(&cluster, "replica 3 is left out", || {
        cluster.status_of(3)["member"] == false
    });
    let status = cluster.status_of(3);
    assert!(status["slow_disk_ms"].as_u64() > Some(1_000), "{status}");
    let words = cluster.command(&["cluster", "status"]).output();
    let words = words.expect("ask for the status");
    assert_eq!(words.status.code(), Some(3));
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(words.contains("replica 3: its disk is slow"), "{words}");
    let log = cluster.log(1);
    assert!(log.contains("the disk of replica 3 is slow"), "{log}");
    well(&cluster, 3);
    cluster.wait_until_whole();
    wait_until("replica 1 says that replica 3 is back", || {
        let log = cluster.log(1);
        log.contains("replica 3, whose disk was slow, is in the view again")
    });
    cluster.assert_equal();
}

#[test]
fn leader_whose_disk_is_slow_gives_up_the_lead_says_so_and_comes_back() {
    let cluster = start();
    cluster.person("ann");
    slow(&cluster, 1, "3000");
    send_until(&cluster, "replica 2 leads", || cluster.leader() == Some(2));
    wait_until("replica 1 says why", || {
        cluster.log(1).contains("this replica's disk is slow")
    });
    well(&cluster, 1);
    cluster.wait_until_whole();
    cluster.assert_equal();
}
