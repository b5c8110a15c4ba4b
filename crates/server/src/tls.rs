//! TLS 1.2 and 1.3 by rustls; with a client CA, a client's certificate says who it is.

use std::path::Path;
use std::sync::Arc;

use fleuve_base::{Error, Result};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConnection, WebPkiClientVerifier};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsConfig;
use crate::distinguished_name;

/// Bytes that rustls keeps of what the socket does not take yet; above it, writing waits.
pub(crate) const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Loads certificates and key.
///
/// # Errors
/// `E604` naming the file that cannot be used, and why.
pub(crate) fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal(format!("ring has the default protocol versions: {e}")))?;
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|e| unusable(path, &e))?)
        }
    };
    let chain = certificates(&config.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|e| unusable(&config.key, &e))?;
    let server = builder.with_single_cert(chain, key).map_err(|e| unusable(&config.key, &e))?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| unusable(path, &e))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|e| unusable(path, &e))?;
    if found.is_empty() {
        return Err(unusable(path, &"it holds no certificate"));
    }
    Ok(found)
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::input("E604", format!("`{}` cannot be used for TLS: {why}", path.display()))
        .with_hint("certificates and keys are PEM files; the key must belong to the first certificate")
}

/// The subject of the peer's certificate, which has been verified, if it showed one.
pub(crate) fn peer_name(connection: &ServerConnection) -> Option<String> {
    let leaf = connection.peer_certificates()?.first()?;
    let certificate = webpki::EndEntityCert::try_from(leaf).ok()?;
    distinguished_name::print(certificate.subject())
}
