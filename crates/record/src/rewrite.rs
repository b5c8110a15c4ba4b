//! Rewriting a batch: for compaction some records go, and the others keep offset, timestamp and order; or all stay, otherwise
//! compressed.

use bytes::{Bytes, BytesMut};
use fleuve_base::limits::BATCH_BYTES_MAX;
use fleuve_base::{Error, ErrorKind, Result};

use crate::batch::{Batch, BatchView};
use crate::builder::put_record;
use crate::codec::Codec;
use crate::header::{Attributes, BatchHeader, HEADER_BYTES, crc_of};
use crate::records::Record;

impl BatchView {
    /// The batch with those records only that `keep` wants; `None` if it wants none.
    ///
    /// Base and last offset stay, and so do the sequence numbers that follow from them. If a tombstone is kept, and
    /// the batch does not say yet until when, `horizon_ms` becomes its delete horizon (KIP-534): the base timestamp
    /// holds it, and attribute bit 6 says so.
    pub fn retain(&self, horizon_ms: i64, mut keep: impl FnMut(&Record<'_>) -> bool) -> Result<Option<Batch>> {
        let records = self.records()?;
        let (mut kept, mut count, mut tombstones) = (Vec::new(), 0, false);
        for record in &records {
            let record = record?;
            count += 1;
            if keep(&record) {
                tombstones |= record.value.is_none();
                kept.push(record);
            }
        }
        if kept.is_empty() {
            return Ok(None);
        }
        let horizon = (tombstones && self.delete_horizon_ms().is_none()).then_some(horizon_ms);
        if kept.len() == count && horizon.is_none() {
            return Ok(Some(Batch::from_parts(BytesMut::from(&self.bytes()[..]), *self.header())));
        }
        self.rebuild(&kept, horizon).map(Some)
    }

    /// Until when the batch's tombstones must stay, in milliseconds since 1970-01-01 UTC.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        let header = self.header();
        header.attributes.has(Attributes::DELETE_HORIZON).then_some(header.base_timestamp_ms)
    }

    fn rebuild(&self, kept: &[Record<'_>], horizon_ms: Option<i64>) -> Result<Batch> {
        let old = *self.header();
        let base_timestamp_ms = horizon_ms.unwrap_or(old.base_timestamp_ms);
        let mut payload = BytesMut::new();
        payload.resize(HEADER_BYTES, 0);
        for record in kept {
            let delta = record.timestamp_ms.wrapping_sub(base_timestamp_ms);
            put_record(&mut payload, delta, record.offset - old.base_offset, record);
        }
        let bytes = compressed(old.attributes.codec()?, payload)?;
        let appended = old.attributes.has(Attributes::LOG_APPEND_TIME);
        let newest = kept.iter().map(|record| record.timestamp_ms).max();
        let horizon = if horizon_ms.is_some() { Attributes::DELETE_HORIZON } else { 0 };
        let header = BatchHeader {
            attributes: Attributes(old.attributes.0 | horizon),
            base_timestamp_ms,
            max_timestamp_ms: newest.filter(|_| !appended).unwrap_or(old.max_timestamp_ms),
            record_count: kept.len() as i32,
            ..old
        };
        Ok(sealed(bytes, header))
    }
}

impl Batch {
    /// The same records, compressed by another codec.
    ///
    /// # Errors
    /// They cannot be decompressed, or the batch would be larger than [`BATCH_BYTES_MAX`].
    pub fn recompressed(&self, codec: Codec) -> Result<Batch> {
        let old = *self.header();
        let records = old.attributes.codec()?.decompress(&self.as_bytes()[HEADER_BYTES..])?;
        let mut out = vec![0; HEADER_BYTES];
        codec.compress(&records, &mut out)?;
        if out.len() > BATCH_BYTES_MAX {
            let message = format!("a record batch is over the limit of {BATCH_BYTES_MAX} bytes with {}", codec.name());
            return Err(Error::new(ErrorKind::Limit, "E710", message));
        }
        let attributes = old.attributes.with_codec(codec);
        Ok(sealed(BytesMut::from(Bytes::from(out)), BatchHeader { attributes, ..old }))
    }
}

/// Fills in the header in front of a payload, with its length and checksum.
fn sealed(mut bytes: BytesMut, header: BatchHeader) -> Batch {
    let mut header = BatchHeader { batch_bytes: bytes.len(), ..header };
    header.encode(&mut bytes);
    header.crc = crc_of(&bytes).expect("a batch is at least as long as its header");
    header.encode(&mut bytes);
    Batch::from_parts(bytes, header)
}

fn compressed(codec: Codec, payload: BytesMut) -> Result<BytesMut> {
    if codec == Codec::None {
        return Ok(payload);
    }
    let mut out = vec![0; HEADER_BYTES];
    codec.compress(&payload[HEADER_BYTES..], &mut out)?;
    Ok(BytesMut::from(Bytes::from(out)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BatchBuilder;

    type Seen = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, usize);

    fn seen(view: &BatchView) -> Vec<Seen> {
        view.verify_crc().unwrap();
        let records = view.records().unwrap();
        let own = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
        let seen = records.iter().map(Result::unwrap);
        seen.map(|r| (r.offset, r.timestamp_ms, own(r.key), own(r.value), r.headers.len())).collect()
    }

    fn batch(codec: Codec) -> BatchView {
        let mut builder = BatchBuilder::new().codec(codec).producer(9, 2, 50);
        for i in 0..10_i64 {
            let value = (i != 4).then_some(&b"value"[..]);
            builder.append(1_000 - i * 7, Some(&[i as u8]), value, &[("h", Some(b"x"))]).unwrap();
        }
        let mut batch = builder.finish().unwrap();
        batch.assign_offset(1 << 40);
        batch.into_view()
    }

    #[test]
    fn what_is_kept_is_unchanged() {
        for codec in Codec::ALL {
            let view = batch(codec);
            let all = seen(&view);
            let kept = view.retain(0, |r| r.offset % 3 == 0).unwrap().unwrap().into_view();
            let expected: Vec<_> = all.iter().filter(|r| r.0 % 3 == 0).cloned().collect();
            assert_eq!(seen(&kept), expected);
            let (old, new) = (view.header(), kept.header());
            assert_eq!((new.base_offset, new.last_offset(), new.last_sequence()), (1 << 40, old.last_offset(), 59));
            assert_eq!(new.record_count, expected.len() as i32);
            assert_eq!(new.max_timestamp_ms, expected.iter().map(|r| r.1).max().unwrap());
            assert!(view.retain(0, |_| false).unwrap().is_none());
        }
    }

    #[test]
    fn compressed_otherwise_a_batch_holds_the_same() {
        for (from, to) in Codec::ALL.into_iter().flat_map(|from| Codec::ALL.map(|to| (from, to))) {
            let view = batch(from);
            let mut owned = Batch::from_bytes(view.bytes().clone()).unwrap();
            owned.stamp(9, 2, 50, Attributes::TRANSACTIONAL, Attributes::TRANSACTIONAL);
            let other = Batch::from_bytes(Bytes::copy_from_slice(owned.recompressed(to).unwrap().as_bytes())).unwrap();
            assert_eq!(other.header().attributes.codec().unwrap(), to);
            assert!(other.header().attributes.has(Attributes::TRANSACTIONAL));
            let (old, new) = (owned.header(), other.header());
            assert_eq!((new.base_offset, new.last_sequence()), (old.base_offset, old.last_sequence()));
            assert_eq!(new.max_timestamp_ms, old.max_timestamp_ms);
            assert_eq!(seen(&other.into_view()), seen(&view));
        }
    }

    #[test]
    fn tombstones_get_a_horizon_once() {
        let view = batch(Codec::Lz4);
        let all = seen(&view);
        let kept = view.retain(77_777, |_| true).unwrap().unwrap().into_view();
        assert_eq!((kept.delete_horizon_ms(), seen(&kept)), (Some(77_777), all));
        let again = kept.retain(99_999, |r| r.offset % 2 == 0).unwrap().unwrap().into_view();
        assert_eq!(again.delete_horizon_ms(), Some(77_777));
        let without = view.retain(77_777, |r| r.value.is_some()).unwrap().unwrap().into_view();
        assert_eq!(without.delete_horizon_ms(), None);
    }

    #[test]
    fn the_logs_own_timestamps_stay() {
        let mut batch = Batch::parse(BytesMut::from(&batch(Codec::None).bytes()[..])).unwrap();
        batch.stamp_append_time(5_000_000);
        let kept = batch.into_view().retain(1, |r| r.offset % 2 == 0).unwrap().unwrap().into_view();
        assert!(seen(&kept).iter().all(|r| r.1 == 5_000_000));
        assert_eq!(kept.header().max_timestamp_ms, 5_000_000);
    }
}
