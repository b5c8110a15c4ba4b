//! A writer of transactions: records into several partitions and an offset of a group, all of it or nothing.
//!
//! After every trouble it begins anew with the next epoch of its id, as a client that was restarted; sometimes it then
//! lets its predecessor write once more, which must be refused.

use std::collections::BTreeMap;

use fleuve_wire::ErrorCode;

use super::{Driver, Topic};
use crate::client::{Acks, Connection, Outcome, Problem, Producer, batch};
use crate::context::{Context, Progress, pause};
use crate::dice::Dice;
use crate::history::{Batch, Event};

/// Records of one batch.
const BATCH_RECORDS: u64 = 8;

/// Batches of one transaction.
const BATCHES: u64 = 4;

/// Of a hundred transactions, how many are aborted.
const ABORT_PERCENT: u64 = 35;

/// Of a hundred new epochs, after how many the old one writes once more.
const ZOMBIE_PERCENT: u64 = 40;

/// Of a hundred transactions, after how many the writer begins anew without need.
const RESTART_PERCENT: u64 = 10;

/// The group whose offsets the transactions commit; the offset is the transaction's number.
pub(crate) const OFFSETS_GROUP: u32 = 1000;

pub(crate) struct TransactionalWriter {
    pub(crate) writer: u32,
    pub(crate) topic: Topic,
    /// Whether the broker has groups.
    pub(crate) offsets: bool,
}

struct State<'a> {
    own: &'a TransactionalWriter,
    id: String,
    context: &'a Context,
    progress: &'a Progress,
    producer: Producer,
    sequences: BTreeMap<i32, i32>,
    next: u64,
    transaction: u64,
    /// The epoch before, if it is to write once more.
    zombie: Option<Producer>,
}

impl Driver for TransactionalWriter {
    fn name(&self) -> String {
        format!("transactional writer {}", self.writer)
    }

    fn run(self: Box<Self>, context: &Context, mut dice: Dice, progress: &Progress) {
        let id = format!("transactions-{}", self.writer);
        let mut state = State {
            own: &self,
            id,
            context,
            progress,
            producer: Producer::PLAIN,
            sequences: BTreeMap::new(),
            next: 0,
            transaction: 0,
            zombie: None,
        };
        while let Some(mut connection) = context.reconnect() {
            match state.work(&mut connection, &mut dice) {
                Ok(()) if context.is_ending() => return,
                Ok(()) | Err(Problem::Lost(_)) => {}
                Err(Problem::Refused(_)) => pause(),
                Err(Problem::Odd(what)) => return context.wrong(format!("{}: {what}", self.name())),
            }
        }
    }
}

impl State<'_> {
    /// Takes the next epoch and writes transactions.
    fn work(&mut self, connection: &mut Connection, dice: &mut Dice) -> Outcome {
        let begun = self.begin(connection)?;
        let before = std::mem::replace(&mut self.producer, begun);
        self.sequences.clear();
        self.zombie = (before != Producer::PLAIN && dice.percent(ZOMBIE_PERCENT)).then_some(before);
        loop {
            // The one who ends has no transaction open.
            if self.context.is_ending() || dice.percent(RESTART_PERCENT) {
                return Ok(());
            }
            self.transaction += 1;
            self.write(connection, dice)?;
            self.progress.made();
        }
    }

    /// The next epoch; while the broker still ends the last transaction it must be asked again.
    fn begin(&self, connection: &mut Connection) -> Outcome<Producer> {
        loop {
            match connection.init_producer(Some(&self.id)) {
                Err(Problem::Refused(code)) if code.is_retriable() && !self.context.is_over() => pause(),
                other => return other,
            }
        }
    }

    fn write(&mut self, connection: &mut Connection, dice: &mut Dice) -> Outcome {
        let partitions: Vec<i32> = (0..self.own.topic.partitions).collect();
        self.retry(|| connection.add_partitions(&self.id, self.producer, &self.own.topic.name, &partitions))?;
        if let Some(old) = self.zombie.take() {
            self.write_as_zombie(connection, old, dice)?;
        }
        for _ in 0..=dice.below(BATCHES) {
            let batch = self.new_batch(dice);
            self.send(connection, &batch)?;
        }
        if self.own.offsets && dice.percent(50) {
            self.commit_offset(connection)?;
        }
        if dice.percent(3) {
            // Walks away in the middle, as a client that is killed.
            return Err(Problem::Lost("walked away".to_owned()));
        }
        let (writer, transaction, commit) = (self.own.writer, self.transaction, !dice.percent(ABORT_PERCENT));
        self.context.history.add(Event::Ending { writer, transaction, commit });
        self.retry(|| connection.end_transaction(&self.id, self.producer, commit))?;
        self.context.history.add(Event::Ended { writer, transaction, commit });
        Ok(())
    }

    fn retry(&self, mut ask: impl FnMut() -> Outcome) -> Outcome {
        loop {
            match ask() {
                Err(Problem::Refused(code)) if code == ErrorCode::CONCURRENT_TRANSACTIONS => pause(),
                other => return other,
            }
        }
    }

    fn new_batch(&mut self, dice: &mut Dice) -> Batch {
        let partition = dice.below(self.own.topic.partitions as u64) as i32;
        let count = 1 + dice.below(BATCH_RECORDS) as u32;
        let (writer, place) = (self.own.writer, self.own.topic.place(partition));
        let batch = Batch { writer, place, first: self.next, count, transaction: Some(self.transaction) };
        self.next += u64::from(count);
        batch
    }

    fn send(&mut self, connection: &mut Connection, sent: &Batch) -> Outcome {
        let Batch { writer, place, first, .. } = *sent;
        self.context.history.add(Event::Send(*sent));
        let sequence = self.sequences.entry(place.partition).or_default();
        let records = batch(sent, self.producer, *sequence);
        *sequence += sent.count as i32;
        connection.produce(&self.own.topic.name, place.partition, records, Acks::All, Some(&self.id))?;
        let base_offset = connection.produced()?;
        self.context.history.add(Event::Acked { writer, first, base_offset });
        Ok(())
    }

    fn commit_offset(&self, connection: &mut Connection) -> Outcome {
        let (partition, offset) = (self.own.writer as i32 % self.own.topic.partitions, self.transaction as i64);
        let (group, place) = (OFFSETS_GROUP + self.own.writer, self.own.topic.place(partition));
        let transaction = Some((self.own.writer, self.transaction));
        self.context.history.add(Event::Committing { group, place, offset, transaction });
        let at = (self.own.topic.name.as_str(), partition, offset);
        self.retry(|| connection.commit_offset_in(&self.id, self.producer, &group.to_string(), at))
    }

    /// Writes with an epoch that is fenced off, into the transaction that its successor has open.
    fn write_as_zombie(&mut self, connection: &mut Connection, old: Producer, dice: &mut Dice) -> Outcome {
        let sent = self.new_batch(dice);
        self.context.history.add(Event::Send(sent));
        let records = batch(&sent, old, 0);
        connection.produce(&self.own.topic.name, sent.place.partition, records, Acks::All, Some(&self.id))?;
        match connection.produced() {
            Ok(offset) => {
                let what =
                    format!("epoch {} wrote at {offset} after {} had begun: {sent:?}", old.epoch, self.producer.epoch);
                self.context.wrong(format!("{}: {what}", self.own.name()));
                Ok(())
            }
            Err(Problem::Refused(_)) => {
                self.context.history.add(Event::Refused { writer: sent.writer, first: sent.first });
                Ok(())
            }
            Err(problem) => Err(problem),
        }
    }
}
