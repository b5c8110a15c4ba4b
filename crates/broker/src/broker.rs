//! The broker: its parts, and the way of a request to the one that answers it.

use std::sync::Arc;

use fleuve_base::{Env, Result};
use fleuve_journal::Log;
use fleuve_wire::{Request, RequestHeader, Response};
use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::config::BrokerConfig;
use crate::fetch::{FetchSessions, WaitingFetches};
use crate::groups::Groups;
use crate::producers::ProducerIds;
use crate::security::{Authorizer, Operation, Resource, Security};
use crate::session::Session;
use crate::timers::Timers;
use crate::transactions::{StagedOffsets, Surroundings, Transactions};
use crate::upkeep::{self, LongJobs};

/// Takes the one answer to a request.
pub type Responder = Box<dyn FnOnce(Response) + Send>;

/// One broker over one log; shared by all connections.
pub struct Broker {
    pub(crate) env: Env,
    pub(crate) log: Arc<Log>,
    pub(crate) config: BrokerConfig,
    pub(crate) timers: Arc<Timers>,
    pub(crate) cluster: Cluster,
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) security: Arc<Security>,
    pub(crate) producer_ids: Arc<ProducerIds>,
    pub(crate) transactions: Arc<Transactions>,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) waiting_fetches: WaitingFetches,
    /// One change of topics' settings at a time: each is made from the one before.
    pub(crate) altering: Mutex<()>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) long_jobs: LongJobs,
}

impl Broker {
    /// Loads all state from the internal topics of `log`, which are created the first time.
    pub fn open(env: Env, log: Arc<Log>, config: BrokerConfig) -> Result<Arc<Broker>> {
        let cluster = Cluster::open(&env, &log)?;
        let producer_ids = ProducerIds::new(Arc::clone(&cluster.topic), cluster.next_producer_id);
        let security = Security::open(&env, &log, &config)?;
        let (timers, authorizer) = (Arc::new(Timers::new()), Arc::clone(security.authorizer()));
        let groups = Groups::open(env.clone(), Arc::clone(&log), Arc::clone(&timers), config.groups.clone())?;
        let transactions = Transactions::open(Surroundings {
            env: env.clone(),
            log: Arc::clone(&log),
            timers: Arc::clone(&timers),
            producer_ids: Arc::clone(&producer_ids),
            offsets: Arc::clone(&groups) as Arc<dyn StagedOffsets>,
            timeout_max_ms: config.transaction_timeout_max_ms,
            id_expiry_ms: config.transactional_id_expiry_ms,
        })?;
        let broker = Arc::new(Broker {
            fetch_sessions: FetchSessions::new(config.fetch_sessions_max),
            waiting_fetches: WaitingFetches::default(),
            altering: Mutex::default(),
            long_jobs: LongJobs::default(),
            env,
            log,
            config,
            timers,
            cluster,
            authorizer,
            security,
            producer_ids,
            transactions,
            groups,
        });
        upkeep::schedule(&broker);
        Ok(broker)
    }

    /// Answers a request exactly once through `respond`: at once, or later from a commit round, a timer or another
    /// request. Never waits for the disk or a peer. `respond` must be quick; it may be called on the log's commit thread.
    ///
    /// The caller hands over only what [`apis`](Self::apis) lists; for anything else `respond` is dropped, and the
    /// connection should be closed. A producer that wants no acknowledgement (`acks` = 0) is answered as all others are:
    /// the caller keeps the answer to itself, and closes the connection if it tells an error.
    pub fn handle(self: &Arc<Self>, session: &Session, header: &RequestHeader, request: Request, respond: Responder) {
        let version = header.api_version;
        match request {
            Request::ApiVersions(request) => respond(self.answer_api_versions(session, version, request).into()),
            Request::Metadata(request) => respond(self.metadata(session, version, &request).into()),
            Request::Produce(request) => self.produce(session, version, request, respond),
            Request::Fetch(request) => self.fetch(session, version, request, respond),
            Request::ListOffsets(request) => respond(self.list_offsets(session, version, &request).into()),
            Request::OffsetForLeaderEpoch(request) => respond(self.offset_for_leader_epoch(session, &request).into()),
            Request::InitProducerId(request) => self.init_producer_id(session, version, &request, respond),
            Request::AddPartitionsToTxn(request) => self.add_partitions_to_txn(session, version, request, respond),
            Request::AddOffsetsToTxn(request) => self.add_offsets_to_txn(session, version, request, respond),
            Request::TxnOffsetCommit(request) => self.txn_offset_commit(session, version, request, respond),
            Request::EndTxn(request) => self.end_txn(session, version, &request, respond),
            Request::DescribeTransactions(request) => respond(self.describe_transactions(session, request).into()),
            Request::DescribeAcls(request) => respond(self.describe_acls(session, request).into()),
            Request::CreateAcls(request) => self.create_acls(session, request, respond),
            Request::DeleteAcls(request) => self.delete_acls(session, request, respond),
            Request::DescribeUserScramCredentials(request) => {
                respond(self.describe_user_scram_credentials(session, request).into());
            }
            Request::AlterUserScramCredentials(request) => self.alter_user_scram_credentials(session, request, respond),
            Request::DescribeClientQuotas(request) => respond(self.describe_client_quotas(session, &request).into()),
            Request::AlterClientQuotas(request) => self.alter_client_quotas(session, request, respond),
            Request::ListTransactions(request) => respond(self.list_transactions(session, &request).into()),
            request @ (Request::FindCoordinator(_)
            | Request::JoinGroup(_)
            | Request::SyncGroup(_)
            | Request::Heartbeat(_)
            | Request::LeaveGroup(_)
            | Request::OffsetCommit(_)
            | Request::OffsetFetch(_)
            | Request::OffsetDelete(_)
            | Request::ListGroups(_)
            | Request::DescribeGroups(_)
            | Request::DeleteGroups(_)
            | Request::ConsumerGroupHeartbeat(_)
            | Request::ConsumerGroupDescribe(_)) => self.handle_groups(session, header, request, respond),
            other => match self.administrate(session, version, other) {
                Some(response) => respond(response),
                None => tracing::error!(api = header.api_key.name(), "a request came that is not served"),
            },
        }
    }

    /// Whether the session may do this.
    pub(crate) fn allows(&self, session: &Session, operation: Operation, resource: Resource<'_>) -> bool {
        self.authorizer.authorize(session, operation, resource)
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

    /// Users, access rules, limits.
    pub fn security(&self) -> &Arc<Security> {
        &self.security
    }

    /// Forgets what belongs to a connection that has ended.
    pub fn disconnected(&self, connection: u64) {
        self.fetch_sessions.disconnected(connection);
        self.waiting_fetches.disconnected(connection);
    }

    /// Answers all who wait. Requests that come later are refused.
    pub fn close(&self) {
        self.waiting_fetches.close();
        self.groups.close();
    }
}
