//! Who asks: what the server knows of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

/// An authenticated name, as permissions see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The kind of name: `User` for all that log in.
    pub kind: String,
    /// The name.
    pub name: String,
}

impl Principal {
    /// The user of that name.
    pub fn user(name: impl Into<String>) -> Self {
        Principal { kind: "User".to_owned(), name: name.into() }
    }

    /// Who has not logged in, on a listener that does not ask for it.
    pub fn anonymous() -> Self {
        Self::user("ANONYMOUS")
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

/// Host and port under which clients reach the listener that they came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What a client says it is (KIP-511).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSoftware {
    /// The library, for example `apache-kafka-java`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One connection. The server makes it, and makes another one if the client logs in again under another name.
#[derive(Debug)]
pub struct Session {
    /// The connection's number; never given twice by one process.
    pub connection: u64,
    /// Who is logged in.
    pub principal: Principal,
    /// Where the client connects from.
    pub client_host: IpAddr,
    /// What the answers of `Metadata` give as this broker's address.
    pub listener: Endpoint,
    /// Whether answers may name parts of files: whoever sends them then has the kernel send those.
    pub takes_files: bool,
    /// What the client says it is; set by its first `ApiVersions`.
    pub client_software: OnceLock<ClientSoftware>,
}

impl Session {
    /// A connection from this machine, not logged in.
    pub fn local(connection: u64, listener: Endpoint) -> Self {
        Session {
            connection,
            principal: Principal::anonymous(),
            client_host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listener,
            takes_files: false,
            client_software: OnceLock::new(),
        }
    }
}
