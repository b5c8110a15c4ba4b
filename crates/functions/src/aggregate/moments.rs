//! VAR_POP, VAR_SAMP, STDDEV_POP and STDDEV_SAMP from exact sums of values and of their squares.
//!
//! With n·Σx² − (Σx)² computed without rounding, nothing cancels, rows can be retracted, and order does not matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use fleuve_base::{Error, Result};
use fleuve_sketch::exact::Exact;
use fleuve_sketch::magnitude::{decompose, scale};

use super::accumulator::{Accumulator, Rows, grow, reset};
use super::sum::{Specials, merge_specials, save_specials};

/// Which measure of spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Divide by n − 1 in place of n.
    pub sample: bool,
    /// The square root of the variance.
    pub deviation: bool,
}

#[derive(Debug, Default, Clone)]
struct Moment {
    count: i64,
    sum: Exact<3>,
    squares: Exact<5>,
}

/// Spread of a column of numbers, by group; NULL where there are too few. Integers count exactly, decimals as doubles.
#[derive(Debug)]
pub struct Moments {
    spread: Spread,
    moments: Vec<Moment>,
    specials: BTreeMap<u32, Specials>,
}

impl Moments {
    /// Without rows.
    pub fn new(spread: Spread) -> Self {
        Moments { spread, moments: Vec::new(), specials: BTreeMap::new() }
    }

    fn add_floats(&mut self, rows: &Rows<'_>, values: &[f64]) {
        let (moments, specials) = (&mut self.moments[..], &mut self.specials);
        rows.each(rows.valid().as_ref(), |row, group, weight| {
            if values[row].is_finite() {
                let (mantissa, exponent) = decompose(values[row]);
                moments[group].add(mantissa, exponent, weight);
            } else {
                moments[group].count += weight;
                specials.entry(group as u32).or_default().add(values[row], weight);
            }
        });
    }

    fn value(&self, group: u32) -> Option<f64> {
        let moment = self.moments.get(group as usize)?;
        let divisor = moment.count - i64::from(self.spread.sample);
        if divisor <= 0 {
            return None;
        }
        if self.specials.get(&group).is_some_and(|special| special.sum().is_some()) {
            return Some(f64::NAN);
        }
        let variance = moment.variance(divisor);
        Some(if self.spread.deviation { variance.sqrt() } else { variance })
    }
}

impl Moment {
    /// Adds a value `weight` times. A square has up to 128 bits, so the weight is applied to its halves.
    fn add(&mut self, mantissa: i64, exponent: i32, weight: i64) {
        self.count += weight;
        self.sum.add(i128::from(mantissa) * i128::from(weight), exponent);
        let square = u128::from(mantissa.unsigned_abs()).pow(2);
        let (high, low) = ((square >> 64) as i128, i128::from(square as u64));
        self.squares.add(low * i128::from(weight), 2 * exponent);
        self.squares.add(high * i128::from(weight), 2 * exponent + 64);
    }

    /// `(n·Σx² − (Σx)²) / (n · divisor)`.
    fn variance(&self, divisor: i64) -> f64 {
        let sum = self.sum.magnitude();
        let squares = self.squares.magnitude().times(self.count.unsigned_abs());
        let (mantissa, exponent) = squares.minus(&sum.product(&sum)).to_scaled();
        scale(mantissa / (self.count as f64 * divisor as f64), exponent).max(0.0)
    }
}

impl Accumulator for Moments {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        grow(&mut self.moments, rows.total_groups);
        if rows.args[0].data_type().is_integer() {
            let integers = cast(&rows.args[0], &DataType::Int64).map_err(broken)?;
            let (integers, valid) = (integers.as_primitive::<Int64Type>().values(), rows.valid());
            rows.each(valid.as_ref(), |row, group, weight| self.moments[group].add(integers[row], 0, weight));
        } else {
            let floats = cast(&rows.args[0], &DataType::Float64).map_err(broken)?;
            self.add_floats(rows, floats.as_primitive::<Float64Type>().values());
        }
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(Arc::new(groups.iter().map(|group| self.value(*group)).collect::<Float64Array>()))
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let moments = || groups.iter().map(|group| self.moments.get(*group as usize));
        let counts = Int64Array::from_iter_values(moments().map(|m| m.map_or(0, |m| m.count)));
        let sums = BinaryArray::from_iter_values(moments().map(|m| m.map_or_else(Vec::new, |m| m.sum.to_bytes())));
        let squares =
            BinaryArray::from_iter_values(moments().map(|m| m.map_or_else(Vec::new, |m| m.squares.to_bytes())));
        let columns: [ArrayRef; 3] = [Arc::new(counts), Arc::new(sums), Arc::new(squares)];
        Ok(columns.into_iter().chain(save_specials(&self.specials, groups)).collect())
    }

    fn saved_types(&self) -> Vec<DataType> {
        use DataType::{Binary, Int64};
        vec![Int64, Binary, Binary, Int64, Int64, Int64]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        grow(&mut self.moments, total_groups);
        let counts = saved[0].as_primitive::<Int64Type>();
        let (sums, squares) = (saved[1].as_binary::<i32>(), saved[2].as_binary::<i32>());
        for (row, group) in groups.iter().enumerate() {
            let moment = &mut self.moments[*group as usize];
            moment.count += counts.value(row);
            let added = moment.sum.add_bytes(sums.value(row)).and(moment.squares.add_bytes(squares.value(row)));
            added.ok_or_else(|| Error::corrupt("a stored sum is damaged"))?;
        }
        merge_specials(&mut self.specials, groups, &saved[3..]);
        Ok(())
    }

    fn clear(&mut self, groups: &[u32]) {
        reset(&mut self.moments, groups);
        if !self.specials.is_empty() {
            for group in groups {
                self.specials.remove(group);
            }
        }
    }

    fn bytes(&self) -> usize {
        self.moments.capacity() * size_of::<Moment>() + self.specials.len() * size_of::<(u32, Specials)>()
    }
}

fn broken(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("an argument could not be read as a number: {error}"))
}
