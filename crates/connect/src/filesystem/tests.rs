//! Files as sources: read whole, cut anywhere, again, and after a restart.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use fleuve_base::{Env, Place};
use fleuve_flow::source::ScanColumn;
use tempfile::TempDir;

use super::*;
use crate::options::Use;
use crate::testing::{READER, TestClock, decode, drain, memory_log, reread, rows, scan, schema, source_spec};

fn open(env: &Env, log: Option<&Arc<Log>>, pairs: &[(&str, &str)], physical: &Arc<Schema>) -> Result<FileSource> {
    open_scan(env, log, pairs, physical, scan(physical, &[]))
}

fn open_scan(
    env: &Env,
    log: Option<&Arc<Log>>,
    pairs: &[(&str, &str)],
    physical: &Arc<Schema>,
    scan: Scan,
) -> Result<FileSource> {
    let spec = source_spec(&[&[("connector", "filesystem")], pairs].concat(), physical);
    let options = Options::check("t", &spec.options, Use::Read)?;
    FileSource::open(env, log, &READER, &options, &spec, scan)
}

fn ids() -> Arc<Schema> {
    schema(&[("id", DataType::Int64), ("name", DataType::Utf8)])
}

fn json(range: std::ops::Range<usize>) -> String {
    range.map(|id| format!("{{\"id\":{id},\"name\":\"n{id}\"}}\n")).collect()
}

fn expected(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|id| format!("{id}|n{id}")).collect()
}

fn path(directory: &TempDir) -> &str {
    directory.path().to_str().unwrap()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Plain, gzip, zstd and hidden files beside and inside each other.
fn directory_of_files() -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("b")).unwrap();
    fs::write(directory.path().join("a.json"), json(0..5_000)).unwrap();
    fs::write(directory.path().join("b/1.json.gz"), gzip(&json(5_000..9_000))).unwrap();
    fs::write(directory.path().join("c.json.zst"), zstd::encode_all(json(9_000..9_500).as_bytes(), 1).unwrap())
        .unwrap();
    fs::write(directory.path().join("d.json"), json(9_500..9_600).trim_end()).unwrap();
    fs::write(directory.path().join("_SUCCESS"), "").unwrap();
    fs::write(directory.path().join(".hidden.json"), "no").unwrap();
    directory
}

#[test]
fn a_directory_is_read_in_name_order_whatever_the_chunks() {
    let directory = directory_of_files();
    for bytes_max in [1, 40 << 10, 1 << 20] {
        let source = open(&Env::system(), None, &[("path", path(&directory)), ("format", "json")], &ids()).unwrap();
        let (all, ranges) = drain(&source, bytes_max).unwrap();
        assert_eq!(all, expected(0..9_600));
        assert_eq!(reread(&source, &ranges).unwrap(), all);
        assert!(ranges.windows(2).all(|w| w[0].item + 1 == w[1].item || w[0].end == w[1].start), "{ranges:?}");
    }
}

#[test]
fn a_restart_goes_on_with_the_files_of_the_start() {
    let (directory, log) = (directory_of_files(), memory_log());
    let pairs = [("path", path(&directory)), ("format", "json")];
    let source = open(&Env::system(), Some(&log), &pairs, &ids()).unwrap();
    let (all, ranges) = drain(&source, 16 << 10).unwrap();
    fs::write(directory.path().join("0.json"), json(0..10)).unwrap();
    for cut in [1, ranges.len() / 2, ranges.len()] {
        let source = open(&Env::system(), Some(&log), &pairs, &ids()).unwrap();
        source.resume(&ranges[..cut]).unwrap();
        let mut again = reread(&source, &ranges[..cut]).unwrap();
        again.extend(drain(&source, 16 << 10).unwrap().0);
        assert_eq!(again, all);
    }
}

#[test]
fn a_file_that_shrinks_or_goes_is_an_error_that_names_the_range() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("a.json");
    fs::write(&file, json(0..1_000)).unwrap();
    let source = open(&Env::system(), None, &[("path", path(&directory)), ("format", "json")], &ids()).unwrap();
    let (_, ranges) = drain(&source, 1).unwrap();
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(100).unwrap();
    let error = source.reclaim(ranges[0]).unwrap_err();
    assert_eq!(error.code(), "E507");
    let (end, place) = (ranges[0].end, file.display());
    assert_eq!(error.message(), format!("table `t`: bytes 0 to {end} of `{place}` cannot be read any more"));
    assert_eq!(error.detail(), Some("the file ends at byte 100; it has been cut or replaced"));
}

#[test]
fn a_missing_path_is_refused_with_the_nearest_name() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("orders.json"), "").unwrap();
    let stated = format!("{}/order.json", path(&directory));
    let error = open(&Env::system(), None, &[("path", &stated), ("format", "json")], &ids()).err().unwrap();
    assert_eq!(error.message(), format!("table `t`: there is no `{stated}`"));
    assert_eq!(error.hint(), Some(format!("in `{}`: did you mean 'orders.json'?", path(&directory)).as_str()));
    let error = open(&Env::system(), None, &[("path", "s3://b/x"), ("format", "json")], &ids()).err().unwrap();
    assert_eq!(error.message(), "table `t`: files of `s3://` cannot be reached from this build");
}

#[test]
fn patterns_urls_and_regular_expressions_choose_files() {
    let directory = directory_of_files();
    let count = |pairs: &[(&str, &str)]| {
        let source = open(&Env::system(), None, &[pairs, &[("format", "json")]].concat(), &ids()).unwrap();
        drain(&source, 1 << 20).unwrap().0.len()
    };
    assert_eq!(count(&[("path", &format!("{}/*.json", path(&directory)))]), 5_100);
    assert_eq!(count(&[("path", &format!("file://{}/a.json", path(&directory)))]), 5_000);
    assert_eq!(count(&[("path", path(&directory)), ("source.path.regex-pattern", ".*/b/.*")]), 4_000);
}

#[test]
fn a_bad_record_is_named_by_line_and_column() {
    let directory = TempDir::new().unwrap();
    let bad = |text: &str| format!("{}{text}\n{}", json(0..3_000), json(3_001..6_000));
    let text = bad("{\"id\":17,\"name\":oops}");
    fs::write(directory.path().join("plain.json"), &text).unwrap();
    fs::write(directory.path().join("packed.json.gz"), gzip(&text)).unwrap();
    for name in ["plain.json", "packed.json.gz"] {
        let stated = format!("{}/{name}", path(&directory));
        let source = open(&Env::system(), None, &[("path", &stated), ("format", "json")], &ids()).unwrap();
        let error = drain(&source, 16 << 10).unwrap_err();
        assert_eq!(error.code(), "E410", "{error}");
        let Some(Place::File { path, line, column }) = error.place() else { panic!("{error} has no place") };
        assert_eq!((path.as_str(), *line), (stated.as_str(), 3_001));
        assert!(*column > 0 && *column <= 22, "{error}");
    }
}

#[test]
fn bad_records_are_handed_on_by_choice() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("a.json"), format!("{}nonsense\n{}", json(0..3), json(3..5))).unwrap();
    for choice in [("bad-records", "skip"), ("json.ignore-parse-errors", "true")] {
        let pairs = [("path", path(&directory)), ("format", "json"), choice];
        let source = open(&Env::system(), None, &pairs, &ids()).unwrap();
        let Claim::Chunk(chunk) = source.claim(1 << 20).unwrap() else { panic!("nothing to read") };
        let decoded = decode(&source, &chunk).unwrap();
        assert_eq!((rows(&decoded.batches), decoded.rows), (expected(0..5), 6));
        let [bad] = decoded.bad.as_slice() else { panic!("{:?}", decoded.bad) };
        assert_eq!(bad.bytes.as_ref(), b"nonsense");
        assert!(matches!(&bad.place, Place::File { line: 4, .. }), "{:?}", bad.place);
    }
}

#[test]
fn csv_keeps_newlines_in_quotes_together() {
    let directory = TempDir::new().unwrap();
    let text: String = (0..4_000).map(|id| format!("{id},\"n\n{id}, \"\"x\"\"\"\n")).collect();
    fs::write(directory.path().join("a.csv"), format!("\u{feff}id,name\n{text}")).unwrap();
    let pairs = [("path", path(&directory)), ("format", "csv"), ("csv.header", "true")];
    let source = open(&Env::system(), None, &pairs, &ids()).unwrap();
    let (all, ranges) = drain(&source, 16 << 10).unwrap();
    assert_eq!(all, (0..4_000).map(|id| format!("{id}|n\n{id}, \"x\"")).collect::<Vec<_>>());
    assert!(ranges.len() > 2);
    assert_eq!(reread(&source, &ranges).unwrap(), all);
}

#[test]
fn metadata_and_raw_lines() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("x.log"), "one\ntwo\n\nlast").unwrap();
    let physical = schema(&[("line", DataType::Utf8)]);
    let zone = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let metadata =
        [("file.name", DataType::Utf8), ("file.size", DataType::Int64), ("file.modification-time", zone.clone())];
    let scan = scan(&physical, &metadata);
    let source = open_scan(&Env::system(), None, &[("path", path(&directory)), ("format", "raw")], &physical, scan);
    let (all, _) = drain(&source.unwrap(), 1 << 20).unwrap();
    let starts: Vec<_> = all.iter().map(|row| row.split("|20").next().unwrap()).collect();
    assert_eq!(starts, ["one|x.log|13", "two|x.log|13", "|x.log|13", "last|x.log|13"]);
    let unknown = crate::testing::scan(&physical, &[("file.nam", DataType::Utf8)]);
    let pairs = [("path", path(&directory)), ("format", "raw")];
    let error = open_scan(&Env::system(), None, &pairs, &physical, unknown).err().unwrap();
    assert_eq!((error.code(), error.hint()), ("E505", Some("did you mean 'file.name'?")));
}

#[test]
fn a_watched_directory_gives_new_files_and_remembers_their_numbers() {
    let (directory, log, clock) = (TempDir::new().unwrap(), memory_log(), TestClock::new());
    let env = Env { clock: clock.clone(), ..Env::system() };
    let pairs = [("path", path(&directory)), ("format", "json"), ("source.monitor-interval", "10 s")];
    fs::write(directory.path().join("m.json"), json(0..10)).unwrap();
    let source = open(&env, Some(&log), &pairs, &ids()).unwrap();
    assert!(!source.bounded());
    let (first, mut ranges) = drain(&source, 1 << 20).unwrap();
    fs::write(directory.path().join("a.json"), json(10..20)).unwrap();
    assert_eq!(drain(&source, 1 << 20).unwrap().0.len(), 0, "it is not time to look yet");
    clock.advance(Duration::from_secs(11));
    let (second, more) = drain(&source, 1 << 20).unwrap();
    ranges.extend(more);
    assert_eq!((first, second), (expected(0..10), expected(10..20)));
    let source = open(&env, Some(&log), &pairs, &ids()).unwrap();
    source.resume(&ranges).unwrap();
    assert_eq!(reread(&source, &ranges).unwrap(), expected(0..20));
    assert!(matches!(source.claim(1 << 20).unwrap(), Claim::Pending));
}

#[test]
fn what_stands_before_the_first_time_is_due_with_it() {
    let (directory, clock) = (TempDir::new().unwrap(), TestClock::new());
    let env = Env { clock: clock.clone(), ..Env::system() };
    let physical = schema(&[("id", DataType::Int64), ("at", DataType::Timestamp(TimeUnit::Millisecond, None))]);
    let with_header = "id,at\n0,\n1,2024-01-01 00:00:00\n2,2024-01-01 00:01:00\n";
    for (text, at_once) in [(with_header, 2), ("id,at\n0,\n1,\n", 2)] {
        fs::write(directory.path().join("a.csv"), text).unwrap();
        let pairs = [("path", path(&directory)), ("format", "csv"), ("csv.header", "true"), ("scan.replay.time", "at")];
        let source = open(&env, None, &pairs, &physical).unwrap();
        assert_eq!(drain(&source, 1 << 20).unwrap().0.len(), at_once, "{text}");
        clock.advance(Duration::from_secs(60));
        drain(&source, 1 << 20).unwrap();
        assert!(matches!(source.claim(1 << 20).unwrap(), Claim::Finished), "{text}");
    }
}

#[test]
fn a_replay_releases_rows_at_the_speed_of_their_times() {
    let (directory, clock) = (TempDir::new().unwrap(), TestClock::new());
    let env = Env { clock: clock.clone(), ..Env::system() };
    let line = |second: usize| format!("{{\"id\":{second},\"at\":{{\"ms\":{}}}}}\n", 1_500_000_000_000 + second * 1000);
    // The row of second 50 stands behind that of second 60, and is due with it.
    let order = [0, 10, 60, 50, 3600];
    fs::write(directory.path().join("a.json.gz"), gzip(&order.map(line).concat())).unwrap();
    let at = DataType::Struct(vec![Field::new("ms", DataType::Int64, true)].into());
    let physical = schema(&[("id", DataType::Int64), ("at", at)]);
    let pairs =
        [("path", path(&directory)), ("format", "json"), ("scan.replay.time", "at.ms"), ("scan.replay.speed", "60")];
    let open = || {
        let mut only_ids = scan(&physical, &[]);
        only_ids.columns.truncate(1);
        only_ids.schema = Arc::new(only_ids.schema.project(&[0]).unwrap());
        open_scan(&env, None, &pairs, &physical, only_ids).unwrap()
    };
    let source = open();
    assert_eq!(drain(&source, 1 << 20).unwrap().0, ["0"]);
    clock.advance(Duration::from_millis(500));
    assert_eq!(drain(&source, 1 << 20).unwrap().0, ["10"]);
    clock.advance(Duration::from_millis(500));
    let (rows, ranges) = drain(&source, 1 << 20).unwrap();
    assert_eq!(rows, ["60", "50"]);
    clock.advance(Duration::from_secs(58));
    assert!(matches!(source.claim(1 << 20).unwrap(), Claim::Pending));
    clock.advance(Duration::from_secs(1));
    assert_eq!(drain(&source, 1 << 20).unwrap().0, ["3600"]);
    assert!(matches!(source.claim(1 << 20).unwrap(), Claim::Finished));
    assert_eq!(reread(&source, &ranges).unwrap(), ["60", "50"]);
}

#[test]
fn parquet_is_read_by_row_group_with_its_nested_fields() {
    let directory = TempDir::new().unwrap();
    let numbers = |from: i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(from..from + 1_000)) };
    let inner = StructArray::from(vec![(Arc::new(Field::new("v", DataType::Int64, true)), numbers(5))]);
    let batch = RecordBatch::try_from_iter([("id", numbers(0)), ("r", Arc::new(inner) as ArrayRef)]).unwrap();
    let file = fs::File::create(directory.path().join("a.parquet")).unwrap();
    let properties =
        ::parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(300)).build();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let column = |path: &[&str], data_type: DataType| ScanColumn {
        field: fleuve_flow::source::ScanField::Data(path.iter().map(|part| (*part).to_owned()).collect()),
        data_type,
        nullable: true,
    };
    let scan = Scan {
        columns: vec![column(&["r", "v"], DataType::Int32), column(&["id"], DataType::Int64)],
        schema: schema(&[("v", DataType::Int32), ("id", DataType::Int64)]),
        prefilter: vec![],
        max_of: Some(vec!["id".to_owned()]),
    };
    let pairs = [("path", path(&directory)), ("format", "parquet")];
    let source = open_scan(&Env::system(), None, &pairs, &batch.schema(), scan).unwrap();
    let (all, ranges) = drain(&source, 1).unwrap();
    assert_eq!(all, (0..1_000).map(|id| format!("{}|{id}", id + 5)).collect::<Vec<_>>());
    assert_eq!(
        ranges.iter().map(|range| (range.start, range.end)).collect::<Vec<_>>(),
        [(0, 1), (1, 2), (2, 3), (3, 4)]
    );
    let decoded = decode(&source, &source.reclaim(ranges[1]).unwrap()).unwrap();
    assert_eq!((decoded.max_timestamp, decoded.rows), (Some(599), 300));
}

#[test]
fn a_line_without_end_is_refused() {
    let directory = TempDir::new().unwrap();
    let file = fs::File::create(directory.path().join("a.json")).unwrap();
    file.set_len(40 << 20).unwrap();
    let source = open(&Env::system(), None, &[("path", path(&directory)), ("format", "json")], &ids()).unwrap();
    assert_eq!(source.claim(1 << 20).unwrap_err().code(), "E512");
    assert!(Path::new(path(&directory)).exists());
}
