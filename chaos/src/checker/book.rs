//! The history by batch and by transaction.

use std::collections::BTreeMap;

use crate::history::{Batch, Event, Moment};
use crate::value::Value;

/// A batch and what became of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) batch: Batch,
    /// The offset that was told, −1 if none was.
    pub(super) acked: Option<i64>,
    pub(super) refused: bool,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Acknowledged.
    Committed,
    /// Acknowledged, or nobody ever asked for a commit.
    Aborted,
    /// The commit was asked for and never answered.
    Unknown,
}

/// The index of the event that asked for the commit, and how it ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) asked: usize,
    pub(super) end: End,
}

#[derive(Default)]
pub(super) struct Book {
    /// By writer and number of the first value.
    batches: BTreeMap<(u32, u64), Sent>,
    /// By writer and transaction.
    endings: BTreeMap<(u32, u64), Ending>,
}

impl Book {
    pub(super) fn of(events: &[Moment]) -> Self {
        let mut book = Book::default();
        for (index, moment) in events.iter().enumerate() {
            book.note(index, &moment.event);
        }
        book
    }

    fn note(&mut self, index: usize, event: &Event) {
        match *event {
            Event::Send(batch) => {
                self.batches.insert((batch.writer, batch.first), Sent { batch, acked: None, refused: false });
            }
            Event::Acked { writer, first, base_offset } => {
                if let Some(sent) = self.batches.get_mut(&(writer, first)) {
                    sent.acked = Some(base_offset);
                }
            }
            Event::Refused { writer, first } => {
                if let Some(sent) = self.batches.get_mut(&(writer, first)) {
                    sent.refused = true;
                }
            }
            Event::Ending { writer, transaction, commit } => {
                let end = if commit { End::Unknown } else { End::Aborted };
                self.endings.insert((writer, transaction), Ending { asked: index, end });
            }
            Event::Ended { writer, transaction, commit } => {
                if let Some(ending) = self.endings.get_mut(&(writer, transaction)) {
                    ending.end = if commit { End::Committed } else { End::Aborted };
                }
            }
            _ => {}
        }
    }

    pub(super) fn batches(&self) -> impl Iterator<Item = &Sent> {
        self.batches.values()
    }

    /// The batch that a value was sent in.
    pub(super) fn sent(&self, value: Value) -> Option<&Sent> {
        let (_, sent) = self.batches.range(..=(value.writer, value.number)).next_back()?;
        let held = sent.batch.writer == value.writer && value.number < sent.batch.first + u64::from(sent.batch.count);
        held.then_some(sent)
    }

    /// How a writer's transaction ended.
    pub(super) fn ending(&self, writer: u32, transaction: u64) -> Ending {
        let never = Ending { asked: usize::MAX, end: End::Aborted };
        self.endings.get(&(writer, transaction)).copied().unwrap_or(never)
    }
}
