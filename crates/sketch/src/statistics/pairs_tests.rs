//! Exact covariance and regression against known lines, parts, orders and retractions.

use proptest::prelude::*;

use super::*;

fn pairs(rows: &[(f64, f64)]) -> Pairs {
    let mut pairs = Pairs::default();
    rows.iter().for_each(|(x, y)| pairs.add(*x, *y, 1));
    pairs
}

fn results(pairs: &Pairs) -> [Option<u64>; 6] {
    let results = [
        pairs.covariance_population(),
        pairs.covariance_sample(),
        pairs.correlation(),
        pairs.slope(),
        pairs.intercept(),
        pairs.r2(),
    ];
    results.map(|result| result.map(f64::to_bits))
}

/// The first of F. J. Anscombe's quartet (1973), and the values that he gives for it.
#[test]
fn follows_the_definitions() {
    let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
    let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
    let mut found = Pairs::default();
    found.add_slices(&x, &y);
    let close = |found: Option<f64>, expected: f64, digits: f64| found.is_some_and(|f| (f - expected).abs() < digits);
    assert!(close(found.covariance_sample(), 5.501, 1e-12), "{found:?}");
    assert!(close(found.covariance_population(), 55.01 / 11.0, 1e-12));
    assert!(close(found.slope(), 55.01 / 110.0, 1e-14));
    assert!(close(found.intercept(), 3.0 + 0.01 / 110.0, 1e-4));
    assert!(close(found.r2(), 0.666_542_459_508_775, 1e-12));
    assert!(close(found.correlation(), 0.816_420_516_345_44, 1e-12));
}

#[test]
fn an_offset_does_not_cancel() {
    let line: Vec<_> = (0..50).map(f64::from).map(|x| (x + 1e12, 0.5 * x + 1e12)).collect();
    let found = pairs(&line);
    assert_eq!((found.slope(), found.correlation(), found.r2()), (Some(0.5), Some(1.0), Some(1.0)));
    assert_eq!(found.intercept(), Some(0.5e12));
}

#[test]
fn constants_and_emptiness() {
    assert_eq!(results(&Pairs::default()), [None; 6]);
    let upright = pairs(&[(1.0, 2.0), (1.0, 5.0)]);
    assert_eq!((upright.slope(), upright.correlation(), upright.r2()), (None, None, None));
    assert_eq!(upright.covariance_sample(), Some(0.0));
    let flat = pairs(&[(1.0, 2.0), (3.0, 2.0)]);
    assert_eq!(
        (flat.slope(), flat.intercept(), flat.correlation(), flat.r2()),
        (Some(0.0), Some(2.0), None, Some(1.0))
    );
    let mut special = pairs(&[(1.0, 2.0), (3.0, 2.5), (f64::NAN, 1.0)]);
    assert!(special.slope().is_some_and(f64::is_nan) && special.covariance_sample().is_some_and(f64::is_nan));
    special.add(f64::NAN, 1.0, -1);
    assert_eq!(special.slope(), Some(0.25));
}

proptest! {
    #[test]
    fn parts_orders_and_retractions_leave_no_trace(
        rows in prop::collection::vec((any::<f64>(), -1e6f64..1e6), 0..20),
        gone in prop::collection::vec((any::<f64>(), any::<f64>()), 0..9),
        cut in 0usize..20,
    ) {
        let whole = pairs(&rows);
        let (left, right) = rows.split_at(cut.min(rows.len()));
        let mut merged = pairs(right);
        gone.iter().for_each(|(x, y)| merged.add(*x, *y, 3));
        merged.merge(&Pairs::from_bytes(&pairs(left).to_bytes()).unwrap());
        gone.iter().for_each(|(x, y)| merged.add(*x, *y, -3));
        prop_assert_eq!(results(&merged), results(&whole));
        prop_assert_eq!(merged, whole);
    }

    #[test]
    fn hostile_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(read) = Pairs::from_bytes(&[&[b'P', 1][..], &bytes].concat()) {
            results(&read);
        }
    }
}
