//! Reservoirs are uniform, by both methods and merged, and their intervals cover.

use super::*;
use crate::sample::testing::{coverage, uniform};

const ROWS: u64 = 40;

/// How often each of [`ROWS`] rows is in a sample of 8 that `draw` makes from a seed.
fn counts(draw: impl Fn(u64) -> Vec<u64>) -> Vec<u64> {
    let mut counts = vec![0; ROWS as usize];
    for seed in 0..4_000 {
        draw(seed).iter().for_each(|row| counts[*row as usize] += 1);
    }
    counts
}

fn drawn(method: Method, seed: u64, rows: std::ops::Range<u64>) -> Reservoir<u64> {
    let mut sample = Reservoir::new(8, method, seed).unwrap();
    rows.for_each(|row| sample.offer(row));
    sample
}

#[test]
fn both_methods_are_uniform_and_a_wrong_one_is_not() {
    for method in [Method::R, Method::L] {
        uniform(&counts(|seed| drawn(method, seed, 0..ROWS).items().to_vec())).expect("uniform");
    }
    // A canary: rows replace with probability k/(n+1).
    let biased = |seed| {
        let (mut random, mut items) = (Generator::new(seed), (0..8).collect::<Vec<u64>>());
        for row in 8..ROWS {
            let slot = random.below(row + 2) as usize;
            items.get_mut(slot).map(|item| *item = row).unwrap_or(());
        }
        items
    };
    uniform(&counts(biased)).expect_err("biased towards the first rows");
}

#[test]
fn merged_samples_are_uniform_and_go_on_so() {
    for (method, cut) in [(Method::R, 5), (Method::L, 5), (Method::L, 12), (Method::L, 30)] {
        let draw = |seed: u64| {
            let mut sample = drawn(method, seed, 0..cut);
            sample.merge(drawn(method, seed + 1_000_000, cut..35)).unwrap();
            (35..ROWS).for_each(|row| sample.offer(row));
            sample.items().to_vec()
        };
        uniform(&counts(draw)).unwrap_or_else(|problem| panic!("{method:?} cut at {cut}: {problem}"));
    }
    // A canary: as if both streams had been of one length.
    let draw = |seed: u64| {
        let (mut sample, other) = (drawn(Method::R, seed, 0..9), drawn(Method::R, seed + 1_000_000, 9..ROWS));
        sample.seen = other.seen;
        sample.merge(other).unwrap();
        sample.items().to_vec()
    };
    uniform(&counts(draw)).expect_err("biased towards the shorter stream");
}

#[test]
fn slices_and_single_rows_give_the_same() {
    let rows: Vec<u64> = (0..100_000).collect();
    for method in [Method::R, Method::L] {
        let mut by_slice = Reservoir::new(100, method, 3).unwrap();
        rows.chunks(777).for_each(|chunk| by_slice.offer_slice(chunk));
        let mut by_row = Reservoir::new(100, method, 3).unwrap();
        rows.iter().for_each(|row| by_row.offer(*row));
        assert_eq!(by_slice, by_row);
        assert_eq!((by_row.seen(), by_row.items().len()), (100_000, 100));
    }
}

#[test]
fn intervals_cover_as_often_as_they_claim() {
    let truth = (0..2_000u64).map(|row| (row % 97) as f64).sum::<f64>();
    let sample = |seed| {
        let mut sample = Reservoir::new(600, Method::L, seed).unwrap();
        (0..2_000u64).for_each(|row| sample.offer(row % 97));
        sample
    };
    coverage(0.9, true, |seed| sample(seed).sum(0.9, |x| *x as f64).unwrap().covers(truth)).expect("covers");
    // A canary: the interval without its finite-population factor covers too often.
    let without = |seed| {
        let items = sample(seed).items().iter().map(|x| *x as f64).collect();
        mean_of(&items, u64::MAX, 0.9).unwrap().covers(truth / 2_000.0)
    };
    coverage(0.9, true, without).expect_err("too wide");
}

#[test]
fn a_restored_sample_draws_the_same_and_damage_is_refused() {
    for method in [Method::R, Method::L] {
        for cut in [3, 8, 200] {
            let mut sample = drawn(method, 11, 0..cut);
            let mut restored = Reservoir::<u64>::from_bytes(&sample.to_bytes()).unwrap();
            (cut..500).for_each(|row| (sample.offer(row), restored.offer(row)).0);
            assert_eq!(sample, restored);
        }
    }
    let bytes = drawn(Method::L, 1, 0..50).to_bytes();
    for at in 0..bytes.len() {
        assert!(Reservoir::<u64>::from_bytes(&bytes[..at]).is_err());
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        if let Ok(mut sample) = Reservoir::<u64>::from_bytes(&damaged) {
            (0..100).for_each(|row| sample.offer(row));
        }
    }
}

#[test]
fn wrong_sizes_are_refused() {
    assert_eq!(Reservoir::<u64>::new(0, Method::L, 1).map_err(|e| e.code()).err(), Some("E304"));
    assert!(Reservoir::<u64>::new(SAMPLE_ROWS_MAX + 1, Method::L, 1).is_err());
    let mut sample = drawn(Method::R, 1, 0..20);
    assert!(sample.merge(Reservoir::new(9, Method::R, 1).unwrap()).is_err());
    assert!(sample.mean(1.5, |x| *x as f64).is_err());
}
