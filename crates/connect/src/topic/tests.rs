//! Topics as tables: where reading begins and ends, what is written, and once.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Schema};
use fleuve_base::{Env, MemoryFs, Result};
use fleuve_flow::batch::Batch;
use fleuve_flow::sink::{Lanes, Sink};
use fleuve_flow::source::{Claim, Range, Source, WEIGHT};
use fleuve_journal::{Log, TopicConfig};
use fleuve_plan::SinkSpec;
use fleuve_record::{BatchBuilder, EndMarker};

use super::*;
use crate::internal;
use crate::options::Use;
use crate::testing::{READER, decode, drain, memory_env, memory_log, options, reread, scan, schema, source_spec};

fn ids() -> Arc<Schema> {
    schema(&[("id", DataType::Int64), ("name", DataType::Utf8)])
}

/// A topic with rows of these ids in each partition, their timestamps ten times the id.
fn filled(log: &Log, partitions: &[std::ops::Range<i64>]) -> Arc<Topic> {
    let topic = log.create_topic("t", partitions.len() as u32, TopicConfig::default()).unwrap();
    for (number, ids) in partitions.iter().enumerate() {
        add(&topic, number as u32, ids.clone());
    }
    topic
}

fn add(topic: &Topic, partition: u32, ids: std::ops::Range<i64>) {
    let partition = topic.partition(partition).unwrap();
    for id in ids {
        let mut batch = BatchBuilder::new();
        let value = format!("{{\"id\":{id},\"name\":\"n{id}\"}}");
        batch.append(id * 10, None, Some(value.as_bytes()), &[]).unwrap();
        partition.append(batch.finish().unwrap()).unwrap().ticket.wait().unwrap();
    }
}

fn read(log: &Arc<Log>, pairs: &[(&str, &str)]) -> Result<TopicSource> {
    let spec = source_spec(pairs, &ids());
    let options = Options::check("t", &spec.options, Use::Read)?;
    TopicSource::open(Some(log), None, &READER, &options, &spec, scan(&ids(), &[]))
}

fn expected(ids: std::ops::Range<i64>) -> Vec<String> {
    ids.map(|id| format!("{id}|n{id}")).collect()
}

/// The last range of each split.
fn last(ranges: &[Range]) -> Vec<Range> {
    ranges.iter().map(|range| (range.split, *range)).collect::<BTreeMap<_, _>>().into_values().collect()
}

#[test]
fn a_topic_is_read_from_its_start_and_again_and_on() {
    let log = memory_log();
    let topic = filled(&log, &[0..30, 30..40]);
    let source = read(&log, &[]).unwrap();
    assert!(!source.bounded());
    assert_eq!(source.lag(), Some(40));
    let (mut rows, ranges) = drain(&source, 200).unwrap();
    assert!(ranges.len() > 4, "small chunks: {ranges:?}");
    assert_eq!(reread(&source, &ranges).unwrap(), rows);
    rows.sort_by_key(|row| row.split('|').next().and_then(|id| id.parse::<i64>().ok()));
    assert_eq!(rows, expected(0..40));
    assert!(matches!(source.claim(1000).unwrap(), Claim::Pending));
    // A restart goes on after what was journalled.
    add(&topic, 1, 40..45);
    let again = read(&log, &[]).unwrap();
    again.resume(&last(&ranges)).unwrap();
    assert_eq!(again.lag(), Some(5));
    assert_eq!(drain(&again, 1 << 20).unwrap().0, expected(40..45));
}

#[test]
fn what_was_read_from_somewhere_else_than_the_start_is_fixed_by_a_first_empty_range() {
    for (mode, first) in [("latest-offset", 30), ("timestamp", 12)] {
        let log = memory_log();
        let topic = filled(&log, std::slice::from_ref(&(0..30)));
        let modes = [("scan.startup.mode", mode), ("scan.startup.timestamp-millis", "115")];
        let source = read(&log, &modes).unwrap();
        let Claim::Chunk(chunk) = source.claim(1000).unwrap() else { panic!("a range") };
        assert_eq!((chunk.range.start, chunk.range.end), (first, first), "{mode}");
        assert!(decode(&source, &chunk).unwrap().batches.is_empty());
        // Stopped here, then more comes: nothing of it is left out.
        add(&topic, 0, 30..32);
        let again = read(&log, &modes).unwrap();
        again.resume(&[chunk.range]).unwrap();
        let end = topic.partition(0).unwrap().high_watermark();
        assert_eq!(drain(&again, 1 << 20).unwrap().0.len() as u64, end - first, "{mode}");
    }
    let log = memory_log();
    filled(&log, std::slice::from_ref(&(0..1)));
    assert_eq!(read(&log, &[("scan.startup.mode", "timestamp")]).err().unwrap().code(), "E503");
}

#[test]
fn a_bounded_topic_ends_at_what_it_held_when_it_was_opened() {
    let log = memory_log();
    let topic = filled(&log, &[0..10, 10..10]);
    let source = read(&log, &[("scan.bounded.mode", "latest-offset")]).unwrap();
    add(&topic, 0, 10..15);
    assert!(source.bounded());
    let (rows, ranges) = drain(&source, 100).unwrap();
    assert_eq!(rows, expected(0..10));
    assert!(matches!(source.claim(100).unwrap(), Claim::Finished));
    assert_eq!(source.progress().map(|(done, all)| done == all), Some(true));
    assert_eq!(ranges.iter().map(|range| range.end).max(), Some(10));
}

#[test]
fn a_reader_of_what_has_gone_is_told_so() {
    let log = memory_log();
    let topic = filled(&log, std::slice::from_ref(&(0..10)));
    let source = read(&log, &[]).unwrap();
    let (_, ranges) = drain(&source, 1 << 20).unwrap();
    drop(source);
    topic.partition(0).unwrap().truncate_before(5).unwrap();
    let again = read(&log, &[]).unwrap();
    let error = again.reclaim(ranges[0]).err().unwrap();
    assert_eq!(error.code(), "E507");
    assert!(error.message().contains("offsets 0 to"), "{error}");
    let other = Range { split: 7, item: 0, start: 0, end: 1 };
    assert_eq!(again.resume(&[other]).err().unwrap().code(), "E507");
    assert_eq!(read(&log, &[("topic", "tt")]).err().unwrap().hint(), Some("did you mean 't'?"));
}

fn sink_spec(pairs: &[(&str, &str)], primary_key: &[usize]) -> SinkSpec {
    SinkSpec {
        table: "t".to_owned(),
        options: options(pairs),
        schema: ids(),
        primary_key: primary_key.to_vec(),
        partition_by: vec![],
        metadata: vec![],
        changelog: !primary_key.is_empty(),
        upsert_key: None,
    }
}

fn write(log: &Arc<Log>, spec: &SinkSpec) -> Result<TopicSink> {
    let options = Options::check("t", &spec.options, Use::Write)?;
    TopicSink::open(&memory_env(&MemoryFs::new()), Some(log), &READER, &options, spec)
}

fn batch(rows: &[(i64, &str, i64)]) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>()),
    ];
    let columns = RecordBatch::try_new(ids(), columns).unwrap();
    Batch::weighted(columns, rows.iter().map(|row| row.2).collect())
}

/// Key and value of every record of a partition.
fn records(topic: &Topic, partition: u32) -> Vec<(String, String)> {
    let mut found = vec![];
    let text = |bytes: Option<&[u8]>| bytes.map_or("-".to_owned(), |b| String::from_utf8_lossy(b).into_owned());
    let partition = topic.partition(partition).unwrap();
    internal::for_range(partition, 0, partition.high_watermark(), |record| {
        found.push((text(record.key), text(record.value)));
        Ok(std::ops::ControlFlow::Continue(()))
    })
    .unwrap();
    found
}

#[test]
fn an_epoch_is_in_a_topic_once_also_after_a_restart() {
    let log = memory_log();
    let spec = sink_spec(&[], &[]);
    let rows = |epoch: i64| Batch::append(batch(&[(epoch, "x", 1)]).columns);
    let sink = write(&log, &spec).unwrap();
    let mut lane = sink.open(0).unwrap();
    assert_eq!(lane.last_epoch(), None);
    lane.write(1, vec![rows(1)]).unwrap();
    lane.write(4, vec![rows(4)]).unwrap();
    lane.checkpoint(4).unwrap();
    drop((lane, sink));
    let sink = write(&log, &spec).unwrap();
    let mut lane = sink.open(0).unwrap();
    assert_eq!(lane.last_epoch(), Some(4));
    // The engine passes over what is there; the log would refuse it, too.
    lane.write(4, vec![rows(4)]).unwrap();
    lane.write(5, vec![rows(5)]).unwrap();
    lane.checkpoint(5).unwrap();
    let values: Vec<String> = records(&log.topic("t").unwrap(), 0).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [1, 4, 5].map(|id| format!("{{\"id\":{id},\"name\":\"x\"}}")));
}

#[test]
fn key_fields_are_the_key_and_choose_the_partition() {
    let log = memory_log();
    let sink = write(&log, &sink_spec(&[("partitions", "3"), ("key.fields", "name")], &[])).unwrap();
    let Lanes::Chosen { count: 3, chooser } = sink.lanes() else { panic!("the key chooses: {:?}", sink.lanes()) };
    let rows = batch(&[(1, "x", 1), (2, "y", 1), (3, "x", 1)]).columns;
    let expected = [b"{\"name\":\"x\"}", b"{\"name\":\"y\"}", b"{\"name\":\"x\"}"];
    let expected = expected.map(|key| crate::kafka::client::partition_of(key, 3) as usize);
    assert_eq!(chooser.0.lanes(&rows).unwrap(), expected);
    let mut lane = sink.open(2).unwrap();
    lane.write(1, vec![Batch::append(batch(&[(1, "x", 1), (2, "y", 1)]).columns)]).unwrap();
    lane.checkpoint(1).unwrap();
    let topic = log.topic("t").unwrap();
    let keys: Vec<String> = records(&topic, 2).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["{\"name\":\"x\"}", "{\"name\":\"y\"}"]);
    assert!(records(&topic, 0).is_empty() && records(&topic, 1).is_empty());
    let error = write(&log, &sink_spec(&[("key.fields", "nam")], &[])).err().unwrap();
    assert_eq!((error.code(), error.hint()), ("E502", Some("did you mean 'name'?")));
}

#[test]
fn the_partitioner_is_as_stated() {
    let log = memory_log();
    log.create_topic("k", 3, fleuve_journal::TopicConfig::default()).unwrap();
    let lanes = |more: &[(&'static str, &'static str)]| {
        let pairs = [("connector", "kafka"), ("topic", "k"), ("properties.bootstrap.servers", "x"), ("format", "json")];
        let keyed = [("key.fields", "name"), ("key.format", "raw")];
        write(&log, &sink_spec(&[&pairs[..], &keyed, more].concat(), &[])).unwrap().lanes()
    };
    assert!(matches!(lanes(&[]), Lanes::Chosen { count: 3, .. }));
    assert_eq!(lanes(&[("sink.partitioner", "fixed")]), Lanes::Fixed { count: 3, by: vec![] });
    assert_eq!(lanes(&[("sink.partitioner", "round-robin")]), Lanes::Fixed { count: 3, by: vec![0, 1] });
}

#[test]
fn an_upsert_table_holds_the_last_row_of_each_key_and_forgets_deleted_ones() {
    let log = memory_log();
    let spec = sink_spec(&[], &[0]);
    let sink = write(&log, &spec).unwrap();
    let mut lane = sink.open(0).unwrap();
    lane.write(1, vec![batch(&[(1, "a", 1), (2, "b", 1)])]).unwrap();
    // In any order: 1 is replaced, 2 goes.
    lane.write(2, vec![batch(&[(1, "c", 1), (2, "b", -1)]), batch(&[(1, "a", -1)])]).unwrap();
    lane.checkpoint(2).unwrap();
    let found = records(&log.topic("t").unwrap(), 0);
    let row = |id: i64, name: &str| (format!("{{\"id\":{id}}}"), format!("{{\"id\":{id},\"name\":\"{name}\"}}"));
    assert_eq!(found, [row(1, "a"), row(2, "b"), row(1, "c"), ("{\"id\":2}".to_owned(), "-".to_owned())]);
    // Read again, with what each record means.
    let source = source_spec(&[], &schema_of_key_and_name());
    let source = fleuve_plan::SourceSpec { primary_key: vec![0], ..source };
    let options = Options::check("t", &source.options, Use::Read).unwrap();
    let columns = scan(&source.physical, &[(WEIGHT, DataType::Int64)]);
    let reader = TopicSource::open(Some(&log), None, &READER, &options, &source, columns).unwrap();
    assert_eq!(drain(&reader, 1 << 20).unwrap().0, ["1|a|1", "2|b|1", "1|c|1", "2|NULL|-1"]);
    // A reader that knows only insertions is refused, and so is a table without a key.
    let plain = TopicSource::open(Some(&log), None, &READER, &options, &source, scan(&source.physical, &[]));
    assert_eq!(plain.err().unwrap().code(), "E508");
    let keyless = SinkSpec { primary_key: vec![], ..spec };
    assert_eq!(write(&log, &keyless).err().unwrap().code(), "E508");
}

/// A `kafka` table over our own log, written and read.
fn kafka(pairs: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let common = [
        ("connector", "kafka"),
        ("topic", "t"),
        ("properties.bootstrap.servers", "localhost:9092"),
        ("scan.startup.mode", "earliest-offset"),
    ];
    [&common[..], pairs].concat()
}

fn read_kafka(log: &Arc<Log>, pairs: &[(&str, &str)], metadata: &[(&str, DataType)]) -> Result<Vec<String>> {
    let spec = source_spec(pairs, &ids());
    let options = Options::check("t", &spec.options, Use::Read)?;
    crate::check_source(&spec)?;
    let source = TopicSource::open(Some(log), None, &READER, &options, &spec, scan(&ids(), metadata))?;
    Ok(drain(&source, 1 << 20)?.0)
}

#[test]
fn columns_that_are_only_in_the_key_are_written_and_read_there_in_any_format() {
    for (key, value) in [("raw", "json"), ("json", "csv"), ("avro", "avro"), ("csv", "raw")] {
        let log = memory_log();
        let formats = [
            ("key.format", key),
            ("value.format", value),
            ("key.fields", "id"),
            ("value.fields-include", "EXCEPT_KEY"),
        ];
        let sink = write(&log, &sink_spec(&kafka(&formats), &[])).unwrap();
        let mut lane = sink.open(0).unwrap();
        lane.write(1, vec![Batch::append(batch(&[(1, "x", 1), (2, "y", 1)]).columns)]).unwrap();
        lane.checkpoint(1).unwrap();
        assert_eq!(read_kafka(&log, &kafka(&formats), &[]).unwrap(), ["1|x", "2|y"], "{key} and {value}");
    }
}

#[test]
fn a_key_that_cannot_be_decoded_takes_its_row_with_it() {
    let log = memory_log();
    let topic = log.create_topic("t", 1, TopicConfig::default()).unwrap();
    let mut records = BatchBuilder::new();
    for key in [Some(&b"{\"id\":1}"[..]), Some(b"{"), None] {
        records.append(0, key, Some(b"{\"name\":\"n\"}"), &[]).unwrap();
    }
    topic.partition(0).unwrap().append(records.finish().unwrap()).unwrap().ticket.wait().unwrap();
    let formats = [
        ("key.format", "json"),
        ("value.format", "json"),
        ("key.fields", "id"),
        ("value.fields-include", "EXCEPT_KEY"),
    ];
    let skipping = [&formats[..], &[("bad-records", "skip")]].concat();
    assert_eq!(read_kafka(&log, &kafka(&skipping), &[]).unwrap(), ["1|n", "NULL|n"]);
    let error = read_kafka(&log, &kafka(&formats), &[]).unwrap_err();
    assert!(error.code() == "E410" && error.to_string().contains("offset 1"), "{error}");
}

#[test]
fn timestamps_and_headers_are_written_and_read_as_metadata() {
    let log = memory_log();
    let fields = [
        ids().fields().to_vec(),
        vec![Arc::new(arrow::datatypes::Field::new(
            "ts",
            DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, None),
            true,
        ))],
    ]
    .concat();
    let written = SinkSpec {
        schema: Arc::new(Schema::new(fields)),
        metadata: vec![(2, "timestamp".to_owned())],
        ..sink_spec(&kafka(&[("format", "json")]), &[])
    };
    let mut lane = write(&log, &written).unwrap().open(0).unwrap();
    let times: ArrayRef = Arc::new(arrow::array::TimestampMillisecondArray::from(vec![77]));
    let columns = [batch(&[(1, "x", 1)]).columns.columns().to_vec(), vec![times]].concat();
    lane.write(1, vec![Batch::append(RecordBatch::try_new(written.schema.clone(), columns).unwrap())]).unwrap();
    lane.checkpoint(1).unwrap();
    let metadata = [
        ("topic", DataType::Utf8),
        ("partition", DataType::Int32),
        ("offset", DataType::Int64),
        ("timestamp", DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, None)),
        ("timestamp-type", DataType::Utf8),
        ("leader-epoch", DataType::Int32),
    ];
    let read = read_kafka(&log, &kafka(&[("format", "json")]), &metadata).unwrap();
    assert_eq!(read, ["1|x|t|0|0|1970-01-01T00:00:00.077|CreateTime|0"]);
    let offsets = SinkSpec { metadata: vec![(2, "offset".to_owned())], ..written };
    let error = write(&log, &offsets).err().unwrap();
    assert_eq!((error.code(), error.hint()), ("E505", Some("declare the column VIRTUAL: … METADATA VIRTUAL")));
}

#[test]
fn an_upsert_kafka_table_deletes_by_key_alone() {
    let log = memory_log();
    let options = [
        ("connector", "upsert-kafka"),
        ("topic", "t"),
        ("properties.bootstrap.servers", "localhost:9092"),
        ("key.format", "raw"),
        ("value.format", "avro"),
    ];
    let fields = ids().fields().iter().map(|field| field.as_ref().clone().with_nullable(false)).collect::<Vec<_>>();
    let written = SinkSpec { schema: Arc::new(Schema::new(fields)), ..sink_spec(&options, &[0]) };
    let mut lane = write(&log, &written).unwrap().open(0).unwrap();
    lane.write(1, vec![batch(&[(1, "a", 1), (2, "b", 1)])]).unwrap();
    lane.write(2, vec![batch(&[(1, "c", 1), (1, "a", -1), (2, "b", -1)])]).unwrap();
    lane.checkpoint(2).unwrap();
    let source = source_spec(&options, &schema_of_key_and_name());
    let source = fleuve_plan::SourceSpec { primary_key: vec![0], ..source };
    let checked = Options::check("t", &source.options, Use::Read).unwrap();
    let columns = scan(&source.physical, &[(WEIGHT, DataType::Int64)]);
    let reader = TopicSource::open(Some(&log), None, &READER, &checked, &source, columns).unwrap();
    assert_eq!(drain(&reader, 1 << 20).unwrap().0, ["1|a|1", "2|b|1", "1|c|1", "2|NULL|-1"]);
    let keyless = fleuve_plan::SourceSpec { primary_key: vec![], ..source };
    assert_eq!(crate::check_source(&keyless).unwrap_err().code(), "E503");
}

/// A group that has committed, and what it is told to commit.
#[derive(Default)]
struct Committed(Option<u64>, parking_lot::Mutex<Vec<(String, u32, u64)>>);

impl GroupOffsets for Committed {
    fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<Option<u64>> {
        assert_eq!((group, topic, partition), ("g", "t", 0));
        Ok(self.0)
    }

    fn commit(&self, group: &str, offsets: Vec<(String, u32, u64)>) {
        assert_eq!(group, "g");
        self.1.lock().extend(offsets);
    }
}

#[test]
fn a_snapshot_commits_to_the_group() {
    let log = memory_log();
    filled(&log, &[0..3, 3..7]);
    let pairs = [
        ("connector", "kafka"),
        ("topic", "t"),
        ("format", "json"),
        ("properties.bootstrap.servers", "x"),
        ("scan.startup.mode", "earliest-offset"),
        ("properties.group.id", "g"),
    ];
    let spec = source_spec(&pairs, &ids());
    let options = Options::check("t", &spec.options, Use::Read).unwrap();
    let groups = Arc::new(Committed::default());
    let source = TopicSource::open(Some(&log), Some(groups.clone()), &READER, &options, &spec, scan(&ids(), &[]));
    let range = |split, end| fleuve_flow::source::Range { split, item: 0, start: 1, end };
    source.unwrap().snapshotted(&[range(0, 2), range(1, 4)]);
    assert_eq!(*groups.1.lock(), [("t".to_owned(), 0, 2), ("t".to_owned(), 1, 4)]);
}

#[test]
fn reading_starts_and_ends_where_the_options_say() {
    let log = memory_log();
    filled(&log, std::slice::from_ref(&(0..30)));
    let read = |pairs: &[(&'static str, &'static str)], committed: Option<u64>| {
        let servers =
            [("connector", "kafka"), ("topic", "t"), ("format", "json"), ("properties.bootstrap.servers", "x")];
        let spec = source_spec(&[&servers[..], pairs].concat(), &ids());
        let options = Options::check("t", &spec.options, Use::Read)?;
        let groups: Arc<dyn GroupOffsets> = Arc::new(Committed(committed, Default::default()));
        let source = TopicSource::open(Some(&log), Some(groups), &READER, &options, &spec, scan(&ids(), &[]))?;
        Ok::<_, fleuve_base::Error>(drain(&source, 1 << 20)?.0)
    };
    let group = ("properties.group.id", "g");
    assert_eq!(read(&[group], Some(27)).unwrap(), expected(27..30));
    assert_eq!(read(&[group], None).unwrap_err().code(), "E513");
    assert_eq!(read(&[group, ("properties.auto.offset.reset", "earliest")], None).unwrap().len(), 30);
    assert_eq!(read(&[], None).unwrap_err().code(), "E503");
    let specific =
        [("scan.startup.mode", "specific-offsets"), ("scan.startup.specific-offsets", "partition:0,offset:5")];
    let until = [("scan.bounded.mode", "specific-offsets"), ("scan.bounded.specific-offsets", "partition:0,offset:9")];
    assert_eq!(read(&[specific, until].concat(), None).unwrap(), expected(5..9));
    let timed = [
        ("scan.startup.mode", "earliest-offset"),
        ("scan.bounded.mode", "timestamp"),
        ("scan.bounded.timestamp-millis", "35"),
    ];
    assert_eq!(read(&timed, None).unwrap(), expected(0..4));
    let wrong = [("scan.startup.mode", "specific-offsets"), ("scan.startup.specific-offsets", "0:5")];
    assert_eq!(read(&wrong, None).unwrap_err().code(), "E502");
}

#[test]
fn records_of_aborted_transactions_are_not_read() {
    let log = memory_log();
    let topic = filled(&log, std::slice::from_ref(&(0..2)));
    let partition = topic.partition(0).unwrap();
    for (first, commit) in [(2, false), (3, true)] {
        let mut records = BatchBuilder::new().producer(7, 0, first - 2).transactional();
        let value = format!("{{\"id\":{first},\"name\":\"n{first}\"}}");
        records.append(0, None, Some(value.as_bytes()), &[]).unwrap();
        partition.append(records.finish().unwrap()).unwrap().ticket.wait().unwrap();
        let marker = EndMarker { commit, coordinator_epoch: 0 };
        partition.append_marker(7, 0, marker, 0).unwrap().ticket.wait().unwrap();
    }
    let source = read(&log, &[]).unwrap();
    let (rows, ranges) = drain(&source, 1 << 20).unwrap();
    assert_eq!(rows, [expected(0..2), expected(3..4)].concat());
    assert_eq!(reread(&source, &ranges).unwrap(), rows);
}

/// The key is never NULL; other columns are in a record that deletes.
fn schema_of_key_and_name() -> Arc<Schema> {
    let fields = ids();
    let key = fields.field(0).clone().with_nullable(false);
    Arc::new(Schema::new(vec![key, fields.field(1).clone()]))
}

#[test]
fn a_topic_needs_a_data_directory() {
    let spec = sink_spec(&[], &[]);
    let options = Options::check("t", &spec.options, Use::Write).unwrap();
    let error = TopicSink::open(&Env::system(), None, &READER, &options, &spec).err().unwrap();
    assert_eq!(error.code(), "E509");
}

#[test]
fn internal_topics_go_with_their_pipeline() {
    let log = memory_log();
    for kind in [internal::INGEST, internal::FILES] {
        internal::topic(&log, &internal::name(kind, &READER)).unwrap();
    }
    let kept = fleuve_flow::connectors::Reader { pipeline: "test.00011", node: 3 };
    internal::topic(&log, &internal::name(internal::INGEST, &kept)).unwrap();
    crate::StandardConnectors::forget(&log, READER.pipeline).unwrap();
    let names: Vec<String> = log.topics().iter().map(|topic| topic.name().to_owned()).collect();
    assert_eq!(names, [internal::name(internal::INGEST, &kept)]);
}
