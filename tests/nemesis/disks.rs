//! The replicas' disks: each a small file system in memory that can be filled, where root may
//! mount one; and rot, anywhere. Owns the mounts: they go when it is dropped.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use tercet_sim::rng::Rng;

/// Enough for what ten minutes leave behind.
const SIZE: &str = "size=256m";

/// A data directory for each replica.
pub struct Disks {
    dir: TempDir,
    mounted: Vec<PathBuf>,
    /// Why none can be filled, if so.
    pub unmounted: Option<String>,
}

impl Disks {
    pub fn make(count: u64) -> Disks {
        let dir = tempfile::tempdir().expect("make a directory");
        let mut disks = Disks {
            dir,
            mounted: Vec::new(),
            unmounted: None,
        };
        for id in 1..=count {
            let at = disks.dir.path().join(format!("disk-{id}"));
            fs::create_dir(&at).expect("make a directory");
            if disks.unmounted.is_none() {
                match mount(&at) {
                    Ok(()) => disks.mounted.push(at),
                    Err(why) => disks.unmounted = Some(why),
                }
            }
            fs::create_dir(disks.data(id)).expect("make a data directory");
        }
        disks
    }

    pub fn data(&self, id: u64) -> PathBuf {
        self.disk(id).join("data")
    }

    fn disk(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("disk-{id}"))
    }

    /// Takes all the room that is left.
    pub fn fill(&self, id: u64) {
        let at = self.disk(id).join("filler");
        let mut filler = OpenOptions::new()
            .create(true)
            .append(true)
            .open(at)
            .expect("make a filler");
        for chunk in [1 << 20, 4096] {
            while filler.write_all(&vec![0; chunk]).is_ok() {}
        }
    }

    /// Gives it back.
    pub fn free(&self, id: u64) {
        // It may be free already.
        let _ = fs::remove_file(self.disk(id).join("filler"));
    }

    /// One bit of the store flips. Where.
    pub fn rot(&self, id: u64, rng: &mut Rng) -> String {
        let files = fs::read_dir(self.data(id)).expect("read a data directory");
        let mut files: Vec<PathBuf> = files
            .map(|file| file.expect("read a data directory").path())
            .filter(|path| is_store(path))
            .collect();
        files.sort();
        let path = &files[rng.index(files.len())];
        let length = fs::metadata(path).expect("look at a store").len();
        let place = rng.below(length);
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.expect("open a store");
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).expect("read a byte");
        byte[0] ^= 1 << rng.below(8);
        file.write_all_at(&byte, place).expect("write a byte");
        format!("byte {place} of {}", path.display())
    }

    /// The operator keeps the store, and makes room for an empty one.
    pub fn set_aside(&self, id: u64) {
        let kept = self.disk(id).join("aside");
        let _ = fs::remove_dir_all(&kept);
        fs::rename(self.data(id), kept).expect("set a store aside");
        fs::create_dir(self.data(id)).expect("make a data directory");
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for at in &self.mounted {
            let _ = Command::new("umount").arg("--lazy").arg(at).status();
        }
    }
}

/// The database and its write-ahead log, not the index to it in shared memory.
fn is_store(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.ends_with(".db") || name.ends_with("-wal"))
        && fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

fn mount(at: &Path) -> Result<(), String> {
    let output = Command::new("mount")
        .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
        .arg(at)
        .output()
        .map_err(|error| format!("mount: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
