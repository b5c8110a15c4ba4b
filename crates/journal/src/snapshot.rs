//! The producers' state on disk, as of an offset: recovery reads it and scans only the batches after it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use fleuve_base::fs::{self, Fs};

use crate::little_endian::{Reader, close, start};
use crate::producer::{Lane, Producer, Producers, REMEMBERED_BATCHES, RememberedBatch};
use crate::transaction::{AbortedEntry, AbortedTransaction};

const MAGIC: [u8; 4] = *b"FLPS";
const VERSION: u32 = 2;
const PRODUCER_BYTES_MIN: usize = 31;
const ABORTED_BYTES: usize = 32;
const BATCH_BYTES: usize = 24;
const LANE_BYTES: usize = 24;
const NO_TRANSACTION: u64 = u64::MAX;

/// Snapshots kept: the newest, and one in case that it is damaged.
pub(crate) const SNAPSHOTS_KEPT: usize = 2;

/// The path of the snapshot as of `offset`.
pub(crate) fn path(directory: &Path, offset: u64) -> PathBuf {
    directory.join(format!("{offset:020}.snapshot"))
}

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Snapshot {
    pub(crate) producers: Producers,
    pub(crate) aborted: Vec<AbortedEntry>,
}

/// Writes a snapshot so that it is there whole or not at all (crash point C6).
pub(crate) fn write(
    fs: &dyn Fs,
    directory: &Path,
    offset: u64,
    producers: &Producers,
    aborted: &[AbortedEntry],
) -> io::Result<()> {
    fs::write_atomically(fs, &path(directory, offset), &encode(offset, producers, aborted))
}

/// Reads a snapshot; `None` if it is not there or damaged.
pub(crate) fn read(fs: &dyn Fs, directory: &Path, offset: u64) -> Option<Snapshot> {
    decode(&fs::read(fs, &path(directory, offset)).ok()?, offset)
}

/// The offsets of all snapshots in a directory, ascending.
pub(crate) fn offsets(names: &[String]) -> Vec<u64> {
    names.iter().filter_map(|name| name.strip_suffix(".snapshot")?.parse().ok()).collect()
}

/// Removes all snapshots but the newest ones.
pub(crate) fn remove_old(fs: &dyn Fs, directory: &Path) -> io::Result<()> {
    let offsets = offsets(&fs.list(directory)?);
    let old = offsets.len().saturating_sub(SNAPSHOTS_KEPT);
    offsets[..old].iter().try_for_each(|offset| fs.remove_file(&path(directory, *offset)))
}

fn encode(offset: u64, state: &Producers, aborted: &[AbortedEntry]) -> Vec<u8> {
    let mut out = start(MAGIC, VERSION);
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&(state.producers.len() as u32).to_le_bytes());
    for (id, producer) in &state.producers {
        encode_producer(*id, producer, &mut out);
    }
    out.extend_from_slice(&(state.lanes.len() as u32).to_le_bytes());
    for (id, lane) in &state.lanes {
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&lane.epoch.to_le_bytes());
        out.extend_from_slice(&lane.last_offset.to_le_bytes());
    }
    out.extend_from_slice(&(aborted.len() as u32).to_le_bytes());
    for AbortedEntry { aborted, stable_offset } in aborted {
        out.extend_from_slice(&aborted.producer_id.to_le_bytes());
        for offset in [aborted.first_offset, aborted.last_offset, *stable_offset] {
            out.extend_from_slice(&offset.to_le_bytes());
        }
    }
    close(out)
}

fn encode_producer(id: i64, producer: &Producer, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&producer.epoch.to_le_bytes());
    out.extend_from_slice(&producer.coordinator_epoch.to_le_bytes());
    out.extend_from_slice(&producer.last_append_ms.to_le_bytes());
    out.extend_from_slice(&producer.transaction_start.unwrap_or(NO_TRANSACTION).to_le_bytes());
    out.push(producer.batches.len() as u8);
    for batch in &producer.batches {
        out.extend_from_slice(&batch.first_sequence.to_le_bytes());
        out.extend_from_slice(&batch.last_sequence.to_le_bytes());
        out.extend_from_slice(&batch.first_offset.to_le_bytes());
        out.extend_from_slice(&batch.last_offset.to_le_bytes());
    }
}

fn decode(bytes: &[u8], offset: u64) -> Option<Snapshot> {
    let mut reader = Reader::checked(bytes)?;
    reader.expect(MAGIC, VERSION)?;
    if reader.u64()? != offset {
        return None;
    }
    let Snapshot { mut producers, mut aborted } = Snapshot::default();
    for _ in 0..reader.count(PRODUCER_BYTES_MIN)? {
        let (id, producer) = decode_producer(&mut reader)?;
        producers.restore(id, producer);
    }
    for _ in 0..reader.count(LANE_BYTES)? {
        producers.lanes.insert(reader.i64()?, Lane { epoch: reader.u64()?, last_offset: reader.u64()? });
    }
    for _ in 0..reader.count(ABORTED_BYTES)? {
        aborted.push(decode_aborted(&mut reader)?);
    }
    reader.is_empty().then_some(Snapshot { producers, aborted })
}

fn decode_aborted(reader: &mut Reader<'_>) -> Option<AbortedEntry> {
    let (producer_id, first_offset, last_offset) = (reader.i64()?, reader.u64()?, reader.u64()?);
    let aborted = AbortedTransaction { producer_id, first_offset, last_offset };
    Some(AbortedEntry { aborted, stable_offset: reader.u64()? })
}

fn decode_producer(reader: &mut Reader<'_>) -> Option<(i64, Producer)> {
    let id = reader.i64()?;
    let epoch = reader.u16()? as i16;
    let coordinator_epoch = reader.u32()? as i32;
    let last_append_ms = reader.i64()?;
    let transaction_start = Some(reader.u64()?).filter(|start| *start != NO_TRANSACTION);
    let count = usize::from(reader.u8()?);
    let mut batches = VecDeque::new();
    for _ in 0..(count <= REMEMBERED_BATCHES).then_some(count)? {
        batches.push_back(decode_batch(reader)?);
    }
    Some((id, Producer { epoch, coordinator_epoch, last_append_ms, transaction_start, batches }))
}

fn decode_batch(reader: &mut Reader<'_>) -> Option<RememberedBatch> {
    const { assert!(BATCH_BYTES == 4 + 4 + 8 + 8) };
    Some(RememberedBatch {
        first_sequence: reader.u32()? as i32,
        last_sequence: reader.u32()? as i32,
        first_offset: reader.u64()?,
        last_offset: reader.u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_every_flipped_byte_is_noticed() {
        let batch = RememberedBatch { first_sequence: 3, last_sequence: 9, first_offset: 70, last_offset: 76 };
        let (epoch, coordinator_epoch, last_append_ms) = (4, 6, 99);
        let transaction_start = Some(70);
        let producer =
            Producer { epoch, coordinator_epoch, last_append_ms, transaction_start, batches: [batch, batch].into() };
        let mut producers = Producers::default();
        producers.restore(12, producer.clone());
        producers.restore(13, Producer { transaction_start: None, ..producer });
        producers.lanes.insert(-77, Lane { epoch: 1 << 40, last_offset: 80 });
        let aborted = AbortedTransaction { producer_id: 12, first_offset: 3, last_offset: 9 };
        let aborted = vec![AbortedEntry { aborted, stable_offset: 5 }];
        let bytes = encode(81, &producers, &aborted);
        assert_eq!(decode(&bytes, 81), Some(Snapshot { producers, aborted }));
        assert_eq!(decode(&bytes, 82), None);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert_eq!(decode(&flipped, 81), None);
            assert_eq!(decode(&bytes[..at], 81), None);
        }
    }
}
