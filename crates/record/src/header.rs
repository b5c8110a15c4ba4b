//! The 61 bytes at the front of every batch.
//!
//! All numbers are big-endian:
//!
//! ```text
//!  0 base offset i64 │  8 length i32 │ 12 leader epoch i32 │ 16 magic i8 │ 17 CRC32C u32 │
//! 21 attributes i16  │ 23 last offset delta i32 │ 27 base timestamp i64 │ 35 max timestamp i64 │
//! 43 producer id i64 │ 51 producer epoch i16 │ 53 base sequence i32 │ 57 record count i32 │ 61 records …
//! ```
//!
//! `length` counts the bytes after itself; the CRC covers everything from the attributes on.

use fleuve_base::limits::{BATCH_BYTES_MAX, DECOMPRESSED_BYTES_MAX};
use fleuve_base::{Error, Result};

use crate::codec::Codec;

/// Bytes of the header, before the first record.
pub const HEADER_BYTES: usize = 61;

/// Bytes of base offset and length, which `length` itself does not count.
pub const LENGTH_PREFIX_BYTES: usize = 12;

/// Bytes of the shortest record: seven one-byte fields.
pub const RECORD_BYTES_MIN: usize = 7;

const MAGIC: u8 = 2;
pub(crate) const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
pub(crate) const ATTRIBUTES_AT: usize = 21;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;
pub(crate) const PRODUCER_ID_AT: usize = 43;
pub(crate) const PRODUCER_EPOCH_AT: usize = 51;
pub(crate) const BASE_SEQUENCE_AT: usize = 53;

/// The attribute bits of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(pub u16);

/// The attributes that name the codec.
const CODEC_BITS: u16 = 7;

impl Attributes {
    /// Bit 3: timestamps are the log's append time, not the producer's.
    pub const LOG_APPEND_TIME: u16 = 1 << 3;
    /// Bit 4: the batch belongs to a transaction.
    pub const TRANSACTIONAL: u16 = 1 << 4;
    /// Bit 5: the records are markers for the log, not a user's data.
    pub const CONTROL: u16 = 1 << 5;
    /// Bit 6: the base timestamp is a compaction's delete horizon.
    pub const DELETE_HORIZON: u16 = 1 << 6;
    /// Bit 8, reserved by Kafka and ignored by its clients: a pipeline's lane wrote the batch, and producer
    /// epoch and base sequence together hold its pipeline's epoch.
    pub const LANE: u16 = 1 << 8;
    /// Bit 9, likewise: the lane's epoch goes on in the next batch.
    pub const EPOCH_CONTINUES: u16 = 1 << 9;

    /// Bits 10 to 15, likewise: in a compacted segment, where offsets have gaps, the check of the base offset
    /// ([`Attributes::check_of`]), which the batch's checksum does not cover.
    pub const OFFSET_CHECK: u16 = 0xfc00;

    /// All bits that Kafka's protocol defines.
    pub const KAFKA: u16 = 0x7f;

    /// Whether any of `bits` is set.
    pub fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    /// The exclusive or of the six-bit groups of `base_offset`, in the place of [`Attributes::OFFSET_CHECK`]: any
    /// single bit that flips shows.
    pub fn check_of(base_offset: i64) -> u16 {
        let groups = (0..u64::BITS).step_by(6).map(|shift| base_offset as u64 >> shift & 0x3f);
        (groups.fold(0, |check, group| check ^ group) << 10) as u16
    }

    /// How the records are compressed.
    pub fn codec(self) -> Result<Codec> {
        Codec::from_bits(self.0 & CODEC_BITS)
    }

    /// The same with another codec.
    pub(crate) fn with_codec(self, codec: Codec) -> Self {
        Attributes(self.0 & !CODEC_BITS | codec as u16)
    }
}

/// A batch's header, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes of the whole batch, its length prefix included.
    pub batch_bytes: usize,
    /// The leader epoch that the log stamped; 0 on a single node.
    pub leader_epoch: i32,
    /// CRC32C of everything from the attributes on.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Offset of the last record minus the base offset.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas add to.
    pub base_timestamp_ms: i64,
    /// The greatest timestamp of the records.
    pub max_timestamp_ms: i64,
    /// The producer's id, or −1.
    pub producer_id: i64,
    /// The producer's epoch, or −1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or −1.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

/// `N` bytes at a fixed place of the header.
fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

impl BatchHeader {
    /// Decodes and checks the header at the front of `bytes`; the records need not be there.
    ///
    /// What is checked needs only the header: magic, length, counts and codec. Whether the bytes are the
    /// ones that were written, only the CRC tells ([`BatchView::verify_crc`](crate::BatchView::verify_crc)).
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(Error::corrupt(format!(
                "a record batch is cut off in its header, after {} bytes",
                bytes.len()
            )));
        };
        if bytes[MAGIC_AT] != MAGIC {
            return Err(Error::corrupt(format!("a record batch has magic {} instead of 2", bytes[MAGIC_AT])));
        }
        let header = Self::decode(bytes, batch_bytes(i32::from_be_bytes(field(bytes, 8)))?);
        header.check_counts()?;
        Ok(header)
    }

    fn decode(bytes: &[u8; HEADER_BYTES], batch_bytes: usize) -> Self {
        BatchHeader {
            base_offset: i64::from_be_bytes(field(bytes, 0)),
            batch_bytes,
            leader_epoch: i32::from_be_bytes(field(bytes, LEADER_EPOCH_AT)),
            crc: u32::from_be_bytes(field(bytes, CRC_AT)),
            attributes: Attributes(u16::from_be_bytes(field(bytes, ATTRIBUTES_AT))),
            last_offset_delta: i32::from_be_bytes(field(bytes, 23)),
            base_timestamp_ms: i64::from_be_bytes(field(bytes, 27)),
            max_timestamp_ms: i64::from_be_bytes(field(bytes, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(field(bytes, PRODUCER_ID_AT)),
            producer_epoch: i16::from_be_bytes(field(bytes, PRODUCER_EPOCH_AT)),
            base_sequence: i32::from_be_bytes(field(bytes, BASE_SEQUENCE_AT)),
            record_count: i32::from_be_bytes(field(bytes, 57)),
        }
    }

    /// A count that the bytes cannot hold would make a reader reserve memory for nothing.
    fn check_counts(&self) -> Result<()> {
        let payload = self.batch_bytes - HEADER_BYTES;
        let room = if self.attributes.codec()? == Codec::None { payload } else { DECOMPRESSED_BYTES_MAX };
        let count = usize::try_from(self.record_count).unwrap_or(usize::MAX);
        if count > room / RECORD_BYTES_MIN {
            let count = self.record_count;
            return Err(Error::corrupt(format!("a record batch of {payload} payload bytes claims {count} records")));
        }
        if self.last_offset_delta < 0 || self.base_offset.checked_add(i64::from(self.last_offset_delta)).is_none() {
            let delta = self.last_offset_delta;
            return Err(Error::corrupt(format!("a record batch has the last offset delta {delta}")));
        }
        Ok(())
    }

    /// Writes the header over the first bytes of `bytes`; the CRC must be right already.
    pub(crate) fn encode(&self, bytes: &mut [u8]) {
        let length = self.batch_bytes - LENGTH_PREFIX_BYTES;
        bytes[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        bytes[8..12].copy_from_slice(&(length as i32).to_be_bytes());
        bytes[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        bytes[MAGIC_AT] = MAGIC;
        bytes[17..21].copy_from_slice(&self.crc.to_be_bytes());
        bytes[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        bytes[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        bytes[27..35].copy_from_slice(&self.base_timestamp_ms.to_be_bytes());
        bytes[35..43].copy_from_slice(&self.max_timestamp_ms.to_be_bytes());
        bytes[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        bytes[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.record_count.to_be_bytes());
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Offset after the last record.
    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// The sequence number of the last record; sequences wrap from `i32::MAX` to 0. −1 without a producer.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        ((i64::from(self.base_sequence) + i64::from(self.last_offset_delta)) & i64::from(i32::MAX)) as i32
    }
}

/// The whole batch's bytes from the length field.
fn batch_bytes(length: i32) -> Result<usize> {
    const BOUNDS: std::ops::RangeInclusive<usize> = HEADER_BYTES..=BATCH_BYTES_MAX;
    match usize::try_from(length).map(|length| length + LENGTH_PREFIX_BYTES) {
        Ok(bytes) if BOUNDS.contains(&bytes) => Ok(bytes),
        _ => {
            let (least, most) = (HEADER_BYTES - LENGTH_PREFIX_BYTES, BATCH_BYTES_MAX - LENGTH_PREFIX_BYTES);
            Err(Error::corrupt(format!("a record batch has the length {length}; it must be from {least} to {most}")))
        }
    }
}

/// The checksum of a whole batch: CRC32C of everything from the attributes on. `None` if it is cut off before.
pub fn crc_of(batch: &[u8]) -> Option<u32> {
    batch.get(ATTRIBUTES_AT..).map(crc32c)
}

/// The checksum of a batch that is seen in parts, one after the other.
pub struct CrcOfParts {
    digest: crc_fast::Digest,
    /// Bytes to come that the checksum does not cover.
    uncovered: usize,
}

impl CrcOfParts {
    /// Of nothing yet.
    pub fn new() -> Self {
        CrcOfParts { digest: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi), uncovered: ATTRIBUTES_AT }
    }

    /// Adds the next part.
    pub fn update(&mut self, part: &[u8]) {
        let skipped = self.uncovered.min(part.len());
        self.uncovered -= skipped;
        self.digest.update(&part[skipped..]);
    }

    /// As [`crc_of`] all parts.
    pub fn finish(&self) -> Option<u32> {
        (self.uncovered == 0).then(|| self.digest.finalize() as u32)
    }
}

impl Default for CrcOfParts {
    fn default() -> Self {
        Self::new()
    }
}

/// The CRC32C (Castagnoli; iSCSI's) of some bytes. Most batches have some 16 KiB, where this implementation is three to
/// five times as fast as one by the processor's CRC instruction.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}
