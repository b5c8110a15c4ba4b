//! What can be set for the whole broker.

use crate::groups::GroupConfig;

/// Settings of a [`Broker`](crate::Broker); the names follow Kafka's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Whether a topic that a client asks for, and that is not there, may be created (`auto.create.topics.enable`).
    pub auto_create_topics: bool,
    /// Partitions of a topic that is created without a number (`num.partitions`).
    pub default_partitions: u32,
    /// Bytes of the largest batch, where the topic says nothing else (`message.max.bytes`).
    pub message_max_bytes: u32,
    /// Age at which records may go, where the topic says nothing else (`log.retention.ms`). `None`: never.
    pub retention_ms: Option<u64>,
    /// Bytes of a partition above which its oldest records may go (`log.retention.bytes`). `None`: never.
    pub retention_bytes: Option<u64>,
    /// Milliseconds between two looks at what retention and compaction can remove (`log.retention.check.interval.ms`).
    pub retention_check_interval_ms: u64,
    /// Bytes of the largest answer to one fetch (`fetch.max.bytes`).
    pub fetch_max_bytes: u32,
    /// Incremental fetch sessions that are kept (`max.incremental.fetch.session.cache.slots`).
    pub fetch_sessions_max: usize,
    /// Who may do everything: `User:` and a name each (`super.users`).
    pub super_users: Vec<String>,
    /// Whether all may use what no access rule names (`allow.everyone.if.no.acl.found`).
    pub allow_everyone_if_no_acl_found: bool,
    /// The longest time that a transaction may ask to stay open (`transaction.max.timeout.ms`).
    pub transaction_timeout_max_ms: i32,
    /// Age at which a transactional id that nobody uses is forgotten (`transactional.id.expiration.ms`).
    pub transactional_id_expiry_ms: i64,
    /// Groups.
    pub groups: GroupConfig,
}

impl Default for BrokerConfig {
    /// Kafka's defaults; but as long as there are no access rules everybody may do everything, since by default only this machine
    /// can connect.
    fn default() -> Self {
        BrokerConfig {
            auto_create_topics: true,
            default_partitions: 1,
            message_max_bytes: 1_048_588,
            retention_ms: Some(7 * 24 * 60 * 60 * 1000),
            retention_bytes: None,
            retention_check_interval_ms: 5 * 60 * 1000,
            fetch_max_bytes: 55 << 20,
            fetch_sessions_max: 1000,
            super_users: Vec::new(),
            allow_everyone_if_no_acl_found: true,
            transaction_timeout_max_ms: 15 * 60 * 1000,
            transactional_id_expiry_ms: 7 * 24 * 60 * 60 * 1000,
            groups: GroupConfig::default(),
        }
    }
}
