//! Settings of topics and of the broker: what they may be, what they are, and where a value comes from.

mod alter;
mod broker_settings;
mod definition;
mod describe;
mod topic_settings;

pub(crate) use definition::Definition;
pub(crate) use fleuve_journal::Settings;
pub(crate) use topic_settings::{check, codec, definition as topic_definition, timestamp_bounds_ms, topic_config};

use broker_settings::broker_entries;

use crate::config::BrokerConfig;

/// The kinds of things that have settings, by Kafka's numbers.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Where a value comes from, by Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Set for the topic.
    Topic = 1,
    /// Set for the broker when it was started.
    StaticBroker = 4,
    /// Set by nobody.
    Default = 5,
}

/// A setting with its value.
pub(crate) struct Entry {
    pub(crate) definition: &'static Definition,
    /// The definition's, or the broker's for the default of a topic's setting.
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: Source,
}

impl Entry {
    /// Whether it is a topic's setting, or its default.
    fn is_of_topic(&self) -> bool {
        topic_settings::definition(self.definition.name).is_some()
    }

    /// What the value is by this broker's settings, and what it would be if none was set.
    fn defaults(&self, broker: &BrokerConfig) -> (String, String) {
        if !self.is_of_topic() {
            return broker_settings::values(broker, self.definition);
        }
        let of = |broker| topic_settings::default_value(broker, self.definition.name);
        (of(broker), of(&BrokerConfig::default()))
    }
}

/// All settings of a topic, by name.
pub(crate) fn entries<'a>(broker: &'a BrokerConfig, settings: &'a Settings) -> impl Iterator<Item = Entry> + 'a {
    topic_settings::DEFINITIONS.iter().map(|definition| entry(broker, settings, definition))
}

/// One setting of a topic.
pub(crate) fn entry(broker: &BrokerConfig, settings: &Settings, definition: &'static Definition) -> Entry {
    let name = definition.name;
    if let Some(value) = settings.get(name) {
        return Entry { definition, name, value: value.clone(), source: Source::Topic };
    }
    let value = topic_settings::default_value(broker, name);
    let untouched = topic_settings::default_value(&BrokerConfig::default(), name);
    let source = if value == untouched { Source::Default } else { Source::StaticBroker };
    Entry { definition, name, value, source }
}
