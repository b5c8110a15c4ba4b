//! The levels of an index as bars: how dense the rows lie in each bucket.
//!
//! An index cuts its rows into buckets of nearly equal size, so what tells them apart is their width: a bar is as long as the
//! bucket's rows for each unit between its bounds are, beside the densest bucket that is printed with it. Buckets of texts,
//! which have no width, and of a single key are shown by their rows.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};
use fleuve_base::Result;

use super::table::TablePrinter;
use super::{Printer, internal};

/// The columns of a histogram.
const COLUMNS: [&str; 6] = ["level", "bucket", "low", "high", "row_count", "error"];

/// Characters of the longest bar.
const BAR_WIDTH: f64 = 40.0;

/// Whether rows of this schema are a whole histogram.
pub fn is_one(schema: &Schema) -> bool {
    schema.fields().iter().map(|field| field.name().as_str()).eq(COLUMNS)
}

/// A table with a bar behind each bucket.
pub struct HistogramPrinter {
    schema: SchemaRef,
    table: TablePrinter,
}

impl HistogramPrinter {
    /// A printer for rows of which [`is_one`] holds.
    pub fn new(schema: &Schema) -> Self {
        let bar = Arc::new(Field::new("density", DataType::Utf8, false));
        let fields: Vec<_> = schema.fields().iter().cloned().chain([bar]).collect();
        let schema = Arc::new(Schema::new(fields));
        HistogramPrinter { table: TablePrinter::new(&schema), schema }
    }
}

impl Printer for HistogramPrinter {
    fn print(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        columns.push(Arc::new(StringArray::from(bars(rows)?)));
        let drawn = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(internal)?;
        self.table.print(&drawn, out)
    }
}

/// A bar for each bucket.
fn bars(rows: &RecordBatch) -> Result<Vec<String>> {
    let (low, high) = (number(rows.column(2))?, number(rows.column(3))?);
    let counts = cast(rows.column(4), &DataType::Float64).map_err(internal)?;
    let counts = counts.as_primitive::<Float64Type>();
    let width = |row: usize| {
        let (low, high) = (low.as_ref()?, high.as_ref()?);
        let width = (low.is_valid(row) && high.is_valid(row)).then(|| high.value(row) - low.value(row))?;
        (width > 0.0 && width.is_finite()).then_some(width)
    };
    let density = |row: usize| width(row).map(|width| counts.value(row) / width);
    let most = (0..rows.num_rows()).filter_map(density).fold(0.0, f64::max);
    let rows_most = counts.values().iter().copied().fold(0.0, f64::max);
    let bar = |row: usize| match density(row) {
        Some(density) => bar(density / most),
        None => bar(counts.value(row) / rows_most),
    };
    Ok((0..rows.num_rows()).map(bar).collect())
}

/// Bounds as numbers, if they are some.
fn number(bounds: &ArrayRef) -> Result<Option<Float64Array>> {
    let plain = match bounds.data_type() {
        DataType::Timestamp(..) | DataType::Time64(_) => cast(bounds, &DataType::Int64),
        DataType::Date32 | DataType::Time32(_) => cast(bounds, &DataType::Int32),
        data_type if data_type.is_numeric() => Ok(Arc::clone(bounds)),
        _ => return Ok(None),
    };
    let numbers = plain.and_then(|plain| cast(&plain, &DataType::Float64)).map_err(internal)?;
    Ok(Some(numbers.as_primitive::<Float64Type>().clone()))
}

/// A bar of this share of the full length: at least a sliver.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share from 0 to 1")]
fn bar(share: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = ((share.clamp(0.0, 1.0) * BAR_WIDTH * 8.0).round() as usize).max(1);
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, Int64Array};

    #[test]
    fn narrow_buckets_have_long_bars() {
        let column = |values: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
        let levels: ArrayRef = Arc::new(Int32Array::from(vec![0, 0, 0]));
        let columns = COLUMNS.into_iter().zip([
            levels,
            column(vec![0, 1, 2]),
            column(vec![0, 10, 30]),
            column(vec![10, 30, 30]),
            column(vec![100, 100, 50]),
            column(vec![50, 50, 0]),
        ]);
        let rows = RecordBatch::try_from_iter(columns).expect("valid");
        assert!(is_one(&rows.schema()));
        let bars = bars(&rows).expect("draws");
        let widths: Vec<usize> = bars.iter().map(|bar| bar.chars().count()).collect();
        assert_eq!(widths, [40, 20, 20], "twice as wide, half as dense; a single key by its rows");
        let mut out = vec![];
        HistogramPrinter::new(&rows.schema()).print(&rows, &mut out).expect("prints");
        let text = String::from_utf8(out).expect("is text");
        assert!(text.starts_with(" level") && text.lines().count() == 4, "{text}");
    }

    #[test]
    fn texts_are_drawn_by_their_rows() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        assert!(number(&texts).expect("is asked").is_none());
        assert_eq!((bar(1.0).chars().count(), bar(0.0).as_str()), (40, "▏"));
    }
}
