//! Intervals cover the truth as often as they claim, and without the finite-population factor they do not.

use super::*;
use crate::index::Shuffle;
use crate::sample::testing::coverage;

const POPULATION: u64 = 2_000;

const LARGE: Method = Method::LargeSample { confidence: 0.9 };

/// Skewed values, sorted by row number; every fourth row is of the group.
fn value(row: u64) -> f64 {
    (row as f64 / 100.0).powi(2) / 10.0
}

fn is_member(row: u64) -> bool {
    row % 4 == 1
}

fn bounds() -> Bounds {
    Bounds::new(0.0, 40.0).unwrap()
}

/// The group, or all, after some rows in random order.
fn read(seed: u64, rows: usize, grouped: bool) -> (Rows, Scope) {
    let mut group = Rows::default();
    let drawn = Shuffle::new(0..POPULATION, seed).take(rows);
    drawn.filter(|row| !grouped || is_member(*row)).for_each(|row| group.add(value(row)));
    (group, Scope { seen: rows as u64, population: POPULATION })
}

fn truth(grouped: bool) -> Running {
    (0..POPULATION).filter(|row| !grouped || is_member(*row)).map(value).collect()
}

#[test]
fn large_sample_intervals_cover_as_often_as_they_claim() {
    for grouped in [false, true] {
        let truth = truth(grouped);
        let check = |what: &str, estimate: &dyn Fn(Rows, Scope) -> Estimate, truth: f64| {
            let covers = |seed| {
                let (group, scope) = read(seed, 900, grouped);
                estimate(group, scope).covers(truth)
            };
            coverage(0.9, true, covers).unwrap_or_else(|problem| panic!("{what}, grouped {grouped}: {problem}"));
        };
        check("average", &|group, scope| group.average(scope, LARGE).unwrap(), truth.mean());
        check("sum", &|group, scope| group.sum(scope, LARGE).unwrap(), truth.sum());
        if grouped {
            check("count", &|group, scope| group.count(scope, LARGE).unwrap(), truth.count() as f64);
        }
        check("variance", &|group, scope| group.variance(scope, 0.9).unwrap(), truth.variance_sample());
        check("deviation", &|group, scope| group.deviation(scope, 0.9).unwrap(), truth.variance_sample().sqrt());
    }
}

/// Canaries: intervals without the finite-population factor are too wide, and those without rows of other groups too
/// narrow.
#[test]
fn wrong_intervals_are_caught() {
    let covers = |seed| {
        let (group, scope) = read(seed, 900, false);
        group.average(Scope { population: u64::MAX, ..scope }, LARGE).unwrap().covers(truth(false).mean())
    };
    coverage(0.9, true, covers).expect_err("without the finite-population factor");
    let covers = |seed| {
        let (group, scope) = read(seed, 900, true);
        let average = group.average(scope, LARGE).unwrap();
        average.times(POPULATION as f64 * group.seen() as f64 / 900.0).covers(truth(true).sum())
    };
    coverage(0.9, true, covers).expect_err("as if the group's size were known");
}

#[test]
fn conservative_intervals_cover_at_least_and_deterministic_ones_always() {
    let (conservative, deterministic) =
        (Method::Conservative { confidence: 0.9, bounds: bounds() }, Method::Deterministic { bounds: bounds() });
    for (grouped, rows) in [(false, 20), (false, 1_500), (true, 20), (true, 1_500)] {
        let truth = truth(grouped);
        let all = |seed, method| {
            let (group, scope) = read(seed, rows, grouped);
            group.average(scope, method).unwrap().covers(truth.mean())
                && group.sum(scope, method).unwrap().covers(truth.sum())
                && group.count(scope, method).unwrap().covers(truth.count() as f64)
        };
        coverage(0.9, false, |seed| all(seed, conservative)).expect("at least as often as claimed");
        assert!((0..100).all(|seed| all(seed, deterministic)), "{grouped}, {rows}");
    }
}

#[test]
fn everything_read_is_exact_and_nothing_read_says_nothing() {
    let (group, scope) = read(1, POPULATION as usize, true);
    let exact = group.average(scope, LARGE).unwrap();
    assert_eq!((exact.low, exact.high), (exact.value, exact.value));
    assert!((exact.value / truth(true).mean() - 1.0).abs() < 1e-12);
    assert_eq!(group.count(scope, LARGE).unwrap(), Estimate::exact(500.0));
    let (empty, scope) = read(1, 0, true);
    let average = empty.average(scope, LARGE).unwrap();
    assert_eq!((average.low, average.high), (f64::NEG_INFINITY, f64::INFINITY));
    let bounds = bounds();
    let unseen = empty.average(scope, Method::Conservative { confidence: 0.9, bounds }).unwrap();
    assert_eq!(unseen.half_width(), f64::INFINITY);
    let count = empty.count(scope, Method::Deterministic { bounds }).unwrap();
    assert_eq!((count.low, count.high), (0.0, 2_000.0));
    let none = Rows::default().average(Scope { seen: 0, population: 0 }, LARGE).unwrap();
    assert_eq!(none.half_width(), f64::INFINITY);
}

#[test]
fn parts_merge() {
    let (mut left, scope) = read(3, 700, true);
    let mut whole = left;
    [1.5, 2.5].iter().for_each(|value| whole.add(*value));
    let mut right = Rows::default();
    [1.5, 2.5].iter().for_each(|value| right.add(*value));
    left.merge(&right);
    let (one, two) = (left.sum(scope, LARGE).unwrap(), whole.sum(scope, LARGE).unwrap());
    assert!((one.high / two.high - 1.0).abs() < 1e-12 && left.seen() == whole.seen());
    assert_eq!(Rows::from_bytes(&left.to_bytes()).unwrap(), left);
    assert!(Rows::from_bytes(&left.to_bytes()[..20]).is_err() && Rows::from_bytes(b"N\x02").is_err());
}

#[test]
fn wrong_claims_are_refused() {
    let (group, scope) = read(1, 900, false);
    let code = |method| group.average(scope, method).map_err(|e| e.code()).err();
    assert_eq!(code(Method::LargeSample { confidence: 1.0 }), Some("E304"));
    let narrow = Bounds::new(0.0, 1.0).unwrap();
    assert_eq!(code(Method::Deterministic { bounds: narrow }), Some("E304"));
    assert_eq!(code(Method::Conservative { confidence: -1.0, bounds: bounds() }), Some("E304"));
    assert!(Bounds::new(2.0, 1.0).is_err() && Bounds::new(f64::NAN, 1.0).is_err());
    assert!(group.sum(Scope { seen: 3, population: 9 }, LARGE).is_err());
}
