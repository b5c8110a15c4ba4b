//! Exact moments against integers, other definitions, parts, orders and retractions.

use proptest::prelude::*;

use super::*;

fn moments(values: &[f64]) -> Moments {
    let mut moments = Moments::default();
    moments.add_slice(values);
    moments
}

fn results(moments: &Moments) -> [Option<u64>; 8] {
    let results = [
        moments.sum(),
        moments.average(),
        moments.variance_population(),
        moments.deviation_sample(),
        moments.skewness_population(),
        moments.skewness_sample(),
        moments.kurtosis_population(),
        moments.kurtosis_sample(),
    ];
    results.map(|result| result.map(f64::to_bits))
}

fn close(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found - expected).abs() <= 1e-14 * expected.abs())
}

/// The data of a textbook example (D. N. Joanes, C. A. Gill 1998 define G₁ and G₂); values from the definitions by hand:
/// mean 5, m₂ = 4, m₃ = 5.25, m₄ = 44.5.
#[test]
fn follows_the_definitions() {
    let data = moments(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
    assert_eq!((data.count(), data.sum(), data.average()), (8, Some(40.0), Some(5.0)));
    assert_eq!((data.variance_population(), data.deviation_population()), (Some(4.0), Some(2.0)));
    assert!(close(data.variance_sample(), 32.0 / 7.0));
    assert!(close(data.skewness_population(), 5.25 / 8.0));
    assert!(close(data.skewness_sample(), 5.25 / 8.0 * 56f64.sqrt() / 6.0));
    assert!(close(data.kurtosis_population(), 44.5 / 16.0 - 3.0));
    assert!(close(data.kurtosis_sample(), 7.0 / 30.0 * (9.0 * (44.5 / 16.0 - 3.0) + 6.0)));
}

/// What would cancel to nothing in floating point: small spread far from 0.
#[test]
fn an_offset_changes_nothing_but_the_mean() {
    let near = [4.0, 7.0, 13.0, 16.0, 40.0];
    let far = near.map(|value| value + 1e15);
    let (near, far) = (results(&moments(&near)), results(&moments(&far)));
    assert_eq!(near[2..], far[2..]);
    assert_ne!(near[1], far[1]);
}

#[test]
fn extremes_of_doubles_do_not_overflow() {
    let large = moments(&[f64::MAX, f64::MAX, -f64::MAX, f64::MAX]);
    assert_eq!(large.average(), Some(f64::MAX / 2.0));
    assert!(close(large.skewness_population(), -2.0 / 3f64.sqrt()));
    let small = moments(&[5e-324, 0.0, 0.0, 0.0]);
    assert!(close(small.skewness_population(), 2.0 / 3f64.sqrt()));
    assert!(close(small.kurtosis_population(), 7.0 / 3.0 - 3.0));
    let mut integers = Moments::default();
    [i64::MIN, i64::MAX, i64::MIN, i64::MAX].iter().for_each(|value| integers.add_integer(*value, i64::MAX / 4));
    assert_eq!(integers.average(), Some(-0.5));
    assert!(close(integers.kurtosis_population(), -2.0));
}

#[test]
fn too_few_or_equal_values_have_no_shape() {
    assert_eq!(results(&moments(&[])), [None; 8]);
    let one = moments(&[3.5]);
    assert_eq!((one.average(), one.variance_population(), one.variance_sample()), (Some(3.5), Some(0.0), None));
    assert_eq!((one.skewness_population(), one.kurtosis_population()), (None, None));
    let equal = moments(&[0.1; 7]);
    assert_eq!((equal.variance_sample(), equal.skewness_sample(), equal.kurtosis_sample()), (Some(0.0), None, None));
}

#[test]
fn values_that_are_not_finite_can_be_taken_away() {
    let mut data = moments(&[1.0, 2.0, 4.0, 8.0]);
    let before = results(&data);
    data.add(f64::INFINITY, 1);
    assert_eq!((data.sum(), data.average()), (Some(f64::INFINITY), Some(f64::INFINITY)));
    assert!(data.kurtosis_population().is_some_and(f64::is_nan));
    data.add(f64::NEG_INFINITY, 1);
    assert!(data.sum().is_some_and(f64::is_nan));
    data.add(f64::INFINITY, -1);
    assert_eq!(data.sum(), Some(f64::NEG_INFINITY));
    data.add(f64::NEG_INFINITY, -1);
    assert_eq!(results(&data), before);
}

/// The check that states over the same values are the same, and that it notices one retraction that was lost.
#[test]
fn a_lost_retraction_is_caught() {
    let kept: Vec<f64> = (0..1_000).map(|i| f64::from(i) * 0.37).collect();
    let mut all = moments(&kept);
    all.add_slice(&[1e-9, -7.5, 1e200]);
    [1e-9, -7.5].iter().for_each(|gone| all.add(*gone, -1));
    assert_ne!(all, moments(&kept));
    assert_ne!(results(&all), results(&moments(&kept)));
    all.add(1e200, -1);
    assert_eq!(all, moments(&kept));
    assert_eq!(results(&all), results(&moments(&kept)));
}

#[test]
fn memory_is_what_it_says() {
    assert!(size_of::<Moments>() <= 240, "{}", size_of::<Moments>());
    assert!(moments(&[1.0, 2e9]).bytes() <= 240);
    assert!((2_000..4_000).contains(&moments(&[1e300, 1e-300]).bytes()));
}

/// Doubles of all magnitudes, and many of the usual ones.
fn doubles() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![(-1_000_000i32..1_000_000).prop_map(|v| f64::from(v) / 100.0), any::<f64>(),];
    prop::collection::vec(value, 0..24)
}

proptest! {
    /// Over 1, 2 and 4 parts, through the stored form, in another order.
    #[test]
    fn merging_is_exact(values in doubles(), turn in 0usize..24) {
        let whole = moments(&values);
        let mut turned = values.clone();
        turned.rotate_left(turn % values.len().max(1));
        for parts in [1, 2, 4] {
            let mut merged = Moments::default();
            for part in turned.chunks(turned.len().div_ceil(parts).max(1)) {
                merged.merge(&Moments::from_bytes(&moments(part).to_bytes()).unwrap());
            }
            prop_assert_eq!(results(&merged), results(&whole));
            prop_assert_eq!(merged, whole.clone());
        }
    }

    #[test]
    fn retraction_is_exact(kept in doubles(), gone in doubles(), weight in 1i64..1_000_000) {
        let mut all = moments(&kept);
        gone.iter().for_each(|value| all.add(*value, weight));
        gone.iter().for_each(|value| all.add(*value, -weight));
        prop_assert_eq!(results(&all), results(&moments(&kept)));
    }

    /// Against sums of powers in integers, which fit for small ones.
    #[test]
    fn agrees_with_integers(values in prop::collection::vec(-10_000i64..10_000, 1..30), weight in 1i64..5) {
        let mut found = Moments::default();
        values.iter().for_each(|value| found.add_integer(*value, weight));
        let n = i128::from(weight) * values.len() as i128;
        let power = |k| values.iter().map(|v| i128::from(*v).pow(k) * i128::from(weight)).sum::<i128>();
        let [s1, s2, s3, s4] = [1, 2, 3, 4].map(power);
        prop_assert_eq!(found.second().to_i128(), Some(n * s2 - s1 * s1));
        prop_assert_eq!(found.third().to_i128(), Some(n * n * s3 - 3 * n * s1 * s2 + 2 * s1 * s1 * s1));
        let fourth = n * n * n * s4 - 4 * n * n * s1 * s3 + 6 * n * s1 * s1 * s2 - 3 * s1 * s1 * s1 * s1;
        prop_assert_eq!(found.fourth().to_i128(), Some(fourth));
    }

    #[test]
    fn hostile_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..80), at in 0usize..400, with in any::<u8>()) {
        let mut stored = moments(&[1.0, f64::NAN, 1e300, 1e-300]).to_bytes();
        let at = at % stored.len();
        stored[at] = with;
        for bytes in [&bytes[..], &[&[b'M', 1][..], &bytes].concat(), &stored, &stored[..at]] {
            if let Ok(mut read) = Moments::from_bytes(bytes) {
                read.add(1.0, -1);
                results(&read);
            }
        }
    }
}
