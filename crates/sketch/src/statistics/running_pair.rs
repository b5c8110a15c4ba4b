//! Means, variances and covariance of pairs by stable recurrences of floating point.
//!
//! B. P. Welford (1962), J. Bennett, R. Grout, P. Pébay, D. Roe and D. Thompson (2009, "Numerically stable, single-pass,
//! parallel statistics algorithms").

use fleuve_base::Result;

use crate::stored::{Reader, Stored};

/// Running means, variances and covariance of x and y; 48 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RunningPair {
    count: u64,
    mean_x: f64,
    mean_y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

impl RunningPair {
    /// Adds a pair.
    #[inline]
    pub fn add(&mut self, x: f64, y: f64) {
        self.merge(&RunningPair { count: 1, mean_x: x, mean_y: y, ..RunningPair::default() });
    }

    /// Adds all that another state holds.
    #[inline]
    pub fn merge(&mut self, other: &RunningPair) {
        let n = self.count.saturating_add(other.count);
        if n == 0 {
            return;
        }
        let share = other.count as f64 / n as f64;
        let (dx, dy) = (other.mean_x - self.mean_x, other.mean_y - self.mean_y);
        let weight = self.count as f64 * share;
        self.xx += other.xx + dx * dx * weight;
        self.xy += other.xy + dx * dy * weight;
        self.yy += other.yy + dy * dy * weight;
        self.mean_x += dx * share;
        self.mean_y += dy * share;
        self.count = n;
    }

    /// The same pairs and `zeros` times (0, 0) besides.
    pub fn with_zeros(&self, zeros: u64) -> RunningPair {
        let mut all = RunningPair { count: zeros, ..RunningPair::default() };
        all.merge(self);
        all
    }

    /// The number of pairs.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean of x; 0 without pairs.
    pub fn mean_x(&self) -> f64 {
        self.mean_x
    }

    /// The mean of y; 0 without pairs.
    pub fn mean_y(&self) -> f64 {
        self.mean_y
    }

    /// The unbiased variance of x; 0 below two pairs.
    pub fn variance_x(&self) -> f64 {
        self.per_freedom(self.xx)
    }

    /// The unbiased variance of y; 0 below two pairs.
    pub fn variance_y(&self) -> f64 {
        self.per_freedom(self.yy)
    }

    /// The unbiased variance of `y - slope · x`; 0 below two pairs.
    pub fn variance_residual(&self, slope: f64) -> f64 {
        self.per_freedom((self.yy - 2.0 * slope * self.xy + slope * slope * self.xx).max(0.0))
    }

    fn per_freedom(&self, sum: f64) -> f64 {
        if self.count < 2 { 0.0 } else { sum / (self.count - 1) as f64 }
    }
}

impl Stored for RunningPair {
    const BYTES_MIN: usize = 48;

    fn write(&self, out: &mut Vec<u8>) {
        self.count.write(out);
        [self.mean_x, self.mean_y, self.xx, self.xy, self.yy].iter().for_each(|part| part.write(out));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self> {
        let count = u64::read(from)?.min(u64::MAX >> 1);
        let (mean_x, mean_y) = (f64::read(from)?, f64::read(from)?);
        Ok(RunningPair { count, mean_x, mean_y, xx: f64::read(from)?, xy: f64::read(from)?, yy: f64::read(from)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;
    use crate::statistics::Running;

    #[test]
    fn agrees_with_one_column_at_a_time() {
        let mut random = Generator::new(1);
        let mut row = || {
            let x = random.unit();
            (x + 100.0, 3.0 * x - random.unit())
        };
        let rows: Vec<(f64, f64)> = (0..5_000).map(|_| row()).collect();
        let (mut all, mut left, mut right) = (RunningPair::default(), RunningPair::default(), RunningPair::default());
        for (i, (x, y)) in rows.iter().enumerate() {
            all.add(*x, *y);
            if i % 3 == 0 { left.add(*x, *y) } else { right.add(*x, *y) }
        }
        left.merge(&right);
        let column = |pick: fn(&(f64, f64)) -> f64| rows.iter().map(pick).collect::<Running>();
        let (x, y, residual) = (column(|r| r.0), column(|r| r.1), column(|r| r.1 - 2.5 * r.0));
        for pair in [all, left] {
            let found =
                [pair.mean_x(), pair.mean_y(), pair.variance_x(), pair.variance_y(), pair.variance_residual(2.5)];
            let expected = [x.mean(), y.mean(), x.variance_sample(), y.variance_sample(), residual.variance_sample()];
            for (found, expected) in found.iter().zip(expected) {
                assert!((found / expected - 1.0).abs() < 1e-9, "{found} for {expected}");
            }
        }
        assert_eq!(RunningPair::default().with_zeros(3).count(), 3);
    }
}
