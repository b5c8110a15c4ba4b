//! Values in SQL's order as Rust keys: what MIN and MAX compare.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type};
use fleuve_base::Result;
use fleuve_state::key_table::values::{each_bytes, each_word, from_bytes, from_words};

/// A key whose order is that of a column type's values. FLOAT and DOUBLE order −0.0 as 0.0, and NaN last.
pub trait Key: Ord + Clone + Send + std::fmt::Debug + 'static {
    /// The key as it lies in a column.
    type Ref<'a>: Copy;

    /// Calls `put` for each row; what a NULL yields is arbitrary.
    fn each(column: &dyn Array, put: impl FnMut(usize, Self::Ref<'_>)) -> Result<()>;

    /// The count of a key in a map.
    fn entry<'m>(map: &'m mut BTreeMap<Self, i64>, key: Self::Ref<'_>) -> &'m mut i64;

    /// Removes a key from a map.
    fn remove(map: &mut BTreeMap<Self, i64>, key: Self::Ref<'_>);

    /// A column of keys; no key is NULL.
    fn column<'a>(data_type: &DataType, keys: impl Iterator<Item = Option<&'a Self>> + Clone) -> Result<ArrayRef>;
}

fn validity<'a, K: 'a>(keys: impl Iterator<Item = Option<&'a K>>) -> Option<NullBuffer> {
    let valid: NullBuffer = keys.map(|key| key.is_some()).collect();
    (valid.null_count() > 0).then_some(valid)
}

/// Words of integers, times, floats and booleans.
impl Key for i64 {
    type Ref<'a> = i64;

    #[inline]
    fn each(column: &dyn Array, mut put: impl FnMut(usize, i64)) -> Result<()> {
        match column.data_type() {
            DataType::Float32 | DataType::Float64 => each_word(column, |row, word| put(row, float_key(word))),
            DataType::UInt64 => each_word(column, |row, word| put(row, (word ^ 1 << 63) as i64)),
            _ => each_word(column, |row, word| put(row, word as i64)),
        }
        Ok(())
    }

    fn entry(map: &mut BTreeMap<i64, i64>, key: i64) -> &mut i64 {
        map.entry(key).or_default()
    }

    fn remove(map: &mut BTreeMap<i64, i64>, key: i64) {
        map.remove(&key);
    }

    fn column<'a>(data_type: &DataType, keys: impl Iterator<Item = Option<&'a i64>> + Clone) -> Result<ArrayRef> {
        let word = |key: i64| match data_type {
            DataType::Float32 | DataType::Float64 => float_word(key),
            DataType::UInt64 => key as u64 ^ 1 << 63,
            _ => key as u64,
        };
        let words: Vec<u64> = keys.clone().map(|key| key.map_or(0, |key| word(*key))).collect();
        from_words(data_type, words.into_iter(), validity(keys))
    }
}

/// Negative doubles order backwards by their bits.
#[inline]
fn float_key(word: u64) -> i64 {
    let bits = word as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

fn float_word(key: i64) -> u64 {
    float_key(key as u64) as u64
}

/// Unscaled decimals.
impl Key for i128 {
    type Ref<'a> = i128;

    fn each(column: &dyn Array, mut put: impl FnMut(usize, i128)) -> Result<()> {
        let values = column.as_primitive::<Decimal128Type>().values();
        values.iter().enumerate().for_each(|(row, value)| put(row, *value));
        Ok(())
    }

    fn entry(map: &mut BTreeMap<i128, i64>, key: i128) -> &mut i64 {
        map.entry(key).or_default()
    }

    fn remove(map: &mut BTreeMap<i128, i64>, key: i128) {
        map.remove(&key);
    }

    fn column<'a>(data_type: &DataType, keys: impl Iterator<Item = Option<&'a i128>> + Clone) -> Result<ArrayRef> {
        let values = keys.map(|key| key.copied()).collect::<Decimal128Array>();
        Ok(Arc::new(values.with_data_type(data_type.clone())))
    }
}

/// Strings and bytes, which order by their bytes.
impl Key for Box<[u8]> {
    type Ref<'a> = &'a [u8];

    fn each(column: &dyn Array, put: impl FnMut(usize, &[u8])) -> Result<()> {
        each_bytes(column, put)
    }

    fn entry<'m>(map: &'m mut BTreeMap<Self, i64>, key: &[u8]) -> &'m mut i64 {
        if !map.contains_key(key) {
            map.insert(key.into(), 0);
        }
        map.get_mut(key).expect("it was inserted just before")
    }

    fn remove(map: &mut BTreeMap<Self, i64>, key: &[u8]) {
        map.remove(key);
    }

    fn column<'a>(data_type: &DataType, keys: impl Iterator<Item = Option<&'a Self>> + Clone) -> Result<ArrayRef> {
        from_bytes(data_type, keys.clone().map(|key| key.map_or(&[][..], |key| key)), validity(keys))
    }
}
