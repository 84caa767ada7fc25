//! What strangers on the wire may cost. They have no account.

mod cluster;

use std::{
    io::{self, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use cluster::{Cluster, last_json};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A SETTINGS frame that sets nothing.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Connections of a flood.
const FLOODS: usize = 150;
/// How often the other replicas are asked who leads while it lasts.
const LOOKS: usize = 40;

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
