//! Statistical checks that tests share: each gives an error where a claim does not hold, so that canaries can be seen to
//! be caught.

use crate::normal::normal_quantile;

/// The quantile of the chi-square distribution (E. B. Wilson, M. M. Hilferty 1931).
pub fn chi_square_quantile(p: f64, freedom: f64) -> f64 {
    let k = 2.0 / (9.0 * freedom);
    freedom * (1.0 - k + normal_quantile(p) * k.sqrt()).powi(3)
}

/// Whether `observed` counts are as likely as `expected` ones: their chi-square is below the quantile at 1 − 10⁻⁶.
pub fn chi_square(observed: &[u64], expected: &[f64]) -> Result<(), String> {
    assert!(expected.iter().all(|expected| *expected >= 5.0), "too few draws for a chi-square test");
    let terms = observed.iter().zip(expected).map(|(found, expected)| (*found as f64 - expected).powi(2) / expected);
    let (statistic, limit) = (terms.sum::<f64>(), chi_square_quantile(1.0 - 1e-6, expected.len() as f64 - 1.0));
    if statistic > limit { Err(format!("chi-square {statistic:.1} over {limit:.1}: {observed:?}")) } else { Ok(()) }
}

/// As [`chi_square`], for counts that should be equal.
pub fn uniform(observed: &[u64]) -> Result<(), String> {
    let mean = observed.iter().sum::<u64>() as f64 / observed.len() as f64;
    chi_square(observed, &vec![mean; observed.len()])
}

/// Seeds that a share of covered intervals is counted over.
pub const SEEDS: u64 = 1_000;

/// Whether intervals cover the truth as often as they claim: over [`SEEDS`] seeds the share is not below `confidence` by
/// more than binomial noise (4 standard deviations), nor, if `tight`, above it by more.
pub fn coverage(confidence: f64, tight: bool, mut covers: impl FnMut(u64) -> bool) -> Result<(), String> {
    let share = (0..SEEDS).filter(|seed| covers(*seed)).count() as f64 / SEEDS as f64;
    let noise = 4.0 * (confidence * (1.0 - confidence) / SEEDS as f64).sqrt();
    if share < confidence - noise || (tight && share > confidence + noise) {
        return Err(format!("{share} of the intervals cover, where {confidence} should"));
    }
    Ok(())
}

#[test]
fn chi_square_quantiles_agree_with_tables() {
    for (p, freedom, expected) in [(0.95, 10.0, 18.307), (0.999, 50.0, 86.661), (0.99, 100.0, 135.807)] {
        let found = chi_square_quantile(p, freedom);
        assert!((found / expected - 1.0).abs() < 2e-3, "{found} for {expected}");
    }
}
