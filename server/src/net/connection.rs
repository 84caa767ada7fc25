//! One accepted connection: records whether it sent a request and whether it showed a session, and can be
//! closed from outside.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::transport::server::Connected;

use super::accept::Registry;
use crate::fair::Origin;

/// Bytes of the preface that HTTP/2 begins with.
const PREFACE_BYTES: u64 = 24;

/// How long a connection may take to ask for something: of HTTP/2 to send its first bytes, of HTTP/1 to get the
/// first answer. Later the pings of HTTP/2 find out whether somebody is there.
const SILENT_MAX: Duration = Duration::from_secs(10);

/// The state of a connection, shared with its calls.
pub(super) struct Shared {
    pub(super) id: u64,
    pub(super) origin: Origin,
    began: Instant,
    is_http2: AtomicBool,
    received_bytes: AtomicU64,
    is_answered: AtomicBool,
    /// Whether a call has shown a valid session.
    is_proven: AtomicBool,
    is_closing: AtomicBool,
    /// The wakers of the reading and the writing task.
    wakers: Mutex<[Option<Waker>; 2]>,
}

impl Shared {
    pub(super) fn new(id: u64, origin: Origin) -> Shared {
        Shared {
            id,
            origin,
            began: Instant::now(),
            is_http2: AtomicBool::new(false),
            received_bytes: AtomicU64::new(0),
            is_answered: AtomicBool::new(false),
            is_proven: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            wakers: Mutex::default(),
        }
    }

    /// Closes the connection, whatever it is doing.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        let wakers = std::mem::take(&mut *self.wakers());
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn wakers(&self) -> MutexGuard<'_, [Option<Waker>; 2]> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Registers to be woken when the connection is closed. True when it is already closed.
    fn park(&self, which: usize, context: &Context<'_>) -> bool {
        let mut wakers = self.wakers();
        match &mut wakers[which] {
            Some(waker) if waker.will_wake(context.waker()) => {}
            slot => *slot = Some(context.waker().clone()),
        }
        drop(wakers);
        self.is_closing()
    }

    /// Tells whether the connection sent a request.
    fn has_asked(&self) -> bool {
        let has_answer = self.is_answered.load(Ordering::Relaxed);
        match self.is_http2.load(Ordering::Relaxed) {
            true => self.received_bytes.load(Ordering::Relaxed) >= PREFACE_BYTES,
            false => has_answer,
        }
    }

    /// Which connection is given up first when there are too many: the lowest. `None` for one that has
    /// shown a session.
    pub(super) fn worth(&self) -> Option<(bool, Instant)> {
        let stays = self.is_closing() || self.is_proven.load(Ordering::Relaxed);
        (!stays).then(|| (self.has_asked(), self.began))
    }

    /// Tells whether the connection should end now. The sweep calls it once a second.
    pub(super) fn is_overdue(&self) -> bool {
        !self.is_closing() && !self.has_asked() && self.began.elapsed() > SILENT_MAX
    }

    /// Notes arrived bytes.
    fn received(&self, data: &[u8]) {
        let before = self.received_bytes.load(Ordering::Relaxed);
        if before >= PREFACE_BYTES {
            return;
        }
        // HTTP/2 begins with `PRI`; no method that is served begins with these letters.
        if before < 2 && data.get(1 - before as usize) == Some(&b'R') {
            self.is_http2.store(true, Ordering::Relaxed);
        }
        self.received_bytes
            .store(before + data.len() as u64, Ordering::Relaxed);
    }
}

fn closed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

/// The connection as its requests see it.
#[derive(Clone)]
pub(crate) struct Remote(Arc<Shared>);

impl Remote {
    /// The network that the connection comes from.
    pub(crate) fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Notes that the other end has shown a valid session.
    pub(crate) fn is_proven(&self) {
        self.0.is_proven.store(true, Ordering::Relaxed);
    }
}

/// A connection of a client.
pub(crate) struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
    registry: Arc<Registry>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, shared: Arc<Shared>, registry: Arc<Registry>) -> Self {
        Connection {
            stream,
            shared,
            registry,
        }
    }

    /// Gives the result of a write, unless the connection is to be closed.
    fn written(
        &self,
        written: Poll<io::Result<usize>>,
        context: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending if self.shared.park(1, context) => Poll::Ready(Err(closed())),
            Poll::Ready(Ok(_)) => {
                self.shared.is_answered.store(true, Ordering::Relaxed);
                written
            }
            written => written,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.registry.remove(&self.shared);
    }
}

impl Connected for Connection {
    type ConnectInfo = Remote;

    fn connect_info(&self) -> Remote {
        Remote(Arc::clone(&self.shared))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.shared.is_closing() {
            return Poll::Ready(Err(closed()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                self.shared.received(&buffer.filled()[before..]);
                Poll::Ready(Ok(()))
            }
            Poll::Pending if self.shared.park(0, context) => Poll::Ready(Err(closed())),
            other => other,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// For tests of who has to go.
#[cfg(test)]
pub(super) fn of(shared: &Arc<Shared>) -> Remote {
    Remote(Arc::clone(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    #[test]
    fn http2_has_asked_with_its_preface_however_it_comes() {
        for part in 1..PREFACE.len() {
            let shared = Shared::new(1, Origin::UNKNOWN);
            for data in PREFACE.chunks(part) {
                assert!(!shared.has_asked());
                shared.received(data);
            }
            assert!(shared.has_asked());
        }
    }

    #[test]
    fn http1_has_asked_when_it_is_answered() {
        let shared = Shared::new(1, Origin::UNKNOWN);
        shared.received(b"POST / HTTP/1.1\r\nhost: somewhere\r\n");
        assert!(!shared.has_asked());
        shared.is_answered.store(true, Ordering::Relaxed);
        assert!(shared.has_asked());
    }
}
