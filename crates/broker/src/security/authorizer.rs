//! The one question that every request asks about every resource that it touches.

use crate::session::Session;

/// What is to be done, by Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Kafka's names say it.
pub enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    ClusterAction = 9,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
    CreateTokens = 13,
    DescribeTokens = 14,
    TwoPhaseCommit = 15,
}

/// What it is to be done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// A consumer group.
    Group(&'a str),
    /// The cluster as a whole.
    Cluster,
    /// A transactional id.
    TransactionalId(&'a str),
    /// A user, as the owner of delegation tokens.
    User(&'a str),
}

/// Decides by permissions. Without any, everybody may do everything.
#[derive(Debug, Default)]
pub struct Authorizer {}

impl Authorizer {
    /// Whether the session's principal may do this.
    pub fn authorize(&self, _session: &Session, _operation: Operation, _resource: Resource<'_>) -> bool {
        true
    }

    /// What the session's principal may do to the resource: the bit of each operation's number (KIP-430).
    pub fn authorized_operations(&self, session: &Session, resource: Resource<'_>) -> i32 {
        let operations: &[Operation] = match resource {
            Resource::Cluster => &CLUSTER_OPERATIONS,
            _ => &TOPIC_OPERATIONS,
        };
        let allowed = operations.iter().filter(|operation| self.authorize(session, **operation, resource));
        allowed.fold(0, |bits, operation| bits | 1 << (*operation as i32))
    }
}

const TOPIC_OPERATIONS: [Operation; 8] = [
    Operation::Read,
    Operation::Write,
    Operation::Create,
    Operation::Delete,
    Operation::Alter,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

const CLUSTER_OPERATIONS: [Operation; 7] = [
    Operation::Create,
    Operation::Alter,
    Operation::Describe,
    Operation::ClusterAction,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
    Operation::IdempotentWrite,
];
