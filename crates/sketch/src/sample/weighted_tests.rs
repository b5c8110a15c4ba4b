//! Weighted samples follow the law of successive draws, by both methods and merged, and their intervals cover.

use super::*;
use crate::sample::testing::{chi_square, coverage};

const WEIGHTS: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 10.0, 0.5];

const DRAWS: u64 = 30_000;

/// How often each row would be among 2 rows drawn one after the other by weight, in [`DRAWS`] samples.
fn expected() -> Vec<f64> {
    let total: f64 = WEIGHTS.iter().sum();
    let second = |row: usize| {
        let others = (0..WEIGHTS.len()).filter(|first| *first != row);
        others.map(|first| WEIGHTS[first] / total * WEIGHTS[row] / (total - WEIGHTS[first])).sum::<f64>()
    };
    (0..WEIGHTS.len()).map(|row| DRAWS as f64 * (WEIGHTS[row] / total + second(row))).collect()
}

fn counts(draw: impl Fn(u64) -> Weighted<u64>) -> Vec<u64> {
    let mut counts = vec![0; WEIGHTS.len()];
    (0..DRAWS).for_each(|seed| draw(seed).items().for_each(|(row, _)| counts[*row as usize] += 1));
    counts
}

fn drawn(method: WeightedMethod, seed: u64, rows: std::ops::Range<usize>) -> Weighted<u64> {
    let mut sample = Weighted::new(2, method, seed).unwrap();
    rows.for_each(|row| sample.offer(row as u64, WEIGHTS[row]).unwrap());
    sample
}

#[test]
fn both_methods_follow_the_law_and_a_wrong_one_does_not() {
    let expected = expected();
    for method in [WeightedMethod::Res, WeightedMethod::ExpJ] {
        chi_square(&counts(|seed| drawn(method, seed, 0..6)), &expected).expect("the law of successive draws");
    }
    let merged = |seed| {
        let mut sample = drawn(WeightedMethod::ExpJ, seed, 0..3);
        sample.merge(drawn(WeightedMethod::ExpJ, seed + 1_000_000, 3..5)).unwrap();
        sample.offer(5, WEIGHTS[5]).unwrap();
        sample
    };
    chi_square(&counts(merged), &expected).expect("merged samples too");
    // A canary: the square root of the weight.
    let wrong = |seed| {
        let mut sample = Weighted::new(2, WeightedMethod::Res, seed).unwrap();
        (0..6).for_each(|row| sample.offer(row as u64, WEIGHTS[row].sqrt()).unwrap());
        sample
    };
    chi_square(&counts(wrong), &expected).expect_err("another law");
}

#[test]
fn intervals_cover_as_often_as_they_claim() {
    let weight = |row: u64| 1.0 + (row * row % 101) as f64;
    let value = |row: &u64| weight(*row) * (2.0 + (row % 7) as f64);
    let (sum, rows) = ((0..1_500).map(|row| value(&row)).sum::<f64>(), 1_500.0);
    let sample = |seed| {
        let mut sample = Weighted::new(200, WeightedMethod::ExpJ, seed).unwrap();
        (0..1_500).for_each(|row| sample.offer(row, weight(row)).unwrap());
        sample
    };
    coverage(0.9, true, |seed| sample(seed).sum(0.9, value).unwrap().covers(sum)).expect("covers the sum");
    coverage(0.9, false, |seed| sample(seed).sum(0.95, |_| 1.0).unwrap().covers(rows)).expect("covers the count");
    coverage(0.9, false, |seed| sample(seed).mean(0.95, value).unwrap().covers(sum / rows)).expect("covers the mean");
    // A canary: as if the sample were a simple random one.
    let wrong = |seed: u64| {
        let items = sample(seed).items().map(|(row, _)| value(row)).collect();
        crate::estimate::sum_of(&items, 1_500, 0.9).unwrap().covers(sum)
    };
    coverage(0.9, false, wrong).expect_err("heavy rows are likelier");
}

#[test]
fn few_rows_are_all_there_and_exact() {
    let sample = drawn(WeightedMethod::ExpJ, 1, 3..5);
    assert_eq!(sample.items().count(), 2);
    assert_eq!(sample.sum(0.9, |row| *row as f64).unwrap(), Estimate::exact(7.0));
    assert_eq!(sample.mean(0.9, |row| *row as f64).unwrap(), Estimate::exact(3.5));
    assert_eq!((sample.weight(), sample.seen()), (14.0, 2));
    let empty = Weighted::<u64>::new(3, WeightedMethod::Res, 1).unwrap();
    assert_eq!(empty.mean(0.9, |row| *row as f64).unwrap(), Estimate::exact(0.0));
}

#[test]
fn wrong_weights_and_sizes_are_refused() {
    let mut sample = drawn(WeightedMethod::Res, 1, 0..6);
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(sample.offer(1, weight).map_err(|e| e.code()), Err("E304"));
    }
    assert_eq!(sample.seen(), 6);
    assert!(Weighted::<u64>::new(0, WeightedMethod::Res, 1).is_err());
    assert!(sample.merge(Weighted::new(3, WeightedMethod::Res, 1).unwrap()).is_err());
}

#[test]
fn a_restored_sample_draws_the_same_and_damage_is_refused() {
    let mut sample = Weighted::<u64>::new(5, WeightedMethod::ExpJ, 3).unwrap();
    (0..50).for_each(|row| sample.offer(row, 1.5).unwrap());
    let bytes = sample.to_bytes();
    let mut restored = Weighted::<u64>::from_bytes(&bytes).unwrap();
    let sorted = |sample: &Weighted<u64>| {
        let mut rows: Vec<u64> = sample.items().map(|(row, _)| *row).collect();
        rows.sort_unstable();
        rows
    };
    for row in 50..500 {
        sample.offer(row, 2.0).unwrap();
        restored.offer(row, 2.0).unwrap();
    }
    assert_eq!(sorted(&sample), sorted(&restored));
    for at in 0..bytes.len() {
        assert!(Weighted::<u64>::from_bytes(&bytes[..at]).is_err());
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        if let Ok(mut sample) = Weighted::<u64>::from_bytes(&damaged) {
            (0..100).for_each(|row| sample.offer(row, 1.0).unwrap());
        }
    }
}
