//! Samples against sorted lists of keys, and their chances against the promised ones.

use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use fleuve_plan::SampleMethod;
use proptest::prelude::*;

use super::super::testing::{Cluster, Net, add, info, text};
use super::*;
use crate::operator::{EpochInfo, EpochOperator, Share};

/// An id and a weight.
type Row = (i64, i64);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("w", DataType::Float64, true)]))
}

fn rows(rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1 as f64))),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    (0..batch.num_rows()).map(|row| text(batch, row)).collect()
}

fn reservoir(method: SampleMethod, seed: u64, at_end: bool, share: Share) -> Reservoir {
    Reservoir::new(method, Chances::new(&[0, 1], seed), at_end, schema(), share).unwrap()
}

const ALONE: Share = Share { worker: 0, workers: 1 };

fn weighted(rows: u64) -> SampleMethod {
    SampleMethod::Weighted { weight: 1, rows }
}

/// The rows of the smallest keys, by the plain definition.
fn model(all: &[Row], method: SampleMethod, seed: u64) -> Net {
    let batch = rows(all);
    let bits = Chances::new(&[0, 1], seed).of(&batch).unwrap();
    let key = |row: usize| match method {
        SampleMethod::Weighted { .. } => -(1.0 - unit(bits[row])).ln() / all[row].1 as f64,
        _ => bits[row] as f64,
    };
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|a, b| key(*a).total_cmp(&key(*b)));
    order.truncate(method.rows().unwrap() as usize);
    order.into_iter().fold(Net::new(), |mut net, row| {
        *net.entry(text(&batch, row)).or_insert(0) += 1;
        net
    })
}

/// Epochs of rows, some of them equal, each perhaps after a restart with so many workers.
fn epochs() -> impl Strategy<Value = Vec<(Vec<Row>, Option<usize>)>> {
    let row = (0i64..30, 1i64..4);
    prop::collection::vec((prop::collection::vec(row, 0..15), prop::option::of(1usize..5)), 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_smallest_keys_are_kept(
        epochs in epochs(), size in 1u64..20, seed in any::<u64>(), by_weight in any::<bool>(), at_end in any::<bool>(),
        turn in any::<prop::sample::Index>(),
    ) {
        let method = if by_weight { weighted(size) } else { SampleMethod::Reservoir { rows: size } };
        let make = |share| Box::new(reservoir(method, seed, at_end, share)) as Box<dyn EpochOperator>;
        let mut cluster = Cluster::new(&make, &[]);
        let (mut all, mut net) = (vec![], Net::new());
        for (epoch, (new, restart)) in epochs.iter().enumerate() {
            if let Some(workers) = restart {
                cluster.restart(*workers);
            }
            all.extend_from_slice(new);
            let mut shuffled = new.clone();
            shuffled.rotate_left(turn.index(new.len().max(1)));
            let (left, right) = shuffled.split_at(new.len() / 2);
            let ones = Int64Array::from(vec![1; right.len()]);
            let batches = [Batch::append(rows(left)), Batch::weighted(rows(right), ones)];
            for batch in cluster.epoch_batches(info(epoch as u64), &batches) {
                prop_assert!(!at_end);
                add(&mut net, &batch);
            }
            prop_assert!(cluster.state_rows() as u64 <= size);
            prop_assert!(at_end || net == model(&all, method, seed));
        }
        let last = EpochInfo { last: true, ..info(99) };
        cluster.epoch_batches(last, &[]).iter().for_each(|batch| add(&mut net, batch));
        prop_assert_eq!(net, model(&all, method, seed));
    }

    /// A row's fate does not depend on its batch, and its retraction shares it.
    #[test]
    fn a_row_has_one_fate(all in prop::collection::vec((0i64..500, 1i64..4), 0..200), seed in any::<u64>(), cut in 0usize..200) {
        let bernoulli = Bernoulli::new(Chances::new(&[0, 1], seed), 0.4);
        let whole = texts(&bernoulli.apply(&Batch::append(rows(&all))).unwrap().columns);
        let (left, right) = all.split_at(cut.min(all.len()));
        let gone = Batch::weighted(rows(left), Int64Array::from(vec![-1; left.len()]));
        let gone = bernoulli.apply(&gone).unwrap();
        prop_assert_eq!(gone.weights.as_ref().map(|weights| weights.values().to_vec()), Some(vec![-1; gone.num_rows()]));
        let mut parts = texts(&gone.columns);
        parts.extend(texts(&bernoulli.apply(&Batch::append(rows(right))).unwrap().columns));
        prop_assert_eq!(whole, parts);
    }
}

/// The chi-square distance of counts from what is expected of them.
fn chi_square(counts: &[f64], expected: &[f64]) -> f64 {
    counts.iter().zip(expected).map(|(count, expected)| (count - expected).powi(2) / expected).sum()
}

/// How often each of `population` rows is sampled over so many seeds; row i weighs i + 1.
fn counts(population: i64, method: SampleMethod, seeds: std::ops::Range<u64>) -> Vec<f64> {
    let all: Vec<Row> = (0..population).map(|id| (id, id + 1)).collect();
    let mut counts = vec![0.0; all.len()];
    for seed in seeds {
        let (mut sample, mut output) = (reservoir(method, seed, true, ALONE), vec![]);
        let last = EpochInfo { last: true, ..info(0) };
        sample.apply(&last, &mut [vec![Batch::append(rows(&all))]], &mut output).unwrap();
        let ids = output[0].columns.column(0).clone();
        let ids = super::super::limit::saved_int64(&ids).unwrap();
        ids.values().iter().for_each(|id| counts[*id as usize] += 1.0);
    }
    counts
}

/// Every row is in a reservoir as often. The 99.99 % quantile of chi-square with 49 degrees of freedom is below 95.
#[test]
fn reservoirs_are_uniform() {
    let counts = counts(50, SampleMethod::Reservoir { rows: 10 }, 0..2_000);
    // Without replacement the counts of a sample vary less, by the finite-population factor.
    let distance = chi_square(&counts, &[400.0; 50]) * 49.0 / 40.0;
    assert!(distance < 95.0, "{distance}");
    assert!(distance > 18.0, "as even as chance never is: {distance}");
    // A canary: samples by weight are not uniform, and the test sees it.
    let distance = chi_square(&self::counts(50, weighted(10), 0..2_000), &[400.0; 50]);
    assert!(distance > 95.0, "{distance}");
}

/// The first row drawn is each by its weight. The 99.99 % quantile of chi-square with 9 degrees of freedom is below 34.
#[test]
fn weights_are_chances() {
    let expected: Vec<f64> = (1..=10).map(|weight| 5_500.0 * f64::from(weight) / 55.0).collect();
    let distance = chi_square(&counts(10, weighted(1), 0..5_500), &expected);
    assert!(distance < 34.0, "{distance}");
    let distance = chi_square(&counts(10, SampleMethod::Reservoir { rows: 1 }, 0..5_500), &expected);
    assert!(distance > 34.0, "a canary: {distance}");
}

/// As many rows as promised, within five standard deviations, for each of several probabilities.
#[test]
fn bernoulli_keeps_its_share() {
    let all: Vec<Row> = (0..40_000).map(|id| (id, 1)).collect();
    let kept = |probability: f64, seed: u64| {
        let bernoulli = Bernoulli::new(Chances::new(&[0, 1], seed), probability);
        bernoulli.apply(&Batch::append(rows(&all))).unwrap().num_rows() as f64
    };
    assert_eq!((kept(0.0, 1), kept(1.0, 1)), (0.0, 40_000.0));
    for (seed, probability) in [(1, 0.01_f64), (2, 0.3), (3, 0.5), (u64::MAX, 0.9)] {
        let (expected, deviation) = (40_000.0 * probability, (40_000.0 * probability * (1.0 - probability)).sqrt());
        assert!((kept(probability, seed) - expected).abs() < 5.0 * deviation, "{probability}");
    }
}

#[test]
fn what_has_no_weight_is_named() {
    for (weight, shown) in [(-3, "-3"), (0, "0")] {
        let mut sample = reservoir(weighted(2), 1, false, ALONE);
        let error = sample.apply(&info(0), &mut [vec![Batch::append(rows(&[(1, 1), (2, weight)]))]], &mut vec![]);
        let error = error.unwrap_err();
        assert_eq!(error.code(), "E304");
        assert!(error.message().ends_with(&format!("not {shown}")), "{error}");
    }
    let mut sample = reservoir(SampleMethod::Reservoir { rows: 2 }, 1, false, ALONE);
    let gone = Batch::weighted(rows(&[(1, 1)]), Int64Array::from(vec![-1]));
    assert_eq!(sample.apply(&info(0), &mut [vec![gone]], &mut vec![]).unwrap_err().code(), "E203");
}
