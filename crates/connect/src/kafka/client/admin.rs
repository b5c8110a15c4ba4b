//! Settings of topics.

use fleuve_base::Result;
use fleuve_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use fleuve_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::{Client, answer, check};

/// Kafka's number for a topic among its kinds of resources.
const TOPIC: i8 = 2;

/// Kafka's numbers for what is done to a setting.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// A setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` if it is kept secret or has none.
    pub value: Option<String>,
    /// Whether it was set for this topic, and is not a default.
    pub stated: bool,
}

/// Kafka's number of the source "set for this topic".
const DYNAMIC_TOPIC_CONFIG: i8 = 1;

impl Client {
    /// The settings of a topic.
    pub fn topic_configs(&mut self, topic: &str) -> Result<Vec<ConfigEntry>> {
        let resource =
            DescribeConfigsResource { resource_type: TOPIC, resource_name: topic.to_owned(), configuration_keys: None };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        let described = answer!(self.ask_controller(&request.into())?, DescribeConfigs)?;
        let mut entries = Vec::new();
        for result in described.results {
            let what = format!("topic `{topic}`");
            check("DescribeConfigs", &what, result.error_code, result.error_message.as_deref())?;
            entries.extend(result.configs.into_iter().map(|config| ConfigEntry {
                name: config.name,
                value: config.value,
                stated: config.config_source == DYNAMIC_TOPIC_CONFIG,
            }));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Sets some settings of a topic, or takes them back to their defaults (`None`).
    pub fn alter_topic(&mut self, topic: &str, changes: &[(String, Option<String>)]) -> Result<()> {
        let change = |(name, value): &(String, Option<String>)| AlterableConfig {
            name: name.clone(),
            config_operation: if value.is_some() { SET } else { DELETE },
            value: value.clone(),
        };
        let resource = AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: topic.to_owned(),
            configs: changes.iter().map(change).collect(),
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
        let altered = answer!(self.ask_controller(&request.into())?, IncrementalAlterConfigs)?;
        altered.responses.iter().try_for_each(|result| {
            let what = format!("topic `{topic}`");
            check("IncrementalAlterConfigs", &what, result.error_code, result.error_message.as_deref())
        })
    }
}
