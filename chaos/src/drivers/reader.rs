//! A reader that follows all partitions of a topic without a group.

use fleuve_wire::ErrorCode;

use super::{Driver, Topic};
use crate::client::{Connection, Fetched, Isolation, Outcome, Problem};
use crate::context::{Context, Progress, pause};
use crate::dice::Dice;
use crate::history::Event;

/// How long the broker may wait for records.
const WAIT_MS: i32 = 20;

pub(crate) struct Reader {
    pub(crate) reader: u32,
    pub(crate) topic: Topic,
    pub(crate) isolation: Isolation,
}

impl Driver for Reader {
    fn name(&self) -> String {
        format!("reader {} of {}", self.reader, self.topic.name)
    }

    fn run(self: Box<Self>, context: &Context, mut dice: Dice, progress: &Progress) {
        let mut positions = vec![0; self.topic.partitions as usize];
        for partition in 0..self.topic.partitions {
            context.history.add(Event::Seek { reader: self.reader, place: self.topic.place(partition), offset: 0 });
        }
        while let Some(mut connection) = context.reconnect() {
            while !context.is_ending() {
                let partition = dice.below(positions.len() as u64) as usize;
                match self.poll(context, &mut connection, partition as i32, positions[partition]) {
                    Ok(next) => positions[partition] = next,
                    Err(Problem::Odd(what)) => return context.wrong(format!("{}: {what}", self.name())),
                    Err(Problem::Refused(ErrorCode::OFFSET_OUT_OF_RANGE)) => {
                        let at = positions[partition];
                        return context.wrong(format!("{}: {at} of partition {partition} is gone", self.name()));
                    }
                    Err(Problem::Refused(_)) => pause(),
                    Err(Problem::Lost(_)) => break,
                }
                progress.made();
            }
            if context.is_ending() {
                return;
            }
        }
    }
}

impl Reader {
    fn poll(&self, context: &Context, connection: &mut Connection, partition: i32, from: i64) -> Outcome<i64> {
        let fetched = connection.fetch(&self.topic.name, partition, from, self.isolation, WAIT_MS)?;
        note_read(context, self.reader, &self.topic, partition, self.isolation, &fetched)?;
        Ok(fetched.next)
    }
}

/// Writes down what was read.
pub(super) fn note_read(
    context: &Context,
    reader: u32,
    topic: &Topic,
    partition: i32,
    isolation: Isolation,
    fetched: &Fetched,
) -> Outcome {
    if fetched.extents.is_empty() {
        return Ok(());
    }
    let records = fetched.records.iter().map(|stored| {
        let value = stored.value.ok_or_else(|| Problem::Odd(format!("nobody wrote what lies at {}", stored.offset)))?;
        Ok((stored.offset, value))
    });
    let records = records.collect::<Outcome<Vec<_>>>()?;
    let (place, committed) = (topic.place(partition), isolation == Isolation::Committed);
    context.history.add(Event::Read { reader, place, committed, records, next: fetched.next });
    Ok(())
}
