//! An open index: its rows, the tree over them, and how far that is.

use std::sync::Arc;

use arrow::array::RecordBatch;
use fleuve_base::{Env, Result};
use fleuve_journal::{Log, Partition, Topic};
use fleuve_sketch::index::Tree;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::cache::{CACHE_BYTES_MAX, RowCache};
use super::definition::Definition;
use super::key::KeyShape;
use super::pages::{PageStore, STORED_BYTES_MAX, changed_bytes};
use super::rows::{RowDecoder, read};

/// Bytes of rows that are applied to the tree at a time; in between, it can be read.
const STEP_BYTES: usize = 1 << 20;

/// Rows that are applied again after a crash at most, if there are not [`BEHIND_SHARE`] times as many in the tree: so each row
/// is stored in a bounded number of page writes, however large the tree.
const BEHIND_ROWS_MAX: u64 = 4_096;

/// The share of the tree's rows that may be behind.
const BEHIND_SHARE: u64 = 8;

/// An index that is open. Each is open once in a process: see [`Indexes`](super::Indexes).
pub struct Index {
    definition: Definition,
    keys: KeyShape,
    rows: Arc<Partition>,
    /// Locked before the tree.
    applying: Mutex<Applying>,
    tree: RwLock<Tree>,
    cache: Mutex<RowCache>,
    keeper: Mutex<Keeper>,
}

/// The pipeline that writes an index in this process.
#[derive(Debug, Default)]
struct Keeper {
    /// What identifies it; none until it has been started.
    pipeline: Option<String>,
    /// It has read all that its table had, and has ended.
    finished: bool,
}

/// What only the one who adds rows to the tree may touch.
struct Applying {
    decoder: RowDecoder,
    pages: PageStore,
    /// Rows before this are in the tree.
    applied: u64,
    /// Rows before this are in the stored pages.
    stored: u64,
}

impl Index {
    /// Opens the topics of an index. Its tree is as the pages have it; [`Index::catch_up`] adds the rows behind them.
    pub(super) fn open(env: &Env, log: &Log, definition: Definition, rows: &Topic) -> Result<Self> {
        let partition = Arc::clone(rows.partition(0)?);
        let (pages, tree, applied) = PageStore::open(env, log, &definition.name, rows.id())?;
        let decoder = RowDecoder::new(&definition, &definition.key)?;
        let cache = RowCache::new(&definition, &partition, CACHE_BYTES_MAX)?;
        Ok(Index {
            keys: KeyShape::new(&definition)?,
            definition,
            rows: partition,
            applying: Mutex::new(Applying { decoder, pages, applied, stored: applied }),
            tree: RwLock::new(tree),
            cache: Mutex::new(cache),
            keeper: Mutex::default(),
        })
    }

    /// Name, table and columns.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// How keys are made of the key's columns.
    pub fn keys(&self) -> &KeyShape {
        &self.keys
    }

    /// The tree: keys of [`Index::keys`], numbers of rows for [`Index::fetch`]. Rows wait to be added while it is held.
    pub fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read()
    }

    /// The rows of these numbers, in their order, with all columns. The batches that were read last are kept decoded, up to
    /// 64 MiB of them.
    ///
    /// # Errors
    /// Corrupt, if a row is damaged or not there.
    pub fn fetch(&self, rows: &[u64]) -> Result<RecordBatch> {
        self.cache.lock().fetch(rows)
    }

    /// A pipeline begins to write it.
    pub(super) fn kept_by(&self, pipeline: &str) {
        *self.keeper.lock() = Keeper { pipeline: Some(pipeline.to_owned()), finished: false };
    }

    /// The pipeline that writes it has read all of its table, and has ended.
    pub(super) fn finished(&self) {
        self.keeper.lock().finished = true;
    }

    /// What identifies the pipeline that has read all of the table, as that was then.
    pub(super) fn whole(&self) -> Option<String> {
        let keeper = self.keeper.lock();
        keeper.pipeline.clone().filter(|_| keeper.finished)
    }

    /// The partition that holds the rows.
    pub(super) fn partition(&self) -> &Arc<Partition> {
        &self.rows
    }

    /// Adds all rows to the tree that are durable by now.
    ///
    /// # Errors
    /// Corrupt, if rows are damaged; E904, if the tree is full.
    pub fn catch_up(&self) -> Result<()> {
        let mut applying = self.applying.lock();
        let end = self.rows.high_watermark();
        while applying.applied < end {
            self.step(&mut applying)?;
            let behind = applying.applied - applying.stored;
            let worth = (self.tree().len() / BEHIND_SHARE).max(BEHIND_ROWS_MAX);
            if behind >= worth || changed_bytes(&self.tree()) >= STORED_BYTES_MAX {
                self.store_behind(&mut applying)?;
            }
        }
        Ok(())
    }

    /// Adds some of the next rows.
    fn step(&self, applying: &mut Applying) -> Result<()> {
        let (batches, next) = read(&self.rows, &self.definition.name, applying.applied, STEP_BYTES)?;
        let mut entries = vec![];
        for batch in batches {
            let batch = batch?;
            let first = batch.header().base_offset as u64;
            let columns = applying.decoder.decode(&batch)?;
            entries.extend(self.keys.encode(columns.columns())?.into_iter().zip(first..));
        }
        let mut tree = self.tree.write();
        for (key, row) in entries.iter().filter(|(_, row)| *row >= applying.applied) {
            tree.insert(key, *row)?;
        }
        applying.applied = next;
        Ok(())
    }

    /// Stores the pages, if they are behind the tree.
    pub fn store(&self) -> Result<()> {
        self.store_behind(&mut self.applying.lock())
    }

    fn store_behind(&self, applying: &mut Applying) -> Result<()> {
        if applying.stored == applying.applied {
            return Ok(());
        }
        applying.pages.store(&self.tree.read(), applying.applied)?;
        self.tree.write().clear_changed();
        applying.stored = applying.applied;
        Ok(())
    }
}
