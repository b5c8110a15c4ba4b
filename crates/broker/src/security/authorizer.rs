//! The one question that every request asks about every resource that it touches.

use parking_lot::RwLock;

use super::acl::{AclIndex, CLUSTER_NAME, Decision, Operation, ResourceType, Subject};
use crate::session::Session;

/// What something is to be done to.
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

impl Resource<'_> {
    /// Its type and name, as rules have them.
    pub fn parts(&self) -> (ResourceType, &str) {
        match self {
            Resource::Topic(name) => (ResourceType::Topic, name),
            Resource::Group(name) => (ResourceType::Group, name),
            Resource::Cluster => (ResourceType::Cluster, CLUSTER_NAME),
            Resource::TransactionalId(name) => (ResourceType::TransactionalId, name),
            Resource::User(name) => (ResourceType::User, name),
        }
    }
}

/// Decides by rules. Without any, it is the setting `allow.everyone.if.no.acl.found` that counts.
#[derive(Debug)]
pub struct Authorizer {
    super_users: Vec<String>,
    allow_without_rule: bool,
    pub(super) acls: RwLock<AclIndex>,
}

impl Default for Authorizer {
    /// Everybody may do everything until there are rules.
    fn default() -> Self {
        Authorizer::new(Vec::new(), true)
    }
}

impl Authorizer {
    /// `super_users` (`User:` and a name each) may do everything; `allow_without_rule` answers for resources that no rule names.
    pub fn new(super_users: Vec<String>, allow_without_rule: bool) -> Self {
        Authorizer { super_users, allow_without_rule, acls: RwLock::default() }
    }

    /// Whether the session's principal may do this.
    pub fn authorize(&self, session: &Session, operation: Operation, resource: Resource<'_>) -> bool {
        let subject = Subject::of(session);
        let (kind, name) = resource.parts();
        self.is_super_user(subject)
            || match self.acls.read().decide(subject, operation, kind, name) {
                Decision::Allowed => true,
                Decision::Denied => false,
                Decision::NoRule => self.allow_without_rule,
            }
    }

    /// Whether the session's principal may do this to some resource of the type, existing or not (KIP-679).
    pub fn authorize_any(&self, session: &Session, operation: Operation, kind: ResourceType) -> bool {
        let subject = Subject::of(session);
        self.is_super_user(subject) || self.acls.read().decide_any(subject, operation, kind, self.allow_without_rule)
    }

    /// What the session's principal may do to the resource, as the bit field of Kafka's answers (KIP-430).
    pub fn authorized_operations(&self, session: &Session, resource: Resource<'_>) -> i32 {
        let operations = resource.parts().0.operations().iter();
        let allowed = operations.filter(|operation| self.authorize(session, **operation, resource));
        allowed.fold(0, |bits, operation| bits | 1 << operation.code())
    }

    fn is_super_user(&self, subject: Subject<'_>) -> bool {
        self.super_users.iter().any(|user| subject.is(user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::acl::{AclBinding, PatternType, Permission, WILDCARD};
    use crate::session::{Endpoint, Principal};

    fn session(user: &str) -> Session {
        let mut session = Session::local(1, Endpoint { host: "localhost".to_owned(), port: 9092 });
        session.principal = Principal::user(user);
        session
    }

    fn allow(authorizer: &Authorizer, user: &str, operation: Operation, topic: &str) {
        authorizer.acls.write().insert(AclBinding {
            resource_type: ResourceType::Topic,
            pattern_type: PatternType::Literal,
            name: topic.to_owned(),
            principal: format!("User:{user}"),
            host: WILDCARD.to_owned(),
            operation,
            permission: Permission::Allow,
        });
    }

    #[test]
    fn without_rules_the_setting_decides() {
        let topic = Resource::Topic("t");
        assert!(Authorizer::new(vec![], true).authorize(&session("a"), Operation::Read, topic));
        let strict = Authorizer::new(vec!["User:root".to_owned()], false);
        assert!(!strict.authorize(&session("a"), Operation::Read, topic));
        assert!(strict.authorize(&session("root"), Operation::Read, topic));
        assert!(!strict.authorize(&session("roo"), Operation::Read, topic));
    }

    #[test]
    fn a_resource_with_rules_is_closed_to_others_even_if_the_default_is_open() {
        let open = Authorizer::default();
        allow(&open, "a", Operation::Read, "t");
        assert!(open.authorize(&session("a"), Operation::Read, Resource::Topic("t")));
        assert!(!open.authorize(&session("b"), Operation::Read, Resource::Topic("t")));
        assert!(open.authorize(&session("b"), Operation::Read, Resource::Topic("u")));
        assert!(open.authorize(&session("b"), Operation::Read, Resource::Group("t")));
    }

    #[test]
    fn the_bit_field_has_what_is_allowed() {
        let strict = Authorizer::new(vec![], false);
        allow(&strict, "a", Operation::Write, "t");
        let bits = strict.authorized_operations(&session("a"), Resource::Topic("t"));
        assert_eq!(bits, 1 << Operation::Write.code() | 1 << Operation::Describe.code());
    }
}
