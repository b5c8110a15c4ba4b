//! `produce`: lines into a topic.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, stdin};

use fleuve_base::limits::LINE_BYTES_MAX;
use fleuve_base::{Error, ErrorKind, Place, Result};
use fleuve_connect::kafka::client::{Client, Producer, codec};
use fleuve_connect::produce::{ProduceOptions, key_of, produce_lines};

use super::target::Target;
use crate::args::ProduceArguments;
use crate::workspace::Workspace;

/// `fleuve produce TOPIC`
pub fn run(arguments: &ProduceArguments) -> Result<()> {
    let produced = match Target::open(&arguments.target, true)? {
        Target::Broker(mut client) => remote(arguments, &mut client)?,
        Target::Data(workspace) => local(arguments, workspace)?,
    };
    eprintln!("{produced} records written to {}", arguments.topic);
    Ok(())
}

fn input(arguments: &ProduceArguments) -> Result<Box<dyn BufRead>> {
    Ok(match &arguments.file {
        Some(path) => {
            let file = File::open(path).map_err(|e| Error::io(format!("read {}", path.display()), &e))?;
            Box::new(BufReader::new(file))
        }
        None => Box::new(stdin().lock()),
    })
}

/// Whether somebody types, and wants each line to be written at once.
fn is_typed(arguments: &ProduceArguments) -> bool {
    arguments.file.is_none() && stdin().is_terminal()
}

fn key_path(arguments: &ProduceArguments) -> Option<Vec<String>> {
    arguments.key.as_ref().map(|path| path.trim_start_matches('.').split('.').map(str::to_owned).collect())
}

fn local(arguments: &ProduceArguments, mut workspace: Workspace) -> Result<u64> {
    let needs_broker = arguments.key_delimiter.is_some()
        || arguments.partition.is_some()
        || !arguments.headers.is_empty()
        || arguments.compression.is_some();
    if needs_broker {
        workspace.close()?;
        let message = "--key-delimiter, --partition, --header and --compression need a broker";
        return Err(Error::input("E019", message).with_hint("name one with --bootstrap HOST:PORT"));
    }
    let log = workspace.require_log()?.clone();
    let batch_records = usize::from(is_typed(arguments));
    let options = ProduceOptions { key: key_path(arguments), partitions: 1, batch_records };
    let produced = input(arguments)
        .and_then(|mut input| produce_lines(&workspace.env, &log, &arguments.topic, &mut *input, &options));
    drop(log);
    workspace.close()?;
    produced
}

fn remote(arguments: &ProduceArguments, client: &mut Client) -> Result<u64> {
    let topic = client.topic(&arguments.topic)?;
    let codec = codec(arguments.compression.as_deref().unwrap_or("none"))?;
    let headers = arguments.headers.iter().map(|header| named(header)).collect::<Result<Vec<_>>>()?;
    let mut producer = Producer::new(topic, codec);
    let (path, typed, mut input) = (key_path(arguments), is_typed(arguments), input(arguments)?);
    let mut number = 0;
    while let Some(line) = next_line(&mut *input)? {
        number += 1;
        let value = line.trim_ascii_end();
        if value.is_empty() {
            continue;
        }
        let at = |error: Error| error.at(Place::file("stdin", number, 0));
        let (key, value) = split_key(arguments, path.as_deref(), value).map_err(at)?;
        producer.push(client, arguments.partition, key.as_deref(), Some(value), &headers)?;
        if typed {
            producer.flush(client)?;
        }
    }
    Ok(producer.flush(client)?.records)
}

fn named(header: &str) -> Result<(&str, Option<&[u8]>)> {
    let (name, value) = header
        .split_once('=')
        .ok_or_else(|| Error::input("E019", format!("a header is NAME=VALUE, not `{header}`")))?;
    Ok((name, Some(value.as_bytes())))
}

/// The key of a line, and its value.
fn split_key<'a>(
    arguments: &ProduceArguments,
    path: Option<&[String]>,
    line: &'a [u8],
) -> Result<(Option<Vec<u8>>, &'a [u8])> {
    if let Some(path) = path {
        return Ok((Some(key_of(line, path)?), line));
    }
    let Some(delimiter) = &arguments.key_delimiter else { return Ok((None, line)) };
    let delimiter = delimiter.as_bytes();
    let at = line.windows(delimiter.len().max(1)).position(|window| window == delimiter);
    let at = at.ok_or_else(|| Error::input("E410", "this line has no key: the delimiter is not in it"))?;
    Ok((Some(line[..at].to_vec()), &line[at + delimiter.len()..]))
}

fn next_line(input: &mut dyn BufRead) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = input.take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
    if read.map_err(|error| Error::io("read the input", &error))? == 0 {
        return Ok(None);
    }
    if line.len() > LINE_BYTES_MAX {
        return Err(Error::new(ErrorKind::Limit, "E512", format!("a line is longer than {LINE_BYTES_MAX} bytes")));
    }
    Ok(Some(line))
}
