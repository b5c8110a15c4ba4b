//! A Kafka broker of someone else's, through librdkafka.
//!
//! Splits are topic partitions, ranges are offsets; partitions are assigned, never subscribed to, so that the journal
//! alone says what is read. A sink's lane is a producer with transactions of its own, which commit the epoch together with
//! its records: as the offset of a group that nobody else uses. After a restart that offset says what is there already.

mod client;
mod feed;
mod replay;
mod sink;
mod source;

pub(crate) use sink::ForeignSink;
pub(crate) use source::ForeignSource;
