//! Who may log in, do what, and use how much.
//!
//! Users (SCRAM credentials), access rules (Kafka's ACLs) and quotas are entries of one compacted topic. In memory they follow
//! what is durable there. [`Security`] holds them; every request asks its [`Authorizer`] about every resource that it touches.

mod acl;
mod acl_requests;
mod authorizer;
mod quota;
mod quota_requests;
mod sasl;
mod scram;
mod state;
mod store;
mod user_requests;
mod users;

pub use acl::{
    ACLS_MAX, AclBinding, AclFilter, CLUSTER_NAME, EVERYONE, Operation, PatternFilter, PatternType, Permission,
    ResourceType, TEXT_BYTES_MAX, WILDCARD,
};
pub use authorizer::{Authorizer, Resource};
pub use quota::{
    BURST_SECONDS, ENTITIES_MAX, NAME_BYTES_MAX, QuotaEntity, QuotaKey, QuotaLimits, QuotaName, Quotas, THROTTLE_MAX,
};
pub use sasl::{SaslSession, SaslStep, mechanisms};
pub use scram::{ITERATIONS_MAX, ITERATIONS_MIN, SALT_BYTES_MAX, ScramCredential, ScramMechanism};
pub use state::Security;
pub use store::SECURITY_TOPIC;
pub use users::{USER_BYTES_MAX, USERS_MAX, Users};
