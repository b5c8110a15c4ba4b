//! Leaving out what transactions wrote that were aborted.

use bytes::{Bytes, BytesMut};
use fleuve_base::Result;
use fleuve_journal::{AbortedTransaction, Partition};
use fleuve_record::{Attributes, BatchHeader, Batches};

/// The batches of a stretch that count. Mostly all do, and nothing is copied.
///
/// `offsets` are those of the stretch, and before the last stable offset: so the answer never changes.
pub(crate) fn committed(partition: &Partition, bytes: Bytes, offsets: std::ops::Range<u64>) -> Result<Bytes> {
    let aborted = partition.aborted(offsets)?;
    if aborted.is_empty() {
        return Ok(bytes);
    }
    let hidden = |header: &BatchHeader| {
        let of = |transaction: &AbortedTransaction| {
            let span = transaction.first_offset..=transaction.last_offset;
            transaction.producer_id == header.producer_id && span.contains(&(header.base_offset as u64))
        };
        header.attributes.has(Attributes::TRANSACTIONAL) && aborted.iter().any(of)
    };
    let mut kept = BytesMut::with_capacity(bytes.len());
    for batch in Batches::new(bytes) {
        let batch = batch?;
        if !hidden(batch.header()) {
            kept.extend_from_slice(batch.bytes());
        }
    }
    Ok(kept.freeze())
}
