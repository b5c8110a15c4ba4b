//! Classic groups: the protocol of JoinGroup and SyncGroup, in which the members agree through a leader of their own
//! and the broker only brings them together. What they agree on is opaque to it.
//!
//! ```text
//!                    join              all joined, or time is up        the leader's sync
//!   Empty ─────────────────▶ PreparingRebalance ──────▶ CompletingRebalance ──────▶ Stable
//!     ▲                         │        ▲                     │                       │
//!     └── nobody is left ───────┘        └─────── somebody joins, leaves, expires ─────┘
//! ```
//!
//! A generation begins when PreparingRebalance ends; its number only rises, across restarts too, because it is
//! stored before any member hears of it. The rules are those of Kafka's group coordinator, with KIP-345 (static
//! members), KIP-394 (ids before membership) and KIP-814 (a static leader skips assigning).

mod join;
mod leave;
mod member;
mod rebalance;
mod stored;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use fleuve_wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use fleuve_wire::{ErrorCode, versioned};

pub(crate) use leave::Leave;
pub(crate) use member::{Join, Member};
use rebalance::Rebalance;
pub(crate) use sync::Sync;

use super::step::Step;

/// Where a group is in its cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    /// Without members; it may hold offsets.
    #[default]
    Empty = 0,
    /// Waits for the members to join again.
    PreparingRebalance = 1,
    /// Waits for the leader's assignments.
    CompletingRebalance = 2,
    /// Every member has its assignment, or can ask for it.
    Stable = 3,
}

impl State {
    /// As DescribeGroups and ListGroups call it.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// The answer to JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub error: ErrorCode,
    /// −1 where there is none.
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    /// All members, for the leader only.
    pub members: Vec<JoinedMember>,
}

/// What the leader learns of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub id: String,
    pub instance_id: Option<String>,
    pub metadata: Bytes,
}

impl Joined {
    /// A refusal.
    pub fn refused(member_id: &str, error: ErrorCode) -> Self {
        Joined {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

/// The answer to SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synced {
    pub error: ErrorCode,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignment: Bytes,
}

impl Synced {
    /// A refusal.
    pub fn refused(error: ErrorCode) -> Self {
        Synced { error, protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

/// The topics that a consumer's metadata names.
fn subscription(metadata: &Bytes) -> Option<Vec<String>> {
    let version_max = *ConsumerProtocolSubscription::VERSIONS.end();
    let decoded = versioned::decode::<ConsumerProtocolSubscription>(metadata.clone(), version_max);
    decoded.ok().map(|(_, subscription)| subscription.topics)
}

/// A classic group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClassicGroup {
    pub state: State,
    /// When it came into this state, in milliseconds since 1970; since when it is empty, above all.
    pub state_since_ms: i64,
    /// Counts the rebalances.
    pub generation: i32,
    /// `None` as long as nobody has ever joined.
    pub protocol_type: Option<String>,
    /// What the members have agreed on.
    pub protocol: Option<String>,
    pub leader: Option<String>,
    pub members: BTreeMap<String, Member>,
    /// The member id of each static member.
    instances: HashMap<String, String>,
    /// Ids that were given out, until when they must be used (KIP-394).
    pending: HashMap<String, Duration>,
    rebalance: Option<Rebalance>,
    /// Until when the members must have asked for their assignments.
    sync_until: Option<Duration>,
}

impl ClassicGroup {
    /// An empty group whose generations go on from another group of that name.
    pub fn new(generation: i32) -> Self {
        ClassicGroup { generation, ..ClassicGroup::default() }
    }

    /// Whether a member's request is from the one that it says to be.
    pub fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        match instance_id.map(|instance| self.instances.get(instance)) {
            Some(None) => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            Some(Some(current)) if current != member_id => Err(ErrorCode::FENCED_INSTANCE_ID),
            _ if !self.members.contains_key(member_id) => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            _ => Ok(()),
        }
    }

    /// The same, and of the current generation.
    pub fn check_generation(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        self.check_member(member_id, instance_id)?;
        if generation == self.generation { Ok(()) } else { Err(ErrorCode::ILLEGAL_GENERATION) }
    }

    /// A member tells that it is alive. Errors as Heartbeat has them.
    pub fn heartbeat(
        &mut self,
        step: &mut Step<'_>,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        self.check_generation(member_id, instance_id, generation)?;
        self.keep_alive(step, member_id);
        if self.state == State::PreparingRebalance { Err(ErrorCode::REBALANCE_IN_PROGRESS) } else { Ok(()) }
    }

    /// Whether a commit of offsets may be taken. One of a transaction is checked for its member only if it names one.
    pub fn check_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        transactional: bool,
    ) -> Result<(), ErrorCode> {
        let names_member = generation >= 0 || !member_id.is_empty() || instance_id.is_some();
        if !names_member {
            let open = transactional || self.state == State::Empty;
            return if open { Ok(()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) };
        }
        self.check_generation(member_id, instance_id, generation)?;
        let unsettled = self.state == State::CompletingRebalance && !transactional;
        if unsettled { Err(ErrorCode::REBALANCE_IN_PROGRESS) } else { Ok(()) }
    }

    /// Gives the member another session timeout from now on.
    pub fn keep_alive(&mut self, step: &mut Step<'_>, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.expires = step.deadline(member.session_timeout);
        }
    }

    /// The metadata of each member under the protocol of the generation.
    pub fn metadata(&self, member: &Member) -> Bytes {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        member.metadata(protocol).cloned().unwrap_or_default()
    }

    /// Whether a member subscribes to this topic. It can be known of consumers only; the metadata of one that cannot be
    /// read counts as a subscription to everything.
    pub fn subscribes(&self, topic: &str) -> bool {
        let subscribed = |member: &Member| match subscription(&self.metadata(member)) {
            Some(topics) => topics.iter().any(|name| name == topic),
            None => true,
        };
        self.protocol_type.as_deref() == Some("consumer") && self.members.values().any(subscribed)
    }

    /// The longest rebalance timeout of all members.
    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    fn enter(&mut self, step: &Step<'_>, state: State) {
        self.state = state;
        self.state_since_ms = step.now_ms;
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }
}
