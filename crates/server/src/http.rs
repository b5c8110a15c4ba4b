//! HTTP for machines that look after the broker: `/metrics`, `/health`, `/ready`. Nothing can be changed through it.
//!
//! As much of HTTP/1.1 (RFC 9112) as a scraper and a probe need: a GET or HEAD, answered, and the connection closed. A
//! body is never read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::shared::Shared;

/// Connections that are served at once; more wait.
const CONNECTIONS_MAX: usize = 64;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A connection is over after so long, however slowly it is written and read.
const CONNECTION: Duration = Duration::from_secs(10);

/// Accepts for ever.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    // Whoever breaks off while scraping has seen it himself.
                    let _ = timeout(CONNECTION, serve(stream, &shared)).await;
                    drop(place);
                });
            }
            Err(error) => crate::listener::accept_failed("http", &error).await,
        }
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let head = read_head(&mut stream).await?;
    let answer = answer(&head, shared);
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    // What the peer still sends is read, lest its system throws our answer away together with the connection.
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

/// Reads up to the empty line.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    while head.len() < HEAD_BYTES_MAX && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// The answer to a request with this head.
fn answer(head: &[u8], shared: &Shared) -> Vec<u8> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = std::str::from_utf8(line).unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let well_formed = head.ends_with(b"\r\n\r\n") && version.is_some_and(|version| version.starts_with("HTTP/1."));
    let path = target.unwrap_or_default().split('?').next().unwrap_or_default();
    let (status, body) = match (method, path) {
        _ if !well_formed => ("400 Bad Request", "this is no HTTP/1.1\n".to_owned()),
        (Some("GET" | "HEAD"), "/metrics") => ("200 OK", shared.metrics_page()),
        (Some("GET" | "HEAD"), "/health") => verdict(shared.healthy()),
        (Some("GET" | "HEAD"), "/ready") => verdict(shared.ready()),
        (Some("GET" | "HEAD"), _) => ("404 Not Found", "there are /metrics, /health and /ready\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET\n".to_owned()),
    };
    let shown = if method == Some("HEAD") { "" } else { &body };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{shown}",
        body.len()
    )
    .into_bytes()
}

fn verdict(found: Result<(), String>) -> (&'static str, String) {
    match found {
        Ok(()) => ("200 OK", "ok\n".to_owned()),
        Err(why) => ("503 Service Unavailable", format!("{why}\n")),
    }
}
