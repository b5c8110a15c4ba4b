//! Mean and central moments by stable recurrences of floating point.
//!
//! The mean and the variance follow B. P. Welford (1962, "Note on a method for calculating corrected sums of squares and
//! products"), taking away follows D. H. D. West (1979, "Updating mean and variance estimates: an improved method"),
//! merging T. F. Chan, G. H. Golub and R. J. LeVeque (1983, "Algorithms for computing the sample variance"), the third and
//! fourth moments P. Pébay (2008, "Formulas for robust, one-pass parallel computation of covariances and
//! arbitrary-order statistical moments").

use fleuve_base::Result;

use crate::stored::{Reader, Stored};

/// Running mean, variance, skewness and kurtosis; 40 bytes. Results depend on the order of the values by rounding errors.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Running {
    count: u64,
    mean: f64,
    /// Sums of the second, third and fourth powers of the distances from the mean.
    m2: f64,
    m3: f64,
    m4: f64,
}

impl Running {
    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let before = self.count as f64;
        self.count += 1;
        let n = self.count as f64;
        let distance = value - self.mean;
        let step = distance / n;
        let term = distance * step * before;
        self.mean += step;
        self.m4 += term * step * step * (n * n - 3.0 * n + 3.0) + 6.0 * step * step * self.m2 - 4.0 * step * self.m3;
        self.m3 += term * step * (n - 2.0) - 3.0 * step * self.m2;
        self.m2 += term;
    }

    /// Takes away a value that was added; what was never added cannot be, and nothing is left of the last one.
    pub fn remove(&mut self, value: f64) {
        if self.count <= 1 {
            *self = Running::default();
            return;
        }
        let n = self.count as f64;
        self.count -= 1;
        let before = self.count as f64;
        self.mean -= (value - self.mean) / before;
        let distance = value - self.mean;
        let step = distance / n;
        let term = distance * step * before;
        self.m2 = (self.m2 - term).max(0.0);
        self.m3 -= term * step * (n - 2.0) - 3.0 * step * self.m2;
        let higher = term * step * step * (n * n - 3.0 * n + 3.0) + 6.0 * step * step * self.m2 - 4.0 * step * self.m3;
        self.m4 = (self.m4 - higher).max(0.0);
    }

    /// Adds all that another state holds.
    pub fn merge(&mut self, other: &Running) {
        if self.count == 0 || other.count == 0 {
            *self = if self.count == 0 { *other } else { *self };
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let n = a + b;
        let d = other.mean - self.mean;
        let (d2, ab) = (d * d, a * b);
        let m4 = d2 * d2 * ab * (a * a - ab + b * b) / (n * n * n)
            + 6.0 * d2 * (a * a * other.m2 + b * b * self.m2) / (n * n)
            + 4.0 * d * (a * other.m3 - b * self.m3) / n;
        let m3 = d2 * d * ab * (a - b) / (n * n) + 3.0 * d * (a * other.m2 - b * self.m2) / n;
        self.m4 += other.m4 + m4;
        self.m3 += other.m3 + m3;
        self.m2 += other.m2 + d2 * ab / n;
        self.mean += d * b / n;
        self.count = self.count.saturating_add(other.count);
    }

    /// One value, `count` times.
    pub fn constant(value: f64, count: u64) -> Running {
        Running { count, mean: if count == 0 { 0.0 } else { value }, ..Running::default() }
    }

    /// The same values and `zeros` times 0 besides.
    pub fn with_zeros(&self, zeros: u64) -> Running {
        let mut all = Running::constant(0.0, zeros);
        all.merge(self);
        all
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean; 0 without values.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The sum.
    pub fn sum(&self) -> f64 {
        self.mean * self.count as f64
    }

    /// The mean squared distance from the mean; 0 without values.
    pub fn variance_population(&self) -> f64 {
        self.m2 / (self.count as f64).max(1.0)
    }

    /// The unbiased estimate of the variance of what the values are a sample of; 0 below two values.
    pub fn variance_sample(&self) -> f64 {
        if self.count < 2 { 0.0 } else { self.m2 / (self.count - 1) as f64 }
    }

    /// The mean fourth power of the distance from the mean; 0 without values.
    pub fn fourth_moment(&self) -> f64 {
        self.m4 / (self.count as f64).max(1.0)
    }

    /// g₁ = m₃ / m₂^(3/2); `None` without spread.
    pub fn skewness(&self) -> Option<f64> {
        (self.m2 > 0.0).then(|| (self.count as f64).sqrt() * self.m3 / self.m2.powf(1.5))
    }

    /// g₂ = m₄ / m₂² − 3; `None` without spread.
    pub fn kurtosis(&self) -> Option<f64> {
        (self.m2 > 0.0).then(|| self.count as f64 * self.m4 / (self.m2 * self.m2) - 3.0)
    }
}

impl FromIterator<f64> for Running {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut running = Running::default();
        values.into_iter().for_each(|value| running.add(value));
        running
    }
}

impl Stored for Running {
    const BYTES_MIN: usize = 40;

    fn write(&self, out: &mut Vec<u8>) {
        self.count.write(out);
        [self.mean, self.m2, self.m3, self.m4].iter().for_each(|part| part.write(out));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self> {
        let count = u64::read(from)?.min(u64::MAX >> 1);
        let (mean, m2, m3, m4) = (f64::read(from)?, f64::read(from)?, f64::read(from)?, f64::read(from)?);
        Ok(Running { count, mean, m2, m3, m4 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;
    use crate::statistics::Moments;

    fn values(seed: u64, count: usize, offset: f64) -> Vec<f64> {
        let mut random = Generator::new(seed);
        (0..count).map(|_| offset - random.unit_positive().ln()).collect()
    }

    /// What the recurrences say of `running`, held against the exact moments of `values`.
    fn compare(running: &Running, values: &[f64], tolerance: f64) -> Result<(), String> {
        let mut exact = Moments::default();
        exact.add_slice(values);
        let pairs = [
            (Some(running.mean()), exact.average()),
            (Some(running.variance_sample()), exact.variance_sample()),
            (running.skewness(), exact.skewness_population()),
            (running.kurtosis(), exact.kurtosis_population()),
        ];
        for (index, (found, expected)) in pairs.into_iter().enumerate() {
            let (found, expected) = (found.unwrap_or(0.0), expected.unwrap_or(0.0));
            if (found - expected).abs() > tolerance * expected.abs() || running.count() != values.len() as u64 {
                return Err(format!("moment {index}: {found} for {expected}"));
            }
        }
        Ok(())
    }

    #[test]
    fn agrees_with_exact_moments() {
        for offset in [0.0, 1e6] {
            let values = values(3, 10_000, offset);
            compare(&values.iter().copied().collect(), &values, 1e-7).expect("close");
        }
    }

    #[test]
    fn merging_and_zeros_agree_with_adding() {
        let values = values(5, 9_000, 10.0);
        let mut merged = Running::default();
        values.chunks(1_000).for_each(|part| merged.merge(&part.iter().copied().collect()));
        compare(&merged, &values, 1e-9).expect("close");
        let padded = [&values[..], &[0.0; 777]].concat();
        compare(&merged.with_zeros(777), &padded, 1e-9).expect("close");
    }

    #[test]
    fn removal_undoes_and_a_lost_one_is_noticed() {
        let (kept, gone) = (values(6, 5_000, 10.0), values(7, 2_000, 20.0));
        let all: Running = kept.iter().chain(&gone).copied().collect();
        let remove = |gone: &[f64]| {
            let mut rest = all;
            gone.iter().for_each(|value| rest.remove(*value));
            rest
        };
        compare(&remove(&gone), &kept, 1e-7).expect("close");
        compare(&remove(&gone[1..]), &kept, 1e-7).expect_err("one value was not taken away");
        let mut one = Running::default();
        one.add(4.0);
        one.remove(4.0);
        one.remove(4.0);
        assert_eq!(one, Running::default());
    }
}
