//! SCRAM (RFC 5802, with SHA-256 as in RFC 7677 and SHA-512), the server's side.
//!
//! What is stored of a password proves it but cannot be used to log in: the salt, the iterations, the *stored key* and the *server
//! key*. The exchange is four messages; `ScramExchange` is a state machine over the two that the client sends. A user who does not
//! exist goes through the same four messages with a mock credential, and fails where a wrong password fails.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Iterations of PBKDF2 that a credential must have at least (RFC 7677, section 4).
pub const ITERATIONS_MIN: u32 = 4096;

/// Iterations that a credential may have at most: a login costs the server as many, if the mechanism is PLAIN.
pub const ITERATIONS_MAX: u32 = 16_384;

/// Bytes of a salt.
pub const SALT_BYTES_MAX: usize = 256;

/// Bytes of one message of a client.
pub const MESSAGE_BYTES_MAX: usize = 8 << 10;

/// The hash function that an exchange uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScramMechanism {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl ScramMechanism {
    /// Both, the stronger one first.
    pub const ALL: [ScramMechanism; 2] = [ScramMechanism::Sha512, ScramMechanism::Sha256];

    /// The name in SASL.
    pub fn name(self) -> &'static str {
        match self {
            ScramMechanism::Sha256 => "SCRAM-SHA-256",
            ScramMechanism::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The number in Kafka's protocol.
    pub fn code(self) -> i8 {
        match self {
            ScramMechanism::Sha256 => 1,
            ScramMechanism::Sha512 => 2,
        }
    }

    /// The mechanism with that number.
    pub fn from_code(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.code() == code)
    }

    /// Bytes of a digest, and so of every key.
    pub fn key_bytes(self) -> usize {
        match self {
            ScramMechanism::Sha256 => 32,
            ScramMechanism::Sha512 => 64,
        }
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            ScramMechanism::Sha256 => Sha256::digest(bytes).to_vec(),
            ScramMechanism::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// HMAC of `message` under `key`.
    pub(super) fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            ScramMechanism::Sha256 => mac::<Hmac<Sha256>>(key, message),
            ScramMechanism::Sha512 => mac::<Hmac<Sha512>>(key, message),
        }
    }

    /// `Hi` of RFC 5802, which is PBKDF2 with HMAC. As Kafka's clients do, the password's bytes are taken as they are.
    pub fn salted_password(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut salted = vec![0; self.key_bytes()];
        match self {
            ScramMechanism::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted),
            ScramMechanism::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut salted),
        }
        salted
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

/// What is stored of a user's password for one mechanism.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    /// The hash function.
    pub mechanism: ScramMechanism,
    /// Iterations of PBKDF2.
    pub iterations: u32,
    /// The salt.
    pub salt: Vec<u8>,
    /// `H(HMAC(salted password, "Client Key"))`.
    pub stored_key: Vec<u8>,
    /// `HMAC(salted password, "Server Key")`.
    pub server_key: Vec<u8>,
}

impl ScramCredential {
    /// The credential of a password.
    pub fn of_password(mechanism: ScramMechanism, password: &[u8], salt: Vec<u8>, iterations: u32) -> Self {
        let salted = mechanism.salted_password(password, &salt, iterations);
        Self::of_salted_password(mechanism, &salted, salt, iterations)
    }

    /// The credential of a password that the client has salted.
    pub fn of_salted_password(mechanism: ScramMechanism, salted: &[u8], salt: Vec<u8>, iterations: u32) -> Self {
        let stored_key = mechanism.hash(&mechanism.hmac(salted, b"Client Key"));
        let server_key = mechanism.hmac(salted, b"Server Key");
        ScramCredential { mechanism, iterations, salt, stored_key, server_key }
    }

    /// Whether this is the password; takes as long for a wrong one.
    pub fn is_password(&self, password: &[u8]) -> bool {
        let salted = self.mechanism.salted_password(password, &self.salt, self.iterations);
        let given = Self::of_salted_password(self.mechanism, &salted, Vec::new(), self.iterations);
        given.stored_key.ct_eq(&self.stored_key).into()
    }

    /// The server's signature, if the proof shows that the client knows the password.
    fn check_proof(&self, auth_message: &[u8], proof: &[u8]) -> Option<Vec<u8>> {
        let client_signature = self.mechanism.hmac(&self.stored_key, auth_message);
        if proof.len() != client_signature.len() {
            return None;
        }
        let client_key: Vec<u8> = proof.iter().zip(&client_signature).map(|(a, b)| a ^ b).collect();
        let right: bool = self.mechanism.hash(&client_key).ct_eq(&self.stored_key).into();
        right.then(|| self.mechanism.hmac(&self.server_key, auth_message))
    }
}

impl std::fmt::Debug for ScramCredential {
    /// Without the keys: a log is no place for them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScramCredential({}, {} iterations)", self.mechanism.name(), self.iterations)
    }
}

/// Why an exchange ended without a login. The client is told none of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScramError {
    /// A message is not of the RFC's form, or too long.
    Malformed,
    /// The client insists on channel binding, which is not offered.
    ChannelBinding,
    /// The client's second message does not repeat the flags of the first.
    Header,
    /// The client asks for an extension that it says must be understood, or for a delegation token.
    Extension,
    /// The client wants to act as another user.
    AuthorizationId,
    /// The nonce is not the one of this exchange.
    Nonce,
    /// The password is wrong, or there is no such user.
    Credentials,
    /// A message came after the exchange was over.
    Over,
}

/// What an exchange has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScramStep {
    /// Send this and await the client's next message.
    Continue(Vec<u8>),
    /// Send this: the client is the user.
    Done {
        /// The user.
        user: String,
        /// The last message, by which the client knows that the server knows the user.
        message: Vec<u8>,
    },
}

/// The credential of a user, real or mock.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What the client is measured against.
    pub credential: ScramCredential,
    /// Whether the user exists; with `false` no proof is right.
    pub known: bool,
}

/// One exchange, from the server's side.
pub struct ScramExchange {
    server_nonce: String,
    state: State,
}

enum State {
    First,
    Final(Box<Waiting>),
    Over,
}

/// Between the server's first message and the client's second.
struct Waiting {
    user: String,
    candidate: Candidate,
    gs2_header: String,
    nonce: String,
    /// `client-first-message-bare "," server-first-message`.
    auth_message: String,
}

impl ScramExchange {
    /// An exchange whose half of the nonce is `server_nonce`: printable ASCII without a comma, never used before.
    pub fn new(server_nonce: String) -> Self {
        ScramExchange { server_nonce, state: State::First }
    }

    /// Takes the client's next message. After an error the exchange is over.
    pub fn step(&mut self, message: &[u8], candidate: impl FnOnce(&str) -> Candidate) -> Result<ScramStep, ScramError> {
        let state = std::mem::replace(&mut self.state, State::Over);
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(ScramError::Malformed);
        }
        let message = std::str::from_utf8(message).map_err(|_| ScramError::Malformed)?;
        match state {
            State::First => self.first(message, candidate),
            State::Final(waiting) => waiting.finish(message),
            State::Over => Err(ScramError::Over),
        }
    }

    fn first(&mut self, message: &str, candidate: impl FnOnce(&str) -> Candidate) -> Result<ScramStep, ScramError> {
        let first = ClientFirst::parse(message)?;
        let candidate = candidate(&first.user);
        let nonce = format!("{}{}", first.nonce, self.server_nonce);
        let ScramCredential { salt, iterations, .. } = &candidate.credential;
        let answer = format!("r={nonce},s={},i={iterations}", BASE64.encode(salt));
        self.state = State::Final(Box::new(Waiting {
            auth_message: format!("{},{answer}", first.bare),
            gs2_header: first.gs2_header.to_owned(),
            user: first.user,
            candidate,
            nonce,
        }));
        Ok(ScramStep::Continue(answer.into_bytes()))
    }
}

impl Waiting {
    fn finish(self, message: &str) -> Result<ScramStep, ScramError> {
        let last = ClientFinal::parse(message)?;
        if BASE64.decode(last.channel_binding).ok().as_deref() != Some(self.gs2_header.as_bytes()) {
            return Err(ScramError::Header);
        }
        // Without this check another exchange's proof could be played back (CVE-2024-56128).
        if last.nonce != self.nonce {
            return Err(ScramError::Nonce);
        }
        let proof = BASE64.decode(last.proof).map_err(|_| ScramError::Malformed)?;
        let auth_message = format!("{},{}", self.auth_message, last.without_proof);
        let signature = self.candidate.credential.check_proof(auth_message.as_bytes(), &proof);
        let signature = signature.filter(|_| self.candidate.known).ok_or(ScramError::Credentials)?;
        let message = format!("v={}", BASE64.encode(signature)).into_bytes();
        Ok(ScramStep::Done { user: self.user, message })
    }
}

/// `client-first-message`.
struct ClientFirst<'a> {
    gs2_header: &'a str,
    bare: &'a str,
    user: String,
    nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    fn parse(message: &'a str) -> Result<Self, ScramError> {
        let mut parts = message.splitn(3, ',');
        let mut part = || parts.next().ok_or(ScramError::Malformed);
        let (flag, authorization_id, bare) = (part()?, part()?, part()?);
        match flag {
            "n" | "y" => {}
            _ if flag.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed),
        }
        let gs2_header = &message[..message.len() - bare.len()];
        let mut attributes = bare.split(',');
        let mut attribute = |name| attributes.next().ok_or(ScramError::Malformed).and_then(|a| value(a, name));
        let user = sasl_name(attribute("n=")?)?;
        let nonce = attribute("r=")?;
        if nonce.is_empty() || !nonce.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ScramError::Malformed);
        }
        check_authorization_id(authorization_id, &user)?;
        check_extensions(attributes)?;
        Ok(ClientFirst { gs2_header, bare, user, nonce })
    }
}

/// `client-final-message`.
struct ClientFinal<'a> {
    without_proof: &'a str,
    channel_binding: &'a str,
    nonce: &'a str,
    proof: &'a str,
}

impl<'a> ClientFinal<'a> {
    fn parse(message: &'a str) -> Result<Self, ScramError> {
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut attributes = without_proof.split(',');
        let mut attribute = |name| attributes.next().ok_or(ScramError::Malformed).and_then(|a| value(a, name));
        let (channel_binding, nonce) = (attribute("c=")?, attribute("r=")?);
        check_extensions(attributes)?;
        Ok(ClientFinal { without_proof, channel_binding, nonce, proof })
    }
}

/// The value of an attribute that must have this name. `m=` in its place is an extension that we do not know.
fn value<'a>(attribute: &'a str, name: &str) -> Result<&'a str, ScramError> {
    match attribute.strip_prefix(name) {
        Some(value) => Ok(value),
        None if attribute.starts_with("m=") => Err(ScramError::Extension),
        None => Err(ScramError::Malformed),
    }
}

/// Acting as another user is not offered.
fn check_authorization_id(part: &str, user: &str) -> Result<(), ScramError> {
    if part.is_empty() {
        return Ok(());
    }
    let id = sasl_name(part.strip_prefix("a=").ok_or(ScramError::Malformed)?)?;
    if id == user { Ok(()) } else { Err(ScramError::AuthorizationId) }
}

/// Optional extensions are passed over, as the RFC says; Kafka's `tokenauth` is none that can be passed over.
fn check_extensions<'a>(mut attributes: impl Iterator<Item = &'a str>) -> Result<(), ScramError> {
    attributes.try_for_each(|attribute| match attribute.split_once('=') {
        Some(("tokenauth", "true")) | Some(("m", _)) => Err(ScramError::Extension),
        Some((name, _)) if !name.is_empty() => Ok(()),
        _ => Err(ScramError::Malformed),
    })
}

/// `saslname`: comma and equals sign are written `=2C` and `=3D`.
fn sasl_name(escaped: &str) -> Result<String, ScramError> {
    let mut parts = escaped.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(ScramError::Malformed),
        };
        name.push(character);
        name.push_str(rest);
    }
    if name.is_empty() || name.contains('\0') { Err(ScramError::Malformed) } else { Ok(name) }
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
