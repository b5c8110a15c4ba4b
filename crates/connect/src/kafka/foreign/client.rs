//! Settings of librdkafka from a table's `properties.*`, and its errors as ours.

use std::time::Duration;

use fleuve_base::{Error, ErrorKind, Result};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use crate::kafka::SERVERS;
use crate::options::Options;

/// How long a question to a broker may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of the Java client that say nothing here: classes, and what the engine does by itself.
const IGNORED: &[&str] = &[
    "key.deserializer",
    "value.deserializer",
    "key.serializer",
    "value.serializer",
    "enable.auto.commit",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "isolation.level",
    "group.id",
    "transactional.id",
    "partition.assignment.strategy",
];

/// The settings that all clients of a table have.
pub(super) fn config(options: &Options) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config.set("client.id", "fleuve");
    let stated = options.all().filter_map(|(key, value)| Some((key.strip_prefix("properties.")?, value)));
    for (key, value) in stated {
        match key {
            "sasl.jaas.config" => login(options, value, &mut config)?,
            "sasl.mechanism" => drop(config.set("sasl.mechanisms", value)),
            "security.protocol" => {
                check_protocol(options, value)?;
                config.set(key, value.to_ascii_lowercase());
            }
            key if IGNORED.contains(&key) => {}
            key => drop(config.set(key, value)),
        }
    }
    check_mechanism(options, &config)?;
    Ok(config)
}

/// Whether this build has TLS for foreign brokers.
const TLS: bool = cfg!(feature = "foreign-kafka-tls");

fn check_protocol(options: &Options, protocol: &str) -> Result<()> {
    if TLS || matches!(protocol.to_ascii_uppercase().as_str(), "PLAINTEXT" | "SASL_PLAINTEXT") {
        return Ok(());
    }
    let message = format!("table `{}`: 'properties.security.protocol' = '{protocol}' needs TLS", options.table());
    Err(without_tls(message))
}

/// Without OpenSSL librdkafka can do no SCRAM either.
fn check_mechanism(options: &Options, config: &ClientConfig) -> Result<()> {
    match config.get("sasl.mechanisms") {
        Some(mechanism) if !TLS && !mechanism.eq_ignore_ascii_case("PLAIN") => {
            let table = options.table();
            Err(without_tls(format!("table `{table}`: 'properties.sasl.mechanism' = '{mechanism}' needs OpenSSL")))
        }
        _ => Ok(()),
    }
}

fn without_tls(message: String) -> Error {
    Error::unsupported("E514", message).with_detail("this build speaks to other brokers without OpenSSL").with_hint(
        "build it with `--features foreign-kafka-tls`, or use a listener for PLAINTEXT or SASL_PLAINTEXT with PLAIN",
    )
}

/// Name and password out of Java's notation: `… required username="alice" password="secret";`.
fn login(options: &Options, jaas: &str, config: &mut ClientConfig) -> Result<()> {
    let value = |name: &str| {
        let (_, rest) = jaas.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let (Some(username), Some(password)) = (value("username"), value("password")) else {
        let message =
            format!("table `{}`: 'properties.sasl.jaas.config' has no username and password", options.table());
        return Err(Error::input("E502", message).with_hint("… required username=\"alice\" password=\"secret\";"));
    };
    config.set("sasl.username", username).set("sasl.password", password);
    Ok(())
}

/// A consumer that is told what to read, and commits nothing by itself. It sees no record before its transaction is
/// decided.
pub(super) fn consumer(options: &Options, group: &str) -> Result<BaseConsumer> {
    let mut config = config(options)?;
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("queued.max.messages.kbytes", "16384");
    config.create().map_err(|error| refused(options, "settings", &error))
}

/// The number of a topic's partitions.
pub(super) fn partitions(options: &Options, consumer: &BaseConsumer, topic: &str) -> Result<usize> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).map_err(|error| unreachable(options, &error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    match found.filter(|found| found.error().is_none() && !found.partitions().is_empty()) {
        Some(found) => Ok(found.partitions().len()),
        None => {
            let servers = options.stated(SERVERS).unwrap_or_default();
            let message = format!("table `{}`: there is no topic `{topic}` at {servers}", options.table());
            Err(Error::input("E509", message)
                .with_hint(format!("`fleuve topic create {topic} --bootstrap {servers}` creates it")))
        }
    }
}

/// Nobody answers.
pub(super) fn unreachable(options: &Options, error: &KafkaError) -> Error {
    let servers = options.stated(SERVERS).unwrap_or_default();
    let message = format!("table `{}`: no answer from Kafka at {servers}: {error}", options.table());
    Error::new(ErrorKind::Io, "E514", message)
        .with_hint("is a broker running there, and reachable under the address that it advertises?")
}

/// A broker, or librdkafka, said no.
pub(super) fn refused(options: &Options, what: &str, error: &KafkaError) -> Error {
    Error::new(ErrorKind::Conflict, "E515", format!("table `{}`: Kafka refuses {what}: {error}", options.table()))
}
