//! Strangers at the addresses of replicas: they learn nothing, and nothing that they say is believed.

mod cluster;

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use cluster::{Cluster, TERCET, wait_until};

/// Bytes of the first frame of a handshake.
const OPENING_BYTES: usize = 64;

/// A listener that answers every connection with the same bytes, and keeps what it is told.
struct Stranger {
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Stranger {
    fn at(address: &str, answer: &'static [u8]) -> Stranger {
        let listener = TcpListener::bind(address).expect("take the port of a dead replica");
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let all = heard.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = all.clone();
                thread::spawn(move || {
                    let said = Stranger::listen(stream, answer);
                    all.lock().expect("no panic").push(said);
                });
            }
        });
        Stranger { heard }
    }

    fn listen(mut stream: TcpStream, answer: &[u8]) -> Vec<u8> {
        let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
        let _ = stream.write_all(answer);
        let (mut all, mut part) = (Vec::new(), [0; 4096]);
        loop {
            match stream.read(&mut part) {
                Ok(0) => return all,
                Ok(count) => all.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return all,
            }
        }
    }

    /// Gives the bytes of the connections that had any.
    fn heard(&self) -> Vec<Vec<u8>> {
        let heard = self.heard.lock().expect("no panic");
        let spoken = heard.iter().filter(|said| !said.is_empty());
        spoken.cloned().collect()
    }
}

fn assert_learnt_nothing(heard: &[Vec<u8>], secret: &str) {
    for said in heard {
        assert_eq!(
            said.len(),
            OPENING_BYTES,
            "{:?}",
            said.escape_ascii().to_string()
        );
        assert!(said.starts_with(b"tercet"));
        let shown = said
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!shown, "the secret was sent");
    }
}

#[test]
fn a_stranger_on_the_port_of_a_dead_replica_learns_nothing_and_is_not_believed() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    let secret = fs::read_to_string(cluster.dir.path().join("data/peer-secret"));
    let secret = secret.expect("read the secret").trim().to_owned();
    cluster.kill(1);
    // What an HTTP/2 server says first; then what looks like the answer of a replica.
    let http2 = b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
    let answer =
        b"tercet\0\x01\0\0\0\x01................................................................\
                   ................................................................";
    let first = Stranger::at(&cluster.replicas[&1].peer_address, http2);
    cluster.wait_for_leader(2);
    wait_until("the others dialled the stranger", || {
        first.heard().len() >= 4
    });
    assert_learnt_nothing(&first.heard(), &secret);
    cluster.person("ann");

    cluster.kill(2);
    let second = Stranger::at(&cluster.replicas[&2].peer_address, answer);
    cluster.wait_for_leader(3);
    wait_until("the last one dialled both strangers", || {
        second.heard().len() >= 4
    });
    assert_learnt_nothing(&first.heard(), &secret);
    assert_learnt_nothing(&second.heard(), &secret);
    cluster.json(&["send", "ann", "still here", "--json"]);
    let log = cluster.log(3);
    let told = log.matches("the peer secrets differ").count();
    assert!(
        (1..=3).contains(&told),
        "once a period, not at each attempt: {log}"
    );
}

/// A child process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn broken(data: &PathBuf) -> usize {
    let entries = fs::read_dir(data).expect("read the data directory");
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("broken-"))
        .count()
}

#[test]
fn a_damaged_store_is_not_set_aside_on_the_word_of_a_stranger_that_leads() {
    let mut cluster = Cluster::start(1);
    cluster.wait_until_whole();
    cluster.person("ann");
    cluster.kill(1);
    let own = cluster.replicas[&1].clone();
    let store = rusqlite::Connection::open(own.data.join("tercet.db")).expect("open the store");
    let changed = store.execute("UPDATE log SET payload = x'00' WHERE lsn = 2", []);
    assert_eq!(changed.expect("damage the log"), 1);
    drop(store);

    // It has another secret, leads, and answers at the addresses of replica 2.
    let stranger = Cluster::start(1);
    stranger.wait_until_whole();
    let other = &stranger.replicas[&1];
    let log = cluster.dir.path().join("damaged.log");
    let mut damaged = Running(
        Command::new(TERCET)
            .args(["serve", "--id", "1", "--data"])
            .arg(&own.data)
            .arg("--replicas")
            .arg(format!("1={},2={}", own.address, other.address))
            .arg("--peers")
            .arg(format!("1={},2={}", own.peer_address, other.peer_address))
            .arg("--peer-secret-file")
            .arg(cluster.dir.path().join("data/peer-secret"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("make a log"))
            .spawn()
            .expect("start a replica"),
    );
    let mut code = None;
    wait_until("the replica ends or sets its store aside", || {
        code = damaged.0.try_wait().expect("look at a process");
        code.is_some() || broken(&own.data) > 0
    });
    let said = fs::read_to_string(&log).expect("read the log");
    assert_eq!(broken(&own.data), 0, "{said}");
    assert_eq!(code.and_then(|code| code.code()), Some(1), "{said}");
    assert!(said.contains("damaged"), "{said}");
}
