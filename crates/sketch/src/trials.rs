//! The check that all statistical tests here go through: over a thousand seeds, how often is an estimate as near to the truth as
//! promised? A broken variant of an algorithm has to fail the same check, or the check is worth nothing.

use crate::random::Generator;

/// Over how many seeds a promise is tried.
pub(crate) const SEEDS: u64 = 1000;

/// The share of the seeds for which the trial holds.
pub(crate) fn share(trial: impl Fn(u64) -> bool) -> f64 {
    (0..SEEDS).filter(|seed| trial(seed.wrapping_mul(0x5851_f42d_4c95_7f2d))).count() as f64 / SEEDS as f64
}

/// Streams with this many distinct items: uniform, skewed, sorted, and adversarial for a weak hash function.
pub(crate) fn streams(distinct: i64) -> [(&'static str, Vec<i64>); 4] {
    let mut random = Generator::new(distinct as u64);
    let uniform: Vec<i64> = (0..distinct).map(|_| random.next_u64() as i64).collect();
    let mut skewed: Vec<i64> = (0..distinct).collect();
    skewed.extend((0..distinct).map(|_| (distinct as f64 * random.unit().powi(4)) as i64));
    let sorted = (0..distinct).collect();
    let adversarial = (0..distinct).map(|i| (i - distinct / 2) << 20).collect();
    [("uniform", uniform), ("skewed", skewed), ("sorted", sorted), ("adversarial", adversarial)]
}
