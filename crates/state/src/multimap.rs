//! A multiset of rows by key: what a join remembers of one input.
//!
//! Rows lie in *chunks* of columns of their own (never views into the batches that they came in), with an index from
//! key to rows beside them: an array of heads, one for each bucket of keys, and for each row the next older row of its
//! bucket. Because ids only grow, a chain runs from young to old, and whoever walks it stops at the first id below the
//! oldest chunk: rows that expire with their chunk need not be taken out of the index.
//!
//! A row's key stands in the index as a 64-bit *fingerprint*. For one column of an integer or time type it is the value
//! itself, so that comparing it is exact; for anything else it is the key's hash, and the columns are compared as well.
//!
//! A *retractable* multimap counts equal rows with a weight, finds a row again by its contents, and forgets it when its
//! weight becomes 0. An *expiring* one drops rows by a time column. None is both.

mod chunk;
mod heads;
mod keys;
mod maintain;
mod probe;
mod saved;
#[cfg(test)]
mod tests;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use fleuve_base::Result;

use crate::columns::{compact, concat_owned, hashes_of, take_rows};
use chunk::Chunk;
use heads::{Heads, Ids};

pub use keys::Keys;
pub use probe::{Cursor, Pairs};

/// Rows of one chunk: what is concatenated, and dropped, at a time. A row's place in its chunk has 16 bits of its id.
pub const CHUNK_ROWS_MAX: usize = 1 << 16;

/// Bytes of columns after which a chunk takes no further rows; keeps 32-bit string offsets from overflowing.
pub const CHUNK_BYTES_MAX: usize = 64 << 20;

/// Where a row is stored: its chunk's number and its place in the chunk. Valid until [`Multimap::maintain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(u32);

impl RowId {
    const NONE: RowId = RowId(u32::MAX);

    fn new(chunk: u32, row: usize) -> Self {
        debug_assert!(row < CHUNK_ROWS_MAX);
        RowId(chunk << 16 | row as u32)
    }

    fn chunk(self) -> u32 {
        self.0 >> 16
    }

    fn row(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

/// What a multimap holds and how it forgets.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The stored columns.
    pub schema: SchemaRef,
    /// Key columns (positions in `schema`). Without keys all rows are under one.
    pub keys: Vec<usize>,
    /// A timestamp column (position) by which rows expire.
    pub time: Option<usize>,
    /// Rows carry weights and may be retracted. Not together with `time`.
    pub retractable: bool,
    /// Rows carry the number of their matches on the other side of a join.
    pub counted: bool,
}

/// Rows by key. See the module's documentation.
#[derive(Debug)]
pub struct Multimap {
    layout: Layout,
    chunks: Vec<Chunk>,
    /// The number of `chunks[0]`.
    first_chunk: u32,
    by_key: Heads,
    /// The index from whole rows, of a retractable multimap.
    by_row: Heads,
    /// Rows in chunks, dead ones included.
    stored: usize,
    /// Rows whose weight has become 0.
    dead: usize,
    /// Rows with a time before it have expired, in the unit of the time column.
    bound: i64,
    /// How many rows were alive when they were last counted by their times.
    alive_at_count: usize,
}

impl Multimap {
    /// An empty multimap.
    ///
    /// # Panics
    /// If the layout is retractable and expiring at once.
    pub fn new(layout: Layout) -> Self {
        assert!(!(layout.retractable && layout.time.is_some()), "rows that expire cannot be retracted");
        Multimap {
            layout,
            chunks: Vec::new(),
            first_chunk: 0,
            by_key: Heads::default(),
            by_row: Heads::default(),
            stored: 0,
            dead: 0,
            bound: i64::MIN,
            alive_at_count: 0,
        }
    }

    /// What it holds.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Rows held; of an expiring multimap, with those that have expired in a chunk that lives.
    pub fn len(&self) -> usize {
        self.stored - self.dead
    }

    /// Whether it holds no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory, the index included.
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(Chunk::bytes).sum::<usize>() + self.by_key.bytes() + self.by_row.bytes()
    }

    /// The keys of rows that are to be inserted.
    pub fn keys_of(&self, rows: &RecordBatch) -> Result<Keys> {
        let columns = self.layout.keys.iter().map(|&key| rows.column(key).clone()).collect();
        Keys::new(columns, rows.num_rows())
    }

    /// Adds rows, each as a row of its own with weight 1, in columns that share no buffer with others
    /// ([`concat_owned`](crate::columns::concat_owned)). Neither keys nor times are NULL. `matches` is read if the
    /// layout is counted.
    ///
    /// # Panics
    /// If the multimap is retractable, or if there are not as many keys or matches as rows.
    pub fn insert(&mut self, rows: RecordBatch, keys: &Keys, matches: &[i64]) -> Result<()> {
        assert!(!self.layout.retractable, "a retractable multimap needs weights");
        self.append(rows, keys, &[], matches)
    }

    /// Adds weights to rows. No two rows are equal; no key is NULL. A row that is not there is stored (with `matches`,
    /// if the layout is counted), also if its weight is negative; one whose weight becomes 0 is forgotten.
    ///
    /// # Panics
    /// If the multimap is not retractable, or if there are not as many keys, weights or matches as rows.
    pub fn update(&mut self, rows: &RecordBatch, keys: &Keys, weights: &[i64], matches: &[i64]) -> Result<()> {
        assert!(self.layout.retractable, "only a retractable multimap takes weights");
        let hashes = hashes_of(rows.columns(), rows.num_rows())?;
        let found = self.find(rows, &hashes)?;
        let mut missing = Vec::with_capacity(rows.num_rows());
        for (row, id) in found.into_iter().enumerate() {
            match id {
                RowId::NONE => missing.push(row as u32),
                id => self.add_weight(id, weights[row]),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let pick = |values: &[i64]| missing.iter().filter_map(|&row| values.get(row as usize).copied()).collect();
        let (weights, matches): (Vec<i64>, Vec<i64>) = (pick(weights), pick(matches));
        self.append(compact(&take_rows(rows, &missing)?)?, &keys.take(&missing)?, &weights, &matches)
    }

    /// The weight of a row.
    pub fn weight(&self, id: RowId) -> i64 {
        if self.layout.retractable { self.chunk(id).weights[id.row()] } else { 1 }
    }

    /// The number of matches of a row.
    ///
    /// # Panics
    /// If the layout is not counted.
    pub fn matches(&self, id: RowId) -> i64 {
        self.chunk(id).matches[id.row()]
    }

    /// Adds to the number of matches of a row; returns what it was.
    ///
    /// # Panics
    /// If the layout is not counted.
    pub fn add_matches(&mut self, id: RowId, count: i64) -> i64 {
        let matches = &mut self.chunk_mut(id).matches[id.row()];
        std::mem::replace(matches, *matches + count)
    }

    fn chunk(&self, id: RowId) -> &Chunk {
        &self.chunks[(id.chunk() - self.first_chunk) as usize]
    }

    fn chunk_mut(&mut self, id: RowId) -> &mut Chunk {
        &mut self.chunks[(id.chunk() - self.first_chunk) as usize]
    }

    /// The smallest id that can be in a chunk: where chains end.
    fn oldest(&self) -> u32 {
        self.first_chunk << 16
    }

    /// Stores rows at the end, in as many chunks as they need.
    fn append(&mut self, rows: RecordBatch, keys: &Keys, weights: &[i64], matches: &[i64]) -> Result<()> {
        assert_eq!(rows.num_rows(), keys.len(), "one key for each row");
        if rows.num_rows() <= CHUNK_ROWS_MAX {
            return self.append_piece(rows, keys.fingerprints(), weights, matches);
        }
        for start in (0..rows.num_rows()).step_by(CHUNK_ROWS_MAX) {
            let end = rows.num_rows().min(start + CHUNK_ROWS_MAX);
            let piece = concat_owned(&self.layout.schema, &[rows.slice(start, end - start)])?;
            let part = |values: &[i64]| values.get(start..end).unwrap_or_default().to_vec();
            self.append_piece(piece, &keys.fingerprints()[start..end], &part(weights), &part(matches))?;
        }
        Ok(())
    }

    fn append_piece(&mut self, rows: RecordBatch, keys: &[u64], weights: &[i64], matches: &[i64]) -> Result<()> {
        let count = rows.num_rows();
        if count == 0 {
            return Ok(());
        }
        assert!(weights.len() == if self.layout.retractable { count } else { 0 }, "one weight for each row");
        assert!(!self.layout.counted || matches.len() == count, "one number of matches for each row");
        let hashes = if self.layout.retractable { hashes_of(rows.columns(), count)? } else { vec![] };
        self.make_room(count, &rows)?;
        let number = self.first_chunk + (self.chunks.len() - 1) as u32;
        let chunk = self.chunks.last_mut().expect("make_room opened a chunk");
        let start = chunk.push(rows, &self.layout)?;
        chunk.by_key.fingerprints.extend_from_slice(keys);
        chunk.by_row.fingerprints.extend_from_slice(&hashes);
        chunk.weights.extend_from_slice(weights);
        if self.layout.counted {
            chunk.matches.extend_from_slice(matches);
        }
        self.stored += count;
        self.link(number, start..start + count);
        Ok(())
    }

    /// Puts new rows of a chunk into the indexes.
    fn link(&mut self, number: u32, rows: std::ops::Range<usize>) {
        let ids = Ids { chunk: number, rows };
        if self.layout.retractable {
            self.by_key.link_both(&mut self.chunks, |chunk| &mut chunk.by_key, ids.clone());
            self.by_row.link_both(&mut self.chunks, |chunk| &mut chunk.by_row, ids);
        } else {
            let chunk = &mut self.chunks[(number - self.first_chunk) as usize];
            self.by_key.link(&mut chunk.by_key, ids);
        }
    }

    fn add_weight(&mut self, id: RowId, weight: i64) {
        let sum = &mut self.chunk_mut(id).weights[id.row()];
        *sum += weight;
        if *sum == 0 {
            self.dead += 1;
            self.by_key.unlink(&mut self.chunks, |chunk| &mut chunk.by_key, id);
            self.by_row.unlink(&mut self.chunks, |chunk| &mut chunk.by_row, id);
        }
    }
}
