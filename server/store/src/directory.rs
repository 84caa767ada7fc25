//! The data directory: created durably, and locked by one process at a time.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process,
};

use chrono::Utc;
use tercet_types::durable;

use super::StoreError;

const DATABASE_FILE: &str = "tercet.db";
const WAL_FILE: &str = "tercet.db-wal";
const SHM_FILE: &str = "tercet.db-shm";
const LOCK_FILE: &str = "lock";
/// Attempts at a name that is not taken.
const NAMES_MAX: u32 = 100;

pub(super) fn database_path(dir: &Path) -> PathBuf {
    dir.join(DATABASE_FILE)
}

pub(super) fn wal_path(dir: &Path) -> PathBuf {
    dir.join(WAL_FILE)
}

/// The lock of the data directory, held until it is dropped or the process ends.
pub(super) struct DirectoryLock {
    _file: File,
}

/// Creates the directory if it is missing, and locks it.
pub(super) fn lock(dir: &Path) -> Result<DirectoryLock, StoreError> {
    let failed =
        |error| StoreError::from_io(&format!("open data directory {}", dir.display()), &error);
    if let Some(file) = dir.ancestors().find(|path| path.exists() && !path.is_dir()) {
        return Err(StoreError::NotADirectory(file.to_owned()));
    }
    make(dir).map_err(failed)?;
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join(LOCK_FILE))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let pid = match file.read_to_string(&mut holder) {
                Ok(_) => holder.trim().parse().ok(),
                Err(_) => None,
            };
            let dir = dir.to_owned();
            return Err(StoreError::InUse { dir, pid });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // The pid is only for the message above; the lock does not depend on it.
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", process::id()))
        .map_err(failed)?;
    Ok(DirectoryLock { _file: file })
}

/// Creates the directory, and missing ones above it, durably. Other users may not read it: it will hold
/// password hashes and messages.
fn make(dir: &Path) -> io::Result<()> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<&Path> = dir.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for made in missing {
        durable::sync_directory(durable::parent(made))?;
    }
    Ok(())
}

/// Creates an empty database file if there is none, because SQLite would make it readable for all users.
pub(super) fn make_database(dir: &Path) -> Result<PathBuf, StoreError> {
    let path = dir.join(DATABASE_FILE);
    let made = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path);
    made.map_err(|error| StoreError::from_io(&format!("open {}", path.display()), &error))?;
    Ok(path)
}

/// Makes the names of the store's files durable.
pub(super) fn sync(dir: &Path) -> Result<(), StoreError> {
    durable::sync_directory(dir)
        .map_err(|error| StoreError::from_io(&format!("sync directory {}", dir.display()), &error))
}

/// Moves the files of a store that is not open, such as a damaged one, into a new folder in its data directory,
/// `<why>-<time in UTC>`, and gives that folder. The directory is then as if it was never used. Nothing is
/// deleted or overwritten. After a crash in the middle the remaining files are refused when they are opened.
///
/// # Errors
/// `InUse` when a process has locked the directory; otherwise when a file cannot be renamed.
pub fn set_aside(dir: &Path, why: &str) -> Result<PathBuf, StoreError> {
    let _lock = lock(dir)?;
    let failed = |path: &Path| {
        let what = format!("set aside {}", path.display());
        move |error| StoreError::from_io(&what, &error)
    };
    let name = format!("{why}-{}", Utc::now().format("%Y-%m-%dT%H-%M-%SZ"));
    let names = (1..=NAMES_MAX).map(|n| match n {
        1 => name.clone(),
        n => format!("{name}-{n}"),
    });
    for folder in names.map(|name| dir.join(name)) {
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made.map_err(failed(&folder))?,
        }
        sync(dir)?;
        // The database first, and durably: without its WAL it would be an older state that opens without an
        // error.
        for file in [DATABASE_FILE, WAL_FILE, SHM_FILE] {
            let path = dir.join(file);
            match fs::rename(&path, folder.join(file)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                moved => moved.map_err(failed(&path))?,
            }
            sync(&folder)?;
            sync(dir)?;
        }
        return Ok(folder);
    }
    let taken = io::Error::from(io::ErrorKind::AlreadyExists);
    Err(failed(&dir.join(name))(taken))
}
