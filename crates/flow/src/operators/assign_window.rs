//! TUMBLE and HOP as table functions: each row once for each of its windows, with the window's bounds.

use arrow::array::{Array, ArrayRef, Int64Array, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_plan::{TimeAttribute, Window};

use super::keyed_state::{arrow_error, output_batch};
use super::window_time::{Slides, check_time, milliseconds, window_columns};
use crate::batch::Batch;

/// Appends `window_start`, `window_end` and `window_time`. It has no state.
#[derive(Debug, Clone)]
pub struct AssignWindow {
    slides: Slides,
    time: TimeAttribute,
    output: SchemaRef,
}

impl AssignWindow {
    /// `output` is the input's schema and the three columns.
    ///
    /// # Errors
    /// For sessions, whose bounds only their aggregate knows, and for sizes that are no multiple of the slide.
    pub fn new(window: &Window, time: TimeAttribute, output: SchemaRef) -> Result<Self> {
        if matches!(window, Window::Session { .. }) {
            return Err(Error::unsupported("E205", "SESSION without an aggregate over its windows")
                .with_hint("group by window_start and window_end in the same query"));
        }
        if output.fields().len() < 3 {
            return Err(Error::internal("windowed rows have three columns more than their input"));
        }
        if let TimeAttribute::Event(column) = time {
            check_time(output.field(column).data_type())?;
        }
        Ok(AssignWindow { slides: Slides::new(window)?, time, output })
    }

    /// Assigns windows to a batch; the clock is its epoch's. Also returns how many rows had no time and were dropped.
    pub fn apply(&self, batch: &Batch, clock_ms: i64) -> Result<(Batch, u64)> {
        let times = match self.time {
            TimeAttribute::Event(column) => milliseconds(batch.column(column))?,
            TimeAttribute::Processing => Int64Array::from(vec![clock_ms; batch.num_rows()]),
        };
        let copies = self.slides.windows_per_row();
        let valid = (0..times.len()).filter(|row| times.is_valid(*row));
        let rows = valid.flat_map(|row| std::iter::repeat_n(row as u32, copies));
        let rows = UInt32Array::from_iter_values(rows);
        let starts = rows.values().chunks(copies).flat_map(|row| {
            let last = self.slides.pane(times.value(row[0] as usize));
            (0..copies as i64).rev().map(move |back| last.saturating_sub(back.saturating_mul(self.slides.slide_ms)))
        });
        let starts: Vec<i64> = starts.collect();
        let ends = starts.iter().map(|start| self.slides.end(*start)).collect();
        let width = self.output.fields().len();
        let types: [&DataType; 3] = std::array::from_fn(|i| self.output.field(width - 3 + i).data_type());
        let windows = window_columns(starts, ends, types)?;
        let (columns, weights) = self.repeat(batch, &rows)?;
        let columns = output_batch(&self.output, columns.into_iter().chain(windows).collect(), rows.len())?;
        let dropped = times.null_count() as u64;
        Ok((Batch { columns, weights }, dropped))
    }

    /// The input's columns, each row as often as it has windows.
    fn repeat(&self, batch: &Batch, rows: &UInt32Array) -> Result<(Vec<ArrayRef>, Option<Int64Array>)> {
        if rows.len() == batch.num_rows() && self.slides.windows_per_row() == 1 {
            return Ok((batch.columns.columns().to_vec(), batch.weights.clone()));
        }
        let columns = batch.columns.columns().iter().map(|column| take(column, rows, None)).collect::<Result<_, _>>();
        let columns = columns.map_err(|e| arrow_error("assign windows", &e))?;
        let weight = |weights: &Int64Array| rows.values().iter().map(|row| weights.value(*row as usize)).collect();
        Ok((columns, batch.weights.as_ref().map(weight)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{RecordBatch, TimestampMillisecondArray};
    use arrow::datatypes::{Field, Schema, TimeUnit};

    use super::super::testing::text;
    use super::*;

    fn schema(names: &[&str]) -> SchemaRef {
        let time = DataType::Timestamp(TimeUnit::Millisecond, None);
        Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, time.clone(), true)).collect::<Vec<_>>()))
    }

    fn rows(times: Vec<Option<i64>>) -> RecordBatch {
        RecordBatch::try_new(schema(&["t"]), vec![Arc::new(TimestampMillisecondArray::from(times))]).unwrap()
    }

    fn output() -> SchemaRef {
        schema(&["t", "window_start", "window_end", "window_time"])
    }

    #[test]
    fn a_row_for_each_window() {
        let hop = Window::Hop { size_ms: 2000, slide_ms: 1000, offset_ms: 0 };
        let assign = AssignWindow::new(&hop, TimeAttribute::Event(0), output()).unwrap();
        let weights = Int64Array::from(vec![1, -2, 3]);
        let (batch, dropped) =
            assign.apply(&Batch::weighted(rows(vec![Some(1500), None, Some(-1)]), weights), 0).unwrap();
        assert_eq!(dropped, 1);
        assert_eq!(batch.weights.unwrap().values(), &[1, 1, 3, 3]);
        let rows: Vec<String> = (0..4).map(|row| text(&batch.columns, row)).collect();
        let expected = [
            "1970-01-01T00:00:01.500,1970-01-01T00:00:00,1970-01-01T00:00:02,1970-01-01T00:00:01.999",
            "1970-01-01T00:00:01.500,1970-01-01T00:00:01,1970-01-01T00:00:03,1970-01-01T00:00:02.999",
            "1969-12-31T23:59:59.999,1969-12-31T23:59:58,1970-01-01T00:00:00,1969-12-31T23:59:59.999",
            "1969-12-31T23:59:59.999,1969-12-31T23:59:59,1970-01-01T00:00:01,1970-01-01T00:00:00.999",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn processing_time_is_the_epochs_clock() {
        let tumble = Window::Tumble { size_ms: 10, offset_ms: 3 };
        let assign = AssignWindow::new(&tumble, TimeAttribute::Processing, output()).unwrap();
        let (batch, dropped) = assign.apply(&Batch::append(rows(vec![None, Some(7)])), 25).unwrap();
        assert_eq!((batch.num_rows(), dropped), (2, 0));
        assert_eq!(milliseconds(batch.column(1)).unwrap().values(), &[23, 23]);
    }

    #[test]
    fn sessions_are_refused() {
        let session = Window::Session { gap_ms: 1 };
        assert_eq!(AssignWindow::new(&session, TimeAttribute::Event(0), output()).unwrap_err().code(), "E205");
    }
}
