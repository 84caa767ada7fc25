//! JSON files that keep state on this machine from one run to the next. Only their owner can read them. A change
//! replaces the whole file, under a lock, so that no change of another process is lost. Knows nothing of the
//! contents.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Serialize, de::DeserializeOwned};
use tercet_types::durable;

/// The reason why a file of state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// The operating system refused.
    #[error("{action} {}: {source}", .path.display())]
    Io {
        /// The attempt, in words.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not JSON of the expected form.
    #[error("{} is not a file that was written here: {what}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The fault, in words.
        what: String,
    },
    /// The platform names no directory for state.
    #[error("this account has no home directory to keep sessions in")]
    NoDirectory,
}

/// A file of state. It is made when it is first changed.
#[derive(Debug, Clone)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// Chooses the file at this path.
    pub fn at(path: PathBuf) -> StateFile {
        StateFile { path }
    }

    /// Chooses the file with this name in the platform's directory for state.
    ///
    /// # Errors
    /// [`StateFileError::NoDirectory`] when the platform names none.
    pub fn named(name: &str) -> Result<StateFile, StateFileError> {
        let dirs = directories::ProjectDirs::from("", "", "tercet");
        let path = dirs.map(|dirs| {
            let dir = dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir());
            dir.join(name)
        });
        path.map(StateFile::at).ok_or(StateFileError::NoDirectory)
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. Returns the default value if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or is not JSON of the expected form.
    pub fn read<T: DeserializeOwned + Default>(&self) -> Result<T, StateFileError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
            Err(source) => return Err(io_error("read", &self.path)(source)),
        };
        serde_json::from_slice(&bytes).map_err(|error| StateFileError::Corrupt {
            path: self.path.clone(),
            what: error.to_string(),
        })
    }

    /// Reads the file, changes its value, and replaces the file. Waits for the lock.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn change<T>(&self, change: impl FnOnce(&mut T)) -> Result<(), StateFileError>
    where
        T: Serialize + DeserializeOwned + Default,
    {
        let dir = durable::parent(&self.path);
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(dir);
        made.map_err(io_error("make directory", dir))?;
        let lock_path = self.path.with_extension("lock");
        let lock = private_file(&lock_path).map_err(io_error("open", &lock_path))?;
        lock.lock().map_err(io_error("lock", &lock_path))?;

        let mut stored = self.read()?;
        change(&mut stored);
        write(&self.path, &stored).map_err(io_error("replace", &self.path))
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateFileError {
    let path = path.to_owned();
    move |source| StateFileError::Io {
        action,
        path,
        source,
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}

fn write(path: &Path, stored: &impl Serialize) -> io::Result<()> {
    let mut content = serde_json::to_vec_pretty(stored)?;
    content.push(b'\n');
    durable::write(path, &content)
}
