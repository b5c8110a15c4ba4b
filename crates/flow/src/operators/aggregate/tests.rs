//! The unwindowed aggregate against a table that is computed anew from all rows after each epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use fleuve_plan::{AggregateCall, Changelog, Settings};
use proptest::prelude::*;

use super::super::testing::{Cluster, Net, difference, info};
use super::*;

/// A row: two keys and a value.
type Row = (Option<i64>, Option<&'static str>, Option<i64>);

fn input() -> Schema {
    Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("s", DataType::Utf8, true),
        Field::new("v", DataType::Int64, true),
    ])
}

fn call(function: &str, args: &[usize], distinct: bool) -> AggregateCall {
    AggregateCall {
        function: function.into(),
        args: args.to_vec(),
        parameters: vec![],
        distinct,
        filter: None,
        data_type: DataType::Int64,
    }
}

fn calls() -> Vec<AggregateCall> {
    vec![
        call("count", &[], false),
        call("sum", &[2], false),
        call("min", &[2], false),
        call("max", &[2], false),
        call("count", &[2], true),
        call("avg", &[2], false),
    ]
}

fn output(keys: &[usize], calls: usize) -> SchemaRef {
    let input = input();
    let keys = keys.iter().map(|key| input.field(*key).clone());
    let values = (0..calls).map(|i| Field::new(format!("a{i}"), DataType::Int64, true));
    Arc::new(Schema::new(keys.chain(values).collect::<Vec<_>>()))
}

fn batch(rows: &[(Row, i64)], weighted: bool) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(row, _)| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|(row, _)| row.1).collect::<StringArray>()),
        Arc::new(rows.iter().map(|(row, _)| row.2).collect::<Int64Array>()),
    ];
    let columns = RecordBatch::try_new(Arc::new(input()), columns).unwrap();
    let weights = weighted.then(|| Int64Array::from_iter_values(rows.iter().map(|(_, weight)| *weight)));
    Batch { columns, weights }
}

fn number(value: Option<i64>) -> String {
    value.map_or("NULL".into(), |value| value.to_string())
}

/// The whole result, from all rows.
fn model(rows: &[Row], keys: &[usize], calls: &[AggregateCall]) -> Net {
    let key = |row: &Row| {
        let texts = [number(row.0), row.1.unwrap_or("NULL").to_owned(), number(row.2)];
        keys.iter().map(|key| texts[*key].clone()).collect::<Vec<_>>()
    };
    let mut groups: BTreeMap<Vec<String>, Vec<Row>> = BTreeMap::new();
    if keys.is_empty() {
        groups.insert(vec![], vec![]);
    }
    rows.iter().for_each(|row| groups.entry(key(row)).or_default().push(*row));
    let line = |(key, rows): (Vec<String>, Vec<Row>)| {
        let values: Vec<i64> = rows.iter().filter_map(|row| row.2).collect();
        let distinct: std::collections::BTreeSet<i64> = values.iter().copied().collect();
        let some = |value: i64| (!values.is_empty()).then_some(value);
        let sum = values.iter().sum::<i64>();
        let value = |call: &AggregateCall| match call.function.as_str() {
            "count" if call.distinct => Some(distinct.len() as i64),
            "count" => Some(rows.len() as i64),
            "sum" => some(sum),
            "avg" => some(sum / (values.len() as i64).max(1)),
            "min" => values.iter().min().copied(),
            _ => values.iter().max().copied(),
        };
        key.into_iter().chain(calls.iter().map(|call| number(value(call)))).collect::<Vec<_>>().join(",")
    };
    groups.into_iter().map(|group| (line(group), 1)).collect()
}

/// An epoch: rows that come, rows that go (by number among those that are there), an order to arrive in, and a restart.
type Step = (Vec<Row>, Vec<usize>, u64, Option<usize>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let text = prop::sample::select(vec!["a", "b", "a text that is long"]);
    let row = (prop::option::of(0i64..4), prop::option::of(text), prop::option::of(-3i64..4));
    let step = (
        prop::collection::vec(row, 0..12),
        prop::collection::vec(0usize..100, 0..8),
        any::<u64>(),
        prop::option::weighted(0.3, 1usize..5),
    );
    prop::collection::vec(step, 1..10)
}

fn shuffle<T>(rows: &mut [T], mut seed: u64) {
    for i in (1..rows.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        rows.swap(i, (seed >> 33) as usize % (i + 1));
    }
}

fn check(steps: Vec<Step>, keys: &[usize], calls: &[AggregateCall], changelog: Changelog) {
    let output = output(keys, calls.len());
    let make = |share| {
        let settings = Settings::default();
        let made = Aggregate::new(&input(), changelog, keys, calls, output.clone(), &settings, share);
        Box::new(made.unwrap()) as Box<dyn EpochOperator>
    };
    let mut cluster = Cluster::new(&make, keys);
    let (mut rows, mut before): (Vec<Row>, Net) = (vec![], Net::new());
    for (epoch, (come, go, seed, restart)) in steps.into_iter().enumerate() {
        if let Some(workers) = restart {
            cluster.restart(workers);
        }
        let mut changes: Vec<(Row, i64)> = come.iter().map(|row| (*row, 1)).collect();
        rows.extend(come);
        if changelog == Changelog::Retract {
            for i in go.into_iter().filter(|_| !rows.is_empty()).collect::<Vec<_>>() {
                if !rows.is_empty() {
                    changes.push((rows.swap_remove(i % rows.len()), -1));
                }
            }
        }
        shuffle(&mut changes, seed);
        let cut = changes.len() / 3;
        let weighted = changelog == Changelog::Retract;
        let batches = [batch(&changes[..cut], weighted), batch(&changes[cut..], weighted)];
        let after = model(&rows, keys, calls);
        assert_eq!(cluster.epoch(info(epoch as u64), &batches), difference(&before, &after));
        if !keys.is_empty() {
            assert_eq!(cluster.state_rows(), after.len());
        }
        before = after;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn changelog_by_two_keys(steps in steps()) {
        check(steps, &[0, 1], &calls(), Changelog::Retract);
    }

    #[test]
    fn changelog_by_one_key(steps in steps()) {
        check(steps, &[0], &calls(), Changelog::Retract);
    }

    #[test]
    fn append_only(steps in steps()) {
        check(steps, &[1, 0], &calls(), Changelog::AppendOnly);
    }

    #[test]
    fn without_keys(steps in steps()) {
        check(steps.clone(), &[], &calls(), Changelog::Retract);
        check(steps, &[], &calls(), Changelog::AppendOnly);
    }

    #[test]
    fn distinct(steps in steps()) {
        check(steps.clone(), &[2], &[], Changelog::Retract);
        check(steps, &[0, 1], &[], Changelog::AppendOnly);
    }
}

#[test]
fn a_group_that_does_not_change_is_silent() {
    let calls = [call("max", &[2], false)];
    let output = output(&[0], 1);
    let make = |share| {
        let (input, settings) = (input(), Settings::default());
        let made = Aggregate::new(&input, Changelog::AppendOnly, &[0], &calls, output.clone(), &settings, share);
        Box::new(made.unwrap()) as Box<dyn EpochOperator>
    };
    let mut cluster = Cluster::new(&make, &[0]);
    let row = |v| batch(&[((Some(1), None, Some(v)), 1)], false);
    assert_eq!(cluster.epoch(info(0), &[row(5)]), Net::from([("1,5".into(), 1)]));
    assert!(cluster.epoch_batches(info(1), &[row(5), row(3)]).is_empty());
    assert_eq!(cluster.epoch(info(2), &[row(9)]), Net::from([("1,5".into(), -1), ("1,9".into(), 1)]));
}

/// A sum of doubles is retracted with the very bits that it was emitted with.
#[test]
fn floats_are_retracted_exactly() {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let input = Schema::new(vec![field("k", DataType::Int64), field("v", DataType::Float64)]);
    let schema = Arc::new(input.clone());
    let output: SchemaRef = Arc::new(Schema::new(vec![field("k", DataType::Int64), field("sum", DataType::Float64)]));
    let calls = [AggregateCall { data_type: DataType::Float64, ..call("sum", &[1], false) }];
    let make = |share| {
        let settings = Settings::default();
        let made = Aggregate::new(&input, Changelog::Retract, &[0], &calls, output.clone(), &settings, share);
        Box::new(made.unwrap()) as Box<dyn EpochOperator>
    };
    let rows = |values: &[f64], weight: i64| {
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![1; values.len()]));
        let columns: Vec<ArrayRef> = vec![keys, Arc::new(Float64Array::from(values.to_vec()))];
        let columns = RecordBatch::try_new(schema.clone(), columns).unwrap();
        Batch::weighted(columns, Int64Array::from(vec![weight; values.len()]))
    };
    let mut cluster = Cluster::new(&make, &[0]);
    let mut table = Net::new();
    let epochs = [rows(&[0.1, 0.2, 1e17], 1), rows(&[0.3], 1), rows(&[1e17, 0.1], -1), rows(&[0.3, 0.2], -1)];
    for (epoch, batch) in epochs.into_iter().enumerate() {
        cluster.restart(epoch % 3 + 1);
        for (row, weight) in cluster.epoch(info(epoch as u64), &[batch]) {
            *table.entry(row).or_default() += weight;
        }
        table.retain(|_, weight| *weight != 0);
        let expected: &[&str] = [&["1,1e17"][..], &["1,1e17"], &["1,0.5"], &[]][epoch];
        assert_eq!(table.keys().collect::<Vec<_>>(), expected);
    }
    assert_eq!(cluster.state_rows(), 0);
}

#[test]
fn idle_groups_expire() {
    let calls = [call("count", &[], false)];
    let output = output(&[0], 1);
    let settings = Settings { state_ttl_ms: 1000, ..Settings::default() };
    let make = |share| {
        let made = Aggregate::new(&input(), Changelog::AppendOnly, &[0], &calls, output.clone(), &settings, share);
        Box::new(made.unwrap()) as Box<dyn EpochOperator>
    };
    let mut cluster = Cluster::new(&make, &[0]);
    let row = |k| batch(&[((Some(k), None, None), 1)], false);
    let at = |clock_ms, previous_clock_ms| EpochInfo { clock_ms, previous_clock_ms, ..info(0) };
    cluster.epoch(at(0, 0), &[row(1), row(2)]);
    cluster.epoch(at(700, 0), &[row(2)]);
    cluster.restart(3);
    assert_eq!(cluster.epoch(at(1300, 700), &[row(1)]), Net::from([("1,1".into(), 1)]), "1 began anew");
    assert_eq!(cluster.epoch(at(1400, 1300), &[row(2)]), Net::from([("2,2".into(), -1), ("2,3".into(), 1)]));
    cluster.epoch(at(9000, 1400), &[]);
    assert_eq!(cluster.state_rows(), 0);
}
