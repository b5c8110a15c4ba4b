//! Indexes, as a user makes and uses them: the real binary, over files and topics, through restarts and kills.

mod reads;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::Value;

use crate::cli::program::Place;
use crate::serve::serve;

const ROWS: u64 = 3_000;

/// The value of a row: skewed, and NULL now and then.
fn value(id: u64) -> Option<u64> {
    (!id.is_multiple_of(50)).then_some(id * id % 997 / (1 + id % 7))
}

/// A row as it stands in a file.
fn row(id: u64) -> String {
    let value = value(id).map_or_else(|| "null".to_owned(), |value| value.to_string());
    format!("{{\"id\":{id},\"v\":{value},\"item\":\"item {}\"}}\n", id % 10)
}

fn rows(ids: std::ops::Range<u64>) -> String {
    ids.map(row).collect()
}

const TABLE: &str = "CREATE TABLE t (id BIGINT, v INT, item STRING, twice AS id * 2)
    WITH ('connector' = 'filesystem', 'path' = 'rows', 'format' = 'json');
    CREATE INDEX by_v ON t (v);\n";

/// A place with a directory of rows.
fn place() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path("rows")).expect("is created");
    place.write("rows/a.json", &rows(0..ROWS / 2));
    place.write("rows/b.json", &rows(ROWS / 2..ROWS));
    place
}

/// The rows that a script prints.
fn run(place: &Place, script: &str) -> Vec<Value> {
    place.write("job.sql", script);
    let printed = place.fleuve(&["run", "job.sql", "--data", "d"]).succeeds();
    printed.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

fn count(place: &Place, table: &str) -> u64 {
    let found = run(
        place,
        &format!("{table} SELECT COUNT(*) AS n, COUNT(DISTINCT id) AS ids FROM t TABLESAMPLE OLKEN (1000000 ROWS);"),
    );
    let last = found.last().expect("an answer");
    assert_eq!(last["n"], last["ids"], "each row once");
    last["n"].as_u64().expect("a number")
}

#[test]
fn the_levels_of_a_histogram_sum_up_and_come_one_after_the_other() {
    let place = place();
    const ALL: u64 = 30_000;
    place.write("rows/c.json", &rows(ROWS..ALL));
    let buckets = run(&place, &format!("{TABLE} SELECT * FROM HISTOGRAM(TABLE t, DESCRIPTOR(v));"));
    let number = |bucket: &Value, name: &str| bucket[name].as_i64().expect("a number");
    let levels: Vec<i64> = buckets.iter().map(|bucket| number(bucket, "level")).collect();
    assert!(levels.is_sorted());
    let last = *levels.last().expect("a level");
    assert!(last >= 1, "so many rows have several levels");
    let greatest = (0..ALL).filter_map(value).max().expect("a value") as i64;
    for level in 0..=last {
        let level: Vec<&Value> = buckets.iter().filter(|bucket| number(bucket, "level") == level).collect();
        assert_eq!(level.iter().map(|bucket| number(bucket, "row_count")).sum::<i64>(), ALL as i64);
        assert!(level.iter().enumerate().all(|(at, bucket)| number(bucket, "bucket") == at as i64));
        assert!(level.windows(2).all(|pair| pair[0]["high"] == pair[1]["low"]), "bounds meet");
        assert_eq!(level[0]["low"], Value::Null, "NULLs come first");
        assert_eq!(number(level[level.len() - 1], "high"), greatest);
        let within = |bucket: &&&Value| number(bucket, "error") <= number(bucket, "row_count").div_euclid(2) + 1;
        assert_eq!(level.iter().filter(within).count(), level.len());
    }
    let first = run(
        &place,
        &format!("{TABLE} SELECT bucket, low FROM TABLE(HISTOGRAM(TABLE t, DESCRIPTOR(v))) WHERE level = 1 LIMIT 2;"),
    );
    assert_eq!(first.iter().map(|bucket| number(bucket, "bucket")).collect::<Vec<_>>(), [0, 1]);
    let some =
        run(&place, &format!("{TABLE} SELECT COUNT(*) AS n FROM HISTOGRAM(TABLE t, DESCRIPTOR(v)) WHERE level < 1;"));
    let whole_level = levels.iter().filter(|level| **level == 0).count();
    assert_eq!(some.last().map(|row| number(row, "n")), Some(whole_level as i64));
}

#[test]
fn draws_are_rows_of_the_table_uniform_and_the_same_by_their_seed() {
    let place = place();
    let olken = |sample: &str| format!("SELECT * FROM t TABLESAMPLE OLKEN ({sample});");
    let seeded = format!("{TABLE} SELECT * FROM t TABLESAMPLE OLKEN (100 ROWS) REPEATABLE (3);");
    let sample = run(&place, &seeded);
    assert_eq!(sample, run(&place, &seeded));
    assert_ne!(sample, run(&place, &format!("{TABLE} {}", olken("100 ROWS"))));
    let ids: BTreeSet<u64> = sample.iter().map(|row| row["id"].as_u64().expect("a number")).collect();
    assert_eq!(ids.len(), 100);
    for drawn in &sample {
        let id = drawn["id"].as_u64().expect("a number");
        let mut expected: Value = serde_json::from_str(&row(id)).expect("is JSON");
        expected["twice"] = (id * 2).into();
        assert_eq!(*drawn, expected);
    }
    // 60 samples of 100 rows over ten parts of the table: 9 degrees of freedom.
    for options in
        ["100 ROWS", "100 ROWS, REJECTION", "100 ROWS, WITH REPLACEMENT", "100 ROWS, REJECTION, WITH REPLACEMENT"]
    {
        let queries: String = (0..60)
            .map(|seed| format!("SELECT id FROM t TABLESAMPLE OLKEN ({options}) REPEATABLE ({seed});"))
            .collect();
        let mut counts = [0_f64; 10];
        for row in run(&place, &format!("{TABLE}{queries}")) {
            counts[(row["id"].as_u64().expect("a number") * 10 / ROWS) as usize] += 1.0;
        }
        let chi_square: f64 = counts.iter().map(|count| (count - 600.0).powi(2) / 600.0).sum();
        assert!(chi_square < 33.7, "above once in 10,000 times: {options}: {counts:?}");
    }
}

#[test]
fn samples_stand_below_any_query_and_tell_what_they_rejected() {
    let place = place();
    let query = |query: &str| run(&place, &format!("{TABLE} {query};"));
    let filtered = query("SELECT id FROM t AS s TABLESAMPLE OLKEN (1000 ROWS) WHERE s.id < 1500 AND s.item = 'item 3'");
    assert!(!filtered.is_empty());
    assert!(filtered.iter().all(|row| row["id"].as_u64().is_some_and(|id| id < 1_500 && id % 10 == 3)));
    let grouped = query("SELECT item, COUNT(*) AS n FROM t TABLESAMPLE OLKEN (5000 ROWS) GROUP BY item");
    assert_eq!(grouped.len(), 10, "more than there are gives all");
    assert!(grouped.iter().all(|row| row["n"] == 300));
    let joined = query("SELECT s.id FROM t AS s TABLESAMPLE OLKEN (20 ROWS) JOIN t ON s.id = t.id");
    assert_eq!(joined.len(), 20);
    place.write("job.sql", &format!("{TABLE} SELECT id FROM t TABLESAMPLE OLKEN (200 ROWS, REJECTION);"));
    let ended = place.fleuve(&["run", "job.sql", "--data", "d", "--stats"]);
    assert!(
        ended.stderr.contains("200 rows drawn, ") && ended.stderr.contains(" draws rejected\n"),
        "{}",
        ended.stderr
    );
    let stats: Value = ended.stderr.lines().find_map(|line| serde_json::from_str(line).ok()).expect("counters");
    let stats_of_query = ended.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let draws = stats_of_query.into_iter().find(|stats| !stats["draws"].is_null()).unwrap_or(stats);
    assert_eq!(draws["draws"]["accepted"], 200);
    assert!(draws["draws"]["rejected"].as_u64().is_some_and(|rejected| rejected > 0));
}

#[test]
fn an_index_over_files_takes_up_what_is_new_and_is_dropped_whole() {
    let place = place();
    assert_eq!(count(&place, TABLE), ROWS);
    assert_eq!(count(&place, TABLE), ROWS, "nothing is indexed twice");
    place.write("rows/c.json", &rows(ROWS..ROWS + 700));
    assert_eq!(count(&place, TABLE), ROWS + 700);
    let plan = place.fleuve(&["explain", "job.sql"]).succeeds();
    for part in ["index `by_v` over `t`", "ordered by: v", "draws by rank from index `by_v`"] {
        assert!(plan.contains(part), "{part} in {plan}");
    }
    let listed = run(&place, &format!("{TABLE} SHOW INDEXES;"));
    assert_eq!((&listed[0]["index name"], &listed[0]["columns"]), (&"by_v".into(), &"v".into()));
    // Over another column, and over another directory, it is another index.
    for other in [TABLE.replace("t (v)", "t (id)"), TABLE.replace("'rows'", "'rows/a.json'")] {
        place.write("job.sql", &other);
        let refused = place.fleuve(&["run", "job.sql", "--data", "d"]);
        assert!(refused.status != 0 && refused.stderr.contains("E408"), "{}", refused.stderr);
    }
    place.fleuve(&["sql", "-c", "DROP INDEX by_v", "--data", "d"]).succeeds();
    let topics = place.fleuve(&["topic", "ls", "--json", "--data", "d"]).succeeds();
    assert!(!topics.contains("index-by_v"), "{topics}");
    let again = place.fleuve(&["sql", "-c", "DROP INDEX by_v", "--data", "d"]);
    assert!(again.status == 3 && again.stderr.contains("E026"), "{}", again.stderr);
    place.fleuve(&["sql", "-c", "DROP INDEX IF EXISTS by_v", "--data", "d"]).succeeds();
    assert_eq!(count(&place, &TABLE.replace("'rows'", "'rows/a.json'")), ROWS / 2);
}

/// A topic that a pipeline fills, with an index.
const TOPIC: &str = "
    CREATE TABLE files (id BIGINT, v INT, item STRING)
      WITH ('connector' = 'filesystem', 'path' = 'rows', 'format' = 'json');
    CREATE TABLE t (id BIGINT, v INT, item STRING) WITH ('connector' = 'topic', 'format' = 'json');
    CREATE INDEX by_item ON t (item, id);\n";

#[test]
fn an_index_over_a_topic_is_kept_as_long_as_the_script_runs() {
    let place = place();
    // With INSERT alone the script ends when that has ended, and the index has what was written.
    run(&place, &format!("{TOPIC} INSERT INTO t SELECT * FROM files;"));
    assert_eq!(count(&place, TOPIC), ROWS, "and a query does not wait for a topic to end");
    place.write("more.jsonl", &rows(ROWS..ROWS + 10));
    let produced = place.fleuve_with_input(&["produce", "t", "--data", "d"], &rows(ROWS..ROWS + 10));
    assert_eq!(produced.status, 0, "{}", produced.stderr);
    assert_eq!(count(&place, TOPIC), ROWS + 10);
    // Without anything else to do, it is kept until it is stopped.
    place.write("job.sql", TOPIC);
    let running = place.start(&["run", "job.sql", "--data", "d"]);
    std::thread::sleep(Duration::from_millis(1_500));
    let stopped = running.stop();
    assert_eq!(stopped.status, 0, "{}", stopped.stderr);
    assert_eq!(count(&place, TOPIC), ROWS + 10);
}

#[test]
fn serve_keeps_an_index_beside_its_pipelines() {
    let place = place();
    place.write("job.sql", &format!("{TOPIC} INSERT INTO t SELECT * FROM files;"));
    for start in 0..2 {
        let mut served = serve(&place, &["--run", "job.sql"]);
        let mut stderr = BufReader::new(served.running.take_stderr());
        let mut line = String::new();
        while start == 0 && !line.contains("finished") {
            line.clear();
            assert!(stderr.read_line(&mut line).expect("is text") > 0, "the INSERT does not finish");
        }
        let drained = std::thread::spawn(move || stderr.lines().map_while(Result::ok).collect::<Vec<_>>());
        assert_eq!(served.running.stop().status, 0);
        assert!(drained.join().expect("reads").iter().all(|line| !line.contains("error[")));
    }
    let rows = run(
        &place,
        "CREATE TABLE t (id BIGINT) WITH ('connector' = 'topic', 'format' = 'json',
        'scan.bounded.mode' = 'latest-offset'); SELECT COUNT(*) AS n FROM t;",
    );
    let written = rows.last().expect("an answer")["n"].as_u64().expect("a number");
    assert!(written >= ROWS);
    // The INSERT has run once or twice; the index has each record once.
    let found = run(&place, &format!("{TOPIC} SELECT COUNT(*) AS n FROM t TABLESAMPLE OLKEN (1000000 ROWS);"));
    assert_eq!(found.last().expect("an answer")["n"].as_u64(), Some(written));
}

#[test]
fn kills_lose_and_double_nothing() {
    let place = place();
    place.write("rows/large.json", &rows(ROWS..40_000));
    let script = format!(
        "SET 'pipeline.epoch-bytes' = '64 KB'; SET 'execution.checkpointing.interval' = '20 ms';
         SET 'parallelism.default' = '2'; {TABLE}"
    );
    place.write("job.sql", &script);
    let mut kills = 0;
    for round in 0..8_u64 {
        let running = place.start(&["run", "job.sql", "--data", "d"]);
        std::thread::sleep(Duration::from_millis(60 + round * 37 % 90));
        // Dropped, it is killed.
        drop(running);
        kills += 1;
    }
    assert_eq!(count(&place, &script), 40_000, "after {kills} kills");
    let buckets = run(
        &place,
        &format!("{script} SELECT SUM(row_count) AS n FROM HISTOGRAM(TABLE t, DESCRIPTOR(v)) WHERE level = 0;"),
    );
    assert_eq!(buckets.last().expect("an answer")["n"], 40_000);
}
