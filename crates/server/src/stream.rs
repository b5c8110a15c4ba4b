//! What carries a connection: TCP, whose kernel sends parts of files by itself, or TLS, which has to see every byte.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fleuve_base::FileRange;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream of bytes in both directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Whether it sends parts of files.
    const SENDS_FILES: bool;

    /// Sends some bytes of the slices; how many. With `more`, others follow at once: they may share a packet.
    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], more: bool) -> Poll<io::Result<usize>>;

    /// Sends some bytes of the range; how many, 0 if the file has none there.
    fn poll_send_file(&mut self, cx: &mut Context<'_>, range: &FileRange) -> Poll<io::Result<usize>>;
}

impl Stream for TcpStream {
    const SENDS_FILES: bool = true;

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], more: bool) -> Poll<io::Result<usize>> {
        let flags = if more { libc::MSG_MORE } else { 0 } | libc::MSG_NOSIGNAL;
        poll_writing(self, cx, || SockRef::from(&*self).send_vectored_with_flags(slices, flags))
    }

    fn poll_send_file(&mut self, cx: &mut Context<'_>, range: &FileRange) -> Poll<io::Result<usize>> {
        let Some(file) = range.descriptor() else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        poll_writing(self, cx, || {
            let mut position = range.position();
            Ok(rustix::fs::sendfile(&*self, file, Some(&mut position), range.len())?)
        })
    }
}

/// Calls `write` as soon as the socket may take something, until it has.
fn poll_writing(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    mut write: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        match stream.try_io(Interest::WRITABLE, &mut write) {
            // Waits until the socket takes something again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return Poll::Ready(result),
        }
    }
}

impl Stream for TlsStream<TcpStream> {
    const SENDS_FILES: bool = false;

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], _more: bool) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write_vectored(cx, slices)
    }

    fn poll_send_file(&mut self, _: &mut Context<'_>, _: &FileRange) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
