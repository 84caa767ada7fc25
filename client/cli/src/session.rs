//! The login sessions that are stored on this machine, by cluster. Knows nothing of servers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tercet_client::{StateFile, StateFileError};

/// A login session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The cluster of the token, a UUID in text form. `None` in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The addresses of replicas of that cluster: those of the list at the login, and those that its
    /// leaders named since.
    #[serde(default)]
    pub addresses: BTreeSet<String>,
    /// The name, in the letters in which it was registered.
    pub username: String,
    pub account_id: u64,
    pub token: String,
    /// The end of the session, in milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    /// The key of the newest login, in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    /// The key of the newest login at each cluster.
    #[serde(default)]
    newest: BTreeMap<String, String>,
    /// The sessions by [`key`]; in files of earlier versions by the name in lower case.
    #[serde(default)]
    sessions: BTreeMap<String, Session>,
}

/// Gives the key of a session: names are compared without case, and have no slash.
fn key(cluster: &str, name: &str) -> String {
    format!("{cluster}/{}", name.to_lowercase())
}

/// The file of sessions.
#[derive(Debug, Clone)]
pub struct SessionFile {
    file: StateFile,
}

impl SessionFile {
    /// Gives the given file, or `sessions.json` in the platform's directory for state.
    ///
    /// # Errors
    /// When no file is given and the platform names no directory.
    pub fn locate(given: Option<PathBuf>) -> Result<SessionFile, StateFileError> {
        let named = || StateFile::named("sessions.json");
        let file = given.map_or_else(named, |path| Ok(StateFile::at(path)))?;
        Ok(SessionFile { file })
    }

    /// Finds the session of a name at a cluster, or of the newest login there.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn find(
        &self,
        cluster: &str,
        name: Option<&str>,
    ) -> Result<Option<Session>, StateFileError> {
        let mut stored = self.file.read::<Stored>()?;
        let newest = stored.newest.remove(cluster);
        let key = name.map(|name| key(cluster, name)).or(newest);
        let found = key.and_then(|key| stored.sessions.remove(&key));
        Ok(found.filter(|session| session.cluster_id.as_deref() == Some(cluster)))
    }

    /// Gives every session of a name, or of all names, at all clusters.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn all(&self, name: Option<&str>) -> Result<Vec<Session>, StateFileError> {
        let stored = self.file.read::<Stored>()?;
        let mut sessions: Vec<_> = stored.sessions.into_values().collect();
        let wanted = name.map(str::to_lowercase);
        sessions.retain(|session| {
            let name = session.username.to_lowercase();
            wanted.as_ref().is_none_or(|wanted| *wanted == name)
        });
        Ok(sessions)
    }

    /// Assigns the sessions of earlier versions to this cluster.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn adopt(&self, cluster: &str) -> Result<(), StateFileError> {
        self.file.change(|stored: &mut Stored| {
            let last = stored.last.take();
            let old = |_: &String, session: &mut Session| session.cluster_id.is_none();
            for (name, mut session) in stored.sessions.extract_if(.., old).collect::<Vec<_>>() {
                let key = key(cluster, &name);
                if last.as_ref() == Some(&name) {
                    stored
                        .newest
                        .entry(cluster.to_owned())
                        .or_insert(key.clone());
                }
                session.cluster_id = Some(cluster.to_owned());
                stored.sessions.entry(key).or_insert(session);
            }
        })
    }

    /// Stores a session as the newest login at its cluster.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn keep(&self, session: Session) -> Result<(), StateFileError> {
        self.file.change(|stored: &mut Stored| {
            let cluster = session.cluster_id.clone().unwrap_or_default();
            let key = key(&cluster, &session.username);
            stored.newest.insert(cluster, key.clone());
            stored.sessions.insert(key, session);
        })
    }

    /// Adds addresses that a leader of the cluster named.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn learn(&self, cluster: &str, addresses: &BTreeSet<String>) -> Result<(), StateFileError> {
        self.file.change(|stored: &mut Stored| {
            for session in stored.sessions.values_mut() {
                if session.cluster_id.as_deref() == Some(cluster) {
                    session.addresses.clone_from(addresses);
                }
            }
        })
    }

    /// Drops a name's session at a cluster, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn drop_session(&self, cluster: &str, name: &str) -> Result<(), StateFileError> {
        let key = key(cluster, name);
        self.file.change(|stored: &mut Stored| {
            stored.sessions.remove(&key);
            if stored.newest.get(cluster) == Some(&key) {
                stored.newest.remove(cluster);
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
            cluster_id: Some("x".to_owned()),
            addresses: BTreeSet::new(),
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
        assert_eq!(file.find("x", None).unwrap(), None);
        file.keep(session("Alice")).unwrap();
        file.keep(session("bob")).unwrap();
        assert_eq!(file.find("x", None).unwrap(), Some(session("bob")));
        assert_eq!(
            file.find("x", Some("ALICE")).unwrap(),
            Some(session("Alice"))
        );
        assert_eq!(file.find("x", Some("carol")).unwrap(), None);
    }

    #[test]
    fn a_dropped_session_is_gone_and_nobody_takes_its_place() {
        let (_dir, file) = file();
        file.keep(session("alice")).unwrap();
        file.keep(session("bob")).unwrap();
        file.drop_session("x", "Bob").unwrap();
        assert_eq!(file.find("x", None).unwrap(), None);
        assert_eq!(
            file.find("x", Some("alice")).unwrap(),
            Some(session("alice"))
        );
    }

    #[test]
    fn sessions_of_one_name_at_two_clusters_are_two() {
        let (_dir, file) = file();
        let mut other = session("alice");
        other.cluster_id = Some("y".to_owned());
        file.keep(session("alice")).unwrap();
        file.keep(other.clone()).unwrap();
        assert_eq!(file.find("x", None).unwrap(), Some(session("alice")));
        assert_eq!(file.find("y", Some("Alice")).unwrap(), Some(other));
        assert_eq!(file.find("z", Some("alice")).unwrap(), None);
        assert_eq!(file.all(Some("ALICE")).unwrap().len(), 2);
        file.drop_session("x", "alice").unwrap();
        assert_eq!(file.all(None).unwrap().len(), 1);
    }

    #[test]
    fn sessions_of_an_earlier_version_are_of_no_cluster_until_they_are_adopted() {
        let (dir, file) = file();
        let old = r#"{"last": "bob", "sessions": {
            "alice": {"username": "Alice", "account_id": 7, "token": "a", "expires_at_ms": 1},
            "bob": {"username": "bob", "account_id": 8, "token": "b", "expires_at_ms": 1}}}"#;
        fs::create_dir(dir.path().join("deeper")).unwrap();
        fs::write(dir.path().join("deeper/sessions.json"), old).unwrap();
        for cluster in ["", "x"] {
            assert_eq!(file.find(cluster, None).unwrap(), None);
            assert_eq!(file.find(cluster, Some("alice")).unwrap(), None);
        }
        assert_eq!(file.all(None).unwrap().len(), 2);
        file.adopt("x").unwrap();
        assert_eq!(file.find("x", None).unwrap().unwrap().token, "b");
        assert_eq!(file.find("x", Some("alice")).unwrap().unwrap().token, "a");
        assert_eq!(file.find("y", Some("alice")).unwrap(), None);
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
        let error = file.find("x", None).unwrap_err().to_string();
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
            assert!(file.find("x", Some(&name)).unwrap().is_some());
        }
    }
}
