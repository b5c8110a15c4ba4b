//! Who has written what: duplicates, gaps, fenced producers, open transactions, and the lanes' epochs.
//!
//! Kafka's rules for idempotent producers (KIP-98, KIP-360): sequences of a producer's epoch are dense, the
//! last five batches are remembered so that a repeated one is answered with its first answer, and an older
//! epoch is fenced off. A *lane* is a pipeline's writer into this partition. It writes whole epochs in rising
//! order, and its last one is kept for ever, whatever retention does to the records.

use std::collections::{BTreeSet, HashMap, VecDeque};

use fleuve_base::{Error, ErrorKind, Result, canary};
use fleuve_record::{Attributes, BatchHeader, EndMarker};

use crate::codes;
use crate::transaction::Decided;

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
    /// Of the last marker's coordinator; −1 without one.
    pub coordinator_epoch: i32,
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

/// What a partition knows of an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    /// Its id.
    pub producer_id: i64,
    /// The newest epoch it wrote in.
    pub epoch: i16,
    /// Sequence number of its last record in this epoch; −1 before the first.
    pub last_sequence: i32,
    /// When it last wrote, by the log's clock.
    pub last_append_ms: i64,
    /// Epoch of the coordinator that ended its last transaction; −1 without one.
    pub coordinator_epoch: i32,
    /// Offset of the first record of its open transaction.
    pub transaction_start: Option<u64>,
}

/// What the one who appends knows about a batch beyond its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppendRules {
    /// A producer that the partition does not know must begin with the sequence number 0. Without it any will do,
    /// since retention may have taken all that the producer wrote. (KIP-890: transactions of version 2.)
    pub unknown_producer_begins_at_zero: bool,
}

/// All producers of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Producers {
    pub(crate) producers: HashMap<i64, Producer>,
    /// The starts of open transactions, and whose they are.
    open: BTreeSet<(u64, i64)>,
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
    /// Judges a batch that a client wants to append, as Kafka's `ProducerAppendInfo` does.
    pub(crate) fn check(&self, header: &BatchHeader, rules: AppendRules) -> Result<Verdict> {
        if header.producer_id < 0 {
            return Ok(Verdict::New);
        }
        let Some(producer) = self.producers.get(&header.producer_id) else {
            if rules.unknown_producer_begins_at_zero && header.base_sequence != 0 {
                return Err(out_of_order(header, 0));
            }
            return self.check_room().map(|()| Verdict::New);
        };
        if header.producer_epoch < producer.epoch && !canary("forget_fencing") {
            return Err(fenced(header, producer.epoch));
        }
        if let Some(duplicate) = producer.duplicate_of(header) {
            if canary("double_append") {
                return Ok(Verdict::New);
            }
            return Ok(Verdict::Duplicate(duplicate));
        }
        producer.check_sequence(header)?;
        if producer.transaction_start.is_some() && !header.attributes.has(Attributes::TRANSACTIONAL) {
            return Err(codes::outside_transaction(header.producer_id));
        }
        Ok(Verdict::New)
    }

    /// Judges a marker: neither its producer's epoch nor its coordinator's may be an old one.
    pub(crate) fn check_marker(&self, header: &BatchHeader, marker: EndMarker) -> Result<()> {
        let Some(producer) = self.producers.get(&header.producer_id) else { return self.check_room() };
        if header.producer_epoch < producer.epoch {
            return Err(fenced(header, producer.epoch));
        }
        if marker.coordinator_epoch < producer.coordinator_epoch {
            return Err(coordinator_fenced(header, marker.coordinator_epoch, producer.coordinator_epoch));
        }
        Ok(())
    }

    fn check_room(&self) -> Result<()> {
        if self.producers.len() < PRODUCERS_MAX {
            return Ok(());
        }
        Err(codes::limit(format!("the partition has {PRODUCERS_MAX} idempotent producers, which is the limit")))
    }

    /// Notes a batch that was appended, or found by recovery, with the marker that it holds; gives the
    /// transaction that it ends.
    pub(crate) fn note(&mut self, header: &BatchHeader, marker: Option<EndMarker>, now_ms: i64) -> Option<Decided> {
        if header.attributes.has(Attributes::LANE) {
            self.note_lane(header);
            return None;
        }
        if header.producer_id < 0 {
            return None;
        }
        match marker {
            Some(marker) => self.note_marker(header, marker, now_ms),
            None if header.attributes.has(Attributes::CONTROL) => None,
            None => {
                self.note_records(header, now_ms);
                None
            }
        }
    }

    fn note_lane(&mut self, header: &BatchHeader) {
        if !header.attributes.has(Attributes::EPOCH_CONTINUES) {
            let lane = Lane { epoch: epoch_of(header), last_offset: header.last_offset() as u64 };
            self.lanes.insert(header.producer_id, lane);
        }
    }

    fn touch(&mut self, header: &BatchHeader, now_ms: i64) -> &mut Producer {
        let producer = self.producers.entry(header.producer_id).or_insert_with(|| Producer::new(header.producer_epoch));
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        producer.last_append_ms = now_ms;
        producer
    }

    fn note_records(&mut self, header: &BatchHeader, now_ms: i64) {
        let producer = self.touch(header, now_ms);
        producer.remember(header);
        if header.attributes.has(Attributes::TRANSACTIONAL) && producer.transaction_start.is_none() {
            let start = header.base_offset as u64;
            producer.transaction_start = Some(start);
            self.open.insert((start, header.producer_id));
        }
    }

    /// A marker of a newer epoch makes that the producer's: older ones are fenced off from now on (KIP-890).
    fn note_marker(&mut self, header: &BatchHeader, marker: EndMarker, now_ms: i64) -> Option<Decided> {
        let producer = self.touch(header, now_ms);
        producer.coordinator_epoch = marker.coordinator_epoch;
        let first_offset = producer.transaction_start.take()?;
        let producer_id = header.producer_id;
        self.open.remove(&(first_offset, producer_id));
        Some(Decided { producer_id, first_offset, last_offset: header.base_offset as u64, commit: marker.commit })
    }

    /// Adds a producer that a snapshot holds.
    pub(crate) fn restore(&mut self, id: i64, producer: Producer) {
        self.open.extend(producer.transaction_start.map(|start| (start, id)));
        self.producers.insert(id, producer);
    }

    /// All idempotent producers, by id.
    pub(crate) fn describe(&self) -> Vec<ProducerState> {
        let mut found: Vec<_> = self.producers.iter().map(|(id, producer)| producer.describe(*id)).collect();
        found.sort_unstable_by_key(|producer| producer.producer_id);
        found
    }

    /// Forgets producers that were silent for long. Lanes stay for ever.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        let oldest = now_ms.saturating_sub(PRODUCER_EXPIRY_MS);
        self.producers.retain(|_, p| p.transaction_start.is_some() || p.last_append_ms >= oldest);
    }

    /// Offset of the first record of the oldest open transaction.
    pub(crate) fn first_open_transaction(&self) -> Option<u64> {
        self.open.first().map(|(start, _)| *start)
    }
}

impl Producer {
    fn new(epoch: i16) -> Self {
        let batches = VecDeque::new();
        Producer { epoch, coordinator_epoch: -1, last_append_ms: 0, transaction_start: None, batches }
    }

    pub(crate) fn describe(&self, producer_id: i64) -> ProducerState {
        let Producer { epoch, coordinator_epoch, last_append_ms, transaction_start, .. } = *self;
        let last_sequence = self.batches.back().map_or(-1, |batch| batch.last_sequence);
        ProducerState { producer_id, epoch, last_sequence, last_append_ms, coordinator_epoch, transaction_start }
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

    /// An epoch begins with 0; within it each batch follows the one before, from `i32::MAX` on to 0.
    fn check_sequence(&self, header: &BatchHeader) -> Result<()> {
        let expected = match self.batches.back() {
            Some(last) if header.producer_epoch == self.epoch => last.last_sequence.wrapping_add(1) & i32::MAX,
            Some(_) | None => 0,
        };
        if header.base_sequence == expected { Ok(()) } else { Err(out_of_order(header, expected)) }
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

fn out_of_order(header: &BatchHeader, expected: i32) -> Error {
    let (id, found) = (header.producer_id, header.base_sequence);
    let message = format!("producer {id} sent the sequence number {found} where {expected} was expected");
    Error::new(ErrorKind::Conflict, "E708", message)
}

fn coordinator_fenced(header: &BatchHeader, found: i32, current: i32) -> Error {
    let id = header.producer_id;
    let message = format!("a marker for producer {id} of coordinator epoch {found} is fenced off by epoch {current}");
    Error::new(ErrorKind::Conflict, "E714", message)
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
