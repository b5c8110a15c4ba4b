//! A member of a classic group.

use std::time::Duration;

use bytes::Bytes;

use crate::groups::step::Token;

/// What JoinGroup says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Join {
    /// Empty for a client that has no id yet.
    pub member_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    /// `consumer`, `connect`, or what else the clients agree on.
    pub protocol_type: String,
    /// Protocols with their metadata, the most wanted first.
    pub protocols: Vec<(String, Bytes)>,
    /// Whether the client understands MEMBER_ID_REQUIRED (KIP-394, JoinGroup v4).
    pub takes_member_id: bool,
    /// Whether the client understands `skip_assignment` (KIP-814, JoinGroup v9).
    pub skips_assignment: bool,
}

/// A member. What is above the line is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub protocols: Vec<(String, Bytes)>,
    /// What the leader gave it, in the current generation.
    pub assignment: Bytes,
    // ---
    /// Its JoinGroup that waits for the others.
    pub joining: Option<Token>,
    /// Its SyncGroup that waits for the leader's.
    pub syncing: Option<Token>,
    /// Whether its first JoinGroup has not been answered yet.
    pub is_new: bool,
    /// Whether it has not yet asked for its assignment in this generation.
    pub must_sync: bool,
    /// When it is given up, unless it is heard of before.
    pub expires: Duration,
}

impl Member {
    /// A member as it asks to join.
    pub fn new(id: String, join: Join) -> Self {
        Member {
            id,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols,
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
            is_new: true,
            must_sync: false,
            expires: Duration::MAX,
        }
    }

    /// What it says about itself under this protocol.
    pub fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, metadata)| metadata)
    }

    /// Whether the protocol is among those that it offers.
    pub fn offers(&self, protocol: &str) -> bool {
        self.metadata(protocol).is_some()
    }

    /// Its vote: the protocol among `candidates` that it prefers.
    pub fn vote<'a>(&'a self, candidates: &[&str]) -> Option<&'a str> {
        self.protocols.iter().map(|(name, _)| name.as_str()).find(|name| candidates.contains(name))
    }

    /// Whether it is given up at `now`. One whose request waits here is alive, for it cannot send heartbeats
    /// meanwhile; but a new one has a limit of its own.
    pub fn is_expired(&self, now: Duration) -> bool {
        let waits = self.joining.is_some() || self.syncing.is_some();
        now >= self.expires && (self.is_new || !waits)
    }

    /// Bytes of what it says and is told.
    pub fn bytes(&self) -> usize {
        let names = self.id.len() + self.client_id.len() + self.client_host.len();
        protocols_bytes(&self.protocols) + names + self.assignment.len()
    }
}

/// Bytes of what a member says under all its protocols.
pub(crate) fn protocols_bytes(protocols: &[(String, Bytes)]) -> usize {
    protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum()
}
