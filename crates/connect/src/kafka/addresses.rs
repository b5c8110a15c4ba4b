//! Which addresses are this process's own.

use std::collections::BTreeSet;

use fleuve_base::Result;

use super::SERVERS;
use crate::options::Options;

/// The port of an address that names none.
const DEFAULT_PORT: &str = "9092";

/// Addresses under which this process answers Kafka's protocol.
#[derive(Debug, Clone, Default)]
pub(crate) struct Addresses(BTreeSet<String>);

impl Addresses {
    pub(crate) fn new(addresses: impl IntoIterator<Item = String>) -> Self {
        Addresses(addresses.into_iter().map(|address| normal(&address)).collect())
    }

    /// Whether a table's `properties.bootstrap.servers` has one of them.
    pub(crate) fn are_named_by(&self, options: &Options) -> Result<bool> {
        let servers = options.required(SERVERS)?;
        Ok(servers.split(',').any(|server| self.0.contains(&normal(server))))
    }
}

/// An address in one spelling: all names of this machine's loopback are one, and so is "any address" of a listener.
fn normal(address: &str) -> String {
    let address = address.trim().to_ascii_lowercase();
    let address = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest);
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (address, DEFAULT_PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = match host {
        "127.0.0.1" | "::1" | "0.0.0.0" | "::" | "" => "localhost",
        host => host,
    };
    format!("{host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_ours_in_any_spelling() {
        let ours = Addresses::new(["0.0.0.0:9092".to_owned(), "broker.example:9093".to_owned()]);
        let named = |servers: &str| servers.split(',').any(|server| ours.0.contains(&normal(server)));
        for servers in ["localhost:9092", "127.0.0.1", "[::1]:9092", "other:1,PLAINTEXT://Broker.example:9093"] {
            assert!(named(servers), "{servers}");
        }
        for servers in ["localhost:9093", "broker.example:9092", "other:9092"] {
            assert!(!named(servers), "{servers}");
        }
    }
}
