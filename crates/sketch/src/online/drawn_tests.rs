//! Intervals of each kind of sample cover as often as they claim; wrong scales and missing factors are caught.

use super::*;
use crate::index::Shuffle;
use crate::random::Generator;
use crate::sample::testing::coverage;
use crate::statistics::Running;

const ROWS: u64 = 1_500;

/// What rows of one content have of the group, and their number: every seventh content has three rows.
fn cluster(content: u64) -> (Vec<f64>, u64) {
    let rows = if content.is_multiple_of(7) { 3 } else { 1 };
    let value = 50.0 + (content * content % 101) as f64;
    (if content % 3 == 1 { vec![] } else { vec![value; rows as usize] }, rows)
}

fn weight(content: u64) -> f64 {
    5.0 + (content * content % 101) as f64 / 10.0
}

fn truth() -> Running {
    (0..ROWS).flat_map(|content| cluster(content).0).collect()
}

fn population() -> u64 {
    (0..ROWS).map(|content| cluster(content).1).sum()
}

/// A sample of contents with their chances.
fn sample(population: Option<u64>, drawn: impl Iterator<Item = (u64, Chance)>) -> (Drawn, DrawnFrom) {
    let (mut group, mut from) = (Drawn::default(), DrawnFrom::new(population));
    for (content, chance) in drawn {
        let (values, rows) = cluster(content);
        from.add(rows, chance);
        let mut part = Part::default();
        values.iter().for_each(|value| part.add(*value));
        if !part.is_empty() {
            group.add(rows, &part, chance);
        }
    }
    (group, from)
}

fn bernoulli(seed: u64) -> (Drawn, DrawnFrom) {
    let mut random = Generator::new(seed);
    sample(None, (0..ROWS).filter(move |_| random.unit() < 0.2).map(|content| (content, Chance::Once(0.2))))
}

/// The contents of the smallest keys, but the last, whose key is the threshold.
fn smallest(seed: u64, rows: usize, key: impl Fn(u64, f64) -> f64) -> (Vec<u64>, f64) {
    let mut random = Generator::new(seed);
    let mut keys: Vec<(f64, u64)> = (0..ROWS).map(|content| (key(content, random.unit_positive()), content)).collect();
    keys.sort_by(|one, other| one.0.total_cmp(&other.0));
    (keys[..rows].iter().map(|(_, content)| *content).collect(), keys[rows].0)
}

fn reservoir(seed: u64) -> (Drawn, DrawnFrom) {
    let (contents, threshold) = smallest(seed, 300, |_, uniform| uniform);
    sample(Some(population()), contents.into_iter().map(|content| (content, Chance::Once(threshold))))
}

fn weighted(seed: u64) -> (Drawn, DrawnFrom) {
    let (contents, threshold) = smallest(seed, 300, |content, uniform| -uniform.ln() / weight(content));
    let chance = |content| Chance::Once(-(-weight(content) * threshold).exp_m1());
    sample(Some(population()), contents.into_iter().map(|content| (content, chance(content))))
}

/// Contents one by one, as if each were one row: without replacement, or with.
fn draws(seed: u64, repeated: bool) -> (Drawn, DrawnFrom) {
    let mut random = Generator::new(seed);
    let share = 400.0 / ROWS as f64;
    if repeated {
        let drawn: Vec<_> = (0..400).map(|_| (random.below(ROWS), Chance::Repeated(share))).collect();
        sample(Some(population()), drawn.into_iter())
    } else {
        let drawn = Shuffle::new(0..ROWS, seed).take(400);
        sample(Some(population()), drawn.map(|content| (content, Chance::Once(share))))
    }
}

fn check(what: &str, draw: &dyn Fn(u64) -> (Drawn, DrawnFrom)) {
    let truth = truth();
    let covers = |what: &str, truth: f64, estimate: &dyn Fn(Drawn, DrawnFrom) -> Estimate| {
        let covers = |seed| {
            let (group, from) = draw(seed);
            estimate(group, from).covers(truth)
        };
        coverage(0.9, true, covers).unwrap_or_else(|problem| panic!("{what}: {problem}"));
    };
    covers(&format!("count, {what}"), truth.count() as f64, &|group, from| group.count(&from, 0.9).unwrap());
    covers(&format!("sum, {what}"), truth.sum(), &|group, from| group.sum(&from, 0.9).unwrap());
    covers(&format!("average, {what}"), truth.mean(), &|group, from| group.average(&from, 0.9).unwrap());
    let variance = truth.variance_sample();
    covers(&format!("variance, {what}"), variance, &|group, from| group.variance(&from, true, 0.9).unwrap());
}

#[test]
fn intervals_of_every_kind_of_sample_cover() {
    check("Bernoulli", &bernoulli);
    check("reservoir", &reservoir);
    check("weighted", &weighted);
    check("draws", &|seed| draws(seed, false));
    check("draws with replacement", &|seed| draws(seed, true));
}

/// Canaries: no finite-population factor, another scale, rows of one content as if each had been drawn by itself.
#[test]
fn wrong_scales_and_factors_are_caught() {
    let truth = truth();
    let wrong = |what: &str, tight: bool, covers: &dyn Fn(u64) -> bool| {
        coverage(0.9, tight, covers).expect_err(what);
    };
    let without = |seed| {
        let contents: Vec<u64> = Shuffle::new(0..ROWS, seed).take(750).collect();
        let drawn = contents.into_iter().map(|content| (content, Chance::Repeated(0.5)));
        let (group, from) = sample(Some(population()), drawn);
        group.average(&from, 0.9).unwrap().covers(truth.mean())
    };
    wrong("without the finite-population factor", true, &without);
    let scaled = |seed| {
        let (contents, threshold) = smallest(seed, 300, |content, uniform| -uniform.ln() / weight(content));
        let drawn = contents.into_iter().map(|content| (content, Chance::Once(weight(content) * threshold / 1.2)));
        let (group, from) = sample(None, drawn);
        group.sum(&from, 0.9).unwrap().covers(truth.sum())
    };
    wrong("another chance", false, &scaled);
    let one_by_one = |seed| {
        let (contents, threshold) = smallest(seed, 300, |_, uniform| uniform);
        let (mut group, mut from) = (Drawn::default(), DrawnFrom::new(None));
        for content in contents {
            let (values, rows) = cluster(content);
            (0..rows).for_each(|_| from.add(1, Chance::Once(threshold)));
            for value in values.iter().map(|value| value + if content % 7 == 0 { 500.0 } else { 0.0 }) {
                let mut part = Part::default();
                part.add(value);
                group.add(1, &part, Chance::Once(threshold));
            }
        }
        let raised: f64 =
            (0..ROWS).filter(|content| content % 7 == 0).flat_map(|content| cluster(content).0).map(|_| 500.0).sum();
        group.sum(&from, 0.9).unwrap().covers(truth.sum() + raised)
    };
    wrong("rows of one content share their fate", false, &one_by_one);
}

#[test]
fn a_whole_population_is_exact_and_nothing_says_nothing() {
    let truth = truth();
    let all = (0..ROWS).map(|content| (content, Chance::Once(1.0)));
    let (group, from) = sample(Some(population()), all);
    assert!(from.is_whole());
    assert_eq!(group.count(&from, 0.9).unwrap(), Estimate::exact(truth.count() as f64));
    let average = group.average(&from, 0.9).unwrap();
    assert!(average.half_width() == 0.0 && (average.value / truth.mean() - 1.0).abs() < 1e-12);
    let none = DrawnFrom::new(Some(0));
    assert_eq!(Drawn::default().count(&none, 0.9).unwrap(), Estimate::exact(0.0));
    let (nothing, from) = sample(None, std::iter::empty());
    assert_eq!(nothing.average(&from, 0.9).unwrap().half_width(), f64::INFINITY);
    assert!(nothing.count(&from, 2.0).is_err());
}

/// All that was drawn is of the group, or nothing is: there may be others.
#[test]
fn alike_rows_do_not_hide_others() {
    let contents = || (0..10_u64).map(|content| (3 * content, Chance::Once(0.1)));
    let mut none = DrawnFrom::new(Some(1_000));
    contents().for_each(|(_, chance)| none.add(10, chance));
    let count = Drawn::default().count(&none, 0.9).unwrap();
    assert!(count.value == 0.0 && count.low == 0.0 && count.high > 100.0 && count.high < 300.0, "{count:?}");
    let mut all = Drawn::default();
    let mut part = Part::default();
    (0..10).for_each(|_| part.add(1.0));
    contents().for_each(|(_, chance)| all.add(10, &part, chance));
    let count = all.count(&none, 0.9).unwrap();
    assert!(count.high == 1_000.0 && count.low < 900.0 && count.low > 700.0, "{count:?}");
    assert_eq!(all.average(&none, 0.9).unwrap().half_width(), f64::INFINITY);
}
