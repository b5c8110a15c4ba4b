//! CSV: round trips, the options, and what is said about bad rows.

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use fleuve_format::{CsvDecoder, CsvEncoder, CsvOptions, Decode, Decoded, OnBad, lines};
use proptest::prelude::*;
use std::sync::Arc;

fn file() -> Schema {
    Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        Field::new("price", DataType::Decimal128(10, 2), true),
        Field::new("ratio", DataType::Float64, true),
    ])
}

fn decode(options: CsvOptions, text: &[u8]) -> fleuve_base::Result<Decoded> {
    let mut decoder = CsvDecoder::new(&file(), &[0, 1, 2, 3, 4], options)?;
    decoder.seek("orders.csv", 1, 0);
    decoder.decode(text)?;
    decoder.flush()
}

fn ids(decoded: &Decoded) -> Vec<Option<i64>> {
    decoded.batch.column(0).as_primitive::<Int64Type>().iter().collect()
}

fn message(text: &str) -> String {
    decode(CsvOptions::default(), text.as_bytes()).expect_err("a bad row").to_string()
}

proptest! {
    #[test]
    fn what_is_written_reads_back(rows in proptest::collection::vec((any::<Option<i64>>(), proptest::option::of("[a-z,;\"\\\\#\r\né ]{0,12}|NULL"),
            proptest::option::of(-10_000_000_000_000i64..10_000_000_000_000), proptest::option::of(-99_999_999i128..99_999_999), proptest::option::of(-1e300f64..1e300)), 1..40),
            delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t'), Just(b'|')], escape in prop_oneof![Just(None), Just(Some(b'\\'))], header in any::<bool>(), projected in any::<bool>()) {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.2).collect::<TimestampMillisecondArray>()),
            Arc::new(rows.iter().map(|row| row.3).collect::<Decimal128Array>().with_precision_and_scale(10, 2).expect("fits")),
            Arc::new(rows.iter().map(|row| row.4).collect::<Float64Array>()),
        ];
        let batch = RecordBatch::try_new(Arc::new(file()), columns).expect("columns");
        let options = CsvOptions { delimiter, escape, header, null_literal: Some("NULL".into()), ..CsvOptions::default() };
        let encoder = CsvEncoder::new(&file(), options.clone()).expect("types");
        let mut text = Vec::new();
        if header {
            encoder.encode_header(&file(), &mut text);
        }
        encoder.encode(&batch, &mut text).expect("text");
        prop_assert!(escape.is_some() || lines::whole_csv_rows(&text, b'"') == text.len());
        let projection: Vec<usize> = if projected { vec![3, 1] } else { vec![0, 1, 2, 3, 4] };
        let mut decoder = CsvDecoder::new(&file(), &projection, options).expect("types");
        decoder.decode(&text).map_err(|e| TestCaseError::fail(format!("{e}: {}", String::from_utf8_lossy(&text))))?;
        let decoded = decoder.flush().expect("a batch");
        prop_assert_eq!(&decoded.batch, &batch.project(&projection).expect("columns"));
        prop_assert_eq!(decoded.lines_read as usize, text.iter().filter(|byte| **byte == b'\n').count());
    }

    #[test]
    fn mutated_text_never_panics(edits in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(b'"'), Just(b','), Just(b'\n')]), 0..20), skip in any::<bool>()) {
        let mut text = b"1,plain,2015-07-15 00:00:00.000,1.25,0.5\n2,\"quo\"\"ted\",,,\n3,\"two\nlines\",2015-07-15 00:00:00.000,1.25,0.5\n".repeat(3);
        for (at, byte) in edits {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let options = CsvOptions { on_bad: if skip { OnBad::Skip } else { OnBad::Collect }, track_lines: true, ..CsvOptions::default() };
        let decoded = decode(options, &text).expect("bad rows are left out");
        prop_assert_eq!(decoded.lines.len(), decoded.batch.num_rows());
        prop_assert_eq!(decoded.bad.len() as u64, if skip { 0 } else { decoded.skipped });
    }
}

#[test]
fn null_and_empty() {
    let decoded = decode(CsvOptions::default(), b"1,,,,\n,\"\",2015-07-15 00:00:00,,1\n").expect("valid");
    assert_eq!(ids(&decoded), [Some(1), None]);
    let names = decoded.batch.column(1).as_string::<i32>();
    assert_eq!((names.value(0), names.value(1), names.null_count()), ("", "", 0));
    let options = CsvOptions { null_literal: Some("\\N".into()), ..CsvOptions::default() };
    let decoded = decode(options, b"\\N,\\N,\\N,\\N,\\N\n").expect("valid");
    assert!(decoded.batch.columns().iter().all(|column| column.null_count() == 1));
}

#[test]
fn header_comments_blank_lines_and_carriage_returns() {
    let options = CsvOptions { header: true, allow_comments: true, track_lines: true, ..CsvOptions::default() };
    let text = b"id,name,at,price,ratio\r\n# a comment, with \"quote\r\n\r\n1,a,,,\r\n2,b,,,2";
    let decoded = decode(options.clone(), text).expect("valid");
    assert_eq!((ids(&decoded), decoded.lines), (vec![Some(1), Some(2)], vec![4, 5]));
    // The header stands at the beginning of the file only.
    let mut decoder = CsvDecoder::new(&file(), &[0], options).expect("types");
    decoder.seek("orders.csv", 100, 5000);
    decoder.decode(b"1,a,,,\n").expect("valid");
    assert_eq!(decoder.flush().expect("a batch").lines, [100]);
}

#[test]
fn quoted_fields_hold_anything() {
    let text = b"1,\"a,b\",,,\n2,\"say \"\"hi\"\"\",,,\n3,\"two\nlines\",,,\n4,mid\"quote,,,\n";
    let decoded = decode(CsvOptions { track_lines: true, ..CsvOptions::default() }, text).expect("valid");
    let names: Vec<_> = decoded.batch.column(1).as_string::<i32>().iter().flatten().collect();
    assert_eq!(names, ["a,b", "say \"hi\"", "two\nlines", "mid\"quote"]);
    assert_eq!((decoded.lines, decoded.lines_read), (vec![1, 2, 3, 5], 5));
}

#[test]
fn rows_longer_than_a_block() {
    let long = "line\n".repeat(40_000);
    let text = format!("1,a,,,\n2,\"{long}\",,,\n3,c,,,\n");
    let decoded = decode(CsvOptions::default(), text.as_bytes()).expect("valid");
    assert_eq!(ids(&decoded), [Some(1), Some(2), Some(3)]);
    assert_eq!(decoded.batch.column(1).as_string::<i32>().value(1), long);
}

#[test]
fn errors_name_line_and_column() {
    assert_eq!(
        message("1,a,,,\nx,b,,,\n"),
        "error[E410]: this row is not valid CSV: column `id`: expected a BIGINT, found \"x\" (orders.csv:2:1)"
    );
    assert_eq!(
        message("1,a,,\n"),
        "error[E410]: this row is not valid CSV: expected 5 columns, found 4 (orders.csv:1:6)"
    );
    assert_eq!(
        message("1,a,,,,\n"),
        "error[E410]: this row is not valid CSV: expected 5 columns, found 6 (orders.csv:1:8)"
    );
    assert_eq!(
        message("1,a,yesterday,,\n"),
        "error[E410]: this row is not valid CSV: column `at`: expected a TIMESTAMP(3) such as 2015-07-15 00:00:00.000, found \"yesterday\" (orders.csv:1:5)"
    );
    assert_eq!(
        message("1,a,,,\n2,\"open,,,\n"),
        "error[E410]: this row is not valid CSV: this quote is not closed (orders.csv:2:3)"
    );
    assert_eq!(
        message("1,\"a\"b,,,\n"),
        "error[E410]: this row is not valid CSV: expected a delimiter or the end of the line after the closing quote (orders.csv:1:6)"
    );
    assert_eq!(
        message("1,a,,123456789.5,\n"),
        "error[E410]: this row is not valid CSV: column `price`: \"123456789.5\" does not fit a DECIMAL(10, 2) (orders.csv:1:6)"
    );
}

#[test]
fn ignoring_parse_errors_takes_ragged_rows() {
    let options = CsvOptions { ignore_parse_errors: true, on_bad: OnBad::Skip, ..CsvOptions::default() };
    let decoded = decode(options, b"1\nx,b,,,\n3,c,,,,more\n").expect("forgiven");
    assert_eq!((ids(&decoded), decoded.nulled), (vec![Some(1), None, Some(3)], 1));
}

#[test]
fn collected_rows_are_whole() {
    let options = CsvOptions { on_bad: OnBad::Collect, ..CsvOptions::default() };
    let decoded = decode(options, b"x,\"two\nlines\",,,\n2,b,,,\n").expect("collected");
    assert_eq!((ids(&decoded), decoded.bad.len()), (vec![Some(2)], 1));
    assert_eq!((decoded.bad[0].raw.as_slice(), decoded.bad[0].line), (&b"x,\"two\nlines\",,,"[..], 1));
}

#[test]
fn records_may_hold_newlines() {
    let mut decoder =
        CsvDecoder::new(&file(), &[0, 1], CsvOptions { track_lines: true, max_of: vec![0], ..CsvOptions::default() })
            .expect("types");
    for record in [&b"1,a,,,"[..], b"7,\"two\nlines\",,,", b"3,c,,,"] {
        decoder.push_record(record).expect("valid");
    }
    let decoded = decoder.flush().expect("a batch");
    assert_eq!((decoded.lines, decoded.max_timestamp), (vec![1, 2, 3], Some(7)));
    assert_eq!(decoded.batch.column(1).as_string::<i32>().value(1), "two\nlines");
}

#[test]
fn arrays_are_split_at_their_delimiter() {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("tags", DataType::new_list(DataType::Int64, true), true),
    ]);
    let mut decoder = CsvDecoder::new(&schema, &[1], CsvOptions::default()).expect("types");
    decoder.decode(b"1,1;2;3\n2,\n").expect("valid");
    let batch = decoder.flush().expect("a batch").batch;
    assert_eq!(batch.column(0).as_list::<i32>().value(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
    let mut text = Vec::new();
    CsvEncoder::new(&batch.schema(), CsvOptions::default()).expect("types").encode(&batch, &mut text).expect("text");
    assert_eq!(text, b"1;2;3\n\n");
}
