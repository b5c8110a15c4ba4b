//! DescribeConfigs and ListConfigResources.

use fleuve_wire::ErrorCode;
use fleuve_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use fleuve_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use fleuve_wire::messages::list_config_resources_request::ListConfigResourcesRequest;
use fleuve_wire::messages::list_config_resources_response::{ConfigResource, ListConfigResourcesResponse};

use super::{BROKER, BROKER_LOGGER, CLIENT_METRICS, Entry, GROUP, Source, TOPIC, broker_entries, entries};
use crate::broker::Broker;
use crate::cluster::NODE_ID;
use crate::config::BrokerConfig;
use crate::failure::{Failure, Outcome};
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::TopicKey;

impl Broker {
    pub(crate) fn describe_configs(
        &self,
        session: &Session,
        request: &DescribeConfigsRequest,
    ) -> DescribeConfigsResponse {
        let results =
            request.resources.iter().map(|resource| self.describe_config(session, request, resource)).collect();
        DescribeConfigsResponse { results, ..Default::default() }
    }

    fn describe_config(
        &self,
        session: &Session,
        request: &DescribeConfigsRequest,
        resource: &DescribeConfigsResource,
    ) -> DescribeConfigsResult {
        let mut result = DescribeConfigsResult {
            error_message: None,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        };
        match self.config_entries(session, resource) {
            Ok(entries) => {
                let asked = entries.into_iter().filter(|entry| is_asked(resource, entry));
                result.configs =
                    asked.map(|entry| describe(&self.config, request, resource.resource_type, entry)).collect();
            }
            Err(failure) => (result.error_code, result.error_message) = (failure.code.0, failure.message),
        }
        result
    }

    fn config_entries(&self, session: &Session, resource: &DescribeConfigsResource) -> Outcome<Vec<Entry>> {
        let name = &resource.resource_name;
        match resource.resource_type {
            TOPIC => {
                if !self.allows(session, Operation::DescribeConfigs, Resource::Topic(name)) {
                    return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into());
                }
                fleuve_journal::check_topic_name(name)?;
                let topic = self.topic(TopicKey::Name(name))?;
                Ok(entries(&self.config, topic.settings()).collect())
            }
            BROKER | BROKER_LOGGER => {
                if !self.allows(session, Operation::DescribeConfigs, Resource::Cluster) {
                    return Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED.into());
                }
                // The empty name stands for what was set for all brokers while they ran; nothing is.
                let is_own = is_this_broker(name)?;
                Ok(if is_own && resource.resource_type == BROKER { broker_entries(&self.config) } else { vec![] })
            }
            other => Err(Failure::new(ErrorCode::INVALID_REQUEST, format!("Unsupported resource type: {other}"))),
        }
    }

    pub(crate) fn list_config_resources(
        &self,
        session: &Session,
        version: i16,
        request: &ListConfigResourcesRequest,
    ) -> ListConfigResourcesResponse {
        match self.config_resources(session, version, request) {
            Ok(config_resources) => ListConfigResourcesResponse { config_resources, ..Default::default() },
            Err(code) => ListConfigResourcesResponse { error_code: code.0, ..Default::default() },
        }
    }

    fn config_resources(
        &self,
        session: &Session,
        version: i16,
        request: &ListConfigResourcesRequest,
    ) -> Result<Vec<ConfigResource>, ErrorCode> {
        const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
        if !self.allows(session, Operation::DescribeConfigs, Resource::Cluster) {
            return Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
        }
        let asked = match (version, &request.resource_types[..]) {
            (0, _) => &[CLIENT_METRICS],
            (_, []) => &ALL[..],
            (_, asked) => asked,
        };
        if asked.iter().any(|kind| !ALL.contains(kind)) {
            return Err(ErrorCode::UNSUPPORTED_VERSION);
        }
        let resource = |resource_type| move |resource_name| ConfigResource { resource_name, resource_type };
        let mut resources = vec![];
        for kind in asked {
            match *kind {
                TOPIC => {
                    let topics = self.visible_topics();
                    resources.extend(topics.iter().map(|topic| topic.name().to_owned()).map(resource(TOPIC)));
                }
                BROKER | BROKER_LOGGER => resources.push(resource(*kind)(NODE_ID.to_string())),
                _ => {}
            }
        }
        Ok(resources)
    }
}

/// Whether this broker is named, or with an empty name all of them.
pub(super) fn is_this_broker(name: &str) -> Outcome<bool> {
    if name.is_empty() || name == NODE_ID.to_string() {
        return Ok(!name.is_empty());
    }
    let message = format!("Unexpected broker id, expected {NODE_ID} or empty string, but received {name}");
    Err(Failure::new(ErrorCode::INVALID_REQUEST, message))
}

fn is_asked(resource: &DescribeConfigsResource, entry: &Entry) -> bool {
    let asked = resource.configuration_keys.as_deref().unwrap_or_default();
    asked.is_empty() || asked.iter().any(|name| name == entry.name)
}

fn describe(
    broker: &BrokerConfig,
    request: &DescribeConfigsRequest,
    kind: i8,
    entry: Entry,
) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult {
        name: entry.name.to_owned(),
        read_only: kind != TOPIC,
        config_source: entry.source as i8,
        is_sensitive: false,
        synonyms: if request.include_synonyms { synonyms(broker, &entry) } else { vec![] },
        config_type: entry.definition.kind as i8,
        documentation: request.include_documentation.then(|| entry.definition.docs.to_owned()),
        value: Some(entry.value),
    }
}

/// All values that the setting has by its several names, the one that counts first.
fn synonyms(broker: &BrokerConfig, entry: &Entry) -> Vec<DescribeConfigsSynonym> {
    let synonym = |name: &str, value: &str, source: Source| DescribeConfigsSynonym {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source: source as i8,
    };
    let mut synonyms = vec![];
    if entry.source == Source::Topic {
        synonyms.push(synonym(entry.name, &entry.value, Source::Topic));
    }
    let name = entry.definition.broker_name.unwrap_or(entry.definition.name);
    let (now, untouched) = entry.defaults(broker);
    if now != untouched {
        synonyms.push(synonym(name, &now, Source::StaticBroker));
    }
    synonyms.push(synonym(name, &untouched, Source::Default));
    synonyms
}
