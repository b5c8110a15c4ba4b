//! Whole batches: owned and stampable ([`Batch`]), or read in place ([`BatchView`]).

use bytes::{Bytes, BytesMut};
use fleuve_base::{Error, Result};

use crate::codec::Codec;
use crate::header::{
    ATTRIBUTES_AT, Attributes, BASE_SEQUENCE_AT, BatchHeader, CRC_AT, HEADER_BYTES, LEADER_EPOCH_AT, MAX_TIMESTAMP_AT,
    PRODUCER_EPOCH_AT, PRODUCER_ID_AT, crc_of,
};
use crate::outline::{self, Outline};
use crate::records::Records;

/// An owned batch whose checksum is known to be right: made by [`BatchBuilder`](crate::BatchBuilder), or
/// received and checked by [`Batch::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    bytes: BytesMut,
    header: BatchHeader,
}

impl Batch {
    /// Checks a batch that came from outside: header, checksum, and that nothing follows it.
    ///
    /// The records themselves are not walked; [`Records::iter`] checks them as it goes.
    pub fn parse(bytes: BytesMut) -> Result<Self> {
        let header = BatchHeader::parse(&bytes)?;
        check_length(&header, bytes.len())?;
        check_crc(&header, &bytes)?;
        Ok(Batch { bytes, header })
    }

    /// As [`Batch::parse`], from bytes that may be a part of something larger. They are copied only if somebody else
    /// still holds them.
    pub fn from_bytes(bytes: Bytes) -> Result<Self> {
        Self::parse(bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..])))
    }

    /// From a builder, whose header is right by construction.
    pub(crate) fn from_parts(bytes: BytesMut, header: BatchHeader) -> Self {
        Batch { bytes, header }
    }

    /// The decoded header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The batch as it lies in a segment.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sets the base offset, and the leader epoch to 0. The checksum does not cover them.
    pub fn assign_offset(&mut self, base_offset: i64) {
        self.header.base_offset = base_offset;
        self.header.leader_epoch = 0;
        self.bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
        self.bytes[LEADER_EPOCH_AT..LEADER_EPOCH_AT + 4].fill(0);
    }

    /// Sets the producer's fields and replaces the attribute bits of `mask`, and computes the checksum again.
    pub fn stamp(&mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32, mask: u16, bits: u16) {
        let attributes = Attributes(self.header.attributes.0 & !mask | bits & mask);
        let header = BatchHeader { attributes, producer_id, producer_epoch, base_sequence, ..self.header };
        self.bytes[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.0.to_be_bytes());
        self.bytes[PRODUCER_ID_AT..PRODUCER_ID_AT + 8].copy_from_slice(&producer_id.to_be_bytes());
        self.bytes[PRODUCER_EPOCH_AT..PRODUCER_EPOCH_AT + 2].copy_from_slice(&producer_epoch.to_be_bytes());
        self.bytes[BASE_SEQUENCE_AT..BASE_SEQUENCE_AT + 4].copy_from_slice(&base_sequence.to_be_bytes());
        self.seal(header);
    }

    /// Makes `append_ms` the timestamp of all records, and computes the checksum again.
    pub fn stamp_append_time(&mut self, append_ms: i64) {
        let attributes = Attributes(self.header.attributes.0 | Attributes::LOG_APPEND_TIME);
        let header = BatchHeader { attributes, max_timestamp_ms: append_ms, ..self.header };
        self.bytes[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.0.to_be_bytes());
        self.bytes[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&append_ms.to_be_bytes());
        self.seal(header);
    }

    fn seal(&mut self, header: BatchHeader) {
        let crc = crc_of(&self.bytes).expect("a batch is at least as long as its header");
        self.bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        self.header = BatchHeader { crc, ..header };
    }

    /// Corrects the greatest timestamp, and computes the checksum again.
    pub fn stamp_max_timestamp(&mut self, max_timestamp_ms: i64) {
        self.bytes[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&max_timestamp_ms.to_be_bytes());
        self.seal(BatchHeader { max_timestamp_ms, ..self.header });
    }

    /// Looks over the records, decompressed if need be, and checks that they are what the header says; the first error
    /// ends it. Neither time nor memory depends on what a batch claims: no more than
    /// [`DECOMPRESSED_BYTES_MAX`](fleuve_base::limits::DECOMPRESSED_BYTES_MAX) bytes are passed, and they are not kept.
    pub fn outline(&self, each: impl FnMut(Outline) -> Result<()>) -> Result<()> {
        outline::walk(&self.bytes[HEADER_BYTES..], &self.header, each)
    }

    /// Reads the batch; copies it.
    pub fn view(&self) -> BatchView {
        BatchView { bytes: Bytes::copy_from_slice(&self.bytes), header: self.header }
    }

    /// The batch as shareable bytes, without copying.
    pub fn into_view(self) -> BatchView {
        BatchView { bytes: self.bytes.freeze(), header: self.header }
    }
}

/// One batch read in place; cloning it copies nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchView {
    bytes: Bytes,
    header: BatchHeader,
}

impl BatchView {
    /// The batch at the front of `bytes`; what follows it is ignored. The checksum is not verified here.
    pub fn parse(bytes: &Bytes) -> Result<Self> {
        let header = BatchHeader::parse(bytes)?;
        if bytes.len() < header.batch_bytes {
            check_length(&header, bytes.len())?;
        }
        Ok(BatchView { bytes: bytes.slice(..header.batch_bytes), header })
    }

    /// The decoded header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Compares the checksum with the bytes.
    pub fn verify_crc(&self) -> Result<()> {
        check_crc(&self.header, &self.bytes)
    }

    /// The records: slices of this batch, or of its decompressed payload.
    pub fn records(&self) -> Result<Records> {
        let payload = self.bytes.slice(HEADER_BYTES..);
        let payload = match self.header.attributes.codec()? {
            Codec::None => payload,
            codec => Bytes::from(codec.decompress(&payload)?),
        };
        Ok(Records::new(payload, self.header))
    }
}

/// Iterator over batches that lie one after the other, as a fetch returns them. After an error it ends.
#[derive(Debug, Clone)]
pub struct Batches {
    rest: Bytes,
}

impl Batches {
    /// All batches of `bytes`, which must hold only whole ones.
    pub fn new(bytes: Bytes) -> Self {
        Batches { rest: bytes }
    }
}

impl Iterator for Batches {
    type Item = Result<BatchView>;

    fn next(&mut self) -> Option<Result<BatchView>> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = BatchView::parse(&self.rest);
        self.rest = match &batch {
            Ok(batch) => self.rest.slice(batch.header.batch_bytes..),
            Err(_) => Bytes::new(),
        };
        Some(batch)
    }
}

fn check_length(header: &BatchHeader, bytes: usize) -> Result<()> {
    let expected = header.batch_bytes;
    if bytes == expected {
        return Ok(());
    }
    Err(Error::corrupt(format!("a record batch of {expected} bytes has {bytes}")))
}

fn check_crc(header: &BatchHeader, bytes: &[u8]) -> Result<()> {
    let actual = crc_of(bytes).unwrap_or(!header.crc);
    if actual == header.crc {
        return Ok(());
    }
    Err(Error::corrupt(format!("a record batch has the checksum {actual:08x} instead of {:08x}", header.crc)))
}
