//! Aggregates against the obvious computation on a list of rows.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::concat;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use fleuve_plan::AggregateCall;
use proptest::prelude::*;

use super::AggregateSet;

/// Columns: BIGINT, DOUBLE, STRING, DECIMAL(30, 2), BOOLEAN (a filter), BOOLEAN (another).
#[derive(Debug, Clone, PartialEq)]
struct Row {
    group: u32,
    integer: Option<i64>,
    double: Option<f64>,
    text: Option<&'static str>,
    decimal: Option<i128>,
    filters: [Option<bool>; 2],
    weight: i64,
}

const TYPES: [DataType; 6] = [
    DataType::Int64,
    DataType::Float64,
    DataType::Utf8,
    DataType::Decimal128(30, 2),
    DataType::Boolean,
    DataType::Boolean,
];

fn columns(rows: &[Row]) -> Vec<ArrayRef> {
    let decimals: Decimal128Array = rows.iter().map(|r| r.decimal).collect();
    vec![
        Arc::new(rows.iter().map(|r| r.integer).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.double).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|r| r.text).collect::<StringArray>()),
        Arc::new(decimals.with_data_type(TYPES[3].clone())),
        Arc::new(rows.iter().map(|r| r.filters[0]).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|r| r.filters[1]).collect::<BooleanArray>()),
    ]
}

fn rows(weights: std::ops::Range<i64>) -> impl Strategy<Value = Vec<Row>> {
    let double = prop::sample::select(vec![0.1, -0.0, 1e300, -1e300, 1e-300, 2.5, f64::NAN, f64::INFINITY, 1e16, 0.7]);
    let text = prop::sample::select(vec!["", "a", "b", "a text that is not short", "a text that is not shorT"]);
    let row = (
        0u32..4,
        prop::option::of(-5i64..5),
        prop::option::of(double),
        prop::option::of(text),
        prop::option::of(-500i128..500),
        [prop::option::of(any::<bool>()), prop::option::of(any::<bool>())],
        weights.prop_filter("not 0", |w| *w != 0),
    );
    let row = row.prop_map(|(group, integer, double, text, decimal, filters, weight)| {
        // The engine computes with the normalised form of a float.
        let double = double.map(|v| if v == 0.0 { 0.0 } else { v });
        Row { group, integer, double, text, decimal, filters, weight }
    });
    prop::collection::vec(row, 0..40)
}

fn call(function: &str, arg: Option<usize>, data_type: DataType) -> AggregateCall {
    let args = arg.into_iter().collect();
    AggregateCall { function: function.into(), args, parameters: vec![], distinct: false, filter: None, data_type }
}

/// Every function over every column that it takes, with and without DISTINCT and two filters.
fn calls() -> Vec<AggregateCall> {
    let mut calls = vec![call("count", None, DataType::Int64)];
    for (arg, data_type) in TYPES.iter().enumerate().take(4) {
        calls.push(call("count", Some(arg), DataType::Int64));
        calls.extend(["min", "max"].map(|f| call(f, Some(arg), data_type.clone())));
        if arg != 2 {
            let sum = if arg == 3 { DataType::Decimal128(38, 2) } else { data_type.clone() };
            let average = if arg == 3 { DataType::Decimal128(38, 6) } else { data_type.clone() };
            calls.extend([call("sum", Some(arg), sum), call("avg", Some(arg), average)]);
        }
    }
    for function in ["var_pop", "var_samp", "stddev_pop", "stddev_samp"] {
        calls.extend([0, 1].map(|arg| call(function, Some(arg), DataType::Float64)));
    }
    let plain = calls.clone();
    for (distinct, filter) in [(false, Some(4)), (true, None), (true, Some(4)), (true, Some(5))] {
        let own = plain.iter().filter(|c| !distinct || !c.args.is_empty());
        calls.extend(own.map(|c| AggregateCall { distinct, filter, ..c.clone() }));
    }
    calls
}

fn texts(columns: &[ArrayRef], row: usize) -> Vec<String> {
    let text = |c: &ArrayRef| if c.is_null(row) { "NULL".into() } else { array_value_to_string(c, row).unwrap() };
    columns.iter().map(text).collect()
}

/// The rows of a group as an aggregate call sees them, each as often as it counts.
fn seen(call: &AggregateCall, rows: &[Row], group: u32) -> Vec<Row> {
    let passes = |row: &Row| call.filter.is_none_or(|f| row.filters[f - 4] == Some(true));
    let has_arg = |row: &Row| match call.args.first() {
        None => true,
        Some(0) => row.integer.is_some(),
        Some(1) => row.double.is_some(),
        Some(2) => row.text.is_some(),
        _ => row.decimal.is_some(),
    };
    let key = |row: &Row| (row.integer, row.double.map(f64::to_bits), row.text, row.decimal);
    let arg_key = |row: &Row| match call.args.first() {
        None => (None, None, None, None),
        Some(0) => (key(row).0, None, None, None),
        Some(1) => (None, key(row).1, None, None),
        Some(2) => (None, None, key(row).2, None),
        _ => (None, None, None, key(row).3),
    };
    let mut counts: Vec<(Row, i64)> = vec![];
    for row in rows.iter().filter(|row| row.group == group && passes(row) && has_arg(row)) {
        match counts.iter_mut().find(|(known, _)| arg_key(known) == arg_key(row)) {
            Some((_, count)) => *count += row.weight,
            None => counts.push((row.clone(), row.weight)),
        }
    }
    let times = |count: i64| if call.distinct { count.min(1) } else { count };
    counts.iter().flat_map(|(row, count)| vec![row.clone(); times(*count).try_into().unwrap()]).collect()
}

/// What a call yields, as text; `None` where the model is silent (spreads are compared apart).
fn expected(call: &AggregateCall, rows: &[Row]) -> Option<String> {
    let null = || "NULL".to_owned();
    let text = |array: ArrayRef| texts(&[array], 0)[0].clone();
    let some = |found: Option<ArrayRef>| Some(found.map_or_else(null, text));
    let integers = || rows.iter().filter_map(|r| r.integer);
    let decimals = || rows.iter().filter_map(|r| r.decimal);
    let decimal = |v: i128, scale| {
        Arc::new(Decimal128Array::from_iter_values([v]).with_data_type(DataType::Decimal128(38, scale))) as ArrayRef
    };
    let n = rows.len() as i64;
    let min = call.function == "min";
    match (call.function.as_str(), call.args.first()) {
        ("count", _) => Some(n.to_string()),
        ("min" | "max", Some(0)) => some(if min { integers().min() } else { integers().max() }.map(int)),
        ("min" | "max", Some(1)) => {
            let mut doubles: Vec<f64> = rows.iter().filter_map(|r| r.double).collect();
            doubles.sort_by(f64::total_cmp);
            let found = if min { doubles.first() } else { doubles.last() };
            some(found.map(|v| Arc::new(Float64Array::from(vec![*v])) as ArrayRef))
        }
        ("min" | "max", Some(2)) => {
            let all = || rows.iter().filter_map(|r| r.text);
            some(if min { all().min() } else { all().max() }.map(|v| Arc::new(StringArray::from(vec![v])) as ArrayRef))
        }
        ("min" | "max", _) => some(if min { decimals().min() } else { decimals().max() }.map(|v| decimal(v, 2))),
        ("sum", Some(0)) => some((n > 0).then(|| int(integers().sum()))),
        ("avg", Some(0)) => some((n > 0).then(|| int(integers().sum::<i64>() / n))),
        ("sum", Some(3)) => some((n > 0).then(|| decimal(decimals().sum(), 2))),
        ("avg", Some(3)) => some((n > 0).then(|| {
            let (sum, n) = (decimals().sum::<i128>() * 10_000, i128::from(n));
            decimal((2 * sum.abs() + n) / (2 * n) * sum.signum(), 6)
        })),
        _ => None,
    }
}

fn int(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

const GROUPS: [u32; 5] = [0, 1, 2, 3, 4];

fn check(set: &AggregateSet, calls: &[AggregateCall], rows: &[Row]) {
    let values = set.evaluate(&GROUPS).unwrap();
    for group in GROUPS {
        let row = texts(&values, group as usize);
        for (i, call) in calls.iter().enumerate() {
            let seen = seen(call, rows, group);
            if let Some(expected) = expected(call, &seen) {
                assert_eq!(row[i], expected, "{call:?} of group {group}: {seen:?}");
            }
        }
    }
}

fn update(set: &mut AggregateSet, rows: &[Row], weighted: bool) {
    let groups: Vec<u32> = rows.iter().map(|row| row.group).collect();
    let weights = Int64Array::from_iter_values(rows.iter().map(|row| row.weight));
    set.update(&groups, 5, &columns(rows), weighted.then_some(&weights)).unwrap();
}

fn bits(set: &AggregateSet) -> Vec<Vec<String>> {
    let values = set.evaluate(&GROUPS).unwrap();
    let exact = |column: &ArrayRef| match column.as_any().downcast_ref::<Float64Array>() {
        Some(floats) => {
            Arc::new(floats.iter().map(|v| v.map(|v| v.to_bits() as i64)).collect::<Int64Array>()) as ArrayRef
        }
        None => column.clone(),
    };
    let values: Vec<ArrayRef> = values.iter().map(exact).collect();
    (0..GROUPS.len()).map(|row| texts(&values, row)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn append_only(rows in rows(1..2), cut in 0usize..40) {
        let calls = calls();
        let mut set = AggregateSet::new(&calls, &TYPES, false, true).unwrap();
        let (first, second) = rows.split_at(cut.min(rows.len()));
        update(&mut set, first, false);
        update(&mut set, second, false);
        check(&set, &calls, &rows);
    }

    /// Rows that come and go, in any order, leave what the others alone would have given, to the last bit.
    #[test]
    fn retracted_rows_leave_no_trace(kept in rows(1..3), gone in rows(1..3), seed in any::<u64>()) {
        let calls = calls();
        let retracted = gone.iter().map(|row| Row { weight: -row.weight, ..row.clone() });
        let mut all: Vec<Row> = kept.iter().cloned().chain(gone.iter().cloned()).chain(retracted).collect();
        let n = all.len() as u64;
        all.sort_by_cached_key(|row| format!("{row:?}{}", seed.wrapping_mul(n)).bytes().fold(seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)));
        let mut set = AggregateSet::new(&calls, &TYPES, true, true).unwrap();
        all.chunks(7).for_each(|rows| update(&mut set, rows, true));
        check(&set, &calls, &kept);
        let mut alone = AggregateSet::new(&calls, &TYPES, true, true).unwrap();
        update(&mut alone, &kept, true);
        prop_assert_eq!(bits(&set), bits(&alone));
        let counts = set.row_counts(&GROUPS).unwrap();
        for group in GROUPS {
            let own: i64 = kept.iter().filter(|row| row.group == group).map(|row| row.weight).sum();
            prop_assert_eq!(counts.value(group as usize), own);
        }
    }

    /// States that were saved, and merged elsewhere with others, are as good as the rows.
    #[test]
    fn merged_states_equal_rows(rows in rows(1..3), cut in 0usize..40, retractable in any::<bool>()) {
        let rows: Vec<Row> = if retractable { rows } else { rows.into_iter().map(|r| Row { weight: 1, ..r }).collect() };
        let calls = calls();
        let (first, second) = rows.split_at(cut.min(rows.len()));
        let new = || AggregateSet::new(&calls, &TYPES, retractable, false).unwrap();
        let (mut left, mut right, mut merged) = (new(), new(), new());
        update(&mut left, first, retractable);
        update(&mut right, second, retractable);
        let saved: Vec<Vec<ArrayRef>> = [&left, &right].map(|set| set.save(&GROUPS).unwrap()).into();
        let both: Vec<ArrayRef> = (0..saved[0].len()).map(|i| concat(&[&saved[0][i], &saved[1][i]]).unwrap()).collect();
        prop_assert_eq!(both.iter().map(|c| c.data_type().clone()).collect::<Vec<_>>(), merged.saved_types());
        merged.merge(&[0, 1, 2, 3, 4, 0, 1, 2, 3, 4], 5, &both).unwrap();
        check(&merged, &calls, &rows);
        let slices: Vec<ArrayRef> = both.iter().map(|c| c.slice(5, 5)).collect();
        left.merge(&GROUPS, 5, &slices).unwrap();
        prop_assert_eq!(bits(&left), bits(&merged));
    }

    /// A cleared group is as new, and the others do not notice.
    #[test]
    fn cleared_groups_are_empty(rows in rows(1..2), again in rows(1..2), retractable in any::<bool>()) {
        let calls = calls();
        let mut set = AggregateSet::new(&calls, &TYPES, retractable, false).unwrap();
        update(&mut set, &rows, false);
        set.clear(&[1, 3, 4]);
        let left: Vec<Row> = rows.iter().filter(|row| [0, 2].contains(&row.group)).cloned().collect();
        check(&set, &calls, &left);
        update(&mut set, &again, false);
        check(&set, &calls, &[left, again].concat());
    }
}

#[test]
fn integer_overflow_is_an_error_only_in_the_result() {
    let calls = [call("sum", Some(0), DataType::Int64)];
    let mut set = AggregateSet::new(&calls, &[DataType::Int64], true, false).unwrap();
    let column: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, i64::MAX, i64::MAX]));
    set.update(&[0; 3], 1, std::slice::from_ref(&column), None).unwrap();
    assert_eq!(set.evaluate(&[0]).unwrap_err().code(), "E440");
    set.update(&[0; 3], 1, &[column], Some(&Int64Array::from(vec![-1, -1, 0]))).unwrap();
    assert_eq!(texts(&set.evaluate(&[0]).unwrap(), 0), [i64::MAX.to_string()]);
}

#[test]
fn averages_of_integers_are_truncated_and_typed() {
    let calls = [
        call("avg", Some(0), DataType::Int32),
        call("sum", Some(0), DataType::Int32),
        call("avg", Some(0), DataType::Float64),
        call("stddev_pop", Some(0), DataType::Float64),
        call("var_samp", Some(0), DataType::Float64),
    ];
    let mut set = AggregateSet::new(&calls, &[DataType::Int32], false, false).unwrap();
    let column: ArrayRef = Arc::new(Int32Array::from(vec![-7, 2, i32::MAX, 1]));
    set.update(&[0, 0, 1, 1], 2, &[column], None).unwrap();
    let values = |group| set.evaluate(&[group]).map(|columns| texts(&columns, 0));
    assert_eq!(values(0).unwrap(), ["-2", "-5", "-2.5", "4.5", "40.5"]);
    assert_eq!(values(1).unwrap_err().code(), "E440");
}

#[test]
fn spreads_do_not_cancel() {
    let calls = [call("var_pop", Some(0), DataType::Float64), call("stddev_samp", Some(0), DataType::Float64)];
    let mut set = AggregateSet::new(&calls, &[DataType::Float64], false, false).unwrap();
    let values = [1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0, 1e200, 3e200];
    let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
    set.update(&[0, 0, 0, 0, 1, 1], 3, &[column], None).unwrap();
    let columns = set.evaluate(&[0, 1, 2]).unwrap();
    assert_eq!(texts(&columns, 0), ["22.5", 30f64.sqrt().to_string().as_str()]);
    assert_eq!(texts(&columns, 1)[0], "inf", "1e400");
    assert_eq!(texts(&columns, 2), ["NULL", "NULL"]);
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let new = |call| AggregateSet::new(&[call], &TYPES, false, false).unwrap_err();
    assert_eq!(new(call("median", Some(0), DataType::Int64)).code(), "E201");
    assert_eq!(new(call("sum", Some(2), DataType::Int64)).code(), "E202");
    let mut set = AggregateSet::new(&[call("count", None, DataType::Int64)], &TYPES, false, false).unwrap();
    let wrong: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    assert!(set.merge(&[0], 1, &[wrong]).is_err());
}
