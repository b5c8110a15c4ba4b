//! Settings: described with their sources, replaced, changed one by one.

use fleuve_broker::BrokerConfig;
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::alter_configs_request::{self, AlterConfigsRequest};
use fleuve_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use fleuve_wire::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use fleuve_wire::messages::incremental_alter_configs_request::{self, AlterableConfig, IncrementalAlterConfigsRequest};
use fleuve_wire::messages::list_config_resources_request::ListConfigResourcesRequest;

use crate::support::{World, answer, batch, error_of};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

fn describe(world: &World, resource_type: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResult {
    let configuration_keys = keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
    let resource = DescribeConfigsResource { resource_type, resource_name: name.to_owned(), configuration_keys };
    let request =
        DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, include_documentation: true };
    answer!(DescribeConfigs, world.ask(4, request)).results[0].clone()
}

fn setting(world: &World, name: &str) -> DescribeConfigsResourceResult {
    let result = describe(world, TOPIC, "orders", Some(&[name]));
    let [setting] = &result.configs[..] else { panic!("only what was asked for: {result:?}") };
    setting.clone()
}

/// Value and source.
fn value(world: &World, name: &str) -> (String, i8) {
    let setting = setting(world, name);
    (setting.value.unwrap(), setting.config_source)
}

/// What IncrementalAlterConfigs says to changes: name, operation, value.
fn change(world: &World, changes: &[(&str, i8, Option<&str>)]) -> (ErrorCode, String) {
    let change = |(name, config_operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *config_operation,
        value: value.map(str::to_owned),
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "orders".to_owned(),
        configs: changes.iter().map(change).collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let response = answer!(IncrementalAlterConfigs, world.ask(1, request)).responses[0].clone();
    (ErrorCode(response.error_code), response.error_message.unwrap_or_default())
}

fn replace(world: &World, settings: &[(&str, &str)], validate_only: bool) -> ErrorCode {
    let config = |(name, value): &(&str, &str)| alter_configs_request::AlterableConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    let resource = alter_configs_request::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "orders".to_owned(),
        configs: settings.iter().map(config).collect(),
    };
    let request = AlterConfigsRequest { resources: vec![resource], validate_only };
    ErrorCode(answer!(AlterConfigs, world.ask(2, request)).responses[0].error_code)
}

fn world(settings: &[(&str, &str)]) -> World {
    let world = World::new();
    world.create("orders", 1, settings);
    world
}

#[test]
fn a_setting_tells_where_its_value_comes_from() {
    let world = world(&[("retention.ms", "1000")]);
    let set = setting(&world, "retention.ms");
    assert_eq!((set.value.as_deref(), set.config_source, set.config_type), (Some("1000"), 1, 5));
    assert!(!set.read_only && !set.is_sensitive && set.documentation.is_some_and(|docs| !docs.is_empty()));
    let synonyms: Vec<_> = set
        .synonyms
        .iter()
        .map(|synonym| (synonym.name.as_str(), synonym.value.as_deref().unwrap(), synonym.source))
        .collect();
    assert_eq!(synonyms, [("retention.ms", "1000", 1), ("log.retention.ms", "604800000", 5)]);
    assert_eq!(value(&world, "cleanup.policy"), ("delete".to_owned(), 5));
    assert_eq!(value(&world, "durability"), ("fsync".to_owned(), 5));
}

#[test]
fn a_default_that_the_broker_was_given_is_static() {
    let config = BrokerConfig { retention_ms: Some(5), ..BrokerConfig::default() };
    let world = World::with(config);
    world.create("orders", 1, &[]);
    assert_eq!(value(&world, "retention.ms"), ("5".to_owned(), 4));
    let synonyms: Vec<i8> = setting(&world, "retention.ms").synonyms.iter().map(|synonym| synonym.source).collect();
    assert_eq!(synonyms, [4, 5]);
    assert_eq!(world.log.topic("orders").unwrap().config().retention_ms, Some(5));
}

#[test]
fn all_settings_are_given_if_none_is_named_and_none_that_is_not_there() {
    let world = world(&[]);
    let all = describe(&world, TOPIC, "orders", None);
    assert!(all.configs.len() > 20);
    assert!(all.configs.is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(describe(&world, TOPIC, "orders", Some(&[])).configs.len(), all.configs.len());
    assert!(describe(&world, TOPIC, "orders", Some(&["no.such"])).configs.is_empty());
}

#[test]
fn the_broker_describes_itself_and_no_other() {
    let world = world(&[]);
    let own = describe(&world, BROKER, "1", None);
    let find = |name: &str| own.configs.iter().find(|config| config.name == name).unwrap().clone();
    assert_eq!((find("num.partitions").value.as_deref(), find("log.retention.ms").config_source), (Some("1"), 5));
    assert!(own.configs.iter().all(|config| config.read_only));
    assert!(describe(&world, BROKER, "", None).configs.is_empty());
    assert_eq!(ErrorCode(describe(&world, BROKER, "2", None).error_code), ErrorCode::INVALID_REQUEST);
    let unknown = describe(&world, TOPIC, "nope", None);
    assert_eq!(ErrorCode(unknown.error_code), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(ErrorCode(describe(&world, TOPIC, "a/b", None).error_code), ErrorCode::INVALID_TOPIC_EXCEPTION);
    assert_eq!(ErrorCode(describe(&world, 99, "x", None).error_code), ErrorCode::INVALID_REQUEST);
}

#[test]
fn legacy_alteration_replaces_everything() {
    let world = world(&[("retention.ms", "1000"), ("cleanup.policy", "compact")]);
    assert_eq!(replace(&world, &[("max.message.bytes", "100")], true), ErrorCode::NONE);
    assert_eq!(value(&world, "retention.ms").1, 1);
    assert_eq!(replace(&world, &[("max.message.bytes", "100")], false), ErrorCode::NONE);
    assert_eq!(value(&world, "retention.ms"), ("604800000".to_owned(), 5));
    assert_eq!(value(&world, "cleanup.policy"), ("delete".to_owned(), 5));
    assert_eq!(replace(&world, &[("retention.ms", "no")], false), ErrorCode::INVALID_CONFIG);
    // The new limit holds at once, and after a restart.
    let large = batch(&[&"x".repeat(100)]);
    assert_eq!(error_of(&world.produce("orders", 0, &large)), ErrorCode::MESSAGE_TOO_LARGE);
    let world = world.restart();
    assert_eq!(value(&world, "max.message.bytes"), ("100".to_owned(), 1));
    assert_eq!(error_of(&world.produce("orders", 0, &large)), ErrorCode::MESSAGE_TOO_LARGE);
}

#[test]
fn incremental_alteration_changes_only_what_it_names() {
    let world = world(&[("retention.ms", "1000"), ("segment.ms", "5000")]);
    assert_eq!(change(&world, &[("retention.ms", 0, Some("2000")), ("segment.ms", 1, None)]).0, ErrorCode::NONE);
    assert_eq!(value(&world, "retention.ms"), ("2000".to_owned(), 1));
    assert_eq!(value(&world, "segment.ms"), ("604800000".to_owned(), 5));
    assert_eq!(change(&world, &[("cleanup.policy", 2, Some("compact"))]).0, ErrorCode::NONE);
    assert_eq!(value(&world, "cleanup.policy"), ("delete,compact".to_owned(), 1));
    assert_eq!(change(&world, &[("cleanup.policy", 3, Some("delete"))]).0, ErrorCode::NONE);
    assert_eq!(value(&world, "cleanup.policy"), ("compact".to_owned(), 1));
}

#[test]
fn wrong_changes_are_refused_and_change_nothing() {
    let world = world(&[("retention.ms", "1000")]);
    let refused = |changes: &[(&str, i8, Option<&str>)], code, text| {
        let (found, message) = change(&world, changes);
        assert_eq!(found, code, "{message}");
        assert!(message.contains(text), "{message}");
    };
    refused(&[("retention.ms", 0, Some("x"))], ErrorCode::INVALID_CONFIG, "Not a number of type LONG");
    refused(&[("segment.bytes", 0, Some("5"))], ErrorCode::INVALID_CONFIG, "Value must be at least 1048576");
    refused(&[("no.such", 0, Some("5"))], ErrorCode::INVALID_CONFIG, "Unknown topic config name: no.such");
    refused(&[("retention.ms", 2, Some("5"))], ErrorCode::INVALID_CONFIG, "append is not allowed");
    refused(&[("retention.ms", 0, None)], ErrorCode::INVALID_REQUEST, "Null value");
    refused(&[("retention.ms", 9, Some("5"))], ErrorCode::INVALID_REQUEST, "Unknown operation");
    refused(
        &[("retention.ms", 0, Some("5")), ("retention.ms", 1, None)],
        ErrorCode::INVALID_REQUEST,
        "duplicate config keys",
    );
    refused(&[("compression.type", 0, Some("none"))], ErrorCode::INVALID_CONFIG, "compression.type");
    refused(&[("remote.storage.enable", 0, Some("true"))], ErrorCode::INVALID_CONFIG, "Tiered Storage");
    refused(
        &[("min.compaction.lag.ms", 0, Some("6")), ("max.compaction.lag.ms", 0, Some("5"))],
        ErrorCode::INVALID_CONFIG,
        "conflict",
    );
    // The good half of a bad request is not done either.
    refused(&[("retention.ms", 0, Some("5")), ("no.such", 0, Some("5"))], ErrorCode::INVALID_CONFIG, "Unknown");
    assert_eq!(value(&world, "retention.ms"), ("1000".to_owned(), 1));
}

#[test]
fn what_cannot_be_set_while_the_broker_runs_is_refused_in_words() {
    let world = World::new();
    for (kind, name, setting, words) in [
        (BROKER, "1", "log.retention.ms", "cannot be updated dynamically"),
        (BROKER, "", "message.max.bytes", "cannot be updated dynamically"),
        (GROUP, "readers", "consumer.session.timeout.ms", "A group has no settings of its own"),
    ] {
        let change = AlterableConfig { name: setting.to_owned(), config_operation: 0, value: Some("1000".to_owned()) };
        let resource = incremental_alter_configs_request::AlterConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: vec![change],
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let response = answer!(IncrementalAlterConfigs, world.ask(1, request)).responses[0].clone();
        assert_eq!(ErrorCode(response.error_code), ErrorCode::INVALID_REQUEST);
        assert!(response.error_message.is_some_and(|message| message.contains(words)), "{setting}");
    }
}

#[test]
fn resources_with_settings_are_listed() {
    let world = world(&[]);
    let list = |version, resource_types: &[i8]| -> Vec<(i8, String)> {
        let request = ListConfigResourcesRequest { resource_types: resource_types.to_vec() };
        let response = answer!(ListConfigResources, world.ask(version, request));
        let resources = response.config_resources.into_iter();
        resources.map(|resource| (resource.resource_type, resource.resource_name)).collect()
    };
    assert_eq!(list(0, &[]), []);
    assert_eq!(list(1, &[BROKER]), [(BROKER, "1".to_owned())]);
    assert!(list(1, &[TOPIC]).contains(&(TOPIC, "orders".to_owned())));
    assert!(!list(1, &[]).iter().any(|(_, name)| name == "__cluster_metadata"));
}
