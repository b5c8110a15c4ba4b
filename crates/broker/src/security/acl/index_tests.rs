//! The index against a naive reading of all rules, and the cases that have gone wrong elsewhere.

use proptest::prelude::*;

use super::*;

const HERE: &str = "10.0.0.1";

fn acl(kind: PatternType, name: &str, principal: &str, operation: Operation, permission: Permission) -> AclBinding {
    AclBinding {
        resource_type: ResourceType::Topic,
        pattern_type: kind,
        name: name.to_owned(),
        principal: principal.to_owned(),
        host: WILDCARD.to_owned(),
        operation,
        permission,
    }
}

fn allow(name: &str, principal: &str, operation: Operation) -> AclBinding {
    acl(PatternType::Literal, name, principal, operation, Permission::Allow)
}

fn index(acls: impl IntoIterator<Item = AclBinding>) -> AclIndex {
    let mut index = AclIndex::default();
    acls.into_iter().for_each(|acl| index.insert(acl));
    index
}

fn asks(index: &AclIndex, user: &str, operation: Operation, name: &str) -> Decision {
    let subject = Subject { kind: "User", name: user, host: HERE.parse().unwrap() };
    index.decide(subject, operation, ResourceType::Topic, name)
}

#[test]
fn deny_wins_whatever_the_order_and_pattern() {
    let deny = acl(PatternType::Prefixed, "or", "User:*", Operation::Write, Permission::Deny);
    let allow = allow("orders", "User:a", Operation::All);
    for acls in [[deny.clone(), allow.clone()], [allow, deny]] {
        let index = index(acls);
        assert_eq!(asks(&index, "a", Operation::Write, "orders"), Decision::Denied);
        assert_eq!(asks(&index, "a", Operation::Read, "orders"), Decision::Allowed);
        assert_eq!(asks(&index, "b", Operation::Read, "orders"), Decision::Denied);
        assert_eq!(asks(&index, "a", Operation::Read, "other"), Decision::NoRule);
    }
}

#[test]
fn some_operations_include_describe_but_denying_them_does_not() {
    for operation in [Operation::Read, Operation::Write, Operation::Delete, Operation::Alter, Operation::All] {
        let index = index([allow("t", "User:a", operation)]);
        assert_eq!(asks(&index, "a", Operation::Describe, "t"), Decision::Allowed, "{operation:?}");
    }
    for operation in [Operation::Create, Operation::AlterConfigs, Operation::DescribeConfigs] {
        let index = index([allow("t", "User:a", operation)]);
        assert_eq!(asks(&index, "a", Operation::Describe, "t"), Decision::Denied, "{operation:?}");
    }
    let configs = index([allow("t", "User:a", Operation::AlterConfigs)]);
    assert_eq!(asks(&configs, "a", Operation::DescribeConfigs, "t"), Decision::Allowed);
    let denied = acl(PatternType::Literal, "t", "User:a", Operation::Read, Permission::Deny);
    let both = index([denied, allow("t", "User:a", Operation::Describe)]);
    assert_eq!(asks(&both, "a", Operation::Describe, "t"), Decision::Allowed);
}

#[test]
fn a_removed_rule_takes_only_itself_away() {
    let (one, two) = (allow("t", "User:a", Operation::Read), allow("t", "User:b", Operation::Read));
    let mut index = index([one.clone(), two.clone()]);
    index.remove(&one);
    assert_eq!(asks(&index, "a", Operation::Read, "t"), Decision::Denied);
    assert_eq!(asks(&index, "b", Operation::Read, "t"), Decision::Allowed);
    index.remove(&two);
    assert_eq!(asks(&index, "a", Operation::Read, "t"), Decision::NoRule);
    assert_eq!(index.len(), 0);
}

#[test]
fn hosts_are_compared_as_addresses() {
    let mut rule = allow("t", "User:a", Operation::Read);
    rule.host = HERE.to_owned();
    let index = index([rule]);
    let from = |host: &str| {
        let subject = Subject { kind: "User", name: "a", host: host.parse().unwrap() };
        index.decide(subject, Operation::Read, ResourceType::Topic, "t")
    };
    assert_eq!(from("10.0.0.1"), Decision::Allowed);
    assert_eq!(from("::ffff:10.0.0.1"), Decision::Allowed);
    assert_eq!(from("10.0.0.2"), Decision::Denied);
}

#[test]
fn some_resource_is_enough_unless_all_of_it_is_denied() {
    use PatternType::{Literal, Prefixed};
    let any = |acls: Vec<AclBinding>| {
        let subject = Subject { kind: "User", name: "a", host: HERE.parse().unwrap() };
        index(acls).decide_any(subject, Operation::Write, ResourceType::Topic, false)
    };
    let rule = |kind, name, permission| acl(kind, name, "User:a", Operation::Write, permission);
    let (allow, deny) = (Permission::Allow, Permission::Deny);
    assert!(!any(vec![]));
    assert!(any(vec![rule(Literal, "t", allow)]));
    assert!(any(vec![rule(Literal, "t", allow), rule(Literal, "u", deny)]));
    assert!(!any(vec![rule(Literal, "t", allow), rule(Literal, "t", deny)]));
    assert!(!any(vec![rule(Literal, "t", allow), rule(Literal, "*", deny)]));
    assert!(any(vec![rule(Prefixed, "t", allow), rule(Prefixed, "tt", deny)]));
    assert!(!any(vec![rule(Prefixed, "tt", allow), rule(Prefixed, "t", deny)]));
    assert!(!any(vec![acl(Literal, "t", "User:b", Operation::Write, allow)]));
}

/// Kafka's rule, read off all bindings one by one.
fn naive(acls: &[AclBinding], user: &str, operation: Operation, name: &str) -> Decision {
    let applies = |acl: &&AclBinding| match acl.pattern_type {
        PatternType::Literal => acl.name == name || acl.name == "*",
        PatternType::Prefixed => name.starts_with(&acl.name),
    };
    let applying: Vec<_> = acls.iter().filter(applies).collect();
    let concerns = |acl: &&&AclBinding| acl.principal == "User:*" || acl.principal == format!("User:{user}");
    let implied = |acl: &AclBinding| {
        operation == Operation::Describe
            && [Operation::Read, Operation::Write, Operation::Delete, Operation::Alter].contains(&acl.operation)
            || operation == Operation::DescribeConfigs && acl.operation == Operation::AlterConfigs
    };
    let says = |permission, implies: bool| {
        applying.iter().filter(concerns).any(|acl| {
            let covers = [operation, Operation::All].contains(&acl.operation) || implies && implied(acl);
            acl.permission == permission && covers
        })
    };
    match () {
        () if applying.is_empty() => Decision::NoRule,
        () if says(Permission::Deny, false) => Decision::Denied,
        () if says(Permission::Allow, true) => Decision::Allowed,
        () => Decision::Denied,
    }
}

fn any_acl() -> impl Strategy<Value = AclBinding> {
    let kind = prop::sample::select(PatternType::ALL);
    let name = prop::sample::select(&["*", "a", "ab", "abc", "b", "é", "éa"][..]);
    let user = prop::sample::select(&["User:*", "User:x", "User:y"][..]);
    let operation = prop::sample::select(Operation::ALL);
    let permission = prop::sample::select(Permission::ALL);
    (kind, name, user, operation, permission).prop_map(|(k, n, u, o, p)| acl(k, n, u, o, p))
}

proptest! {
    #[test]
    fn the_index_says_what_all_rules_say(
        acls in prop::collection::vec(any_acl(), 0..12),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut index = index(acls.clone());
        let mut left = acls.clone();
        for which in removed {
            if !acls.is_empty() {
                let acl = which.get(&acls);
                index.remove(acl);
                left.retain(|other| other != acl);
            }
        }
        for name in ["a", "ab", "abcd", "b", "c", "é", "ê", "éab"] {
            for user in ["x", "z"] {
                for operation in Operation::ALL {
                    let expected = naive(&left, user, *operation, name);
                    prop_assert_eq!(asks(&index, user, *operation, name), expected, "{} {:?} {}", user, operation, name);
                }
            }
        }
    }
}
