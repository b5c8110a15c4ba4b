//! Consumer groups: who is in them, and how far they are.

use std::collections::BTreeMap;

use fleuve_base::{Error, Result};
use fleuve_wire::messages::delete_groups_request::DeleteGroupsRequest;
use fleuve_wire::messages::describe_groups_request::DescribeGroupsRequest;
use fleuve_wire::messages::list_groups_request::ListGroupsRequest;
use fleuve_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use fleuve_wire::messages::offset_fetch_request::OffsetFetchRequest;

use super::{Client, answer, check};

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub id: String,
    /// `Stable`, `Empty` …; empty if the broker does not say.
    pub state: String,
    /// What its members speak: `consumer`, `connect` ….
    pub protocol: String,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub id: String,
    /// What the client calls itself.
    pub client: String,
    /// Where it is.
    pub host: String,
}

/// How far a group is in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where the group reads on.
    pub committed: i64,
}

impl Client {
    /// All groups, of all brokers.
    pub fn groups(&mut self) -> Result<Vec<Group>> {
        let brokers: Vec<i32> = self.brokers().keys().copied().collect();
        let mut groups = Vec::new();
        for broker in brokers {
            let listed = answer!(self.ask(broker, &ListGroupsRequest::default().into())?, ListGroups)?;
            check("ListGroups", &format!("broker {broker}"), listed.error_code, None)?;
            groups.extend(listed.groups.into_iter().map(|group| Group {
                id: group.group_id,
                state: group.group_state,
                protocol: group.protocol_type,
            }));
        }
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    }

    /// A group and its members; of one in the newer protocol only its state is known here.
    pub fn describe_group(&mut self, group: &str) -> Result<(Group, Vec<GroupMember>)> {
        let coordinator = self.coordinator(group)?;
        let request = DescribeGroupsRequest { groups: vec![group.to_owned()], ..Default::default() };
        let described = answer!(self.ask(coordinator, &request.into())?, DescribeGroups)?;
        let found = described.groups.into_iter().next();
        let found = found.ok_or_else(|| Error::internal("a group was asked for and not answered"))?;
        check("DescribeGroups", &format!("group `{group}`"), found.error_code, found.error_message.as_deref())?;
        let members = found.members.into_iter().map(|member| GroupMember {
            id: member.member_id,
            client: member.client_id,
            host: member.client_host,
        });
        let members = members.collect();
        Ok((Group { id: found.group_id, state: found.group_state, protocol: found.protocol_type }, members))
    }

    /// Where a group reads on, in every partition for which it has committed an offset.
    pub fn committed_offsets(&mut self, group: &str) -> Result<Vec<GroupOffset>> {
        let coordinator = self.coordinator(group)?;
        let request =
            OffsetFetchRequest { group_id: group.to_owned(), topics: None, require_stable: true, ..Default::default() };
        let fetched = answer!(self.ask(coordinator, &request.into())?, OffsetFetch)?;
        let what = format!("group `{group}`");
        check("OffsetFetch", &what, fetched.error_code, None)?;
        let mut offsets = Vec::new();
        for topic in fetched.topics {
            for partition in topic.partitions {
                check("OffsetFetch", &what, partition.error_code, None)?;
                offsets.push(GroupOffset {
                    topic: topic.name.clone(),
                    partition: partition.partition_index,
                    committed: partition.committed_offset,
                });
            }
        }
        offsets.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(offsets)
    }

    /// Sets where a group without members reads on.
    pub fn commit_offsets(&mut self, group: &str, offsets: &[GroupOffset]) -> Result<()> {
        let coordinator = self.coordinator(group)?;
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for offset in offsets {
            topics.entry(&offset.topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: offset.partition,
                committed_offset: offset.committed,
                ..Default::default()
            });
        }
        let topic = |(name, partitions): (&str, _)| OffsetCommitRequestTopic {
            name: name.to_owned(),
            partitions,
            ..Default::default()
        };
        let topics = topics.into_iter().map(topic).collect();
        let request = OffsetCommitRequest { group_id: group.to_owned(), topics, ..Default::default() };
        let committed = answer!(self.ask(coordinator, &request.into())?, OffsetCommit)?;
        committed.topics.iter().try_for_each(|topic| {
            topic.partitions.iter().try_for_each(|partition| {
                let what = format!("group `{group}`, topic `{}`, partition {}", topic.name, partition.partition_index);
                check("OffsetCommit", &what, partition.error_code, None)
            })
        })
    }

    /// Deletes a group that has no members.
    pub fn delete_group(&mut self, group: &str) -> Result<()> {
        let coordinator = self.coordinator(group)?;
        let request = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
        let deleted = answer!(self.ask(coordinator, &request.into())?, DeleteGroups)?;
        deleted.results.iter().try_for_each(|result| {
            check("DeleteGroups", &format!("group `{group}`"), result.error_code, result.error_message.as_deref())
        })
    }
}
