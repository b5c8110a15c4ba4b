//! The epoch record: what a pipeline reads next, written ahead.
//!
//! Everything that timing decides is in it (ranges, clock, watermarks, idleness, where a snapshot is due), so that a
//! replay of the same records computes the same. The byte layout is in `docs/internals/epoch-journal.md`.

use fleuve_base::{Error, Result};
use fleuve_plan::NodeId;

use crate::source::Range;

/// The layout's version, first byte of every record.
const VERSION: u8 = 1;

/// Ranges, splits or nodes in one record.
const COUNT_MAX: u32 = 1 << 20;

/// One epoch of one pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRecord {
    /// The epoch's number; the first is 1.
    pub epoch: u64,
    /// Which start of the pipeline wrote it, counted from 1.
    pub incarnation: u64,
    /// Milliseconds since 1970; never less than in the epoch before.
    pub clock_ms: i64,
    /// A snapshot is taken at the end of this epoch.
    pub snapshot: bool,
    /// Every source has ended: no epoch follows.
    pub last: bool,
    /// What is read, by source node, in the order in which it was claimed.
    pub ranges: Vec<(NodeId, Range)>,
    /// The state of every split at the end of the epoch.
    pub splits: Vec<SplitMark>,
}

/// How far a split's event time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitMark {
    /// The source node.
    pub node: NodeId,
    /// The split's number.
    pub split: u32,
    /// Its watermark in milliseconds.
    pub watermark: i64,
    /// It does not hold the source's watermark back.
    pub idle: bool,
}

impl EpochRecord {
    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40 + self.ranges.len() * 32 + self.splits.len() * 20);
        out.push(VERSION);
        out.push(u8::from(self.snapshot) | u8::from(self.last) << 1);
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&self.clock_ms.to_le_bytes());
        put_u32(&mut out, self.ranges.len());
        put_u32(&mut out, self.splits.len());
        for (node, range) in &self.ranges {
            put_u32(&mut out, *node);
            out.extend_from_slice(&range.split.to_le_bytes());
            out.extend_from_slice(&range.item.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&range.start.to_le_bytes());
            out.extend_from_slice(&range.end.to_le_bytes());
        }
        for mark in &self.splits {
            put_u32(&mut out, mark.node);
            out.extend_from_slice(&mark.split.to_le_bytes());
            out.extend_from_slice(&mark.watermark.to_le_bytes());
            out.extend_from_slice(&u32::from(mark.idle).to_le_bytes());
        }
        out
    }

    /// Reads a record back; the log has verified its checksum already.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut input = Input(bytes);
        let version = input.u8()?;
        if version != VERSION {
            return Err(Error::corrupt(format!("an epoch record has version {version}; this build reads {VERSION}")));
        }
        let flags = input.u8()?;
        input.skip(6)?;
        let (epoch, incarnation, clock_ms) = (input.u64()?, input.u64()?, input.i64()?);
        let (ranges, splits) = (input.count(32)?, input.count(20)?);
        Ok(EpochRecord {
            epoch,
            incarnation,
            clock_ms,
            snapshot: flags & 1 != 0,
            last: flags & 2 != 0,
            ranges: (0..ranges).map(|_| input.range()).collect::<Result<_>>()?,
            splits: (0..splits).map(|_| input.mark()).collect::<Result<_>>()?,
        })
    }
}

fn put_u32(out: &mut Vec<u8>, value: usize) {
    let value = u32::try_from(value).expect("counts and node numbers are far below 2^32");
    out.extend_from_slice(&value.to_le_bytes());
}

/// A cursor over bytes that are not trusted.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or_else(|| Error::corrupt("an epoch record is cut"))?;
        self.0 = tail;
        Ok(*head)
    }

    fn skip(&mut self, bytes: usize) -> Result<()> {
        self.0 = self.0.get(bytes..).ok_or_else(|| Error::corrupt("an epoch record is cut"))?;
        Ok(())
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.take()?))
    }

    fn count(&mut self, bytes_each: usize) -> Result<usize> {
        let count = self.u32()?;
        let bytes = (count as usize).saturating_mul(bytes_each);
        if count > COUNT_MAX || bytes > self.0.len() {
            return Err(Error::corrupt(format!("an epoch record claims {count} entries, more than it holds")));
        }
        Ok(count as usize)
    }

    fn range(&mut self) -> Result<(NodeId, Range)> {
        let (node, split, item) = (self.u32()? as NodeId, self.u32()?, self.u32()?);
        self.skip(4)?;
        Ok((node, Range { split, item, start: self.u64()?, end: self.u64()? }))
    }

    fn mark(&mut self) -> Result<SplitMark> {
        let (node, split, watermark) = (self.u32()? as NodeId, self.u32()?, self.i64()?);
        Ok(SplitMark { node, split, watermark, idle: self.u32()? != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> EpochRecord {
        EpochRecord {
            epoch: 7,
            incarnation: 2,
            clock_ms: 1_700_000_000_123,
            snapshot: true,
            last: false,
            ranges: vec![
                (0, Range { split: 1, item: 2, start: 3, end: 40 }),
                (5, Range { split: 0, item: 0, start: 0, end: 1 }),
            ],
            splits: vec![SplitMark { node: 0, split: 1, watermark: -5, idle: true }],
        }
    }

    #[test]
    fn a_record_survives_the_round_trip() {
        assert_eq!(EpochRecord::decode(&sample().encode()).expect("decodes"), sample());
    }

    #[test]
    fn a_cut_record_is_refused_at_every_length() {
        let bytes = sample().encode();
        for length in 0..bytes.len() {
            assert!(EpochRecord::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_allocating() {
        let mut bytes = sample().encode();
        bytes[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(EpochRecord::decode(&bytes).is_err());
    }
}
