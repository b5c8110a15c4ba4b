//! TLS, with and without certificates of clients.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use fleuve_server::{Bound, ListenerConfig, Mechanism, ServerConfig, TlsConfig};
use fleuve_wire::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use fleuve_wire::messages::sasl_handshake_request::SaslHandshakeRequest;
use fleuve_wire::{ApiKey, Response};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::world::{Client, World, config, metadata, socket};

/// An authority, and a directory with its certificate and what it has issued.
struct Authority {
    directory: TempDir,
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(vec![]).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).expect("is written");
        Authority { directory, certificate, issuer: Issuer::new(parameters, key) }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate for this subject, also written to NAME.pem and NAME.key.
    fn issue(&self, name: &str) -> Identity {
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.distinguished_name.push(DnType::OrganizationName, "Example");
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).expect("is written");
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("is written");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        Identity { chain: vec![certificate.der().clone()], key }
    }

    /// A server that shows the certificate `server`.
    fn world(&self, client_ca: Option<&Path>, sasl: &[Mechanism]) -> World {
        self.issue("server");
        let tls = TlsConfig {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: client_ca.map(Path::to_owned),
        };
        let listener =
            ListenerConfig { tls: Some(tls), sasl: sasl.to_vec(), ..ListenerConfig::plain("kafka", "127.0.0.1:0") };
        World::new(ServerConfig { listeners: vec![listener], ..config() })
    }

    fn connect(&self, world: &World, identity: Option<Identity>) -> Client<StreamOwned<ClientConnection, TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("is one");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("has versions").with_root_certificates(roots);
        let client = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key).expect("belong together"),
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(client), name).expect("a connection");
        Client::new(StreamOwned::new(connection, socket(world.address(0))))
    }
}

#[test]
fn requests_are_served_over_tls_and_not_beside_it() {
    let authority = Authority::new();
    let world = authority.world(None, &[]);
    let mut client = authority.connect(&world, None);
    client.assert_served();
    let ids: Vec<i32> = (0..100).map(|_| client.send(9, metadata())).collect();
    for id in ids {
        client.receive(ApiKey::Metadata, 9, id);
    }
    let mut plain = world.connect();
    plain.send(9, metadata());
    // An alert, perhaps, and the end.
    let mut rest = vec![];
    let _ = std::io::Read::read_to_end(&mut plain.stream, &mut rest);
    assert!(rest.len() < 16, "{rest:?}");
}

#[test]
fn plain_passwords_are_taken_over_tls() {
    let authority = Authority::new();
    let world = authority.world(None, &[Mechanism::Plain]);
    let (done, told) = std::sync::mpsc::channel();
    let done = Box::new(move |outcome| done.send(outcome).expect("someone waits"));
    world.broker.security().set_password("alice", b"pencil", done);
    told.recv().expect("is told").expect("is durable");
    for (message, works) in [("\0alice\0pencil", true), ("\0alice\0pen", false)] {
        let mut client = authority.connect(&world, None);
        let mechanism = "PLAIN".to_owned();
        assert!(
            matches!(client.ask(1, SaslHandshakeRequest { mechanism }), Response::SaslHandshake(r) if r.error_code == 0)
        );
        let auth_bytes = message.as_bytes().to_vec().into();
        let Response::SaslAuthenticate(answer) = client.ask(2, SaslAuthenticateRequest { auth_bytes }) else {
            panic!("no answer")
        };
        assert_eq!(answer.error_code == 0, works, "{message:?}");
        if works {
            client.ask(9, metadata());
        }
    }
}

#[test]
fn a_client_is_who_its_certificate_says() {
    let authority = Authority::new();
    let world = authority.world(Some(&authority.path("ca.pem")), &[]);
    authority.connect(&world, Some(authority.issue("alice"))).assert_served();
    // Who shows none, or one of another authority, is not let in.
    let stranger = Authority::new().issue("alice");
    for identity in [None, Some(stranger)] {
        let mut client = authority.connect(&world, identity);
        let (_, frame) = client.frame(9, metadata());
        let written = std::io::Write::write_all(&mut client.stream, &frame);
        assert!(written.is_err() || std::io::Read::read(&mut client.stream, &mut [0]).is_err());
    }
    world.wait_for_metric("fleuve_failed_logins_total", 2);
}

#[test]
fn certificates_that_cannot_be_used_are_told_by_name() {
    let authority = Authority::new();
    authority.issue("server");
    authority.issue("other");
    std::fs::write(authority.path("empty.pem"), "").expect("is written");
    let tls = |certificate: &str, key: &str| TlsConfig {
        certificate: authority.path(certificate),
        key: authority.path(key),
        client_ca: None,
    };
    for (tls, named) in [
        (tls("missing.pem", "server.key"), "missing.pem"),
        (tls("empty.pem", "server.key"), "empty.pem"),
        (tls("server.pem", "other.key"), "other.key"),
        (tls("server.pem", "server.pem"), "server.pem"),
    ] {
        let listener = ListenerConfig { tls: Some(tls), ..ListenerConfig::plain("kafka", "127.0.0.1:0") };
        let error = Bound::open(&ServerConfig { listeners: vec![listener], ..config() }).err().expect("cannot be used");
        assert!(error.code() == "E604" && error.message().contains(named), "{error}");
    }
}
