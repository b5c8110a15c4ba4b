//! Spans: where in a block the value of a field stands, and of which kind it is.
//!
//! Decoding is in two steps. A walker (of JSON or CSV) finds the values of a row and notes their spans in a
//! [`Table`]; then each column converts its spans of all rows in one tight loop. The walker allocates nothing
//! for a row, and a row that turns out to be bad or filtered is simply not kept in the table.

/// What kind of value a span holds, as far as the walker could tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The field is not there.
    Missing = 0,
    Null = 1,
    True = 2,
    False = 3,
    /// A number of digits alone, perhaps with a minus sign.
    Integer = 4,
    /// Any other number.
    Number = 5,
    /// Text as it stands (the span is without quotes).
    Text = 6,
    /// Text with escapes (the span is without quotes).
    Escaped = 7,
    Array = 8,
    Object = 9,
}

const KINDS: [Kind; 16] = {
    use Kind::*;
    [
        Missing, Null, True, False, Integer, Number, Text, Escaped, Array, Object, Missing, Missing, Missing, Missing,
        Missing, Missing,
    ]
};

/// Bytes that a span can cover.
pub(crate) const SPAN_BYTES_MAX: usize = (1 << 28) - 1;

/// Start (32 bits), length (28 bits) and kind (4 bits) of a value. All zero means *missing*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span(u64);

impl Span {
    pub(crate) const MISSING: Span = Span(0);

    /// The value of `kind` at `start..end`. Blocks are cut so that both fit.
    #[inline]
    pub(crate) fn new(kind: Kind, start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end - start <= SPAN_BYTES_MAX && end <= u32::MAX as usize);
        Span((start as u64) << 32 | ((end - start) as u64) << 4 | kind as u64)
    }

    #[inline]
    pub(crate) fn kind(self) -> Kind {
        KINDS[(self.0 & 15) as usize]
    }

    /// Whether it is of this kind; quicker than asking for the kind.
    #[inline]
    pub(crate) fn is(self, kind: Kind) -> bool {
        self.0 & 15 == kind as u64
    }

    #[inline]
    pub(crate) fn start(self) -> usize {
        (self.0 >> 32) as usize
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        (self.0 as u32 >> 4) as usize
    }

    #[inline]
    pub(crate) fn end(self) -> usize {
        self.start() + self.len()
    }

    /// The bytes that it covers.
    #[inline]
    pub(crate) fn of(self, block: &[u8]) -> &[u8] {
        &block[self.start()..self.end()]
    }

    /// Whether the field is missing or null.
    #[inline]
    pub(crate) fn is_null(self) -> bool {
        self.0 & 15 <= Kind::Null as u64
    }
}

/// The spans of some rows, row after row; each row has `width` of them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    width: usize,
    spans: Vec<Span>,
    rows: usize,
}

impl Table {
    pub(crate) fn new(width: usize) -> Self {
        Table { width, spans: Vec::new(), rows: 0 }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn clear(&mut self) {
        self.rows = 0;
    }

    /// A row in which everything is missing, after the kept ones. It becomes one of them by [`Table::keep`].
    #[inline]
    pub(crate) fn next_row(&mut self) -> &mut [Span] {
        let start = self.rows * self.width;
        let end = start + self.width;
        if self.spans.len() < end {
            self.spans.resize(end.max(self.spans.len() * 2), Span::MISSING);
        }
        let row = &mut self.spans[start..end];
        row.fill(Span::MISSING);
        row
    }

    /// The row that was last asked for, as the walker left it.
    #[inline]
    pub(crate) fn current_row(&self) -> &[Span] {
        &self.spans[self.rows * self.width..][..self.width]
    }

    /// Keeps the row that was last filled.
    #[inline]
    pub(crate) fn keep(&mut self) {
        self.rows += 1;
    }

    /// Removes the rows whose number is in `rows` (ascending).
    pub(crate) fn remove(&mut self, rows: &[u32]) {
        let mut doomed = rows.iter().copied().peekable();
        let mut kept = 0;
        for row in 0..self.rows {
            if doomed.next_if(|next| *next as usize == row).is_some() {
                continue;
            }
            self.spans.copy_within(row * self.width..(row + 1) * self.width, kept * self.width);
            kept += 1;
        }
        self.rows = kept;
    }

    /// The spans of one slot, row by row.
    #[inline]
    pub(crate) fn column(&self, slot: usize) -> impl Iterator<Item = Span> + '_ {
        assert!(slot < self.width || self.rows == 0);
        self.spans[..self.rows * self.width].chunks_exact(self.width.max(1)).map(move |row| row[slot])
    }
}
