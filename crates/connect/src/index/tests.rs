//! Indexes against plain vectors: through crashes at every change of the disk, damage, restarts and draws.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use fleuve_base::fs_memory::Unsynced;
use fleuve_base::{Env, Fs, MemoryFs, Result};
use fleuve_flow::batch::Batch;
use fleuve_flow::sink::Sink;
use fleuve_journal::{CommitMode, Log, LogOptions};
use fleuve_plan::SinkSpec;

use super::cache::RowCache;
use super::definition::{pages_topic, rows_topic};
use super::draws::{Method, draw};
use super::extremes::extremes;
use super::*;
use crate::testing::{READER, memory_env, memory_log, options};

const EPOCHS: u64 = 5;
const ROWS: u64 = 40;

fn spec(key: &[usize]) -> SinkSpec {
    let fields = vec![Field::new("id", DataType::Int64, false), Field::new("text", DataType::Utf8, true)];
    SinkSpec {
        table: "i".to_owned(),
        options: options(&[("connector", CONNECTOR), ("index", "i"), ("table", "t")]),
        schema: Arc::new(Schema::new(fields)),
        primary_key: key.to_vec(),
        partition_by: vec![],
        metadata: vec![],
        changelog: false,
        upsert_key: None,
    }
}

/// The text of a row: long, so that a few rows fill a page, and in another order than the rows.
fn text(id: u64) -> Option<String> {
    (!id.is_multiple_of(17)).then(|| format!("{:03}{}", id * 37 % 211, "-".repeat(150)))
}

fn rows(ids: std::ops::Range<u64>) -> Batch {
    let columns: [(&str, ArrayRef, bool); 2] = [
        ("id", Arc::new(ids.clone().map(|id| id as i64).collect::<Int64Array>()), false),
        ("text", Arc::new(ids.map(text).collect::<StringArray>()), true),
    ];
    Batch::append(RecordBatch::try_from_iter_with_nullable(columns).unwrap())
}

fn open_log(env: &Env) -> Result<Arc<Log>> {
    Log::open(env.clone(), Path::new("/data"), LogOptions { commit: CommitMode::Manual })
}

/// Writes the epochs that an index does not have yet, storing its pages now and then.
fn write(env: &Env, log: &Arc<Log>) -> Result<Arc<Indexes>> {
    let indexes = Indexes::of(env, log);
    let sink = IndexSink::open(env, &indexes, &READER, &spec(&[1]))?;
    let mut lane = sink.open(0)?;
    for epoch in lane.last_epoch().unwrap_or(0) + 1..=EPOCHS {
        let first = (epoch - 1) * ROWS;
        // In two batches, of which one is empty now and then.
        let cut = first + epoch % 3 * 20;
        lane.write(epoch, vec![rows(first..cut), rows(cut..first + ROWS)])?;
        lane.checkpoint(epoch)?;
        if epoch % 2 == 0 {
            indexes.open("i")?.store()?;
        }
    }
    Ok(indexes)
}

/// That an index has each row once, in the order of its key, and gives it back.
fn check(index: &Index, count: u64) {
    index.catch_up().unwrap();
    let tree = index.tree();
    let mut model: Vec<(Option<String>, u64)> = (0..count).map(|id| (text(id), id)).collect();
    model.sort();
    let entries: Vec<u64> = tree.entries(0..tree.len()).map(|entry| entry.row).collect();
    assert_eq!(entries, model.iter().map(|(_, id)| *id).collect::<Vec<_>>());
    let found = index.fetch(&entries).unwrap();
    let (ids, texts) = (found.column(0).as_primitive::<Int64Type>(), found.column(1).as_string::<i32>());
    for (row, (text, id)) in model.iter().enumerate() {
        assert_eq!((ids.value(row), texts.iter().nth(row).flatten()), (*id as i64, text.as_deref()));
    }
}

#[test]
fn a_crash_at_any_change_of_the_disk_loses_and_doubles_nothing() {
    let mut crashes = 0;
    for halt in 1.. {
        let fs = MemoryFs::new();
        fs.halt_at(halt);
        let env = memory_env(&fs);
        let finished = open_log(&env).and_then(|log| write(&env, &log)).is_ok();
        for unsynced in [Unsynced::Kept, Unsynced::Lost, Unsynced::Torn(halt)] {
            let env = memory_env(&fs.crash(unsynced));
            let log = open_log(&env).unwrap();
            let indexes = write(&env, &log).unwrap();
            check(&indexes.open("i").unwrap(), EPOCHS * ROWS);
            crashes += 1;
        }
        if finished {
            break;
        }
    }
    assert!(crashes > 150, "only {crashes} crashes");
}

#[test]
fn a_clean_start_applies_no_row_and_is_the_same_tree() {
    let fs = MemoryFs::new();
    let env = memory_env(&fs);
    let log = open_log(&env).unwrap();
    let indexes = write(&env, &log).unwrap();
    let bytes = indexes.open("i").unwrap().tree().header();
    indexes.store().unwrap();
    drop(indexes);
    log.close().unwrap();
    let env = memory_env(&fs);
    let log = open_log(&env).unwrap();
    let indexes = Indexes::of(&env, &log);
    let index = indexes.open("i").unwrap();
    assert_eq!(index.tree().header(), bytes, "before anything is applied");
    check(&index, EPOCHS * ROWS);
    assert!(Arc::ptr_eq(&index, &Indexes::of(&env, &log).open("i").unwrap()), "an index is open once");
    assert_eq!(index.definition().columns(), ["text"]);
}

#[test]
fn damage_is_an_error_that_says_what_to_do() {
    for (topic, offset) in [(pages_topic("i"), 2_000), (rows_topic("i"), 9_000)] {
        let fs = MemoryFs::new();
        let env = memory_env(&fs);
        let log = open_log(&env).unwrap();
        write(&env, &log).unwrap().store().unwrap();
        let directory = Path::new("/data/topics").join(&topic).join("0");
        let segment = fs.list(&directory).unwrap().into_iter().find(|name| name.ends_with(".log")).unwrap();
        log.close().unwrap();
        assert!(fs.flip(&directory.join(segment), offset, 4));
        let log = open_log(&env).unwrap();
        let indexes = Indexes::of(&env, &log);
        let found = indexes.open("i").and_then(|index| index.fetch(&(0..EPOCHS * ROWS).collect::<Vec<_>>()));
        let error = found.unwrap_err();
        assert_eq!(error.code(), "E901", "{topic}: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("DROP INDEX i")), "{topic}: {error:?}");
    }
}

#[test]
fn pages_of_an_earlier_index_are_not_believed() {
    let log = memory_log();
    let env = Env::system();
    write(&env, &log).unwrap().store().unwrap();
    // A deletion that was interrupted between the two topics.
    log.delete_topic(&rows_topic("i")).unwrap();
    let indexes = write(&env, &log).unwrap();
    check(&indexes.open("i").unwrap(), EPOCHS * ROWS);
    assert!(indexes.remove("i").unwrap() && !indexes.remove("i").unwrap());
    assert_eq!(indexes.open("i").err().map(|error| error.code()), Some("E026"));
    assert!(log.topics().is_empty());
}

#[test]
fn an_index_over_something_else_is_refused() {
    let (log, env) = (memory_log(), Env::system());
    let indexes = write(&env, &log).unwrap();
    let error = IndexSink::open(&env, &indexes, &READER, &spec(&[0])).err().unwrap();
    assert_eq!(error.code(), "E408");
    assert!(indexes.check(&spec(&[1])).is_ok());
}

#[test]
fn a_small_cache_gives_the_same_rows() {
    let (log, env) = (memory_log(), Env::system());
    let index = write(&env, &log).unwrap().open("i").unwrap();
    let mut cache = RowCache::new(index.definition(), index.partition(), 20_000).unwrap();
    let wanted: Vec<u64> = (0..1_000).map(|n| n * 7919 % (EPOCHS * ROWS)).collect();
    let found = cache.fetch(&wanted).unwrap();
    let ids: Vec<u64> = found.column(0).as_primitive::<Int64Type>().values().iter().map(|id| *id as u64).collect();
    assert_eq!(ids, wanted);
    assert_eq!(cache.fetch(&[]).unwrap().num_rows(), 0);
    assert!(cache.fetch(&[EPOCHS * ROWS]).is_err(), "a row that is not there");
}

#[test]
fn every_way_of_drawing_is_uniform_and_repeats_by_its_seed() {
    let (log, env) = (memory_log(), Env::system());
    let index = write(&env, &log).unwrap().open("i").unwrap();
    index.catch_up().unwrap();
    let tree = index.tree();
    let total = tree.len();
    for (rejection, replacement, rows) in
        [(false, false, 30), (false, true, 30), (true, false, 30), (true, true, 30), (true, false, 150)]
    {
        let method = |seed| Method { rows, seed, rejection, replacement };
        let (mut counts, mut rejected) = (vec![0_u64; total as usize], 0);
        for seed in 0..400 {
            let drawn = draw(&tree, &method(seed)).unwrap();
            assert_eq!(drawn.rows, draw(&tree, &method(seed)).unwrap().rows);
            let distinct: BTreeSet<&u64> = drawn.rows.iter().collect();
            assert!(replacement || distinct.len() == drawn.rows.len());
            drawn.rows.iter().for_each(|row| counts[*row as usize] += 1);
            rejected += drawn.rejected;
        }
        assert_eq!(rejection, rejected > 0);
        let expected = (400 * rows) as f64 / total as f64;
        let chi_square: f64 = counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
        // 199 degrees of freedom: above 300 once in 100,000 times (less without replacement).
        assert!(chi_square < 300.0, "{rejection} {replacement} {rows}: {chi_square}");
    }
    let all = draw(&tree, &Method { rows: 1_000, seed: 1, rejection: false, replacement: false }).unwrap().rows;
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len() as u64, total, "more than there are gives all");
    let more = Method { rows: 1_000, seed: 1, rejection: true, replacement: true };
    assert_eq!(draw(&tree, &more).unwrap().rows.len(), 1_000);
    let nothing = draw(&fleuve_sketch::index::Tree::new(), &more).unwrap();
    assert!(nothing.rows.is_empty());
}

#[test]
fn keys_of_every_type_keep_the_order_and_come_back() {
    let cases: Vec<(ArrayRef, DataType)> = vec![
        (Arc::new(Int64Array::from(vec![None, Some(-3), Some(0), Some(7)])), DataType::Int8),
        (Arc::new(Int64Array::from(vec![None, Some(0), Some(1)])), DataType::Boolean),
        (Arc::new(Int64Array::from(vec![None, Some(-3), Some(90_000)])), DataType::Int32),
        (Arc::new(Int64Array::from(vec![Some(-5), Some(1_000)])), DataType::Timestamp(TimeUnit::Millisecond, None)),
        (
            Arc::new(Int64Array::from(vec![Some(-5), Some(1_000)])),
            DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        ),
        (Arc::new(Int64Array::from(vec![None, Some(-2), Some(3)])), DataType::Float32),
        (Arc::new(Int64Array::from(vec![None, Some(-2), Some(3)])), DataType::Decimal128(20, 3)),
        (Arc::new(StringArray::from(vec![None, Some(""), Some("a"), Some("ab"), Some("é")])), DataType::Utf8),
    ];
    for (values, data_type) in cases {
        let column = arrow::compute::cast(&values, &data_type).unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("c", data_type.clone(), true)]));
        let definition = Definition { name: "i".to_owned(), table: "t".to_owned(), schema, key: vec![0] };
        let shape = KeyShape::new(&definition).unwrap();
        let keys = shape.encode(std::slice::from_ref(&column)).unwrap();
        assert!(keys.is_sorted_by(|a, b| a < b), "{data_type}: {keys:?}");
        assert_eq!(&shape.decode_first(keys.iter().map(Vec::as_slice)).unwrap(), &column);
    }
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
    let schema = Arc::new(Schema::new(vec![Field::new("c", list, true)]));
    let definition = Definition { name: "i".to_owned(), table: "t".to_owned(), schema, key: vec![0] };
    assert_eq!(KeyShape::new(&definition).err().map(|error| error.code()), Some("E430"));
}

/// The least and the greatest key; none of an index without rows.
#[test]
fn extremes_are_the_keys_at_the_ends() {
    let fs = MemoryFs::new();
    let env = memory_env(&fs);
    let log = open_log(&env).unwrap();
    let indexes = Indexes::of(&env, &log);
    let sink = IndexSink::open(&env, &indexes, &READER, &spec(&[0])).unwrap();
    let found = || {
        let index = indexes.open("i").unwrap();
        index.catch_up().unwrap();
        extremes(&index).unwrap()
    };
    assert_eq!(found(), [None, None]);
    let mut lane = sink.open(0).unwrap();
    lane.write(1, vec![rows(7..90)]).unwrap();
    lane.checkpoint(1).unwrap();
    assert_eq!(found(), [Some(7.0), Some(89.0)]);
}
