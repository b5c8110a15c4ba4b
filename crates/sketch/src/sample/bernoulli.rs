//! Each row by itself with probability p.

use fleuve_base::{Error, Result};

use crate::estimate::{Estimate, reach_normal};
use crate::random::Generator;
use crate::statistics::Running;
use crate::stored::{Reader, Stored, wrong};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'B', 1);

/// Chooses rows, each by itself with the same probability.
///
/// The distance to the next chosen row is drawn from the geometric distribution (C. T. Fan, M. E. Muller, I. Rezucha 1962;
/// L. Devroye 1986, *Non-Uniform Random Variate Generation*, ch. X.2), so that rows passed over cost nothing. Samples of
/// the parts of a stream together are a sample of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Bernoulli {
    probability: f64,
    random: Generator,
    skip: u64,
}

impl Bernoulli {
    /// With this probability, 0 to 1.
    ///
    /// # Errors
    /// E304, for what is no probability.
    pub fn new(probability: f64, seed: u64) -> Result<Self> {
        if !(0.0..=1.0).contains(&probability) {
            let message = format!("a row is sampled with a probability of 0 to 1, not {probability}");
            return Err(Error::input("E304", message));
        }
        let mut bernoulli = Bernoulli { probability, random: Generator::new(seed), skip: 0 };
        bernoulli.skip = bernoulli.distance();
        Ok(bernoulli)
    }

    /// Whether the next row is chosen.
    #[inline]
    pub fn take(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.skip = self.distance();
        true
    }

    /// The positions of those of the next `rows` rows that are chosen, in order.
    pub fn select(&mut self, rows: usize) -> Vec<usize> {
        let (mut chosen, mut at) = (vec![], 0);
        while self.skip < (rows - at) as u64 {
            at += self.skip as usize;
            chosen.push(at);
            at += 1;
            self.skip = self.distance();
        }
        self.skip -= (rows - at) as u64;
        chosen
    }

    /// How many rows lie before the next chosen one.
    fn distance(&mut self) -> u64 {
        if self.probability == 0.0 {
            return u64::MAX;
        }
        // The conversion saturates.
        (self.random.unit_positive().ln() / (-self.probability).ln_1p()).abs() as u64
    }

    /// The sum over all rows of a value of which `sample` has those of the chosen rows (D. G. Horvitz, D. J. Thompson
    /// 1952), with its large-sample interval; of 1 for the rows of a kind, it is their number.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1, or the probability is 0.
    pub fn sum(&self, sample: &Running, confidence: f64) -> Result<Estimate> {
        let (p, reach) = (self.positive()?, reach_normal(confidence)?);
        let squares = sample.count() as f64 * (sample.variance_population() + sample.mean().powi(2));
        Ok(Estimate::around(sample.sum() / p, reach * (squares * (1.0 - p)).sqrt() / p))
    }

    /// The mean over all rows. Given how many rows were chosen, they are a simple random sample.
    ///
    /// # Errors
    /// As for [`Bernoulli::sum`].
    pub fn mean(&self, sample: &Running, confidence: f64) -> Result<Estimate> {
        let population = (sample.count() as f64 / self.positive()?).round() as u64;
        crate::estimate::mean_of(sample, population, confidence)
    }

    fn positive(&self) -> Result<f64> {
        if self.probability > 0.0 {
            return Ok(self.probability);
        }
        Err(Error::input("E304", "a sample of no rows, since their probability is 0, says nothing"))
    }

    /// The stored form, from which the same rows will be chosen.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        self.probability.write(&mut out);
        self.skip.write(&mut out);
        self.random.write(&mut out);
        out
    }

    /// What [`Bernoulli::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let (probability, skip) = (f64::read(&mut from)?, u64::read(&mut from)?);
        let random = Generator::read(&mut from)?;
        from.finish()?;
        if !(0.0..=1.0).contains(&probability) {
            return Err(wrong("has no probability"));
        }
        Ok(Bernoulli { probability, random, skip })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::{coverage, uniform};

    #[test]
    fn every_row_is_as_likely() {
        let mut counts = vec![0; 50];
        for seed in 0..20_000 {
            Bernoulli::new(0.07, seed).unwrap().select(50).iter().for_each(|row| counts[*row] += 1);
        }
        uniform(&counts).expect("uniform");
        let (chosen, expected) = (counts.iter().sum::<u64>() as f64, 0.07 * 1e6);
        assert!((chosen - expected).abs() < 5.0 * (expected * 0.93).sqrt(), "{chosen}");
    }

    #[test]
    fn slices_rows_and_restarts_agree() {
        let mut by_row = Bernoulli::new(0.3, 5).unwrap();
        let mut by_slice = by_row.clone();
        let rows: Vec<usize> = (0..1_000).filter(|_| by_row.take()).collect();
        let mut chosen = by_slice.select(123);
        by_slice = Bernoulli::from_bytes(&by_slice.to_bytes()).unwrap();
        chosen.extend(by_slice.select(877).iter().map(|row| row + 123));
        assert_eq!(rows, chosen);
        assert_eq!(by_row, by_slice);
        assert_eq!(Bernoulli::new(0.0, 1).unwrap().select(9_999), [0; 0]);
        assert_eq!(Bernoulli::new(1.0, 1).unwrap().select(3), [0, 1, 2]);
    }

    #[test]
    fn intervals_cover_as_often_as_they_claim() {
        let values: Vec<f64> = (0..3_000).map(|row| f64::from(row % 83)).collect();
        let (sum, mean) = (values.iter().sum::<f64>(), values.iter().sum::<f64>() / 3_000.0);
        let sample = |seed| {
            let mut bernoulli = Bernoulli::new(0.2, seed).unwrap();
            let chosen: Running = bernoulli.select(3_000).iter().map(|row| values[*row]).collect();
            (bernoulli, chosen)
        };
        let covers = |seed| sample(seed).0.sum(&sample(seed).1, 0.9).unwrap().covers(sum);
        coverage(0.9, true, covers).expect("covers");
        let covers = |seed| sample(seed).0.mean(&sample(seed).1, 0.9).unwrap().covers(mean);
        coverage(0.9, true, covers).expect("covers");
        // A canary: as if the number of chosen rows were no chance.
        let wrong = |seed| sample(seed).0.mean(&sample(seed).1, 0.9).unwrap().times(3_000.0).half_width();
        let covers = |seed| (sample(seed).1.sum() / 0.2 - sum).abs() < wrong(seed);
        coverage(0.9, true, covers).expect_err("too narrow");
    }

    #[test]
    fn wrong_probabilities_are_refused() {
        for wrong in [-0.1, 1.1, f64::NAN] {
            assert_eq!(Bernoulli::new(wrong, 1).map_err(|e| e.code()).err(), Some("E304"));
        }
        assert!(Bernoulli::new(0.0, 1).unwrap().sum(&Running::default(), 0.9).is_err());
        assert!(Bernoulli::from_bytes(b"B\x01abc").is_err());
    }
}
