//! A login, from its mechanism's name to a principal: PLAIN (RFC 4616) and SCRAM.
//!
//! The server carries the bytes (`SaslHandshake`, `SaslAuthenticate`); what they mean is decided here. Why a login failed is
//! logged and never told to the client.

use std::sync::Arc;

use super::scram::{self, ScramExchange, ScramMechanism, ScramStep};
use super::users::Users;
use crate::session::Principal;

/// What a login has come to.
#[derive(Debug, PartialEq, Eq)]
pub enum SaslStep {
    /// Send this and await the client's next message.
    Continue(Vec<u8>),
    /// Send this: the client is the principal.
    Done {
        /// Who it is.
        principal: Principal,
        /// The last message.
        message: Vec<u8>,
    },
    /// Answer `SASL_AUTHENTICATION_FAILED` and close the connection.
    Failed,
}

/// A login that is going on.
pub struct SaslSession {
    users: Arc<Users>,
    exchange: Exchange,
}

enum Exchange {
    Plain,
    Scram(ScramMechanism, ScramExchange),
    Over,
}

const PLAIN: &str = "PLAIN";

/// The mechanisms that are offered. PLAIN sends the password as it is, so it is offered over an encrypted connection only.
pub fn mechanisms(encrypted: bool) -> Vec<&'static str> {
    let scram = ScramMechanism::ALL.into_iter().map(ScramMechanism::name);
    scram.chain(encrypted.then_some(PLAIN)).collect()
}

impl SaslSession {
    /// A login by the mechanism of that name, if it is offered. `nonce` must never have been used before.
    pub(super) fn begin(mechanism: &str, encrypted: bool, users: Arc<Users>, nonce: String) -> Option<Self> {
        if !mechanisms(encrypted).contains(&mechanism) {
            return None;
        }
        let scram = ScramMechanism::ALL.into_iter().find(|scram| scram.name() == mechanism);
        let exchange = scram.map_or(Exchange::Plain, |scram| Exchange::Scram(scram, ScramExchange::new(nonce)));
        Some(SaslSession { users, exchange })
    }

    /// Takes the client's next message. It may compute for a few milliseconds. After an end nothing succeeds any more.
    pub fn step(&mut self, message: &[u8]) -> SaslStep {
        let step = match &mut self.exchange {
            Exchange::Plain => plain(message, &self.users),
            Exchange::Scram(mechanism, exchange) => scram(*mechanism, exchange, message, &self.users),
            Exchange::Over => SaslStep::Failed,
        };
        if !matches!(step, SaslStep::Continue(_)) {
            self.exchange = Exchange::Over;
        }
        step
    }
}

fn scram(mechanism: ScramMechanism, exchange: &mut ScramExchange, message: &[u8], users: &Users) -> SaslStep {
    match exchange.step(message, |user| users.candidate(user, mechanism)) {
        Ok(ScramStep::Continue(message)) => SaslStep::Continue(message),
        Ok(ScramStep::Done { user, message }) => SaslStep::Done { principal: Principal::user(user), message },
        Err(reason) => {
            tracing::debug!(mechanism = mechanism.name(), ?reason, "login failed");
            SaslStep::Failed
        }
    }
}

fn plain(message: &[u8], users: &Users) -> SaslStep {
    match plain_parts(message) {
        Some((user, password)) if users.is_password(user, password) => {
            SaslStep::Done { principal: Principal::user(user), message: Vec::new() }
        }
        found => {
            tracing::debug!(mechanism = PLAIN, well_formed = found.is_some(), "login failed");
            SaslStep::Failed
        }
    }
}

/// `[authorization id] NUL user NUL password`; acting as another user is not offered.
fn plain_parts(message: &[u8]) -> Option<(&str, &[u8])> {
    if message.len() > scram::MESSAGE_BYTES_MAX {
        return None;
    }
    let mut parts = message.split(|byte| *byte == 0);
    let (authorization_id, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let valid = parts.next().is_none() && !user.is_empty() && !password.is_empty();
    let same = authorization_id.is_empty() || authorization_id == user;
    Some((std::str::from_utf8(user).ok()?, password)).filter(|_| valid && same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::scram::ScramCredential;

    fn login(mechanism: &str) -> Option<SaslSession> {
        let users = Users::default();
        users.set_mock_secret(b"secret");
        let credential = ScramCredential::of_password(ScramMechanism::Sha512, b"pencil", b"salt".to_vec(), 4096);
        users.set("alice".to_owned(), ScramMechanism::Sha512, Some(credential));
        SaslSession::begin(mechanism, true, Arc::new(users), "nonce".to_owned())
    }

    fn plain(message: &[u8]) -> SaslStep {
        login("PLAIN").unwrap().step(message)
    }

    #[test]
    fn plain_takes_the_password_and_nothing_else() {
        let done = SaslStep::Done { principal: Principal::user("alice"), message: vec![] };
        assert_eq!(plain(b"\0alice\0pencil"), done);
        assert_eq!(plain(b"alice\0alice\0pencil"), done);
        let wrong: [&[u8]; 9] = [
            b"",
            b"alice\0pencil",
            b"\0alice\0",
            b"\0\0pencil",
            b"\0alice\0pencil\0",
            b"root\0alice\0pencil",
            b"\0alice\0pencil\n",
            b"\0bob\0pencil",
            b"\0\xff\0pencil",
        ];
        for message in wrong {
            assert_eq!(plain(message), SaslStep::Failed, "{:?}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn plain_is_not_offered_in_the_clear() {
        assert_eq!(mechanisms(false), ["SCRAM-SHA-512", "SCRAM-SHA-256"]);
        assert!(mechanisms(true).contains(&"PLAIN"));
        assert!(SaslSession::begin("PLAIN", false, Arc::default(), String::new()).is_none());
        assert!(login("GSSAPI").is_none());
        assert!(login("plain").is_none());
    }

    #[test]
    fn a_failed_login_stays_failed() {
        let mut session = login("PLAIN").unwrap();
        assert_eq!(session.step(b"\0alice\0wrong"), SaslStep::Failed);
        assert_eq!(session.step(b"\0alice\0pencil"), SaslStep::Failed);
    }

    #[test]
    fn scram_answers_an_unknown_user_as_a_known_one() {
        for user in ["alice", "bob"] {
            let mut session = login("SCRAM-SHA-512").unwrap();
            let SaslStep::Continue(first) = session.step(format!("n,,n={user},r=abc").as_bytes()) else { panic!() };
            let first = String::from_utf8(first).unwrap();
            assert!(first.starts_with("r=abcnonce,s=") && first.ends_with(",i=4096"), "{first}");
            assert_eq!(session.step(b"c=biws,r=abcnonce,p=AAAA"), SaslStep::Failed);
        }
    }
}
