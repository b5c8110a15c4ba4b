//! Looking rows up, by key and by content, and reading what was found.

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{interleave, take};
use fleuve_base::Result;

use super::heads::Links;
use super::{Chunk, Keys, Multimap, RowId};
use crate::columns::{NullEquality, arrow_error, equal_rows};

/// Where a probe goes on.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    row: usize,
    /// The next id of the row's chain; `None` before its first.
    id: Option<RowId>,
}

impl Cursor {
    /// Before the first row.
    pub fn start() -> Self {
        Cursor { row: 0, id: None }
    }
}

/// What a probe found: for each pair a row of the probing batch and a stored row.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    /// Rows of the probing batch, ascending.
    pub probe: Vec<u32>,
    /// Stored rows.
    pub stored: Vec<RowId>,
}

impl Pairs {
    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.probe.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.probe.is_empty()
    }

    /// Drops all pairs.
    pub fn clear(&mut self) {
        self.probe.clear();
        self.stored.clear();
    }

    #[inline]
    fn push(&mut self, probe: usize, stored: RowId) {
        self.probe.push(probe as u32);
        self.stored.push(stored);
    }

    /// Keeps the pairs for which `keep` is true of their place.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let mut kept = 0;
        for place in 0..self.len() {
            self.probe[kept] = self.probe[place];
            self.stored[kept] = self.stored[place];
            kept += usize::from(keep(place));
        }
        self.probe.truncate(kept);
        self.stored.truncate(kept);
    }
}

impl Multimap {
    /// Replaces `pairs` by further pairs of equal keys, about `limit` at most, and moves the cursor; returns false when
    /// all rows have been looked up. There may be no pair and yet more to come. A NULL key equals none.
    pub fn probe(&self, keys: &Keys, cursor: &mut Cursor, limit: usize, pairs: &mut Pairs) -> Result<bool> {
        pairs.clear();
        let more = self.walk(keys, cursor, limit, pairs);
        if !keys.is_exact() && !pairs.is_empty() {
            let rows = UInt32Array::from(pairs.probe.clone());
            let probing = keys.columns().iter().map(|column| take(column, &rows, None).map_err(arrow_error));
            let stored = self.gather(&self.layout.keys, &pairs.stored)?;
            let equal =
                equal_rows(&probing.collect::<Result<Vec<_>>>()?, &stored, pairs.len(), NullEquality::NullIsUnknown)?;
            pairs.retain(|place| equal.value(place));
        }
        Ok(more)
    }

    /// Pairs of equal fingerprints.
    fn walk(&self, keys: &Keys, cursor: &mut Cursor, limit: usize, pairs: &mut Pairs) -> bool {
        let fingerprints = keys.fingerprints();
        while cursor.row < fingerprints.len() {
            let fingerprint = fingerprints[cursor.row];
            let mut id = match cursor.id.take() {
                Some(id) => id,
                None if keys.is_null(cursor.row) => RowId::NONE,
                None => self.by_key.first(fingerprint),
            };
            while self.is_live(id) {
                if pairs.len() == limit {
                    cursor.id = Some(id);
                    return true;
                }
                let chunk = self.chunk(id);
                if chunk.by_key.fingerprints[id.row()] == fingerprint && !chunk.is_expired() {
                    pairs.push(cursor.row, id);
                }
                id = chunk.by_key.next[id.row()];
            }
            cursor.row += 1;
        }
        false
    }

    /// Whether an id of a chain is a row, rather than the chain's end.
    #[inline]
    fn is_live(&self, id: RowId) -> bool {
        id != RowId::NONE && id.0 >= self.oldest()
    }

    /// For each row the stored row of equal contents, or none; `hashes` are those of the rows.
    pub(super) fn find(&self, rows: &RecordBatch, hashes: &[u64]) -> Result<Vec<RowId>> {
        let mut found: Vec<RowId> = hashes.iter().map(|&hash| self.by_row.first(hash)).collect();
        let all: Vec<usize> = (0..rows.num_columns()).collect();
        let mut open: Vec<u32> = (0..hashes.len() as u32).collect();
        while !open.is_empty() {
            open.retain(|&row| {
                let id = &mut found[row as usize];
                *id = self.next_of_hash(*id, hashes[row as usize]);
                *id != RowId::NONE
            });
            let ids: Vec<RowId> = open.iter().map(|&row| found[row as usize]).collect();
            let asked = crate::columns::take_rows(rows, &open)?;
            let equal = equal_rows(asked.columns(), &self.gather(&all, &ids)?, ids.len(), NullEquality::NullIsValue)?;
            // Different rows of equal hashes: the next of the chain may be the one.
            open = (0..open.len()).filter(|&place| !equal.value(place)).map(|place| open[place]).collect();
            for &row in &open {
                let id = &mut found[row as usize];
                *id = self.chunk(*id).by_row.next[id.row()];
            }
        }
        Ok(found)
    }

    /// The first row of a hash, from `id` on along its chain.
    fn next_of_hash(&self, mut id: RowId, hash: u64) -> RowId {
        while id != RowId::NONE {
            let Links { fingerprints, next, .. } = &self.chunk(id).by_row;
            if fingerprints[id.row()] == hash {
                return id;
            }
            id = next[id.row()];
        }
        RowId::NONE
    }

    /// Columns of stored rows.
    ///
    /// # Panics
    /// If a row is no longer stored.
    pub fn gather(&self, columns: &[usize], ids: &[RowId]) -> Result<Vec<ArrayRef>> {
        let (pieces, places) = self.places(ids);
        match &pieces[..] {
            [] => Ok(columns
                .iter()
                .map(|&c| arrow::array::new_empty_array(self.layout.schema.field(c).data_type()))
                .collect()),
            [piece] => {
                let rows: UInt32Array = places.iter().map(|&(_, row)| row as u32).collect::<Vec<_>>().into();
                let column = |&c: &usize| take(piece.column(c), &rows, None).map_err(arrow_error);
                columns.iter().map(column).collect()
            }
            pieces => {
                let column = |&c: &usize| {
                    let arrays: Vec<_> = pieces.iter().map(|piece| piece.column(c).as_ref()).collect();
                    interleave(&arrays, &places).map_err(arrow_error)
                };
                columns.iter().map(column).collect()
            }
        }
    }

    /// The pieces that hold some rows, and each row's piece and place in it.
    fn places(&self, ids: &[RowId]) -> (Vec<&RecordBatch>, Vec<(usize, usize)>) {
        const UNSEEN: u32 = u32::MAX;
        let mut first_piece = vec![UNSEEN; self.chunks.len()];
        let mut pieces = Vec::new();
        let mut place = |id: &RowId| {
            let chunk: &Chunk = self.chunk(*id);
            let first = &mut first_piece[(id.chunk() - self.first_chunk) as usize];
            if *first == UNSEEN {
                *first = pieces.len() as u32;
                pieces.extend(chunk.pieces());
            }
            let (piece, row) = chunk.place(id.row());
            (*first as usize + piece, row)
        };
        let places = ids.iter().map(&mut place).collect();
        (pieces, places)
    }
}
