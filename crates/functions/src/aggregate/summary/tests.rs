//! Every summary: cut into batches in any order, in parts, stored and read again, with NULLs and rows taken back.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::compute::take;
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit, UInt32Type};
use fleuve_plan::{AggregateCall, Literal, Value};
use fleuve_sketch::random::Generator;

use super::super::AggregateSet;
use super::{ConstantKind, SUMMARIES, Spec, Takes};

const GROUPS: u32 = 3;
const ROWS: u32 = 3_000;

/// Columns of the rows: integers, floats, texts, times, each with some NULLs.
fn columns() -> Vec<ArrayRef> {
    let mut random = Generator::new(5);
    let mut number = |null: u64| (!random.next_u64().is_multiple_of(null)).then(|| random.below(900) as i64 - 400);
    let integers: Int64Array = (0..ROWS).map(|_| number(10)).collect();
    let floats: Float64Array = (0..ROWS).map(|_| number(20).map(|n| n as f64 / 8.0)).collect();
    let texts: StringArray = (0..ROWS).map(|_| number(9).map(|n| format!("t{n}"))).collect();
    let times: TimestampMillisecondArray = (0..ROWS).map(|_| number(8).map(|n| n * 1_000)).collect();
    vec![Arc::new(integers), Arc::new(floats), Arc::new(texts), Arc::new(times)]
}

fn groups() -> Vec<u32> {
    (0..ROWS).map(|row| row * row % 7 % GROUPS).collect()
}

/// Values that every summary accepts for its constants, and a seed.
fn parameters(spec: &Spec) -> Vec<Literal> {
    let float = |value| Literal { data_type: DataType::Float64, value: Value::Float(value) };
    let given = spec.constants.iter().filter(|constant| !constant.optional);
    let value = |constant: &super::Constant| match (constant.kind, constant.name) {
        (ConstantKind::Count, "items") => Literal { data_type: DataType::Int64, value: Value::Int(5_000) },
        (ConstantKind::Count, _) => Literal { data_type: DataType::Int64, value: Value::Int(20) },
        (ConstantKind::Interval, _) => Literal {
            data_type: DataType::Interval(IntervalUnit::MonthDayNano),
            value: Value::Interval { months: 0, days: 0, nanos: 60_000_000_000 },
        },
        (_, "error" | "wrong") => float(0.1),
        _ => float(0.75),
    };
    given.map(value).chain([Literal { data_type: DataType::UInt64, value: Value::UInt(77) }]).collect()
}

/// A call of each summary over each kind of column that it takes; those of stored summaries are left out.
fn calls(retractable: bool) -> Vec<AggregateCall> {
    let mut calls = vec![];
    for spec in SUMMARIES.iter().filter(|spec| spec.takes != Takes::Stored && (spec.retractable || !retractable)) {
        let args: Vec<Vec<usize>> = match spec.takes {
            Takes::Item => vec![vec![0], vec![1], vec![2]],
            Takes::Number => vec![vec![0], vec![1]],
            Takes::Numbers => vec![vec![0, 1], vec![1, 0]],
            Takes::Time => vec![vec![3]],
            Takes::Stored => vec![],
        };
        let types: Vec<DataType> = columns().iter().map(|column| column.data_type().clone()).collect();
        calls.extend(args.into_iter().map(|args| AggregateCall {
            function: spec.name.to_owned(),
            data_type: spec.returns.data_type(&types[args[0]]),
            args,
            parameters: parameters(spec),
            distinct: false,
            filter: None,
        }));
    }
    calls
}

fn set(retractable: bool) -> AggregateSet {
    let types: Vec<DataType> = columns().iter().map(|column| column.data_type().clone()).collect();
    AggregateSet::new(&calls(retractable), &types, retractable, false).expect("every summary can be made")
}

/// Adds the rows of these numbers, so many at once.
fn add(set: &mut AggregateSet, rows: &[u32], at_once: usize, weight: Option<i64>) {
    let (columns, groups) = (columns(), groups());
    for rows in rows.chunks(at_once) {
        let indices = arrow::array::PrimitiveArray::<UInt32Type>::from(rows.to_vec());
        let batch: Vec<ArrayRef> = columns.iter().map(|c| take(c, &indices, None).expect("is taken")).collect();
        let own: Vec<u32> = rows.iter().map(|row| groups[*row as usize]).collect();
        let weights = weight.map(|weight| Int64Array::from(vec![weight; rows.len()]));
        set.update(&own, GROUPS as usize, &batch, weights.as_ref()).expect("rows are added");
    }
}

fn shuffled() -> Vec<u32> {
    let mut rows: Vec<u32> = (0..ROWS).collect();
    let mut random = Generator::new(9);
    (1..rows.len()).rev().for_each(|end| rows.swap(end, random.below(end as u64 + 1) as usize));
    rows
}

fn answers(set: &AggregateSet) -> Vec<ArrayRef> {
    set.evaluate(&[0, 1, 2]).expect("groups are read")
}

/// Compares all calls, naming the one that differs.
fn same(left: &[ArrayRef], right: &[ArrayRef], retractable: bool) {
    for ((left, right), call) in left.iter().zip(right).zip(calls(retractable)) {
        assert_eq!(left, right, "{} over {:?}", call.function, call.args);
    }
}

#[test]
fn batches_and_their_order_do_not_show() {
    let (mut whole, mut cut) = (set(false), set(false));
    add(&mut whole, &(0..ROWS).collect::<Vec<_>>(), ROWS as usize, None);
    whole.settle().expect("settles");
    add(&mut cut, &shuffled(), 170, None);
    cut.settle().expect("settles");
    same(&answers(&whole), &answers(&cut), false);
}

#[test]
fn a_restart_does_not_show() {
    let rows: Vec<u32> = (0..ROWS).collect();
    let (before, after) = rows.split_at(1_700);
    let mut running = set(false);
    add(&mut running, before, 100, None);
    running.settle().expect("settles");
    let mut restarted = set(false);
    restarted.merge(&[0, 1, 2], 3, &running.save(&[0, 1, 2]).expect("is saved")).expect("is read");
    same(&answers(&running), &answers(&restarted), false);
    for set in [&mut running, &mut restarted] {
        add(set, after, 100, None);
        set.settle().expect("settles");
    }
    same(&answers(&running), &answers(&restarted), false);
}

/// All but quantiles and the most frequent values: these depend on order, within their bounds.
#[test]
fn parts_give_what_the_whole_gives() {
    let mut whole = set(false);
    add(&mut whole, &shuffled(), 500, None);
    whole.settle().expect("settles");
    let mut merged = set(false);
    for part in shuffled().chunks(ROWS as usize / 4) {
        let mut own = set(false);
        add(&mut own, part, 100, None);
        own.settle().expect("settles");
        merged.merge(&[0, 1, 2], 3, &own.save(&[0, 1, 2]).expect("is saved")).expect("is merged");
    }
    let ordered = [
        "approx_top_k",
        "approx_percentile",
        "kll_sketch",
        "tdigest_sketch",
        "cuckoo_sketch",
        "approx_count_recent",
        "exp_histogram_sketch",
    ];
    for ((left, right), call) in answers(&whole).iter().zip(&answers(&merged)).zip(calls(false)) {
        if !ordered.contains(&call.function.as_str()) {
            assert_eq!(left, right, "{} over {:?}", call.function, call.args);
        }
    }
}

#[test]
fn rows_taken_back_leave_no_trace() {
    let rows: Vec<u32> = (0..ROWS).collect();
    let (kept, gone) = rows.split_at(1_200);
    let (mut all, mut alone) = (set(true), set(true));
    add(&mut all, gone, 90, Some(1));
    add(&mut all, kept, 100, Some(1));
    add(&mut all, gone, 70, Some(-1));
    add(&mut alone, kept, 100, Some(1));
    for set in [&mut all, &mut alone] {
        set.settle().expect("settles");
    }
    same(&answers(&all), &answers(&alone), true);
}

#[test]
fn what_cannot_take_rows_back_refuses_to() {
    for spec in SUMMARIES.iter().filter(|spec| !spec.retractable) {
        let columns = match spec.takes {
            Takes::Stored => [DataType::Binary],
            Takes::Time => [DataType::Timestamp(TimeUnit::Millisecond, None)],
            _ => [DataType::Int64],
        };
        let error = spec.create(&columns, &parameters(spec), true).expect_err(spec.name);
        assert_eq!(error.code(), "E206", "{}", spec.name);
    }
}

#[test]
fn groups_without_rows_count_nothing() {
    let mut set = set(false);
    add(&mut set, &[], 1, None);
    set.settle().expect("settles");
    for (answer, call) in answers(&set).iter().zip(calls(false)) {
        let zero = ["ams_f0", "ams_f2", "bjkst", "approx_count_distinct", "approx_count_recent", "regr_count"]
            .contains(&call.function.as_str());
        assert_eq!(answer.null_count(), if zero { 0 } else { 3 }, "{}", call.function);
    }
}

#[test]
fn stored_summaries_merge_into_what_they_came_from() {
    let mut whole = set(false);
    add(&mut whole, &shuffled(), 500, None);
    whole.settle().expect("settles");
    let stored: Vec<(AggregateCall, ArrayRef)> = calls(false).into_iter().zip(answers(&whole)).collect();
    for spec in SUMMARIES.iter().filter(|spec| spec.takes == Takes::Stored) {
        let made_by = spec.name.replace("_merge", "_sketch").replace("count_sketch_sketch", "count_sketch");
        let (_, sketches) = stored.iter().find(|(call, _)| call.function == made_by).expect("it has a maker");
        let call = AggregateCall {
            function: spec.name.to_owned(),
            data_type: DataType::Binary,
            args: vec![0],
            parameters: parameters(spec),
            distinct: false,
            filter: None,
        };
        let mut merged = AggregateSet::new(&[call], &[DataType::Binary], false, false).expect("can be made");
        merged.update(&[0, 1, 2], 3, &[Arc::clone(sketches)], None).expect("are added");
        merged.settle().expect("are merged");
        let merged = merged.evaluate(&[0, 1, 2]).expect("are read").remove(0);
        assert_eq!(merged.as_binary::<i32>(), sketches.as_binary::<i32>(), "{}", spec.name);
    }
}

#[test]
fn functions_of_one_state_share_it() {
    let types: Vec<DataType> = columns().iter().map(|column| column.data_type().clone()).collect();
    let shared = |names: &[&str], args: &[usize]| {
        let calls: Vec<AggregateCall> =
            calls(true).into_iter().filter(|c| names.contains(&c.function.as_str()) && c.args == args).collect();
        assert_eq!(calls.len(), names.len());
        AggregateSet::new(&calls, &types, true, false).expect("is made").saved_types().len()
    };
    assert_eq!(shared(&["skewness", "skewness_pop", "kurtosis", "kurtosis_pop"], &[1]), 1);
    assert_eq!(shared(&["covar_pop", "corr", "regr_slope", "regr_r2", "regr_count"], &[0, 1]), 1);
    assert_eq!(shared(&["ams_f2", "ams_f2_sketch"], &[0]), 2, "their answers are made by the accumulator");
}
