//! `consume`: a topic's records on standard output.

use std::collections::BTreeMap;
use std::io::{BufWriter, StdoutLock, Write, stdout};
use std::ops::ControlFlow;

use fleuve_base::{Error, Result};
use fleuve_connect::consume::{ConsumeOptions, From, consume as consume_topic};
use fleuve_connect::kafka::client::{Client, Records, TopicInfo};
use fleuve_format::{AvroDecoder, AvroOptions, AvroSchema, Decode, JsonEncoder, TimestampFormat};
use fleuve_record::Record;

use super::place::Place;
use super::target::Target;
use crate::args::ConsumeArguments;
use crate::output::io_error;
use crate::output::record::Shown;
use crate::result::PRINTER_CLOSED;
use crate::signals;
use crate::workspace::Workspace;

/// `fleuve consume TOPIC`
pub fn run(arguments: &ConsumeArguments, as_json: bool) -> Result<()> {
    let mut show = Show::new(arguments, as_json)?;
    let consumed = match Target::open(&arguments.target, false)? {
        Target::Broker(mut client) => remote(arguments, &mut client, &mut show),
        Target::Data(workspace) => local(arguments, workspace, &mut show),
    };
    let flushed = show.out.flush().map_err(|e| io_error(&e));
    match consumed.and(flushed) {
        Err(error) if error.code() == PRINTER_CLOSED => Ok(()),
        ended => ended,
    }
}

/// Writes records until there are enough.
struct Show<'a> {
    arguments: &'a ConsumeArguments,
    as_json: bool,
    avro: Option<Avro>,
    left: u64,
    out: BufWriter<StdoutLock<'static>>,
}

impl<'a> Show<'a> {
    fn new(arguments: &'a ConsumeArguments, as_json: bool) -> Result<Self> {
        let avro = arguments.schema.as_ref().map(|path| Avro::of_file(path)).transpose()?;
        let (left, out) = (arguments.count.unwrap_or(u64::MAX), BufWriter::new(stdout().lock()));
        Ok(Show { arguments, as_json, avro, left, out })
    }

    fn record(&mut self, partition: u32, record: &Record<'_>) -> Result<ControlFlow<()>> {
        if self.left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        self.left -= 1;
        let decoded = match (&mut self.avro, record.value) {
            (Some(avro), Some(value)) => Some(avro.json_of(value).map_err(|error| {
                let (topic, offset) = (self.arguments.topic.clone(), record.offset as u64);
                error.at(fleuve_base::Place::Record { topic, partition, offset })
            })?),
            _ => None,
        };
        let shown = Shown {
            topic: &self.arguments.topic,
            partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key,
            value: decoded.as_deref().or(record.value),
            headers: record.headers.map(|header| (header.key, header.value)).collect(),
        };
        let written = match self.as_json {
            true => writeln!(self.out, "{}", shown.to_json()),
            false => shown.write(&self.arguments.output, &mut self.out),
        };
        let written = written.and_then(|()| if self.arguments.follow { self.out.flush() } else { Ok(()) });
        written.map_err(|e| io_error(&e))?;
        Ok(if self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

/// Shows Avro values as JSON.
struct Avro {
    decoder: AvroDecoder,
    encoder: JsonEncoder,
}

impl Avro {
    fn of_file(path: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(format!("read {}", path.display()), &e))?;
        let schema = AvroSchema::parse(&text)?;
        let decoder = AvroDecoder::new(&schema, &schema.columns()?, AvroOptions::default())?;
        let encoder = JsonEncoder::new(&decoder.schema(), TimestampFormat::Iso8601)?;
        Ok(Avro { decoder, encoder })
    }

    fn json_of(&mut self, value: &[u8]) -> Result<Vec<u8>> {
        self.decoder.push_record(value)?;
        let (mut out, mut ends) = (Vec::new(), Vec::new());
        self.encoder.encode_records(&self.decoder.flush()?.batch, &mut out, &mut ends)?;
        Ok(out)
    }
}

fn local(arguments: &ConsumeArguments, mut workspace: Workspace, show: &mut Show<'_>) -> Result<()> {
    let log = workspace.require_log()?.clone();
    let from = Place::parse("--from", &arguments.from, workspace.env.clock.now_ms())?;
    let from = match from {
        Place::Beginning => From::Start,
        Place::End => From::End,
        Place::Offset(offset) => From::Offset(offset),
        Place::Timestamp(ms) => From::Timestamp(ms),
    };
    let options = ConsumeOptions { from, follow: arguments.follow, partition: arguments.partition };
    let mut visit = |partition: u32, record: &Record<'_>| show.record(partition, record);
    let consumed = consume_topic(&log, &arguments.topic, &options, &signals::stop_requested, &mut visit);
    drop(log);
    workspace.close()?;
    consumed
}

fn remote(arguments: &ConsumeArguments, client: &mut Client, show: &mut Show<'_>) -> Result<()> {
    let mut topic = client.topic(&arguments.topic)?;
    if let Some(partition) = arguments.partition {
        topic.leader(partition as i32)?;
        topic.partitions.retain(|known| known.number == partition as i32);
    }
    let ends = client.latest_offsets(&topic)?;
    let from = begin(arguments, client, &topic, &ends)?;
    let mut records = Records::new(topic, from);
    let at_end = |next: &BTreeMap<i32, i64>| {
        ends.iter().all(|(partition, end)| next.get(partition).is_none_or(|next| next >= end))
    };
    while !signals::stop_requested() && (arguments.follow || !at_end(records.next())) {
        let consumed = records.poll(client, &mut |partition, _, record| {
            let beyond = !arguments.follow && ends.get(&partition).is_some_and(|end| record.offset >= *end);
            if beyond { Ok(ControlFlow::Continue(())) } else { show.record(partition as u32, record) }
        })?;
        // What is not decided yet is not waited for.
        if consumed.enough || !consumed.moved && !arguments.follow {
            break;
        }
    }
    Ok(())
}

fn begin(
    arguments: &ConsumeArguments,
    client: &mut Client,
    topic: &TopicInfo,
    ends: &BTreeMap<i32, i64>,
) -> Result<BTreeMap<i32, i64>> {
    match Place::parse("--from", &arguments.from, client.env().clock.now_ms())? {
        Place::Beginning => client.earliest_offsets(topic),
        Place::End => Ok(ends.clone()),
        Place::Timestamp(ms) => client.offsets_for_time(topic, ms),
        Place::Offset(offset) => {
            let starts = client.earliest_offsets(topic)?;
            let offset = i64::try_from(offset).unwrap_or(i64::MAX);
            let clamped = |(partition, start): (i32, i64)| {
                (partition, offset.clamp(start, ends.get(&partition).copied().unwrap_or(start).max(start)))
            };
            Ok(starts.into_iter().map(clamped).collect())
        }
    }
}
