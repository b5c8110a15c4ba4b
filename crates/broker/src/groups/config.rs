//! Settings of groups, named after Kafka's broker settings.

use std::time::Duration;

/// What the operator of the broker can set about groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`: how long the first members of an empty classic group wait for more.
    /// Kafka's own default is 3 s; a shorter one lets a first consumer begin at once, at the price of one more
    /// rebalance where many start together.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: members of one group.
    pub members_max: usize,
    /// `offset.metadata.max.bytes`: what a client may say beside an offset.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`: how long offsets are kept once their group is empty.
    pub offsets_retention: Duration,
    /// `group.consumer.session.timeout.ms`
    pub consumer_session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`
    pub consumer_heartbeat_interval: Duration,
}

impl Default for GroupConfig {
    fn default() -> Self {
        GroupConfig {
            session_timeout_min: Duration::from_millis(6_000),
            session_timeout_max: Duration::from_millis(1_800_000),
            initial_rebalance_delay: Duration::from_millis(200),
            members_max: 10_000,
            offset_metadata_bytes_max: 4096,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            consumer_session_timeout: Duration::from_millis(45_000),
            consumer_heartbeat_interval: Duration::from_millis(5_000),
        }
    }
}

/// Groups of one broker.
pub const GROUPS_MAX: usize = 100_000;

/// What the members of one group may say in their subscriptions, together, and their leader in its assignments.
pub const GROUP_BYTES_MAX: usize = 16 << 20;

/// Protocols that one member of a classic group may offer.
pub const PROTOCOLS_MAX: usize = 100;

/// Longest name of a group, member or instance.
pub const NAME_BYTES_MAX: usize = 4096;

/// How long a new member of a classic group that has no id yet, or is static, may wait for the rebalance: its client
/// cannot send heartbeats before it is answered, so a client that went away can only be found out by this.
pub(crate) const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);
