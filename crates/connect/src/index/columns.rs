//! The columns that a scan wants, from those that there are.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, make_array};
use arrow::buffer::NullBuffer;
use fleuve_base::{Error, Result};
use fleuve_flow::source::{Scan, ScanField};

/// A batch of the scan's columns; `column` gives the whole column of a field.
pub(super) fn project(
    scan: &Scan,
    rows: usize,
    column: impl Fn(&ScanField) -> Option<ArrayRef>,
) -> Result<RecordBatch> {
    let wanted =
        |field: &ScanField| column(field).ok_or_else(|| Error::internal(format!("an index has no column {field:?}")));
    let columns = scan.columns.iter().map(|column| wanted(&column.field)).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(scan.schema.clone(), columns, &options)
        .map_err(|error| Error::internal(format!("columns of an index: {error}")))
}

/// The column of a field, or the field of a row in it, out of whole rows.
pub(super) fn column_of(rows: &RecordBatch, field: &ScanField) -> Option<ArrayRef> {
    let ScanField::Data(path) = field else { return None };
    let (first, rest) = path.split_first()?;
    let mut column = rows.column_by_name(first)?.clone();
    for name in rest {
        let row = column.as_struct_opt()?;
        let inner = row.column_by_name(name)?;
        // A field of a row that is NULL is NULL, whatever lies there.
        let nulls = NullBuffer::union(row.nulls(), inner.nulls());
        column = make_array(inner.to_data().into_builder().nulls(nulls).build().ok()?);
    }
    Some(column)
}

/// A field's name, if it is a whole column of the data.
pub(super) fn name_of(field: &ScanField) -> Option<&str> {
    match field {
        ScanField::Data(path) if path.len() == 1 => path.first().map(String::as_str),
        _ => None,
    }
}
