//! A member of a consumer group.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use fleuve_base::{Error, Result};

use super::assignment::Assignment;
use super::assignor::Assignor;
use crate::groups::fields::{Reader, Writer};
use crate::groups::record::GroupType;

/// Where a member is on its way to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MemberState {
    /// It has what it was to have at its epoch.
    #[default]
    Stable = 0,
    /// It has yet to give partitions back.
    Unrevoked = 1,
    /// It waits for partitions that others have yet to give back.
    Unreleased = 2,
}

/// A member. What is above the line is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub id: String,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// Topics that it names.
    pub topics: BTreeSet<String>,
    /// And those whose whole names match this.
    pub regex: Option<String>,
    /// The assignor that it prefers.
    pub assignor: Option<Assignor>,
    pub rebalance_timeout: Duration,
    /// Of its assignment; −2 for a static member that is away for a while.
    pub epoch: i32,
    /// In case that the answer with the newer one was lost.
    pub previous_epoch: i32,
    pub state: MemberState,
    /// What it may read.
    pub assigned: Assignment,
    /// What it must give back.
    pub revoking: Assignment,
    /// What it is to have.
    pub target: Assignment,
    // ---
    /// When it is given up, unless it is heard of before.
    pub expires: Duration,
    /// When it must have given back.
    pub revoke_until: Option<Duration>,
}

impl Member {
    /// Takes the next epoch.
    pub fn advance(&mut self, epoch: i32) {
        if self.epoch != epoch {
            (self.previous_epoch, self.epoch) = (self.epoch, epoch);
        }
    }

    /// Bytes of what it says.
    pub fn bytes(&self) -> usize {
        self.topics.iter().map(String::len).sum::<usize>() + self.regex.as_ref().map_or(0, String::len)
    }

    /// The value of its record.
    pub fn encode(&self) -> Bytes {
        let writer = GroupType::Consumer
            .begin()
            .optional(self.instance_id.as_deref())
            .optional(self.rack_id.as_deref())
            .str(&self.client_id)
            .str(&self.client_host)
            .list(self.topics.iter(), |writer: Writer, topic| writer.str(topic))
            .optional(self.regex.as_deref())
            .optional(self.assignor.map(Assignor::name))
            .i64(i64::try_from(self.rebalance_timeout.as_millis()).unwrap_or(i64::MAX))
            .i32(self.epoch)
            .i32(self.previous_epoch)
            .u8(self.state as u8);
        self.target.encode(self.revoking.encode(self.assigned.encode(writer))).finish()
    }

    /// Reads what follows the type.
    pub fn decode(id: String, reader: &mut Reader) -> Result<Self> {
        Ok(Member {
            id,
            instance_id: reader.optional()?,
            rack_id: reader.optional()?,
            client_id: reader.str()?,
            client_host: reader.str()?,
            topics: reader.list(Reader::str)?.into_iter().collect(),
            regex: reader.optional()?,
            assignor: reader.optional()?.as_deref().and_then(Assignor::find),
            rebalance_timeout: Duration::from_millis(u64::try_from(reader.i64()?).unwrap_or(0)),
            epoch: reader.i32()?,
            previous_epoch: reader.i32()?,
            state: read_state(reader)?,
            assigned: Assignment::decode(reader)?,
            revoking: Assignment::decode(reader)?,
            target: Assignment::decode(reader)?,
            expires: Duration::MAX,
            revoke_until: None,
        })
    }
}

fn read_state(reader: &mut Reader) -> Result<MemberState> {
    match reader.u8()? {
        0 => Ok(MemberState::Stable),
        1 => Ok(MemberState::Unrevoked),
        2 => Ok(MemberState::Unreleased),
        other => Err(Error::corrupt(format!("a member of a group is in the unknown state {other}"))),
    }
}
