//! A run of stored rows: columns, links and counters.

use arrow::array::RecordBatch;
use fleuve_base::Result;

use super::heads::Links;
use super::{CHUNK_BYTES_MAX, CHUNK_ROWS_MAX, Layout};
use crate::columns::{concat_owned, time_values};

/// Rows that came in one after the other.
///
/// The columns lie in pieces of falling size, since an Arrow array cannot grow: a piece that is not much smaller than
/// the one before it is joined to it, so that a row is copied a logarithmic number of times.
#[derive(Debug)]
pub(super) struct Chunk {
    pieces: Vec<Piece>,
    pub by_key: Links,
    /// Empty unless the multimap is retractable.
    pub by_row: Links,
    /// Empty unless the multimap is retractable.
    pub weights: Vec<i64>,
    /// Empty unless the multimap is counted.
    pub matches: Vec<i64>,
    rows: usize,
    column_bytes: usize,
    sealed: bool,
    pub time_min: i64,
    pub time_max: i64,
}

/// Columns of a part of a chunk.
#[derive(Debug)]
struct Piece {
    start: usize,
    columns: RecordBatch,
}

impl Default for Chunk {
    fn default() -> Self {
        Chunk {
            pieces: Vec::new(),
            by_key: Links::default(),
            by_row: Links::default(),
            weights: Vec::new(),
            matches: Vec::new(),
            rows: 0,
            column_bytes: 0,
            sealed: false,
            time_min: i64::MAX,
            time_max: i64::MIN,
        }
    }
}

impl Chunk {
    /// Rows, dead and expired ones included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let counters = (self.weights.capacity() + self.matches.capacity()) * 8;
        self.column_bytes + self.by_key.bytes() + self.by_row.bytes() + counters
    }

    /// Whether its columns are gone, all of its rows having expired.
    pub fn is_expired(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether some more rows may be put in.
    pub fn has_room(&self, rows: usize, bytes: usize) -> bool {
        !self.sealed && self.rows + rows <= CHUNK_ROWS_MAX && self.column_bytes + bytes <= CHUNK_BYTES_MAX
    }

    /// Adds columns; returns the place of their first row.
    pub fn push(&mut self, columns: RecordBatch, layout: &Layout) -> Result<usize> {
        if let Some(time) = layout.time {
            let times = time_values(columns.column(time))?;
            self.time_min = times.iter().copied().fold(self.time_min, i64::min);
            self.time_max = times.iter().copied().fold(self.time_max, i64::max);
        }
        let start = self.rows;
        self.rows += columns.num_rows();
        self.column_bytes += columns.get_array_memory_size();
        self.pieces.push(Piece { start, columns });
        while let [.., before, last] = &self.pieces[..]
            && last.columns.num_rows() * 2 >= before.columns.num_rows()
        {
            self.join_pieces(self.pieces.len() - 2, layout)?;
        }
        Ok(start)
    }

    /// Ends its growth and puts its columns into one piece.
    pub fn seal(&mut self, layout: &Layout) -> Result<()> {
        self.sealed = true;
        if self.pieces.len() > 1 { self.join_pieces(0, layout) } else { Ok(()) }
    }

    fn join_pieces(&mut self, from: usize, layout: &Layout) -> Result<()> {
        let parts: Vec<_> = self.pieces[from..].iter().map(|piece| piece.columns.clone()).collect();
        let columns = concat_owned(&layout.schema, &parts)?;
        let before: usize = parts.iter().map(RecordBatch::get_array_memory_size).sum();
        self.column_bytes = self.column_bytes - before + columns.get_array_memory_size();
        let start = self.pieces[from].start;
        self.pieces.truncate(from);
        self.pieces.push(Piece { start, columns });
        Ok(())
    }

    /// Drops the columns, and what else is not needed to walk along chains.
    pub fn drop_rows(&mut self) {
        self.pieces = Vec::new();
        self.weights = Vec::new();
        self.matches = Vec::new();
        self.column_bytes = 0;
        self.sealed = true;
        self.time_min = i64::MAX;
        self.time_max = i64::MIN;
    }

    /// The columns, in pieces.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = &RecordBatch> {
        self.pieces.iter().map(|piece| &piece.columns)
    }

    /// The piece that holds a row, and the row's place in it.
    #[inline]
    pub fn place(&self, row: usize) -> (usize, usize) {
        match self.pieces.len() {
            1 => (0, row),
            _ => {
                let piece = self.pieces.partition_point(|piece| piece.start <= row) - 1;
                (piece, row - self.pieces[piece].start)
            }
        }
    }
}
