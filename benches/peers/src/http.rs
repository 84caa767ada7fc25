//! The little HTTP that etcd's metrics and NATS's monitoring want.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The body of what is at the path, on this machine.
///
/// # Errors
/// When it cannot be had, or the status is not 200.
pub async fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // 1.0: no chunks, and the end of the body is the end of the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
    let first = head.lines().next().unwrap_or_default();
    ensure!(first.contains(" 200 "), "{path} on port {port}: {first}");
    Ok(body.to_owned())
}
