//! Who has written what: duplicates, gaps, fenced producers, open transactions, and the lanes' epochs.
//!
//! Kafka's rules for idempotent producers (KIP-98, KIP-360): sequences of a producer's epoch are dense, the
//! last five batches are remembered so that a repeated one is answered with its first answer, and an older
//! epoch is fenced off. A *lane* is a pipeline's writer into this partition. It writes whole epochs in rising
//! order, and its last one is kept for ever, whatever retention does to the records.

use std::collections::{HashMap, VecDeque};

use fleuve_base::{Error, ErrorKind, Result};
use fleuve_record::{Attributes, BatchHeader};

use crate::codes;

/// Batches that are remembered per producer, as in Kafka: its clients have no more in flight.
pub(crate) const REMEMBERED_BATCHES: usize = 5;

/// Idempotent producers per partition.
pub(crate) const PRODUCERS_MAX: usize = 100_000;

/// Lanes per partition.
pub(crate) const LANES_MAX: usize = 65_536;

/// An idempotent producer that was silent for so long is forgotten (Kafka's default: a day).
pub(crate) const PRODUCER_EXPIRY_MS: i64 = 24 * 60 * 60 * 1000;

/// The first epoch number that no longer fits: 15 bits of producer epoch and 31 of sequence.
pub const EPOCH_END: u64 = 1 << 46;

/// One remembered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RememberedBatch {
    pub first_sequence: i32,
    pub last_sequence: i32,
    pub first_offset: u64,
    pub last_offset: u64,
}

/// One idempotent producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Producer {
    pub epoch: i16,
    pub last_append_ms: i64,
    pub transaction_start: Option<u64>,
    pub batches: VecDeque<RememberedBatch>,
}

/// One lane: the last epoch that is whole, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    pub epoch: u64,
    pub last_offset: u64,
}

/// All producers of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Producers {
    pub(crate) producers: HashMap<i64, Producer>,
    pub(crate) lanes: HashMap<i64, Lane>,
}

/// What to do with a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Append it.
    New,
    /// It is there already, at these offsets.
    Duplicate(RememberedBatch),
}

impl Producers {
    /// Judges a batch that a client wants to append.
    pub(crate) fn check(&self, header: &BatchHeader) -> Result<Verdict> {
        if header.producer_id < 0 {
            return Ok(Verdict::New);
        }
        let Some(producer) = self.producers.get(&header.producer_id) else {
            return self.check_room().map(|()| Verdict::New);
        };
        if header.producer_epoch < producer.epoch {
            return Err(fenced(header, producer.epoch));
        }
        if header.attributes.has(Attributes::CONTROL) {
            return Ok(Verdict::New);
        }
        if let Some(duplicate) = producer.duplicate_of(header) {
            return Ok(Verdict::Duplicate(duplicate));
        }
        producer.check_sequence(header).map(|()| Verdict::New)
    }

    fn check_room(&self) -> Result<()> {
        if self.producers.len() < PRODUCERS_MAX {
            return Ok(());
        }
        Err(codes::limit(format!("the partition has {PRODUCERS_MAX} idempotent producers, which is the limit")))
    }

    /// Notes a batch that was appended, or found by recovery.
    pub(crate) fn note(&mut self, header: &BatchHeader, now_ms: i64) {
        if header.attributes.has(Attributes::LANE) {
            self.note_lane(header);
        } else if header.producer_id >= 0 {
            self.note_producer(header, now_ms);
        }
    }

    fn note_lane(&mut self, header: &BatchHeader) {
        if !header.attributes.has(Attributes::EPOCH_CONTINUES) {
            let lane = Lane { epoch: epoch_of(header), last_offset: header.last_offset() as u64 };
            self.lanes.insert(header.producer_id, lane);
        }
    }

    fn note_producer(&mut self, header: &BatchHeader, now_ms: i64) {
        let producer = self.producers.entry(header.producer_id).or_insert_with(|| Producer::new(header.producer_epoch));
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        producer.last_append_ms = now_ms;
        if header.attributes.has(Attributes::CONTROL) {
            producer.transaction_start = None;
            return;
        }
        if header.attributes.has(Attributes::TRANSACTIONAL) {
            producer.transaction_start.get_or_insert(header.base_offset as u64);
        }
        producer.remember(header);
    }

    /// Forgets producers that were silent for long. Lanes stay for ever.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        let oldest = now_ms.saturating_sub(PRODUCER_EXPIRY_MS);
        self.producers.retain(|_, p| p.transaction_start.is_some() || p.last_append_ms >= oldest);
    }

    /// Offset of the first record of the oldest open transaction.
    pub(crate) fn first_open_transaction(&self) -> Option<u64> {
        self.producers.values().filter_map(|p| p.transaction_start).min()
    }
}

impl Producer {
    fn new(epoch: i16) -> Self {
        Producer { epoch, last_append_ms: 0, transaction_start: None, batches: VecDeque::new() }
    }

    fn duplicate_of(&self, header: &BatchHeader) -> Option<RememberedBatch> {
        if header.producer_epoch != self.epoch {
            return None;
        }
        let same = |b: &&RememberedBatch| {
            b.first_sequence == header.base_sequence && b.last_sequence == header.last_sequence()
        };
        self.batches.iter().find(same).copied()
    }

    fn check_sequence(&self, header: &BatchHeader) -> Result<()> {
        let expected = match self.batches.back() {
            Some(last) if header.producer_epoch == self.epoch => last.last_sequence.wrapping_add(1) & i32::MAX,
            Some(_) => 0,
            None => return Ok(()),
        };
        if header.base_sequence == expected {
            return Ok(());
        }
        let (id, found) = (header.producer_id, header.base_sequence);
        Err(Error::new(
            ErrorKind::Conflict,
            "E708",
            format!("producer {id} sent the sequence number {found} where {expected} was expected"),
        ))
    }

    fn remember(&mut self, header: &BatchHeader) {
        if self.batches.len() == REMEMBERED_BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back(RememberedBatch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            first_offset: header.base_offset as u64,
            last_offset: header.last_offset() as u64,
        });
    }
}

fn fenced(header: &BatchHeader, current: i16) -> Error {
    let (id, epoch) = (header.producer_id, header.producer_epoch);
    Error::new(ErrorKind::Conflict, "E709", format!("producer {id} of epoch {epoch} is fenced off by epoch {current}"))
}

/// A lane's batch carries its epoch in producer epoch (high 15 bits) and base sequence (low 31).
pub(crate) fn epoch_of(header: &BatchHeader) -> u64 {
    let high = u64::from(header.producer_epoch as u16 & 0x7fff);
    high << 31 | u64::from(header.base_sequence as u32 & 0x7fff_ffff)
}

/// The two header fields that hold `epoch`.
pub(crate) fn epoch_fields(epoch: u64) -> (i16, i32) {
    ((epoch >> 31 & 0x7fff) as i16, (epoch & 0x7fff_ffff) as i32)
}
