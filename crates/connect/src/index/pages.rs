//! The tree's pages in a compacted topic: those that changed, and a header behind them, in one append.

use std::collections::HashMap;
use std::sync::Arc;

use fleuve_base::{Env, Error, Result};
use fleuve_journal::{Cleanup, Log, Partition, TopicConfig};
use fleuve_record::{Batch, BatchBuilder};
use fleuve_sketch::index::{PAGE_BYTES, Tree};

use super::definition::{pages_topic, rebuild};
use crate::internal;

/// The key of the header; a page's is its number, 4 bytes.
const HEADER: &[u8] = b"header";

/// Version of the header.
const VERSION: u8 = 1;

/// The lane that checkpoints are epochs of.
const LANE: i64 = 1;

/// Bytes of one record batch.
const BATCH_BYTES: usize = 512 << 10;

/// Bytes after which a segment is sealed, and can be compacted.
const SEGMENT_BYTES: u64 = 16 << 20;

/// The topic is compacted when it is so many times as large as the tree, and several segments more.
const GROWTH_MAX: u64 = 2;

/// Segments that may lie there uncompacted whatever the tree's size.
const SEGMENTS_SPARE: u64 = 4;

/// Where the pages of one tree are kept.
pub(super) struct PageStore {
    env: Env,
    name: String,
    partition: Arc<Partition>,
    /// The id of the topic of rows that the pages belong to.
    rows_id: u128,
}

impl PageStore {
    /// Opens or creates the topic, and reads the tree and the number of rows that it holds. Pages that belong to an earlier
    /// topic of rows are dropped.
    ///
    /// # Errors
    /// E901 if the pages are damaged.
    pub(super) fn open(env: &Env, log: &Log, name: &str, rows_id: u128) -> Result<(Self, Tree, u64)> {
        let topic = pages_topic(name);
        let partition = partition(log, &topic)?;
        let mut store = PageStore { env: env.clone(), name: name.to_owned(), partition, rows_id };
        let stored = store.load().map_err(|error| error.with_hint(rebuild(name)))?;
        if let Some((id, applied, tree)) = stored {
            if id == rows_id {
                return Ok((store, tree, applied));
            }
            log.delete_topic(&topic)?;
            store.partition = self::partition(log, &topic)?;
        }
        Ok((store, Tree::new(), 0))
    }

    fn load(&self) -> Result<Option<(u128, u64, Tree)>> {
        let (mut pages, mut header) = (HashMap::<u32, Vec<u8>>::new(), None::<Vec<u8>>);
        let partition = &self.partition;
        let (start, end) = (partition.log_start_offset(), partition.high_watermark());
        internal::for_range(partition, start, end, |record| {
            let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
            match <[u8; 4]>::try_from(key) {
                Ok(number) => drop(pages.insert(u32::from_le_bytes(number), value.to_vec())),
                Err(_) if key == HEADER => header = Some(value.to_vec()),
                Err(_) => return Err(self.damaged("a record is neither a page nor the header")),
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        let Some(header) = header else { return Ok(None) };
        let (id, applied, tree) = parse(&header).ok_or_else(|| self.damaged("its header is not one"))?;
        let tree = Tree::from_pages(tree, |page| pages.get(&page).map(Vec::as_slice));
        let mut tree = tree.map_err(|error| self.damaged(error.message()))?;
        if tree.len() != applied {
            return Err(self.damaged("its header counts other rows"));
        }
        tree.clear_changed();
        Ok(Some((id, applied, tree)))
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::corrupt(format!("the pages of index `{}` are damaged: {reason}", self.name))
    }

    /// Stores what has changed of a tree that holds the rows before `applied`. All of it is there after a crash, or none.
    pub(super) fn store(&self, tree: &Tree, applied: u64) -> Result<()> {
        let now_ms = self.env.clock.now_ms();
        let (mut batches, mut current) = (vec![], BatchBuilder::new());
        for page in tree.changed() {
            current.append(now_ms, Some(&page.to_le_bytes()), tree.page_bytes(*page), &[])?;
            if current.batch_bytes() >= BATCH_BYTES {
                batches.push(std::mem::take(&mut current).finish()?);
            }
        }
        current.append(now_ms, Some(HEADER), Some(&self.header(tree, applied)), &[])?;
        batches.push(current.finish()?);
        self.append(batches)?;
        self.compact(tree)
    }

    fn append(&self, batches: Vec<Batch>) -> Result<()> {
        let epoch = self.partition.last_epoch(LANE).map_or(1, |last| last + 1);
        self.partition.append_epoch(LANE, epoch, batches).map(drop)
    }

    /// `VERSION`, the id of the topic of rows, the number of rows, the tree's header.
    fn header(&self, tree: &Tree, applied: u64) -> Vec<u8> {
        let mut header = vec![VERSION];
        header.extend_from_slice(&self.rows_id.to_le_bytes());
        header.extend_from_slice(&applied.to_le_bytes());
        header.extend_from_slice(&tree.header());
        header
    }

    fn compact(&self, tree: &Tree) -> Result<()> {
        let most = GROWTH_MAX * tree.bytes() as u64 + SEGMENTS_SPARE * SEGMENT_BYTES;
        if self.partition.size_bytes() > most {
            self.partition.compact()?;
        }
        Ok(())
    }
}

/// Bytes of pages that one append holds at most: it is one epoch of the log.
pub(super) const STORED_BYTES_MAX: usize = fleuve_journal::EPOCH_BYTES_MAX as usize / 4;

/// Bytes of the pages that are to be stored.
pub(super) fn changed_bytes(tree: &Tree) -> usize {
    tree.changed().len() * PAGE_BYTES
}

fn partition(log: &Log, topic: &str) -> Result<Arc<Partition>> {
    let config = TopicConfig { cleanup: Cleanup::Compact, segment_bytes: SEGMENT_BYTES, ..TopicConfig::default() };
    let topic = match log.topic(topic) {
        Ok(topic) => topic,
        Err(_) => log.create_topic(topic, 1, config)?,
    };
    topic.partition(0).cloned()
}

/// The id, the number of rows, and the tree's header.
fn parse(header: &[u8]) -> Option<(u128, u64, &[u8])> {
    let (version, rest) = header.split_first()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (applied, rest) = rest.split_first_chunk()?;
    (*version == VERSION).then(|| (u128::from_le_bytes(*id), u64::from_le_bytes(*applied), rest))
}
