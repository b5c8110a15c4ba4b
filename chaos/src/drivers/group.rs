//! A member of a group: reads the partitions that it is given from the group's offset on, and commits how far it came.

use super::reader::note_read;
use super::{Driver, Topic};
use crate::client::{Connection, Isolation, Member, Outcome, Problem};
use crate::context::{Context, Progress, pause};
use crate::dice::Dice;
use crate::history::Event;

/// After so much silence a member is out.
const SESSION_MS: i32 = 6_000;

/// How long the broker may wait for records.
const WAIT_MS: i32 = 10;

/// Of a hundred polls, after how many the offset is committed.
const COMMIT_PERCENT: u64 = 60;

pub(crate) struct GroupMember {
    pub(crate) reader: u32,
    pub(crate) group: u32,
    pub(crate) topic: Topic,
}

impl Driver for GroupMember {
    fn name(&self) -> String {
        format!("member {} of group {}", self.reader, self.group)
    }

    fn run(self: Box<Self>, context: &Context, mut dice: Dice, progress: &Progress) {
        let mut id = String::new();
        while let Some(mut connection) = context.reconnect() {
            match self.work(context, &mut connection, &mut id, &mut dice, progress) {
                Ok(()) => return,
                Err(Problem::Odd(what)) => return context.wrong(format!("{}: {what}", self.name())),
                Err(Problem::Refused(_)) => {
                    // Whatever it is, the member begins anew, as one that the group does not know.
                    id.clear();
                    pause();
                }
                Err(Problem::Lost(_)) => {}
            }
            if context.is_ending() {
                return;
            }
        }
    }
}

impl GroupMember {
    fn work(
        &self,
        context: &Context,
        connection: &mut Connection,
        id: &mut String,
        dice: &mut Dice,
        progress: &Progress,
    ) -> Outcome {
        let group = self.group.to_string();
        while !context.is_ending() {
            let member = connection.join(&group, id, self.topic.partitions, SESSION_MS)?;
            id.clone_from(&member.id);
            self.read(context, connection, &member, dice, progress)?;
        }
        Ok(())
    }

    /// Reads until the group wants to be joined again.
    fn read(
        &self,
        context: &Context,
        connection: &mut Connection,
        member: &Member,
        dice: &mut Dice,
        progress: &Progress,
    ) -> Outcome {
        let group = self.group.to_string();
        let mut positions = vec![];
        for &partition in &member.partitions {
            positions.push((partition, self.start(context, connection, partition)?));
        }
        while !context.is_ending() {
            match connection.heartbeat(&group, member) {
                Err(Problem::Refused(fleuve_wire::ErrorCode::REBALANCE_IN_PROGRESS)) => return Ok(()),
                other => other?,
            }
            progress.made();
            if positions.is_empty() {
                pause();
                continue;
            }
            let at = dice.below(positions.len() as u64) as usize;
            let (partition, from) = positions[at];
            let fetched = connection.fetch(&self.topic.name, partition, from, Isolation::Uncommitted, WAIT_MS)?;
            note_read(context, self.reader, &self.topic, partition, Isolation::Uncommitted, &fetched)?;
            positions[at].1 = fetched.next;
            if dice.percent(COMMIT_PERCENT) && fetched.next > from {
                match self.commit(context, connection, member, partition, fetched.next) {
                    Err(Problem::Refused(fleuve_wire::ErrorCode::REBALANCE_IN_PROGRESS)) => return Ok(()),
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Where the group has come to.
    fn start(&self, context: &Context, connection: &mut Connection, partition: i32) -> Outcome<i64> {
        let asked = context.history.len();
        let offset = connection.committed_offset(&self.group.to_string(), &self.topic.name, partition)?;
        let place = self.topic.place(partition);
        context.history.add(Event::Found { group: self.group, place, offset, asked });
        let offset = offset.max(0);
        context.history.add(Event::Seek { reader: self.reader, place, offset });
        Ok(offset)
    }

    fn commit(
        &self,
        context: &Context,
        connection: &mut Connection,
        member: &Member,
        partition: i32,
        offset: i64,
    ) -> Outcome {
        let (group, place) = (self.group, self.topic.place(partition));
        context.history.add(Event::Committing { group, place, offset, transaction: None });
        connection.commit_offset(&group.to_string(), member, &self.topic.name, partition, offset)?;
        context.history.add(Event::Committed { group, place, offset });
        Ok(())
    }
}
