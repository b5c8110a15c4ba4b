//! The JSON decoder against serde_json's view of the same lines, and what it says about bad ones.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Field, Fields, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMillisecondType,
};
use fleuve_format::{Condition, Decode, Decoded, JsonDecoder, JsonOptions, Literal, OnBad, Prefilter, Wanted};
use proptest::prelude::*;
use serde_json::Value;

fn decode(wanted: &[Wanted], options: JsonOptions, lines: &str) -> fleuve_base::Result<Decoded> {
    let mut decoder = JsonDecoder::new(wanted, options)?;
    decoder.seek("events.json", 1, 0);
    decoder.decode(lines.as_bytes())?;
    decoder.flush()
}

fn batch(wanted: &[Wanted], lines: &str) -> RecordBatch {
    decode(wanted, JsonOptions::default(), lines).expect("valid lines").batch
}

fn message(wanted: &[Wanted], lines: &str) -> String {
    decode(wanted, JsonOptions::default(), lines).expect_err("a bad line").to_string()
}

fn top(name: &str, data_type: DataType) -> Wanted {
    Wanted::path(name, [name], data_type)
}

fn millis() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}

fn row(fields: &[(&str, DataType, bool)]) -> DataType {
    DataType::Struct(fields.iter().map(|(name, t, null)| Field::new(*name, t.clone(), *null)).collect::<Fields>())
}

/// A value of the array as JSON, to be compared with serde_json's.
fn cell(array: &dyn Array, at: usize) -> Value {
    if array.is_null(at) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Int32 => array.as_primitive::<Int32Type>().value(at).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(at).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(at).into(),
        DataType::Boolean => array.as_boolean().value(at).into(),
        DataType::Utf8 => array.as_string::<i32>().value(at).into(),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(at);
            (0..items.len()).map(|at| cell(&items, at)).collect()
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(at);
            let pairs = (0..entries.len())
                .map(|at| (entries.column(0).as_string::<i32>().value(at).to_owned(), cell(entries.column(1), at)));
            Value::Object(pairs.collect())
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            Value::Object(fields.iter().zip(columns).map(|(f, c)| (f.name().clone(), cell(c, at))).collect())
        }
        other => panic!("{other}"),
    }
}

fn cells(batch: &RecordBatch) -> Vec<Value> {
    let names = batch.schema();
    (0..batch.num_rows())
        .map(|at| {
            let columns = batch.columns().iter().zip(names.fields());
            Value::Object(columns.map(|(column, field)| (field.name().clone(), cell(column, at))).collect())
        })
        .collect()
}

// ---- against serde_json -----------------------------------------------------------------------------------------

/// The type of every random record.
fn record_type() -> Vec<Wanted> {
    let inner = row(&[
        ("x", DataType::Int64, true),
        ("s", DataType::Utf8, true),
        ("deep", row(&[("b", DataType::Boolean, true)]), true),
    ]);
    let list_of_rows = DataType::new_list(row(&[("k", DataType::Int64, true), ("v", DataType::Utf8, true)]), true);
    let entries =
        Field::new("entries", row(&[("key", DataType::Utf8, false), ("value", DataType::Int64, true)]), false);
    vec![
        top("i", DataType::Int64),
        top("f", DataType::Float64),
        top("b", DataType::Boolean),
        top("s", DataType::Utf8),
        top("list", DataType::new_list(DataType::Int64, true)),
        top("words", DataType::new_list(DataType::Utf8, true)),
        top("rows", list_of_rows),
        top("map", DataType::Map(entries.into(), false)),
        top("inner", inner),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z ]{0,12}", 2 => "\\PC{0,8}", 1 => "[\"\\\\/\n\t\u{1}é😀]{0,6}", 1 => "[a-z]{60,200}"]
}

fn or_null(value: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![6 => value.prop_map(Some), 1 => Just(Some(Value::Null)), 1 => Just(None)]
}

fn object(pairs: Vec<(&str, Option<Value>)>) -> Value {
    Value::Object(pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

fn record() -> impl Strategy<Value = Value> {
    let int = || any::<i64>().prop_map(Value::from);
    let boolean = || any::<bool>().prop_map(Value::from);
    let string = || text().prop_map(Value::from);
    let float = any::<f64>().prop_filter_map("finite", |f| f.is_finite().then(|| Value::from(f)));
    let list =
        proptest::collection::vec(or_null(int()).prop_map(|v| v.unwrap_or(Value::Null)), 0..5).prop_map(Value::from);
    let words = proptest::collection::vec(string(), 0..4).prop_map(Value::from);
    let pair = (or_null(int()), or_null(string())).prop_map(|(k, v)| object(vec![("k", k), ("v", v)]));
    let rows = proptest::collection::vec(pair, 0..3).prop_map(Value::from);
    let map =
        proptest::collection::btree_map(text(), int(), 0..4).prop_map(|map| Value::Object(map.into_iter().collect()));
    let deep = or_null(boolean()).prop_map(|b| object(vec![("b", b)]));
    let inner = (or_null(int()), or_null(string()), or_null(deep))
        .prop_map(|(x, s, deep)| object(vec![("x", x), ("s", s), ("deep", deep)]));
    let junk = or_null(prop_oneof![string(), Just(serde_json::json!({"s": {"i": [1, {"b": 2}]}}))]);
    (
        or_null(int()),
        or_null(float),
        or_null(boolean()),
        or_null(string()),
        or_null(list),
        or_null(words),
        or_null(rows),
        or_null(map),
        (or_null(inner), junk),
    )
        .prop_map(|(i, f, b, s, list, words, rows, map, (inner, junk))| {
            object(vec![
                ("i", i),
                ("f", f),
                ("b", b),
                ("s", s),
                ("list", list),
                ("words", words),
                ("rows", rows),
                ("map", map),
                ("inner", inner),
                ("junk", junk),
            ])
        })
}

/// Writes a value with blanks, another order of keys and needless escapes, as `noise` has it.
fn write(value: &Value, noise: &mut impl Iterator<Item = u8>, out: &mut String) {
    let blank = |noise: &mut dyn Iterator<Item = u8>, out: &mut String| {
        out.push_str(["", "", "", "", " ", "\t", "  \r", " \t "][noise.next().unwrap_or(0) as usize % 8]);
    };
    match value {
        Value::String(text) => write_text(text, noise, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                blank(noise, out);
                write(item, noise, out);
                blank(noise, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            let turn = noise.next().unwrap_or(0) as usize;
            if !fields.is_empty() {
                let middle = turn % fields.len();
                fields.rotate_left(middle);
            }
            out.push('{');
            for (at, (name, item)) in fields.into_iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                blank(noise, out);
                write_text(name, noise, out);
                blank(noise, out);
                out.push(':');
                blank(noise, out);
                write(item, noise, out);
                blank(noise, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn write_text(text: &str, noise: &mut impl Iterator<Item = u8>, out: &mut String) {
    if !noise.next().unwrap_or(0).is_multiple_of(4) {
        out.push_str(&serde_json::to_string(text).expect("a string"));
        return;
    }
    out.push('"');
    let mut units = [0; 2];
    for character in text.chars() {
        for unit in character.encode_utf16(&mut units) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out.push('"');
}

/// What a record of random fields should decode to: every field there, NULL where it was missing.
fn filled(value: &Value, data_type: &DataType) -> Value {
    match (data_type, value) {
        (DataType::Struct(fields), Value::Object(object)) => {
            let field = |f: &Field| filled(object.get(f.name()).unwrap_or(&Value::Null), f.data_type());
            Value::Object(fields.iter().map(|f| (f.name().clone(), field(f))).collect())
        }
        (DataType::List(item), Value::Array(items)) => {
            items.iter().map(|value| filled(value, item.data_type())).collect()
        }
        _ => value.clone(),
    }
}

proptest! {
    #[test]
    fn decoded_equals_serde_json(records in proptest::collection::vec(record(), 1..12), noise in proptest::collection::vec(any::<u8>(), 0..400),
                                 repeat in 1usize..4, strict in any::<bool>()) {
        // Shapes are learned from the first round and used in the others.
        let mut lines = String::new();
        let mut noise = noise.into_iter();
        for record in &records {
            write(record, &mut noise, &mut lines);
            lines.push('\n');
        }
        let wanted = record_type();
        let options = JsonOptions { strict, ..JsonOptions::default() };
        let decoded = decode(&wanted, options, &lines.repeat(repeat)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let schema = row(&wanted.iter().map(|w| (w.name.as_str(), w.data_type.clone(), true)).collect::<Vec<_>>());
        let expected: Vec<Value> = records.iter().map(|record| filled(record, &schema)).collect();
        prop_assert_eq!(cells(&decoded.batch), vec![expected; repeat].concat());
    }

    #[test]
    fn flat_paths_see_what_the_row_holds(records in proptest::collection::vec(record(), 1..20)) {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        let paths = [Wanted::path("x", ["inner", "x"], DataType::Int64), Wanted::path("b", ["inner", "deep", "b"], DataType::Boolean), top("s", DataType::Utf8)];
        let found = cells(&batch(&paths, &lines));
        for (record, found) in records.iter().zip(found) {
            prop_assert_eq!(&found["x"], &record["inner"]["x"]);
            prop_assert_eq!(&found["b"], &record["inner"]["deep"]["b"]);
            prop_assert_eq!(&found["s"], &record["s"]);
        }
    }

    #[test]
    fn records_pushed_one_by_one_are_the_same_rows(records in proptest::collection::vec(record(), 1..40)) {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        let mut decoder = JsonDecoder::new(&record_type(), JsonOptions { track_lines: true, ..JsonOptions::default() }).expect("types");
        for record in &records {
            // Pretty-printed records hold newlines.
            decoder.push_record(serde_json::to_string_pretty(record).expect("JSON").as_bytes()).expect("valid");
        }
        let decoded = decoder.flush().expect("valid");
        prop_assert_eq!(cells(&decoded.batch), cells(&batch(&record_type(), &lines)));
        prop_assert_eq!(decoded.lines, (1..=records.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn records_in_place_are_what_copies_of_them_are(
        records in proptest::collection::vec((record(), any::<bool>(), 0u8..3), 1..40),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..6),
        strict in any::<bool>(),
    ) {
        let mut values: Vec<Vec<u8>> = records.iter().map(|(record, pretty, _)| match pretty {
            true => serde_json::to_vec_pretty(record).expect("JSON"),
            false => serde_json::to_vec(record).expect("JSON"),
        }).collect();
        for (record, at, byte) in edits {
            let value = &mut values[record.index(records.len())];
            // An earlier edit may have cut all of it off.
            if value.is_empty() {
                continue;
            }
            let at = at.index(value.len());
            // A third of the edits cut the record off.
            if byte % 3 == 0 { value.truncate(at) } else { value[at] = byte }
        }
        let (mut block, mut places) = (vec![], vec![]);
        for (value, (_, _, headers)) in values.iter().zip(&records) {
            block.extend([0x9c, 0x05, b'\n', b'"']);
            places.push((block.len() as u32, (block.len() + value.len()) as u32));
            block.extend(value);
            // Mostly nothing follows; headers begin with their number.
            block.push(if *headers == 1 { b',' } else { 0 });
        }
        let options = || JsonOptions { track_lines: true, on_bad: OnBad::Collect, strict, ..JsonOptions::default() };
        let mut in_place = JsonDecoder::new(&record_type(), options()).expect("types");
        in_place.decode_records(&block, &places).expect("bad records are collected");
        let in_place = in_place.flush().expect("a batch");
        let mut copied = JsonDecoder::new(&record_type(), options()).expect("types");
        values.iter().for_each(|value| copied.push_record(value).expect("bad records are collected"));
        let copied = copied.flush().expect("a batch");
        prop_assert_eq!(cells(&in_place.batch), cells(&copied.batch));
        prop_assert_eq!(&in_place.lines, &copied.lines);
        prop_assert_eq!((in_place.lines_read, in_place.skipped), (copied.lines_read, copied.skipped));
        let told = |decoded: &Decoded| decoded.bad.iter().map(|bad| (bad.line, bad.column, bad.reason.clone())).collect::<Vec<_>>();
        prop_assert_eq!(told(&in_place), told(&copied));
    }

    #[test]
    fn mutated_lines_never_panic_and_lose_nothing(records in proptest::collection::vec(record(), 1..6), edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12), policy in 0u8..3) {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        let mut bytes = lines.repeat(2).into_bytes();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let on_bad = [OnBad::Fail, OnBad::Skip, OnBad::Collect][policy as usize];
        let options = JsonOptions { on_bad, max_of: vec![vec!["i".into()]], track_lines: true, ..JsonOptions::default() };
        let mut decoder = JsonDecoder::new(&record_type(), options).expect("types");
        let Ok(()) = decoder.decode(&bytes) else { return Ok(()) };
        let decoded = decoder.flush().expect("what was decoded makes a batch");
        let blank = bytes.split(|b| *b == b'\n').filter(|line| line.iter().all(|b| b" \t\r".contains(b))).count();
        let lines = bytes.split(|b| *b == b'\n').count();
        prop_assert_eq!(decoded.batch.num_rows() + decoded.skipped as usize, lines - blank);
        prop_assert_eq!(decoded.lines.len(), decoded.batch.num_rows());
        prop_assert_eq!(decoded.bad.len() as u64, if policy == 2 { decoded.skipped } else { 0 });
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b'{'), Just(b'}'), Just(b','), Just(b':'), Just(b'\n'), Just(b'i')], 0..400)) {
        let options = JsonOptions { on_bad: OnBad::Skip, ignore_parse_errors: true, ..JsonOptions::default() };
        let mut decoder = JsonDecoder::new(&record_type(), options).expect("types");
        decoder.decode(&bytes).expect("bad rows are skipped");
        decoder.flush().expect("a batch");
    }

    #[test]
    fn the_result_does_not_depend_on_what_was_learned(records in proptest::collection::vec(record(), 2..20), kind in -3i64..3) {
        // Every line by itself, by a decoder that knows nothing yet, against all lines by one decoder.
        let options = || JsonOptions {
            prefilter: vec![Prefilter { path: vec!["b".into()], condition: Condition::AnyOf(vec![Literal::Bool(kind > 0)]) }],
            max_of: vec![vec!["i".into()], vec!["inner".into(), "x".into()]],
            ..JsonOptions::default()
        };
        let wanted = [Wanted::path("x", ["inner", "x"], DataType::Int64), top("s", DataType::Utf8)];
        let lines: Vec<String> = records.iter().map(|record| format!("{record}\n")).collect();
        let together = decode(&wanted, options(), &lines.concat().repeat(2)).expect("valid");
        let alone: Vec<Decoded> = lines.iter().map(|line| decode(&wanted, options(), line).expect("valid")).collect();
        let rows: Vec<Value> = alone.iter().flat_map(|decoded| cells(&decoded.batch)).collect();
        prop_assert_eq!(cells(&together.batch), vec![rows; 2].concat());
        prop_assert_eq!(together.max_timestamp, alone.iter().filter_map(|decoded| decoded.max_timestamp).max());
        prop_assert_eq!(together.filtered, 2 * alone.iter().map(|decoded| decoded.filtered).sum::<u64>());
        let truth = records.iter().flat_map(|r| [r["i"].as_i64(), r["inner"]["x"].as_i64()]).flatten().max();
        prop_assert_eq!(together.max_timestamp, truth);
    }
}

proptest! {
    #[test]
    fn errors_do_not_depend_on_what_was_learned(records in proptest::collection::vec(record(), 1..6), edits in proptest::collection::vec((any::<prop::sample::Index>(), 32u8..127), 1..40), flat in any::<bool>(), strict in any::<bool>(), forgiving in any::<bool>()) {
        let flat_paths = vec![Wanted::path("b", ["inner", "deep", "b"], DataType::Boolean), top("s", DataType::Utf8), Wanted { nullable: false, ..top("i", DataType::Int64) }];
        let wanted = if flat { flat_paths } else { record_type() };
        let options = || JsonOptions {
            on_bad: OnBad::Collect, strict, ignore_parse_errors: forgiving, max_of: vec![vec!["inner".into(), "x".into()]],
            prefilter: if flat { vec![Prefilter { path: vec!["inner".into()], condition: Condition::NotNull }] } else { Vec::new() },
            ..JsonOptions::default()
        };
        // The valid lines first, so that their shapes are known; then broken ones.
        let mut lines: Vec<String> = records.iter().map(|record| record.to_string()).collect();
        for (at, byte) in edits {
            let mut line = lines[at.index(records.len())].clone().into_bytes();
            let place = at.index(line.len());
            line[place] = byte;
            lines.extend(String::from_utf8(line));
        }
        let together = decode(&wanted, options(), &lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("collected");
        let alone: Vec<Decoded> = lines.iter().map(|line| decode(&wanted, options(), line).expect("collected")).collect();
        prop_assert_eq!(cells(&together.batch), alone.iter().flat_map(|decoded| cells(&decoded.batch)).collect::<Vec<_>>());
        let reasons = |decoded: &Decoded| decoded.bad.iter().map(|bad| (bad.column, bad.reason.clone(), bad.raw.clone())).collect::<Vec<_>>();
        prop_assert_eq!(reasons(&together), alone.iter().flat_map(reasons).collect::<Vec<_>>());
        prop_assert_eq!(together.max_timestamp, alone.iter().filter_map(|decoded| decoded.max_timestamp).max());
        prop_assert_eq!((together.filtered, together.nulled), (alone.iter().map(|d| d.filtered).sum(), alone.iter().map(|d| d.nulled).sum()));
    }
}

// ---- prefilter and watermark ------------------------------------------------------------------------------------

const EVENTS: &str = r#"{"event_type":0,"person":{"id":1,"dateTime":"2015-07-15 00:00:09.000"},"bid":null}
{"event_type":2,"person":null,"bid":{"auction":7,"price":70,"dateTime":"2015-07-15 00:00:01.500","extra":"x"}}
{"event_type":2,"person":null,"bid":{"auction":8,"price":80,"dateTime":"2015-07-15 00:00:02.500","extra":"y"}}
{"event_type":1,"person":null,"auction":{"junk":[1,2]},"bid":null}
{"person":null,"bid":{"auction":9,"price":90,"dateTime":"2015-07-15 00:00:03.500"}}
"#;

fn bids() -> JsonOptions {
    JsonOptions {
        prefilter: vec![Prefilter {
            path: vec!["event_type".into()],
            condition: Condition::AnyOf(vec![Literal::Int(2)]),
        }],
        max_of: vec![vec!["person".into(), "dateTime".into()], vec!["bid".into(), "dateTime".into()]],
        track_lines: true,
        ..JsonOptions::default()
    }
}

#[test]
fn a_prefilter_drops_rows_but_not_their_timestamps() {
    let wanted = [
        Wanted::path("auction", ["bid", "auction"], DataType::Int64),
        Wanted::path("dateTime", ["bid", "dateTime"], millis()),
    ];
    let decoded = decode(&wanted, bids(), EVENTS).expect("valid");
    assert_eq!(decoded.batch.column(0).as_primitive::<Int64Type>().values(), &[7, 8]);
    assert_eq!(
        decoded.batch.column(1).as_primitive::<TimestampMillisecondType>().values(),
        &[1_436_918_401_500, 1_436_918_402_500]
    );
    assert_eq!(decoded.max_timestamp, Some(1_436_918_409_000), "the person's, which was filtered away");
    assert_eq!(decoded.lines, [2, 3]);
    assert_eq!((decoded.filtered, decoded.lines_read), (3, 5), "a missing event_type is NULL and passes nothing");
}

#[test]
fn a_prefilter_may_ask_for_an_object_or_for_text() {
    let wanted = [Wanted::path("price", ["bid", "price"], DataType::Int64)];
    let with = |path: &[&str], condition| {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        let options = JsonOptions { prefilter: vec![Prefilter { path, condition }], ..JsonOptions::default() };
        let decoded = decode(&wanted, options, EVENTS).expect("valid");
        decoded.batch.column(0).as_primitive::<Int64Type>().values().to_vec()
    };
    assert_eq!(with(&["bid"], Condition::NotNull), [70, 80, 90]);
    assert_eq!(
        with(&["bid", "extra"], Condition::AnyOf(vec![Literal::Text("y".into()), Literal::Text("z".into())])),
        [80]
    );
    assert_eq!(with(&["bid", "extra"], Condition::NotNull), [70, 80]);
}

#[test]
fn a_prefilter_on_a_value_of_another_type_makes_the_row_bad() {
    let error = decode(&[top("x", DataType::Int64)], bids(), "{\"event_type\":\"two\"}\n").expect_err("not comparable");
    assert_eq!(
        error.to_string(),
        "error[E410]: this row is not valid JSON: this value cannot be compared with the constants that the query filters by (events.json:1:16)"
    );
}

// ---- bad rows ---------------------------------------------------------------------------------------------------

#[test]
fn errors_name_line_column_and_what_was_found() {
    let price = [top("price", DataType::Int64)];
    assert_eq!(
        message(&price, "{\"price\":1}\n{\"price\":\"abc\"}\n"),
        "error[E410]: this row is not valid JSON: column `price`: expected a BIGINT, found the string \"abc\" (events.json:2:11)"
    );
    assert_eq!(
        message(&price, "{\"price\":1.5}"),
        "error[E410]: this row is not valid JSON: column `price`: expected a BIGINT, found the number 1.5 (events.json:1:10)"
    );
    assert_eq!(
        message(&[top("n", DataType::Int32)], "{\"n\":3000000000}"),
        "error[E410]: this row is not valid JSON: column `n`: the number 3000000000 does not fit an INT (events.json:1:6)"
    );
    assert_eq!(
        message(&[top("at", millis())], "{\"at\":\"15/07/2015\"}"),
        "error[E410]: this row is not valid JSON: column `at`: expected a TIMESTAMP(3) such as 2015-07-15 00:00:00.000, found the string \"15/07/2015\" (events.json:1:8)"
    );
    assert_eq!(
        message(&[top("at", millis())], "{\"at\":1436918400000}"),
        "error[E410]: this row is not valid JSON: column `at`: expected a TIMESTAMP(3) such as 2015-07-15 00:00:00.000, found the number 1436918400000; for epoch milliseconds declare the column BIGINT and use TO_TIMESTAMP_LTZ (events.json:1:7)"
    );
    assert_eq!(
        message(&price, "{\"price\":1}\n{\"price\" 1}\n"),
        "error[E410]: this row is not valid JSON: expected `:` after the key (events.json:2:10)"
    );
    assert_eq!(
        message(&price, "[1]"),
        "error[E410]: this row is not valid JSON: expected a JSON object (events.json:1:1)"
    );
    assert_eq!(
        message(&[Wanted::path("p", ["bid", "price"], DataType::Int64)], "{\"bid\":7}"),
        "error[E410]: this row is not valid JSON: expected an object (a ROW) here (events.json:1:8)"
    );
    assert_eq!(
        message(&[top("bid", row(&[("price", DataType::Int64, true)]))], "{\"bid\":7}"),
        "error[E410]: this row is not valid JSON: column `bid`: expected a ROW<price BIGINT>, found the number 7 (events.json:1:8)"
    );
}

#[test]
fn not_null_is_checked_at_every_level() {
    let strict = Wanted { nullable: false, ..top("id", DataType::Int64) };
    assert_eq!(
        message(std::slice::from_ref(&strict), "{\"x\":1}"),
        "error[E410]: this row is not valid JSON: column `id` is NOT NULL, but the field is missing (events.json:1)"
    );
    assert_eq!(
        message(&[strict], "{\"id\":null}"),
        "error[E410]: this row is not valid JSON: column `id` is NOT NULL, but the value is null (events.json:1:7)"
    );
    let inner = [top("bid", row(&[("price", DataType::Int64, false)]))];
    assert_eq!(batch(&inner, "{\"bid\":null}\n{}\n").column(0).null_count(), 2, "a NULL row has no fields to be NULL");
    assert_eq!(
        message(&inner, "{\"bid\":{}}"),
        "error[E410]: this row is not valid JSON: column `bid.price` is NOT NULL, but the field is missing (events.json:1)"
    );
    let list = [top("bids", DataType::new_list(row(&[("price", DataType::Int64, false)]), true))];
    assert_eq!(
        message(&list, "{\"bids\":[{\"price\":1},{\"price\":null}]}"),
        "error[E410]: this row is not valid JSON: column `bids[].price` is NOT NULL, but the value is null (events.json:1:31)"
    );
}

#[test]
fn policies_for_bad_rows() {
    let lines = "{\"a\":1}\n{\"a\":\"x\"}\nnonsense\n\n{\"a\":4}\r\n";
    let options = |on_bad| JsonOptions { on_bad, track_lines: true, ..JsonOptions::default() };
    let wanted = [top("a", DataType::Int64)];
    assert!(decode(&wanted, options(OnBad::Fail), lines).is_err());
    let skipped = decode(&wanted, options(OnBad::Skip), lines).expect("skipped");
    assert_eq!(skipped.batch.column(0).as_primitive::<Int64Type>().values(), &[1, 4]);
    assert_eq!((skipped.skipped, skipped.lines_read, skipped.bad.len()), (2, 5, 0));
    assert_eq!(skipped.lines, [1, 5]);
    let collected = decode(&wanted, options(OnBad::Collect), lines).expect("collected");
    assert_eq!(collected.bad.len(), 2);
    assert_eq!(collected.bad[0].raw, b"{\"a\":\"x\"}");
    assert_eq!((collected.bad[0].line, collected.bad[0].column, collected.bad[0].position), (2, 7, 8));
    assert_eq!((collected.bad[1].line, collected.bad[1].reason.as_str()), (3, "expected a JSON object"));
}

#[test]
fn parse_errors_may_become_null() {
    let options = JsonOptions { ignore_parse_errors: true, on_bad: OnBad::Skip, ..JsonOptions::default() };
    let wanted = [top("a", DataType::Int64), top("s", DataType::Utf8)];
    let decoded = decode(&wanted, options, "{\"a\":\"x\",\"s\":\"kept\"}\n{\"a\":2,\"s\":{\"raw\": 1}}\n{oops\n")
        .expect("forgiven");
    assert_eq!(
        cells(&decoded.batch),
        [serde_json::json!({"a": null, "s": "kept"}), serde_json::json!({"a": 2, "s": "{\"raw\": 1}"})]
    );
    assert_eq!((decoded.nulled, decoded.skipped), (1, 1));
}

#[test]
fn missing_fields_can_be_errors() {
    let options = JsonOptions { fail_on_missing_field: true, ..JsonOptions::default() };
    let wanted = [top("a", DataType::Int64)];
    assert!(decode(&wanted, options.clone(), "{\"a\":null}\n").is_ok());
    let error = decode(&wanted, options, "{\"a\":1}\n{\"b\":1}\n").expect_err("missing");
    assert_eq!(error.message(), "this row is not valid JSON: column `a`: the field is missing");
}

#[test]
fn bytes_that_are_no_utf8_are_refused_where_they_are_wanted() {
    let mut lines = b"{\"s\":\"\xc3\xa9\",\"t\":\"ok\"}\n{\"s\":\"\xff\xfe\",\"t\":\"ok\"}\n".to_vec();
    lines.extend_from_slice(b"{\"s\":\"\xc3\",\"t\":\"ok\"}\n{\"s\":\"\xa9\",\"t\":\"ok\"}\n");
    let options = JsonOptions { on_bad: OnBad::Collect, ..JsonOptions::default() };
    let mut decoder = JsonDecoder::new(&[top("s", DataType::Utf8)], options.clone()).expect("types");
    decoder.decode(&lines).expect("collected");
    let decoded = decoder.flush().expect("a batch");
    assert_eq!(decoded.batch.column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("é")]);
    assert_eq!(decoded.bad.len(), 3, "two halves of one character do not make one");
    assert_eq!(decoded.bad[0].reason, "column `s`: the text is not valid UTF-8");
    let mut decoder = JsonDecoder::new(&[top("t", DataType::Utf8)], options).expect("types");
    decoder.decode(&lines).expect("not looked at");
    assert_eq!(decoder.flush().expect("a batch").batch.num_rows(), 4);
}

#[test]
fn lines_over_the_limit_are_refused_and_passed_over() {
    let mut lines = b"{\"a\":1}\n{\"a\":\"".to_vec();
    lines.resize(lines.len() + (17 << 20), b'x');
    lines.extend_from_slice(b"\"}\n{\"a\":3}\n");
    let options = JsonOptions { on_bad: OnBad::Collect, track_lines: true, ..JsonOptions::default() };
    let mut decoder = JsonDecoder::new(&[top("a", DataType::Int64)], options).expect("types");
    decoder.decode(&lines).expect("collected");
    let decoded = decoder.flush().expect("a batch");
    assert_eq!((decoded.lines.as_slice(), decoded.bad[0].line), ([1, 3].as_slice(), 2));
    assert_eq!(decoded.bad[0].reason, "the line is longer than 16 MiB");
}

#[test]
fn very_wide_rows_of_very_short_lines_take_bounded_memory() {
    let wanted: Vec<Wanted> = (0..4000).map(|at| top(&format!("c{at}"), DataType::Int8)).collect();
    let decoded = decode(&wanted, JsonOptions { track_lines: true, ..JsonOptions::default() }, &"{}\n".repeat(20_000))
        .expect("valid");
    assert_eq!((decoded.batch.num_rows(), decoded.lines.last(), decoded.lines_read), (20_000, Some(&20_000), 20_000));
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let mut decoder = JsonDecoder::new(&[top("a", DataType::Int64)], JsonOptions::default()).expect("types");
    decoder.decode(b"\xef\xbb\xbf{\"a\":1}\n").expect("valid");
    assert!(decoder.decode(b"\xef\xbb\xbf{\"a\":1}\n").is_err(), "only at the beginning");
}

#[test]
fn nesting_over_the_limit_is_refused() {
    let deep = format!("{{\"a\":{}1{},\"b\":2}}\n", "[".repeat(100), "]".repeat(100));
    assert_eq!(
        message(&[top("b", DataType::Int64)], &deep),
        "error[E410]: this row is not valid JSON: arrays and objects are nested too deeply (more than 64 levels) (events.json:1:69)"
    );
    let hostile = "{\"a\":".repeat(100_000);
    assert!(decode(&[top("b", DataType::Int64)], JsonOptions::default(), &hostile).is_err());
}

// ---- single rules -----------------------------------------------------------------------------------------------

#[test]
fn a_line_is_read_up_to_the_last_wanted_value_unless_strict() {
    let lines = "{\"a\":1,\"b\":oops}\n{\"a\":2}\n";
    let wanted = [top("a", DataType::Int64)];
    assert_eq!(batch(&wanted, lines).num_rows(), 2);
    assert!(decode(&wanted, JsonOptions { strict: true, ..JsonOptions::default() }, lines).is_err());
    assert!(decode(&wanted, JsonOptions { strict: true, ..JsonOptions::default() }, "{\"a\":1} x").is_err());
}

#[test]
fn a_line_that_is_cut_off_is_bad_wherever_it_was_cut() {
    let wanted = [top("a", DataType::Int64)];
    let whole = "{\"a\":1,\"b\":{\"c\":[2]},\"d\":\"x\"}";
    for cut in 1..whole.len() {
        // Where an inner object was just closed, the cut does not show.
        let shows = !whole[..cut].ends_with('}');
        let lines = format!("{whole}\n{}\n{whole}\n", &whole[..cut]);
        assert_eq!(decode(&wanted, JsonOptions::default(), &lines).is_err(), shows, "{lines}");
    }
    for bad in ["{\"a\":1,5}", "{\"a\":1 5}", "{\"a\":1]}", "{\"a\":1,}", "{\"a\":1,{}}", "{\"a\":1:2}"] {
        let lines = format!("{}{bad}\n", "{\"a\":1,\"b\":2}\n{\"a\":1 , \"b\":2}\n{\"a\":1}\n".repeat(2));
        let error = decode(&wanted, JsonOptions::default(), &lines).expect_err(bad);
        assert_eq!(error.code(), "E410", "{bad}: {error}");
    }
    assert_eq!(batch(&wanted, "{\"a\":1} \t\r\n{\"a\":2}\r\n{\"a\":3}").num_rows(), 3);
}

#[test]
fn of_a_key_that_stands_twice_the_last_value_counts() {
    let wanted = [top("a", DataType::Int64), top("b", DataType::Int64)];
    let found = batch(&wanted, &"{\"a\":1,\"a\":2,\"b\":3}\n".repeat(3));
    assert_eq!(found.column(0).as_primitive::<Int64Type>().values(), &[2, 2, 2]);
}

#[test]
fn every_scalar_type_reads_its_forms() {
    use DataType::*;
    let types = [
        ("tiny", Int8, "-128", "-128"),
        ("small", Int16, "\"12\"", "12"),
        ("float", Float32, "1.5", "1.5"),
        ("double", Float64, "1e3", "1000.0"),
        ("decimal", Decimal128(10, 2), "1.005", "1.01"),
        ("bytes", Binary, "\"Zm9v\"", "666f6f"),
        ("date", Date32, "\"2016-02-29\"", "2016-02-29"),
        ("time", Time32(TimeUnit::Millisecond), "\"01:02:03.004\"", "01:02:03.004"),
        (
            "iso",
            Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            "\"2020-01-01T00:00:00.000001Z\"",
            "2020-01-01T00:00:00.000001Z",
        ),
        ("truth", Boolean, "\"TRUE\"", "true"),
        ("number", Utf8, "1.50", "1.50"),
        ("whole", Int64, "1e3", "1000"),
        ("escaped", Int64, "\"\\u0031\"", "1"),
    ];
    let fields: Vec<String> = types.iter().map(|(name, _, json, _)| format!("\"{name}\":{json}")).collect();
    let wanted: Vec<Wanted> = types.iter().map(|(name, t, ..)| top(name, t.clone())).collect();
    let found = batch(&wanted, &format!("{{{}}}\n", fields.join(",")));
    let options = arrow::util::display::FormatOptions::default();
    for (at, (name, _, _, expected)) in types.iter().enumerate() {
        let formatter = arrow::util::display::ArrayFormatter::try_new(found.column(at), &options).expect("displayable");
        assert_eq!(formatter.value(0).to_string(), *expected, "{name}");
    }
}

#[test]
fn no_columns_still_count_rows() {
    assert_eq!(batch(&[], "{\"a\":1}\n{\"a\":2}\n").num_rows(), 2);
}

#[test]
fn a_type_that_text_cannot_hold_is_refused() {
    let error = JsonDecoder::new(&[top("d", DataType::Duration(TimeUnit::Second))], JsonOptions::default())
        .err()
        .expect("refused");
    assert_eq!(error.code(), "E411");
}

#[test]
fn a_row_may_be_wanted_whole_and_in_parts() {
    let wanted = [top("bid", DataType::Utf8), Wanted::path("price", ["bid", "price"], DataType::Int64)];
    let found = batch(&wanted, &"{\"bid\": {\"price\": 5}, \"x\": 1}\n".repeat(2));
    assert_eq!(cells(&found)[1], serde_json::json!({"bid": "{\"price\": 5}", "price": 5}));
}
