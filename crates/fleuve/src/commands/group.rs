//! `group`: consumer groups, how far they are, and where they read on.

use std::collections::BTreeMap;

use fleuve_base::{Error, Result};
use fleuve_connect::kafka::client::{Client, GroupOffset};
use serde_json::{Value, json};

use super::place::Place;
use super::target::client;
use crate::args::{GroupCommand, ResetArguments, TargetArguments};
use crate::output::{listing, say};

/// `fleuve group …`
pub fn run(command: &GroupCommand, as_json: bool) -> Result<()> {
    match command {
        GroupCommand::List(target) => list(target, as_json),
        GroupCommand::Describe { group, target } => describe(group, target, as_json),
        GroupCommand::Reset(arguments) => reset(arguments, as_json),
        GroupCommand::Delete { group, target } => {
            client(target)?.delete_group(group)?;
            say(format!("{group} deleted\n"))?;
            Ok(())
        }
    }
}

fn list(target: &TargetArguments, as_json: bool) -> Result<()> {
    let groups = client(target)?.groups()?.into_iter();
    let rows = groups.map(|group| vec![json!(group.id), json!(group.state), json!(group.protocol)]).collect();
    listing::print(&["group", "state", "protocol"], rows, as_json)
}

fn describe(group: &str, target: &TargetArguments, as_json: bool) -> Result<()> {
    let mut client = client(target)?;
    let committed = client.committed_offsets(group)?;
    let described = client.describe_group(group);
    if committed.is_empty() {
        // Without a place and without members it is no group.
        let (found, _) = described.as_ref().map_err(Clone::clone)?;
        if found.state == "Dead" {
            return Err(Error::input("E515", format!("there is no group `{group}`"))
                .with_hint("`fleuve group list` shows the groups that there are"));
        }
    }
    let rows = lags(&mut client, &committed)?;
    if let (Ok((group, members)), false) = (&described, listing::is_json(as_json)) {
        say(format!("{}  {}  {} members\n\n", group.id, group.state, members.len()))?;
    }
    listing::print(&["topic", "partition", "committed", "end", "lag"], rows, as_json)?;
    if let (Ok((_, members)), false) = (described, listing::is_json(as_json))
        && !members.is_empty()
    {
        say("\n")?;
        let rows = members.into_iter().map(|member| vec![json!(member.id), json!(member.client), json!(member.host)]);
        listing::print(&["member", "client", "host"], rows.collect(), as_json)?;
    }
    Ok(())
}

/// How far a group is in each partition, and how far it could be.
fn lags(client: &mut Client, committed: &[GroupOffset]) -> Result<Vec<Vec<Value>>> {
    let mut ends: BTreeMap<&str, BTreeMap<i32, i64>> = BTreeMap::new();
    for offset in committed {
        if !ends.contains_key(offset.topic.as_str()) {
            // A topic that is gone has no end.
            let found = client.topic(&offset.topic).and_then(|topic| client.latest_offsets(&topic));
            ends.insert(&offset.topic, found.unwrap_or_default());
        }
    }
    let row = |offset: &GroupOffset| {
        let end = ends.get(offset.topic.as_str()).and_then(|ends| ends.get(&offset.partition));
        let lag = end.map(|end| (end - offset.committed).max(0));
        vec![json!(offset.topic), json!(offset.partition), json!(offset.committed), json!(end), json!(lag)]
    };
    Ok(committed.iter().map(row).collect())
}

fn reset(arguments: &ResetArguments, as_json: bool) -> Result<()> {
    let mut client = client(&arguments.target)?;
    let mut topic = client.topic(&arguments.topic)?;
    if let Some(partition) = arguments.partition {
        topic.leader(partition)?;
        topic.partitions.retain(|known| known.number == partition);
    }
    let offsets = match Place::parse("--to", &arguments.to, client.env().clock.now_ms())? {
        Place::Beginning => client.earliest_offsets(&topic)?,
        Place::End => client.latest_offsets(&topic)?,
        Place::Timestamp(ms) => client.offsets_for_time(&topic, ms)?,
        Place::Offset(offset) => {
            let (starts, ends) = (client.earliest_offsets(&topic)?, client.latest_offsets(&topic)?);
            let offset = i64::try_from(offset).unwrap_or(i64::MAX);
            let within = |(partition, start): (i32, i64)| {
                (partition, offset.clamp(start, ends.get(&partition).copied().unwrap_or(start).max(start)))
            };
            starts.into_iter().map(within).collect()
        }
    };
    let offset = |(partition, committed): (&i32, &i64)| GroupOffset {
        topic: topic.name.clone(),
        partition: *partition,
        committed: *committed,
    };
    let offsets: Vec<GroupOffset> = offsets.iter().map(offset).collect();
    if !arguments.dry_run {
        client.commit_offsets(&arguments.group, &offsets)?;
    }
    let rows = offsets.iter().map(|o| vec![json!(o.topic), json!(o.partition), json!(o.committed)]).collect();
    listing::print(&["topic", "partition", "committed"], rows, as_json)
}
