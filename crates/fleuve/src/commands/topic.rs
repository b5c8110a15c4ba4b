//! `topic`, `produce` and `consume`.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Write, stdin, stdout};
use std::ops::ControlFlow;

use fleuve_base::{Error, Result};
use fleuve_connect::consume::{ConsumeOptions, From, consume as consume_topic};
use fleuve_connect::produce::{ProduceOptions, produce_lines};
use fleuve_record::Record;
use serde_json::json;

use crate::args::{ConsumeArguments, DataArguments, ProduceArguments};
use crate::output::{io_error, say};
use crate::signals;
use crate::workspace::Workspace;

/// `fleuve topic ls`
pub fn list(data: &DataArguments, as_json: bool) -> Result<()> {
    let mut workspace = Workspace::open_existing(data.data.as_ref())?;
    let mut out = stdout().lock();
    if !as_json {
        writeln!(out, "{:40}  partitions       records", "topic").map_err(|e| io_error(&e))?;
    }
    for topic in workspace.require_log()?.topics() {
        let records: u64 = topic.partitions().iter().map(|p| p.high_watermark() - p.log_start_offset()).sum();
        let (name, partitions) = (topic.name(), topic.partitions().len());
        let written = match as_json {
            true => writeln!(out, "{}", json!({"name": name, "partitions": partitions, "records": records})),
            false => writeln!(out, "{name:40}  {partitions:>10}  {records:>12}"),
        };
        written.map_err(|e| io_error(&e))?;
    }
    workspace.close()
}

/// `fleuve topic describe NAME`
pub fn describe(name: &str, data: &DataArguments, as_json: bool) -> Result<()> {
    let mut workspace = Workspace::open_existing(data.data.as_ref())?;
    let topic = workspace.require_log()?.topic(name)?;
    let mut out = stdout().lock();
    for (number, partition) in topic.partitions().iter().enumerate() {
        let (start, end) = (partition.log_start_offset(), partition.high_watermark());
        let written = match as_json {
            true => writeln!(out, "{}", json!({"partition": number, "start": start, "end": end})),
            false => writeln!(out, "partition {number}: offsets {start} to {end}"),
        };
        written.map_err(|e| io_error(&e))?;
    }
    drop(topic);
    workspace.close()
}

/// `fleuve topic rm NAME`
pub fn remove(name: &str, data: &DataArguments) -> Result<()> {
    let mut workspace = Workspace::open_existing(data.data.as_ref())?;
    workspace.require_log()?.delete_topic(name)?;
    say(format!("{name} removed\n"))?;
    workspace.close()
}

/// `fleuve produce TOPIC`
pub fn produce(arguments: &ProduceArguments) -> Result<()> {
    let mut workspace = Workspace::open(arguments.data.data.as_ref())?;
    let log = workspace.require_log()?.clone();
    let key = arguments.key.as_ref().map(|path| path.trim_start_matches('.').split('.').map(str::to_owned).collect());
    let batch_records = usize::from(arguments.file.is_none() && stdin().is_terminal());
    let options = ProduceOptions { key, partitions: 1, batch_records };
    let mut input: Box<dyn BufRead> = match &arguments.file {
        Some(path) => {
            let file = File::open(path).map_err(|e| Error::io(format!("read {}", path.display()), &e))?;
            Box::new(BufReader::new(file))
        }
        None => Box::new(stdin().lock()),
    };
    let produced = produce_lines(&workspace.env, &log, &arguments.topic, &mut input, &options);
    drop(log);
    workspace.close()?;
    eprintln!("{} records written to {}", produced?, arguments.topic);
    Ok(())
}

/// `fleuve consume TOPIC`
pub fn consume(arguments: &ConsumeArguments, as_json: bool) -> Result<()> {
    let mut workspace = Workspace::open_existing(arguments.data.data.as_ref())?;
    let log = workspace.require_log()?.clone();
    let from = parse_from(&arguments.from, workspace.env.clock.now_ms())?;
    let options = ConsumeOptions { from, follow: arguments.follow, partition: None };
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut out = BufWriter::new(stdout().lock());
    let mut visit = |partition: u32, record: &Record<'_>| {
        if left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        left -= 1;
        let written = match as_json {
            true => writeln!(out, "{}", record_json(&arguments.topic, partition, record)),
            false => write_record(&arguments.output, &arguments.topic, partition, record, &mut out),
        };
        written.and_then(|()| if arguments.follow { out.flush() } else { Ok(()) }).map_err(|e| io_error(&e))?;
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let consumed = consume_topic(&log, &arguments.topic, &options, &signals::stop_requested, &mut visit);
    out.flush().map_err(|e| io_error(&e))?;
    drop(log);
    workspace.close()?;
    consumed
}

/// `beginning`, `end`, an offset, or a time ago such as `10m`.
fn parse_from(text: &str, now_ms: i64) -> Result<From> {
    match text {
        "beginning" | "start" => return Ok(From::Start),
        "end" => return Ok(From::End),
        _ => {}
    }
    if let Ok(offset) = text.parse() {
        return Ok(From::Offset(offset));
    }
    let unknown =
        || Error::input("E019", format!("--from takes beginning, end, an offset or a time ago, not `{text}`"));
    let ago = fleuve_sql::settings::duration(text).map_err(|()| unknown().with_hint("for example 10m or 2 h"))?;
    Ok(From::Timestamp(now_ms - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)))
}

/// A record as kcat's `-J` has it, with the timestamp in ms since 1970. What is not UTF-8 has replacement characters.
fn record_json(topic: &str, partition: u32, record: &Record<'_>) -> serde_json::Value {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    json!({"topic": topic, "partition": partition, "offset": record.offset, "ts": record.timestamp_ms,
           "key": text(record.key), "payload": text(record.value)})
}

/// Writes a record along a kcat format.
fn write_record(
    format: &str,
    topic: &str,
    partition: u32,
    record: &Record<'_>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let mut bytes = format.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match bytes.next() {
                Some(b't') => write!(out, "{topic}")?,
                Some(b'p') => write!(out, "{}", partition)?,
                Some(b'o') => write!(out, "{}", record.offset)?,
                Some(b'T') => write!(out, "{}", record.timestamp_ms)?,
                Some(b'k') => out.write_all(record.key.unwrap_or_default())?,
                Some(b'v' | b's') => out.write_all(record.value.unwrap_or_default())?,
                Some(other) => out.write_all(&[b'%', other])?,
                None => out.write_all(b"%")?,
            },
            b'\\' => match bytes.next() {
                Some(b'n') => out.write_all(b"\n")?,
                Some(b't') => out.write_all(b"\t")?,
                Some(other) => out.write_all(&[b'\\', other])?,
                None => out.write_all(b"\\")?,
            },
            byte => out.write_all(&[byte])?,
        }
    }
    Ok(())
}
