//! What strangers on the wire may cost: connections, descriptors, the lead. They have no account.

mod cluster;

use std::{
    fs,
    io::{self, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use cluster::{Cluster, PATIENCE, last_json};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A SETTINGS frame that sets nothing.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Processor time that a replica may take for something that should cost next to nothing.
const CPU_MAX: Duration = Duration::from_secs(2);
/// Clock ticks of `/proc/PID/stat` in a second.
const TICKS_PER_SECOND: u64 = 100;
/// Connections of a flood.
const FLOODS: usize = 150;
/// How often the other replicas are asked who leads while it lasts.
const LOOKS: usize = 40;

/// The processor time that a replica has used.
fn cpu(cluster: &Cluster, id: u64) -> Duration {
    let stat = format!("/proc/{}/stat", cluster.replicas[&id].pid);
    let stat = fs::read_to_string(stat).expect("read the state of a process");
    let after_name = stat.rsplit(')').next().expect("there is a name");
    let fields: Vec<u64> = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse().expect("a number"))
        .collect();
    Duration::from_millis(fields.iter().sum::<u64>() * 1_000 / TICKS_PER_SECOND)
}

/// From here on the replica may open so many files.
fn limit_descriptors(cluster: &mut Cluster, id: u64, count: usize) {
    cluster.kill(id);
    let replica = cluster.replicas.get_mut(&id).expect("it exists");
    let limited = format!("ulimit -n {count}; exec \"$@\"");
    let shell = ["sh", "-c", &limited, "sh"].map(String::from);
    replica.argv.splice(0..0, shell);
    cluster.restart(id);
}

fn connect(cluster: &Cluster, id: u64) -> TcpStream {
    let stream = TcpStream::connect(&cluster.replicas[&id].address).expect("connect");
    let timeouts = stream.set_read_timeout(Some(PATIENCE));
    timeouts.expect("set a timeout");
    stream
}

/// Whether the other side ends the connection while this side is patient. What it says first is read.
fn is_closed(stream: &mut TcpStream) -> bool {
    loop {
        match stream.read(&mut [0; 4_096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                );
            }
        }
    }
}

#[test]
fn idle_connections_keep_nobody_out_and_end_no_replica() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    limit_descriptors(&mut cluster, 1, 256);
    cluster.wait_until_whole();
    cluster.person("ann");
    let epoch = cluster.status()["epoch"].as_u64();
    let before = cpu(&cluster, 1);
    let idle: Vec<TcpStream> = (0..400).map(|_| connect(&cluster, 1)).collect();
    cluster.person("bob");
    // It opens the store once more.
    cluster.assert_equal();
    assert!(cpu(&cluster, 1) - before < CPU_MAX);
    let status = cluster.status();
    assert_eq!(status["epoch"].as_u64(), epoch, "{status}");
    assert_eq!(status["leader"].as_u64(), Some(1), "{status}");
    let log = cluster.log(1);
    assert_eq!(log.matches("to make room for new ones").count(), 1, "{log}");
    drop(idle);
}

#[test]
fn connection_that_asks_for_nothing_is_closed() {
    let cluster = Cluster::start(1);
    cluster.wait_for_leader(1);
    let begun: [&[u8]; 4] = [
        b"",
        &PREFACE[..20],
        b"GET / HTTP/1.1\r\nhost: x\r\nx: ",
        PREFACE,
    ];
    thread::scope(|scope| {
        for bytes in begun {
            let mut stream = connect(&cluster, 1);
            stream.write_all(bytes).expect("write");
            scope.spawn(move || assert!(is_closed(&mut stream), "{bytes:?} stays open"));
        }
    });
}

/// Sends frames that ask for nothing, until the replica has enough of it or it is over.
fn flood(address: &str, over: &AtomicBool) -> io::Result<()> {
    let frames = SETTINGS.repeat(4_096);
    let mut stream = TcpStream::connect(address)?;
    stream.set_write_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(PREFACE)?;
    while !over.load(Ordering::Relaxed) {
        stream.write_all(&frames)?;
    }
    Ok(())
}

#[test]
fn a_flood_of_settings_does_not_cost_the_lead() {
    let cluster = Cluster::start(3);
    cluster.wait_until_whole();
    let epoch = cluster.status()["epoch"].as_u64();
    let address = &cluster.replicas[&1].address;
    let others = cluster.list_of(&[2, 3]);
    let over = AtomicBool::new(false);
    let epochs = thread::scope(|scope| {
        for _ in 0..FLOODS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // A connection that is cut off comes again.
                    let _ = flood(address, &over);
                }
            });
        }
        let look = |_| {
            let mut status = cluster.command_at(&others, &["cluster", "status", "--json"]);
            let status = last_json(&status.output().expect("run tercet"));
            status.and_then(|status| status["epoch"].as_u64())
        };
        let epochs: Vec<Option<u64>> = (0..LOOKS).map(look).collect();
        over.store(true, Ordering::Relaxed);
        epochs
    });
    assert_eq!(cluster.status()["epoch"].as_u64(), epoch, "{epochs:?}");
    assert_eq!(cluster.leader(), Some(1), "{epochs:?}");
}
