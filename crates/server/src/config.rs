//! What can be set of the server, and which of it is refused for safety.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use fleuve_base::{Error, Result};

/// Bytes of a request that a stranger may send.
pub const STRANGER_REQUEST_BYTES_MAX: usize = 16 << 10;

/// Bytes of any request (Kafka's `socket.request.max.bytes` by default).
pub const REQUEST_BYTES_MAX: usize = 100 << 20;

/// Threads that serve connections.
pub const THREADS_MAX: usize = 64;

/// Listeners of one server.
pub const LISTENERS_MAX: usize = 16;

/// What the server is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Listeners for Kafka's protocol.
    pub listeners: Vec<ListenerConfig>,
    /// Where `/metrics`, `/health` and `/ready` are served, `host:port`.
    pub http: Option<String>,
    /// Serve HTTP, which has no authentication, beyond loopback.
    pub http_insecure: bool,
    /// Threads that serve connections.
    pub threads: usize,
    /// Limits of connections.
    pub limits: Limits,
}

impl Default for ServerConfig {
    /// Kafka's protocol and HTTP at their usual ports, on loopback.
    fn default() -> Self {
        ServerConfig {
            listeners: vec![ListenerConfig::plain("kafka", "127.0.0.1:9092")],
            http: Some("127.0.0.1:8080".to_owned()),
            http_insecure: false,
            threads: 2,
            limits: Limits::default(),
        }
    }
}

/// A listener for Kafka's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its name, for messages and logs.
    pub name: String,
    /// `host:port` to listen on; port 0 takes a free one.
    pub address: String,
    /// `host:port` that clients are told to connect to, if that is another.
    pub advertised: Option<String>,
    /// TLS, if it is to be used.
    pub tls: Option<TlsConfig>,
    /// SASL mechanisms that are offered; with any, requests before authentication are refused.
    pub sasl: Vec<Mechanism>,
    /// Listen beyond loopback without authentication or without encryption.
    pub insecure: bool,
}

impl ListenerConfig {
    /// A listener without TLS and authentication.
    pub fn plain(name: impl Into<String>, address: impl Into<String>) -> Self {
        ListenerConfig {
            name: name.into(),
            address: address.into(),
            advertised: None,
            tls: None,
            sasl: vec![],
            insecure: false,
        }
    }

    /// Whether who connects must prove who he is.
    pub fn authenticates(&self) -> bool {
        !self.sasl.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }

    /// The address to bind to, if the listener may be opened there.
    ///
    /// # Errors
    /// `E602` for an address that is none, `E603` for what would let strangers in or passwords be seen.
    pub fn bind_address(&self) -> Result<SocketAddr> {
        let address = resolve(&self.name, &self.address)?;
        if self.sasl.contains(&Mechanism::Plain) && self.tls.is_none() && !self.insecure {
            return Err(
                self.refused("offers SASL PLAIN without TLS, which sends passwords readable for all on the way")
            );
        }
        if address.ip().is_loopback() || self.insecure {
            return Ok(address);
        }
        match (self.authenticates(), self.tls.is_some()) {
            (true, true) => Ok(address),
            (false, _) => {
                Err(self.refused(&format!("would let everyone who reaches {address} read and write all topics")))
            }
            (_, false) => Err(self.refused(&format!("would send everything unencrypted from {address}"))),
        }
    }

    fn refused(&self, why: &str) -> Error {
        Error::input("E603", format!("the listener `{}` {why}", self.name)).with_hint(format!(
            "give it a certificate and a key (TLS) and SASL mechanisms or a client CA (authentication); listen on 127.0.0.1; \
             or accept the risk with listener.{}.insecure = true",
            self.name
        ))
    }
}

/// Resolves `host:port`.
pub(crate) fn resolve(name: &str, address: &str) -> Result<SocketAddr> {
    let wrong = |why: String| {
        Error::input("E602", format!("the listener `{name}` cannot have the address `{address}`: {why}"))
            .with_hint("an address is HOST:PORT, for example 127.0.0.1:9092; port 0 takes a free one")
    };
    let mut found = address.to_socket_addrs().map_err(|e| wrong(e.to_string()))?;
    found.next().ok_or_else(|| wrong("the host has no address".to_owned()))
}

/// Refuses an HTTP address that strangers reach.
pub(crate) fn http_address(config: &ServerConfig) -> Result<Option<SocketAddr>> {
    let Some(address) = &config.http else { return Ok(None) };
    let address = resolve("http", address)?;
    if address.ip().is_loopback() || config.http_insecure {
        return Ok(Some(address));
    }
    Err(Error::input(
        "E603",
        format!("HTTP at {address} would show names and sizes of topics to everyone who reaches it"),
    )
    .with_hint("listen on 127.0.0.1, or accept the risk with http.insecure = true"))
}

/// Splits `host:port`; the host of an IPv6 address may stand in brackets.
///
/// # Errors
/// `E602` if it has no port.
pub fn split_address(address: &str) -> Result<(String, u16)> {
    let wrong = || Error::input("E602", format!("`{address}` is not HOST:PORT"));
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return Err(wrong());
    }
    Ok((host.to_owned(), port.parse().map_err(|_| wrong())?))
}

/// The host that clients are told if none is set: where we listen, or, when that is everywhere, this machine by name.
pub(crate) fn advertised_host(bound: IpAddr) -> String {
    if !bound.is_unspecified() {
        return bound.to_string();
    }
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Where certificates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file of the certificate and those between it and the root.
    pub certificate: PathBuf,
    /// PEM file of the certificate's private key.
    pub key: PathBuf,
    /// PEM file of the authorities whose clients are let in; with it, every client needs a certificate.
    pub client_ca: Option<PathBuf>,
}

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Name and password (RFC 4616); only over TLS.
    Plain,
    /// SCRAM (RFC 5802, RFC 7677) with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Mechanism; 3] = [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512];

    /// The name by which clients ask for it.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

/// Limits of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections to all listeners (`max.connections`); the number of file descriptors limits them too.
    pub connections: usize,
    /// Connections from one address (`max.connections.per.ip`).
    pub connections_per_address: usize,
    /// A connection on which nothing moves for so long is closed (`connections.max.idle.ms`).
    pub idle: Duration,
    /// A connection whose peer takes nothing of what waits for it for so long is closed.
    pub write: Duration,
    /// TLS handshake and authentication must be over after so long.
    pub greeting: Duration,
    /// After how long a client must authenticate again (`connections.max.reauth.ms`); zero is never.
    pub reauthentication: Duration,
    /// How much later a client learns that its authentication failed (`connection.failed.authentication.delay.ms`).
    pub failed_authentication_delay: Duration,
    /// Bytes of a request after authentication (`socket.request.max.bytes`).
    pub request_bytes: usize,
    /// Bytes of all requests that are being read and answered (`queued.max.request.bytes`).
    pub requests_bytes: usize,
    /// A connection that has waited so long for memory under `requests_bytes` is closed: its client tries again.
    pub memory_wait: Duration,
    /// Bytes of all responses that wait for their readers.
    pub responses_bytes: usize,
    /// Bytes of responses that wait on one connection, above which it reads no further requests.
    pub responses_bytes_per_connection: usize,
    /// Requests of one connection that wait for their answers, at which it reads no further ones.
    pub requests_per_connection: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 20_000,
            connections_per_address: 20_000,
            idle: Duration::from_secs(600),
            write: Duration::from_secs(30),
            greeting: Duration::from_secs(10),
            reauthentication: Duration::ZERO,
            failed_authentication_delay: Duration::from_millis(100),
            request_bytes: REQUEST_BYTES_MAX,
            requests_bytes: 128 << 20,
            memory_wait: Duration::from_secs(30),
            responses_bytes: 128 << 20,
            responses_bytes_per_connection: 1 << 20,
            requests_per_connection: 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str) -> ListenerConfig {
        ListenerConfig::plain("kafka", address)
    }

    fn tls(client_ca: bool) -> Option<TlsConfig> {
        let path = |name: &str| PathBuf::from(name);
        Some(TlsConfig { certificate: path("c.pem"), key: path("k.pem"), client_ca: client_ca.then(|| path("ca.pem")) })
    }

    #[test]
    fn loopback_needs_nothing() {
        for address in ["127.0.0.1:9092", "[::1]:0", "localhost:9092"] {
            assert!(listener(address).bind_address().is_ok(), "{address}");
        }
    }

    #[test]
    fn beyond_loopback_needs_authentication_and_encryption() {
        let scram = vec![Mechanism::ScramSha256];
        let open = |tls, sasl, insecure| ListenerConfig { tls, sasl, insecure, ..listener("0.0.0.0:9092") };
        let code = |config: ListenerConfig| config.bind_address().map_or_else(|e| e.code(), |_| "opened");
        assert_eq!(code(open(None, vec![], false)), "E603");
        assert_eq!(code(open(tls(false), vec![], false)), "E603");
        assert_eq!(code(open(None, scram.clone(), false)), "E603");
        assert_eq!(code(open(tls(false), scram, false)), "opened");
        assert_eq!(code(open(tls(true), vec![], false)), "opened");
        assert_eq!(code(open(None, vec![], true)), "opened");
    }

    #[test]
    fn passwords_do_not_travel_in_the_clear() {
        let plain = |tls| ListenerConfig { tls, sasl: vec![Mechanism::Plain], ..listener("127.0.0.1:9092") };
        assert_eq!(plain(None).bind_address().expect_err("is refused").code(), "E603");
        assert!(plain(tls(false)).bind_address().is_ok());
    }

    #[test]
    fn http_stays_on_loopback() {
        let config =
            |http_insecure| ServerConfig { http: Some("0.0.0.0:8080".into()), http_insecure, ..Default::default() };
        assert_eq!(http_address(&config(false)).expect_err("is refused").code(), "E603");
        assert!(http_address(&config(true)).is_ok_and(|address| address.is_some()));
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(split_address("[::1]:9092").expect("is one"), ("::1".to_owned(), 9092));
        assert_eq!(split_address("broker.example:1").expect("is one"), ("broker.example".to_owned(), 1));
        for wrong in ["9092", ":9092", "host:", "host:99999", "host"] {
            assert_eq!(split_address(wrong).expect_err(wrong).code(), "E602");
        }
        assert_eq!(listener("nowhere").bind_address().expect_err("has no port").code(), "E602");
    }

    #[test]
    fn mechanisms_are_found_by_name() {
        assert_eq!(Mechanism::find("scram-sha-512"), Some(Mechanism::ScramSha512));
        assert_eq!(Mechanism::find("GSSAPI"), None);
    }
}
