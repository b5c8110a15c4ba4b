//! Settings of topics and of the broker: what they may be, what they are, and where a value comes from.

mod definition;
mod topic_settings;

pub(crate) use definition::Definition;
pub(crate) use fleuve_journal::Settings;
pub(crate) use topic_settings::{check, timestamp_bounds_ms, topic_config};

use crate::config::BrokerConfig;

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
    pub(crate) value: String,
    pub(crate) source: Source,
}

/// All settings of a topic, by name.
pub(crate) fn entries<'a>(broker: &'a BrokerConfig, settings: &'a Settings) -> impl Iterator<Item = Entry> + 'a {
    topic_settings::DEFINITIONS.iter().map(|definition| entry(broker, settings, definition))
}

/// One setting of a topic.
pub(crate) fn entry(broker: &BrokerConfig, settings: &Settings, definition: &'static Definition) -> Entry {
    match settings.get(definition.name) {
        Some(value) => Entry { definition, value: value.clone(), source: Source::Topic },
        None => {
            let value = topic_settings::default_value(broker, definition.name);
            let untouched = topic_settings::default_value(&BrokerConfig::default(), definition.name);
            let source = if value == untouched { Source::Default } else { Source::StaticBroker };
            Entry { definition, value, source }
        }
    }
}
