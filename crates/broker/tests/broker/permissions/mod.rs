//! Every API against every role: what is not allowed is refused, and exactly the permission that Kafka asks for allows it.

mod rows;

use std::collections::BTreeSet;

use fleuve_broker::BrokerConfig;
use fleuve_broker::security::Operation::*;
use fleuve_broker::security::{CLUSTER_NAME, ResourceType};
use fleuve_wire::messages::create_acls_request::CreateAclsRequest;
use fleuve_wire::messages::list_transactions_request::ListTransactionsRequest;
use fleuve_wire::messages::metadata_request::MetadataRequest;
use fleuve_wire::{ApiKey, ErrorCode, Response};

use self::rows::{DENIALS, Grant, ID, Row, creation, rows};
use crate::producer::{Producer, TOPIC, settle};
use crate::support::{World, answer, create_request, session_of};

/// A world with a topic and a group, in which root may do all, and eve what is granted.
fn world(grants: &[Grant]) -> World {
    let config = BrokerConfig {
        super_users: vec!["User:root".to_owned()],
        allow_everyone_if_no_acl_found: false,
        ..BrokerConfig::default()
    };
    let world = World::with(config);
    let created = world.ask_as(&session_of("root"), 7, create_request(TOPIC, 1, &[]));
    assert!(codes(&created.answer()).iter().all(|code| *code == 0));
    let offset = row_named("OffsetCommit");
    let committed = world.ask_as(&session_of("root"), offset.version, offset.request);
    settle(&world, &committed);
    assert_eq!(codes(&committed.answer()), [0]);
    let name = |kind| match kind {
        ResourceType::Cluster => CLUSTER_NAME,
        ResourceType::Topic => TOPIC,
        _ => ID,
    };
    let creations: Vec<_> =
        grants.iter().map(|(operation, kind)| creation("eve", *operation, *kind, name(*kind))).collect();
    if !creations.is_empty() {
        let granted = world.ask_as(&session_of("root"), 1, CreateAclsRequest { creations });
        settle(&world, &granted);
        assert!(codes(&granted.answer()).iter().all(|code| *code == 0));
    }
    world
}

fn row_named(name: &str) -> Row {
    rows().into_iter().find(|row| row.name == name).expect("a row of that name")
}

/// All error codes in an answer, wherever they stand in it.
fn codes(response: &Response) -> Vec<i16> {
    let text = format!("{response:?}");
    let numbers = text.split("error_code: ").skip(1);
    numbers.filter_map(|rest| rest.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?.parse().ok()).collect()
}

/// The errors of permission that eve gets.
fn denials(grants: &[Grant], row: &Row) -> Vec<ErrorCode> {
    let world = world(grants);
    let asked = world.ask_as(&session_of("eve"), row.version, row.request.clone());
    settle(&world, &asked);
    codes(&asked.answer()).into_iter().map(ErrorCode).filter(|code| DENIALS.contains(code)).collect()
}

/// All there is to be allowed, but for what includes one of `without`.
fn all_but(without: &[Grant]) -> Vec<Grant> {
    let kinds = [ResourceType::Topic, ResourceType::Group, ResourceType::Cluster, ResourceType::TransactionalId];
    let all = kinds.into_iter().flat_map(|kind| kind.operations().iter().map(move |operation| (*operation, kind)));
    let includes = |(operation, kind): &Grant| {
        without.iter().any(|(missing, of)| {
            let implied = match missing {
                Describe => [Read, Write, Delete, Alter].contains(operation),
                DescribeConfigs => *operation == AlterConfigs,
                _ => false,
            };
            kind == of && (operation == missing || implied)
        })
    };
    all.filter(|grant| !includes(grant)).collect()
}

#[test]
fn what_is_needed_is_enough() {
    for row in rows().iter().filter(|row| row.needs.iter().all(|((_, kind), _)| *kind != ResourceType::DelegationToken))
    {
        let needs: Vec<Grant> = row.needs.iter().map(|(grant, _)| *grant).collect();
        assert_eq!(denials(&needs, row), [], "{}", row.name);
        for instead in &row.instead {
            assert_eq!(denials(&[*instead], row), [], "{} by {instead:?}", row.name);
        }
    }
}

#[test]
fn without_any_of_it_all_else_together_is_not_enough() {
    for row in rows() {
        assert!(!denials(&[], &row).is_empty(), "{} without anything", row.name);
        for (index, (missing, code)) in row.needs.iter().enumerate() {
            let mut without = vec![*missing];
            without.extend(row.instead.iter().filter(|_| index == 0));
            let denied = denials(&all_but(&without), &row);
            assert!(denied.contains(code), "{} without {missing:?}: {denied:?}", row.name);
        }
    }
}

#[test]
fn lists_leave_out_what_may_not_be_known() {
    let list = |grants: &[Grant]| {
        let world = world(grants);
        let mut producer = Producer::new(ID, false);
        let (version, request) = producer.init_request();
        let asked = world.ask_as(&session_of("root"), version, request.clone());
        settle(&world, &asked);
        producer.learn(&request, &asked.answer());
        let eve = session_of("eve");
        let any = ListTransactionsRequest { duration_filter: -1, ..Default::default() };
        let transactions = answer!(ListTransactions, world.ask_as(&eve, 0, any)).transaction_states.len();
        let topics =
            answer!(Metadata, world.ask_as(&eve, 9, MetadataRequest { topics: None, ..Default::default() })).topics;
        (transactions, topics.iter().filter(|topic| topic.name.as_deref() == Some(TOPIC)).count())
    };
    assert_eq!(list(&[]), (0, 0));
    assert_eq!(list(&all_but(&[(Describe, ResourceType::Topic), (Describe, ResourceType::TransactionalId)])), (0, 0));
    assert_eq!(list(&[(Describe, ResourceType::TransactionalId)]), (1, 0));
    assert_eq!(list(&[(Read, ResourceType::Topic)]), (0, 1));
}

/// Who may ask for these is not a question of refusal: they tell each what that one may know.
const FOR_EVERYBODY: [ApiKey; 4] =
    [ApiKey::ApiVersions, ApiKey::DescribeCluster, ApiKey::ListTransactions, ApiKey::ListGroups];

#[test]
fn no_api_is_left_out() {
    let rows: BTreeSet<ApiKey> = rows().iter().map(|row| row.request.api_key()).chain(FOR_EVERYBODY).collect();
    let world = World::new();
    let missing: Vec<_> = world.broker.apis().iter().filter(|(key, _)| !rows.contains(key)).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}
