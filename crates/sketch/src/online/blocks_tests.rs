//! Intervals cover the truth as often as they claim, blocks taken for rows do not, and nothing claims a width of 0.

use super::*;
use crate::index::Shuffle;
use crate::online::Rows;
use crate::sample::testing::coverage;
use crate::statistics::Running;

const BLOCKS: u64 = 200;

const LARGE: Method = Method::LargeSample { confidence: 0.9 };

/// The values of a block: alike, and every third block has more rows. Of the group are the even ones.
fn values(block: u64) -> Vec<f64> {
    let rows = 20 + block % 3 * 7;
    (0..rows).map(|row| 1_000.0 + (block * 31 % 90 + row % 5) as f64).filter(|value| *value % 2.0 == 0.0).collect()
}

/// The size of a block in bytes: lines of about ten, the last block is small.
fn size(block: u64) -> u64 {
    (20 + block % 3 * 7) * 10 + block * 7 % 11
}

fn part(values: &[f64]) -> Part {
    values.iter().fold(Part::default(), |mut part, value| {
        part.add(*value);
        part
    })
}

/// The group after some blocks of a table of these.
fn read_of(
    blocks: u64,
    seed: u64,
    count: usize,
    values: impl Fn(u64) -> Vec<f64>,
    size: impl Fn(u64) -> u64,
) -> (Blocks, BlocksRead) {
    let sizes = || (0..blocks).map(&size);
    let mut read = BlocksRead::new(blocks, sizes().sum(), sizes().max().unwrap_or(0));
    let mut group = Blocks::default();
    for block in Shuffle::new(0..blocks, seed).take(count) {
        let values = values(block);
        read.add(size(block), values.len() as u64);
        // Two batches of a block are one block.
        let (one, other) = values.split_at(values.len() / 3);
        let mut whole = part(one);
        whole.merge(&part(other));
        if !whole.is_empty() {
            group.add(size(block), &whole);
        }
    }
    (group, read)
}

fn read(seed: u64, count: usize) -> (Blocks, BlocksRead) {
    read_of(BLOCKS, seed, count, values, size)
}

fn truth() -> Running {
    (0..BLOCKS).flat_map(values).collect()
}

type Of<'a> = &'a dyn Fn(Blocks, BlocksRead) -> Estimate;

#[test]
fn intervals_cover_as_often_as_they_claim() {
    let truth = truth();
    let check = |what: &str, estimate: Of<'_>, truth: f64| {
        let covers = |seed| {
            let (blocks, read) = read(seed, 60);
            estimate(blocks, read).covers(truth)
        };
        coverage(0.9, true, covers).unwrap_or_else(|problem| panic!("{what}: {problem}"));
    };
    check("count", &|blocks, read| blocks.count(&read, LARGE).unwrap(), truth.count() as f64);
    check("sum", &|blocks, read| blocks.sum(&read, LARGE).unwrap(), truth.sum());
    check("average", &|blocks, read| blocks.average(&read, LARGE).unwrap(), truth.mean());
    check("variance", &|blocks, read| blocks.variance(&read, true, 0.9).unwrap(), truth.variance_sample());
    check("variance", &|blocks, read| blocks.variance(&read, false, 0.9).unwrap(), truth.variance_population());
}

/// Canaries: blocks treated as rows, and without the finite-population factor.
#[test]
fn wrong_intervals_are_caught() {
    let truth = truth();
    let rows = |seed| {
        let mut rows = Rows::default();
        Shuffle::new(0..BLOCKS, seed).take(60).flat_map(values).for_each(|value| rows.add(value));
        (rows, Scope { seen: rows.seen(), population: truth.count() })
    };
    let covers = |seed| {
        let (rows, scope) = rows(seed);
        rows.average(scope, LARGE).unwrap().covers(truth.mean())
    };
    coverage(0.9, false, covers).expect_err("rows of a block are alike");
    let covers = |seed| {
        let (rows, scope) = rows(seed);
        rows.variance(scope, 0.9).unwrap().covers(truth.variance_sample())
    };
    coverage(0.9, false, covers).expect_err("and so is their variance");
    let covers = |seed| {
        let (blocks, mut read) = read(seed, 120);
        read.scope.population = 1 << 40;
        blocks.average(&read, LARGE).unwrap().covers(truth.mean())
    };
    coverage(0.9, true, covers).expect_err("without the finite-population factor");
}

/// All blocks but the last are alike: it has half as many rows in half the bytes, or in as many, or none, or more.
#[test]
fn blocks_that_are_alike_do_not_hide_the_last_one() {
    let lines = |rows: usize| vec![1.0; rows];
    for (last_rows, last_size) in [(10, 100), (10, 200), (0, 200), (33, 200), (20, 199)] {
        let values = |block| lines(if block == 39 { last_rows } else { 20 });
        let size = |block| if block == 39 { last_size } else { 200 };
        let truth = 39.0 * 20.0 + last_rows as f64;
        for count in [2, 5, 20, 37] {
            let covers = |seed| {
                let (blocks, read) = read_of(40, seed, count, values, size);
                blocks.count(&read, LARGE).unwrap().covers(truth)
            };
            let problem = |problem| panic!("{last_rows} rows of {last_size}, {count} blocks: {problem}");
            coverage(0.9, false, covers).unwrap_or_else(problem);
        }
    }
    // As rows of no known sum, only the number of rows is bounded.
    let (blocks, read) = read_of(40, 1, 20, |_| lines(20), |_| 200);
    assert_eq!(blocks.sum(&read, LARGE).unwrap().half_width(), f64::INFINITY);
    assert_eq!(blocks.average(&read, LARGE).unwrap().half_width(), f64::INFINITY);
    let count = blocks.count(&read, LARGE).unwrap();
    assert!(count.value == 800.0 && count.low < 800.0 && count.high > 800.0 && count.half_width() < 100.0, "{count:?}");
    let (none, read) = read_of(40, 1, 20, |_| vec![], |_| 200);
    assert_eq!(none.count(&read, LARGE).unwrap(), Estimate::exact(0.0), "no rows at all were seen, of any group");
}

#[test]
fn conservative_intervals_cover_at_least_and_deterministic_ones_always() {
    let (truth, bounds) = (truth(), Bounds::new(1_000.0, 1_100.0).unwrap());
    let rows_of = |block| values(block).len() as u64 + 1;
    let (conservative, deterministic) =
        (Method::Conservative { confidence: 0.9, bounds }, Method::Deterministic { bounds });
    for count in [1, 20, 150] {
        let all = |seed, method| {
            let (blocks, read) = read_of(BLOCKS, seed, count, values, rows_of);
            let average = blocks.average(&read, method).unwrap();
            assert!(average.low >= bounds.low && average.high <= bounds.high);
            average.covers(truth.mean())
                && blocks.sum(&read, method).unwrap().covers(truth.sum())
                && blocks.count(&read, method).unwrap().covers(truth.count() as f64)
        };
        coverage(0.9, false, |seed| all(seed, conservative)).expect("at least as often as claimed");
        assert!((0..100).all(|seed| all(seed, deterministic)), "{count}");
    }
    // A canary: rows of blocks as if drawn one by one.
    let covers = |seed| {
        let mut rows = Rows::default();
        let clustered = |block: u64| vec![if block.is_multiple_of(2) { 1_000.0 } else { 1_100.0 }; 20];
        Shuffle::new(0..BLOCKS, seed).take(20).flat_map(clustered).for_each(|value| rows.add(value));
        let scope = Scope { seen: rows.seen(), population: 20 * BLOCKS };
        rows.average(scope, conservative).unwrap().covers(1_050.0)
    };
    coverage(0.9, false, covers).expect_err("Hoeffding's inequality is of rows drawn one by one");
}

#[test]
fn everything_read_is_exact_and_one_block_says_little() {
    let truth = truth();
    let (blocks, all) = read(1, BLOCKS as usize);
    let average = blocks.average(&all, LARGE).unwrap();
    assert!(average.half_width() == 0.0 && (average.value / truth.mean() - 1.0).abs() < 1e-12);
    assert_eq!(blocks.count(&all, LARGE).unwrap(), Estimate::exact(truth.count() as f64));
    let variance = blocks.variance(&all, true, 0.9).unwrap();
    assert!(variance.half_width() == 0.0 && (variance.value / truth.variance_sample() - 1.0).abs() < 1e-9);
    let (one, scope) = read(1, 1);
    assert_eq!(one.sum(&scope, LARGE).unwrap().half_width(), f64::INFINITY);
    assert!(one.count(&scope, LARGE).unwrap().half_width() > 100.0);
    let (mut left, scope) = read(1, 0);
    assert_eq!(left.average(&scope, LARGE).unwrap().half_width(), f64::INFINITY);
    left.merge(&blocks);
    assert_eq!(left, blocks);
    assert_eq!(Blocks::from_bytes(&blocks.to_bytes()).unwrap(), blocks);
    assert!(Blocks::from_bytes(&blocks.to_bytes()[..20]).is_err());
    assert!(blocks.average(&read(1, 9).1, Method::LargeSample { confidence: 7.0 }).is_err());
}

#[test]
fn parts_merge_about_other_pivots() {
    let (mut left, mut right, mut whole) = (Blocks::default(), Blocks::default(), Blocks::default());
    let mut read = BlocksRead::new(BLOCKS, (0..BLOCKS).map(size).sum(), 400);
    for block in 0..50 {
        let part = part(&values(block).iter().map(|value| value * (1 + block % 4) as f64).collect::<Vec<_>>());
        if block % 2 == 0 { &mut left } else { &mut right }.add(size(block), &part);
        whole.add(size(block), &part);
        read.add(size(block), part.rows());
    }
    left.merge(&right);
    let ends = |blocks: &Blocks| {
        let (sum, variance) = (blocks.sum(&read, LARGE).unwrap(), blocks.variance(&read, false, 0.9).unwrap());
        [sum.low, sum.high, variance.low, variance.high]
    };
    let close = |(one, other): (f64, f64)| (one / other - 1.0).abs() < 1e-9;
    assert!(ends(&left).into_iter().zip(ends(&whole)).all(close), "{left:?} {whole:?}");
}
