//! Stored sessions: who is logged in on this machine.
//!
//! Owns one JSON file, readable by its owner only, replaced as a whole, and the lock that keeps
//! two commands from losing one another's change. Knows nothing of servers.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The name as it was registered.
    pub username: String,
    pub account_id: u64,
    pub token: String,
    /// Milliseconds since the Unix epoch, UTC.
    pub expires_at_ms: i64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    /// Key in `sessions` of the newest login.
    last: Option<String>,
    /// By lower-cased name: names are compared without case.
    sessions: BTreeMap<String, Session>,
}

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("{action} {}: {source}", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} is not a session file: {source}", .path.display())]
    Corrupt {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("this account has no home directory to keep sessions in")]
    NoDirectory,
}

/// The file that sessions are kept in.
#[derive(Debug, Clone)]
pub struct SessionFile {
    path: PathBuf,
}

impl SessionFile {
    /// The given file, or `sessions.json` in the platform's directory for state.
    ///
    /// # Errors
    /// When no file is given and the platform names no directory.
    pub fn locate(given: Option<PathBuf>) -> Result<SessionFile, SessionError> {
        let path = match given {
            Some(path) => path,
            None => directories::ProjectDirs::from("", "", "tercet")
                .map(|dirs| {
                    let dir = dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir());
                    dir.join("sessions.json")
                })
                .ok_or(SessionError::NoDirectory)?,
        };
        Ok(SessionFile { path })
    }

    /// The session of a name, or of the newest login.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn find(&self, name: Option<&str>) -> Result<Option<Session>, SessionError> {
        let mut stored = self.read()?;
        let key = name.map(str::to_lowercase).or(stored.last);
        Ok(key.and_then(|key| stored.sessions.remove(&key)))
    }

    /// Keeps a session, as the newest login.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn keep(&self, session: Session) -> Result<(), SessionError> {
        self.change(|stored| {
            let key = session.username.to_lowercase();
            stored.last = Some(key.clone());
            stored.sessions.insert(key, session);
        })
    }

    /// Drops a name's session, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn drop_session(&self, name: &str) -> Result<(), SessionError> {
        let key = name.to_lowercase();
        self.change(|stored| {
            stored.sessions.remove(&key);
            if stored.last.as_ref() == Some(&key) {
                stored.last = None;
            }
        })
    }

    fn read(&self) -> Result<Stored, SessionError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::default()),
            Err(source) => return Err(io_error("read", &self.path)(source)),
        };
        serde_json::from_slice(&bytes).map_err(|source| SessionError::Corrupt {
            path: self.path.clone(),
            source,
        })
    }

    fn change(&self, change: impl FnOnce(&mut Stored)) -> Result<(), SessionError> {
        let dir = match self.path.parent() {
            Some(dir) if dir != Path::new("") => dir,
            _ => Path::new("."),
        };
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(dir);
        made.map_err(io_error("make directory", dir))?;
        let lock_path = self.path.with_extension("lock");
        let lock = private_file(&lock_path).map_err(io_error("open", &lock_path))?;
        lock.lock().map_err(io_error("lock", &lock_path))?;

        let mut stored = self.read()?;
        change(&mut stored);
        let new_path = self.path.with_extension("new");
        write_whole(&new_path, &stored).map_err(io_error("write", &new_path))?;
        fs::rename(&new_path, &self.path).map_err(io_error("replace", &self.path))
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SessionError {
    let path = path.to_owned();
    move |source| SessionError::Io {
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

fn write_whole(path: &Path, stored: &Stored) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {} // left by a crash: made anew, so that its mode is ours
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    serde_json::to_writer_pretty(&mut file, stored)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn session(name: &str) -> Session {
        Session {
            username: name.to_owned(),
            account_id: 7,
            token: format!("token of {name}"),
            expires_at_ms: 1,
        }
    }

    fn file() -> (tempfile::TempDir, SessionFile) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deeper/sessions.json");
        (dir, SessionFile::locate(Some(path)).unwrap())
    }

    #[test]
    fn the_last_login_is_used_unless_a_name_is_given() {
        let (_dir, file) = file();
        assert_eq!(file.find(None).unwrap(), None);
        file.keep(session("Alice")).unwrap();
        file.keep(session("bob")).unwrap();
        assert_eq!(file.find(None).unwrap(), Some(session("bob")));
        assert_eq!(file.find(Some("ALICE")).unwrap(), Some(session("Alice")));
        assert_eq!(file.find(Some("carol")).unwrap(), None);
    }

    #[test]
    fn a_dropped_session_is_gone_and_nobody_takes_its_place() {
        let (_dir, file) = file();
        file.keep(session("alice")).unwrap();
        file.keep(session("bob")).unwrap();
        file.drop_session("Bob").unwrap();
        assert_eq!(file.find(None).unwrap(), None);
        assert_eq!(file.find(Some("alice")).unwrap(), Some(session("alice")));
    }

    #[test]
    fn only_the_owner_may_read_the_file() {
        let (_dir, file) = file();
        file.keep(session("alice")).unwrap();
        let mode = fs::metadata(&file.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_no_session_file_is_named_in_the_error() {
        let (dir, _) = file();
        let path = dir.path().join("notes.txt");
        fs::write(&path, "not json").unwrap();
        let file = SessionFile::locate(Some(path)).unwrap();
        let error = file.find(None).unwrap_err().to_string();
        assert!(error.contains("notes.txt"), "{error}");
    }

    #[test]
    fn two_logins_at_once_are_both_kept() {
        let (_dir, file) = file();
        std::thread::scope(|scope| {
            for index in 0..8 {
                let file = &file;
                scope.spawn(move || file.keep(session(&format!("user{index}"))).unwrap());
            }
        });
        for index in 0..8 {
            let name = format!("user{index}");
            assert!(file.find(Some(&name)).unwrap().is_some());
        }
    }
}
