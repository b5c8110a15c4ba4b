//! TABLESAMPLE: the same rows on any number of workers, after restarts, and whatever the query reads of them.

use std::collections::BTreeSet;

use super::world::World;

const ROWS: i64 = 3_000;

fn row(id: i64) -> String {
    format!("{{\"id\":{id},\"w\":{},\"item\":\"item {}\"}}\n", id % 7 + 1, id % 5)
}

/// What a query over a bounded table of 3,000 rows in three files gives.
fn bounded(query: &str, workers: usize) -> Vec<String> {
    let world = World::new();
    for file in 0..3 {
        world.write(&format!("{file}.json"), &(0..ROWS).filter(|id| id % 3 == file).map(row).collect::<String>());
    }
    let script = format!(
        "CREATE TABLE t (id BIGINT, w INT, item STRING, at AS PROCTIME())
           WITH ('connector' = 'filesystem', 'path' = '$files', 'format' = 'json');
         CREATE TABLE result (id BIGINT) WITH ('connector' = 'net'); INSERT INTO result {query};"
    );
    let mut plans = world.plans(&script).expect("plans");
    plans[0].settings.epoch_bytes = 20_000;
    world.finish(&plans[0], workers).expect("runs");
    world.net.rows()
}

#[test]
fn any_number_of_workers_draws_the_same() {
    let cases = [
        ("BERNOULLI (5)", 90..=220),
        ("RESERVOIR (100 ROWS)", 100..=100),
        ("WEIGHTED (w, 100)", 100..=100),
        ("WEIGHTED (w, 100) REPEATABLE (7)", 100..=100),
    ];
    let mut known = BTreeSet::new();
    for (sample, sizes) in cases {
        let query = format!("SELECT id FROM t TABLESAMPLE {sample}");
        let one = bounded(&query, 1);
        assert!(sizes.contains(&one.len()), "{sample}: {}", one.len());
        assert_eq!(one, bounded(&query, 2), "{sample}");
        assert_eq!(one, bounded(&query, 4), "{sample}");
        assert!(known.insert(one), "{sample} is a sample of its own");
    }
}

#[test]
fn what_is_read_of_a_sample_does_not_change_it() {
    let sample: Vec<i64> = bounded("SELECT id FROM t TABLESAMPLE RESERVOIR (60 ROWS)", 1)
        .iter()
        .map(|id| id.parse().expect("a number"))
        .collect();
    let expected = |keep: &dyn Fn(i64) -> bool| {
        let mut rows: Vec<String> = sample.iter().filter(|id| keep(**id)).map(i64::to_string).collect();
        rows.sort();
        rows
    };
    // A filter, an alias, a join and an aggregate stand above the sample.
    let filtered = bounded("SELECT s.id FROM t AS s TABLESAMPLE RESERVOIR (60 ROWS) WHERE s.id < 1000", 2);
    assert_eq!(filtered, expected(&|id| id < 1_000));
    assert!(!filtered.is_empty());
    let joined =
        "SELECT s.id FROM t AS s TABLESAMPLE RESERVOIR (60 ROWS) JOIN t ON s.id = t.id WHERE t.item = 'item 1'";
    assert_eq!(bounded(joined, 2), expected(&|id| id % 5 == 1));
    assert_eq!(bounded("SELECT COUNT(*) FROM t TABLESAMPLE RESERVOIR (60 ROWS)", 2), ["60"]);
    // Below a sample, a filter makes another population.
    let below = bounded("SELECT id FROM (SELECT * FROM t WHERE id < 50) TABLESAMPLE RESERVOIR (60 ROWS)", 2);
    assert_eq!(below.len(), 50);
}

#[test]
fn a_sample_of_a_sample_draws_anew() {
    let query = "SELECT id FROM (SELECT * FROM t TABLESAMPLE BERNOULLI (20)) TABLESAMPLE BERNOULLI (20)";
    let rows = bounded(query, 2).len();
    assert!((70..=175).contains(&rows), "{rows}");
}

#[test]
fn a_stream_is_sampled_through_restarts_and_a_power_cut() {
    let script = "
        CREATE TABLE t (id BIGINT, w INT, item STRING) WITH ('connector' = 'filesystem', 'path' = '$files',
          'format' = 'json', 'source.monitor-interval' = '5 ms');
        CREATE TABLE result (id BIGINT) WITH ('connector' = 'net');
        INSERT INTO result SELECT id FROM t TABLESAMPLE WEIGHTED (w, 100);";
    let expected = bounded("SELECT id FROM t TABLESAMPLE WEIGHTED (w, 100)", 1);
    let mut world = World::new();
    let mut plans = world.plans(script).expect("plans");
    plans[0].settings.snapshot_interval_ms = 3_600_000;
    for (file, workers) in [(0, 1), (1, 3), (2, 2)] {
        world.write(&format!("{file}.json"), &(0..ROWS).filter(|id| id % 3 == file).map(row).collect::<String>());
        let running = world.start(&plans[0], workers).expect("starts");
        match file {
            2 => running.until("the sample", |_| world.net.rows() == expected),
            _ => running.until("the file", |running| running.rows_in() >= 1_000),
        }
        if file == 1 {
            world.cut_power();
        }
        running.stop();
    }
    assert_eq!(world.net.rows(), expected);
}
