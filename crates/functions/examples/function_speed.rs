//! Rows per second of the functions and expressions that streams use most, on one core.
//!
//! `cargo run --release -p fleuve-functions --example function_speed`

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use fleuve_base::Result;
use fleuve_functions::compile::{Calc, CompileContext, compile, data_type, evaluate};
use fleuve_plan::{BinaryOp, Expr, Literal, Value};

const ROWS: usize = 8_192;
const PRICE: usize = 2;
const CHANNEL: usize = 3;
const URL: usize = 4;
const TIME: usize = 5;
const EXTRA: usize = 6;

/// Bids as Nexmark makes them.
fn bids() -> Result<RecordBatch> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let numbers = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let mut letters = |length: usize| (0..length).map(|_| char::from(b'a' + random(26) as u8)).collect::<String>();
    let paths: Vec<String> = (0..ROWS).map(|_| format!("{}/{}/{}", letters(3), letters(3), letters(4))).collect();
    let extras: Vec<String> = (0..ROWS).map(|row| letters(80 + row % 40)).collect();
    let channels = (0..ROWS).map(|_| match random(8) {
        0 => "Google".to_string(),
        1 => "Facebook".to_string(),
        2 => "Baidu".to_string(),
        3 => "Apple".to_string(),
        _ => format!("channel-{}", random(10_000)),
    });
    let channels: Vec<String> = channels.collect();
    let urls = paths.iter().zip(&channels).enumerate().map(|(row, (path, channel))| match channel.as_str() {
        "Google" | "Facebook" | "Baidu" | "Apple" => format!("https://www.nexmark.com/{path}/item.htm?query=1"),
        _ => format!("https://www.nexmark.com/{path}/item.htm?query=1&channel_id={}", 1_835_532_288 - row),
    });
    let prices = (0..ROWS).map(|_| 10_f64.powf(2.0 + 6.0 * random(1_000) as f64 / 1_000.0) as i64).collect();
    let columns: [(&str, ArrayRef); 7] = [
        ("auction", numbers((0..ROWS as i64).map(|row| 1_000 + row % 100).collect())),
        ("bidder", numbers((0..ROWS as i64).map(|row| 1_000 + row % 300).collect())),
        ("price", numbers(prices)),
        ("channel", Arc::new(StringArray::from(channels.clone()))),
        ("url", Arc::new(urls.map(Some).collect::<StringArray>())),
        (
            "dateTime",
            Arc::new(TimestampMillisecondArray::from_iter_values((0..ROWS as i64).map(|row| 1_600_000_000_000 + row))),
        ),
        ("extra", Arc::new(StringArray::from(extras))),
    ];
    RecordBatch::try_from_iter(columns).map_err(|e| fleuve_base::Error::internal(e.to_string()))
}

fn text(text: &str) -> Expr {
    Expr::Literal(Literal { data_type: DataType::Utf8, value: Value::String(text.into()) })
}

fn call(function: &str, args: Vec<Expr>) -> Expr {
    Expr::Call { function: function.to_string(), args }
}

fn column(index: usize) -> Expr {
    Expr::Column(index)
}

fn decimal(unscaled: i128, digits: u8, scale: i8) -> Expr {
    Expr::Literal(Literal { data_type: DataType::Decimal128(digits, scale), value: Value::Decimal(unscaled) })
}

fn cast(expr: Expr, to: DataType) -> Expr {
    Expr::Cast { expr: Box::new(expr), to, lenient: false }
}

/// `0.908 * price`.
fn scaled_price() -> Expr {
    Expr::binary(BinaryOp::Multiply, decimal(908, 3, 3), cast(column(PRICE), DataType::Decimal128(20, 0)))
}

fn hour_is(op: BinaryOp, hour: i64) -> Expr {
    Expr::binary(op, call("hour", vec![column(TIME)]), Expr::int64(hour))
}

/// The time of day in q14.
fn bid_time_type() -> Expr {
    let both = |op, left, right| Expr::binary(op, left, right);
    let day = both(BinaryOp::And, hour_is(BinaryOp::GtEq, 8), hour_is(BinaryOp::LtEq, 18));
    let night = both(BinaryOp::Or, hour_is(BinaryOp::LtEq, 6), hour_is(BinaryOp::GtEq, 20));
    Expr::Case {
        operand: None,
        branches: vec![(day, text("dayTime")), (night, text("nightTime"))],
        otherwise: Some(Box::new(text("otherTime"))),
    }
}

fn channel_id() -> Expr {
    call("regexp_extract", vec![column(URL), text("(&|^)channel_id=([^&]*)"), Expr::int64(2)])
}

fn channel_case() -> Expr {
    let is = |name: &str| Expr::binary(BinaryOp::Eq, call("lower", vec![column(CHANNEL)]), text(name));
    let names = ["apple", "google", "facebook", "baidu"].into_iter().zip(["0", "1", "2", "3"]);
    Expr::Case {
        operand: None,
        branches: names.map(|(name, id)| (is(name), text(id))).collect(),
        otherwise: Some(Box::new(channel_id())),
    }
}

fn known_channel() -> Expr {
    let list = ["apple", "google", "facebook", "baidu"].map(text).to_vec();
    Expr::InList { expr: Box::new(call("lower", vec![column(CHANNEL)])), list, negated: false }
}

fn part_of_url(index: i64) -> Expr {
    call("split_index", vec![column(URL), text("/"), Expr::int64(index)])
}

/// The rows per second, in millions, of the best of several runs.
fn measure(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = Duration::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        for _ in 0..50 {
            run()?;
        }
        best = best.min(start.elapsed());
    }
    Ok((ROWS * 50) as f64 / best.as_secs_f64() / 1e6)
}

fn expressions() -> Vec<(&'static str, Expr)> {
    let format = |pattern: &str| call("date_format", vec![column(TIME), text(pattern)]);
    let extra_length = call("char_length", vec![column(EXTRA)]);
    let without_c = call("replace", vec![column(EXTRA), text("c"), text("")]);
    let million = decimal(1_000_000_000, 24, 3);
    vec![
        ("date_format(t, 'yyyy-MM-dd')", format("yyyy-MM-dd")),
        ("date_format(t, 'HH:mm')", format("HH:mm")),
        ("date_format(t, 'yyyy-MM-dd HH:mm:ss.SSS')", format("yyyy-MM-dd HH:mm:ss.SSS")),
        ("hour(t)", call("hour", vec![column(TIME)])),
        ("regexp_extract(url, '(&|^)channel_id=([^&]*)', 2)", channel_id()),
        (
            "regexp_extract(url, 'channel_id=(\\d+)', 1)",
            call("regexp_extract", vec![column(URL), text("channel_id=(\\d+)"), Expr::int64(1)]),
        ),
        ("regexp(url, 'item.*channel')", call("regexp", vec![column(URL), text("item.*channel")])),
        ("split_index(url, '/', 3)", part_of_url(3)),
        ("split_index(url, '/', 5)", part_of_url(5)),
        ("lower(channel)", call("lower", vec![column(CHANNEL)])),
        ("lower(channel) in (4)", known_channel()),
        ("case lower(channel) when (4) else regexp", channel_case()),
        ("replace(extra, 'c', '')", without_c.clone()),
        ("char_length(extra)", extra_length.clone()),
        (
            "char_length(extra) - char_length(replace(extra, 'c', ''))",
            Expr::binary(BinaryOp::Minus, extra_length, call("char_length", vec![without_c])),
        ),
        ("count_char(extra, 'c')", call("count_char", vec![column(EXTRA), text("c")])),
        ("substring(url, 9, 15)", call("substring", vec![column(URL), Expr::int64(9), Expr::int64(15)])),
        ("concat(channel, '-', url)", call("concat", vec![column(CHANNEL), text("-"), column(URL)])),
        ("0.908 * price", scaled_price()),
        ("cast(0.908 * price as decimal(23,3))", cast(scaled_price(), DataType::Decimal128(23, 3))),
        ("0.908 * price > 1000000", Expr::binary(BinaryOp::Gt, scaled_price(), million)),
        ("case hour(t) …", bid_time_type()),
        (
            "mod(auction, 123) = 0",
            Expr::binary(BinaryOp::Eq, call("mod", vec![column(0), Expr::int64(123)]), Expr::int64(0)),
        ),
        ("auction % 123", Expr::binary(BinaryOp::Modulo, column(0), Expr::int64(123))),
        ("cast(t as string)", cast(column(TIME), DataType::Utf8)),
        ("cast(price as string)", cast(column(PRICE), DataType::Utf8)),
    ]
}

/// Predicate and projection of a query.
type Query = (&'static str, Option<Expr>, Vec<Expr>);

fn queries() -> Vec<Query> {
    let bound = |op, unscaled| Expr::binary(op, scaled_price(), decimal(unscaled, 24, 3));
    let q14 = Expr::binary(BinaryOp::And, bound(BinaryOp::Gt, 1_000_000_000), bound(BinaryOp::Lt, 50_000_000_000));
    let count = call("count_char", vec![column(EXTRA), text("c")]);
    let found = Expr::IsNotNull(Box::new(channel_id()));
    let q21 = Expr::binary(BinaryOp::Or, found, known_channel());
    vec![
        ("q1", None, vec![column(0), column(1), scaled_price(), column(TIME), column(EXTRA)]),
        (
            "q2",
            Some(Expr::binary(BinaryOp::Eq, call("mod", vec![column(0), Expr::int64(123)]), Expr::int64(0))),
            vec![column(0), column(PRICE)],
        ),
        (
            "q14",
            Some(q14),
            vec![column(0), column(1), scaled_price(), bid_time_type(), column(TIME), column(EXTRA), count],
        ),
        ("q21", Some(q21), vec![column(0), column(1), column(PRICE), column(CHANNEL), channel_case()]),
        (
            "q22",
            None,
            vec![column(0), column(1), column(PRICE), column(CHANNEL), part_of_url(3), part_of_url(4), part_of_url(5)],
        ),
    ]
}

fn output_schema(projection: &[Expr], schema: &SchemaRef, context: &CompileContext) -> Result<SchemaRef> {
    let field = |(nth, expr): (usize, &Expr)| {
        let (data_type, _) = data_type(expr, schema, context)?;
        Ok(Field::new(format!("c{nth}"), data_type, true))
    };
    let fields = projection.iter().enumerate().map(field).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

fn main() -> Result<()> {
    let batch = bids()?;
    let (schema, context) = (batch.schema(), CompileContext::default());
    println!("{:60} {:>10}", "expression", "M rows/s");
    for (name, expr) in expressions() {
        let compiled = compile(&expr, &schema, &context)?;
        let speed = measure(|| evaluate(&compiled, &batch).map(|array| drop(black_box(array))))?;
        println!("{name:60} {speed:10.1}");
    }
    for (name, predicate, projection) in queries() {
        let output = output_schema(&projection, &schema, &context)?;
        let calc = Calc::new(predicate.as_ref(), &projection, &schema, output, &context)?;
        let rows = calc.apply(&batch)?.num_rows();
        let speed = measure(|| calc.apply(&batch).map(|batch| drop(black_box(batch))))?;
        println!("{:60} {speed:10.1}", format!("{name} as a whole ({rows} of {ROWS} rows pass)"));
    }
    Ok(())
}
