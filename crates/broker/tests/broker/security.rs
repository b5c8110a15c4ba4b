//! Users, access rules and limits as an administrator handles them, over restarts.

use std::time::Duration;

use bytes::Bytes;
use fleuve_broker::security::{QuotaKey, SaslStep, ScramMechanism};
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::alter_client_quotas_request::{AlterClientQuotasRequest, EntityData, EntryData, OpData};
use fleuve_wire::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use fleuve_wire::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use fleuve_wire::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use fleuve_wire::messages::describe_acls_request::DescribeAclsRequest;
use fleuve_wire::messages::describe_client_quotas_request::{ComponentData, DescribeClientQuotasRequest};
use fleuve_wire::messages::describe_user_scram_credentials_request::{DescribeUserScramCredentialsRequest, UserName};

use crate::producer::settle;
use crate::support::{World, answer};

/// The answer of that kind, after commit rounds.
macro_rules! settled {
    ($kind:ident, $world:expr, $version:expr, $request:expr) => {{
        let asked = $world.ask($version, $request);
        settle($world, &asked);
        answer!($kind, asked)
    }};
}

fn upsertion(user: &str, password: &str) -> ScramCredentialUpsertion {
    let mechanism = ScramMechanism::Sha256;
    let salted = mechanism.salted_password(password.as_bytes(), b"salt", 4096);
    ScramCredentialUpsertion {
        name: user.to_owned(),
        mechanism: mechanism.code(),
        iterations: 4096,
        salt: Bytes::from_static(b"salt"),
        salted_password: salted.into(),
    }
}

fn alter(
    world: &World,
    upsertions: Vec<ScramCredentialUpsertion>,
    deletions: &[(&str, i8)],
) -> Vec<(String, ErrorCode)> {
    let deletion =
        |(name, mechanism): &(&str, i8)| ScramCredentialDeletion { name: (*name).to_owned(), mechanism: *mechanism };
    let request = AlterUserScramCredentialsRequest { deletions: deletions.iter().map(deletion).collect(), upsertions };
    let response = settled!(AlterUserScramCredentials, world, 0, request);
    response.results.into_iter().map(|result| (result.user, ErrorCode(result.error_code))).collect()
}

fn logs_in(world: &World, user: &str, password: &str) -> bool {
    let mut login = world.broker.security().login("PLAIN", true).expect("PLAIN is offered over TLS");
    matches!(login.step(format!("\0{user}\0{password}").as_bytes()), SaslStep::Done { .. })
}

#[test]
fn users_are_made_described_and_removed() {
    let world = World::new();
    let ok = |user: &str| (user.to_owned(), ErrorCode::NONE);
    assert_eq!(alter(&world, vec![upsertion("a", "one"), upsertion("b", "two")], &[]), [ok("a"), ok("b")]);
    assert!(logs_in(&world, "a", "one") && !logs_in(&world, "a", "two"));
    let world = world.power_cut();
    assert!(logs_in(&world, "a", "one") && logs_in(&world, "b", "two"));
    let described = settled!(DescribeUserScramCredentials, &world, 0, DescribeUserScramCredentialsRequest::default());
    assert_eq!(described.results.len(), 2);
    assert_eq!(described.results[0].credential_infos[0].iterations, 4096);
    let name = |name: &str| UserName { name: name.to_owned() };
    let request = DescribeUserScramCredentialsRequest { users: Some(vec![name("a"), name("c"), name("a")]) };
    let described = settled!(DescribeUserScramCredentials, &world, 0, request);
    let codes: Vec<_> = described.results.iter().map(|result| ErrorCode(result.error_code)).collect();
    assert_eq!(codes, [ErrorCode::DUPLICATE_RESOURCE, ErrorCode::RESOURCE_NOT_FOUND]);
    assert_eq!(alter(&world, vec![], &[("a", 1)]), [ok("a")]);
    assert!(!logs_in(&world, "a", "one"));
    assert!(!logs_in(&world.power_cut(), "a", "one"));
}

#[test]
fn credentials_that_cannot_be_are_refused() {
    let world = World::new();
    let refused = |change: fn(&mut ScramCredentialUpsertion)| {
        let mut upsertion = upsertion("a", "one");
        change(&mut upsertion);
        alter(&world, vec![upsertion], &[])[0].1
    };
    assert_eq!(refused(|u| u.iterations = 4095), ErrorCode::UNACCEPTABLE_CREDENTIAL);
    assert_eq!(refused(|u| u.iterations = -1), ErrorCode::UNACCEPTABLE_CREDENTIAL);
    assert_eq!(refused(|u| u.iterations = 1 << 30), ErrorCode::UNACCEPTABLE_CREDENTIAL);
    assert_eq!(refused(|u| u.salt = Bytes::new()), ErrorCode::UNACCEPTABLE_CREDENTIAL);
    assert_eq!(refused(|u| u.salted_password = Bytes::from_static(b"short")), ErrorCode::UNACCEPTABLE_CREDENTIAL);
    assert_eq!(refused(|u| u.name = String::new()), ErrorCode::UNACCEPTABLE_CREDENTIAL);
    assert_eq!(refused(|u| u.mechanism = 3), ErrorCode::UNSUPPORTED_SASL_MECHANISM);
    assert_eq!(alter(&world, vec![], &[("a", 1)])[0].1, ErrorCode::RESOURCE_NOT_FOUND);
    let twice = alter(&world, vec![upsertion("a", "one"), upsertion("a", "two")], &[]);
    assert_eq!(twice, [("a".to_owned(), ErrorCode::DUPLICATE_RESOURCE)]);
    assert!(world.broker.security().users().is_empty());
}

fn acl(name: &str, pattern: i8) -> AclCreation {
    AclCreation {
        resource_type: 2,
        resource_name: name.to_owned(),
        resource_pattern_type: pattern,
        principal: "User:a".to_owned(),
        host: "*".to_owned(),
        operation: 3,
        permission_type: 3,
    }
}

fn described(world: &World, name: Option<&str>, pattern: i8) -> Vec<String> {
    let request = DescribeAclsRequest {
        resource_type_filter: 2,
        resource_name_filter: name.map(str::to_owned),
        pattern_type_filter: pattern,
        principal_filter: None,
        host_filter: None,
        operation: 1,
        permission_type: 1,
    };
    let response = settled!(DescribeAcls, world, 3, request);
    assert_eq!(response.error_code, 0);
    response.resources.into_iter().map(|resource| resource.resource_name).collect()
}

#[test]
fn access_rules_are_made_found_and_removed() {
    let world = World::new();
    let creations = vec![acl("orders", 3), acl("ord", 4), acl("*", 3), acl("other", 3), acl("orders", 3)];
    let created = settled!(CreateAcls, &world, 3, CreateAclsRequest { creations });
    assert!(created.results.iter().all(|result| result.error_code == 0));
    let world = world.power_cut();
    assert_eq!(described(&world, None, 1), ["*", "orders", "other", "ord"]);
    assert_eq!(described(&world, Some("orders"), 3), ["orders"]);
    assert_eq!(described(&world, Some("orders"), 2), ["*", "orders", "ord"]);
    assert_eq!(described(&world, Some("ord"), 4), ["ord"]);
    let filter = DeleteAclsFilter {
        resource_type_filter: 2,
        resource_name_filter: Some("orders".to_owned()),
        pattern_type_filter: 2,
        principal_filter: None,
        host_filter: None,
        operation: 1,
        permission_type: 1,
    };
    let deleted = settled!(DeleteAcls, &world, 3, DeleteAclsRequest { filters: vec![filter] });
    assert_eq!(deleted.filter_results[0].matching_acls.len(), 3);
    assert_eq!(described(&world.power_cut(), None, 1), ["other"]);
}

#[test]
fn access_rules_that_cannot_be_are_refused() {
    let world = World::new();
    let change = |change: fn(&mut AclCreation)| {
        let mut creation = acl("orders", 3);
        change(&mut creation);
        creation
    };
    let creations = vec![
        change(|acl| acl.resource_type = 1),
        change(|acl| acl.resource_pattern_type = 2),
        change(|acl| acl.operation = 1),
        change(|acl| acl.permission_type = 1),
        change(|acl| acl.resource_name = String::new()),
        change(|acl| acl.principal = "a".to_owned()),
        change(|acl| acl.host = "somewhere".to_owned()),
        change(|acl| acl.resource_type = 4),
    ];
    let created = settled!(CreateAcls, &world, 3, CreateAclsRequest { creations });
    assert!(created.results.iter().all(|result| ErrorCode(result.error_code) == ErrorCode::INVALID_REQUEST));
    assert_eq!(described(&world, None, 1), [""; 0]);
}

fn quota(user: Option<&str>, ops: &[(&str, f64, bool)]) -> AlterClientQuotasRequest {
    let entity = EntityData { entity_type: "user".to_owned(), entity_name: user.map(str::to_owned) };
    let op =
        |(key, value, remove): &(&str, f64, bool)| OpData { key: (*key).to_owned(), value: *value, remove: *remove };
    let entry = EntryData { entity: vec![entity], ops: ops.iter().map(op).collect() };
    AlterClientQuotasRequest { entries: vec![entry], validate_only: false }
}

fn quotas(world: &World, components: Vec<ComponentData>) -> usize {
    let response = settled!(DescribeClientQuotas, world, 1, DescribeClientQuotasRequest { components, strict: false });
    response.entries.expect("no error").len()
}

#[test]
fn limits_are_set_found_held_and_removed() {
    let world = World::new();
    let alter =
        |world: &World, request| ErrorCode(settled!(AlterClientQuotas, world, 1, request).entries[0].error_code);
    let mut only_checked = quota(Some("a"), &[("producer_byte_rate", 100.0, false)]);
    only_checked.validate_only = true;
    assert_eq!(alter(&world, only_checked), ErrorCode::NONE);
    assert_eq!(quotas(&world, vec![]), 0);
    assert_eq!(alter(&world, quota(Some("a"), &[("producer_byte_rate", 100.0, false)])), ErrorCode::NONE);
    assert_eq!(alter(&world, quota(None, &[("consumer_byte_rate", 100.0, false)])), ErrorCode::NONE);
    let world = world.power_cut();
    let component = |match_type, name: Option<&str>| ComponentData {
        entity_type: "user".to_owned(),
        match_type,
        match_: name.map(str::to_owned),
    };
    assert_eq!(quotas(&world, vec![component(0, Some("a"))]), 1);
    assert_eq!(quotas(&world, vec![component(1, None)]), 1);
    assert_eq!(quotas(&world, vec![component(2, None)]), 2);
    let charge = |world: &World, user: &str| {
        let quotas = world.broker.security().quotas();
        quotas.charge(QuotaKey::ProducerByteRate, user, "c", 300.0, Duration::ZERO)
    };
    assert_eq!(charge(&world, "a"), Duration::from_secs(2));
    assert_eq!(charge(&world, "b"), Duration::ZERO);
    assert_eq!(alter(&world, quota(Some("a"), &[("producer_byte_rate", 0.0, true)])), ErrorCode::NONE);
    assert_eq!(charge(&world, "a"), Duration::ZERO);
    assert_eq!(quotas(&world.power_cut(), vec![]), 1);
}

#[test]
fn limits_that_cannot_be_are_refused() {
    let world = World::new();
    let refused = |request| ErrorCode(settled!(AlterClientQuotas, &world, 1, request).entries[0].error_code);
    for op in [("odd", 1.0, false), ("producer_byte_rate", 0.0, false), ("producer_byte_rate", f64::NAN, false)] {
        assert_eq!(refused(quota(Some("a"), &[op])), ErrorCode::INVALID_REQUEST, "{op:?}");
    }
    let mut nobody = quota(None, &[]);
    nobody.entries[0].entity.clear();
    assert_eq!(refused(nobody), ErrorCode::INVALID_REQUEST);
    let mut address = quota(None, &[]);
    address.entries[0].entity[0].entity_type = "ip".to_owned();
    assert_eq!(refused(address), ErrorCode::INVALID_REQUEST);
}
