//! Streams that cannot be read again: what came once is in the log, over restarts, rotation and lost connections.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::{DataType, Schema};
use fleuve_base::{Env, Result};
use fleuve_flow::source::{Claim, Range, Source};
use fleuve_journal::Log;
use tempfile::TempDir;

use super::*;
use crate::options::Use;
use crate::testing::{READER, decode, memory_log, reread, rows, scan, schema, source_spec};

/// Longest wait for lines that must arrive.
const PATIENCE: Duration = Duration::from_secs(20);

fn ids() -> Arc<Schema> {
    schema(&[("id", DataType::Int64)])
}

fn open_table(log: Option<&Arc<Log>>, pairs: &[(&str, &str)], stdin: &Stdin) -> Result<Arc<dyn Source>> {
    let spec = source_spec(pairs, &ids());
    let options = Options::check("t", &spec.options, Use::Read)?;
    open(&Env::system(), log, &READER, &options, &spec, scan(&ids(), &[]), stdin)
}

fn json(ids: std::ops::Range<i64>) -> String {
    ids.map(|id| format!("{{\"id\":{id}}}\n")).collect()
}

fn texts(ids: std::ops::Range<i64>) -> Vec<String> {
    ids.map(|id| id.to_string()).collect()
}

/// Claims until there are so many rows, or the source ends.
fn take(source: &dyn Source, count: usize) -> Result<(Vec<String>, Vec<Range>)> {
    let (mut all, mut ranges, begun) = (vec![], vec![], Instant::now());
    while all.len() < count {
        match source.claim(1 << 20)? {
            Claim::Chunk(chunk) => {
                all.extend(rows(&decode(source, &chunk)?.batches));
                ranges.push(chunk.range);
            }
            Claim::Finished => break,
            Claim::Pending => {
                assert!(begun.elapsed() < PATIENCE, "only {all:?} of {count} rows");
                std::thread::yield_now();
            }
        }
    }
    Ok((all, ranges))
}

fn last(ranges: &[Range]) -> Vec<Range> {
    ranges.iter().map(|range| (range.split, *range)).collect::<BTreeMap<_, _>>().into_values().collect()
}

#[test]
fn standard_input_is_kept_and_ends() {
    let log = memory_log();
    let stdin = || Stdin::other(Box::new(Cursor::new(format!("{}{{\"id\":9}}", json(0..5)))));
    let source = open_table(Some(&log), &[("connector", "stdin")], &stdin()).unwrap();
    assert!(source.bounded());
    let (rows, ranges) = take(&*source, usize::MAX).unwrap();
    assert_eq!(rows, ["0", "1", "2", "3", "4", "9"]);
    assert_eq!(reread(&*source, &ranges).unwrap(), rows);
    drop(source);
    // Stopped after the first range and begun again: the rest is in the log, and nothing is read from the new input.
    let again = open_table(Some(&log), &[("connector", "stdin")], &Stdin::other(Box::new(Cursor::new("{")))).unwrap();
    let head = Range { end: 2, ..ranges[0] };
    again.resume(&[head]).unwrap();
    assert_eq!(reread(&*again, &[head]).unwrap(), ["0", "1"]);
    assert_eq!(take(&*again, usize::MAX).unwrap().0, ["2", "3", "4", "9"]);
    drop(again);
    // A run that begins anew reads its own input only.
    let anew = open_table(Some(&log), &[("connector", "stdin")], &stdin()).unwrap();
    assert_eq!(take(&*anew, usize::MAX).unwrap().0, rows);
}

#[test]
fn standard_input_has_one_reader_and_works_without_a_log() {
    let stdin = Stdin::other(Box::new(Cursor::new(json(0..3))));
    let source = open_table(None, &[("connector", "stdin")], &stdin).unwrap();
    assert_eq!(open_table(None, &[("connector", "stdin")], &stdin).err().unwrap().code(), "E510");
    assert_eq!(take(&*source, usize::MAX).unwrap().0, texts(0..3));
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, port)
}

fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().unwrap().0
}

#[test]
fn a_socket_is_dialled_again_and_what_came_stays() {
    let log = memory_log();
    let (listener, port) = listener();
    let table = [("connector", "socket"), ("host", "127.0.0.1"), ("port", port.as_str())];
    let source = open_table(Some(&log), &table, &Stdin::default()).unwrap();
    assert!(!source.bounded());
    assert!(matches!(source.claim(100).unwrap(), Claim::Pending));
    let mut server = accept(&listener);
    server.write_all(json(0..3).as_bytes()).unwrap();
    let (mut all, mut ranges) = take(&*source, 3).unwrap();
    // The last line has no newline, but ends with the connection.
    server.write_all(b"{\"id\":3}").unwrap();
    drop(server);
    let mut server = accept(&listener);
    server.write_all(json(4..6).as_bytes()).unwrap();
    let more = take(&*source, 3).unwrap();
    all.extend(more.0);
    ranges.extend(more.1);
    assert_eq!(all, texts(0..6));
    assert_eq!(reread(&*source, &ranges).unwrap(), all);
    drop(source);
    // After a restart the same ranges give the same lines, and the server is dialled once more.
    let again = open_table(Some(&log), &table, &Stdin::default()).unwrap();
    again.resume(&last(&ranges)).unwrap();
    assert_eq!(reread(&*again, &ranges).unwrap(), all);
    assert!(matches!(again.claim(100).unwrap(), Claim::Pending));
    accept(&listener).write_all(json(6..8).as_bytes()).unwrap();
    assert_eq!(take(&*again, 2).unwrap().0, texts(6..8));
}

#[test]
fn a_socket_that_is_not_dialled_again_ends() {
    let (listener, port) = listener();
    let table =
        [("connector", "socket"), ("host", "127.0.0.1"), ("port", port.as_str()), ("socket.reconnect", "false")];
    let log = memory_log();
    for log in [None, Some(&log)] {
        let source = open_table(log, &table, &Stdin::default()).unwrap();
        assert!(source.bounded());
        assert!(matches!(source.claim(100).unwrap(), Claim::Pending));
        accept(&listener).write_all(json(0..4).as_bytes()).unwrap();
        assert_eq!(take(&*source, usize::MAX).unwrap().0, texts(0..4));
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error_with_its_address() {
    let (listener, port) = listener();
    drop(listener);
    let table = [("connector", "socket"), ("host", "127.0.0.1"), ("port", port.as_str())];
    let source = open_table(Some(&memory_log()), &table, &Stdin::default()).unwrap();
    let error = take(&*source, 1).unwrap_err();
    assert_eq!(error.code(), "E510");
    assert!(error.message().contains(&format!("127.0.0.1:{port}")), "{error}");
}

fn follow(log: &Arc<Log>, directory: &TempDir, pairs: &[(&str, &str)]) -> Arc<dyn Source> {
    let path = directory.path().join("log.txt").display().to_string();
    let own = [("connector", "filesystem"), ("scan.follow", "true"), ("scan.follow.interval", "1 ms"), ("path", &path)];
    open_table(Some(log), &[&own, pairs].concat(), &Stdin::default()).unwrap()
}

fn append(directory: &TempDir, text: &str) {
    let path = directory.path().join("log.txt");
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

const JSON: &[(&str, &str)] = &[("format", "json")];

#[test]
fn a_file_is_followed_over_half_lines_rotation_and_truncation() {
    let (log, directory) = (memory_log(), TempDir::new().unwrap());
    let source = follow(&log, &directory, JSON);
    assert!(matches!(source.claim(100).unwrap(), Claim::Pending), "it need not be there yet");
    append(&directory, &format!("{}{{\"id\":", json(0..3)));
    let (mut all, mut ranges) = take(&*source, 3).unwrap();
    append(&directory, "3}\n");
    let mut more = |count: usize| {
        let (rows, more) = take(&*source, count).unwrap();
        all.extend(rows);
        ranges.extend(more);
    };
    more(1);
    let path = directory.path().join("log.txt");
    // What is still written to the old file comes before what is in the new one.
    append(&directory, &json(4..6));
    fs::rename(&path, directory.path().join("log.txt.1")).unwrap();
    append(&directory, &json(6..9));
    more(5);
    // Cut to nothing, then shorter than it was.
    fs::write(&path, json(9..10)).unwrap();
    more(1);
    assert_eq!(all, texts(0..10));
    assert_eq!(reread(&*source, &ranges).unwrap(), all);
}

#[test]
fn a_followed_file_goes_on_behind_the_last_line_after_a_restart() {
    let (log, directory) = (memory_log(), TempDir::new().unwrap());
    append(&directory, &json(0..5));
    let source = follow(&log, &directory, JSON);
    let (rows, ranges) = take(&*source, 5).unwrap();
    drop(source);
    append(&directory, &json(5..8));
    let again = follow(&log, &directory, JSON);
    again.resume(&last(&ranges)).unwrap();
    assert_eq!(reread(&*again, &ranges).unwrap(), rows);
    assert_eq!(take(&*again, 3).unwrap().0, texts(5..8));
    // What no snapshot needs any more may go, and is named when it is asked for.
    let end = Range { start: 6, end: 6, ..ranges[0] };
    again.release(&[end]);
    assert_eq!(again.reclaim(ranges[0]).err().unwrap().code(), "E507");
}

#[test]
fn the_header_of_each_followed_csv_file_is_no_row() {
    let (log, directory) = (memory_log(), TempDir::new().unwrap());
    append(&directory, "id\n1\n2\n");
    let source = follow(&log, &directory, &[("format", "csv"), ("csv.header", "true")]);
    assert_eq!(take(&*source, 2).unwrap().0, ["1", "2"]);
    fs::rename(directory.path().join("log.txt"), directory.path().join("old")).unwrap();
    append(&directory, "id\n3\n");
    assert_eq!(take(&*source, 1).unwrap().0, ["3"]);
}

#[test]
fn options_that_do_not_go_with_following_are_refused() {
    let table = |pairs: &[(&str, &str)]| {
        let own = [("connector", "filesystem"), ("scan.follow", "true"), ("path", "/nowhere/x")];
        open_table(None, &[&own, pairs].concat(), &Stdin::default()).err().unwrap().code()
    };
    assert_eq!(table(&[("format", "parquet")]), "E504");
    assert_eq!(table(&[("format", "json"), ("source.monitor-interval", "1 s")]), "E502");
    let socket = [("connector", "socket"), ("port", "70000")];
    assert_eq!(open_table(None, &socket, &Stdin::default()).err().unwrap().code(), "E502");
}
