//! Columns of text and of bytes.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use fleuve_base::{Error, Result};

use super::fault::Fault;
use super::nulls::Nulls;
use super::{Context, Source};
use crate::bad::Faults;
use crate::base64;
use crate::escape;
use crate::simd;
use crate::span::{Kind, Span, Table};

/// Values of any length, one after another. If it holds text, all of it is valid UTF-8.
#[derive(Debug)]
pub(super) struct BytesColumn {
    offsets: Vec<i32>,
    values: Vec<u8>,
    nulls: Nulls,
}

impl BytesColumn {
    pub(super) fn new() -> Self {
        BytesColumn { offsets: vec![0], values: Vec::new(), nulls: Nulls::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn bytes(&self) -> usize {
        self.values.len()
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.values.truncate(self.offsets[rows] as usize);
        self.offsets.truncate(rows + 1);
        self.nulls.truncate(rows);
    }

    pub(super) fn finish(&mut self, data_type: &DataType) -> Result<ArrayRef> {
        let (rows, bytes) = (self.offsets.len(), self.values.len());
        let mut offsets = Vec::with_capacity(rows);
        offsets.push(0);
        std::mem::swap(&mut self.offsets, &mut offsets);
        let values = std::mem::replace(&mut self.values, Vec::with_capacity(bytes));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let nulls = self.nulls.finish();
        if *data_type == DataType::Utf8 {
            return Ok(simd::string_array(offsets, values, nulls));
        }
        let array = BinaryArray::try_new(offsets, Buffer::from(values), nulls);
        Ok(Arc::new(array.map_err(|error| Error::internal(format!("a column of bytes: {error}")))?))
    }

    /// Appends text. UTF-8 is validated for all rows at once; only if that fails, row by row.
    pub(super) fn append_text(&mut self, column: Context<'_>, table: &Table, source: Source<'_>, faults: &mut Faults) {
        let (rows, bytes, mark, nulled) = (self.len(), self.values.len(), faults.bad.len(), faults.nulled);
        self.append_all(column, table, source, faults, push_text);
        // Resolving escapes makes valid UTF-8 from ASCII, so only bytes beyond ASCII need a look.
        if source.index.is_ascii() {
            return;
        }
        if !self.is_utf8_from(rows, bytes) {
            self.truncate(rows);
            faults.bad.truncate(mark);
            faults.nulled = nulled;
            self.append_all(column, table, source, faults, push_checked_text);
        }
    }

    fn is_utf8_from(&self, rows: usize, bytes: usize) -> bool {
        match std::str::from_utf8(&self.values[bytes..]) {
            Ok(text) => self.offsets[rows..].iter().all(|offset| text.is_char_boundary(*offset as usize - bytes)),
            Err(_) => false,
        }
    }

    /// Appends bytes that are spelled in base64.
    pub(super) fn append_binary(
        &mut self,
        column: Context<'_>,
        table: &Table,
        source: Source<'_>,
        faults: &mut Faults,
    ) {
        self.append_all(column, table, source, faults, push_base64);
    }

    #[inline]
    fn append_all(
        &mut self,
        column: Context<'_>,
        table: &Table,
        source: Source<'_>,
        faults: &mut Faults,
        push: impl Fn(&mut Vec<u8>, Span, Source<'_>) -> Result<(), Fault>,
    ) {
        self.offsets.reserve(table.rows());
        self.values.reserve(table.column(column.slot).map(Span::len).sum());
        for (row, span) in table.column(column.slot).enumerate() {
            if span.is_null() {
                self.nulls.push_null(self.offsets.len() - 1);
                if !column.nullable {
                    faults.report_null(column, row, span);
                }
            } else if let Err(fault) = push(&mut self.values, span, source) {
                let end = self.offsets[self.offsets.len() - 1];
                self.values.truncate(end as usize);
                self.nulls.push_null(self.offsets.len() - 1);
                faults.report(column, row, span, source, fault);
            } else {
                self.nulls.push_valid();
            }
            // The decoder flushes long before 2 GiB, see `COLUMN_BYTES_MAX`.
            self.offsets.push(self.values.len() as i32);
        }
    }
}

/// The text itself; of a number, an array or an object, its text in the input.
#[inline]
fn push_text(values: &mut Vec<u8>, span: Span, source: Source<'_>) -> Result<(), Fault> {
    if span.kind() == Kind::Escaped {
        return escape::unescape(span.of(source.block), source.dialect, values).map_err(Fault::Text);
    }
    values.extend_from_slice(span.of(source.block));
    Ok(())
}

fn push_checked_text(values: &mut Vec<u8>, span: Span, source: Source<'_>) -> Result<(), Fault> {
    let start = values.len();
    push_text(values, span, source)?;
    match std::str::from_utf8(&values[start..]) {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::Text("the text is not valid UTF-8")),
    }
}

fn push_base64(values: &mut Vec<u8>, span: Span, source: Source<'_>) -> Result<(), Fault> {
    let mut text = Vec::new();
    match span.kind() {
        Kind::Text => text.extend_from_slice(span.of(source.block)),
        Kind::Escaped => escape::unescape(span.of(source.block), source.dialect, &mut text).map_err(Fault::Text)?,
        _ => return Err(Fault::Type),
    }
    base64::decode(&text, values).ok_or(Fault::Text("the text is not valid base64"))
}
