//! Errors and confidences that are asked for, and how many copies of an estimator give them.

use crate::invalid;
use fleuve_base::Result;

/// Refuses what is no relative error: it has to be above 0 and at most 1, and not below what is supported.
pub(crate) fn check_error(error: f64, least: f64) -> Result<()> {
    if !(error > 0.0 && error <= 1.0) {
        return Err(invalid(format!("a relative error lies above 0 and is at most 1, but it is {error}")));
    }
    if error < least {
        return Err(invalid(format!(
            "the relative error {error} is below {least}, the least that this summary offers"
        )));
    }
    Ok(())
}

/// Refuses what is no confidence: it lies between 0 and 1, without both.
pub(crate) fn check_confidence(confidence: f64) -> Result<()> {
    if confidence > 0.0 && confidence < 1.0 {
        return Ok(());
    }
    Err(invalid(format!("a confidence lies between 0 and 1, without both, but it is {confidence}")))
}

/// The probability that at least `least` of `copies` independent trials succeed, each with this probability.
///
/// Summed from the logarithms of the terms, largest first, so that thousands of copies neither overflow nor vanish.
pub(crate) fn at_least(least: u32, copies: u32, probability: f64) -> f64 {
    if probability <= 0.0 {
        return if least == 0 { 1.0 } else { 0.0 };
    }
    let (log_success, log_failure) = (probability.ln(), (-probability).ln_1p());
    let mut log_choose = 0.0;
    let mut sum = 0.0;
    for successes in 0..=copies {
        if successes >= least {
            sum +=
                (log_choose + f64::from(successes) * log_success + f64::from(copies - successes) * log_failure).exp();
        }
        log_choose += f64::from(copies - successes).ln() - f64::from(successes + 1).ln();
    }
    sum.min(1.0)
}

/// The least odd number of copies whose median is wrong with probability at most 1 − `confidence`.
///
/// A copy is too high with probability at most `high` and too low with probability at most `low`; the median is too high only if
/// more than half of the copies are. Both tails are summed exactly rather than bounded by Chernoff's inequality.
pub(crate) fn copies_for_median(confidence: f64, high: f64, low: f64, most: u32) -> Result<usize> {
    check_confidence(confidence)?;
    let wrong = |copies: u32| at_least(copies / 2 + 1, copies, high) + at_least(copies / 2 + 1, copies, low);
    let enough = |copies: u32| wrong(copies) <= 1.0 - confidence;
    let most = most | 1;
    if !enough(most) {
        return Err(invalid(format!("the confidence {confidence} takes more than {most} copies of the estimator")));
    }
    let (mut few, mut many) = (0, most / 2);
    while few < many {
        let half = (few + many) / 2;
        if enough(2 * half + 1) { many = half } else { few = half + 1 }
    }
    Ok(2 * many as usize + 1)
}

/// The middle of an odd number of values, or the mean of the two in the middle.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_of_the_binomial_distribution_are_right() {
        assert!((at_least(3, 5, 1.0 / 6.0) - 0.035_493_827).abs() < 1e-8);
        assert!((at_least(0, 9, 0.3) - 1.0).abs() < 1e-12);
        assert!((at_least(501, 1001, 0.5) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_median_takes_as_many_copies_as_it_needs() {
        assert_eq!(copies_for_median(0.95, 1.0 / 6.0, 0.0, 99).unwrap(), 5);
        assert_eq!(copies_for_median(0.99, 1.0 / 6.0, 0.0, 99).unwrap(), 9);
        assert!(copies_for_median(0.999_999, 0.49, 0.0, 99).is_err());
        for wrong in [0.0, 1.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(copies_for_median(wrong, 0.1, 0.1, 99).is_err());
        }
    }

    #[test]
    fn wrong_errors_are_refused() {
        assert!(check_error(0.1, 0.01).is_ok() && check_error(1.0, 0.01).is_ok());
        for wrong in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY, 0.001] {
            assert_eq!(check_error(wrong, 0.01).unwrap_err().code(), "E304");
        }
    }
}
