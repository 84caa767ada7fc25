//! The accepting of clients' connections: bounded in all and for each address, and without a busy loop when the
//! system has no file descriptor left.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{self, MissedTickBehavior},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};

use super::{
    connection::Connection,
    registry::{Limits, Registry},
    shared::Shared,
};

/// The interval between sweeps for connections that should end.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The pause before the next attempt when the system has no file descriptor.
const BACKOFF: Duration = Duration::from_millis(100);

/// Accepts connections until the stream is dropped.
pub(crate) fn accept(
    listener: TcpListener,
    limits: Limits,
) -> impl Stream<Item = io::Result<Connection>> {
    let (sender, accepted) = mpsc::channel(1);
    tokio::spawn(run(listener, Arc::new(Registry::new(limits)), sender));
    ReceiverStream::new(accepted)
}

async fn run(
    listener: TcpListener,
    registry: Arc<Registry>,
    sender: mpsc::Sender<io::Result<Connection>>,
) {
    let mut sweep = time::interval(SWEEP_INTERVAL);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = tokio::select! {
            () = sender.closed() => return,
            _ = sweep.tick() => {
                registry.sweep();
                continue;
            }
            () = registry.process.crowded() => {
                registry.relieve();
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => match registry.admit(from.ip()) {
                Ok(shared) => {
                    let connection = connect(stream, shared, &registry);
                    if sender.send(Ok(connection)).await.is_err() {
                        return;
                    }
                }
                Err(why) => registry.refuse(why, from.ip()),
            },
            // The error concerns one connection, which is already gone.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                registry.failed(&error);
                time::sleep(BACKOFF).await;
            }
        }
    }
}

fn connect(stream: TcpStream, shared: Arc<Shared>, registry: &Arc<Registry>) -> Connection {
    // Without it small answers are delayed. It fails only for a connection that is gone.
    let _ = stream.set_nodelay(true);
    Connection::new(stream, shared, Arc::clone(registry))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    const ONE: Limits = Limits {
        all: 1,
        address: 1,
        loopback: 1,
    };

    #[tokio::test]
    async fn connection_that_makes_room_is_closed_under_its_task() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let registry = Arc::new(Registry::new(ONE));
        let _client = TcpStream::connect(address).await.unwrap();
        let (stream, from) = listener.accept().await.unwrap();
        let shared = registry.admit(from.ip()).unwrap();
        let mut connection = connect(stream, shared, &registry);
        let reads = tokio::spawn(async move { connection.read_u8().await });
        tokio::task::yield_now().await;
        let next = registry.admit(from.ip()).unwrap();
        let error = reads.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        registry.remove(&next);
        assert_eq!(registry.count(), 0);
    }
}
