//! Count, sum, average, variance, skewness and kurtosis from exact sums of the first four powers.
//!
//! With n values and Sₖ the sum of their kth powers, the central moments are, without any division,
//!
//! ```text
//! A₂ = n·S₂ − S₁²        A₃ = n²·S₃ − 3n·S₁·S₂ + 2·S₁³        A₄ = n³·S₄ − 4n²·S₁·S₃ + 6n·S₁²·S₂ − 3·S₁⁴
//! variance = A₂ / n²     skewness = A₃ / A₂^(3/2)             kurtosis = A₄ / A₂²
//! ```
//!
//! (the moments about the mean by those about 0; see P. Pébay 2008, "Formulas for robust, one-pass parallel computation of
//! covariances and arbitrary-order statistical moments"). All of it is computed in integers of any length, so that what
//! would cancel in floating point does not: the sums may be taken about 0.

use fleuve_base::Result;

use crate::exact::{Exact, Limbs};
use crate::magnitude::{Magnitude, decompose, scale};
use crate::stored::{Reader, Stored, wrong};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'M', 1);

/// Bytes of the longest stored sum: the full width of fourth powers, and its exponent.
const SUM_BYTES_MAX: usize = 4 + 8 * Exact::<9>::WIDE_WORDS;

/// Running statistics of one column. About 240 bytes; some 3,000 more once values differ by more than 2^60 or so.
///
/// Two states are equal if and only if they hold the same values, in whatever order and parts they came.
///
/// ```
/// let mut moments = fleuve_sketch::statistics::Moments::default();
/// moments.add_slice(&[1.0, 2.0, 3.0, 1e300]);
/// moments.add(1e300, -1);
/// assert_eq!((moments.average(), moments.variance_sample()), (Some(2.0), Some(1.0)));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moments {
    count: i64,
    sum: Exact<3>,
    squares: Exact<5>,
    cubes: Exact<7>,
    fourths: Exact<9>,
    specials: Option<Box<Specials>>,
}

/// How many values are not finite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Specials {
    nan: i64,
    infinite: i64,
    infinite_negative: i64,
}

impl Moments {
    /// Adds a value `weight` times; a negative weight takes it away again, exactly.
    #[inline]
    pub fn add(&mut self, value: f64, weight: i64) {
        if !value.is_finite() {
            return self.add_special(value, weight);
        }
        let (mantissa, exponent) = decompose(value);
        self.add_scaled(mantissa, exponent, weight);
    }

    /// Adds an integer, exactly, even beyond 2⁵³.
    #[inline]
    pub fn add_integer(&mut self, value: i64, weight: i64) {
        self.add_scaled(value, 0, weight);
    }

    /// Adds each value once.
    pub fn add_slice(&mut self, values: &[f64]) {
        values.iter().for_each(|value| self.add(*value, 1));
    }

    /// Adds all that another state holds.
    pub fn merge(&mut self, other: &Moments) {
        self.count = self.count.wrapping_add(other.count);
        let (words, exponent) = other.sum.parts();
        self.sum.add_sum(words, exponent);
        let (words, exponent) = other.squares.parts();
        self.squares.add_sum(words, exponent);
        let (words, exponent) = other.cubes.parts();
        self.cubes.add_sum(words, exponent);
        let (words, exponent) = other.fourths.parts();
        self.fourths.add_sum(words, exponent);
        if let Some(specials) = &other.specials {
            self.update_specials(|own| {
                own.nan = own.nan.wrapping_add(specials.nan);
                own.infinite = own.infinite.wrapping_add(specials.infinite);
                own.infinite_negative = own.infinite_negative.wrapping_add(specials.infinite_negative);
            });
        }
    }

    fn add_scaled(&mut self, mantissa: i64, exponent: i32, weight: i64) {
        self.count = self.count.wrapping_add(weight);
        self.sum.add(i128::from(mantissa) * i128::from(weight), exponent);
        let (m, less) = (mantissa.unsigned_abs(), weight < 0);
        let square = times(&[m, 0, 0, 0, 0], m);
        let cube = times(&square, m);
        let fourth = times(&cube, m);
        let weighted =
            |power: &Limbs| if weight.unsigned_abs() == 1 { *power } else { times(power, weight.unsigned_abs()) };
        if weight != 0 {
            self.squares.add_limbs(&weighted(&square), less, 2 * exponent);
            self.cubes.add_limbs(&weighted(&cube), less != (mantissa < 0), 3 * exponent);
            self.fourths.add_limbs(&weighted(&fourth), less, 4 * exponent);
        }
    }

    #[cold]
    fn add_special(&mut self, value: f64, weight: i64) {
        self.count = self.count.wrapping_add(weight);
        self.update_specials(|specials| match value {
            f64::INFINITY => specials.infinite = specials.infinite.wrapping_add(weight),
            f64::NEG_INFINITY => specials.infinite_negative = specials.infinite_negative.wrapping_add(weight),
            _ => specials.nan = specials.nan.wrapping_add(weight),
        });
    }

    fn update_specials(&mut self, update: impl FnOnce(&mut Specials)) {
        let mut specials = self.specials.take().unwrap_or_default();
        update(&mut specials);
        self.specials = (*specials != Specials::default()).then_some(specials);
    }

    /// The number of values.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// The sum; `None` without values.
    pub fn sum(&self) -> Option<f64> {
        if self.count <= 0 {
            return None;
        }
        Some(match self.specials.as_deref() {
            None => self.sum.to_f64(),
            Some(Specials { nan: 0, infinite: 0, .. }) => f64::NEG_INFINITY,
            Some(Specials { nan: 0, infinite_negative: 0, .. }) => f64::INFINITY,
            Some(_) => f64::NAN,
        })
    }

    /// The mean, even where the sum itself is beyond a double; `None` without values.
    pub fn average(&self) -> Option<f64> {
        if self.specials.is_some() {
            return self.sum();
        }
        (self.count > 0).then(|| {
            let (mantissa, exponent) = self.sum.magnitude().to_scaled();
            scale(mantissa / self.count as f64, exponent)
        })
    }

    /// The mean squared distance from the mean; `None` without values, NaN where one is not finite.
    pub fn variance_population(&self) -> Option<f64> {
        self.variance(self.count)
    }

    /// The variance of what the values are a sample of (divided by n − 1); `None` below two values.
    pub fn variance_sample(&self) -> Option<f64> {
        self.variance(self.count.checked_sub(1)?)
    }

    fn variance(&self, divisor: i64) -> Option<f64> {
        (divisor > 0).then(|| {
            let (mantissa, exponent) = self.second().to_scaled();
            self.unless_special(scale(mantissa / (self.count as f64 * divisor as f64), exponent))
        })
    }

    /// The square root of [`Moments::variance_population`].
    pub fn deviation_population(&self) -> Option<f64> {
        self.variance_population().map(f64::sqrt)
    }

    /// The square root of [`Moments::variance_sample`].
    pub fn deviation_sample(&self) -> Option<f64> {
        self.variance_sample().map(f64::sqrt)
    }

    /// The skewness g₁ = m₃ / m₂^(3/2); `None` without values or where all are equal.
    pub fn skewness_population(&self) -> Option<f64> {
        self.where_spread(|second| {
            let (third, third_exponent) = self.third().to_scaled();
            let (mut spread, mut exponent) = second.to_scaled();
            if exponent % 2 != 0 {
                (spread, exponent) = (2.0 * spread, exponent - 1);
            }
            scale(third / (spread * spread.sqrt()), third_exponent - exponent / 2 * 3)
        })
    }

    /// The skewness G₁ = g₁·√(n(n−1)) / (n−2) of what the values are a sample of; `None` below three values.
    pub fn skewness_sample(&self) -> Option<f64> {
        let n = self.count as f64;
        let skewness = self.skewness_population().filter(|_| self.count > 2)?;
        Some(skewness * (n * (n - 1.0)).sqrt() / (n - 2.0))
    }

    /// The excess kurtosis g₂ = m₄ / m₂² − 3, 0 for a normal distribution; `None` as for the skewness.
    pub fn kurtosis_population(&self) -> Option<f64> {
        self.where_spread(|second| {
            let square = second.product(second);
            let (excess, excess_exponent) = self.fourth().minus(&square.times(3)).to_scaled();
            let (square, exponent) = square.to_scaled();
            scale(excess / square, excess_exponent - exponent)
        })
    }

    /// The excess kurtosis G₂ = (n−1)·((n+1)·g₂ + 6) / ((n−2)(n−3)) of what the values are a sample of; `None` below four.
    pub fn kurtosis_sample(&self) -> Option<f64> {
        let n = self.count as f64;
        let kurtosis = self.kurtosis_population().filter(|_| self.count > 3)?;
        Some((n - 1.0) * ((n + 1.0) * kurtosis + 6.0) / ((n - 2.0) * (n - 3.0)))
    }

    fn unless_special(&self, value: f64) -> f64 {
        if self.specials.is_some() { f64::NAN } else { value }
    }

    /// `shape` of A₂, if there is spread.
    fn where_spread(&self, shape: impl FnOnce(&Magnitude) -> f64) -> Option<f64> {
        if self.count > 0 && self.specials.is_some() {
            return Some(f64::NAN);
        }
        let second = self.second();
        (self.count > 0 && !second.is_zero()).then(|| shape(&second))
    }

    /// A₂.
    fn second(&self) -> Magnitude {
        let sum = self.sum.magnitude();
        self.squares.magnitude().times(self.count.unsigned_abs()).minus(&sum.product(&sum))
    }

    /// A₃.
    fn third(&self) -> Magnitude {
        let (n, sum) = (self.count.unsigned_abs(), self.sum.magnitude());
        let positive = self.cubes.magnitude().times(n).times(n).plus(&sum.product(&sum).product(&sum).times(2));
        positive.minus(&sum.product(&self.squares.magnitude()).times(n).times(3))
    }

    /// A₄.
    fn fourth(&self) -> Magnitude {
        let (n, sum) = (self.count.unsigned_abs(), self.sum.magnitude());
        let square = sum.product(&sum);
        let first = self.fourths.magnitude().times(n).times(n).times(n);
        let second = sum.product(&self.cubes.magnitude()).times(n).times(n).times(4);
        let third = square.product(&self.squares.magnitude()).times(n).times(6);
        first.minus(&second).plus(&third).minus(&square.product(&square).times(3))
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        self.count.write(&mut out);
        let specials = self.specials.as_deref().copied().unwrap_or_default();
        [specials.nan, specials.infinite, specials.infinite_negative].iter().for_each(|count| count.write(&mut out));
        for sum in [self.sum.to_bytes(), self.squares.to_bytes(), self.cubes.to_bytes(), self.fourths.to_bytes()] {
            sum.write(&mut out);
        }
        out
    }

    /// What [`Moments::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let mut moments = Moments { count: i64::read(&mut from)?, ..Moments::default() };
        let (nan, infinite, infinite_negative) = (i64::read(&mut from)?, i64::read(&mut from)?, i64::read(&mut from)?);
        moments.update_specials(|specials| *specials = Specials { nan, infinite, infinite_negative });
        read_sum(&mut moments.sum, &mut from)?;
        read_sum(&mut moments.squares, &mut from)?;
        read_sum(&mut moments.cubes, &mut from)?;
        read_sum(&mut moments.fourths, &mut from)?;
        from.finish()?;
        Ok(moments)
    }

    /// Bytes of the state.
    pub fn bytes(&self) -> usize {
        let heap = self.sum.heap_bytes() + self.squares.heap_bytes();
        let specials = self.specials.as_ref().map_or(0, |_| size_of::<Specials>());
        size_of::<Self>() + heap + self.cubes.heap_bytes() + self.fourths.heap_bytes() + specials
    }
}

/// Reads a sum into an empty one.
pub(super) fn read_sum<const W: usize>(sum: &mut Exact<W>, from: &mut Reader<'_>) -> Result<()> {
    let count = from.count(SUM_BYTES_MAX, 1)?;
    sum.add_bytes(from.take(count)?).ok_or_else(|| wrong("holds a damaged sum"))
}

/// `limbs · factor`, which must fit.
#[inline]
fn times(limbs: &Limbs, factor: u64) -> Limbs {
    let mut carry = 0u128;
    limbs.map(|limb| {
        carry += u128::from(limb) * u128::from(factor);
        let low = carry as u64;
        carry >>= 64;
        low
    })
}

#[cfg(test)]
#[path = "moments_tests.rs"]
mod tests;
