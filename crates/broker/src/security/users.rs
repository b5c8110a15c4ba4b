//! Users: their credentials, and the mock credentials of those who do not exist.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use super::scram::{Candidate, ITERATIONS_MIN, ScramCredential, ScramMechanism};

/// Users that there may be.
pub const USERS_MAX: usize = 100_000;

/// Bytes of a user's name.
pub const USER_BYTES_MAX: usize = 1024;

/// Bytes of a salt that is made here.
pub const NEW_SALT_BYTES: usize = 16;

/// A user's credentials, one for a mechanism.
pub type Credentials = BTreeMap<ScramMechanism, ScramCredential>;

/// All users.
#[derive(Default)]
pub struct Users {
    users: RwLock<BTreeMap<String, Credentials>>,
    /// Makes the salts of users who do not exist: always the same for a name, as a real user's, and unknown to everybody else.
    mock_secret: RwLock<Vec<u8>>,
}

impl Users {
    /// What a client that says it is `user` is measured against.
    pub(super) fn candidate(&self, user: &str, mechanism: ScramMechanism) -> Candidate {
        let users = self.users.read();
        match users.get(user).and_then(|credentials| credentials.get(&mechanism)) {
            Some(credential) => Candidate { credential: credential.clone(), known: true },
            None => Candidate { credential: self.mock(&users, user, mechanism), known: false },
        }
    }

    /// Whether this is the user's password. It takes as long for a user who does not exist.
    pub(super) fn is_password(&self, user: &str, password: &[u8]) -> bool {
        let mechanism = {
            let users = self.users.read();
            let strongest = |credentials: &Credentials| credentials.keys().next_back().copied();
            let own = users.get(user).and_then(strongest);
            own.or_else(|| users.values().find_map(strongest)).unwrap_or(ScramMechanism::Sha512)
        };
        let candidate = self.candidate(user, mechanism);
        candidate.credential.is_password(password) & candidate.known
    }

    /// A credential like those of the users that there are, for one that there is not (RFC 5802 asks for nothing less: a server
    /// must not tell who exists).
    fn mock(&self, users: &BTreeMap<String, Credentials>, user: &str, mechanism: ScramMechanism) -> ScramCredential {
        let secret = self.mock_secret.read();
        let derive = |what: &str| mechanism.hmac(&secret, format!("{what} {} {user}", mechanism.code()).as_bytes());
        let model = users.values().find_map(|credentials| credentials.get(&mechanism));
        let salt_bytes = model.map_or(NEW_SALT_BYTES, |model| model.salt.len());
        let salt = derive("salt").into_iter().cycle().take(salt_bytes).collect();
        let iterations = model.map_or(ITERATIONS_MIN, |model| model.iterations);
        ScramCredential { mechanism, iterations, salt, stored_key: derive("stored"), server_key: derive("server") }
    }

    pub(super) fn set_mock_secret(&self, secret: &[u8]) {
        *self.mock_secret.write() = secret.to_vec();
    }

    pub(super) fn has_mock_secret(&self) -> bool {
        !self.mock_secret.read().is_empty()
    }

    /// Replaces a credential, or takes it away; a user without any is gone.
    pub(super) fn set(&self, user: String, mechanism: ScramMechanism, credential: Option<ScramCredential>) {
        let mut users = self.users.write();
        match credential {
            Some(credential) => _ = users.entry(user).or_default().insert(mechanism, credential),
            None => {
                if let Some(credentials) = users.get_mut(&user) {
                    credentials.remove(&mechanism);
                    if credentials.is_empty() {
                        users.remove(&user);
                    }
                }
            }
        }
    }

    /// The names of all users, sorted.
    pub fn names(&self) -> Vec<String> {
        self.users.read().keys().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.users.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The mechanisms that a user has credentials for, with their iterations; `None`: no such user.
    pub fn describe(&self, user: &str) -> Option<Vec<(ScramMechanism, u32)>> {
        let users = self.users.read();
        users.get(user).map(|credentials| credentials.iter().map(|(m, c)| (*m, c.iterations)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let users = Users::default();
        users.set_mock_secret(b"secret");
        let mechanism = ScramMechanism::Sha256;
        let credential = ScramCredential::of_password(mechanism, b"pencil", b"a salt of 20 bytes..".to_vec(), 5000);
        users.set("alice".to_owned(), mechanism, Some(credential));
        users
    }

    #[test]
    fn a_user_who_does_not_exist_looks_like_one_who_does() {
        let users = users();
        let mock = users.candidate("bob", ScramMechanism::Sha256);
        assert!(!mock.known);
        assert_eq!((mock.credential.iterations, mock.credential.salt.len()), (5000, 20));
        assert_eq!(users.candidate("bob", ScramMechanism::Sha256).credential, mock.credential);
        assert_ne!(users.candidate("carol", ScramMechanism::Sha256).credential.salt, mock.credential.salt);
        // As does one who has no credential for the mechanism.
        assert!(!users.candidate("alice", ScramMechanism::Sha512).known);
    }

    #[test]
    fn only_the_password_of_the_user_is_right() {
        let users = users();
        assert!(users.is_password("alice", b"pencil"));
        assert!(!users.is_password("alice", b"Pencil"));
        assert!(!users.is_password("bob", b"pencil"));
        users.set("alice".to_owned(), ScramMechanism::Sha256, None);
        assert!(!users.is_password("alice", b"pencil"));
        assert!(users.is_empty());
    }
}
