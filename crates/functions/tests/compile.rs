//! Compiled expressions: laziness, errors, casts, CASE, and [`Calc`] against DataFusion's own evaluation.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema, TimeUnit, TimestampMillisecondType};
use datafusion_common::ScalarValue;
use fleuve_functions::compile::{
    Calc, ClockCell, CompileContext, EXPRESSION_DEPTH_MAX, compile, data_type, evaluate, literal_to_scalar,
    scalar_to_literal,
};
use fleuve_plan::{BinaryOp, Expr, Literal, Value};

const MILLIS: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

fn batch() -> RecordBatch {
    let columns: [(&str, ArrayRef); 5] = [
        ("n", Arc::new(Int64Array::from(vec![Some(0), Some(1), Some(-7), None, Some(12)]))),
        ("d", Arc::new(Int64Array::from(vec![Some(0), Some(2), Some(0), Some(3), None]))),
        ("s", Arc::new(StringArray::from(vec![Some("apple"), Some("Google"), None, Some(""), Some("pear")]))),
        (
            "t",
            Arc::new(TimestampMillisecondArray::from(vec![
                Some(0),
                Some(-1),
                None,
                Some(3_600_000),
                Some(1_600_000_000_123),
            ])),
        ),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(false)]))),
    ];
    let fields: Vec<Field> = columns.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn literal(value: ScalarValue) -> Expr {
    Expr::Literal(scalar_to_literal(&value).unwrap())
}

fn text(text: &str) -> Expr {
    literal(ScalarValue::Utf8(Some(text.to_string())))
}

fn call(function: &str, args: Vec<Expr>) -> Expr {
    Expr::Call { function: function.to_string(), args }
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::binary(op, left, right)
}

fn cast(expr: Expr, to: DataType, lenient: bool) -> Expr {
    Expr::Cast { expr: Box::new(expr), to, lenient }
}

fn run_in(expr: &Expr, context: &CompileContext) -> Result<ArrayRef, fleuve_base::Error> {
    let batch = batch();
    evaluate(&compile(expr, &batch.schema(), context)?, &batch)
}

fn run(expr: &Expr) -> Result<ArrayRef, fleuve_base::Error> {
    run_in(expr, &CompileContext::default())
}

fn integers(expr: &Expr) -> Vec<Option<i64>> {
    run(expr).unwrap().as_primitive::<Int64Type>().iter().collect()
}

fn texts(expr: &Expr) -> Vec<Option<String>> {
    run(expr).unwrap().as_string::<i32>().iter().map(|text| text.map(str::to_string)).collect()
}

fn some(texts: &[Option<&str>]) -> Vec<Option<String>> {
    texts.iter().map(|text| text.map(str::to_string)).collect()
}

fn quotient() -> Expr {
    binary(BinaryOp::Divide, Expr::Column(0), Expr::Column(1))
}

fn divisor_is_set() -> Expr {
    binary(BinaryOp::NotEq, Expr::Column(1), Expr::int64(0))
}

fn case(branches: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Expr {
    Expr::Case { operand: None, branches, otherwise: otherwise.map(Box::new) }
}

#[test]
fn division_by_zero_names_the_expression() {
    for op in [BinaryOp::Divide, BinaryOp::Modulo] {
        let error = run(&binary(op, Expr::Column(0), Expr::Column(1))).unwrap_err();
        assert_eq!(error.code(), "E301");
        assert!(error.detail().unwrap().contains(&format!("n {op} d")), "{:?}", error.detail());
    }
}

#[test]
fn branches_are_evaluated_for_their_rows_only() {
    let expected = vec![Some(-1), Some(0), Some(-1), None, Some(-1)];
    let guarded = case(vec![(divisor_is_set(), quotient())], Some(Expr::int64(-1)));
    assert_eq!(integers(&guarded), expected);
    assert_eq!(integers(&call("if", vec![divisor_is_set(), quotient(), Expr::int64(-1)])), expected);
    // A condition after the first is evaluated only for rows that get there.
    let zero = binary(BinaryOp::Eq, Expr::Column(1), Expr::int64(0));
    let positive = binary(BinaryOp::GtEq, quotient(), Expr::int64(0));
    let nested = case(vec![(zero, Expr::int64(100)), (positive, Expr::int64(1))], None);
    assert_eq!(integers(&nested), [Some(100), Some(1), Some(100), None, None]);
    let both = binary(BinaryOp::And, divisor_is_set(), binary(BinaryOp::Eq, quotient(), Expr::int64(0)));
    assert_eq!(
        run(&both).unwrap().as_boolean().iter().collect::<Vec<_>>(),
        [Some(false), Some(true), Some(false), None, None]
    );
    let unset = binary(BinaryOp::Eq, Expr::Column(1), Expr::int64(0));
    let either = binary(BinaryOp::Or, unset, binary(BinaryOp::Eq, quotient(), Expr::int64(0)));
    assert_eq!(
        run(&either).unwrap().as_boolean().iter().collect::<Vec<_>>(),
        [Some(true), Some(true), Some(true), None, None]
    );
}

#[test]
fn coalesce_asks_for_the_rest_only_where_it_must() {
    let safe = call("coalesce", vec![Expr::Column(1), quotient(), Expr::int64(9)]);
    assert_eq!(integers(&safe), [Some(0), Some(2), Some(0), Some(3), Some(9)]);
    assert_eq!(run(&call("coalesce", vec![Expr::Column(0), quotient()])).unwrap().null_count(), 1);
    assert_eq!(integers(&call("ifnull", vec![Expr::Column(0), Expr::int64(5)]))[3], Some(5));
}

#[test]
fn case_over_text_takes_the_first_that_fits() {
    let is = |name: &str| binary(BinaryOp::Eq, call("lower", vec![Expr::Column(2)]), text(name));
    let branches = vec![(is("apple"), text("A")), (is("google"), Expr::Column(2)), (is("apple"), text("B"))];
    let shown = some(&[Some("A"), Some("Google"), None, None, None]);
    assert_eq!(texts(&case(branches.clone(), None)), shown);
    let otherwise = call("concat", vec![text("other "), Expr::Column(2)]);
    let shown = some(&[Some("A"), Some("Google"), None, Some("other "), Some("other pear")]);
    assert_eq!(texts(&case(branches, Some(otherwise))), shown);
    let with_operand = Expr::Case {
        operand: Some(Box::new(Expr::Column(2))),
        branches: vec![(text("apple"), Expr::int64(1)), (text(""), Expr::Column(0))],
        otherwise: Some(Box::new(Expr::int64(3))),
    };
    assert_eq!(integers(&with_operand), [Some(1), Some(3), Some(3), None, Some(3)]);
}

#[test]
fn case_with_conditions_that_cannot_fail() {
    let positive = binary(BinaryOp::Gt, Expr::Column(0), Expr::int64(0));
    let negative = binary(BinaryOp::Lt, Expr::Column(0), Expr::int64(1));
    let branches = vec![(positive, text("+")), (negative, text("-"))];
    assert_eq!(
        texts(&case(branches.clone(), Some(text("?")))),
        some(&[Some("-"), Some("+"), Some("-"), Some("?"), Some("+")])
    );
    assert_eq!(texts(&case(branches, None))[3], None);
    let mixed = case(vec![(Expr::Column(4), Expr::int64(1))], Some(literal(ScalarValue::Null)));
    assert_eq!(integers(&mixed), [Some(1), None, None, Some(1), None]);
}

#[test]
fn in_lists_have_three_values() {
    let list = |negated, list: Vec<Expr>| Expr::InList { expr: Box::new(Expr::Column(2)), list, negated };
    let truths = |expr: &Expr| run(expr).unwrap().as_boolean().iter().collect::<Vec<_>>();
    let fruits = vec![text("pear"), text("apple"), text("")];
    assert_eq!(truths(&list(false, fruits.clone())), [Some(true), Some(false), None, Some(true), Some(true)]);
    assert_eq!(truths(&list(true, fruits)), [Some(false), Some(true), None, Some(false), Some(false)]);
    let with_null = vec![text("pear"), literal(ScalarValue::Utf8(None))];
    assert_eq!(truths(&list(false, with_null)), [None, None, None, None, Some(true)]);
}

#[test]
fn decimal_times_bigint_is_datafusions_product() {
    let price = cast(Expr::Column(0), DataType::Decimal128(20, 0), false);
    let factor = literal(ScalarValue::Decimal128(Some(908), 3, 3));
    let product = binary(BinaryOp::Multiply, factor.clone(), price.clone());
    let swapped = binary(BinaryOp::Multiply, price, factor);
    // A column for the factor takes the general way.
    let schema = batch().schema();
    let general_type = {
        let factor = cast(Expr::Column(1), DataType::Decimal128(3, 3), true);
        let price = cast(Expr::Column(0), DataType::Decimal128(20, 0), false);
        data_type(&binary(BinaryOp::Multiply, factor, price), &schema, &CompileContext::default()).unwrap().0
    };
    for product in [product, swapped] {
        let result = run(&product).unwrap();
        assert_eq!(result.data_type(), &general_type);
        let unscaled: Vec<Option<i128>> = result.as_primitive::<Decimal128Type>().iter().collect();
        assert_eq!(unscaled, [Some(0), Some(908), Some(-6_356), None, Some(10_896)]);
    }
}

#[test]
fn timestamps_move_by_constant_intervals() {
    let interval = |days, nanos| {
        let value = Value::Interval { months: 0, days, nanos };
        Expr::Literal(Literal { data_type: DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano), value })
    };
    let minus = binary(BinaryOp::Minus, Expr::Column(3), interval(0, 4_000_000_000));
    let moved = run(&minus).unwrap();
    assert_eq!(moved.data_type(), &MILLIS);
    let ticks: Vec<Option<i64>> = moved.as_primitive::<TimestampMillisecondType>().iter().collect();
    assert_eq!(ticks, [Some(-4_000), Some(-4_001), None, Some(3_596_000), Some(1_599_999_996_123)]);
    let plus = run(&binary(BinaryOp::Plus, interval(1, 1_000_000), Expr::Column(3))).unwrap();
    assert_eq!(plus.as_primitive::<TimestampMillisecondType>().value(0), 86_400_001);
}

#[test]
fn casts_have_flinks_texts() {
    let shown = texts(&cast(Expr::Column(3), DataType::Utf8, false));
    let expected = [
        "1970-01-01 00:00:00.000",
        "1969-12-31 23:59:59.999",
        "",
        "1970-01-01 01:00:00.000",
        "2020-09-13 12:26:40.123",
    ];
    let expected: Vec<Option<&str>> = expected.iter().map(|t| (!t.is_empty()).then_some(*t)).collect();
    assert_eq!(shown, some(&expected));
    let flags = texts(&cast(Expr::Column(4), DataType::Utf8, false));
    assert_eq!(flags, some(&[Some("TRUE"), Some("FALSE"), None, Some("TRUE"), Some("FALSE")]));
}

#[test]
fn casts_from_text() {
    let of = |value: &str, to: DataType, lenient| run(&cast(text(value), to, lenient));
    let date = of("2020-02-29", DataType::Date32, false).unwrap();
    assert_eq!(date.as_any().downcast_ref::<Date32Array>().unwrap().value(0), 18_321);
    let number = of(" 12 ", DataType::Int64, false).unwrap();
    assert_eq!(number.as_primitive::<Int64Type>().value(0), 12);
    for to in [MILLIS, DataType::Date32, DataType::Int64, DataType::Boolean, DataType::Decimal128(5, 2)] {
        assert_eq!(of("pear", to.clone(), true).unwrap().null_count(), 5, "{to}");
        assert_eq!(of("pear", to.clone(), false).unwrap_err().code(), "E303", "{to}");
    }
    let column = run(&cast(Expr::Column(2), DataType::Int64, false)).unwrap_err();
    assert!(column.detail().unwrap_or_default().contains('s'), "{column} {:?}", column.detail());
}

#[test]
fn zones_lie_between_local_and_instant() {
    let context = CompileContext::new(ClockCell::default(), "America/New_York").unwrap();
    let ltz = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let local = || cast(text("2021-07-01 12:00:00"), MILLIS, false);
    let noon = 1_625_140_800_000;
    let ticks = |expr: &Expr| run_in(expr, &context).unwrap().as_primitive::<TimestampMillisecondType>().value(0);
    assert_eq!(ticks(&local()), noon);
    assert_eq!(ticks(&cast(local(), ltz.clone(), false)), noon + 4 * 3_600_000);
    assert_eq!(ticks(&cast(text("2021-07-01 12:00:00"), ltz.clone(), false)), noon + 4 * 3_600_000);
    assert_eq!(ticks(&cast(cast(local(), ltz.clone(), false), MILLIS, false)), noon);
    let shown = run_in(&cast(cast(local(), ltz.clone(), false), DataType::Utf8, false), &context).unwrap();
    assert_eq!(shown.as_string::<i32>().value(0), "2021-07-01 12:00:00.000");
    let day = run_in(&cast(cast(text("2021-07-01 23:00:00"), ltz, false), DataType::Date32, false), &context).unwrap();
    assert_eq!(day.as_any().downcast_ref::<Date32Array>().unwrap().value(0), 18_809);
    assert!(CompileContext::new(ClockCell::default(), "Nowhere/At_All").is_err());
}

#[test]
fn the_clock_is_the_epochs() {
    let clock = ClockCell::new(5);
    let context = CompileContext::new(clock.clone(), "UTC").unwrap();
    let batch = batch();
    let now = compile(&Expr::EpochClock, &batch.schema(), &context).unwrap();
    for millis in [5, 7] {
        clock.set(millis);
        let times = evaluate(&now, &batch).unwrap();
        assert_eq!(times.len(), batch.num_rows());
        assert_eq!(times.as_primitive::<TimestampMillisecondType>().value(4), millis);
    }
}

#[test]
fn literals_come_back() {
    use ScalarValue as S;
    let zone = Some("UTC".into());
    for scalar in [
        S::Boolean(Some(true)),
        S::Int8(Some(-1)),
        S::UInt64(Some(u64::MAX)),
        S::Float32(Some(0.1)),
        S::Decimal128(Some(-12_345), 10, 2),
        S::Utf8(Some("it's".into())),
        S::Binary(Some(vec![0, 255])),
        S::Date32(Some(-3)),
        S::Time32Millisecond(Some(4)),
        S::TimestampMicrosecond(Some(-4), zone),
        S::DurationSecond(Some(4)),
        S::IntervalMonthDayNano(Some(arrow::datatypes::IntervalMonthDayNano::new(1, -2, 3))),
        S::Int64(None),
        S::Null,
    ] {
        assert_eq!(literal_to_scalar(&scalar_to_literal(&scalar).unwrap()).unwrap(), scalar);
    }
    let wrong = Literal { data_type: DataType::Int8, value: Value::Int(1_000) };
    assert_eq!(literal_to_scalar(&wrong).unwrap_err().code(), "E999");
}

#[test]
fn depth_is_limited() {
    let deep = (0..=EXPRESSION_DEPTH_MAX).fold(Expr::Column(4), |inner, _| Expr::Not(Box::new(inner)));
    assert_eq!(run(&deep).unwrap_err().code(), "E307");
}

fn calc(predicate: Option<&Expr>, projection: &[Expr]) -> Calc {
    let (batch, context) = (batch(), CompileContext::default());
    let schema = batch.schema();
    let field = |(n, e): (usize, &Expr)| Field::new(format!("c{n}"), data_type(e, &schema, &context).unwrap().0, true);
    let output = Schema::new(projection.iter().enumerate().map(field).collect::<Vec<_>>());
    Calc::new(predicate, projection, &schema, Arc::new(output), &context).unwrap()
}

/// What a filter and projection give without any of [`Calc`]'s tricks.
fn expected(predicate: Option<&Expr>, projection: &[Expr]) -> Vec<ArrayRef> {
    let mask = predicate.map(|p| run(p).unwrap().as_boolean().clone());
    let column = |expr: &Expr| {
        let all = run(expr).unwrap();
        mask.as_ref().map_or(Arc::clone(&all), |mask| filter(&all, mask).unwrap())
    };
    projection.iter().map(column).collect()
}

#[test]
fn calc_agrees_with_its_parts() {
    let lower = || call("lower", vec![Expr::Column(2)]);
    let sum = || binary(BinaryOp::Plus, Expr::Column(0), Expr::Column(1));
    let large = |e: Expr, than| binary(BinaryOp::Gt, e, Expr::int64(than));
    let predicates = [
        None,
        Some(large(sum(), 0)),
        Some(large(Expr::Column(0), -100)),
        Some(large(Expr::Column(0), 100)),
        Some(binary(BinaryOp::Or, Expr::IsNotNull(Box::new(lower())), large(sum(), 2))),
        Some(Expr::Column(4)),
        Some(literal(ScalarValue::Boolean(Some(true)))),
        Some(literal(ScalarValue::Boolean(Some(false)))),
    ];
    let is_apple = binary(BinaryOp::Eq, lower(), text("apple"));
    let projections = [
        vec![],
        vec![Expr::Column(2), Expr::Column(0), Expr::Column(2)],
        vec![sum(), lower(), binary(BinaryOp::Multiply, sum(), sum())],
        vec![Expr::int64(7), case(vec![(is_apple, lower())], Some(call("concat", vec![lower(), lower()])))],
    ];
    for predicate in &predicates {
        for projection in &projections {
            let result = calc(predicate.as_ref(), projection).apply(&batch()).unwrap();
            let expected = expected(predicate.as_ref(), projection);
            assert_eq!(result.columns(), expected.as_slice(), "{predicate:?} {projection:?}");
            let rows = predicate.as_ref().map_or(5, |p| run(p).unwrap().as_boolean().true_count());
            assert_eq!(result.num_rows(), rows, "{predicate:?}");
        }
    }
}

#[test]
fn calc_keeps_guards() {
    let guarded = || case(vec![(divisor_is_set(), quotient())], Some(Expr::int64(-1)));
    let result = calc(Some(&divisor_is_set()), &[quotient(), quotient()]).apply(&batch()).unwrap();
    assert_eq!(result.num_rows(), 2);
    let predicate = binary(BinaryOp::GtEq, guarded(), Expr::int64(-5));
    let result = calc(Some(&predicate), &[guarded(), Expr::Column(1)]).apply(&batch()).unwrap();
    assert_eq!(result.column(0).as_primitive::<Int64Type>().values(), &[-1, 0, -1, -1]);
}

#[test]
fn calc_filters_weights_along() {
    let weights = Int64Array::from(vec![1, -1, 2, -2, 3]);
    let positive = binary(BinaryOp::Gt, Expr::Column(0), Expr::int64(0));
    let (rows, kept) = calc(Some(&positive), &[Expr::Column(0)]).apply_with_weights(&batch(), Some(&weights)).unwrap();
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[1, 12]);
    assert_eq!(kept.unwrap().values(), &[-1, 3]);
    let none = binary(BinaryOp::Gt, Expr::Column(0), Expr::int64(1_000));
    let (rows, kept) = calc(Some(&none), &[Expr::Column(0)]).apply_with_weights(&batch(), Some(&weights)).unwrap();
    assert_eq!((rows.num_rows(), kept.unwrap().len()), (0, 0));
}

#[test]
fn calc_leaves_out_the_rows_that_fail() {
    let calc = calc(None, &[quotient(), Expr::Column(2)]);
    assert!(calc.apply(&batch()).is_err());
    let (good, failed) = calc.apply_lossy(&batch()).unwrap();
    assert_eq!(good.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(0), None, None]);
    assert_eq!(failed.iter().map(|(row, error)| (*row, error.code())).collect::<Vec<_>>(), [(0, "E301"), (2, "E301")]);
}
