//! Access rules in Kafka's model: the words, the rules, and the index that answers who may do what.

mod binding;
mod index;
mod kinds;

pub use binding::{AclBinding, AclFilter, PatternFilter, TEXT_BYTES_MAX};
pub use index::{ACLS_MAX, AclIndex, Decision, Subject};
pub use kinds::{CLUSTER_NAME, EVERYONE, Operation, PatternType, Permission, ResourceType, WILDCARD};
