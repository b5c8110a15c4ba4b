//! What is known to be durable: the evidence that recovery goes by (docs/internals/journal.md, `checkpoint`).
//!
//! After each sync, and before anyone is told of it, the committer writes down how far it reached. The write
//! itself is not synced: after a killed process it is exact, after a power cut it may be old, and it never
//! claims too much. Two slots in different sectors take turns, so a torn write costs one of them at most.

use std::io;
use std::path::Path;
use std::sync::Arc;

use fleuve_base::fs::{File, Fs};
use parking_lot::Mutex;

use crate::little_endian::{Reader, close, start};

const MAGIC: [u8; 4] = *b"FLCP";
const VERSION: u32 = 1;
const SLOT_BYTES: usize = 52;
/// Distance of the two slots: a disk writes a sector whole or not at all.
const SLOT_STRIDE: u64 = 512;

/// Name of the file in a partition's directory.
pub(crate) const FILE_NAME: &str = "checkpoint";

/// How far a partition is known to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    /// Records before this offset are gone or may go.
    pub log_start: u64,
    /// All records before this offset are synced.
    pub end_offset: u64,
    /// The segment that holds the end.
    pub segment_base: u64,
    /// The end's position in it.
    pub position: u64,
}

/// The open file.
pub(crate) struct CheckpointFile {
    file: Arc<dyn File>,
    current: Mutex<(u64, Checkpoint)>,
}

impl CheckpointFile {
    /// Opens or creates the file; `None` if neither slot can be believed.
    pub(crate) fn open(fs: &dyn Fs, directory: &Path) -> io::Result<(Self, Option<Checkpoint>)> {
        let file = fs.open(&directory.join(FILE_NAME), true)?;
        let mut newest = None;
        for slot in 0..2 {
            let mut bytes = [0; SLOT_BYTES];
            let read = file.read_at(&mut bytes, slot * SLOT_STRIDE)?;
            newest = newest.max_by_sequence(decode(&bytes[..read]));
        }
        let current = Mutex::new(newest.unwrap_or_default());
        Ok((CheckpointFile { file, current }, newest.map(|(_, checkpoint)| checkpoint)))
    }

    /// Changes the checkpoint and writes it into the older slot, without syncing. After an error it is as before: the
    /// newer slot was not touched, and the next update takes the same one.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Checkpoint)) -> io::Result<()> {
        let mut current = self.current.lock();
        let (sequence, mut checkpoint) = (current.0 + 1, current.1);
        change(&mut checkpoint);
        self.file.write_at(&encode(sequence, &checkpoint), sequence % 2 * SLOT_STRIDE)?;
        *current = (sequence, checkpoint);
        Ok(())
    }

    /// Makes the last update survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

trait MaxBySequence {
    fn max_by_sequence(self, other: Self) -> Self;
}

impl MaxBySequence for Option<(u64, Checkpoint)> {
    fn max_by_sequence(self, other: Self) -> Self {
        if other.map(|(sequence, _)| sequence) > self.map(|(sequence, _)| sequence) { other } else { self }
    }
}

fn encode(sequence: u64, checkpoint: &Checkpoint) -> Vec<u8> {
    let mut bytes = start(MAGIC, VERSION);
    let Checkpoint { log_start, end_offset, segment_base, position } = *checkpoint;
    for field in [sequence, log_start, end_offset, segment_base, position] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    close(bytes)
}

fn decode(bytes: &[u8]) -> Option<(u64, Checkpoint)> {
    let mut reader = Reader::checked(bytes)?;
    reader.expect(MAGIC, VERSION)?;
    let sequence = reader.u64()?;
    let (log_start, end_offset) = (reader.u64()?, reader.u64()?);
    let (segment_base, position) = (reader.u64()?, reader.u64()?);
    Some((sequence, Checkpoint { log_start, end_offset, segment_base, position }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleuve_base::MemoryFs;

    #[test]
    fn a_failed_update_changes_nothing_and_leaves_the_newer_slot_alone() {
        let fs = MemoryFs::new();
        let (file, _) = CheckpointFile::open(&fs, Path::new("/")).unwrap();
        file.update(|c| c.end_offset = 1).unwrap();
        for _ in 0..2 {
            fs.fail(fleuve_base::fs_memory::Call::Write, 1, io::ErrorKind::StorageFull);
            assert!(file.update(|c| c.end_offset = 9).is_err());
            let found = CheckpointFile::open(&fs, Path::new("/")).unwrap().1;
            assert_eq!(found.map(|c| c.end_offset), Some(1));
        }
        file.update(|c| c.log_start = 1).unwrap();
        let found = CheckpointFile::open(&fs, Path::new("/")).unwrap().1;
        assert_eq!(found, Some(Checkpoint { log_start: 1, end_offset: 1, ..Checkpoint::default() }));
    }

    #[test]
    fn either_slot_may_be_damaged() {
        let fs = MemoryFs::new();
        let path = Path::new("/checkpoint");
        let (file, none) = CheckpointFile::open(&fs, Path::new("/")).unwrap();
        assert_eq!(none, None);
        for end in 1..=4 {
            file.update(|c| c.end_offset = end).unwrap();
        }
        let found = |fs: &MemoryFs| CheckpointFile::open(fs, Path::new("/")).unwrap().1.map(|c| c.end_offset);
        assert_eq!(found(&fs), Some(4));
        for position in 0..SLOT_BYTES as u64 {
            fs.flip(path, position, 1);
            assert_eq!(found(&fs), Some(3), "byte {position} of the newer slot");
            fs.flip(path, SLOT_STRIDE + position, 1);
            assert_eq!(found(&fs), None);
            fs.flip(path, position, 1);
            assert_eq!(found(&fs), Some(4));
            fs.flip(path, SLOT_STRIDE + position, 1);
        }
    }
}
