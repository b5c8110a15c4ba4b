//! A writer without sequence numbers: it never sends a value twice, and does not know what became of what was not
//! answered.

use fleuve_wire::ErrorCode;

use super::{Driver, Topic};
use crate::client::{Acks, Connection, Problem, Producer, batch};
use crate::context::{Context, Progress, pause, rest};
use crate::dice::Dice;
use crate::history::{Batch, Event};

/// Records of one batch.
const BATCH_RECORDS: u64 = 12;

pub(crate) struct PlainWriter {
    pub(crate) writer: u32,
    pub(crate) topic: Topic,
}

impl Driver for PlainWriter {
    fn name(&self) -> String {
        format!("plain writer {}", self.writer)
    }

    fn run(self: Box<Self>, context: &Context, mut dice: Dice, progress: &Progress) {
        let mut next = 0;
        'connected: while let Some(mut connection) = context.reconnect() {
            while !context.is_ending() {
                rest(&mut dice);
                let partition = dice.below(self.topic.partitions as u64) as i32;
                let count = 1 + dice.below(BATCH_RECORDS) as u32;
                let place = self.topic.place(partition);
                let sent = Batch { writer: self.writer, place, first: next, count, transaction: None };
                next += u64::from(count);
                let acks = if dice.percent(50) { Acks::All } else { Acks::Leader };
                match self.send(context, &mut connection, &sent, acks) {
                    Ok(()) => progress.made(),
                    Err(Problem::Refused(_)) => pause(),
                    Err(_) => continue 'connected,
                }
            }
            break;
        }
    }
}

impl PlainWriter {
    fn send(&self, context: &Context, connection: &mut Connection, sent: &Batch, acks: Acks) -> Result<(), Problem> {
        let (writer, first) = (sent.writer, sent.first);
        context.history.add(Event::Send(*sent));
        let records = batch(sent, Producer::PLAIN, -1);
        connection.produce(&self.topic.name, sent.place.partition, records, acks, None)?;
        let answer = connection.produced();
        match &answer {
            Ok(base_offset) => context.history.add(Event::Acked { writer, first, base_offset: *base_offset }),
            // After a failed write nobody knows what a restart will find.
            Err(Problem::Refused(ErrorCode::KAFKA_STORAGE_ERROR | ErrorCode::REQUEST_TIMED_OUT))
            | Err(Problem::Lost(_)) => {}
            Err(Problem::Refused(_)) => context.history.add(Event::Refused { writer, first }),
            Err(Problem::Odd(what)) => context.wrong(format!("plain writer {writer}: {what}")),
        }
        answer.map(|_| ())
    }
}
