//! Reading: whole batches as they are stored, each verified, bounded by what is durable or decided.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use fleuve_base::{Error, Result, Stored, canary};
use fleuve_record::Batches;

use crate::codes;
use crate::partition::Partition;
use crate::segment::{Form, Segment, Wanted};
use crate::transaction::AbortedTransaction;

/// What a read found: its bytes, or ([`Stored`]) the place where they lie.
#[derive(Debug, Clone)]
pub struct Fetched<B = Bytes> {
    /// Whole batches, one after the other, verified (see [`Partition::read_stored`]). The first one holds the offset that was asked for, and
    /// may begin before it, or is the next one if compaction has removed that record. Empty at the high watermark.
    pub bytes: B,
    /// Where to read on.
    pub next_offset: u64,
    /// Records before this offset can be read.
    pub high_watermark: u64,
    /// Records of transactions that are decided end here; equal to the high watermark if none is open.
    pub last_stable_offset: u64,
    /// Records before this offset are gone.
    pub log_start_offset: u64,
    /// For [`Partition::read_committed`]: the aborted transactions that have records in `bytes`.
    pub aborted: Vec<AbortedTransaction>,
}

impl Fetched {
    /// The batches; slices of `bytes`.
    pub fn batches(&self) -> Batches {
        Batches::new(self.bytes.clone())
    }

    /// Whether nothing was there to read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl From<Fetched> for Fetched<Stored> {
    fn from(fetched: Fetched) -> Self {
        Fetched {
            bytes: fetched.bytes.into(),
            next_offset: fetched.next_offset,
            high_watermark: fetched.high_watermark,
            last_stable_offset: fetched.last_stable_offset,
            log_start_offset: fetched.log_start_offset,
            aborted: fetched.aborted,
        }
    }
}

impl Partition {
    /// Reads whole batches from the one that holds `from_offset`: at least one, and then as many as fit
    /// `max_bytes`. Only durable records are given, and each batch's checksum is verified.
    ///
    /// Errors: `E706` outside [`log_start_offset`](Self::log_start_offset)`..=`[`high_watermark`](Self::high_watermark),
    /// `E901` if the record is damaged.
    pub fn read(&self, from_offset: u64, max_bytes: usize) -> Result<Fetched> {
        self.read_before(from_offset, u64::MAX, max_bytes)
    }

    /// As [`Partition::read`], but much of it stays where it lies, for the kernel to send from there: the batches are
    /// verified in a buffer that is not kept, except those that this process wrote in the last minutes.
    pub fn read_stored(&self, from_offset: u64, max_bytes: usize) -> Result<Fetched<Stored>> {
        self.read_durable(from_offset, u64::MAX, max_bytes)
    }

    /// As [`Partition::read`], but only batches that end at or before the offset `until`.
    pub fn read_before(&self, from_offset: u64, until: u64, max_bytes: usize) -> Result<Fetched> {
        self.read_durable(from_offset, until, max_bytes)
    }

    fn read_durable<B: Form>(&self, from_offset: u64, until: u64, max_bytes: usize) -> Result<Fetched<B>> {
        let mut fetched = self.look(from_offset)?;
        let until = until.min(fetched.high_watermark);
        self.fill(&mut fetched, until, max_bytes)?;
        Ok(fetched)
    }

    /// As [`Partition::read`], but only batches before the last stable offset, and with the list of aborted
    /// transactions whose records the reader must leave out.
    pub fn read_committed(&self, from_offset: u64, max_bytes: usize) -> Result<Fetched> {
        self.read_decided(from_offset, max_bytes)
    }

    /// As [`Partition::read_committed`] and [`Partition::read_stored`] at once.
    pub fn read_stored_committed(&self, from_offset: u64, max_bytes: usize) -> Result<Fetched<Stored>> {
        self.read_decided(from_offset, max_bytes)
    }

    fn read_decided<B: Form>(&self, from_offset: u64, max_bytes: usize) -> Result<Fetched<B>> {
        loop {
            let compactions = self.compactions.load(Ordering::Acquire);
            let mut fetched = self.look(from_offset)?;
            let until = fetched.last_stable_offset;
            if self.fill(&mut fetched, until, max_bytes)? {
                fetched.aborted = self.aborted(from_offset..fetched.next_offset)?;
                if canary("forget_aborted") {
                    fetched.aborted.clear();
                }
            }
            // A compaction that removes aborted records forgets their transactions afterwards: the list must not be
            // newer than the records.
            if self.compactions.load(Ordering::Acquire) == compactions {
                return Ok(fetched);
            }
        }
    }

    /// Where the partition stands, if `from_offset` can be read.
    fn look<B: Form>(&self, from_offset: u64) -> Result<Fetched<B>> {
        let high_watermark = self.high_watermark();
        self.check_offset(from_offset, high_watermark)?;
        Ok(Fetched {
            bytes: B::default(),
            next_offset: from_offset,
            high_watermark,
            last_stable_offset: self.stable_before(high_watermark),
            log_start_offset: self.log_start_offset(),
            aborted: Vec::new(),
        })
    }

    /// Whether any of the batches is part of a transaction.
    fn fill<B: Form>(&self, fetched: &mut Fetched<B>, until: u64, max_bytes: usize) -> Result<bool> {
        while fetched.next_offset < until {
            let from_offset = fetched.next_offset;
            let until = self.readable_until(from_offset, until)?;
            let segment = self.segment_of(from_offset)?;
            let now_ms = self.shared.now_ms();
            let slice = segment.read::<B>(Wanted { from: from_offset, until, max_bytes, now_ms });
            // Retention may have taken the segment away in between.
            let slice = slice.or_else(|error| self.check_offset(from_offset, until).and(Err(error)))?;
            if !slice.bytes.is_nothing() {
                (fetched.bytes, fetched.next_offset) = (slice.bytes, slice.next_offset);
                return Ok(slice.transactional);
            }
            // Compaction has left nothing from here to the segment's end: what follows, if anything, is in the next.
            if slice.next_offset <= from_offset {
                break;
            }
            fetched.next_offset = slice.next_offset.min(until);
        }
        Ok(false)
    }

    fn check_offset(&self, offset: u64, high_watermark: u64) -> Result<()> {
        let start = self.log_start_offset();
        if (start..=high_watermark).contains(&offset) {
            return Ok(());
        }
        Err(codes::offset_out_of_range(offset, start, high_watermark).at(self.id().at(offset)))
    }

    /// Damage that is known ends what can be read before it, and is an error inside.
    fn readable_until(&self, from: u64, high_watermark: u64) -> Result<u64> {
        let mut until = high_watermark;
        for damage in &self.damage {
            if damage.offsets.contains(&from) {
                return Err(self.id().damaged(from, &damage.file, damage.position, &damage.reason));
            }
            if damage.offsets.start > from {
                until = until.min(damage.offsets.start);
            }
        }
        Ok(until)
    }

    fn segment_of(&self, offset: u64) -> Result<Arc<Segment>> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base_offset <= offset);
        let first = || segments.first().ok_or_else(|| Error::internal("a partition has no segment"));
        let segment = after.checked_sub(1).map_or_else(|| first().cloned(), |last| Ok(Arc::clone(&segments[last])))?;
        if segment.name.compacted.is_some_and(|compacted| compacted.end_offset <= offset) {
            return Err(self.id().damaged(
                offset,
                &segment.path,
                segment.readable_bytes(),
                "the next segment is missing",
            ));
        }
        Ok(segment)
    }
}
