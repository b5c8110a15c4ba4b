//! A sum of doubles with the rounding errors kept beside it.

/// A compensated sum (A. Neumaier 1974, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen"): its
/// error is about one rounding of the result, as long as the terms do not cancel to less than 2⁻⁵³ of themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    /// Adds a term. To take one away, add its negative.
    #[inline]
    pub fn add(&mut self, term: f64) {
        let sum = self.sum + term;
        let larger_is_sum = self.sum.abs() >= term.abs();
        let (large, small) = if larger_is_sum { (self.sum, term) } else { (term, self.sum) };
        self.lost += (large - sum) + small;
        self.sum = sum;
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Compensated) {
        self.add(other.sum);
        self.lost += other.lost;
    }

    /// The sum.
    pub fn value(&self) -> f64 {
        let value = self.sum + self.lost;
        // An infinite sum has lost "infinity minus infinity".
        if value.is_nan() { self.sum } else { value }
    }
}

impl FromIterator<f64> for Compensated {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Compensated::default();
        terms.into_iter().for_each(|term| sum.add(term));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive_large_ones() {
        assert_eq!([1.0, 1e100, 1.0, -1e100].into_iter().collect::<Compensated>().value(), 2.0);
        assert_eq!([0.1; 10].into_iter().collect::<Compensated>().value(), 1.0);
        assert_eq!([f64::INFINITY, 1.0].into_iter().collect::<Compensated>().value(), f64::INFINITY);
        let mut left: Compensated = [1e16, 1.0].into_iter().collect();
        left.merge(&[1.0, -1e16].into_iter().collect());
        assert_eq!(left.value(), 2.0);
    }
}
