//! Making room and giving it back: growth of the index, expiry, compaction.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use fleuve_base::{Error, ErrorKind, Result};

use super::chunk::Chunk;
use super::heads::Heads;
use super::{CHUNK_ROWS_MAX, Multimap, RowId};
use crate::columns::{arrow_error, concat_owned, time_values};

/// Chunks of one multimap: what 16 bits can number, one number being kept for "none".
const CHUNKS_MAX: usize = u16::MAX as usize;

/// A chunk of at least so many rows, some of which have expired, takes no more, so that it expires as a whole soon.
const SEAL_ROWS_MIN: usize = 4 << 10;

/// Rows below which it is not worth while to compact.
const COMPACT_ROWS_MIN: usize = 4 << 10;

impl Multimap {
    /// Gets a chunk that can take the rows, and buckets for them.
    pub(super) fn make_room(&mut self, rows: usize, columns: &RecordBatch) -> Result<()> {
        let bytes = columns.get_array_memory_size();
        if !self.chunks.last().is_some_and(|chunk| chunk.has_room(rows, bytes)) {
            self.open_chunk()?;
        }
        if self.stored + rows > self.by_key.buckets() {
            self.reindex((self.stored + rows).max(self.by_key.buckets() * 2));
        }
        Ok(())
    }

    fn open_chunk(&mut self) -> Result<()> {
        if let Some(last) = self.chunks.last_mut() {
            last.seal(&self.layout)?;
        }
        if self.chunks.len() == CHUNKS_MAX {
            let rows = self.stored;
            return Err(Error::new(ErrorKind::Limit, "E904", format!("the state of a join is full: {rows} rows"))
                .with_hint("bound the join by time, or run it on more workers"));
        }
        if self.first_chunk as usize + self.chunks.len() == CHUNKS_MAX {
            self.first_chunk = 0;
            self.reindex(self.stored);
        }
        self.chunks.push(Chunk::default());
        Ok(())
    }

    /// Builds the indexes anew, with buckets for a number of rows.
    fn reindex(&mut self, rows: usize) {
        self.by_key = Heads::for_rows(rows);
        if self.layout.retractable {
            self.by_row = Heads::for_rows(rows);
        }
        for place in 0..self.chunks.len() {
            let chunk = &mut self.chunks[place];
            for links in [&mut chunk.by_key, &mut chunk.by_row] {
                links.next.clear();
                links.previous.clear();
            }
            let linked = self.chunks[place].by_key.fingerprints.len();
            self.link_living(place, linked);
        }
    }

    /// Links the rows of a chunk except those that were unlinked, whose links are never followed.
    fn link_living(&mut self, place: usize, rows: usize) {
        let number = self.first_chunk + place as u32;
        if !self.layout.retractable {
            return self.link(number, 0..rows);
        }
        for row in 0..rows {
            if self.chunks[place].weights[row] != 0 {
                self.link(number, row..row + 1);
                continue;
            }
            let chunk = &mut self.chunks[place];
            for links in [&mut chunk.by_key, &mut chunk.by_row] {
                links.next.push(RowId::NONE);
                links.previous.push(RowId::NONE);
            }
        }
    }

    /// Lets the rows expire whose time, in the unit of the time column, is below a bound. Their chunks go as soon as no
    /// other row lies in them; until then a probe still finds them.
    ///
    /// # Panics
    /// If the layout has no time column.
    pub fn expire(&mut self, bound: i64) -> Result<()> {
        assert!(self.layout.time.is_some(), "rows expire by a time column");
        self.bound = self.bound.max(bound);
        for chunk in &mut self.chunks {
            if chunk.time_max < self.bound && !chunk.is_expired() {
                chunk.drop_rows();
            } else if chunk.time_min < self.bound && chunk.rows() >= SEAL_ROWS_MIN {
                chunk.seal(&self.layout)?;
            }
        }
        let gone = self.chunks.iter().take_while(|chunk| chunk.is_expired()).count();
        self.stored -= self.chunks.drain(..gone).map(|chunk| chunk.rows()).sum::<usize>();
        self.first_chunk += gone as u32;
        Ok(())
    }

    /// The rows whose times lie in `from..to`, in the unit of the time column.
    ///
    /// # Panics
    /// If the layout has no time column.
    pub fn rows_between(&self, from: i64, to: i64) -> Result<Vec<RowId>> {
        let time = self.layout.time.expect("rows are found by a time column");
        let mut found = Vec::new();
        for (place, chunk) in self.chunks.iter().enumerate() {
            if chunk.time_min >= to || chunk.time_max < from {
                continue;
            }
            let mut row = 0;
            for piece in chunk.pieces() {
                for &value in time_values(piece.column(time))? {
                    if from <= value && value < to {
                        found.push(RowId::new(self.first_chunk + place as u32, row));
                    }
                    row += 1;
                }
            }
        }
        Ok(found)
    }

    /// Gives memory back where much of it is unused. Row ids become invalid.
    pub fn maintain(&mut self) -> Result<()> {
        if self.stored >= COMPACT_ROWS_MIN && self.dead_rows()? * 2 > self.stored {
            self.compact()?;
        }
        if self.by_key.buckets() > COMPACT_ROWS_MIN && self.stored < self.by_key.buckets() / 8 {
            self.reindex(self.stored * 2);
        }
        Ok(())
    }

    /// Rows that no longer count. By their times they are counted only when the stored rows have doubled since.
    fn dead_rows(&mut self) -> Result<usize> {
        if self.layout.time.is_none() {
            return Ok(self.dead);
        }
        if self.stored < self.alive_at_count.saturating_mul(2) {
            return Ok(0);
        }
        let mut alive = 0;
        for chunk in &self.chunks {
            alive += self.alive(chunk)?.map_or(chunk.rows(), |mask| mask.count_set_bits());
        }
        self.alive_at_count = alive.max(COMPACT_ROWS_MIN);
        Ok(self.stored - alive)
    }

    /// Which rows of a chunk count; `None` if all do.
    pub(super) fn alive(&self, chunk: &Chunk) -> Result<Option<BooleanBuffer>> {
        if chunk.is_expired() {
            return Ok(Some(BooleanBuffer::new_unset(chunk.rows())));
        }
        match self.layout.time {
            Some(_) if chunk.time_min >= self.bound => Ok(None),
            Some(time) => {
                let mut alive = Vec::with_capacity(chunk.rows());
                for piece in chunk.pieces() {
                    alive.extend(time_values(piece.column(time))?.iter().map(|&value| value >= self.bound));
                }
                Ok(Some(alive.into()))
            }
            None => Ok(self.layout.retractable.then(|| chunk.weights.iter().map(|&weight| weight != 0).collect())),
        }
    }

    /// Copies the rows that count into new chunks, one chunk after the other, and forgets the rest.
    pub(super) fn compact(&mut self) -> Result<()> {
        let empty = Multimap::new(self.layout.clone());
        let old = std::mem::replace(self, Multimap { bound: self.bound, alive_at_count: self.alive_at_count, ..empty });
        self.reindex(old.len());
        for mut chunk in old.chunks {
            chunk.seal(&self.layout)?;
            self.adopt(chunk)?;
        }
        Ok(())
    }

    /// Takes over what counts of a chunk.
    fn adopt(&mut self, chunk: Chunk) -> Result<()> {
        let Some(columns) = chunk.pieces().next().cloned() else { return Ok(()) };
        let Some(alive) = self.alive(&chunk)? else {
            return self.append_piece(columns, &chunk.by_key.fingerprints, &chunk.weights, &chunk.matches);
        };
        let pick = |values: &[i64]| pick(values, &alive);
        let keys: Vec<u64> = alive.set_indices().map(|row| chunk.by_key.fingerprints[row]).collect();
        let kept = filter_record_batch(&columns, &BooleanArray::from(alive.clone())).map_err(arrow_error)?;
        let kept = concat_owned(&self.layout.schema, &[kept])?;
        debug_assert!(kept.num_rows() <= CHUNK_ROWS_MAX);
        self.append_piece(kept, &keys, &pick(&chunk.weights), &pick(&chunk.matches))
    }
}

/// The values whose place is set; none of none.
pub(super) fn pick(values: &[i64], mask: &BooleanBuffer) -> Vec<i64> {
    if values.is_empty() { vec![] } else { mask.set_indices().map(|place| values[place]).collect() }
}
