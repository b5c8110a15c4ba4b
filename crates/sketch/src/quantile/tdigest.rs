//! Quantiles that are most exact at the ends: clusters of neighbouring values, small where a rank is near 0 or 1.
//!
//! Dunning and Ertl 2019, "Computing extremely accurate quantiles using t-digests"; Dunning 2021, "The t-digest: efficient estimates
//! of distributions". The digest is built here, since batches can be sorted as integers; what it answers, the crate `datasketches`
//! works out of its stored form.

use super::centroids::{Centroid, compress, key, number, with_items};
use crate::codec::Reader;
use crate::invalid;
use datasketches::tdigest::TDigestMut;
use fleuve_base::Result;

/// The values that k can have.
pub const TDIGEST_K: std::ops::RangeInclusive<u16> = 10..=10_000;
/// What is taken where nobody chooses.
pub const TDIGEST_K_DEFAULT: u16 = 200;
/// The most items that a digest counts.
const TOTAL_MAX: u64 = 1 << 63;
/// How many items wait for each centroid that there may be, so that a scan over the centroids serves many of them.
const WAITING_FOR_EACH: usize = 4;
/// For how many items there is room first, so that small groups stay small.
const WAITING_AT_FIRST: usize = 8;

const WHAT: &str = "stored t-digest";
const VERSION: u8 = 1;
const FAMILY: u8 = 20;
const EMPTY: u8 = 1;
const SINGLE: u8 = 2;
const REVERSE: u8 = 4;

/// Quantiles of a stream of floats, most exact at the ends.
///
/// **Promise.** Nothing is proven. On distributions as they occur, the rank is off by some q(1 − q)/k: at k = 200 by about 0.1 % in the
/// middle and by a few millionths at the ends, where [`Kll`](super::Kll) is as far off as in the middle. Least and greatest
/// values are exact. NaN and infinities are not counted. The state depends on the order of items and of merging.
///
/// **Memory.** Up to 2k + 10 centroids of 16 bytes (2k + 30 below k = 30), and room for four times as many items of 8 bytes that wait.
///
/// **Stored form.** That of Apache DataSketches' tdigest_double.
///
/// ```
/// # use fleuve_sketch::quantile::TDigest;
/// let mut digest = TDigest::new(200)?;
/// digest.update_all(&(0..100_000).map(f64::from).collect::<Vec<_>>());
/// let quantile = digest.quantile(0.999)?.expect("it is not empty");
/// assert!((quantile - 99_900.0).abs() < 10.0);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TDigest {
    k: u16,
    /// Whether the next scan begins at the greatest centroid.
    reverse: bool,
    least: f64,
    greatest: f64,
    /// In order; and how many items they stand for.
    centroids: Vec<Centroid>,
    clustered: u64,
    /// The keys of items that belong to no centroid yet.
    waiting: Vec<i64>,
}

impl TDigest {
    /// A summary of nothing, with a parameter for its size.
    ///
    /// # Errors
    /// If k is not in [`TDIGEST_K`].
    pub fn new(k: u16) -> Result<Self> {
        if !TDIGEST_K.contains(&k) {
            let (least, most) = TDIGEST_K.into_inner();
            return Err(invalid(format!("the parameter k of a t-digest is {least} to {most}, not {k}")));
        }
        Ok(Self::of(k))
    }

    fn of(k: u16) -> Self {
        let (least, greatest) = (f64::INFINITY, f64::NEG_INFINITY);
        TDigest { k, reverse: false, least, greatest, centroids: Vec::new(), clustered: 0, waiting: Vec::new() }
    }

    /// Another summary of nothing.
    pub fn empty(&self) -> Self {
        Self::of(self.k)
    }

    /// How many centroids there are at most, and how many items wait.
    fn waiting_max(&self) -> usize {
        let spare = if self.k < 30 { 30 } else { 10 };
        (2 * usize::from(self.k) + spare) * WAITING_FOR_EACH
    }

    /// Adds an item; NaN and infinities are passed over.
    #[inline]
    pub fn update(&mut self, item: f64) {
        self.update_all(&[item]);
    }

    /// Adds items; NaN and infinities are passed over.
    pub fn update_all(&mut self, items: &[f64]) {
        let most = self.waiting_max();
        let mut rest = items;
        while !rest.is_empty() {
            if self.waiting.len() >= most {
                self.settle();
            }
            let (taken, others) = rest.split_at(rest.len().min(most - self.waiting.len()));
            self.make_room(taken.len(), most);
            self.waiting.extend(taken.iter().filter(|item| item.is_finite()).map(|item| key(*item)));
            rest = others;
        }
    }

    /// Room for more items that wait: some at first, four times as many each time, never more than can wait.
    fn make_room(&mut self, more: usize, most: usize) {
        let needed = self.waiting.len() + more;
        if needed > self.waiting.capacity() {
            let room = needed.max(4 * self.waiting.len()).clamp(WAITING_AT_FIRST, most);
            self.waiting.reserve_exact(room - self.waiting.len());
        }
    }

    /// Puts the items that wait into centroids.
    fn settle(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.waiting.sort_unstable();
        let all = with_items(&self.waiting, &self.centroids);
        self.clustered += self.waiting.len() as u64;
        self.waiting.clear();
        self.cluster(all);
    }

    /// Puts neighbours among centroids, which are in order, together.
    fn cluster(&mut self, mut all: Vec<Centroid>) {
        compress(&mut all, self.k, self.clustered, self.reverse);
        // The first and the last are never put together with others.
        self.least = all.first().map_or(self.least, |first| self.least.min(first.mean));
        self.greatest = all.last().map_or(self.greatest, |last| self.greatest.max(last.mean));
        self.reverse = !self.reverse;
        self.centroids.clear();
        self.centroids.reserve_exact(all.len());
        self.centroids.extend(all);
    }

    /// Adds all that another summary has seen.
    ///
    /// # Errors
    /// If both together have seen more than 2⁶³ items.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let total = self.total().checked_add(other.total()).filter(|total| *total <= TOTAL_MAX);
        let total = total.ok_or_else(|| invalid("a t-digest holds up to 2⁶³ items"))?;
        if other.total() == 0 {
            return Ok(());
        }
        let alone = |key: &i64| Centroid { mean: number(*key), weight: 1 };
        let mut all: Vec<Centroid> = self.waiting.iter().chain(&other.waiting).map(alone).collect();
        all.extend(other.centroids.iter().chain(&self.centroids));
        all.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        (self.least, self.greatest) = (self.least.min(other.least), self.greatest.max(other.greatest));
        self.clustered = total;
        self.waiting.clear();
        self.cluster(all);
        Ok(())
    }

    /// A value so that about a share `q` of the items lies below; none if there are no items.
    ///
    /// # Errors
    /// If q is not between 0 and 1.
    pub fn quantile(&mut self, q: f64) -> Result<Option<f64>> {
        self.readable()?
            .quantile(q)
            .map_err(|error| invalid(format!("a quantile is asked for by a number from 0 to 1, not {q}: {error}")))
    }

    /// About which share of the items lies below a value; none if there are no items.
    ///
    /// # Errors
    /// If the value is NaN.
    pub fn rank(&mut self, value: f64) -> Result<Option<f64>> {
        self.readable()?.rank(value).map_err(|error| invalid(format!("{value} has no rank: {error}")))
    }

    /// The digest as `datasketches` reads it.
    fn readable(&mut self) -> Result<TDigestMut> {
        TDigestMut::deserialize(&self.to_bytes())
            .map_err(|error| invalid(format!("a t-digest cannot be read: {error}")))
    }

    /// The number of all items.
    pub fn total(&self) -> u64 {
        self.clustered + self.waiting.len() as u64
    }

    /// How many bytes this summary holds.
    pub fn bytes(&self) -> usize {
        let centroids = self.centroids.capacity() * size_of::<Centroid>();
        size_of::<Self>() + centroids + self.waiting.capacity() * size_of::<i64>()
    }

    /// The stored form of Apache DataSketches. What waits is taken in first, so that the summary goes on as the one that is read.
    pub fn to_bytes(&mut self) -> Vec<u8> {
        self.settle();
        let (words, kind) = match self.clustered {
            0 => (1, EMPTY),
            1 => (1, SINGLE),
            _ => (2, 0),
        };
        let mut bytes = vec![words, VERSION, FAMILY];
        bytes.extend(self.k.to_le_bytes());
        bytes.extend([kind | if self.reverse { REVERSE } else { 0 }, 0, 0]);
        if self.clustered > 1 {
            bytes.extend((self.centroids.len() as u64).to_le_bytes());
            bytes.extend(self.least.to_le_bytes());
            bytes.extend(self.greatest.to_le_bytes());
            for centroid in &self.centroids {
                bytes.extend(centroid.mean.to_le_bytes());
                bytes.extend(centroid.weight.to_le_bytes());
            }
        } else if self.clustered == 1 {
            bytes.extend(self.least.to_le_bytes());
        }
        bytes
    }

    /// Reads the stored form of Apache DataSketches for doubles.
    ///
    /// # Errors
    /// If the bytes are not such a form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, WHAT);
        let [words, version, family] = reader.array::<3>()?;
        reader.demand(family == FAMILY, "they are of another family")?;
        reader.demand(version == VERSION, "their version is unknown")?;
        let k = reader.u16()?;
        reader.demand(TDIGEST_K.contains(&k), "a parameter is out of range")?;
        let [flags, _, _] = reader.array::<3>()?;
        reader.demand(flags <= EMPTY | SINGLE | REVERSE, "a flag is unknown")?;
        let mut digest = TDigest { reverse: flags & REVERSE != 0, ..Self::of(k) };
        match (words, flags & (EMPTY | SINGLE)) {
            (1, EMPTY) => (),
            (1, SINGLE) => {
                let item = reader.f64()?;
                reader.demand(item.is_finite(), "an item is no number")?;
                digest.centroids.push(Centroid { mean: item, weight: 1 });
                (digest.least, digest.greatest, digest.clustered) = (item, item, 1);
            }
            (2, 0) => digest.read_centroids(&mut reader)?,
            _ => return Err(reader.damaged("their version is unknown")),
        }
        reader.finish()?;
        Ok(digest)
    }

    fn read_centroids(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let count = reader.count(size_of::<Centroid>())?;
        let waiting = reader.u32()? as usize;
        reader.demand(waiting <= self.waiting_max(), "too many items wait")?;
        (self.least, self.greatest) = (reader.f64()?, reader.f64()?);
        let mut last = self.least;
        for _ in 0..count {
            let (mean, weight) = (reader.f64()?, reader.u64()?);
            reader.demand(mean.is_finite() && mean >= last && mean <= self.greatest, "a centroid is out of order")?;
            reader.demand(weight > 0 && weight <= TOTAL_MAX - self.clustered, "a weight is impossible")?;
            self.clustered += weight;
            self.centroids.push(Centroid { mean, weight });
            last = mean;
        }
        for _ in 0..waiting {
            let item = reader.f64()?;
            reader
                .demand(item.is_finite() && item >= self.least && item <= self.greatest, "an item is out of range")?;
            self.waiting.push(key(item));
        }
        let bounds = self.least.is_finite() && self.greatest.is_finite();
        reader.demand(bounds && self.total() > 0, "it holds no items")?;
        reader.demand(self.total() > 1 || self.least == self.greatest, "one item has two values")
    }
}

#[cfg(test)]
mod tests {
    use super::{TDigest, TDigestMut};
    use crate::random::Generator;
    use proptest::prelude::*;

    /// Ranks at the ends are off by far less than a thousandth, whole or merged of four.
    #[test]
    fn is_exact_at_the_ends() {
        for seed in 0..20 {
            let mut random = Generator::new(seed);
            let items: Vec<f64> = (0..20_000).map(|_| -random.unit_positive().ln()).collect();
            let mut merged = TDigest::new(200).unwrap();
            for part in items.chunks(5_000) {
                let mut summary = TDigest::new(200).unwrap();
                summary.update_all(part);
                merged.merge(&summary).unwrap();
            }
            let mut whole = TDigest::new(200).unwrap();
            whole.update_all(&items);
            for (q, error) in [(0.5, 0.005), (0.99, 0.000_5), (0.999, 0.000_2)] {
                for digest in [&mut whole, &mut merged] {
                    let value = digest.quantile(q).unwrap().unwrap();
                    let rank = items.iter().filter(|item| **item <= value).count() as f64 / items.len() as f64;
                    assert!((rank - q).abs() < error, "{q}: {rank}");
                }
            }
        }
    }

    #[test]
    fn wrong_arguments_are_refused() {
        assert!(TDigest::new(9).is_err() && TDigest::new(10_001).is_err());
        let mut digest = TDigest::new(100).unwrap();
        assert_eq!(digest.quantile(0.5).unwrap(), None);
        digest.update_all(&[f64::NAN, f64::INFINITY, 1.0]);
        assert_eq!((digest.total(), digest.quantile(0.5).unwrap()), (1, Some(1.0)));
        for wrong in [-0.1, 1.1, f64::NAN] {
            assert_eq!(digest.quantile(wrong).unwrap_err().code(), "E304");
        }
    }

    proptest! {
        /// All that was built, scanned and merged is what `datasketches` makes of it, byte for byte.
        #[test]
        fn is_the_digest_of_datasketches(
            items in prop::collection::vec(-1e6f64..1e6, 0..4000),
            few in prop::collection::vec(-9i32..9, 0..2000),
            k in 10u16..60,
        ) {
            let (mut ours, mut theirs) = (TDigest::new(k).unwrap(), TDigestMut::new(k).unwrap());
            ours.update_all(&items);
            items.iter().for_each(|item| theirs.update(*item));
            prop_assert_eq!(ours.to_bytes(), theirs.serialize());
            let few: Vec<f64> = few.into_iter().map(f64::from).collect();
            let (mut ours_too, mut theirs_too) = (TDigest::new(k).unwrap(), TDigestMut::new(k).unwrap());
            for part in few.chunks(701) {
                ours_too.update_all(part);
                part.iter().for_each(|item| theirs_too.update(*item));
            }
            ours.update_all(&few);
            few.iter().for_each(|item| theirs.update(*item));
            ours.merge(&ours_too).unwrap();
            theirs.merge(&theirs_too);
            prop_assert_eq!(ours.to_bytes(), theirs.serialize());
        }

        #[test]
        fn a_restart_changes_nothing(items in prop::collection::vec(-1e6f64..1e6, 0..3000), more in prop::collection::vec(0f64..1.0, 0..999)) {
            let mut summary = TDigest::new(10).unwrap();
            summary.update_all(&items);
            let mut read = TDigest::from_bytes(&summary.to_bytes()).unwrap();
            summary.update_all(&more);
            read.update_all(&more);
            prop_assert_eq!(read.to_bytes(), summary.to_bytes());
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, items in 0..400, at: usize, byte: u8) {
            let _ = TDigest::from_bytes(&bytes);
            let mut summary = TDigest::new(20).unwrap();
            (0..items).for_each(|item| summary.update(f64::from(item)));
            let mut bytes = summary.to_bytes();
            let place = at % bytes.len();
            prop_assert!(TDigest::from_bytes(&bytes[..place]).is_err());
            bytes[place] = byte;
            if let Ok(mut read) = TDigest::from_bytes(&bytes) {
                read.update_all(&[1.0; 500]);
                let _ = read.merge(&summary);
                read.quantile(0.3).unwrap();
            }
        }
    }
}
