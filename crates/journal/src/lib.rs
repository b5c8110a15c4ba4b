//! The log: topics, partitions and segments of Kafka record batches, durable before they are acknowledged.
//!
//! **What it is.** An embedded, segmented, append-only log. [`Log`] is a data directory, [`Topic`] a named set
//! of [`Partition`]s, and a partition is a sequence of records that are numbered by offset and live in segment
//! files byte for byte as Kafka's clients see them. One commit syncs the writes of many appends. It keeps
//! what a broker and a pipeline need below them: high watermark, last stable offset, idempotent producers,
//! transactions, lanes with their last epoch, topic ids and settings, retention with pins, compaction, lookups by time.
//!
//! **What it is not.** A broker: no protocol, no consumer groups, no replication. It never looks into a value.
//!
//! **Invariants.**
//! - A ticket completes, and a record can be read, only after an `fdatasync` that covers it.
//! - An offset is given once and never changes; only compaction leaves gaps.
//! - Bytes that fail their checksum are never served; acknowledged records are never cut off.
//! - After a failed write or sync nothing is acknowledged any more until a restart has recovered; but a write that only
//!   finds the disk full is undone and refused, and so is nothing more than that.
//! - Nothing calls the clock, the file system or the random source but through [`fleuve_base::Env`].
//!
//! The files are described byte by byte in `docs/internals/journal.md`; *crash point Cn* in the comments refers
//! to its table.
//!
//! ```
//! use fleuve_base::{Env, MemoryFs};
//! use fleuve_journal::{Log, LogOptions, TopicConfig};
//! use fleuve_record::BatchBuilder;
//!
//! let env = Env { fs: std::sync::Arc::new(MemoryFs::new()), ..Env::system() };
//! let log = Log::open(env, "/data".as_ref(), LogOptions::default())?;
//! let topic = log.create_topic("orders", 1, TopicConfig::default())?;
//! let partition = topic.partition(0)?;
//!
//! let mut batch = BatchBuilder::new();
//! batch.append(1_000, Some(b"k"), Some(b"hello"), &[])?;
//! let appended = partition.append(batch.finish()?)?;
//! appended.ticket.wait()?;
//!
//! let fetched = partition.read(0, 1 << 20)?;
//! let records = fetched.batches().next().expect("one batch")?.records()?;
//! assert_eq!(records.iter().next().expect("one record")?.value, Some(&b"hello"[..]));
//! log.close()?;
//! # Ok::<(), fleuve_base::Error>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod administration;
mod append;
mod buffers;
mod checkpoint;
mod codes;
mod commit;
mod compaction;
mod directory;
mod fetch;
mod fresh;
mod in_place;
mod index;
mod little_endian;
mod log;
mod lookup;
mod name;
mod options;
mod partition;
mod producer;
mod recovery;
mod retention;
mod scanner;
mod segment;
mod segment_name;
mod shared;
mod snapshot;
mod topic;
mod transaction;
mod watch;

pub use append::{Appended, EPOCH_BYTES_MAX};
pub use commit::{OnDurable, Ticket};
pub use compaction::{COMPACTION_KEYS_MAX, CompactionReport};
pub use fetch::Fetched;
pub use log::{Log, TOPICS_MAX};
pub use lookup::TimedOffset;
pub use name::{TOPIC_NAME_CHARACTERS_MAX, check_topic_name};
pub use options::{Cleanup, CommitMode, Durability, LogOptions, SEGMENT_BYTES, Timestamps, TopicConfig};
pub use partition::{Damage, Partition};
pub use producer::{AppendRules, EPOCH_END, ProducerState};
pub use recovery::{Cut, RecoveryReport};
pub use retention::{PINS_MAX, RetentionReport};
pub use segment::PartitionId;
pub use topic::{PARTITIONS_MAX, SETTINGS_BYTES_MAX, Settings, Topic};
pub use transaction::AbortedTransaction;
pub use watch::{Subscription, Waker};
