//! A listener for Kafka's protocol: accepts, makes the stream ready (TLS), and serves each connection in a task.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fleuve_base::{Error, ErrorKind, Result};
use fleuve_broker::{Endpoint, Principal, Session};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::config::{ListenerConfig, Mechanism, advertised_host, split_address};
use crate::connection::Connection;
use crate::dispatch::Dispatcher;
use crate::ended::Ended;
use crate::log_limit::LogLimit;
use crate::login::{Login, Terms};
use crate::shared::{Place, Shared};
use crate::stream::Stream;
use crate::tls;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// Bytes of one connection that the kernel holds beyond those that are on their way, at most: so few if many are open, and
/// so many if it is alone.
const UNSENT_BYTES_MAX: RangeInclusive<u64> = 128 << 10..=4 << 20;

/// What connections share of it.
const UNSENT_BYTES_ALL: u64 = 32 << 20;

/// After an accept that failed (mostly for want of file descriptors), others get time to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An open listener.
pub(crate) struct Listener {
    name: String,
    tcp: TcpListener,
    address: SocketAddr,
    endpoint: Endpoint,
    tls: Option<TlsAcceptor>,
    sasl: Arc<[Mechanism]>,
    log_limit: LogLimit,
}

impl Listener {
    /// Opens it.
    ///
    /// # Errors
    /// `E601` if the address is taken; what the configuration is refused for.
    pub(crate) fn open(config: &ListenerConfig) -> Result<Self> {
        let wanted = config.bind_address()?;
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let (tcp, address) = open(&config.name, wanted)?;
        let (host, port) = match &config.advertised {
            Some(advertised) => split_address(advertised)?,
            None => (advertised_host(address.ip()), address.port()),
        };
        let (name, endpoint, sasl) = (config.name.clone(), Endpoint { host, port }, Arc::from(&config.sasl[..]));
        Ok(Listener { name, tcp, address, endpoint, tls, sasl, log_limit: LogLimit::new() })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts for ever.
    pub(crate) async fn accept(self: Arc<Self>, shared: Arc<Shared>) {
        loop {
            match self.tcp.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer, &shared),
                Err(error) => accept_failed(&self.name, &error).await,
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
        let Some(place) = shared.admit(peer.ip().to_canonical()) else {
            shared.metrics.turned_away.fetch_add(1, Ordering::Relaxed);
            if let Some(before) = self.log_limit.allow() {
                tracing::warn!(listener = self.name, %peer, before, "turned a connection away: too many are open");
            }
            return;
        };
        tokio::spawn(Arc::clone(self).serve(stream, peer, place));
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, place: Place) {
        // Answers are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let open = place.shared.metrics.connections.load(Ordering::Relaxed);
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(unsent_bytes_max(open));
        let ended = match &self.tls {
            None => self.talk(stream, None, place).await,
            Some(tls) => self.serve_encrypted(tls, stream, place).await,
        };
        self.log_end(&ended, peer);
    }

    async fn serve_encrypted(&self, tls: &TlsAcceptor, stream: TcpStream, place: Place) -> Ended {
        let accept = tls.accept_with(stream, |connection| connection.set_buffer_limit(Some(tls::BUFFER_BYTES_MAX)));
        match tokio::time::timeout(place.shared.limits.greeting, accept).await {
            Err(_) => Ended::TooSlow("over the TLS handshake"),
            Ok(Err(error)) => {
                place.shared.metrics.failed_logins.fetch_add(1, Ordering::Relaxed);
                Ended::Io(error)
            }
            Ok(Ok(stream)) => {
                let name = tls::peer_name(stream.get_ref().1);
                self.talk(stream, name.map(Principal::user), place).await
            }
        }
    }

    async fn talk<S: Stream>(&self, io: S, principal: Option<Principal>, place: Place) -> Ended {
        let session = Session {
            principal: principal.unwrap_or_else(Principal::anonymous),
            client_host: place.address,
            takes_files: S::SENDS_FILES,
            ..Session::local(place.number, self.endpoint.clone())
        };
        let shared = Arc::clone(&place.shared);
        let lifetime = shared.limits.reauthentication;
        let terms = Terms { offered: Arc::clone(&self.sasl), encrypted: self.tls.is_some(), lifetime };
        let dispatcher = Dispatcher::new(Arc::clone(&shared), Arc::clone(&place.answers), session, Login::new(terms));
        let ended = Connection::new(io, place, dispatcher).serve().await;
        if ended.is_protocol_error() {
            shared.metrics.protocol_errors.fetch_add(1, Ordering::Relaxed);
        }
        ended
    }

    fn log_end(&self, ended: &Ended, peer: SocketAddr) {
        let listener = self.name.as_str();
        if ended.is_bug() {
            tracing::error!(listener, %peer, "connection closed: {ended}");
        } else if ended.is_protocol_error() {
            if let Some(before) = self.log_limit.allow() {
                tracing::warn!(listener, %peer, before, "connection closed: {ended}");
            }
        } else {
            tracing::debug!(listener, %peer, "connection closed: {ended}");
        }
    }
}

/// What the kernel may take of a connection ahead of its reader if so many are open. The more it takes, the less often it
/// has to ask for more. But it would take megabytes for every peer that reads nothing, and the work of filling all such
/// buffers would keep those waiting who do read.
fn unsent_bytes_max(connections: u64) -> u32 {
    let share = UNSENT_BYTES_ALL / connections.max(1);
    share.clamp(*UNSENT_BYTES_MAX.start(), *UNSENT_BYTES_MAX.end()) as u32
}

/// Opens a socket; an address that was in use until just now may be taken again.
pub(crate) fn open(name: &str, wanted: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let opened = (|| {
        let socket = if wanted.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(wanted)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    })();
    opened.map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            Error::new(ErrorKind::Conflict, "E601", format!("another program listens on {wanted} already"))
                .with_detail(format!("the listener `{name}` was to be opened there"))
                .with_hint("stop the other program, or choose another port; port 0 takes a free one")
        }
        _ => Error::io(format_args!("listen on {wanted} for `{name}`"), &error),
    })
}

/// Tells of an accept that failed, and waits a little.
pub(crate) async fn accept_failed(name: &str, error: &io::Error) {
    tracing::warn!(listener = name, "could not accept a connection: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_less_for_each_the_more_there_are_and_never_much_for_all() {
        assert_eq!((unsent_bytes_max(0), unsent_bytes_max(8), unsent_bytes_max(16)), (4 << 20, 4 << 20, 2 << 20));
        assert_eq!(unsent_bytes_max(20_000), 128 << 10);
        let all: u64 = (1..=1_000).map(|open| u64::from(unsent_bytes_max(open))).sum();
        assert!(all < 256 << 20, "{all}");
    }
}
