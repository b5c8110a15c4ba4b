//! Building a batch: records are encoded once, straight into the batch's own buffer.

use bytes::{BufMut, Bytes, BytesMut};
use fleuve_base::limits::{BATCH_BYTES_MAX, DECOMPRESSED_BYTES_MAX, RECORD_BYTES_MAX};
use fleuve_base::{Error, ErrorKind, Result};

use crate::batch::Batch;
use crate::codec::Codec;
use crate::header::{Attributes, BatchHeader, HEADER_BYTES, crc_of};
use crate::records::Record;
use crate::varint;

/// Collects records into one batch.
///
/// Offsets are dense: the n-th record gets the base offset plus n. The base offset is 0 until the log assigns
/// it. The first record's timestamp is the batch's base timestamp.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    buffer: BytesMut,
    codec: Codec,
    flags: u16,
    producer: (i64, i16, i32),
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
    records: i32,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch: no compression, no producer.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// Room for `payload_bytes` of records is reserved.
    pub fn with_capacity(payload_bytes: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(HEADER_BYTES + payload_bytes.min(BATCH_BYTES_MAX));
        buffer.put_bytes(0, HEADER_BYTES);
        BatchBuilder {
            buffer,
            codec: Codec::None,
            flags: 0,
            producer: (-1, -1, -1),
            base_timestamp_ms: 0,
            max_timestamp_ms: -1,
            records: 0,
        }
    }

    /// Compresses the records with `codec`.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Marks the batch as an idempotent producer's.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.producer = (id, epoch, base_sequence);
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.flags |= Attributes::TRANSACTIONAL;
        self
    }

    /// Marks the batch as a control batch.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.flags |= Attributes::CONTROL;
        self
    }

    /// Number of records so far.
    pub fn len(&self) -> usize {
        self.records as usize
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes of the batch so far, before compression.
    pub fn batch_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Adds a record. On an error (a record or batch over its limit) the batch is as before.
    pub fn append(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Result<()> {
        let base_timestamp_ms = if self.records == 0 { timestamp_ms } else { self.base_timestamp_ms };
        let delta = timestamp_ms.wrapping_sub(base_timestamp_ms);
        let body = body_bytes(delta, self.records, key, value, headers);
        self.check_room(body)?;
        self.buffer.reserve(body + varint::VARLONG_BYTES_MAX);
        varint::encode(body as i64, &mut self.buffer);
        self.buffer.put_u8(0);
        varint::encode(delta, &mut self.buffer);
        varint::encode(i64::from(self.records), &mut self.buffer);
        put_field(&mut self.buffer, key);
        put_field(&mut self.buffer, value);
        varint::encode(headers.len() as i64, &mut self.buffer);
        for (name, value) in headers {
            put_field(&mut self.buffer, Some(name.as_bytes()));
            put_field(&mut self.buffer, *value);
        }
        self.base_timestamp_ms = base_timestamp_ms;
        self.max_timestamp_ms = if self.records == 0 { timestamp_ms } else { self.max_timestamp_ms.max(timestamp_ms) };
        self.records += 1;
        Ok(())
    }

    fn check_room(&self, body: usize) -> Result<()> {
        if body > RECORD_BYTES_MAX {
            return Err(limit(format!("a record of {body} bytes is over the limit of {RECORD_BYTES_MAX}")));
        }
        let after = self.buffer.len() + body + varint::VARLONG_BYTES_MAX;
        if after > BATCH_BYTES_MAX.min(DECOMPRESSED_BYTES_MAX) || self.records == i32::MAX {
            return Err(limit(format!("a record batch of {after} bytes is over the limit of {BATCH_BYTES_MAX}")));
        }
        Ok(())
    }

    /// The finished batch. An empty builder is an error: a batch without records says nothing.
    pub fn finish(self) -> Result<Batch> {
        if self.records == 0 {
            return Err(Error::internal("a record batch was finished without any record"));
        }
        let mut header = self.header();
        let mut bytes = self.into_bytes()?;
        if bytes.len() > BATCH_BYTES_MAX {
            return Err(limit(format!("a compressed record batch is over the limit of {BATCH_BYTES_MAX} bytes")));
        }
        header.batch_bytes = bytes.len();
        header.encode(&mut bytes);
        header.crc = crc_of(&bytes).expect("a batch is at least as long as its header");
        header.encode(&mut bytes);
        Ok(Batch::from_parts(bytes, header))
    }

    fn header(&self) -> BatchHeader {
        let (producer_id, producer_epoch, base_sequence) = self.producer;
        BatchHeader {
            base_offset: 0,
            batch_bytes: self.buffer.len(),
            leader_epoch: 0,
            crc: 0,
            attributes: Attributes(self.codec as u16 | self.flags),
            last_offset_delta: self.records - 1,
            base_timestamp_ms: self.base_timestamp_ms,
            max_timestamp_ms: self.max_timestamp_ms,
            producer_id,
            producer_epoch,
            base_sequence,
            record_count: self.records,
        }
    }

    /// Header (still empty) and payload, compressed if need be.
    fn into_bytes(self) -> Result<BytesMut> {
        if self.codec == Codec::None {
            return Ok(self.buffer);
        }
        let mut out = vec![0; HEADER_BYTES];
        self.codec.compress(&self.buffer[HEADER_BYTES..], &mut out)?;
        Ok(BytesMut::from(Bytes::from(out)))
    }
}

fn limit(message: String) -> Error {
    Error::new(ErrorKind::Limit, "E710", message)
}

fn field_bytes(field: Option<&[u8]>) -> usize {
    match field {
        Some(bytes) => varint::encoded_bytes(bytes.len() as i64) + bytes.len(),
        None => 1,
    }
}

fn body_bytes(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&str, Option<&[u8]>)],
) -> usize {
    let numbers = varint::encoded_bytes(timestamp_delta)
        + varint::encoded_bytes(i64::from(offset_delta))
        + varint::encoded_bytes(headers.len() as i64);
    let headers: usize =
        headers.iter().map(|(name, value)| field_bytes(Some(name.as_bytes())) + field_bytes(*value)).sum();
    1 + numbers + field_bytes(key) + field_bytes(value) + headers
}

/// Appends a record that was read from another batch.
pub(crate) fn put_record(out: &mut BytesMut, timestamp_delta: i64, offset_delta: i64, record: &Record<'_>) {
    let headers = record.headers.map(|header| field_bytes(Some(header.key.as_bytes())) + field_bytes(header.value));
    let count = record.headers.len() as i64;
    let numbers =
        varint::encoded_bytes(timestamp_delta) + varint::encoded_bytes(offset_delta) + varint::encoded_bytes(count);
    let body = 1 + numbers + field_bytes(record.key) + field_bytes(record.value) + headers.sum::<usize>();
    varint::encode(body as i64, out);
    out.put_u8(0);
    varint::encode(timestamp_delta, out);
    varint::encode(offset_delta, out);
    put_field(out, record.key);
    put_field(out, record.value);
    varint::encode(count, out);
    for header in record.headers {
        put_field(out, Some(header.key.as_bytes()));
        put_field(out, header.value);
    }
}

fn put_field(out: &mut BytesMut, field: Option<&[u8]>) {
    match field {
        Some(bytes) => {
            varint::encode(bytes.len() as i64, out);
            out.put_slice(bytes);
        }
        None => varint::encode(-1, out),
    }
}
