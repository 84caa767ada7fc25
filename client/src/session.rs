//! Stored sessions: who is logged in on this machine. Knows nothing of servers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::state_file::{StateFile, StateFileError};

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

/// The file that sessions are kept in.
#[derive(Debug, Clone)]
pub struct SessionFile {
    file: StateFile,
}

impl SessionFile {
    /// The given file, or `sessions.json` in the platform's directory for state.
    ///
    /// # Errors
    /// When no file is given and the platform names no directory.
    pub fn locate(given: Option<PathBuf>) -> Result<SessionFile, StateFileError> {
        let named = || StateFile::named("sessions.json");
        let file = given.map_or_else(named, |path| Ok(StateFile::at(path)))?;
        Ok(SessionFile { file })
    }

    /// The session of a name, or of the newest login.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn find(&self, name: Option<&str>) -> Result<Option<Session>, StateFileError> {
        let mut stored = self.file.read::<Stored>()?;
        let key = name.map(str::to_lowercase).or(stored.last);
        Ok(key.and_then(|key| stored.sessions.remove(&key)))
    }

    /// Keeps a session, as the newest login.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn keep(&self, session: Session) -> Result<(), StateFileError> {
        self.file.change(|stored: &mut Stored| {
            let key = session.username.to_lowercase();
            stored.last = Some(key.clone());
            stored.sessions.insert(key, session);
        })
    }

    /// Drops a name's session, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn drop_session(&self, name: &str) -> Result<(), StateFileError> {
        let key = name.to_lowercase();
        self.file.change(|stored: &mut Stored| {
            stored.sessions.remove(&key);
            if stored.last.as_ref() == Some(&key) {
                stored.last = None;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
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
        let (dir, file) = file();
        file.keep(session("alice")).unwrap();
        let path = dir.path().join("deeper/sessions.json");
        let mode = fs::metadata(path).unwrap().permissions().mode();
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
