//! What is stored of a classic group, and how it is taken up again.

use std::time::Duration;

use bytes::Bytes;
use fleuve_base::{Error, Result};

use super::{ClassicGroup, Member, State};
use crate::groups::fields::{Reader, Writer};
use crate::groups::record::GroupType;
use crate::groups::step::Step;

impl State {
    fn read(reader: &mut Reader) -> Result<Self> {
        match reader.u8()? {
            0 => Ok(State::Empty),
            1 => Ok(State::PreparingRebalance),
            2 => Ok(State::CompletingRebalance),
            3 => Ok(State::Stable),
            other => Err(Error::corrupt(format!("a group is in the unknown state {other}"))),
        }
    }
}

impl Member {
    /// The value of its record.
    pub fn encode(&self) -> Bytes {
        GroupType::Classic
            .begin()
            .optional(self.instance_id.as_deref())
            .str(&self.client_id)
            .str(&self.client_host)
            .i64(millis(self.session_timeout))
            .i64(millis(self.rebalance_timeout))
            .bytes(&self.assignment)
            .list(self.protocols.iter(), |writer: Writer, (name, metadata)| writer.str(name).bytes(metadata))
            .finish()
    }

    /// Reads what follows the type.
    pub fn decode(id: String, reader: &mut Reader) -> Result<Self> {
        Ok(Member {
            id,
            instance_id: reader.optional()?,
            client_id: reader.str()?,
            client_host: reader.str()?,
            session_timeout: duration(reader.i64()?),
            rebalance_timeout: duration(reader.i64()?),
            assignment: reader.bytes()?,
            protocols: reader.list(|reader| Ok((reader.str()?, reader.bytes()?)))?,
            joining: None,
            syncing: None,
            is_new: false,
            must_sync: false,
            expires: Duration::MAX,
        })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

impl ClassicGroup {
    /// The value of the group's record.
    pub fn encode(&self) -> Bytes {
        GroupType::Classic
            .begin()
            .u8(self.state as u8)
            .i64(self.state_since_ms)
            .i32(self.generation)
            .optional(self.protocol_type.as_deref())
            .optional(self.protocol.as_deref())
            .optional(self.leader.as_deref())
            .finish()
    }

    /// Reads what follows the type.
    pub fn decode(reader: &mut Reader) -> Result<Self> {
        Ok(ClassicGroup {
            state: State::read(reader)?,
            state_since_ms: reader.i64()?,
            generation: reader.i32()?,
            protocol_type: reader.optional()?,
            protocol: reader.optional()?,
            leader: reader.optional()?,
            ..ClassicGroup::default()
        })
    }

    /// Goes on after a restart: all members are taken to be alive, and have their session timeout to say so. Members
    /// of a generation whose assignments were not yet there join again.
    pub fn resume(&mut self, step: &mut Step<'_>) {
        let statics = self.members.values().filter_map(|m| Some((m.instance_id.clone()?, m.id.clone())));
        self.instances = statics.collect();
        let ids: Vec<String> = self.members.keys().cloned().collect();
        ids.iter().for_each(|id| self.keep_alive(step, id));
        if !self.leader.as_ref().is_some_and(|leader| self.members.contains_key(leader)) {
            self.leader = self.members.keys().next().cloned();
        }
        match self.state {
            _ if self.members.is_empty() => self.become_empty_unless_it_is(step),
            State::Stable => {}
            State::Empty | State::PreparingRebalance | State::CompletingRebalance => {
                self.state = State::CompletingRebalance;
                self.prepare_rebalance(step);
            }
        }
    }
}
