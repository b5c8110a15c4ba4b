//! Intervals over joins cover the truth as often as they claim, and wrong ones are caught.

use super::*;
use crate::index::Shuffle;
use crate::online::Ripple;
use crate::sample::testing::coverage;

type Row = (u64, f64);
type Table = Vec<Vec<Row>>;
type Joined = Ripple<u64, fn(f64, f64) -> f64>;

/// A table whose keys are skewed and whose blocks are clustered: rows of one block have few keys and values that are alike.
/// Every fifth block is longer.
fn clustered(blocks: u64, salt: u64) -> Table {
    let block = |block: u64| {
        let level = (block * 29 + salt) % 40;
        let row = |row: u64| {
            let key = [level % 4, level % 8, row % 3, (block + row) % 24][(row % 4) as usize];
            (key, 1.0 + (level / 2) as f64 + ((row * 7 + salt) % 5) as f64)
        };
        (0..12 + block % 5 / 4 * 9).map(row).collect()
    };
    (0..blocks).map(block).collect()
}

/// Two tables whose blocks are single rows; some keys are much more frequent.
fn single_rows() -> [Table; 2] {
    let left = (0..600).map(|row: u64| vec![(row * row % 23, (row % 50) as f64)]).collect();
    let right = (0..400).map(|row: u64| vec![(row * 7 % 31, 1.0 + (row % 9) as f64)]).collect();
    [left, right]
}

fn tables() -> [Table; 2] {
    [clustered(160, 0), clustered(90, 11)]
}

fn product(left: f64, right: f64) -> f64 {
    left * right
}

/// Sum and count of the whole join.
fn truth([left, right]: &[Table; 2]) -> (f64, f64) {
    let mut totals = BTreeMap::<u64, [(f64, f64); 2]>::new();
    for (side, table) in [left, right].into_iter().enumerate() {
        for (key, value) in table.iter().flatten() {
            let (rows, sum) = &mut totals.entry(*key).or_default()[side];
            (*rows, *sum) = (*rows + 1.0, *sum + value);
        }
    }
    totals.values().fold((0.0, 0.0), |(sum, count), [l, r]| (sum + l.1 * r.1, count + l.0 * r.0))
}

/// The join after so many blocks of each side, which come in turn.
fn joined([left, right]: &[Table; 2], seed: u64, blocks: [usize; 2]) -> Joined {
    let sizes = [left.len() as u64, right.len() as u64];
    let mut ripple = Ripple::new(sizes[0], sizes[1], product as fn(f64, f64) -> f64);
    let mut lefts = Shuffle::new(0..sizes[0], seed).take(blocks[0]);
    let mut rights = Shuffle::new(0..sizes[1], seed + 99_999).take(blocks[1]);
    loop {
        let (next_left, next_right) = (lefts.next(), rights.next());
        next_left.map_or(Ok(()), |block| ripple.add_left(left[block as usize].clone())).unwrap();
        next_right.map_or(Ok(()), |block| ripple.add_right(right[block as usize].clone())).unwrap();
        if next_left.is_none() && next_right.is_none() {
            return ripple;
        }
    }
}

/// Whether the sum's interval covers, as well as the count's and the average's.
fn covers_all(tables: &[Table; 2], blocks: [usize; 2], tight: bool) {
    let (sum, count) = truth(tables);
    let check = |what: &str, covers: &dyn Fn(&Joined) -> bool| {
        let covers = |seed| covers(&joined(tables, seed, blocks));
        coverage(0.9, tight, covers).unwrap_or_else(|problem| panic!("{what} of {blocks:?}: {problem}"));
    };
    check("sum", &|ripple| ripple.sum(0.9).unwrap().covers(sum));
    check("count", &|ripple| ripple.count(0.9).unwrap().covers(count));
    check("average", &|ripple| ripple.average(0.9).unwrap().covers(sum / count));
}

#[test]
fn intervals_over_clustered_blocks_cover_as_often_as_they_claim() {
    covers_all(&tables(), [40, 40], true);
    covers_all(&tables(), [25, 70], true);
}

#[test]
fn intervals_over_single_rows_cover_as_often_as_they_claim() {
    covers_all(&single_rows(), [150, 150], true);
    covers_all(&single_rows(), [300, 100], true);
}

/// A small table is soon read wholly, and then only the other one is a sample.
#[test]
fn a_table_of_one_block_leaves_the_other_as_the_sample() {
    let tables = [clustered(160, 0), vec![clustered(40, 3).concat()]];
    covers_all(&tables, [50, 1], true);
}

/// Canary: rows of a block taken for rows that were drawn one by one.
#[test]
fn rows_as_the_unit_are_caught() {
    let tables = tables();
    let (sum, count) = truth(&tables);
    let rows_of = |table: &Table| table.iter().map(|block| block.len() as u64).sum::<u64>();
    let by_row = |seed: u64| {
        let mut ripple = Ripple::new(rows_of(&tables[0]), rows_of(&tables[1]), product as fn(f64, f64) -> f64);
        for block in Shuffle::new(0..tables[0].len() as u64, seed).take(40) {
            tables[0][block as usize].iter().for_each(|row| ripple.add_left([*row]).unwrap());
        }
        for block in Shuffle::new(0..tables[1].len() as u64, seed + 99_999).take(40) {
            tables[1][block as usize].iter().for_each(|row| ripple.add_right([*row]).unwrap());
        }
        ripple
    };
    coverage(0.9, false, |seed| by_row(seed).sum(0.9).unwrap().covers(sum)).expect_err("too narrow a sum");
    let covers = |seed| by_row(seed).average(0.9).unwrap().covers(sum / count);
    coverage(0.9, false, covers).expect_err("too narrow an average");
}

/// Canary: pairs of blocks taken for pairs that were drawn one by one.
#[test]
fn pairs_as_the_unit_are_caught() {
    let tables = tables();
    let (sum, _) = truth(&tables);
    let covers = |seed| {
        let ripple = joined(&tables, seed, [40, 40]);
        let (pairs, all) = (1_600.0, 160.0 * 90.0);
        let cells = ripple.pairs().cells.with_zeros(1_600 - ripple.pairs().cells.count());
        Estimate::around(cells.mean_y(), 1.645 * (cells.variance_y() / pairs).sqrt()).covers(sum / all)
    };
    coverage(0.9, false, covers).expect_err("pairs share their blocks");
}

/// Canary: intervals without the finite-population factors, of both sides or of one.
#[test]
fn missing_finite_population_factors_are_caught() {
    let tables = tables();
    let (sum, _) = truth(&tables);
    for infinite in [[true, true], [true, false]] {
        let covers = |seed| {
            let ripple = joined(&tables, seed, [110, 60]);
            let mut scopes = ripple.scopes();
            let all = scopes.map(|scope| scope.population as f64);
            for (scope, _) in scopes.iter_mut().zip(infinite).filter(|(_, infinite)| *infinite) {
                scope.population = 1 << 40;
            }
            let factor = all[0] * all[1] / (scopes[0].population as f64 * scopes[1].population as f64);
            ripple.pairs().sum(scopes, 0.9).unwrap().times(factor).covers(sum)
        };
        coverage(0.9, true, covers).expect_err("too wide");
    }
}

#[test]
fn everything_read_is_exact_and_little_says_little() {
    let tables = tables();
    let (sum, count) = truth(&tables);
    let all = joined(&tables, 1, [160, 90]);
    assert_eq!((all.sum(0.9).unwrap(), all.count(0.9).unwrap()), (Estimate::exact(sum), Estimate::exact(count)));
    let average = all.average(0.9).unwrap();
    assert!(average.half_width() == 0.0 && (average.value - sum / count).abs() < 1e-9);
    assert_eq!(joined(&tables, 1, [1, 50]).sum(0.9).unwrap().half_width(), f64::INFINITY);
    assert_eq!(joined(&tables, 1, [0, 0]).average(0.9).unwrap().half_width(), f64::INFINITY);
    assert!(all.sum(1.5).is_err());
    assert_eq!(joined(&tables, 1, [160, 1]).add_left([(1, 1.0)]).map_err(|e| e.code()), Err("E304"));
    let empty: Joined = Ripple::new(0, 7, product as fn(f64, f64) -> f64);
    assert_eq!(empty.count(0.9).unwrap().value, 0.0);
}

/// The variance is that of all samples: over every choice of 2 of 4 left and 2 of 3 right blocks its mean is the variance
/// of the estimates.
#[test]
fn the_variance_has_no_bias() {
    let cell = |i: u64, j: u64| (i * 6 + j * 4 + (i * 5 + j * 3) % 7) as f64;
    let (mut means, mut variances) = (vec![], vec![]);
    for lefts in [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]] {
        for rights in [[0, 1], [0, 2], [1, 2]] {
            let mut pairs = BlockPairs::default();
            lefts.iter().flat_map(|i| rights.map(|j| (*i, j))).for_each(|(i, j)| pairs.add(i, j, 1, cell(i, j)));
            let scopes = [Scope { seen: 2, population: 4 }, Scope { seen: 2, population: 3 }];
            means.push(pairs.sum.value() / 4.0);
            variances.push(pairs.variance(scopes, 0.0, |pair, _| pair.variance_y()));
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let of_means = mean(&means.iter().map(|value| (value - mean(&means)).powi(2)).collect::<Vec<_>>());
    assert!((mean(&variances) - of_means).abs() < 1e-9, "{} for {of_means}", mean(&variances));
}

/// Where both tables are stored by the key, only pairs of blocks with the same keys have anything together, and by chance
/// every block that was read has as much as the others. That is no certainty.
#[test]
fn tables_in_the_order_of_the_key_are_not_certain_early() {
    let mut pairs = BlockPairs::default();
    (0..2).for_each(|block| pairs.add(block, block, 10, 10.0));
    let scopes = [Scope { seen: 2, population: 40 }; 2];
    assert!(pairs.count(scopes, 0.9).unwrap().half_width() > 1_000.0);
}
