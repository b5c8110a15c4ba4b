//! AlterConfigs, which replaces all settings of a topic, and IncrementalAlterConfigs, which changes some.

use std::collections::HashSet;

use fleuve_wire::ErrorCode;
use fleuve_wire::messages::alter_configs_request::{self, AlterConfigsRequest};
use fleuve_wire::messages::alter_configs_response::{self, AlterConfigsResponse};
use fleuve_wire::messages::incremental_alter_configs_request::{AlterableConfig, IncrementalAlterConfigsRequest};
use fleuve_wire::messages::incremental_alter_configs_response::{self, IncrementalAlterConfigsResponse};

use super::definition::{Kind, items};
use super::describe::is_this_broker;
use super::{BROKER, BROKER_LOGGER, GROUP, Settings, TOPIC, check, entry, topic_config, topic_definition};
use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::failure::{Failure, Outcome};
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{TopicKey, is_internal};

/// What is to be done to a setting, by IncrementalAlterConfigs' numbers.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Kind and name of a resource.
type Named<'a> = (i8, &'a str);

impl Broker {
    pub(crate) fn alter_configs(&self, session: &Session, request: &AlterConfigsRequest) -> AlterConfigsResponse {
        let named = |resource: &alter_configs_request::AlterConfigsResource| {
            (resource.resource_type, resource.resource_name.clone())
        };
        let repeated = repeated(request.resources.iter().map(named));
        let responses = request.resources.iter().map(|resource| {
            let altered = check_once(&repeated, &named(resource)).and_then(|()| {
                let key = (resource.resource_type, resource.resource_name.as_str());
                self.alter(session, key, request.validate_only, |_, _| replaced(resource))
            });
            let (error_code, error_message) = told(altered);
            alter_configs_response::AlterConfigsResourceResponse {
                error_code,
                error_message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
            }
        });
        AlterConfigsResponse { responses: responses.collect(), ..Default::default() }
    }

    pub(crate) fn incremental_alter_configs(
        &self,
        session: &Session,
        request: &IncrementalAlterConfigsRequest,
    ) -> IncrementalAlterConfigsResponse {
        let names = request.resources.iter().map(|resource| (resource.resource_type, resource.resource_name.clone()));
        let repeated = repeated(names.clone());
        let responses = request.resources.iter().zip(names).map(|(resource, named)| {
            let altered = check_once(&repeated, &named).and_then(|()| {
                let key = (resource.resource_type, resource.resource_name.as_str());
                let change = |broker: &_, settings: &_| changed(broker, settings, &resource.configs);
                self.alter(session, key, request.validate_only, change)
            });
            let (error_code, error_message) = told(altered);
            incremental_alter_configs_response::AlterConfigsResourceResponse {
                error_code,
                error_message,
                resource_type: named.0,
                resource_name: named.1,
            }
        });
        IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
    }

    /// Gives the resource the settings that `change` makes of its own.
    fn alter(
        &self,
        session: &Session,
        (kind, name): Named<'_>,
        validate_only: bool,
        change: impl FnOnce(&BrokerConfig, &Settings) -> Outcome<Settings>,
    ) -> Outcome<()> {
        match kind {
            TOPIC if !self.allows(session, Operation::AlterConfigs, Resource::Topic(name)) => {
                Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into())
            }
            BROKER | BROKER_LOGGER if !self.allows(session, Operation::AlterConfigs, Resource::Cluster) => {
                Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED.into())
            }
            TOPIC => self.alter_topic(name, validate_only, change),
            BROKER | BROKER_LOGGER => is_this_broker(name).and_then(|_| {
                let message = "The broker's settings are given when it starts and cannot be updated dynamically.";
                Err(Failure::new(ErrorCode::INVALID_REQUEST, message))
            }),
            GROUP => {
                let message =
                    "A group has no settings of its own; those of all groups are given when the broker starts.";
                Err(Failure::new(ErrorCode::INVALID_REQUEST, message))
            }
            other => Err(Failure::new(ErrorCode::INVALID_REQUEST, format!("Unsupported resource type: {other}"))),
        }
    }

    fn alter_topic(
        &self,
        name: &str,
        validate_only: bool,
        change: impl FnOnce(&BrokerConfig, &Settings) -> Outcome<Settings>,
    ) -> Outcome<()> {
        let _one_at_a_time = self.altering.lock();
        let topic = self.topic(TopicKey::Name(name))?;
        if is_internal(name) {
            return Err(Failure::new(ErrorCode::POLICY_VIOLATION, format!("The topic {name} is internal.")));
        }
        let settings = change(&self.config, topic.settings())?;
        settings.iter().try_for_each(|(name, value)| check(name, value))?;
        let config = topic_config(&self.config, &settings)?;
        if !validate_only {
            self.log.alter_topic(name, config, settings)?;
        }
        Ok(())
    }
}

fn told(altered: Outcome<()>) -> (i16, Option<String>) {
    altered.err().map_or((0, None), |failure| (failure.code.0, failure.message))
}

/// The resources that a request names several times.
fn repeated(named: impl Iterator<Item = (i8, String)>) -> HashSet<(i8, String)> {
    let mut seen = HashSet::new();
    named.filter(|named| !seen.insert(named.clone())).collect()
}

fn check_once(repeated: &HashSet<(i8, String)>, named: &(i8, String)) -> Outcome<()> {
    match repeated.contains(named) {
        true => Err(Failure::new(ErrorCode::INVALID_REQUEST, "Each resource must appear at most once.")),
        false => Ok(()),
    }
}

fn null_value(name: &str) -> Failure {
    Failure::new(ErrorCode::INVALID_REQUEST, format!("Null value not supported for : {name}"))
}

fn duplicate_key(name: &str) -> Failure {
    Failure::new(ErrorCode::INVALID_REQUEST, format!("Error due to duplicate config keys: {name}"))
}

/// The settings that take the place of all others.
fn replaced(resource: &alter_configs_request::AlterConfigsResource) -> Outcome<Settings> {
    let mut settings = Settings::new();
    for config in &resource.configs {
        let value = config.value.clone().ok_or_else(|| null_value(&config.name))?;
        if settings.insert(config.name.clone(), value).is_some() {
            return Err(duplicate_key(&config.name));
        }
    }
    Ok(settings)
}

fn changed(broker: &BrokerConfig, settings: &Settings, changes: &[AlterableConfig]) -> Outcome<Settings> {
    let mut settings = settings.clone();
    for (index, config) in changes.iter().enumerate() {
        if changes[..index].iter().any(|earlier| earlier.name == config.name) {
            return Err(duplicate_key(&config.name));
        }
        change(broker, &mut settings, config)?;
    }
    Ok(settings)
}

fn change(broker: &BrokerConfig, settings: &mut Settings, change: &AlterableConfig) -> Outcome<()> {
    let name = &change.name;
    if change.config_operation == DELETE {
        settings.remove(name);
        return Ok(());
    }
    let value = change.value.clone().ok_or_else(|| null_value(name))?;
    let value = match change.config_operation {
        SET => value,
        operation @ (APPEND | SUBTRACT) => edited(&list(broker, settings, name, operation)?, &value, operation),
        other => return Err(Failure::new(ErrorCode::INVALID_REQUEST, format!("Unknown operation type {other}"))),
    };
    settings.insert(name.clone(), value);
    Ok(())
}

/// The list that is there, set or by default.
fn list(broker: &BrokerConfig, settings: &Settings, name: &str, operation: i8) -> Outcome<String> {
    let verb = if operation == APPEND { "append" } else { "subtract" };
    let definition = topic_definition(name).filter(|definition| definition.kind == Kind::List).ok_or_else(|| {
        let message = format!("Config value {verb} is not allowed for config key: {name}");
        Failure::new(ErrorCode::INVALID_CONFIG, message)
    })?;
    Ok(entry(broker, settings, definition).value)
}

fn edited(list: &str, named: &str, operation: i8) -> String {
    let mut kept: Vec<&str> = items(list).collect();
    kept.retain(|item| !items(named).any(|named| named == *item));
    if operation == APPEND {
        kept.extend(items(named));
    }
    kept.join(",")
}
