//! SELECT ONLINE on a terminal: one table that is drawn anew, each interval a bar that shrinks.

use std::io::Write;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Schema};
use arrow::util::display::ArrayFormatter;
use comfy_table::{CellAlignment, Table, presets};
use crossterm::{cursor, queue, terminal};
use fleuve_base::{Error, Result};

use crate::output::{cell, cell_options, io_error, terminal_size};

/// Characters of a bar.
const BAR: usize = 24;

/// Lines that are left for the header, the note below, and what stands beside the picture.
const LINES_KEPT: usize = 5;

/// What is shown of a column, or of the three columns of an estimate.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    Plain(usize),
    Estimate(usize),
}

/// The picture.
pub struct Estimates {
    names: Vec<String>,
    shown: Vec<Shown>,
    /// By column the least and the greatest end so far: a scale that only grows, so that an interval is seen to shrink.
    scales: Vec<(f64, f64)>,
    /// Lines on the screen.
    lines: usize,
}

impl Estimates {
    /// A picture of rows of this schema: a DOUBLE `x` before `x_low` and `x_high` is an estimate.
    pub fn new(schema: &Schema) -> Self {
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let (mut shown, mut at) = (vec![], 0);
        while at < names.len() {
            let ends = [format!("{}_low", names[at]), format!("{}_high", names[at])];
            let is_estimate = *schema.field(at).data_type() == DataType::Float64
                && names.get(at + 1..at + 3).is_some_and(|next| next == ends);
            shown.push(if is_estimate { Shown::Estimate(at) } else { Shown::Plain(at) });
            at += if is_estimate { 3 } else { 1 };
        }
        let scales = vec![(f64::INFINITY, f64::NEG_INFINITY); names.len()];
        Estimates { names, shown, scales, lines: 0 }
    }

    /// Draws estimates in place of those before.
    pub fn take(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        let (width, height) = terminal_size();
        let picture = self.paint(rows, width, height.saturating_sub(LINES_KEPT).max(1))?;
        self.draw(&picture, out).map_err(|e| io_error(&e))
    }

    fn draw(&mut self, picture: &str, mut out: &mut dyn Write) -> std::io::Result<()> {
        if self.lines > 0 {
            queue!(&mut out, cursor::MoveUp(u16::try_from(self.lines).unwrap_or(u16::MAX)), cursor::MoveToColumn(0))?;
        }
        queue!(&mut out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        self.lines = picture.lines().count();
        out.write_all(picture.as_bytes())
    }

    /// The table of the first `rows_max` groups in the order of what stands before the first estimate.
    fn paint(&mut self, rows: &RecordBatch, width: usize, rows_max: usize) -> Result<String> {
        let columns = self.shown.iter().map(|shown| match shown {
            Shown::Plain(at) => plain(rows.column(*at)),
            Shown::Estimate(at) => Ok(estimates(rows, *at, &mut self.scales[*at])),
        });
        let columns: Vec<Vec<String>> = columns.collect::<Result<_>>()?;
        let mut order: Vec<usize> = (0..rows.num_rows()).collect();
        order.sort_by_cached_key(|row| self.keys().map(|at| columns[at][*row].clone()).collect::<Vec<_>>());
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(self.shown.iter().map(|(Shown::Plain(at) | Shown::Estimate(at))| &self.names[*at]));
        for row in order.iter().take(rows_max) {
            table.add_row(columns.iter().map(|column| &column[*row]));
        }
        for (column, shown) in table.column_iter_mut().zip(&self.shown) {
            if let Shown::Plain(at) = shown
                && rows.column(*at).data_type().is_numeric()
            {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let more = order.len().saturating_sub(rows_max);
        let note = if more > 0 { format!("… and {more} more groups\n") } else { String::new() };
        let text = format!("{table}\n{note}");
        Ok(text.lines().flat_map(|line| line.trim_end().chars().take(width).chain(['\n'])).collect())
    }

    /// Positions in [`Estimates::shown`] of the columns before the first estimate.
    fn keys(&self) -> impl Iterator<Item = usize> {
        let first = self.shown.iter().position(|shown| matches!(shown, Shown::Estimate(_)));
        0..first.unwrap_or(0)
    }
}

fn plain(column: &ArrayRef) -> Result<Vec<String>> {
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        return Ok(numbers.iter().map(|number| number.map_or_else(|| "NULL".to_owned(), short)).collect());
    }
    let options = cell_options();
    let formatter = ArrayFormatter::try_new(column, &options).map_err(|e| Error::internal(e.to_string()))?;
    Ok((0..column.len()).map(|row| cell(&formatter, column, row)).collect())
}

/// The estimates of the three columns from `at`: a bar on the scale of all groups so far, the value, half the interval's width.
fn estimates(rows: &RecordBatch, at: usize, scale: &mut (f64, f64)) -> Vec<String> {
    let [value, low, high] = [at, at + 1, at + 2].map(|at| rows.column(at).as_primitive::<Float64Type>());
    let least = low.iter().chain(value).flatten().fold(scale.0, f64::min);
    let most = high.iter().chain(value).flatten().fold(scale.1, f64::max);
    *scale = (least, most);
    let place = |x: f64| {
        let share = if most > least { (x - least) / (most - least) } else { 0.5 };
        ((share * (BAR - 1) as f64).round() as usize).min(BAR - 1)
    };
    let one = |row: usize| {
        let ends = [value, low, high].map(|column| column.is_valid(row).then(|| column.value(row)));
        match ends {
            [None, ..] => format!("{:BAR$} NULL", ""),
            [Some(value), Some(low), Some(high)] => {
                let text = if low < high {
                    format!("{} ± {}", short(value), short((high - low) / 2.0))
                } else {
                    short(value)
                };
                format!("{} {text}", bar(place(low), place(value), place(high)))
            }
            [Some(value), ..] => format!("{} {}", bar(0, place(value), BAR - 1), short(value)),
        }
    };
    (0..rows.num_rows()).map(one).collect()
}

fn bar(low: usize, value: usize, high: usize) -> String {
    let mark = |at: usize| match at {
        _ if at == value => '●',
        _ if (low..=high).contains(&at) => '━',
        _ => ' ',
    };
    (0..BAR).map(mark).collect()
}

/// A number with about five digits that count.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 1e15 => return format!("{value:.4e}"),
        size if size >= 1_000.0 => 0,
        size if size >= 10.0 => 2,
        size if size >= 0.001 || size == 0.0 => 4,
        _ => return format!("{value:.3e}"),
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray};
    use arrow::datatypes::Field;

    use super::*;

    fn rows() -> RecordBatch {
        let double = |name: &str| Field::new(name, DataType::Float64, true);
        let fields = vec![
            Field::new("g", DataType::Utf8, true),
            double("avg"),
            double("avg_low"),
            double("avg_high"),
            Field::new("rows_seen", DataType::Int64, false),
            double("fraction"),
        ];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["b", "a", "c"])),
            Arc::new(Float64Array::from(vec![Some(20.0), Some(10.0), None])),
            Arc::new(Float64Array::from(vec![Some(18.0), Some(0.0), None])),
            Arc::new(Float64Array::from(vec![Some(22.0), None, None])),
            Arc::new(Int64Array::from(vec![5, 2, 0])),
            Arc::new(Float64Array::from(vec![0.5; 3])),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("valid")
    }

    #[test]
    fn intervals_are_bars_on_one_scale_and_groups_in_order() {
        let mut estimates = Estimates::new(&rows().schema());
        let shown = [Shown::Plain(0), Shown::Estimate(1), Shown::Plain(4), Shown::Plain(5)];
        assert_eq!(estimates.shown, shown);
        let picture = estimates.paint(&rows(), 100, 2).expect("paints");
        let lines: Vec<&str> = picture.lines().map(str::trim).collect();
        assert!(lines[1].starts_with("a  ━━━━━━━━━━●━━━━━━━━━━━━━ 10.00"), "{picture}");
        assert!(lines[2].contains("━━●━━ 20.00 ± 2.0000"), "{picture}");
        assert_eq!(lines[3], "… and 1 more groups");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 12.345, 123_456.7, 2e16, 1e-9].map(short),
            ["0.0000", "12.35", "123457", "2.0000e16", "1.000e-9"]
        );
    }
}
