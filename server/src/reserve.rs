//! The reserve: space on the disk of the store that is given up when the disk is full, so that writes under way
//! can finish. Knows nothing of the store.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

const FILE: &str = "reserve";
/// Free bytes that a replica needs before it writes again on a disk that was full, with or without a reserve.
const ROOM_MIN: u64 = 4 << 20;
const CHUNK: usize = 64 << 10;

/// The reserve of one data directory. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    /// The size of the reserve; 0 for none.
    bytes: u64,
    /// Held while the file is made or removed.
    making: Arc<Mutex<()>>,
}

impl Reserve {
    pub(crate) fn new(dir: &Path, bytes: u64) -> Reserve {
        Reserve {
            path: dir.join(FILE),
            bytes,
            making: Arc::default(),
        }
    }

    /// Gives the free bytes that making the reserve needs: its own size and as much again.
    pub(crate) fn wanted(&self) -> u64 {
        (2 * self.bytes).max(ROOM_MIN)
    }

    /// Gives the bytes that are free for this user on the disk.
    ///
    /// # Errors
    /// When the file system of the data directory cannot be queried.
    pub(crate) fn available(&self) -> io::Result<u64> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let disk = rustix::fs::statvfs(dir)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Tells whether the reserve exists or there is room for it.
    ///
    /// # Errors
    /// When the file system of the data directory cannot be queried.
    pub(crate) fn has_room(&self) -> io::Result<bool> {
        Ok(self.is_whole() || self.available()? >= self.wanted())
    }

    /// Makes the reserve if it does not exist. False while there is no room for it.
    ///
    /// # Errors
    /// When it cannot be written for another reason.
    pub(crate) fn make(&self) -> io::Result<bool> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_whole() {
            return Ok(true);
        }
        if self.available()? < self.wanted() {
            return Ok(false);
        }
        if self.bytes == 0 {
            return Ok(true);
        }
        match self.write() {
            Ok(()) => Ok(true),
            Err(error) => {
                // A partial reserve is useless and takes space.
                let _ = fs::remove_file(&self.path);
                match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Ok(false),
                    _ => Err(error),
                }
            }
        }
    }

    /// Deletes the reserve to make room. False when there was none.
    pub(crate) fn free(&self) -> bool {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.bytes > 0 && fs::remove_file(&self.path).is_ok()
    }

    fn is_whole(&self) -> bool {
        let length = fs::metadata(&self.path).map(|file| file.len());
        self.bytes > 0 && length.is_ok_and(|length| length == self.bytes)
    }

    /// Writes random bytes: a file system that compresses zeros, or that does not allocate unwritten blocks,
    /// would reserve no space.
    fn write(&self) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        let mut noise = Noise(self.bytes | 1);
        let mut left = self.bytes;
        let mut chunk = vec![0; CHUNK];
        while left > 0 {
            let length = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
            noise.fill(&mut chunk[..length]);
            file.write_all(&chunk[..length])?;
            left -= length as u64;
        }
        file.sync_all()
    }
}

/// Generates bytes that do not compress (xorshift64).
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes()[..word.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_reserve_takes_its_room_for_real_and_gives_it_up_once() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(dir.path(), (1 << 20) + 5);
        assert!(!reserve.free(), "there is none yet");
        assert!(reserve.make().unwrap());
        let file = fs::metadata(dir.path().join(FILE)).unwrap();
        assert_eq!(file.len(), (1 << 20) + 5);
        assert!(file.blocks() * 512 >= 1 << 20, "it is not sparse");
        assert!(reserve.has_room().unwrap() && reserve.make().unwrap());
        assert!(reserve.free() && !reserve.free());
    }

    #[test]
    fn a_reserve_for_which_there_is_no_room_is_not_begun() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(dir.path(), 1 << 60);
        assert!(!reserve.has_room().unwrap() && !reserve.make().unwrap());
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn a_reserve_of_another_size_is_made_anew_and_one_of_none_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Reserve::new(dir.path(), 4096).make().unwrap());
        assert!(Reserve::new(dir.path(), 8192).make().unwrap());
        let length = fs::metadata(dir.path().join(FILE)).unwrap().len();
        assert_eq!(length, 8192);
        let none = Reserve::new(dir.path(), 0);
        assert!(none.make().unwrap() && !none.free());
    }
}
