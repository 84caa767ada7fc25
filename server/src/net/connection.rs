//! One accepted connection: reads and writes for its calls, and ends when it is closed from outside.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::transport::server::Connected;

use super::{
    registry::Registry,
    shared::{Remote, Shared},
};

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
                self.shared.answered();
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
        Remote::of(&self.shared)
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

fn closed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}
