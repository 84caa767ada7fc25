//! The ports, directories and command lines of the replicas of this machine. Pure, except for `check_ports`
//! and `prepare`.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tercet_client::{Replica, Replicas};
use tercet_types::durable;

use crate::failure::Failure;
use crate::numbers::hex;

const HOST: &str = "127.0.0.1";
const SECRET_FILE: &str = "peer-secret";
/// The file of the admin token, beside the peer secret.
pub const ADMIN_TOKEN_FILE: &str = "admin-token";

/// The replicas of one `tercet local`.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The data directory, an absolute path.
    pub data: String,
    program: String,
    first_port: u16,
    count: u16,
}

impl Layout {
    /// # Errors
    /// When the ports do not fit, or a path is not UTF-8 (it could not be printed as JSON).
    pub fn new(
        data: &Path,
        program: &Path,
        first_port: u16,
        count: u16,
    ) -> Result<Layout, Failure> {
        if first_port == 0 || u32::from(first_port) + 2 * u32::from(count) - 1 > 65_535 {
            return Err(Failure::Usage(format!(
                "--base-port {first_port} leaves no room for {} ports",
                2 * count
            )));
        }
        let text = |path: &Path| {
            let text = path.to_str().map(str::to_owned);
            text.ok_or_else(|| Failure::Usage(format!("{} is not UTF-8", path.display())))
        };
        Ok(Layout {
            data: text(data)?,
            program: text(program)?,
            first_port,
            count,
        })
    }

    pub fn ids(&self) -> impl DoubleEndedIterator<Item = u16> + use<> {
        1..=self.count
    }

    fn client_port(&self, id: u16) -> u16 {
        self.first_port + (id - 1)
    }

    fn peer_port(&self, id: u16) -> u16 {
        self.first_port + self.count + (id - 1)
    }

    fn address(&self, id: u16) -> String {
        format!("{HOST}:{}", self.client_port(id))
    }

    fn peer_address(&self, id: u16) -> String {
        format!("{HOST}:{}", self.peer_port(id))
    }

    /// Gives the list of replicas for clients.
    pub fn replicas(&self) -> Result<Replicas, Failure> {
        let replica = |id: u16| Replica {
            id: id.into(),
            address: self.address(id),
        };
        let replicas = Replicas::from_parts(self.ids().map(replica).collect());
        replicas.map_err(|error| Failure::Usage(error.to_string()))
    }

    pub fn replica_data(&self, id: u16) -> PathBuf {
        Path::new(&self.data).join(format!("replica-{id}"))
    }

    pub fn log_file(&self, id: u16) -> PathBuf {
        self.replica_data(id).join("replica.log")
    }

    pub fn secret_file(&self) -> PathBuf {
        Path::new(&self.data).join(SECRET_FILE)
    }

    pub fn admin_token_file(&self) -> PathBuf {
        Path::new(&self.data).join(ADMIN_TOKEN_FILE)
    }

    /// Gives the command line that starts a replica, the program first.
    pub fn argv(&self, id: u16) -> Vec<String> {
        let list = |address: &dyn Fn(u16) -> String| {
            let parts = self.ids().map(|id| format!("{id}={}", address(id)));
            parts.collect::<Vec<_>>().join(",")
        };
        vec![
            self.program.clone(),
            "serve".to_owned(),
            "--id".to_owned(),
            id.to_string(),
            "--replicas".to_owned(),
            list(&|id| self.address(id)),
            "--peers".to_owned(),
            list(&|id| self.peer_address(id)),
            "--data".to_owned(),
            format!("{}/replica-{id}", self.data),
            "--peer-secret-file".to_owned(),
            format!("{}/{SECRET_FILE}", self.data),
            "--admin-token-file".to_owned(),
            format!("{}/{ADMIN_TOKEN_FILE}", self.data),
        ]
    }

    /// Gives the object that `local --no-chat` prints for a replica.
    pub fn line(&self, id: u16, pid: u32) -> Value {
        json!({
            "id": id,
            "pid": pid,
            "address": self.address(id),
            "peer_address": self.peer_address(id),
            "data": format!("{}/replica-{id}", self.data),
            "admin_token_file": format!("{}/{ADMIN_TOKEN_FILE}", self.data),
            "argv": self.argv(id),
        })
    }

    /// # Errors
    /// When a port cannot be listened on, naming it.
    pub fn check_ports(&self) -> Result<(), Failure> {
        for port in (0..2 * self.count).map(|offset| self.first_port + offset) {
            if let Err(error) = TcpListener::bind((HOST, port)) {
                let message = match error.kind() {
                    io::ErrorKind::AddrInUse => format!("port {port} is in use"),
                    _ => format!("port {port} cannot be listened on: {error}"),
                };
                let advice = format!(
                    "Stop what uses it, or choose {} others that follow one another: \
                     --base-port PORT.",
                    2 * self.count
                );
                return Err(Failure::failed("PORT_IN_USE", message, advice));
            }
        }
        Ok(())
    }

    /// Makes the directories, and the peer secret and the admin token if they do not exist.
    pub fn prepare(&self) -> Result<(), Failure> {
        for id in self.ids() {
            let dir = self.replica_data(id);
            let made = fs::create_dir_all(&dir);
            made.map_err(|error| failed("make directory", &dir, &error))?;
        }
        for path in [self.secret_file(), self.admin_token_file()] {
            if !path.exists() {
                write_secret(&path).map_err(|error| failed("write", &path, &error))?;
            }
        }
        Ok(())
    }
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Failure {
    let message = format!("{doing} {}: {error}", path.display());
    Failure::failed("DATA_DIRECTORY", message, "Choose another with --data DIR.")
}

/// Writes 32 random bytes as hexadecimal digits; the file is there whole or not at all.
fn write_secret(path: &Path) -> io::Result<()> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let secret = hex(&bytes);
    durable::write(path, format!("{secret}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn layout(data: &Path, count: u16) -> Layout {
        Layout::new(data, Path::new("/bin/tercet"), 5001, count).unwrap()
    }

    #[test]
    fn client_ports_come_first_then_peer_ports() {
        let layout = layout(Path::new("/d"), 3);
        assert_eq!(
            layout.replicas().unwrap().to_string(),
            tercet_client::DEFAULT_REPLICAS
        );
        let argv = layout.argv(2);
        assert_eq!(argv[..4], ["/bin/tercet", "serve", "--id", "2"]);
        let peers = "1=127.0.0.1:5004,2=127.0.0.1:5005,3=127.0.0.1:5006".to_owned();
        assert!(argv.contains(&peers));
        assert!(argv.contains(&"/d/replica-2".to_owned()));
        assert_eq!(layout.line(2, 77)["peer_address"], "127.0.0.1:5005");
    }

    #[test]
    fn ports_beyond_the_last_are_wrong_usage() {
        let last = |port| Layout::new(Path::new("/d"), Path::new("/t"), port, 3);
        assert!(last(65_530).is_ok());
        assert!(matches!(last(65_531), Err(Failure::Usage(_))));
        assert!(matches!(last(0), Err(Failure::Usage(_))));
    }

    #[test]
    fn the_secrets_are_made_once_and_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(dir.path(), 1);
        layout.prepare().unwrap();
        let paths = [layout.secret_file(), layout.admin_token_file()];
        let secrets = || paths.clone().map(|path| fs::read_to_string(path).unwrap());
        let made = secrets();
        assert_ne!(made[0], made[1]);
        for (path, secret) in paths.iter().zip(&made) {
            assert_eq!(secret.trim().len(), 64);
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        layout.prepare().unwrap();
        assert_eq!(secrets(), made);
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind((HOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        // Replica 1's own port, wherever the range begins.
        let Ok(layout) = Layout::new(dir.path(), Path::new("/t"), port, 1) else {
            return; // the very last port: no range begins there
        };
        let error = layout.check_ports().unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} ")), "{error}");
    }
}
