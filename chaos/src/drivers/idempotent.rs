//! A writer with sequence numbers: it sends several batches ahead, and all that was not acknowledged again, in order
//! and with the same numbers, until it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fleuve_wire::ErrorCode;

use super::{Driver, Topic};
use crate::client::{Acks, Connection, Outcome, Problem, Producer, batch};
use crate::context::{Context, Progress, pause, rest};
use crate::dice::Dice;
use crate::history::{Batch, Event};

/// Batches that are sent ahead: as many as the broker remembers of a producer.
const IN_FLIGHT_MAX: usize = 5;

/// Records of one batch.
const BATCH_RECORDS: u64 = 12;

pub(crate) struct IdempotentWriter {
    pub(crate) writer: u32,
    pub(crate) topic: Topic,
}

/// Sent, and not acknowledged yet.
struct Pending {
    batch: Batch,
    sequence: i32,
}

struct State<'a> {
    own: &'a IdempotentWriter,
    context: &'a Context,
    progress: &'a Progress,
    producer: Producer,
    pending: VecDeque<Pending>,
    sequences: BTreeMap<i32, i32>,
    next: u64,
}

impl Driver for IdempotentWriter {
    fn name(&self) -> String {
        format!("idempotent writer {}", self.writer)
    }

    fn run(self: Box<Self>, context: &Context, mut dice: Dice, progress: &Progress) {
        let Some(producer) = new_producer(context) else { return };
        let (pending, sequences) = (VecDeque::new(), BTreeMap::new());
        let mut state = State { own: &self, context, progress, producer, pending, sequences, next: 0 };
        while let Some(mut connection) = context.reconnect() {
            match state.work(&mut connection, &mut dice) {
                Ok(()) => return,
                Err(Problem::Odd(what)) => return context.wrong(format!("{}: {what}", self.name())),
                Err(_) => pause(),
            }
        }
    }
}

/// The producer id, which the writer keeps for all its life.
fn new_producer(context: &Context) -> Option<Producer> {
    loop {
        let mut connection = context.reconnect()?;
        match connection.init_producer(None) {
            Ok(producer) => return Some(producer),
            Err(_) => pause(),
        }
    }
}

impl State<'_> {
    /// Writes over one connection; returns when all is acknowledged and it is time to end.
    fn work(&mut self, connection: &mut Connection, dice: &mut Dice) -> Outcome {
        self.send_again(connection)?;
        loop {
            rest(dice);
            let room = IN_FLIGHT_MAX - self.pending.len();
            let more = if self.context.is_ending() { 0 } else { dice.below(room as u64 + 1).max(u64::from(room > 0)) };
            for _ in 0..more {
                let batch = self.new_batch(dice);
                self.pending.push_back(batch);
                self.send(connection, self.pending.len() - 1)?;
            }
            if self.pending.is_empty() {
                return Ok(());
            }
            // Not every time all answers: what is in flight is a mix of old and new.
            let answers = 1 + dice.below(self.pending.len() as u64) as usize;
            if !self.take_answers(connection, answers)? {
                self.send_again(connection)?;
            }
        }
    }

    fn new_batch(&mut self, dice: &mut Dice) -> Pending {
        let partition = dice.below(self.own.topic.partitions as u64) as i32;
        let count = 1 + dice.below(BATCH_RECORDS) as u32;
        let sequence = self.sequences.entry(partition).or_default();
        let place = self.own.topic.place(partition);
        let batch = Batch { writer: self.own.writer, place, first: self.next, count, transaction: None };
        let pending = Pending { batch, sequence: *sequence };
        *sequence += count as i32;
        self.next += u64::from(count);
        self.context.history.add(Event::Send(batch));
        pending
    }

    fn send(&self, connection: &mut Connection, index: usize) -> Outcome {
        let Pending { batch: sent, sequence } = &self.pending[index];
        let records = batch(sent, self.producer, *sequence);
        connection.produce(&self.own.topic.name, sent.place.partition, records, Acks::All, None)
    }

    /// Sends all that is pending until nothing of it has failed.
    fn send_again(&mut self, connection: &mut Connection) -> Outcome {
        while !self.pending.is_empty() && !self.context.is_over() {
            (0..self.pending.len()).try_for_each(|index| self.send(connection, index))?;
            if self.take_answers(connection, self.pending.len())? {
                return Ok(());
            }
            pause();
        }
        Ok(())
    }

    /// Takes the answers to the oldest requests, or, once one has failed, to all; whether none has.
    fn take_answers(&mut self, connection: &mut Connection, count: usize) -> Outcome<bool> {
        let mut failed = BTreeSet::new();
        let mut kept = VecDeque::new();
        let mut taken = 0;
        while let Some(pending) = (taken < count || !failed.is_empty()).then(|| self.pending.pop_front()).flatten() {
            taken += 1;
            let partition = pending.batch.place.partition;
            match self.note(connection.produced(), &pending, failed.contains(&partition)) {
                Ok(true) => {}
                Ok(false) => {
                    failed.insert(partition);
                    kept.push_back(pending);
                }
                Err(problem) => {
                    self.pending.push_front(pending);
                    self.restore(kept);
                    return Err(problem);
                }
            }
        }
        self.restore(kept);
        Ok(failed.is_empty())
    }

    fn restore(&mut self, mut kept: VecDeque<Pending>) {
        kept.append(&mut self.pending);
        self.pending = kept;
    }

    /// Whether the batch is acknowledged; `after_failure`: an earlier batch of its partition has just failed.
    fn note(&self, answer: Outcome<i64>, pending: &Pending, after_failure: bool) -> Outcome<bool> {
        let Batch { writer, first, .. } = pending.batch;
        match answer {
            Ok(base_offset) => {
                self.context.history.add(Event::Acked { writer, first, base_offset });
                self.progress.made();
                Ok(true)
            }
            Err(Problem::Refused(ErrorCode::DUPLICATE_SEQUENCE_NUMBER)) => {
                self.context.history.add(Event::Acked { writer, first, base_offset: -1 });
                Ok(true)
            }
            Err(Problem::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)) if after_failure => Ok(false),
            Err(Problem::Refused(code)) if code.is_retriable() => Ok(false),
            Err(Problem::Refused(code)) => {
                let Pending { batch, sequence } = pending;
                Err(Problem::Odd(format!("{code} for {batch:?} with sequence {sequence}")))
            }
            Err(problem) => Err(problem),
        }
    }
}
