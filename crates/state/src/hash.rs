//! The hash of a row, which decides where keyed state lives. **Part of the snapshot format.**
//!
//! Rows are dealt out to workers, and saved state to the workers of the next run, by the key group that this hash
//! gives. So it is our own, never changes within [`HASH_VERSION`], and does not depend on the machine.
//!
//! ```text
//! fold(a, b)   = low 64 bits of a·b  XOR  high 64 bits of a·b                     (Wang Yi, wyhash, 2019)
//! row          = SEED, then for each column in order  h := step(h, value)
//! step(h, v)   = fold(h XOR v, K0)                    one word: integers, dates, times and timestamps (sign-extended,
//!                                                     in the type's unit), booleans (0, 1), floats (widened to double,
//!                                                     −0.0 as 0.0, every NaN as one)
//!              = step(step(h, low), high)             two words: decimals, intervals of months, days and nanoseconds
//!              = the words of the bytes, see `step_bytes`     strings and bytes, whatever their encoding in memory
//!              = fold(h XOR NULL, K1)                 NULL of any type
//!              = step over the fields, in order       a ROW that is not NULL
//!              = step over the elements' own row hashes, then over their number        ARRAY and MAP
//! key group    = bits 40–47 of the row's hash
//! ```
//!
//! Equal values of INT and BIGINT have equal hashes; STRING does not depend on `Utf8`, `LargeUtf8` or `Utf8View`. It is
//! not keyed: it does not defend against keys chosen to collide (tables stay correct, only slow).

use std::sync::Arc;

use arrow::array::types::{
    ArrowDictionaryKeyType, ByteArrayType, ByteViewType, IntervalDayTimeType, IntervalMonthDayNanoType,
};
use arrow::array::{Array, ArrayRef, AsArray, GenericByteArray, GenericByteViewArray, OffsetSizeTrait};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, DataType, Decimal128Type, Decimal256Type, Float16Type, Float32Type,
    Float64Type,
};
use arrow::downcast_dictionary_array;
use fleuve_base::{Error, Result};

/// Version of the hash and of the key groups, stored with every snapshot.
pub const HASH_VERSION: u32 = 1;

/// The hash of a row without columns, and what every row's hash starts from.
pub const SEED: u64 = 0x2d35_8dcc_aa6c_78a5;

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0x8bb8_4b93_962e_acc9;
const K2: u64 = 0x4b33_a62e_d433_d4a3;
const NULL: u64 = 0xda94_2042_e4dd_58b5;

/// Nesting of types that can be hashed.
pub const NESTING_MAX: usize = 32;

/// Hashes rows: `hashes` becomes one hash for each row of the columns, which must be equally long.
///
/// Without columns there are no rows to count, and `hashes` becomes empty; such rows hash to [`SEED`].
pub fn hash_rows(columns: &[ArrayRef], hashes: &mut Vec<u64>) -> Result<()> {
    hashes.clear();
    hashes.resize(columns.first().map_or(0, |column| column.len()), SEED);
    columns.iter().try_for_each(|column| step_column(column.as_ref(), hashes, 0))
}

/// Goes on hashing: one more column on top of what `hashes` already holds, one for each row.
///
/// # Panics
/// If the numbers of rows differ.
pub fn hash_more(column: &ArrayRef, hashes: &mut [u64]) -> Result<()> {
    assert_eq!(column.len(), hashes.len(), "one hash for each row");
    step_column(column.as_ref(), hashes, 0)
}

/// The key group (0–255) of a row's hash. The bits are neither those by which hash tables choose a bucket (low) nor
/// those of their tags (high), so that a worker's share of the groups still fills a table evenly.
#[inline]
pub fn key_group(hash: u64) -> u8 {
    (hash >> 40) as u8
}

/// The hash of a row of one-word values, `nulls` having bit i set where column i is NULL.
#[inline]
pub fn hash_words(words: &[u64], nulls: u32) -> u64 {
    let column = |hash, (i, word): (usize, &u64)| if nulls >> i & 1 == 1 { step_null(hash) } else { step(hash, *word) };
    words.iter().enumerate().fold(SEED, column)
}

/// A float as the word that is hashed and compared: −0.0 is 0.0, and there is one NaN.
#[inline]
pub fn float_word(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() & !(1 << 63) } else { (value + 0.0).to_bits() }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline]
fn step(hash: u64, word: u64) -> u64 {
    fold(hash ^ word, K0)
}

#[inline]
fn step_null(hash: u64) -> u64 {
    fold(hash ^ NULL, K1)
}

#[inline]
fn step_wide(hash: u64, value: u128) -> u64 {
    step(step(hash, value as u64), (value >> 64) as u64)
}

#[inline]
fn word_at(bytes: &[u8], position: usize) -> u64 {
    u64::from_le_bytes(bytes[position..position + 8].try_into().expect("eight bytes"))
}

#[inline]
fn half_word_at(bytes: &[u8], position: usize) -> u64 {
    u64::from(u32::from_le_bytes(bytes[position..position + 4].try_into().expect("four bytes")))
}

/// Up to 16 bytes are two words that may overlap; longer ones are eaten 16 at a time, and the last 16 once more.
#[inline]
fn step_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let n = bytes.len();
    let (a, b) = match n {
        0 => (0, 0),
        1..=3 => (u64::from(bytes[0]) << 16 | u64::from(bytes[n / 2]) << 8 | u64::from(bytes[n - 1]), 0),
        4..=7 => (half_word_at(bytes, 0), half_word_at(bytes, n - 4)),
        8..=16 => (word_at(bytes, 0), word_at(bytes, n - 8)),
        _ => return step_long(hash, bytes),
    };
    fold(a ^ K2 ^ n as u64, step(hash, b))
}

fn step_long(mut hash: u64, bytes: &[u8]) -> u64 {
    let n = bytes.len();
    let mut position = 0;
    while position + 16 < n {
        hash = fold(word_at(bytes, position) ^ K2, step(hash, word_at(bytes, position + 8)));
        position += 16;
    }
    fold(word_at(bytes, n - 16) ^ K2 ^ n as u64, step(hash, word_at(bytes, n - 8)))
}

/// Applies `next` to the hash of each row, or the step of NULL.
#[inline]
fn step_each<V>(
    hashes: &mut [u64],
    nulls: Option<&NullBuffer>,
    values: impl Iterator<Item = V>,
    next: impl Fn(u64, V) -> u64,
) {
    match nulls {
        None => hashes.iter_mut().zip(values).for_each(|(hash, value)| *hash = next(*hash, value)),
        Some(nulls) => hashes.iter_mut().zip(values).zip(nulls.iter()).for_each(|((hash, value), valid)| {
            *hash = if valid { next(*hash, value) } else { step_null(*hash) };
        }),
    }
}

fn step_primitive<T: ArrowPrimitiveType>(array: &dyn Array, hashes: &mut [u64], word: impl Fn(T::Native) -> u64) {
    let array = array.as_primitive::<T>();
    step_each(hashes, array.nulls(), array.values().iter(), |hash, value| step(hash, word(*value)));
}

fn step_byte_array<T: ByteArrayType>(array: &GenericByteArray<T>, hashes: &mut [u64]) {
    let bytes = array.value_data();
    let values = array.value_offsets().windows(2).map(|w| &bytes[w[0].as_usize()..w[1].as_usize()]);
    step_each(hashes, array.nulls(), values, step_bytes);
}

fn step_view_array<T: ByteViewType>(array: &GenericByteViewArray<T>, hashes: &mut [u64]) {
    let values = (0..array.len()).map(|row| AsRef::<[u8]>::as_ref(array.value(row)));
    step_each(hashes, array.nulls(), values, step_bytes);
}

fn step_column(array: &dyn Array, hashes: &mut [u64], depth: usize) -> Result<()> {
    if depth > NESTING_MAX {
        return Err(Error::new(fleuve_base::ErrorKind::Limit, "E431", "a key is nested too deeply")
            .with_detail(format!("types may be nested {NESTING_MAX} deep")));
    }
    match array.data_type() {
        DataType::Null => hashes.iter_mut().for_each(|hash| *hash = step_null(*hash)),
        DataType::Boolean => {
            let array = array.as_boolean();
            step_each(hashes, array.nulls(), array.values().iter(), |hash, value| step(hash, u64::from(value)));
        }
        DataType::Float16 => step_primitive::<Float16Type>(array, hashes, |v| float_word(v.to_f64())),
        DataType::Float32 => step_primitive::<Float32Type>(array, hashes, |v| float_word(f64::from(v))),
        DataType::Float64 => step_primitive::<Float64Type>(array, hashes, float_word),
        DataType::Utf8 => step_byte_array(array.as_string::<i32>(), hashes),
        DataType::LargeUtf8 => step_byte_array(array.as_string::<i64>(), hashes),
        DataType::Utf8View => step_view_array(array.as_string_view(), hashes),
        DataType::Binary => step_byte_array(array.as_binary::<i32>(), hashes),
        DataType::LargeBinary => step_byte_array(array.as_binary::<i64>(), hashes),
        DataType::BinaryView => step_view_array(array.as_binary_view(), hashes),
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            step_each(hashes, array.nulls(), (0..array.len()).map(|row| array.value(row)), step_bytes);
        }
        _ => return step_other(array, hashes, depth),
    }
    Ok(())
}

/// Integers and times, two-word values, and nested types.
fn step_other(array: &dyn Array, hashes: &mut [u64], depth: usize) -> Result<()> {
    match array.data_type() {
        DataType::Decimal128(..) => {
            let array = array.as_primitive::<Decimal128Type>();
            step_each(hashes, array.nulls(), array.values().iter(), |hash, value| step_wide(hash, *value as u128));
        }
        DataType::Decimal256(..) => {
            let array = array.as_primitive::<Decimal256Type>();
            step_each(hashes, array.nulls(), array.values().iter(), |hash, value| {
                let (low, high) = value.to_parts();
                step_wide(step_wide(hash, low), high as u128)
            });
        }
        DataType::Interval(_) => step_interval(array, hashes),
        DataType::Dictionary(..) => downcast_dictionary_array!(
            array => step_dictionary(array, hashes, depth)?,
            other => return Err(unsupported(other)),
        ),
        DataType::Struct(_) => {
            let array = array.as_struct();
            let kept = array.nulls().map(|nulls| (nulls, hashes.to_vec()));
            array.columns().iter().try_for_each(|field| step_column(field.as_ref(), hashes, depth + 1))?;
            if let Some((nulls, before)) = kept {
                let null_rows = (0..nulls.len()).filter(|row| nulls.is_null(*row));
                null_rows.for_each(|row| hashes[row] = step_null(before[row]));
            }
        }
        DataType::List(_) => step_list::<i32>(array, hashes, depth)?,
        DataType::LargeList(_) => step_list::<i64>(array, hashes, depth)?,
        DataType::Map(..) => {
            let map = array.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            step_elements(&entries, map.value_offsets(), map.nulls(), hashes, depth)?;
        }
        DataType::FixedSizeList(_, length) => {
            let list = array.as_fixed_size_list();
            let offsets: Vec<i32> = (0..=list.len()).map(|row| row as i32 * length).collect();
            step_elements(list.values(), &offsets, list.nulls(), hashes, depth)?;
        }
        _ => step_integers(array, hashes)?,
    }
    Ok(())
}

/// Integers, dates, times, timestamps and durations, by their width in memory.
fn step_integers(array: &dyn Array, hashes: &mut [u64]) -> Result<()> {
    use DataType::*;
    match array.data_type() {
        Int64 | UInt64 | Timestamp(..) | Date64 | Time64(_) | Duration(_) => step_ints::<i64>(array, hashes, |v| v),
        Int32 | Date32 | Time32(_) => step_ints::<i32>(array, hashes, i64::from),
        UInt32 => step_ints::<u32>(array, hashes, i64::from),
        Int16 => step_ints::<i16>(array, hashes, i64::from),
        UInt16 => step_ints::<u16>(array, hashes, i64::from),
        Int8 => step_ints::<i8>(array, hashes, i64::from),
        UInt8 => step_ints::<u8>(array, hashes, i64::from),
        other => return Err(unsupported(other)),
    }
    Ok(())
}

fn step_ints<N: ArrowNativeType>(array: &dyn Array, hashes: &mut [u64], widen: impl Fn(N) -> i64) {
    let data = array.to_data();
    let values = data.buffer::<N>(0).iter();
    step_each(hashes, array.nulls(), values, |hash, value| step(hash, widen(*value) as u64));
}

fn step_interval(array: &dyn Array, hashes: &mut [u64]) {
    use arrow::datatypes::{IntervalUnit, IntervalYearMonthType};
    match array.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let array = array.as_primitive::<IntervalMonthDayNanoType>();
            step_each(hashes, array.nulls(), array.values().iter(), |hash, value| {
                let days_months = u64::from(value.months as u32) << 32 | u64::from(value.days as u32);
                step(step(hash, value.nanoseconds as u64), days_months)
            });
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            step_primitive::<IntervalDayTimeType>(array, hashes, |value| {
                u64::from(value.days as u32) << 32 | u64::from(value.milliseconds as u32)
            });
        }
        _ => step_primitive::<IntervalYearMonthType>(array, hashes, |value| i64::from(value) as u64),
    }
}

fn step_dictionary<K: ArrowDictionaryKeyType>(
    array: &arrow::array::DictionaryArray<K>,
    hashes: &mut [u64],
    depth: usize,
) -> Result<()> {
    let plain = arrow::compute::take(array.values(), array.keys(), None)
        .map_err(|e| Error::internal(format!("a dictionary could not be unpacked: {e}")))?;
    step_column(plain.as_ref(), hashes, depth + 1)
}

fn step_list<O: OffsetSizeTrait>(array: &dyn Array, hashes: &mut [u64], depth: usize) -> Result<()> {
    let list = array.as_list::<O>();
    step_elements(list.values(), list.value_offsets(), list.nulls(), hashes, depth)
}

fn step_elements<O: OffsetSizeTrait>(
    values: &ArrayRef,
    offsets: &[O],
    nulls: Option<&NullBuffer>,
    hashes: &mut [u64],
    depth: usize,
) -> Result<()> {
    let mut elements = vec![SEED; values.len()];
    step_column(values.as_ref(), &mut elements, depth + 1)?;
    let lists = offsets.windows(2).map(|w| &elements[w[0].as_usize()..w[1].as_usize()]);
    step_each(hashes, nulls, lists, |hash, list| {
        step(list.iter().fold(hash, |hash, element| step(hash, *element)), list.len() as u64)
    });
    Ok(())
}

fn unsupported(data_type: &DataType) -> Error {
    Error::unsupported("E430", format!("values of type {data_type} cannot be keys"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use arrow::array::*;
    use arrow::datatypes::{Int32Type, Int64Type};

    use super::*;

    fn hashes(column: impl Array + 'static) -> Vec<u64> {
        let mut hashes = Vec::new();
        hash_rows(&[Arc::new(column)], &mut hashes).unwrap();
        hashes
    }

    /// The hash is on disk: these numbers never change within a version.
    #[test]
    fn golden() {
        assert_eq!(HASH_VERSION, 1);
        let text: Vec<u64> = hashes(StringArray::from(vec!["", "a", "abcd", "abcdefgh", "abcdefghijklmnopq"]));
        let ints = hashes(Int64Array::from(vec![Some(0), Some(-1), None]));
        assert_eq!(
            ints,
            [hash_words(&[0], 0), hash_words(&[u64::MAX], 0), hash_words(&[0], 1)],
            "words and columns agree"
        );
        let fingerprint = ints.iter().chain(&text).fold(0u64, |sum, h| sum.rotate_left(7) ^ h);
        assert_eq!(fingerprint, GOLDEN, "{fingerprint:#x}");
    }
    const GOLDEN: u64 = 0x712f_6840_ae90_070f;

    #[test]
    fn equal_values_hash_alike_in_every_encoding() {
        let texts = vec![Some("a"), None, Some("a longer string than sixteen"), Some("")];
        let expected = hashes(StringArray::from(texts.clone()));
        assert_eq!(hashes(LargeStringArray::from(texts.clone())), expected);
        assert_eq!(hashes(StringViewArray::from(texts.clone())), expected);
        assert_eq!(hashes(texts.into_iter().collect::<DictionaryArray<Int32Type>>()), expected);
        assert_eq!(hashes(Int32Array::from(vec![-7, 7])), hashes(Int64Array::from(vec![-7, 7])));
        assert_eq!(
            hashes(TimestampMillisecondArray::from(vec![-7, 7])),
            hashes(DurationSecondArray::from(vec![-7, 7]))
        );
    }

    #[test]
    fn floats_are_normalised() {
        let h = hashes(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY]));
        assert_eq!((h[0], h[2]), (h[1], h[3]));
        assert_ne!(h[2], h[4]);
        assert_eq!(hashes(Float32Array::from(vec![-0.0f32]))[0], h[0]);
    }

    #[test]
    fn a_slice_hashes_like_its_rows() {
        let list = |rows: Vec<Option<Vec<Option<i64>>>>| ListArray::from_iter_primitive::<Int64Type, _, _>(rows);
        let all = list(vec![Some(vec![Some(1)]), Some(vec![Some(2), None]), None, Some(vec![])]);
        let whole = hashes(all.clone());
        assert_eq!(hashes(all.slice(1, 3)), whole[1..]);
        let text = StringArray::from(vec![Some("x"), None, Some("yz")]);
        assert_eq!(hashes(text.slice(1, 2)), hashes(text)[1..]);
        let ms = DurationMillisecondArray::from(vec![1, 2, 3]);
        assert_eq!(hashes(ms.slice(1, 2)), hashes(ms)[1..]);
    }

    #[test]
    fn nested_values_and_nulls_differ() {
        let inner = Arc::new(Int64Array::from(vec![Some(1), None, Some(1), None])) as ArrayRef;
        let field = Arc::new(arrow::datatypes::Field::new("a", DataType::Int64, true));
        let nulls = NullBuffer::from(vec![true, true, false, false]);
        let rows = hashes(StructArray::new(vec![field].into(), vec![inner], Some(nulls)));
        assert_ne!(rows[0], rows[1], "field NULL");
        assert_eq!(rows[2], rows[3], "what lies under a NULL does not count");
        let columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(vec!["ab", "a"])), Arc::new(StringArray::from(vec!["c", "bc"]))];
        let mut pair = Vec::new();
        hash_rows(&columns, &mut pair).unwrap();
        assert_ne!(pair[0], pair[1], "columns do not run together");
    }

    /// Low bits (buckets), high bits (tags) and key groups are all even for the keys that are usual.
    #[test]
    fn spreads_common_keys_evenly() {
        for stride in [1i64, 2, 1000, 1 << 16, 1 << 32, 86_400_000] {
            let h = hashes((0..65_536).map(|i| i * stride).collect::<Int64Array>());
            assert_eq!(h.iter().collect::<HashSet<_>>().len(), h.len());
            let even = |bits: &dyn Fn(u64) -> usize| {
                let mut counts = [0u32; 128];
                h.iter().for_each(|hash| counts[bits(*hash) % 128] += 1);
                assert!(counts.iter().all(|count| (380..=650).contains(count)), "{stride}: {counts:?}");
            };
            even(&|hash| hash as usize);
            even(&|hash| (hash >> 57) as usize);
            even(&|hash| usize::from(key_group(hash)));
            even(&|hash| usize::from(key_group(hash) >> 1));
        }
        let text = hashes((0..65_536).map(|i| Some(format!("channel-{i}"))).collect::<StringArray>());
        let mut groups = [0u32; 256];
        text.iter().for_each(|hash| groups[usize::from(key_group(*hash))] += 1);
        assert!(groups.iter().all(|count| (180..=340).contains(count)), "{groups:?}");
    }
}
