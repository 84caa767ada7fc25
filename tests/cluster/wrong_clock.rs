//! Replicas whose wall clocks are wrong: `clock_gettime` of a library that is loaded before libc's adds what a file in the
//! data directory says.

use std::{fs, sync::LazyLock};

use super::{Cluster, preload::library};

/// Adds as many seconds to the wall clock as the file `wrong-clock` says, in the directory that follows `--data`.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char path[4096];

__attribute__((constructor)) static void find_directory(void) {
    char line[16384];
    int fd = open("/proc/self/cmdline", O_RDONLY);
    if (fd < 0) return;
    ssize_t length = read(fd, line, sizeof line - 1);
    close(fd);
    for (ssize_t at = 0; at < length; at += strlen(line + at) + 1) {
        line[length] = 0;
        if (strcmp(line + at, "--data") == 0)
            snprintf(path, sizeof path, "%s/wrong-clock", line + at + strlen("--data") + 1);
    }
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = ((int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime"))(clock, time);
    if (result != 0 || clock != CLOCK_REALTIME || !path[0]) return result;
    int fd = open(path, O_RDONLY);
    if (fd < 0) return result;
    char text[32] = {0};
    if (read(fd, text, sizeof text - 1) > 0) time->tv_sec += atol(text);
    close(fd);
    return result;
}
"#;

/// The library, built once.
fn shim() -> &'static str {
    static SHIM_PATH: LazyLock<String> = LazyLock::new(|| library("wrong-clock", SHIM));
    &SHIM_PATH
}

/// Replicas with such clocks; these are wrong from the start, by so many seconds.
pub fn start(count: usize, wrong: &[(u64, i64)]) -> Cluster {
    let settings = vec![("LD_PRELOAD", shim())].leak();
    let dir = tempfile::tempdir().expect("make a directory");
    for (id, seconds) in wrong {
        let data = dir.path().join(format!("data/replica-{id}"));
        fs::create_dir_all(&data).expect("make a directory");
        fs::write(data.join("wrong-clock"), seconds.to_string()).expect("write a file");
    }
    let cluster = Cluster::start_in_with(dir, settings, count);
    cluster.wait_until_whole();
    cluster
}

/// Sets the clock of a replica wrong, in one step, so that the shim never reads half of it.
pub fn set(cluster: &Cluster, id: u64, seconds: i64) {
    let data = &cluster.replicas[&id].data;
    fs::write(data.join("wrong-clock.new"), seconds.to_string()).expect("write a file");
    fs::rename(data.join("wrong-clock.new"), data.join("wrong-clock")).expect("rename a file");
}
