//! Which rows of a column are NULL.

use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};

/// A validity bitmap that costs nothing until the first NULL.
#[derive(Debug, Default)]
pub(super) struct Nulls {
    /// A bit for every row, set if it has a value; unused until there is a NULL.
    words: Vec<u64>,
    rows: usize,
    any: bool,
}

impl Nulls {
    /// The next row has a value.
    #[inline]
    pub(super) fn push_valid(&mut self) {
        if self.any {
            self.push(true);
        }
    }

    /// The next row, number `row`, is NULL.
    #[inline]
    pub(super) fn push_null(&mut self, row: usize) {
        if !self.any {
            self.begin(row);
        }
        debug_assert_eq!(self.rows, row, "one bit for every row");
        self.push(false);
    }

    #[inline]
    fn push(&mut self, valid: bool) {
        let bit = self.rows % 64;
        if bit == 0 {
            self.words.push(0);
        }
        if let Some(word) = self.words.last_mut() {
            *word |= u64::from(valid) << bit;
        }
        self.rows += 1;
    }

    /// The first NULL comes after `rows` values.
    #[cold]
    fn begin(&mut self, rows: usize) {
        self.any = true;
        self.words.clear();
        self.words.resize(rows.div_ceil(64), u64::MAX);
        self.rows = rows;
        self.clear_beyond(rows);
    }

    fn clear_beyond(&mut self, rows: usize) {
        if let Some(word) = self.words.last_mut().filter(|_| !rows.is_multiple_of(64)) {
            *word &= (1 << (rows % 64)) - 1;
        }
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        if self.any && rows < self.rows {
            self.words.truncate(rows.div_ceil(64));
            self.rows = rows;
            self.clear_beyond(rows);
        }
    }

    /// Whether there has been a NULL.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    pub(super) fn finish(&mut self) -> Option<NullBuffer> {
        if !std::mem::take(&mut self.any) {
            return None;
        }
        let words = std::mem::take(&mut self.words);
        let bits = BooleanBuffer::new(Buffer::from_vec(words), 0, self.rows);
        Some(NullBuffer::new(bits)).filter(|nulls| nulls.null_count() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_what_was_pushed(rows in proptest::collection::vec(prop::bool::weighted(0.9), 0..300), cut in 0usize..300, more in proptest::collection::vec(any::<bool>(), 0..100)) {
            let mut nulls = Nulls::default();
            let push = |nulls: &mut Nulls, row: usize, valid: bool| if valid { nulls.push_valid() } else { nulls.push_null(row) };
            rows.iter().enumerate().for_each(|(row, valid)| push(&mut nulls, row, *valid));
            let cut = cut.min(rows.len());
            nulls.truncate(cut);
            more.iter().enumerate().for_each(|(row, valid)| push(&mut nulls, cut + row, *valid));
            let expected: Vec<bool> = rows[..cut].iter().chain(&more).copied().collect();
            match nulls.finish() {
                Some(found) => prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected),
                None => prop_assert!(expected.iter().all(|valid| *valid)),
            }
        }
    }
}
