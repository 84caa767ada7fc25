//! Both sides of a partition went on, in mode available: the side that lost stops, and writes what only it
//! has into a file for people.

mod cluster;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use cluster::{Cluster, Replica, TERCET, free_ports, said, wait_until};
use serde_json::Value;

/// A wire between two replicas that can be cut, as a switch loses power: what is sent is lost in
/// silence.
struct Wire {
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    /// Whoever connects to `from` reaches `to`.
    fn lay(from: u16, to: u16) -> Wire {
        let listener = TcpListener::bind(("127.0.0.1", from)).expect("listen");
        let wire = Wire {
            is_cut: Arc::default(),
            open: Arc::default(),
        };
        let (is_cut, open) = (wire.is_cut.clone(), wire.open.clone());
        thread::spawn(move || {
            for one in listener.incoming().flatten() {
                let mut kept = open.lock().expect("no panic");
                let Ok(other) = TcpStream::connect(("127.0.0.1", to)) else {
                    if is_cut.load(Ordering::SeqCst) {
                        kept.push(one);
                    }
                    continue;
                };
                for (read, write) in [(&one, &other), (&other, &one)] {
                    let read = read.try_clone().expect("clone a socket");
                    let write = write.try_clone().expect("clone a socket");
                    let is_cut = is_cut.clone();
                    thread::spawn(move || carry(read, write, &is_cut));
                }
                kept.extend([one, other]);
            }
        });
        wire
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    /// Connections of the time before are dead.
    fn mend(&self) {
        for stream in self.open.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut bytes = [0; 65_536];
    while let Ok(count) = from.read(&mut bytes) {
        let lost = is_cut.load(Ordering::SeqCst);
        if count == 0 || (!lost && to.write_all(&bytes[..count]).is_err()) {
            break;
        }
    }
    if !is_cut.load(Ordering::SeqCst) {
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Two replicas whose addresses for one another lead over wires.
fn parted_pair() -> (Cluster, [Wire; 2]) {
    let dir = tempfile::tempdir().expect("make a directory");
    let port = free_ports(6);
    let at = |offset: u16| format!("127.0.0.1:{}", port + offset);
    let secret = dir.path().join("secret");
    fs::write(&secret, "a secret of sixteen bytes or more").expect("write a secret");
    let wires = [Wire::lay(port + 2, port + 4), Wire::lay(port + 3, port + 5)];
    let replicas = [1_u16, 2].map(|id| {
        let data = dir.path().join(format!("replica-{id}"));
        let argv = [
            TERCET,
            "serve",
            "--id",
            &id.to_string(),
            "--replicas",
            &format!("1={},2={}", at(0), at(1)),
            "--peers",
            &format!("1={},2={}", at(2), at(3)),
            "--peer-listen",
            &at(3 + id),
            "--peer-secret-file",
            &secret.display().to_string(),
            "--lone-timeout-ms",
            "1500",
            "--data",
            &data.display().to_string(),
        ];
        Replica {
            id: id.into(),
            pid: 0,
            address: at(id - 1),
            peer_address: at(id + 1),
            data,
            argv: argv.map(String::from).to_vec(),
        }
    });
    (Cluster::by_hand(dir, replicas), wires)
}

/// A command that knows one replica alone.
fn at_one(cluster: &Cluster, id: u64, arguments: &[&str]) -> Command {
    let mut command = cluster.command_at(&cluster.list_of(&[id]), arguments);
    let file = cluster
        .dir
        .path()
        .join(format!("sessions-{id}/sessions.json"));
    fs::create_dir_all(file.parent().expect("it has one")).expect("make a directory");
    command.env("TERCET_SESSION_FILE", file);
    command
}

fn sends(cluster: &Cluster, id: u64, text: &str) {
    let log_in = ["login", "ann", "--password", "correct horse"];
    let login = at_one(cluster, id, &log_in).output().expect("run tercet");
    assert!(login.status.success(), "{}", said(&login));
    let sent = at_one(cluster, id, &["send", "ann", text]).output();
    let sent = sent.expect("run tercet");
    assert!(sent.status.success(), "{}", said(&sent));
}

#[test]
fn the_side_that_lost_writes_down_what_only_it_has() {
    let (mut cluster, wires) = parted_pair();
    cluster.wait_until_whole();
    cluster.person("ann");
    for wire in &wires {
        wire.cut();
    }
    wait_until("both sides serve alone", || {
        [1, 2]
            .iter()
            .all(|&id| cluster.status_of(id)["serves"] == true)
    });
    sends(&cluster, 1, "on side one");
    sends(&cluster, 2, "on side two");
    for wire in &wires {
        wire.mend();
    }
    let mut lost = 0;
    wait_until("one side has stopped", || {
        lost = (1..=2).find(|&id| !cluster.is_up(id)).unwrap_or(0);
        lost > 0
    });
    assert_eq!(cluster.exit_code(lost), Some(1));
    let log = cluster.log(lost);
    assert!(log.contains("both sides of a partition went on"), "{log}");
    let data = cluster.replicas[&lost].data.clone();
    let files = fs::read_dir(&data).expect("read the directory").flatten();
    let mut files = files.map(|file| file.path());
    let file = files.find(|path| path.extension().is_some_and(|is| is == "jsonl"));
    let file = file.unwrap_or_else(|| panic!("no file of what was lost: {log}"));
    assert!(log.contains(&file.display().to_string()), "{log}");
    let lines = fs::read_to_string(&file).expect("read the file");
    let lines = lines.lines().map(serde_json::from_str::<Value>);
    let lines: Vec<Value> = lines.map(|line| line.expect("JSON")).collect();
    let bodies: Vec<&Value> = lines.iter().map(|line| &line["body"]).collect();
    let own = format!("on side {}", if lost == 1 { "one" } else { "two" });
    assert!(bodies.contains(&&Value::from(own)), "{lines:?}");
    assert!(
        data.join("tercet.db").is_file(),
        "the store is where it was"
    );
}
