//! The marker that ends a transaction: a control batch of one record, as Kafka's coordinator writes it.
//!
//! ```text
//! key:   version i16 = 0 │ type i16 (0 abort, 1 commit)      value: version i16 = 0 │ coordinator epoch i32
//! ```

use fleuve_base::Result;

use crate::batch::{Batch, BatchView};
use crate::builder::BatchBuilder;

const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndMarker {
    /// Whether its records count.
    pub commit: bool,
    /// The epoch of the coordinator that decided so.
    pub coordinator_epoch: i32,
}

impl EndMarker {
    /// The control batch that tells it.
    pub fn batch(self, producer_id: i64, producer_epoch: i16, timestamp_ms: i64) -> Result<Batch> {
        let kind = if self.commit { COMMIT } else { ABORT };
        let key = [VERSION.to_be_bytes(), kind.to_be_bytes()].concat();
        let value = [&VERSION.to_be_bytes()[..], &self.coordinator_epoch.to_be_bytes()].concat();
        let mut builder = BatchBuilder::new().producer(producer_id, producer_epoch, -1).transactional().control();
        builder.append(timestamp_ms, Some(&key), Some(&value), &[])?;
        builder.finish()
    }

    /// What a control batch tells; `None` if it is no marker of this kind.
    pub fn parse(batch: &BatchView) -> Option<Self> {
        let records = batch.records().ok()?;
        let record = records.iter().next()?.ok()?;
        let (_version, key) = record.key?.split_first_chunk::<2>()?;
        let (_version, value) = record.value?.split_first_chunk::<2>()?;
        let coordinator_epoch = i32::from_be_bytes(*value.first_chunk()?);
        match i16::from_be_bytes(*key.first_chunk()?) {
            ABORT => Some(EndMarker { commit: false, coordinator_epoch }),
            COMMIT => Some(EndMarker { commit: true, coordinator_epoch }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Attributes;

    #[test]
    fn a_marker_is_what_kafka_writes() {
        let batch = EndMarker { commit: true, coordinator_epoch: 7 }.batch(5, 3, 1_000).unwrap();
        let header = *batch.header();
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (5, 3, -1));
        assert_eq!(header.attributes.0, Attributes::TRANSACTIONAL | Attributes::CONTROL);
        let view = batch.into_view();
        let records = view.records().unwrap();
        let record = records.iter().next().unwrap().unwrap();
        assert_eq!((record.key, record.value), (Some(&[0, 0, 0, 1][..]), Some(&[0, 0, 0, 0, 0, 7][..])));
        assert_eq!(EndMarker::parse(&view), Some(EndMarker { commit: true, coordinator_epoch: 7 }));
    }

    #[test]
    fn other_control_records_are_no_markers() {
        for (key, value) in [(&[0, 0, 0, 2][..], &[0; 6][..]), (&[0, 0, 0], &[0; 6]), (&[0, 0, 0, 1], &[0; 5])] {
            let mut builder = BatchBuilder::new().control();
            builder.append(0, Some(key), Some(value), &[]).unwrap();
            assert_eq!(EndMarker::parse(&builder.finish().unwrap().into_view()), None);
        }
    }
}
