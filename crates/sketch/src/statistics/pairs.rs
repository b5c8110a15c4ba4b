//! Covariance, correlation and linear regression from exact sums of products.
//!
//! With n pairs, and `Axy = n·Σxy − Σx·Σy` and so on, computed without rounding:
//!
//! ```text
//! covariance = Axy / n²    correlation = Axy / √(Axx·Ayy)    slope = Axy / Axx    intercept = (Σy·Axx − Σx·Axy) / (n·Axx)
//! ```

use fleuve_base::Result;

use super::moments::read_sum;
use crate::exact::Exact;
use crate::magnitude::{Magnitude, decompose, scale};
use crate::stored::{Reader, Stored};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'P', 1);

/// Running statistics of two columns, x and y. About 210 bytes; more once values differ by more than 2^60 or so.
///
/// In SQL's `REGR_…(y, x)` the dependent column stands first; here it is x, y everywhere.
///
/// ```
/// let mut pairs = fleuve_sketch::statistics::Pairs::default();
/// (0..10).for_each(|x| pairs.add(f64::from(x), 3.0 * f64::from(x) + 1.0, 1));
/// assert_eq!((pairs.slope(), pairs.intercept(), pairs.r2()), (Some(3.0), Some(1.0), Some(1.0)));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs {
    count: i64,
    /// Pairs of which one is not finite.
    special: i64,
    x: Exact<3>,
    y: Exact<3>,
    xx: Exact<5>,
    xy: Exact<5>,
    yy: Exact<5>,
}

impl Pairs {
    /// Adds a pair `weight` times; a negative weight takes it away again, exactly.
    #[inline]
    pub fn add(&mut self, x: f64, y: f64, weight: i64) {
        self.count = self.count.wrapping_add(weight);
        if !(x.is_finite() && y.is_finite()) {
            self.special = self.special.wrapping_add(weight);
            return;
        }
        let ((x, x_exponent), (y, y_exponent)) = (decompose(x), decompose(y));
        self.x.add(i128::from(x) * i128::from(weight), x_exponent);
        self.y.add(i128::from(y) * i128::from(weight), y_exponent);
        add_product(&mut self.xx, (x, x), 2 * x_exponent, weight);
        add_product(&mut self.xy, (x, y), x_exponent + y_exponent, weight);
        add_product(&mut self.yy, (y, y), 2 * y_exponent, weight);
    }

    /// Adds each pair once. The columns must be of one length; what one has more is left out.
    pub fn add_slices(&mut self, x: &[f64], y: &[f64]) {
        x.iter().zip(y).for_each(|(x, y)| self.add(*x, *y, 1));
    }

    /// Adds all that another state holds.
    pub fn merge(&mut self, other: &Pairs) {
        self.count = self.count.wrapping_add(other.count);
        self.special = self.special.wrapping_add(other.special);
        for (own, other) in [(&mut self.x, &other.x), (&mut self.y, &other.y)] {
            let (words, exponent) = other.parts();
            own.add_sum(words, exponent);
        }
        for (own, other) in [(&mut self.xx, &other.xx), (&mut self.xy, &other.xy), (&mut self.yy, &other.yy)] {
            let (words, exponent) = other.parts();
            own.add_sum(words, exponent);
        }
    }

    /// The number of pairs.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// The mean product of the distances from the means; `None` without pairs, NaN where one is not finite.
    pub fn covariance_population(&self) -> Option<f64> {
        self.covariance(self.count)
    }

    /// The covariance of what the pairs are a sample of (divided by n − 1); `None` below two pairs.
    pub fn covariance_sample(&self) -> Option<f64> {
        self.covariance(self.count.checked_sub(1)?)
    }

    fn covariance(&self, divisor: i64) -> Option<f64> {
        (divisor > 0).then(|| {
            let (mantissa, exponent) = self.axy().to_scaled();
            self.unless_special(scale(mantissa / (self.count as f64 * divisor as f64), exponent))
        })
    }

    /// Pearson's correlation, −1 to 1; `None` where x or y is constant or there is no pair.
    pub fn correlation(&self) -> Option<f64> {
        let (xx, yy) = (self.axx(), self.ayy());
        if self.count > 0 && self.special != 0 {
            return Some(f64::NAN);
        }
        (self.count > 0 && !xx.is_zero() && !yy.is_zero()).then(|| {
            let (above, above_exponent) = self.axy().to_scaled();
            let (mut below, mut exponent) = xx.product(&yy).to_scaled();
            if exponent % 2 != 0 {
                (below, exponent) = (2.0 * below, exponent - 1);
            }
            scale(above / below.sqrt(), above_exponent - exponent / 2).clamp(-1.0, 1.0)
        })
    }

    /// The slope of the line of least squares of y over x; `None` where x is constant or there is no pair.
    pub fn slope(&self) -> Option<f64> {
        self.over(self.axy(), &self.axx())
    }

    /// Where the line of least squares meets x = 0; `None` as for the slope.
    pub fn intercept(&self) -> Option<f64> {
        let xx = self.axx();
        let above = self.y.magnitude().product(&xx).minus(&self.x.magnitude().product(&self.axy()));
        self.over(above, &xx.times(self.count.unsigned_abs()))
    }

    /// The share of y's variance that the line explains, 0 to 1; `None` where x is constant, 1 where only y is (as SQL's
    /// `REGR_R2` has it).
    pub fn r2(&self) -> Option<f64> {
        let (xx, xy, yy) = (self.axx(), self.axy(), self.ayy());
        if self.count > 0 && self.special == 0 && !xx.is_zero() && yy.is_zero() {
            return Some(1.0);
        }
        self.over(xy.product(&xy), &xx.product(&yy)).map(|share| share.min(1.0))
    }

    fn over(&self, above: Magnitude, below: &Magnitude) -> Option<f64> {
        if self.count > 0 && self.special != 0 {
            return Some(f64::NAN);
        }
        (self.count > 0 && !below.is_zero()).then(|| {
            let ((above, above_exponent), (below, exponent)) = (above.to_scaled(), below.to_scaled());
            scale(above / below, above_exponent - exponent)
        })
    }

    fn unless_special(&self, value: f64) -> f64 {
        if self.special != 0 { f64::NAN } else { value }
    }

    fn axx(&self) -> Magnitude {
        self.centred(&self.xx, &self.x, &self.x)
    }

    fn axy(&self) -> Magnitude {
        self.centred(&self.xy, &self.x, &self.y)
    }

    fn ayy(&self) -> Magnitude {
        self.centred(&self.yy, &self.y, &self.y)
    }

    fn centred(&self, products: &Exact<5>, a: &Exact<3>, b: &Exact<3>) -> Magnitude {
        let products = products.magnitude().times(self.count.unsigned_abs());
        products.minus(&a.magnitude().product(&b.magnitude()))
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        self.count.write(&mut out);
        self.special.write(&mut out);
        [&self.x, &self.y].iter().for_each(|sum| sum.to_bytes().write(&mut out));
        [&self.xx, &self.xy, &self.yy].iter().for_each(|sum| sum.to_bytes().write(&mut out));
        out
    }

    /// What [`Pairs::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let (count, special) = (i64::read(&mut from)?, i64::read(&mut from)?);
        let mut pairs = Pairs { count, special, ..Pairs::default() };
        read_sum(&mut pairs.x, &mut from)?;
        read_sum(&mut pairs.y, &mut from)?;
        read_sum(&mut pairs.xx, &mut from)?;
        read_sum(&mut pairs.xy, &mut from)?;
        read_sum(&mut pairs.yy, &mut from)?;
        from.finish()?;
        Ok(pairs)
    }

    /// Bytes of the state.
    pub fn bytes(&self) -> usize {
        let sums: usize = [&self.x, &self.y].iter().map(|sum| sum.heap_bytes()).sum();
        let products: usize = [&self.xx, &self.xy, &self.yy].iter().map(|sum| sum.heap_bytes()).sum();
        size_of::<Self>() + sums + products
    }
}

/// Adds `a · b · weight · 2^exponent`.
#[inline]
fn add_product(sum: &mut Exact<5>, (a, b): (i64, i64), exponent: i32, weight: i64) {
    let product = u128::from(a.unsigned_abs()) * u128::from(b.unsigned_abs());
    let (times, negative) = (u128::from(weight.unsigned_abs()), (a < 0) != (b < 0));
    let low = u128::from(product as u64) * times;
    let high = (product >> 64) * times + (low >> 64);
    sum.add_limbs(&[low as u64, high as u64, (high >> 64) as u64, 0, 0], negative != (weight < 0), exponent);
}

#[cfg(test)]
#[path = "pairs_tests.rs"]
mod tests;
