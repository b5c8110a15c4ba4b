//! A sample of each group, so that small groups have their share.

use std::collections::BTreeMap;

use fleuve_base::{Error, ErrorKind, Result};

use super::{Method, Reservoir, checked_rows};
use crate::estimate::{Estimate, reach_normal, unseen_share};
use crate::random::{Generator, split_mix};
use crate::statistics::{Compensated, Running};
use crate::stored::{Reader, Stored, wrong};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'S', 1);

/// The most groups of one sample.
pub const GROUPS_MAX: usize = 1 << 20;

/// Up to k rows of each group, and how many rows each group has (W. G. Cochran 1977, *Sampling Techniques*, ch. 5).
#[derive(Debug, Clone, PartialEq)]
pub struct Stratified<K, T> {
    capacity_each: usize,
    groups_max: usize,
    /// What the groups' seeds are drawn from.
    seed: u64,
    strata: BTreeMap<K, Reservoir<T>>,
}

impl<K: Ord, T> Stratified<K, T> {
    /// For `capacity_each` rows of each of up to `groups_max` groups.
    ///
    /// # Errors
    /// E304, for no rows or groups, or more than [`super::SAMPLE_ROWS_MAX`] or [`GROUPS_MAX`].
    pub fn new(capacity_each: usize, groups_max: usize, seed: u64) -> Result<Self> {
        if !(1..=GROUPS_MAX).contains(&groups_max) {
            let message = format!("a stratified sample has 1 to {GROUPS_MAX} groups, not {groups_max}");
            return Err(Error::input("E304", message));
        }
        Ok(Stratified { capacity_each: checked_rows(capacity_each)?, groups_max, seed, strata: BTreeMap::new() })
    }

    /// Offers a row of a group.
    ///
    /// # Errors
    /// E904, if it would be of one group too many.
    pub fn offer(&mut self, group: K, item: T) -> Result<()> {
        if let Some(stratum) = self.strata.get_mut(&group) {
            stratum.offer(item);
            return Ok(());
        }
        self.room()?;
        let mut stratum = Reservoir::new(self.capacity_each, Method::L, split_mix(&mut self.seed))?;
        stratum.offer(item);
        self.strata.insert(group, stratum);
        Ok(())
    }

    fn room(&self) -> Result<()> {
        if self.strata.len() < self.groups_max {
            return Ok(());
        }
        let message = format!("a stratified sample has more than {} groups", self.groups_max);
        Err(Error::new(ErrorKind::Limit, "E904", message))
    }

    /// Takes up another sample of other rows, group by group.
    ///
    /// # Errors
    /// E304, if the other sample keeps another number of rows; E904, if there are too many groups together.
    pub fn merge(&mut self, other: Stratified<K, T>) -> Result<()> {
        for (group, stratum) in other.strata {
            match self.strata.get_mut(&group) {
                Some(own) => own.merge(stratum)?,
                None => {
                    self.room()?;
                    let mut own = Reservoir::new(self.capacity_each, Method::L, split_mix(&mut self.seed))?;
                    own.merge(stratum)?;
                    self.strata.insert(group, own);
                }
            }
        }
        Ok(())
    }

    /// The groups, in order, with their samples.
    pub fn strata(&self) -> impl ExactSizeIterator<Item = (&K, &Reservoir<T>)> {
        self.strata.iter()
    }

    /// The sample of a group.
    pub fn stratum(&self, group: &K) -> Option<&Reservoir<T>> {
        self.strata.get(group)
    }

    /// The number of rows offered.
    pub fn seen(&self) -> u64 {
        self.strata.values().fold(0, |sum, stratum| sum.saturating_add(stratum.seen()))
    }

    /// The sum of a value over all rows of all groups: `ΣN·mean ± z·√(ΣN²·(1 − n/N)·s²/n)`.
    ///
    /// The interval is infinite as long as one row stands for a group of several.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn sum(&self, confidence: f64, mut value: impl FnMut(&K, &T) -> f64) -> Result<Estimate> {
        let reach = reach_normal(confidence)?;
        let (mut sum, mut variance) = (Compensated::default(), 0.0);
        for (group, stratum) in &self.strata {
            let sample: Running = stratum.items().iter().map(|item| value(group, item)).collect();
            let (n, rows) = (sample.count(), stratum.seen());
            sum.add(sample.mean() * rows as f64);
            if n < 2 && rows > n {
                variance = f64::INFINITY;
            } else {
                let squares = (rows as f64).powi(2) * sample.variance_sample() / n as f64;
                variance += unseen_share(n, rows) * squares;
            }
        }
        Ok(Estimate::around(sum.value(), reach * variance.sqrt()))
    }

    /// The mean of a value over all rows of all groups.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn mean(&self, confidence: f64, value: impl FnMut(&K, &T) -> f64) -> Result<Estimate> {
        Ok(self.sum(confidence, value)?.times(1.0 / (self.seen() as f64).max(1.0)))
    }
}

impl<K: Ord + Stored, T: Stored> Stratified<K, T> {
    /// The stored form, from which the same rows will be drawn.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        [self.capacity_each as u64, self.groups_max as u64, self.seed].iter().for_each(|n| n.write(&mut out));
        (self.strata.len() as u64).write(&mut out);
        for (group, stratum) in &self.strata {
            group.write(&mut out);
            stratum.to_bytes().write(&mut out);
        }
        out
    }

    /// What [`Stratified::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let (capacity_each, groups_max) = (u64::read(&mut from)? as usize, u64::read(&mut from)? as usize);
        let seed = u64::read(&mut from)?;
        let mut sample = Stratified::new(capacity_each, groups_max, seed).map_err(|_| wrong("has a wrong size"))?;
        let empty = Generator::BYTES_MIN;
        for _ in 0..from.count(groups_max, K::BYTES_MIN + empty)? {
            let (group, stratum) = <(K, Vec<u8>)>::read(&mut from)?;
            let stratum = Reservoir::from_bytes(&stratum)?;
            let follows = sample.strata.last_key_value().is_none_or(|(last, _)| *last < group);
            if !follows || stratum.capacity() != capacity_each {
                return Err(wrong("has groups out of order or of several sizes"));
            }
            sample.strata.insert(group, stratum);
        }
        from.finish()?;
        Ok(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::coverage;

    /// Group g has 30·(g+1)² rows around 10·g.
    fn rows() -> Vec<(u64, f64)> {
        let group = |g: u64| (0..30 * (g + 1).pow(2)).map(move |i| (g, (10 * g + i % (5 + g)) as f64));
        (0..5).flat_map(group).collect()
    }

    fn sample(seed: u64) -> Stratified<u64, f64> {
        let mut sample = Stratified::new(25, 8, seed).unwrap();
        rows().into_iter().for_each(|(group, value)| sample.offer(group, value).unwrap());
        sample
    }

    #[test]
    fn intervals_cover_as_often_as_they_claim() {
        let truth = rows().iter().map(|(_, value)| value).sum::<f64>();
        let covers = |seed| sample(seed).sum(0.9, |_, value| *value).unwrap().covers(truth);
        coverage(0.9, true, covers).expect("covers the sum");
        // A canary: as if all rows that were kept were one simple random sample.
        let wrong = |seed| {
            let sample = sample(seed);
            let all = sample.strata().flat_map(|(_, stratum)| stratum.items().iter().copied()).collect();
            crate::estimate::sum_of(&all, sample.seen(), 0.9).unwrap().covers(truth)
        };
        coverage(0.9, false, wrong).expect_err("small groups have more than their share");
    }

    #[test]
    fn every_group_has_its_rows_and_parts_merge() {
        let (mut left, mut right) = (Stratified::new(25, 8, 1).unwrap(), Stratified::new(25, 8, 2).unwrap());
        for (i, (group, value)) in rows().into_iter().enumerate() {
            if i % 3 == 0 { &mut left } else { &mut right }.offer(group, value).unwrap();
        }
        left.merge(Stratified::from_bytes(&right.to_bytes()).unwrap()).unwrap();
        assert_eq!(left.seen(), rows().len() as u64);
        for (group, stratum) in left.strata() {
            assert_eq!((stratum.items().len(), stratum.seen()), (25, 30 * (group + 1).pow(2)));
        }
        assert_eq!(Stratified::from_bytes(&left.to_bytes()).unwrap(), left);
        let few = left.stratum(&0).unwrap().mean(0.9, |value| *value).unwrap();
        assert!(few.covers(2.0), "{few:?}");
    }

    #[test]
    fn too_many_groups_and_damage_are_refused() {
        let mut sample = sample(1);
        (5..8).for_each(|group| sample.offer(group, 0.0).unwrap());
        assert_eq!(sample.offer(8, 0.0).map_err(|e| e.code()), Err("E904"));
        assert!(Stratified::<u64, f64>::new(3, 0, 1).is_err());
        let bytes = sample.to_bytes();
        for at in 0..bytes.len().min(400) {
            assert!(Stratified::<u64, f64>::from_bytes(&bytes[..at]).is_err());
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            let _ = Stratified::<u64, f64>::from_bytes(&damaged).map(|sample| sample.sum(0.9, |_, value| *value));
        }
    }
}
