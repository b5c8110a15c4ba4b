//! How often an item came, never too low: rows of counters, each row with a hash of its own.
//!
//! Cormode and Muthukrishnan 2005, "An improved data stream summary: the count-min sketch and its applications".

use crate::codec::Reader;
use crate::confidence::{check_confidence, check_error};
use crate::estimate::Estimate;
use crate::hash::murmur::{DEFAULT_SEED, seed_hash};
use crate::hash::{HASHED_AT_ONCE, Item, Work, on_wide_vectors};
use crate::invalid;
use fleuve_base::Result;
use std::sync::Arc;

/// The most counters of a summary: 512 MiB.
pub const COUNT_MIN_COUNTERS_MAX: usize = 1 << 26;

/// The most that is counted in all: beyond it, the floats of the stored form are not exact.
const TOTAL_MAX: u64 = 1 << 53;
const ROWS_MAX: u32 = 255;

const WHAT: &str = "stored count-min sketch";
const SERIAL_VERSION: u8 = 1;
const FAMILY: u8 = 18;
const EMPTY: u8 = 1;

/// How often each item came, at least as often as it says less an error.
///
/// An item counts in one counter of every row; the least of its counters is the answer: others can only have added to it.
///
/// **Promise.** With N items seen, the truth ≤ the answer, and the answer ≤ the truth + εN with at least the confidence, for a hash that is as good
/// as random (the paper needs pairwise independence).
///
/// **Memory.** 8 bytes a counter, e/ε counters a row, ln(1/δ) rows for a confidence of 1 − δ; none while empty.
///
/// **Stored form.** That of Apache DataSketches' count_min_sketch\<double\> (which is what its Python package has), whose items lie where those
/// of the implementation in C++ lie when it was built with GNU's standard library:
///
/// | bytes | content |
/// |---|---|
/// | 0 | 2, the header in 8-byte words; 1, the serial version; 18, the family; flags: 1 empty |
/// | 4 | 4: unused |
/// | 8 | 4: counters a row; 1: rows; 2: hash of the seed; 1: unused |
/// | 16 | a float: N, unless empty |
/// | 24 | floats: the counters, row by row, unless empty |
///
/// ```
/// # use fleuve_sketch::frequency::CountMin;
/// let mut counts = CountMin::new(0.01, 0.99)?;
/// counts.update("cat")?;
/// assert_eq!(counts.estimate("cat").value, 1.0);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CountMin {
    shape: Arc<Shape>,
    total: u64,
    /// Row by row; nothing while empty.
    counters: Vec<u64>,
}

#[derive(Debug, PartialEq)]
struct Shape {
    width: u32,
    seeds: Vec<u64>,
}

impl CountMin {
    /// A summary of nothing for an error of so much of N, with this confidence.
    ///
    /// # Errors
    /// If the error is not above 0 and at most 1, the confidence not between 0 and 1, or more than [`COUNT_MIN_COUNTERS_MAX`] are needed.
    pub fn new(error: f64, confidence: f64) -> Result<Self> {
        check_error(error, 1e-7)?;
        check_confidence(confidence)?;
        let width = (std::f64::consts::E / error).ceil() as u32;
        let rows = (1.0 / (1.0 - confidence)).ln().ceil().max(1.0) as u32;
        Self::with_shape(rows, width)
    }

    /// A summary of nothing with so many rows of so many counters.
    ///
    /// # Errors
    /// If there is no row, more than 255, fewer than 3 counters a row, or more than [`COUNT_MIN_COUNTERS_MAX`] in all.
    pub fn with_shape(rows: u32, width: u32) -> Result<Self> {
        if !(1..=ROWS_MAX).contains(&rows) || width < 3 {
            return Err(invalid(format!("a count-min sketch has 1 to {ROWS_MAX} rows of at least 3 counters")));
        }
        if rows as usize * width as usize > COUNT_MIN_COUNTERS_MAX {
            return Err(invalid(format!("{rows} rows of {width} counters are more than {COUNT_MIN_COUNTERS_MAX}")));
        }
        Ok(CountMin { shape: Arc::new(Shape { width, seeds: row_seeds(rows) }), total: 0, counters: Vec::new() })
    }

    /// Another summary of nothing, of the same shape, which both share.
    pub fn empty(&self) -> Self {
        CountMin { shape: Arc::clone(&self.shape), total: 0, counters: Vec::new() }
    }

    /// Adds an item.
    ///
    /// # Errors
    /// If more than 2⁵³ items would have been counted; nothing is counted then.
    pub fn update<I: Item + ?Sized>(&mut self, item: &I) -> Result<()> {
        self.update_weighted(item, 1)
    }

    /// Adds an item so many times.
    ///
    /// # Errors
    /// If more than 2⁵³ items would have been counted; nothing is counted then.
    pub fn update_weighted<I: Item + ?Sized>(&mut self, item: &I, weight: u64) -> Result<()> {
        self.count_in(weight)?;
        for row in 0..self.shape.seeds.len() {
            let place = self.place(row, item);
            self.counters[place] += weight;
        }
        Ok(())
    }

    /// Adds items.
    ///
    /// # Errors
    /// If more than 2⁵³ items would have been counted; nothing is counted then.
    pub fn update_all<I: Item>(&mut self, items: &[I]) -> Result<()> {
        if !items.is_empty() {
            self.count_in(items.len() as u64)?;
            on_wide_vectors(UpdateRows { shape: &self.shape, counters: &mut self.counters, items });
        }
        Ok(())
    }

    fn count_in(&mut self, weight: u64) -> Result<()> {
        let total = self.total.checked_add(weight).filter(|total| *total <= TOTAL_MAX);
        self.total = total.ok_or_else(|| invalid("a count-min sketch counts up to 2⁵³ items"))?;
        if self.counters.is_empty() {
            self.counters = vec![0; self.shape.seeds.len() * self.shape.width as usize];
        }
        Ok(())
    }

    fn place<I: Item + ?Sized>(&self, row: usize, item: &I) -> usize {
        let width = self.shape.width as usize;
        row * width + (item.murmur(self.shape.seeds[row]).0 % width as u64) as usize
    }

    /// How often an item came: never more often than `high`, and not less often than `low` with at least the confidence.
    pub fn estimate<I: Item + ?Sized>(&self, item: &I) -> Estimate {
        if self.counters.is_empty() {
            return Estimate::exact(0.0);
        }
        let rows = 0..self.shape.seeds.len();
        let least = rows.map(|row| self.counters[self.place(row, item)]).min().unwrap_or(0) as f64;
        let error = std::f64::consts::E / f64::from(self.shape.width) * self.total as f64;
        Estimate { value: least, low: (least - error).max(0.0), high: least }
    }

    /// N, the number of all items.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds all that another summary has seen.
    ///
    /// # Errors
    /// If the other one has another shape, or both together more than 2⁵³ items.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.shape != other.shape {
            return Err(invalid("count-min sketches of different shape cannot be merged"));
        }
        if other.total > 0 {
            self.count_in(other.total)?;
            self.counters.iter_mut().zip(&other.counters).for_each(|(to, count)| *to += count);
        }
        Ok(())
    }

    /// How many bytes this summary holds, without what it shares with others.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.counters.capacity() * 8
    }

    /// The stored form of Apache DataSketches.
    pub fn to_bytes(&self) -> Vec<u8> {
        let flags = if self.total == 0 { EMPTY } else { 0 };
        let mut bytes = vec![2, SERIAL_VERSION, FAMILY, flags, 0, 0, 0, 0];
        bytes.extend(self.shape.width.to_le_bytes());
        bytes.push(self.shape.seeds.len() as u8);
        bytes.extend(seed_hash(DEFAULT_SEED).to_le_bytes());
        bytes.push(0);
        if self.total > 0 {
            bytes.extend((self.total as f64).to_le_bytes());
            self.counters.iter().for_each(|count| bytes.extend((*count as f64).to_le_bytes()));
        }
        bytes
    }

    /// Reads the stored form of Apache DataSketches, with counts that are whole numbers.
    ///
    /// # Errors
    /// If the bytes are not such a form, or were made with another seed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, WHAT);
        let [words, version, family, flags, ..] = reader.array::<8>()?;
        reader.demand(family == FAMILY, "they are of another family")?;
        reader.demand((words, version) == (2, SERIAL_VERSION), "their version is unknown")?;
        let (width, rows, seed) = (reader.u32()?, reader.u8()?, reader.u16()?);
        reader.u8()?;
        reader.demand(seed == seed_hash(DEFAULT_SEED), "their items were hashed with another seed")?;
        let mut summary = Self::with_shape(u32::from(rows), width)?;
        if flags & EMPTY == 0 {
            let total = read_count(&mut reader)?;
            let count = summary.shape.seeds.len() * width as usize;
            let mut floats = Reader::new(reader.take(count * 8)?, WHAT);
            summary.counters = (0..count).map(|_| read_count(&mut floats)).collect::<Result<_>>()?;
            summary.total = total;
            let rows_add_up = summary
                .counters
                .chunks(width as usize)
                .all(|row| row.iter().map(|count| u128::from(*count)).sum::<u128>() == u128::from(total));
            reader.demand(rows_add_up && total > 0, "the counters of a row do not add up")?;
        }
        reader.finish()?;
        Ok(summary)
    }
}

/// A count, which is stored as a float.
fn read_count(reader: &mut Reader<'_>) -> Result<u64> {
    let float = reader.f64()?;
    let whole = float >= 0.0 && float <= TOTAL_MAX as f64 && float.fract() == 0.0;
    reader.demand(whole, "a count is no whole number up to 2⁵³")?;
    Ok(float as u64)
}

struct UpdateRows<'a, I> {
    shape: &'a Shape,
    counters: &'a mut [u64],
    items: &'a [I],
}

impl<I: Item> Work for UpdateRows<'_, I> {
    #[inline(always)]
    fn run(self) {
        let width = u64::from(self.shape.width);
        let remainder = Remainder::new(width);
        let mut places = [0u64; HASHED_AT_ONCE];
        for chunk in self.items.chunks(HASHED_AT_ONCE) {
            for (row, seed) in self.counters.chunks_mut(width as usize).zip(&self.shape.seeds) {
                places.iter_mut().zip(chunk).for_each(|(to, item)| *to = item.murmur(*seed).0);
                places[..chunk.len()].iter().for_each(|hash| row[remainder.of(*hash) as usize] += 1);
            }
        }
    }
}

/// Remainders by a divisor below 2³², by two multiplications (Lemire, Kaser, Kurz 2019, "Faster remainder by direct computation").
#[derive(Clone, Copy)]
struct Remainder {
    divisor: u64,
    /// 2¹²⁸ over the divisor, rounded up.
    inverse: u128,
}

impl Remainder {
    fn new(divisor: u64) -> Self {
        Remainder { divisor, inverse: u128::MAX / u128::from(divisor) + 1 }
    }

    #[inline(always)]
    fn of(self, x: u64) -> u64 {
        let fraction = self.inverse.wrapping_mul(u128::from(x));
        let (high, low) = ((fraction >> 64) as u64, fraction as u64);
        let divisor = u128::from(self.divisor);
        ((u128::from(high) * divisor + ((u128::from(low) * divisor) >> 64)) >> 64) as u64
    }
}

/// The seeds of the rows, as DataSketches in C++ draws them: `std::default_random_engine` and a uniform distribution over 64 bits
/// of GNU's standard library, plus the seed.
fn row_seeds(rows: u32) -> Vec<u64> {
    let mut engine = DEFAULT_SEED;
    (0..rows).map(|_| draw_u64(&mut engine).wrapping_add(DEFAULT_SEED)).collect()
}

/// `minstd_rand0` (Lewis, Goodman, Miller 1969), less the least number that it gives.
fn next(engine: &mut u64) -> u64 {
    *engine = *engine * 16_807 % 2_147_483_647;
    *engine - 1
}

/// A number of 64 bits from three draws. As in `bits/uniform_int_dist.h`: the range is cut into pieces of the engine's range, the piece is
/// chosen in the same way, and what would be beyond the range is drawn again.
fn draw_u64(engine: &mut u64) -> u64 {
    const RANGE: u64 = 2_147_483_646;
    const PIECES: u64 = u64::MAX / RANGE;
    const GROUPS: u64 = PIECES / RANGE;
    let draw_group = |engine: &mut u64| loop {
        let scale = (RANGE - 1) / (GROUPS + 1);
        let drawn = next(engine);
        if drawn < scale * (GROUPS + 1) {
            return drawn / scale;
        }
    };
    let draw_piece = |engine: &mut u64| loop {
        let group = RANGE * draw_group(engine);
        let piece = group + next(engine);
        if piece <= PIECES {
            return piece;
        }
    };
    loop {
        let piece = RANGE.wrapping_mul(draw_piece(engine));
        let drawn = piece.wrapping_add(next(engine));
        if drawn >= piece {
            return drawn;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;
    use crate::trials::share;
    use proptest::prelude::*;

    /// The share of the seeds for which an item's count is not too high by more than the error.
    fn kept(confidence: f64, meddle: impl Fn(&mut CountMin)) -> f64 {
        share(|seed| {
            let mut random = Generator::new(seed);
            let (item, mut summary) = (random.next_u64(), CountMin::new(0.1, confidence).unwrap());
            let others: Vec<u64> = (0..60).map(|_| random.next_u64()).collect();
            summary.update_all(&others).unwrap();
            summary.update_weighted(&item, 3).unwrap();
            meddle(&mut summary);
            let estimate = summary.estimate(&item);
            estimate.value >= 3.0 && estimate.covers(3.0)
        })
    }

    #[test]
    fn keeps_its_promise_and_broken_variants_are_caught() {
        let share = kept(0.95, |_| ());
        assert!(share >= 0.95, "{share}");
        let same = kept(0.95, |summary| {
            // All items in few counters: a biased hash.
            let width = summary.shape.width as usize;
            summary.counters.chunks_mut(width).for_each(|row| {
                let sums: [u64; 2] = [0, 1].map(|odd| row.iter().skip(odd).step_by(2).sum());
                row.iter_mut().enumerate().for_each(|(i, count)| *count = sums[i % 2]);
            });
        });
        assert!(same < 0.95, "{same}");
        let lost = kept(0.95, |summary| summary.counters.iter_mut().for_each(|count| *count &= !1));
        assert!(lost < 0.95, "a bit of the counters lost: {lost}");
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for (error, confidence) in [(0.0, 0.9), (2.0, 0.9), (f64::NAN, 0.9), (1e-9, 0.9), (0.1, 0.0), (0.1, 1.0)] {
            assert_eq!(CountMin::new(error, confidence).unwrap_err().code(), "E304");
        }
        let mut full = CountMin::new(0.1, 0.5).unwrap();
        full.update_weighted("x", 1 << 53).unwrap();
        assert!(full.update_weighted("x", 1).is_err() && full.clone().merge(&full).is_err());
        assert_eq!(full.estimate("x").value, (1u64 << 53) as f64);
    }

    proptest! {
        #[test]
        fn remainders_are_right(x: u64, divisor in 3u64..1 << 32) {
            prop_assert_eq!(Remainder::new(divisor).of(x), x % divisor);
        }

        #[test]
        fn parts_merge_to_the_whole(items in prop::collection::vec(0i64..99, 0..600), parts in 1usize..5) {
            let mut whole = CountMin::new(0.05, 0.9).unwrap();
            items.iter().for_each(|item| whole.update(item).unwrap());
            let mut merged = whole.empty();
            for part in items.chunks(items.len() / parts + 1).rev() {
                let mut summary = whole.empty();
                summary.update_all(part).unwrap();
                merged.merge(&CountMin::from_bytes(&summary.to_bytes()).unwrap()).unwrap();
            }
            prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = CountMin::from_bytes(&bytes);
            let mut summary = CountMin::new(0.5, 0.7).unwrap();
            ["a", "b", "b"].iter().for_each(|text| summary.update(*text).unwrap());
            let mut bytes = summary.to_bytes();
            let place = at % bytes.len();
            prop_assert!(CountMin::from_bytes(&bytes[..place]).is_err());
            bytes[place] = byte;
            if let Ok(mut read) = CountMin::from_bytes(&bytes) {
                let _ = read.update("c");
                read.estimate("c");
            }
        }
    }
}
