//! Users, access rules and limits together: loaded from their topic, changed through it.

use std::sync::Arc;

use bytes::Bytes;
use fleuve_base::{Env, Result};
use fleuve_journal::{Log, OnDurable, TopicConfig};

use super::authorizer::Authorizer;
use super::quota::Quotas;
use super::sasl::SaslSession;
use super::scram::{ITERATIONS_MIN, ScramCredential, ScramMechanism};
use super::store::{SECURITY_TOPIC, Stored};
use super::users::{NEW_SALT_BYTES, Users};
use crate::config::BrokerConfig;
use crate::state_topic::StateTopic;

/// Who there is, and what they may do and use.
pub struct Security {
    env: Env,
    topic: StateTopic,
    users: Arc<Users>,
    authorizer: Arc<Authorizer>,
    quotas: Quotas,
}

impl Security {
    /// Loads all of it.
    pub fn open(env: &Env, log: &Log, config: &BrokerConfig) -> Result<Arc<Self>> {
        let topic = StateTopic::open(env, log, SECURITY_TOPIC, TopicConfig::default())?;
        let authorizer = Authorizer::new(config.super_users.clone(), config.allow_everyone_if_no_acl_found);
        let security = Security {
            env: env.clone(),
            topic,
            users: Arc::default(),
            authorizer: Arc::new(authorizer),
            quotas: Quotas::default(),
        };
        security.topic.load(|key, value| {
            security.apply(Stored::decode(&key, value.as_deref())?);
            Ok(())
        })?;
        if !security.users.has_mock_secret() {
            security.create_mock_secret()?;
        }
        Ok(Arc::new(security))
    }

    fn create_mock_secret(&self) -> Result<()> {
        let secret = Stored::MockSecret(Bytes::from(self.random_bytes(32)));
        self.topic.append_and_wait(&[secret.encode()])?;
        self.apply(secret);
        Ok(())
    }

    /// Who may do what.
    pub fn authorizer(&self) -> &Arc<Authorizer> {
        &self.authorizer
    }

    /// Who may use how much.
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// All users.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// Begins a login; `None` if the mechanism is not offered on such a connection (see [`mechanisms`](super::mechanisms)).
    pub fn login(&self, mechanism: &str, encrypted: bool) -> Option<SaslSession> {
        let nonce = self.random_bytes(24).iter().map(|byte| format!("{byte:02x}")).collect();
        SaslSession::begin(mechanism, encrypted, Arc::clone(&self.users), nonce)
    }

    /// Creates a user, or gives one another password, for both mechanisms; `done` tells when it is durable and holds.
    pub fn set_password(self: &Arc<Self>, user: &str, password: &[u8], done: OnDurable) {
        let changes = ScramMechanism::ALL.map(|mechanism| {
            let salt = self.random_bytes(NEW_SALT_BYTES);
            let credential = ScramCredential::of_password(mechanism, password, salt, ITERATIONS_MIN);
            Stored::Credential { user: user.to_owned(), mechanism, credential: Some(credential) }
        });
        self.change(changes.into(), done);
    }

    /// Makes changes durable, all or none, then lets them hold, then tells.
    pub(super) fn change(self: &Arc<Self>, changes: Vec<Stored>, done: OnDurable) {
        let entries: Vec<_> = changes.iter().map(Stored::encode).collect();
        let security = Arc::clone(self);
        let durable = move |outcome: Result<()>| {
            if outcome.is_ok() {
                changes.into_iter().for_each(|change| security.apply(change));
            }
            done(outcome);
        };
        self.topic.append(&entries, Box::new(durable));
    }

    fn apply(&self, change: Stored) {
        match change {
            Stored::Credential { user, mechanism, credential } => self.users.set(user, mechanism, credential),
            Stored::Acl { acl, there: true } => self.authorizer.acls.write().insert(acl),
            Stored::Acl { acl, there: false } => self.authorizer.acls.write().remove(&acl),
            Stored::Quota { entity, limits } => self.quotas.set(entity, limits),
            Stored::MockSecret(secret) => self.users.set_mock_secret(&secret),
        }
    }

    fn random_bytes(&self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.env.random.next_u64().to_le_bytes());
        words.flatten().take(count).collect()
    }
}
