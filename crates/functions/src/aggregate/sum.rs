//! SUM: of integers and short decimals in 128 bits, of all other numbers without rounding.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, Float64Array};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Float32Type, Float64Type};
use arrow::datatypes::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use fleuve_base::{Error, Result};
use fleuve_sketch::exact::Exact;
use fleuve_sketch::magnitude::decompose;

use super::accumulator::{Accumulator, Rows, gather, grow, reset};

/// The longest decimals whose sums cannot exceed 128 bits, however many they are (2^63 rows of 10^18 < 2^60).
pub const SHORT_DECIMAL_DIGITS_MAX: u8 = 18;

/// The type of sums as they are computed, before they are converted to the query's type.
pub const SUM_TYPE: DataType = DataType::Decimal128(38, 0);

/// Sums of integers and of short decimals' unscaled values, by group, in 128 bits.
#[derive(Debug, Default)]
pub struct IntegerSum {
    sums: Vec<i128>,
}

impl IntegerSum {
    fn add<T: ArrowPrimitiveType>(&mut self, rows: &Rows<'_>)
    where
        T::Native: Into<i128>,
    {
        let values = rows.args[0].as_primitive::<T>().values();
        let sums = &mut self.sums[..];
        rows.each(rows.valid().as_ref(), |row, group, weight| {
            let value: i128 = values[row].into();
            sums[group] += if weight == 1 { value } else { value * i128::from(weight) };
        });
    }
}

impl Accumulator for IntegerSum {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        grow(&mut self.sums, rows.total_groups);
        match rows.args[0].data_type() {
            DataType::Int64 => self.add::<Int64Type>(rows),
            DataType::Int32 => self.add::<Int32Type>(rows),
            DataType::Int16 => self.add::<Int16Type>(rows),
            DataType::Int8 => self.add::<Int8Type>(rows),
            DataType::UInt64 => self.add::<UInt64Type>(rows),
            DataType::UInt32 => self.add::<UInt32Type>(rows),
            DataType::UInt16 => self.add::<UInt16Type>(rows),
            DataType::UInt8 => self.add::<UInt8Type>(rows),
            DataType::Decimal128(..) => self.add::<Decimal128Type>(rows),
            other => return Err(Error::internal(format!("an integer sum of {other}"))),
        }
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(Arc::new(Decimal128Array::from_iter_values(gather(&self.sums, groups)).with_data_type(SUM_TYPE)))
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(groups)?])
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![SUM_TYPE]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        grow(&mut self.sums, total_groups);
        let sums = saved[0].as_primitive::<Decimal128Type>();
        groups.iter().zip(sums.values()).for_each(|(group, sum)| self.sums[*group as usize] += sum);
        Ok(())
    }

    fn clear(&mut self, groups: &[u32]) {
        reset(&mut self.sums, groups);
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<i128>()
    }
}

/// Exact sums by group, stored as bytes.
#[derive(Debug, Default)]
struct Sums(Vec<Exact<3>>);

impl Sums {
    fn get<'a>(&'a self, groups: &'a [u32]) -> impl Iterator<Item = Option<&'a Exact<3>>> {
        groups.iter().map(|group| self.0.get(*group as usize))
    }

    fn save(&self, groups: &[u32]) -> ArrayRef {
        let stored = self.get(groups).map(|sum| sum.map(Exact::to_bytes).unwrap_or_default());
        Arc::new(BinaryArray::from_iter_values(stored))
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &ArrayRef) -> Result<()> {
        grow(&mut self.0, total_groups);
        let saved = saved.as_binary::<i32>();
        for (row, group) in groups.iter().enumerate() {
            let added = self.0[*group as usize].add_bytes(saved.value(row));
            added.ok_or_else(|| Error::corrupt("a stored sum is damaged"))?;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        // Sums of the full width are too rare to be looked for.
        self.0.capacity() * size_of::<Exact<3>>()
    }
}

/// Sums of long decimals' unscaled values, by group. Reading one that exceeds 128 bits is an error.
#[derive(Debug, Default)]
pub struct DecimalSum {
    sums: Sums,
}

impl Accumulator for DecimalSum {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        grow(&mut self.sums.0, rows.total_groups);
        let values = rows.args[0].as_primitive::<Decimal128Type>().values();
        let sums = &mut self.sums.0[..];
        rows.each(rows.valid().as_ref(), |row, group, weight| add_weighted(&mut sums[group], values[row], weight));
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let sums = self.sums.get(groups).map(|sum| sum.map_or(Some(0), Exact::to_i128));
        let sums = sums.collect::<Option<Vec<i128>>>();
        let sums = sums.ok_or_else(|| super::output::out_of_range(&DataType::Decimal128(38, 0)))?;
        Ok(Arc::new(Decimal128Array::from_iter_values(sums).with_data_type(SUM_TYPE)))
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.sums.save(groups)])
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        self.sums.merge(groups, total_groups, &saved[0])
    }

    fn clear(&mut self, groups: &[u32]) {
        reset(&mut self.sums.0, groups);
    }

    fn bytes(&self) -> usize {
        self.sums.bytes()
    }
}

/// Adds `value · weight`, whose product may exceed 128 bits.
fn add_weighted(sum: &mut Exact<3>, value: i128, weight: i64) {
    match value.checked_mul(i128::from(weight)) {
        Some(product) => sum.add(product, 0),
        None => {
            let (high, low) = (value >> 64, i128::from(value as u64));
            sum.add(low * i128::from(weight), 0);
            sum.add(high * i128::from(weight), 64);
        }
    }
}

/// How often a group met what is no finite number.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Specials {
    positive: i64,
    negative: i64,
    nan: i64,
}

impl Specials {
    pub(super) fn add(&mut self, value: f64, weight: i64) {
        match value {
            value if value.is_nan() => self.nan += weight,
            value if value > 0.0 => self.positive += weight,
            _ => self.negative += weight,
        }
    }

    pub(super) fn add_all(&mut self, counts: [i64; 3]) {
        self.positive += counts[0];
        self.negative += counts[1];
        self.nan += counts[2];
    }

    pub(super) fn counts(&self) -> [i64; 3] {
        [self.positive, self.negative, self.nan]
    }

    /// The sum, if it is none of finite numbers.
    pub(super) fn sum(&self) -> Option<f64> {
        match self.counts() {
            [0, 0, 0] => None,
            [_, 0, 0] => Some(f64::INFINITY),
            [0, _, 0] => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }
}

/// Sums of FLOAT and DOUBLE by group, rounded once.
#[derive(Debug, Default)]
pub struct FloatSum {
    sums: Sums,
    specials: BTreeMap<u32, Specials>,
}

impl FloatSum {
    fn add(&mut self, rows: &Rows<'_>, value: impl Fn(usize) -> f64) {
        grow(&mut self.sums.0, rows.total_groups);
        let (sums, specials) = (&mut self.sums.0[..], &mut self.specials);
        rows.each(rows.valid().as_ref(), |row, group, weight| {
            let value = value(row);
            if value.is_finite() {
                let (mantissa, exponent) = decompose(value);
                sums[group].add(i128::from(mantissa) * i128::from(weight), exponent);
            } else {
                specials.entry(group as u32).or_default().add(value, weight);
            }
        });
    }
}

impl Accumulator for FloatSum {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        match rows.args[0].data_type() {
            DataType::Float32 => {
                let values = rows.args[0].as_primitive::<Float32Type>().values();
                self.add(rows, |row| f64::from(values[row]));
            }
            _ => {
                let values = rows.args[0].as_primitive::<Float64Type>().values();
                self.add(rows, |row| values[row]);
            }
        }
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let special = |group| self.specials.get(group).and_then(Specials::sum);
        let sums = groups.iter().zip(self.sums.get(groups));
        let sums = sums.map(|(group, sum)| special(group).unwrap_or_else(|| sum.map_or(0.0, Exact::to_f64)));
        Ok(Arc::new(Float64Array::from_iter_values(sums)))
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok([self.sums.save(groups)].into_iter().chain(save_specials(&self.specials, groups)).collect())
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Binary, DataType::Int64, DataType::Int64, DataType::Int64]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        merge_specials(&mut self.specials, groups, &saved[1..]);
        self.sums.merge(groups, total_groups, &saved[0])
    }

    fn clear(&mut self, groups: &[u32]) {
        reset(&mut self.sums.0, groups);
        if !self.specials.is_empty() {
            for group in groups {
                self.specials.remove(group);
            }
        }
    }

    fn bytes(&self) -> usize {
        self.sums.bytes() + self.specials.len() * size_of::<(u32, Specials)>()
    }
}

/// Three columns of counts.
pub(super) fn save_specials(specials: &BTreeMap<u32, Specials>, groups: &[u32]) -> Vec<ArrayRef> {
    let count = |i: usize| groups.iter().map(move |group| specials.get(group).map_or(0, |s| s.counts()[i]));
    (0..3).map(|i| Arc::new(arrow::array::Int64Array::from_iter_values(count(i))) as ArrayRef).collect()
}

pub(super) fn merge_specials(specials: &mut BTreeMap<u32, Specials>, groups: &[u32], saved: &[ArrayRef]) {
    let columns: Vec<_> = saved.iter().map(|column| column.as_primitive::<Int64Type>().values()).collect();
    for (row, group) in groups.iter().enumerate() {
        let counts = [columns[0][row], columns[1][row], columns[2][row]];
        if counts != [0; 3] {
            specials.entry(*group).or_default().add_all(counts);
        }
    }
}
