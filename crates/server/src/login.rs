//! The login of a connection: which requests may come, and the SASL exchange (`SaslHandshake`, `SaslAuthenticate`).
//!
//! What the bytes of a mechanism mean is decided by the broker's `security`; here is the order of things. A client whose
//! login fails learns nothing but that, a little later, and the connection ends. A client that is logged in may log in
//! again on the same connection (KIP-368), under the same name, and has to if logins have a lifetime.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleuve_broker::security::{SaslSession, SaslStep, mechanisms};
use fleuve_broker::{Broker, Principal};
use fleuve_wire::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use fleuve_wire::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use fleuve_wire::messages::sasl_handshake_request::SaslHandshakeRequest;
use fleuve_wire::messages::sasl_handshake_response::SaslHandshakeResponse;
use fleuve_wire::{ApiKey, ErrorCode};
use tokio::time::Instant;

use crate::config::Mechanism;

/// The APIs of the login and the versions that are served. After version 0 of the handshake the mechanism's messages come
/// and go as frames without headers, until the login has succeeded or failed.
pub(crate) const APIS: [(ApiKey, std::ops::RangeInclusive<i16>); 2] =
    [(ApiKey::SaslHandshake, 0..=1), (ApiKey::SaslAuthenticate, 0..=2)];

/// What a listener asks of its clients.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// Mechanisms that it offers; without any, everybody may ask everything.
    pub(crate) offered: Arc<[Mechanism]>,
    /// Whether the connection is encrypted.
    pub(crate) encrypted: bool,
    /// How long a login holds; zero is for ever.
    pub(crate) lifetime: Duration,
}

/// Where a connection's login is.
pub(crate) struct Login {
    terms: Terms,
    exchange: Option<SaslSession>,
    /// Whether the messages of the exchange have no headers.
    bare: bool,
    principal: Option<Principal>,
    expires: Option<Instant>,
}

/// What `SaslAuthenticate` came to.
pub(crate) enum Outcome {
    /// The exchange goes on.
    Continues,
    /// This is who it is.
    Succeeded(Principal),
    /// The connection is to end, a little later.
    Failed,
}

impl Login {
    /// Of a connection that has just been opened.
    pub(crate) fn new(terms: Terms) -> Self {
        Login { terms, exchange: None, bare: false, principal: None, expires: None }
    }

    /// Whether this listener has logins at all.
    pub(crate) fn asked_for(&self) -> bool {
        !self.terms.offered.is_empty()
    }

    /// Whether there is none to wait for: a login that has expired may be renewed at any time.
    pub(crate) fn greeted(&self) -> bool {
        !self.asked_for() || self.principal.is_some()
    }

    /// Whether all may be asked.
    pub(crate) fn done(&self) -> bool {
        !self.asked_for() || (self.principal.is_some() && self.expires.is_none_or(|at| Instant::now() < at))
    }

    /// Whether the next frame is a message of the exchange and nothing else.
    pub(crate) fn takes_bare_token(&self) -> bool {
        self.bare && self.exchange.is_some()
    }

    /// Answers a handshake; whether the mechanism is one that is offered.
    pub(crate) fn handshake(
        &mut self,
        broker: &Broker,
        version: i16,
        request: &SaslHandshakeRequest,
    ) -> (SaslHandshakeResponse, bool) {
        let names = mechanisms(self.terms.encrypted);
        let offered = self.terms.offered.iter().map(|mechanism| mechanism.name());
        let offered: Vec<&str> = offered.filter(|name| names.contains(name)).collect();
        let mechanism = offered.iter().find(|name| **name == request.mechanism);
        self.exchange = mechanism.and_then(|name| broker.security().login(name, self.terms.encrypted));
        self.bare = version == 0;
        let error = if self.exchange.is_some() { ErrorCode::NONE } else { ErrorCode::UNSUPPORTED_SASL_MECHANISM };
        let mechanisms = offered.into_iter().map(str::to_owned).collect();
        (SaslHandshakeResponse { error_code: error.into(), mechanisms }, self.exchange.is_some())
    }

    /// Takes the next message of the exchange.
    pub(crate) fn authenticate(&mut self, request: &SaslAuthenticateRequest) -> (SaslAuthenticateResponse, Outcome) {
        let Some(exchange) = &mut self.exchange else {
            return failed(ErrorCode::ILLEGAL_SASL_STATE, "there was no handshake");
        };
        match exchange.step(&request.auth_bytes) {
            SaslStep::Continue(message) => (says(message, Duration::ZERO), Outcome::Continues),
            SaslStep::Done { principal, .. } if self.principal.as_ref().is_some_and(|known| *known != principal) => {
                self.exchange = None;
                failed(ErrorCode::SASL_AUTHENTICATION_FAILED, "a connection cannot change its user")
            }
            SaslStep::Done { principal, message } => {
                self.exchange = None;
                self.expires = (!self.terms.lifetime.is_zero()).then(|| Instant::now() + self.terms.lifetime);
                self.principal = Some(principal.clone());
                (says(message, self.terms.lifetime), Outcome::Succeeded(principal))
            }
            SaslStep::Failed => {
                self.exchange = None;
                failed(ErrorCode::SASL_AUTHENTICATION_FAILED, "Authentication failed: wrong user or password")
            }
        }
    }
}

fn says(message: Vec<u8>, lifetime: Duration) -> SaslAuthenticateResponse {
    let session_lifetime_ms = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
    SaslAuthenticateResponse { auth_bytes: Bytes::from(message), session_lifetime_ms, ..Default::default() }
}

fn failed(error: ErrorCode, why: &str) -> (SaslAuthenticateResponse, Outcome) {
    let response = SaslAuthenticateResponse {
        error_code: error.into(),
        error_message: Some(why.to_owned()),
        ..Default::default()
    };
    (response, Outcome::Failed)
}
