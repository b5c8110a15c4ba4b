//! Quantiles that are most exact at the ends: clusters of neighbouring values, small where a rank is near 0 or 1.
//!
//! Dunning and Ertl 2019, "Computing extremely accurate quantiles using t-digests"; Dunning 2021, "The t-digest: efficient estimates
//! of distributions". The algorithm is that of the crate `datasketches`; here is what it needs to be safe and to fit the others.

use crate::codec::Reader;
use crate::invalid;
use datasketches::tdigest::TDigestMut;
use fleuve_base::Result;

/// The values that k can have.
pub const TDIGEST_K: std::ops::RangeInclusive<u16> = 10..=10_000;
/// What is taken where nobody chooses.
pub const TDIGEST_K_DEFAULT: u16 = 200;

const WHAT: &str = "stored t-digest";
const FAMILY: u8 = 20;

/// Quantiles of a stream of floats, most exact at the ends.
///
/// **Promise.** Nothing is proven. On distributions as they occur, the rank is off by some q(1 − q)/k: at k = 200 by about 0.1 % in the
/// middle and by a few millionths at the ends, where [`Kll`](super::Kll) is as far off as in the middle. Least and greatest
/// values are exact. NaN and infinities are not counted. The state depends on the order of items and of merging.
///
/// **Memory.** Up to 2k + 10 centroids of 16 bytes, and room for four times as many items that wait.
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
    digest: TDigestMut,
}

impl TDigest {
    /// A summary of nothing, with a parameter for its size.
    ///
    /// # Errors
    /// If k is not in [`TDIGEST_K`].
    pub fn new(k: u16) -> Result<Self> {
        let digest = TDigestMut::new(k).ok().filter(|_| TDIGEST_K.contains(&k));
        let (least, most) = TDIGEST_K.into_inner();
        let digest =
            digest.ok_or_else(|| invalid(format!("the parameter k of a t-digest is {least} to {most}, not {k}")))?;
        Ok(TDigest { digest })
    }

    /// Another summary of nothing.
    pub fn empty(&self) -> Self {
        TDigest { digest: TDigestMut::new(self.digest.k()).expect("the parameter was accepted before") }
    }

    /// Adds an item; NaN and infinities are passed over.
    #[inline]
    pub fn update(&mut self, item: f64) {
        self.digest.update(item);
    }

    /// Adds items; NaN and infinities are passed over.
    pub fn update_all(&mut self, items: &[f64]) {
        items.iter().for_each(|item| self.digest.update(*item));
    }

    /// Adds all that another summary has seen.
    ///
    /// # Errors
    /// If both together have seen more than 2⁶³ items.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let total = self.total().checked_add(other.total()).filter(|total| *total <= 1 << 63);
        total.ok_or_else(|| invalid("a t-digest holds up to 2⁶³ items"))?;
        self.digest.merge(&other.digest);
        Ok(())
    }

    /// A value so that about a share `q` of the items lies below; none if there are no items.
    ///
    /// # Errors
    /// If q is not between 0 and 1.
    pub fn quantile(&mut self, q: f64) -> Result<Option<f64>> {
        self.digest
            .quantile(q)
            .map_err(|error| invalid(format!("a quantile is asked for by a number from 0 to 1, not {q}: {error}")))
    }

    /// About which share of the items lies below a value; none if there are no items.
    ///
    /// # Errors
    /// If the value is NaN.
    pub fn rank(&mut self, value: f64) -> Result<Option<f64>> {
        self.digest.rank(value).map_err(|error| invalid(format!("{value} has no rank: {error}")))
    }

    /// The number of all items.
    pub fn total(&self) -> u64 {
        self.digest.total_weight()
    }

    /// How many bytes this summary holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.digest.estimated_size()
    }

    /// The stored form of Apache DataSketches. What waits is taken in first, so that the summary goes on as the one that is read.
    pub fn to_bytes(&mut self) -> Vec<u8> {
        self.digest.serialize()
    }

    /// Reads the stored form of Apache DataSketches for doubles.
    ///
    /// # Errors
    /// If the bytes are not such a form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, WHAT);
        // Anything else would be taken for the form of another library, which allocates what it is told to.
        let [_, _, family] = reader.array::<3>()?;
        reader.demand(family == FAMILY, "they are of another family")?;
        let k = reader.u16()?;
        reader.demand(TDIGEST_K.contains(&k), "a parameter is out of range")?;
        let digest = TDigestMut::deserialize(bytes).map_err(|error| reader.damaged(error))?;
        reader.demand(digest.total_weight() <= 1 << 63, "it has seen too many items")?;
        Ok(TDigest { digest })
    }
}

#[cfg(test)]
mod tests {
    use super::TDigest;
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
