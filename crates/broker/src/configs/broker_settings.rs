//! The broker's own settings by Kafka's names. They are given when it starts, and do not change.

use super::definition::{Allowed, Definition, Kind};
use super::topic_settings;
use super::{Entry, Source};
use crate::config::BrokerConfig;

type Value = fn(&BrokerConfig) -> String;

const fn setting(name: &'static str, kind: Kind, docs: &'static str) -> Definition {
    Definition { name, kind, allowed: Allowed::All, docs, broker_name: None }
}

/// Settings that are not the default of a topic's.
const OWN: &[(Definition, Value)] = &[
    (
        setting("allow.everyone.if.no.acl.found", Kind::Boolean, "Whether all may use what no access rule names."),
        |broker| broker.allow_everyone_if_no_acl_found.to_string(),
    ),
    (
        setting("auto.create.topics.enable", Kind::Boolean, "Whether a topic is created when a client asks for it."),
        |broker| broker.auto_create_topics.to_string(),
    ),
    (setting("broker.id", Kind::Int, "This broker's number."), |_| crate::cluster::NODE_ID.to_string()),
    (setting("default.replication.factor", Kind::Int, "There is one broker, hence one replica."), |_| "1".to_owned()),
    (
        setting("fetch.max.bytes", Kind::Int, "Bytes of the largest answer to a fetch, but for a single larger batch."),
        |broker| broker.fetch_max_bytes.to_string(),
    ),
    (setting("log.retention.check.interval.ms", Kind::Long, "How often old records are looked for."), |broker| {
        broker.retention_check_interval_ms.to_string()
    }),
    (setting("max.incremental.fetch.session.cache.slots", Kind::Int, "Fetch sessions that are kept."), |broker| {
        broker.fetch_sessions_max.to_string()
    }),
    (setting("node.id", Kind::Int, "This broker's number."), |_| crate::cluster::NODE_ID.to_string()),
    (setting("num.partitions", Kind::Int, "Partitions of a topic that is created without a number."), |broker| {
        broker.default_partitions.to_string()
    }),
    (setting("super.users", Kind::String, "Who may do everything."), |broker| broker.super_users.join(";")),
    (setting("transaction.max.timeout.ms", Kind::Int, "The longest time that a transaction may ask for."), |broker| {
        broker.transaction_timeout_max_ms.to_string()
    }),
    (
        setting("transactional.id.expiration.ms", Kind::Int, "Age at which an unused transactional id is forgotten."),
        |broker| broker.transactional_id_expiry_ms.to_string(),
    ),
];

/// The value of one of the broker's own settings, and what it would be if nothing was set.
pub(super) fn values(broker: &BrokerConfig, definition: &Definition) -> (String, String) {
    let own = OWN.iter().find(|(own, _)| own.name == definition.name);
    own.map_or_else(Default::default, |(_, value)| (value(broker), value(&BrokerConfig::default())))
}

/// All settings of the broker, by name: its own, and the defaults of its topics' settings.
pub(crate) fn broker_entries(broker: &BrokerConfig) -> Vec<Entry> {
    let own = OWN.iter().map(|(definition, _)| (definition.name, definition));
    let topics = topic_settings::DEFINITIONS.iter();
    let topics = topics.filter_map(|definition| Some((definition.broker_name?, definition)));
    let entry = |(name, definition): (&'static str, &'static Definition)| {
        let mut entry = Entry { definition, name, value: String::new(), source: Source::Default };
        let (value, untouched) = entry.defaults(broker);
        entry.source = if value == untouched { Source::Default } else { Source::StaticBroker };
        Entry { value, ..entry }
    };
    let mut entries: Vec<Entry> = own.chain(topics).map(entry).collect();
    entries.sort_by_key(|entry| entry.name);
    entries
}
