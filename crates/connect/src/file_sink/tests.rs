//! Files as a sink: nothing is seen before the snapshot, everything after it, over crashes at any point.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use fleuve_base::{Env, Result};
use fleuve_flow::batch::Batch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

use super::*;
use crate::options::Use;
use crate::testing::{READER, options, schema};

fn spec(directory: &TempDir, pairs: &[(&str, &str)], partition_by: &[usize]) -> SinkSpec {
    let path = directory.path().display().to_string();
    let pairs = [&[("connector", "filesystem"), ("path", path.as_str())], pairs].concat();
    SinkSpec {
        table: "t".to_owned(),
        options: options(&pairs),
        schema: schema(&[("id", DataType::Int64), ("dt", DataType::Utf8)]),
        primary_key: vec![],
        partition_by: partition_by.to_vec(),
        metadata: vec![],
        changelog: false,
        upsert_key: None,
    }
}

fn open(spec: &SinkSpec) -> Result<FileSink> {
    let options = Options::check("t", &spec.options, Use::Write)?;
    FileSink::open(&Env::system(), &READER, &options, spec)
}

fn batch(rows: &[(i64, &str)]) -> Vec<Batch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>()),
    ];
    let schema = schema(&[("id", DataType::Int64), ("dt", DataType::Utf8)]);
    vec![Batch::append(RecordBatch::try_new(schema, columns).unwrap())]
}

/// Names of all files with their texts, hidden ones too; directories with a slash in the name.
fn files(directory: &TempDir) -> Vec<(String, String)> {
    let mut found = vec![];
    let mut open = vec![directory.path().to_owned()];
    while let Some(path) = open.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(directory.path()).unwrap().display().to_string();
            found.push((name, String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()));
        }
    }
    found.sort();
    found
}

/// The texts of the files that a reader sees, joined.
fn visible(directory: &TempDir) -> String {
    let seen = files(directory).into_iter().filter(|(name, _)| !name.starts_with('.'));
    seen.map(|(_, text)| text).collect()
}

const JSON: &[(&str, &str)] = &[("format", "json")];

#[test]
fn files_appear_with_their_snapshot() {
    let directory = TempDir::new().unwrap();
    let sink = open(&spec(&directory, JSON, &[])).unwrap();
    sink.recover(&[]).unwrap();
    let mut lane = sink.open(0).unwrap();
    lane.write(1, batch(&[(1, "a")])).unwrap();
    lane.write(2, batch(&[(2, "b")])).unwrap();
    let acknowledgement = lane.checkpoint(2).unwrap();
    assert_eq!(visible(&directory), "");
    assert_eq!(files(&directory).len(), 1, "hidden, and whole");
    sink.commit(std::slice::from_ref(&acknowledgement)).unwrap();
    let both = "{\"id\":1,\"dt\":\"a\"}\n{\"id\":2,\"dt\":\"b\"}\n";
    assert_eq!(visible(&directory), both);
    assert_eq!(files(&directory).len(), 1);
    // A snapshot that is announced twice changes nothing, and one without rows has nothing to remember.
    sink.commit(&[acknowledgement]).unwrap();
    assert_eq!(lane.checkpoint(3).unwrap(), "");
    assert_eq!(visible(&directory), both);
}

#[test]
fn recovery_finishes_what_was_committed_and_removes_the_rest() {
    let directory = TempDir::new().unwrap();
    let spec = spec(&directory, JSON, &[]);
    let sink = open(&spec).unwrap();
    let mut lanes = [sink.open(0).unwrap(), sink.open(1).unwrap()];
    lanes[0].write(1, batch(&[(1, "a")])).unwrap();
    lanes[1].write(1, batch(&[(2, "b")])).unwrap();
    let committed: Vec<String> = lanes.iter_mut().map(|lane| lane.checkpoint(1).unwrap()).collect();
    // The snapshot is valid; the crash comes after the first rename, and in the middle of the next epoch.
    sink.commit(&committed[..1]).unwrap();
    lanes[0].write(2, batch(&[(3, "c")])).unwrap();
    lanes[1].write(2, batch(&[(4, "d")])).unwrap();
    lanes[1].checkpoint(2).unwrap();
    drop((lanes, sink));
    // Another pipeline's hidden file is none of ours.
    std::fs::write(directory.path().join(".part-other.0-0-1-0.inprogress"), "x").unwrap();
    let sink = open(&spec).unwrap();
    sink.recover(&committed).unwrap();
    let first = "{\"id\":1,\"dt\":\"a\"}\n{\"id\":2,\"dt\":\"b\"}\n";
    assert_eq!(visible(&directory), first);
    let hidden: Vec<_> = files(&directory).into_iter().filter(|(name, _)| name.starts_with('.')).collect();
    assert_eq!(hidden, [(".part-other.0-0-1-0.inprogress".to_owned(), "x".to_owned())]);
    // The epoch runs again, and appears once.
    let mut lane = sink.open(0).unwrap();
    lane.write(2, batch(&[(3, "c"), (4, "d")])).unwrap();
    sink.commit(&[lane.checkpoint(2).unwrap()]).unwrap();
    assert_eq!(visible(&directory).lines().count(), 4);
}

#[test]
fn a_committed_file_that_has_gone_is_named() {
    let directory = TempDir::new().unwrap();
    let spec = spec(&directory, JSON, &[]);
    let sink = open(&spec).unwrap();
    let mut lane = sink.open(0).unwrap();
    lane.write(1, batch(&[(1, "a")])).unwrap();
    let committed = [lane.checkpoint(1).unwrap()];
    let (name, _) = files(&directory).remove(0);
    std::fs::remove_file(directory.path().join(&name)).unwrap();
    let error = open(&spec).unwrap().recover(&committed).unwrap_err();
    assert_eq!(error.code(), "E507");
    assert!(error.message().contains(&name), "{error}");
}

#[test]
fn partitions_are_directories_and_are_marked_when_later_ones_have_passed_them() {
    let directory = TempDir::new().unwrap();
    let pairs = [
        ("format", "csv"),
        ("csv.header", "true"),
        ("sink.partition-commit.policy.kind", "success-file"),
        ("sink.partition-commit.trigger", "partition-time"),
        ("sink.partition-commit.delay", "1 d"),
        ("partition.time-extractor.timestamp-pattern", "$dt 00:00:00"),
    ];
    let spec = spec(&directory, &pairs, &[1]);
    let sink = open(&spec).unwrap();
    let mut lane = sink.open(0).unwrap();
    lane.write(1, batch(&[(1, "2024-01-01"), (2, "2024-01-01"), (3, "2024-01-02")])).unwrap();
    let committed = [lane.checkpoint(1).unwrap()];
    sink.commit(&committed).unwrap();
    let found = files(&directory);
    let in_day = |day: &str| -> Vec<&str> {
        found
            .iter()
            .filter(|(name, _)| name.starts_with(&format!("dt=2024-01-{day}/")))
            .map(|(_, t)| t.as_str())
            .collect()
    };
    // 01 is a day older than the latest; the other may still grow.
    assert_eq!(in_day("01"), ["", "id\n1\n2\n"]);
    assert_eq!(in_day("02"), ["id\n3\n"]);
    // What is not complete survives a restart.
    lane.checkpoint(2).unwrap();
    let sink = open(&spec).unwrap();
    sink.recover(&committed).unwrap();
    let mut lane = sink.open(0).unwrap();
    lane.write(3, batch(&[(4, "2024-01-03")])).unwrap();
    sink.commit(&[lane.checkpoint(3).unwrap()]).unwrap();
    assert!(directory.path().join("dt=2024-01-02/_SUCCESS").is_file());
    assert!(!directory.path().join("dt=2024-01-03/_SUCCESS").exists());
}

#[test]
fn parquet_files_hold_the_rows_and_large_files_are_divided() {
    let directory = TempDir::new().unwrap();
    let pairs = [("format", "parquet"), ("sink.rolling-policy.file-size", "1 b")];
    let sink = open(&spec(&directory, &pairs, &[])).unwrap();
    let mut lane = sink.open(0).unwrap();
    lane.write(1, batch(&[(1, "a"), (2, "b")])).unwrap();
    lane.write(2, batch(&[(3, "c")])).unwrap();
    sink.commit(&[lane.checkpoint(2).unwrap()]).unwrap();
    let mut ids = vec![];
    let names: Vec<String> = files(&directory).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    for name in &names {
        let file = std::fs::File::open(directory.path().join(name)).unwrap();
        for rows in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            ids.extend_from_slice(rows.unwrap().column(0).as_primitive::<Int64Type>().values());
        }
    }
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn what_files_cannot_hold_is_refused() {
    let directory = TempDir::new().unwrap();
    let changes = SinkSpec { changelog: true, ..spec(&directory, JSON, &[]) };
    assert_eq!(open(&changes).err().unwrap().code(), "E508");
    let all = spec(&directory, JSON, &[0, 1]);
    assert_eq!(open(&all).err().unwrap().code(), "E511");
}
