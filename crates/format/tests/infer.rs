//! What is discovered in samples.

use fleuve_format::infer::{self, Inferred};
use fleuve_format::{CsvOptions, sql_type};

fn columns(inferred: &Inferred) -> Vec<String> {
    inferred.columns.iter().map(|c| format!("{} {}", c.field.name(), sql_type(c.field.data_type()))).collect()
}

#[test]
fn json_lines_with_nested_rows() {
    let sample = br#"{"id":1,"at":"2015-07-15 00:00:00.000","iso":"2015-07-15T00:00:00Z","micro":"2015-07-15 00:00:00.123456","who":{"name":"a","born":"1990-01-02","gone":null}}
{"id":2,"at":null,"price":1,"tags":["x"],"who":{"name":"b","age":7},"ms":1436918400000}
{"id":99999999999999999999,"price":1.5,"tags":[],"ok":true,"odd":1,"daily":"08:15:00","ms":1436918400001}
{"odd":"text"}
not json
"#;
    let inferred = infer::json_lines(sample).expect("mostly JSON");
    assert_eq!((inferred.rows, inferred.bad_lines), (4, 1));
    assert_eq!(
        columns(&inferred),
        [
            "id DECIMAL(38, 0)",
            "at TIMESTAMP(3)",
            "iso TIMESTAMP_LTZ(3)",
            "micro TIMESTAMP(6)",
            "who ROW<name STRING, born DATE, gone STRING, age BIGINT>",
            "price DOUBLE",
            "tags ARRAY<STRING>",
            "ms BIGINT",
            "ok BOOLEAN",
            "odd STRING",
            "daily TIME(3)",
        ]
    );
    let hints: Vec<&str> = inferred.columns.iter().filter_map(|column| column.hint.as_deref()).collect();
    assert_eq!(
        hints,
        [
            "`who.gone` is NULL in the whole sample, so its type is a guess",
            "`ms` looks like epoch milliseconds; TO_TIMESTAMP_LTZ(`ms`, 3) makes a timestamp of it",
            "`odd` holds values of several types; as STRING it holds each as written",
        ]
    );
}

#[test]
fn objects_with_very_many_keys_are_maps() {
    let keys: Vec<String> = (0..300).map(|key| format!("\"k{key}\":{key}")).collect();
    let inferred = infer::json_lines(format!("{{\"counts\":{{{}}}}}\n", keys.join(",")).as_bytes()).expect("JSON");
    assert_eq!(columns(&inferred), ["counts MAP<STRING, BIGINT>"]);
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    let error = infer::json_lines(b"a,b\n1,2\n").expect_err("CSV");
    assert_eq!(
        error.to_string(),
        "error[E417]: this is not JSON, one object a line: expected a JSON object (sample:1:1)"
    );
    assert_eq!(infer::json_lines(b"").expect("nothing").columns, []);
}

#[test]
fn csv_with_and_without_a_header() {
    let with = b"id;name;zip;amount;day;open\n1;\"a;b\";00123;1.50;2015-07-15;true\n2;c;99999;3;;false\n";
    let inferred = infer::csv(with, &CsvOptions::default()).expect("CSV");
    assert_eq!((inferred.delimiter, inferred.header, inferred.rows), (Some(b';'), true, 2));
    assert_eq!(
        columns(&inferred),
        ["id BIGINT", "name STRING", "zip STRING", "amount DOUBLE", "day DATE", "open BOOLEAN"]
    );
    let without = b"1,2015-07-15 00:00:00.000,x\n2,2015-07-15 00:00:01.000,y\n";
    let inferred = infer::csv(without, &CsvOptions::default()).expect("CSV");
    assert_eq!((inferred.delimiter, inferred.header, inferred.rows), (Some(b','), false, 2));
    assert_eq!(columns(&inferred), ["c1 BIGINT", "c2 TIMESTAMP(3)", "c3 STRING"]);
}

#[test]
fn hostile_samples_never_panic() {
    for sample in [&b"\""[..], b"\"\n", b"\xff\xfe\n,,,\n", b"\n\n", b"{\"a\":\n[[[[", b",\"\n\"", b"{\"\\ud800\":1}\n"]
    {
        let _ = infer::json_lines(sample);
        let _ = infer::csv(sample, &CsvOptions::default());
    }
}
