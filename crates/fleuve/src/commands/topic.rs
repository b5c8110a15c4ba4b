//! `topic`: what there is, and what is to be.

use fleuve_base::{Error, Result};
use fleuve_connect::kafka::client::{Client, NewTopic, TopicInfo};
use serde_json::{Value, json};

use super::target::{Target, client};
use crate::args::{TargetArguments, TopicCommand};
use crate::output::{listing, say};
use crate::workspace::Workspace;

/// `fleuve topic …`
pub fn run(command: &TopicCommand, as_json: bool) -> Result<()> {
    match command {
        TopicCommand::List { all, target } => list(target, *all, as_json),
        TopicCommand::Create { name, partitions, replicas, configs, target } => {
            let configs = configs.iter().map(|config| stated(config)).collect::<Result<_>>()?;
            create(target, NewTopic { name: name.clone(), partitions: *partitions, replicas: *replicas, configs })
        }
        TopicCommand::Describe { name, target } => describe(name, target, as_json),
        TopicCommand::Alter { name, partitions, configs, target } => alter(name, *partitions, configs, target),
        TopicCommand::Delete { name, target } => delete(name, target),
        TopicCommand::RecordsDelete { name, before, partition, target } => {
            delete_records(name, *before, *partition, target, as_json)
        }
    }
}

/// `KEY=VALUE` with a value.
fn stated(config: &str) -> Result<(String, String)> {
    match change(config)? {
        (key, Some(value)) => Ok((key, value)),
        (key, None) => Err(Error::input("E019", format!("the setting `{key}` has no value")).with_hint("KEY=VALUE")),
    }
}

/// `KEY=VALUE`, or `KEY=` for the default.
fn change(config: &str) -> Result<(String, Option<String>)> {
    let (key, value) = config.split_once('=').ok_or_else(|| {
        Error::input("E019", format!("a setting is KEY=VALUE, not `{config}`"))
            .with_hint("for example retention.ms=3600000")
    })?;
    Ok((key.trim().to_owned(), Some(value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)))
}

fn list(target: &TargetArguments, all: bool, as_json: bool) -> Result<()> {
    let rows = match Target::open(target, false)? {
        Target::Broker(mut client) => remote_topics(&mut client, all)?,
        Target::Data(workspace) => local_topics(workspace)?,
    };
    listing::print(&["name", "partitions", "records"], rows, as_json)
}

fn remote_topics(client: &mut Client, all: bool) -> Result<Vec<Vec<Value>>> {
    let topics = client.topics()?.into_iter().filter(|topic| all || !topic.internal);
    let mut rows = Vec::new();
    for topic in topics {
        let (start, end) = (client.earliest_offsets(&topic)?, client.latest_offsets(&topic)?);
        let records: i64 = end.values().sum::<i64>() - start.values().sum::<i64>();
        rows.push(vec![json!(topic.name), json!(topic.partitions.len()), json!(records)]);
    }
    Ok(rows)
}

fn local_topics(mut workspace: Workspace) -> Result<Vec<Vec<Value>>> {
    let mut rows = Vec::new();
    for topic in workspace.require_log()?.topics() {
        let records: u64 = topic.partitions().iter().map(|p| p.high_watermark() - p.log_start_offset()).sum();
        rows.push(vec![json!(topic.name()), json!(topic.partitions().len()), json!(records)]);
    }
    workspace.close()?;
    Ok(rows)
}

fn create(target: &TargetArguments, topic: NewTopic) -> Result<()> {
    client(target)?.create_topic(&topic)?;
    say(format!("{} created\n", topic.name))?;
    Ok(())
}

/// A partition for people and programs.
const PARTITION: [&str; 6] = ["partition", "start", "end", "leader", "replicas", "in sync"];

fn describe(name: &str, target: &TargetArguments, as_json: bool) -> Result<()> {
    match Target::open(target, false)? {
        Target::Broker(mut client) => describe_remote(name, &mut client, as_json),
        Target::Data(workspace) => {
            let rows = local_partitions(name, workspace)?;
            listing::print(&PARTITION[..3], rows, as_json)
        }
    }
}

fn local_partitions(name: &str, mut workspace: Workspace) -> Result<Vec<Vec<Value>>> {
    let topic = workspace.require_log()?.topic(name)?;
    let row = |(number, partition): (usize, &std::sync::Arc<fleuve_journal::Partition>)| {
        vec![json!(number), json!(partition.log_start_offset()), json!(partition.high_watermark())]
    };
    let rows = topic.partitions().iter().enumerate().map(row).collect();
    drop(topic);
    workspace.close()?;
    Ok(rows)
}

fn describe_remote(name: &str, client: &mut Client, as_json: bool) -> Result<()> {
    let topic = client.topic(name)?;
    let rows = remote_partitions(&topic, client)?;
    if listing::is_json(as_json) {
        return listing::print(&PARTITION, rows, as_json);
    }
    say(format!("{name}  id {}\n\n", if topic.id.is_empty() { "-" } else { &topic.id }))?;
    listing::print(&PARTITION, rows, as_json)?;
    let configs = client.topic_configs(name)?;
    let stated = configs.into_iter().filter(|config| config.stated);
    let rows: Vec<Vec<Value>> = stated.map(|config| vec![json!(config.name), json!(config.value)]).collect();
    if !rows.is_empty() {
        say("\n")?;
        listing::print(&["setting", "value"], rows, as_json)?;
    }
    Ok(())
}

fn remote_partitions(topic: &TopicInfo, client: &mut Client) -> Result<Vec<Vec<Value>>> {
    let (start, end) = (client.earliest_offsets(topic)?, client.latest_offsets(topic)?);
    let row = |partition: &fleuve_connect::kafka::client::PartitionInfo| {
        let number = partition.number;
        vec![
            json!(number),
            json!(start.get(&number)),
            json!(end.get(&number)),
            json!(partition.leader),
            json!(partition.replicas),
            json!(partition.in_sync),
        ]
    };
    Ok(topic.partitions.iter().map(row).collect())
}

fn alter(name: &str, partitions: Option<i32>, configs: &[String], target: &TargetArguments) -> Result<()> {
    if partitions.is_none() && configs.is_empty() {
        let message = "nothing is to be altered";
        return Err(Error::input("E019", message).with_hint("give --partitions N or --config KEY=VALUE"));
    }
    let changes = configs.iter().map(|config| change(config)).collect::<Result<Vec<_>>>()?;
    let mut client = client(target)?;
    if let Some(count) = partitions {
        client.add_partitions(name, count)?;
    }
    if !changes.is_empty() {
        client.alter_topic(name, &changes)?;
    }
    say(format!("{name} altered\n"))?;
    Ok(())
}

fn delete(name: &str, target: &TargetArguments) -> Result<()> {
    match Target::open(target, false)? {
        Target::Broker(mut client) => client.delete_topic(name)?,
        Target::Data(mut workspace) => {
            workspace.require_log()?.delete_topic(name)?;
            workspace.close()?;
        }
    }
    say(format!("{name} deleted\n"))?;
    Ok(())
}

fn delete_records(
    name: &str,
    before: Option<i64>,
    partition: Option<i32>,
    target: &TargetArguments,
    as_json: bool,
) -> Result<()> {
    let mut client = client(target)?;
    let topic = client.topic(name)?;
    let numbers = match partition {
        Some(number) => vec![number],
        None => topic.partitions.iter().map(|partition| partition.number).collect(),
    };
    // -1 stands for all that are there.
    let before = before.unwrap_or(-1);
    let row = |number: i32| Ok(vec![json!(number), json!(client.delete_records(&topic, number, before)?)]);
    let rows = numbers.into_iter().map(row).collect::<Result<Vec<_>>>()?;
    listing::print(&["partition", "start"], rows, as_json)
}
