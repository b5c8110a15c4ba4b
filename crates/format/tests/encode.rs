//! JSON and debezium-json encoding, and the way back.

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, TimeUnit};
use fleuve_format::{
    DebeziumDecoder, DebeziumEncoder, Decode, JsonDecoder, JsonEncoder, JsonOptions, OnBad, TimestampFormat, Wanted,
};
use proptest::prelude::*;

fn wanted() -> Vec<Wanted> {
    let inner = DataType::Struct(Fields::from(vec![
        Field::new("x", DataType::Int64, true),
        Field::new("two \"words\"", DataType::Utf8, true),
    ]));
    let entries =
        Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Float64, true)]);
    let map = DataType::Map(Field::new("entries", DataType::Struct(entries), false).into(), false);
    let types = [
        ("i", DataType::Int64),
        ("tiny", DataType::Int8),
        ("f", DataType::Float64),
        ("f32", DataType::Float32),
        ("b", DataType::Boolean),
        ("s", DataType::Utf8),
        ("d", DataType::Decimal128(12, 3)),
        ("bytes", DataType::Binary),
        ("day", DataType::Date32),
        ("time", DataType::Time32(TimeUnit::Millisecond)),
        ("at", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("micros", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        ("list", DataType::new_list(DataType::Utf8, true)),
        ("map", map),
        ("inner", inner),
    ];
    types.into_iter().map(|(name, t)| Wanted::path(name, [name], t)).collect()
}

fn decode(lines: &str) -> RecordBatch {
    let mut decoder = JsonDecoder::new(&wanted(), JsonOptions::default()).expect("types");
    decoder.decode(lines.as_bytes()).expect("valid");
    decoder.flush().expect("valid").batch
}

fn encode(batch: &RecordBatch, format: TimestampFormat) -> String {
    let mut out = Vec::new();
    JsonEncoder::new(&batch.schema(), format).expect("types").encode(batch, &mut out).expect("text");
    String::from_utf8(out).expect("UTF-8")
}

const ROW: &str = concat!(
    r#"{"i":-7,"tiny":5,"f":0.1,"f32":1e-10,"b":true,"s":"a\"\\\n\u0001é","d":-0.050,"bytes":"Zm9v","day":"2016-02-29","time":"01:02:03.004","#,
    r#""at":"2015-07-15 00:00:00.000","micros":"1969-12-31 23:59:59.999999Z","list":["x",null],"map":{"k":1.5,"l":null},"inner":{"x":1,"two \"words\"":"w"}}"#
);

#[test]
fn every_type_is_written_as_it_is_read() {
    assert_eq!(encode(&decode(ROW), TimestampFormat::Sql), format!("{ROW}\n"));
    let iso = ROW.replace("2015-07-15 ", "2015-07-15T").replace("1969-12-31 ", "1969-12-31T");
    assert_eq!(encode(&decode(ROW), TimestampFormat::Iso8601), format!("{iso}\n"));
    assert_eq!(encode(&decode(&iso), TimestampFormat::Sql), format!("{ROW}\n"));
}

#[test]
fn null_is_written_out_and_empty_values_are_kept() {
    let text = encode(&decode("{}\n{\"list\":[],\"map\":{},\"inner\":{}}"), TimestampFormat::Sql);
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with(r#"{"i":null,"tiny":null,"#)
            && lines[0].ends_with(r#""list":null,"map":null,"inner":null}"#)
    );
    assert!(lines[1].ends_with(r#""list":[],"map":{},"inner":{"x":null,"two \"words\"":null}}"#));
}

#[test]
fn records_have_no_newlines_but_ends() {
    let batch = decode("{\"i\":1}\n{\"i\":2}\n").project(&[0]).expect("column 0");
    let (mut out, mut ends) = (b"before".to_vec(), Vec::new());
    JsonEncoder::new(&batch.schema(), TimestampFormat::Sql)
        .expect("types")
        .encode_records(&batch, &mut out, &mut ends)
        .expect("text");
    assert_eq!((out.as_slice(), ends), (&b"before{\"i\":1}{\"i\":2}"[..], vec![13, 20]));
}

#[test]
fn a_type_without_a_text_form_is_refused() {
    let schema = arrow::datatypes::Schema::new(vec![Field::new("d", DataType::Duration(TimeUnit::Second), true)]);
    let error = JsonEncoder::new(&schema, TimestampFormat::Sql).expect_err("refused");
    assert_eq!((error.code(), error.message()), ("E414", "column `d`: Duration(s) cannot be written as text"));
}

proptest! {
    #[test]
    fn floats_and_text_survive(f in any::<f64>(), f32 in any::<f32>(), s in "\\PC{0,20}[\\x00-\\x1f\"\\\\]{0,5}", d in -999_999_999i64..999_999_999) {
        let number = |f: f64| if f.is_finite() { format!("{f:?}") } else if f.is_nan() { "\"NaN\"".into() } else { format!("\"{}Infinity\"", if f < 0.0 { "-" } else { "" }) };
        let single = if f32.is_finite() { format!("{f32:?}") } else { number(f32.into()) };
        let text = serde_json::to_string(&s).expect("a string");
        let first = decode(&format!("{{\"f\":{},\"f32\":{single},\"s\":{text},\"d\":{d}.125}}\n", number(f)));
        let written = encode(&first, TimestampFormat::Sql);
        let value: serde_json::Value = serde_json::from_str(&written).expect("valid JSON");
        prop_assert_eq!(value["s"].as_str(), Some(s.as_str()));
        prop_assert_eq!(encode(&decode(&written), TimestampFormat::Sql), written);
    }
}

// ---- debezium ---------------------------------------------------------------------------------------------------

fn changes(lines: &str, options: JsonOptions) -> fleuve_base::Result<fleuve_format::Decoded> {
    let columns = [
        Wanted { nullable: false, ..Wanted::path("id", ["id"], DataType::Int64) },
        Wanted::path("s", ["s"], DataType::Utf8),
    ];
    let mut decoder = DebeziumDecoder::new(&columns, options)?;
    decoder.decode(lines.as_bytes())?;
    decoder.flush()
}

#[test]
fn a_changelog_reads_as_rows_with_weights() {
    let lines = r#"{"before":null,"after":{"id":1,"s":"a"},"op":"c","ts_ms":5}
{"before":{"id":1,"s":"a"},"after":{"id":1,"s":"b"},"op":"u"}
{"op":"r","after":{"id":2,"s":null}}
{"before":{"id":2,"s":null},"after":null,"op":"d"}
"#;
    let decoded = changes(lines, JsonOptions { track_lines: true, ..JsonOptions::default() }).expect("valid");
    let ids = decoded.batch.column(0).as_primitive::<Int64Type>();
    let texts: Vec<_> = decoded.batch.column(1).as_string::<i32>().iter().collect();
    assert_eq!(ids.values(), &[1, 1, 1, 2, 2]);
    assert_eq!(texts, [Some("a"), Some("a"), Some("b"), None, None]);
    assert_eq!(decoded.weights.as_ref().map(|weights| weights.values().to_vec()), Some(vec![1, -1, 1, 1, -1]));
    assert_eq!(decoded.lines, [1, 2, 2, 3, 4]);
    assert!(!decoded.batch.schema().field(0).is_nullable());
}

#[test]
fn contradictory_envelopes_are_bad_rows() {
    let message = |line: &str| changes(line, JsonOptions::default()).expect_err("bad").message().to_owned();
    assert_eq!(
        message(r#"{"after":{"id":1},"op":"x"}"#),
        "this row is not valid debezium-json: op is \"x\", but must be one of c, r, u and d"
    );
    assert_eq!(
        message(r#"{"after":{"id":1},"op":"d"}"#),
        "this row is not valid debezium-json: op is \"d\", but `before` is null"
    );
    assert_eq!(
        message(r#"{"after":{"s":"x"},"op":"c"}"#),
        "this row is not valid debezium-json: column `id` is NOT NULL, but the value is null or missing"
    );
    assert_eq!(
        message(r#"{"after":{"id":1}}"#),
        "this row is not valid JSON: column `op` is NOT NULL, but the field is missing"
    );
    let skipped = changes(
        "{\"after\":{\"id\":1},\"op\":\"x\"}\n{\"after\":{\"id\":2},\"op\":\"c\"}\n",
        JsonOptions { on_bad: OnBad::Skip, ..JsonOptions::default() },
    )
    .expect("skipped");
    assert_eq!((skipped.batch.num_rows(), skipped.skipped), (1, 1));
}

#[test]
fn a_changelog_is_written_as_flink_does_and_reads_back() {
    let batch = changes(
        "{\"after\":{\"id\":1,\"s\":\"a\"},\"op\":\"c\"}\n{\"after\":{\"id\":2},\"op\":\"c\"}\n",
        JsonOptions::default(),
    )
    .expect("valid")
    .batch;
    let encoder = DebeziumEncoder::new(&batch.schema(), TimestampFormat::Sql).expect("types");
    let mut out = Vec::new();
    encoder.encode(&batch, Some(&Int64Array::from(vec![-1, 2])), &mut out).expect("text");
    let text = String::from_utf8(out).expect("UTF-8");
    assert_eq!(
        text,
        concat!(
            "{\"before\":{\"id\":1,\"s\":\"a\"},\"after\":null,\"op\":\"d\"}\n",
            "{\"before\":null,\"after\":{\"id\":2,\"s\":null},\"op\":\"c\"}\n",
            "{\"before\":null,\"after\":{\"id\":2,\"s\":null},\"op\":\"c\"}\n"
        )
    );
    let back = changes(&text, JsonOptions::default()).expect("valid");
    assert_eq!(back.weights.expect("weights").values(), &[-1, 1, 1]);
    let mut ends = Vec::new();
    encoder.encode_records(&batch, None, &mut Vec::new(), &mut ends).expect("text");
    assert_eq!(ends.len(), 2);
}
