//! Every command of the real binary, as a user types it.

mod estimates;
mod online;
pub mod program;
mod ripple;

use std::fs;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use program::Place;

/// Three orders, and a script that counts them.
fn orders() -> Place {
    let place = Place::new();
    place.write(
        "orders.jsonl",
        "{\"id\": 1, \"item\": \"lamp\", \"price\": 2.5}\n{\"id\": 2, \"item\": \"chair\", \"price\": 25}\n\
         {\"id\": 3, \"item\": \"lamp\", \"price\": 3}\n",
    );
    let table = place.fleuve(&["discover", "orders.jsonl"]).succeeds();
    place.write("job.sql", &format!("{table}SELECT item, COUNT(*) AS n FROM orders GROUP BY item;\n"));
    place
}

#[test]
fn results_are_printed_in_every_format() {
    let place = orders();
    let print = |format: &str| place.fleuve(&["run", "job.sql", "--format", format]).succeeds();
    assert_eq!(print("table"), " op  item   n\n +I  lamp   2\n +I  chair  1\n");
    assert_eq!(
        print("json"),
        "{\"op\":\"+I\",\"item\":\"lamp\",\"n\":2}\n{\"op\":\"+I\",\"item\":\"chair\",\"n\":1}\n"
    );
    assert_eq!(print("csv"), "op,item,n\n+I,lamp,2\n+I,chair,1\n");
    assert_eq!(
        print("vertical"),
        "-[ 1 ]-\nop   | +I\nitem | lamp\nn    | 2\n-[ 2 ]-\nop   | +I\nitem | chair\nn    | 1\n"
    );
    let arrow = place.fleuve(&["run", "job.sql", "--format", "arrow"]).succeeds_with_bytes();
    let reader = arrow::ipc::reader::StreamReader::try_new(arrow.as_slice(), None).expect("an Arrow stream");
    let rows: usize = reader.map(|batch| batch.expect("is whole").num_rows()).sum();
    assert_eq!(rows, 2);
}

#[test]
fn the_default_format_in_a_pipe_is_json() {
    assert_eq!(orders().fleuve(&["sql", "-c", "SELECT 1 + 1 AS two"]).succeeds(), "{\"two\":2}\n");
}

#[test]
fn a_dry_run_and_explain_show_the_plan_and_run_nothing() {
    let place = orders();
    let plan = place.fleuve(&["explain", "job.sql"]).succeeds();
    for part in ["Aggregate by item", "exchange by hash(item)", "state: one group for each key", "guarantee: "] {
        assert!(plan.contains(part), "{part} in {plan}");
    }
    assert_eq!(place.fleuve(&["run", "job.sql", "--dry-run"]).succeeds(), plan);
    assert!(!place.path("fleuve-data").exists(), "nothing is created");
}

#[test]
fn exit_statuses_tell_usage_sql_connection_and_everything_else_apart() {
    let place = orders();
    assert_eq!(place.fleuve(&["run"]).status, 2);
    assert_eq!(place.fleuve(&["run", "missing.sql"]).status, 1);
    assert_eq!(place.fleuve(&["sql", "-c", "SELECT nothing FROM nowhere"]).status, 3);
    // Port 1 is reserved and nobody listens there.
    let socket = "CREATE TABLE t (a STRING) WITH ('connector' = 'socket', 'host' = '127.0.0.1', 'port' = '1', \
                  'format' = 'raw'); SELECT * FROM t";
    let refused = place.fleuve(&["sql", "-c", socket, "--data", "d"]);
    assert_eq!(refused.status, 4, "{}", refused.stderr);
}

#[test]
fn a_mistake_is_printed_as_json_when_asked_for() {
    let failed = orders().fleuve(&["sql", "--json", "-c", "SELECT pirce FROM orders"]);
    let error: serde_json::Value = serde_json::from_str(&failed.stderr).expect("is JSON");
    assert_eq!((error["code"].as_str(), error["docs"].as_str()), (Some("E010"), Some("fleuve help E010")));
}

#[test]
fn records_are_produced_and_consumed() {
    let place = Place::new();
    let lines = "{\"id\": 7, \"item\": \"lamp\"}\n{\"id\": 8, \"item\": \"chair\"}\n";
    let produced = place.fleuve_with_input(&["produce", "orders", "--key", ".id", "--data", "d"], lines);
    assert_eq!((produced.status, produced.stderr.as_str()), (0, "2 records written to orders\n"));
    let consume = |flags: &[&str]| {
        let arguments = [&["consume", "orders", "--data", "d"], flags].concat();
        place.fleuve(&arguments).succeeds()
    };
    assert_eq!(consume(&[]), lines);
    assert_eq!(consume(&["-f", "%t/%p/%o %k\\n", "-n", "1"]), "orders/0/0 7\n");
    assert_eq!(consume(&["--from", "1", "-f", "%k\\n"]), "8\n");
    assert_eq!(consume(&["--from", "end"]), "");
    let record: serde_json::Value = serde_json::from_str(&consume(&["--json", "-n", "1"])).expect("is JSON");
    assert_eq!((&record["key"], &record["offset"]), (&"7".into(), &0.into()));
    let topics = place.fleuve(&["topic", "ls", "--json", "--data", "d"]).succeeds();
    assert_eq!(topics, "{\"name\":\"orders\",\"partitions\":1,\"records\":2}\n");
    let described = place.fleuve(&["topic", "describe", "orders", "--data", "d"]).succeeds();
    assert_eq!(described, "{\"end\":2,\"partition\":0,\"start\":0}\n");
    place.fleuve(&["topic", "rm", "orders", "--data", "d"]).succeeds();
    assert_eq!(place.fleuve(&["consume", "orders", "--data", "d"]).status, 1);
}

/// Rows of all JSON files in a directory.
fn rows_in(place: &Place, directory: &str) -> usize {
    let files = fs::read_dir(place.path(directory)).expect("is there").map(|entry| entry.expect("is listed").path());
    let shown = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    shown.map(|path| fs::read_to_string(path).expect("is text").lines().count()).sum()
}

#[test]
fn a_finished_script_runs_again_edited_or_with_its_output_removed() {
    let place = orders();
    let table = place.fleuve(&["discover", "orders.jsonl"]).succeeds();
    let script = |directory: &str, predicate: &str| {
        format!(
            "{table}CREATE TABLE out (id BIGINT) WITH ('connector' = 'filesystem', 'path' = '{directory}',
             'format' = 'json'); INSERT INTO out SELECT id FROM orders WHERE {predicate};"
        )
    };
    place.write("job.sql", &script("first", "id > 0"));
    place.fleuve(&["run", "job.sql", "--data", "d"]).succeeds();
    assert_eq!(rows_in(&place, "first"), 3);
    fs::remove_dir_all(place.path("first")).expect("is removed");
    place.fleuve(&["run", "job.sql", "--data", "d"]).succeeds();
    assert_eq!(rows_in(&place, "first"), 3);
    place.write("job.sql", &script("second", "id > 1"));
    place.fleuve(&["run", "job.sql", "--data", "d"]).succeeds();
    assert_eq!((rows_in(&place, "first"), rows_in(&place, "second")), (3, 2));
}

#[test]
fn sorted_rows_stay_sorted_below_limit_and_offset() {
    let place = orders();
    let table = place.fleuve(&["discover", "orders.jsonl"]).succeeds();
    let query = |query: &str| {
        place.fleuve(&["sql", "--workers", "2", "--format", "csv", "-c", &format!("{table}{query}")]).succeeds()
    };
    assert_eq!(query("SELECT id FROM orders ORDER BY price DESC LIMIT 2"), "id\n2\n3\n");
    assert_eq!(query("SELECT id FROM orders ORDER BY price DESC LIMIT 1 OFFSET 1"), "id\n3\n");
    assert_eq!(query("SELECT price, id FROM orders ORDER BY id DESC LIMIT 2"), "price,id\n3.0,3\n25.0,2\n");
}

#[test]
fn collections_of_constants_are_unnested() {
    let query = |query: &str| Place::new().fleuve(&["sql", "--format", "csv", "-c", query]).succeeds();
    assert_eq!(query("SELECT x + 1 AS y FROM UNNEST(ARRAY[1, 2]) AS u(x)"), "y\n2\n3\n");
    let joined = "SELECT i, x FROM (SELECT 7 AS i, ARRAY[1, 2] AS a) AS t CROSS JOIN UNNEST(t.a) AS u(x)";
    assert_eq!(query(joined), "i,x\n7,1\n7,2\n");
    assert_eq!(query("SELECT 1e3 AS d, 1.50 AS e"), "d,e\n1000.0,1.50\n");
}

#[test]
fn a_pipeline_is_listed_replayed_and_removed() {
    let place = orders();
    let script =
        fs::read_to_string(place.path("job.sql")).expect("is there").replace("SELECT", "INSERT INTO counts SELECT");
    let table = "CREATE TABLE counts (item STRING, n BIGINT) WITH ('connector' = 'blackhole');\n";
    place.write("job.sql", &format!("{table}{script}"));
    place.fleuve(&["run", "job.sql", "--data", "d"]).succeeds();
    let listed = place.fleuve(&["job", "ls", "--data", "d"]).succeeds();
    assert!(listed.contains("job") && listed.contains("finished"), "{listed}");
    let replayed = place.fleuve(&["replay", "--pipeline", "job", "--epoch", "1", "--data", "d"]).succeeds();
    assert!(replayed.contains("(3 rows)") && replayed.contains("(2 rows)"), "what went in and came out: {replayed}");
    let unknown = place.fleuve(&["replay", "--pipeline", "job", "--epoch", "99", "--data", "d"]);
    assert!(unknown.status == 1 && unknown.stderr.contains("E405"), "{}", unknown.stderr);
    place.fleuve(&["job", "rm", "job", "--data", "d"]).succeeds();
    assert!(place.fleuve(&["job", "rm", "job", "--data", "d"]).stderr.contains("E403"));
}

#[test]
fn an_endless_run_stops_cleanly_on_sigterm_and_goes_on_where_it_was() {
    let place = Place::new();
    place.write(
        "job.sql",
        "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '2000',
           'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '1000000');
         CREATE TABLE kept (n BIGINT) WITH ('connector' = 'topic');
         INSERT INTO kept SELECT n FROM numbers;",
    );
    let kept = || place.fleuve(&["consume", "kept", "--data", "d"]).succeeds();
    let mut before = 0;
    for _ in 0..2 {
        let running = place.start(&["run", "job.sql", "--data", "d"]);
        // It has begun when the topic that it writes has grown on disk.
        place.wait_for("rows in the topic", || place.bytes_below("d/topics/kept") > before);
        let stopped = running.stop();
        assert_eq!(stopped.status, 0, "{}", stopped.stderr);
        before = place.bytes_below("d/topics/kept");
    }
    let numbers: Vec<u64> = kept().lines().map(|l| l[5..l.len() - 1].parse().expect("{\"n\":…}")).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "each once, in order: {} numbers", numbers.len());
}

#[test]
fn a_reader_that_goes_away_ends_a_query_without_a_word() {
    let place = Place::new();
    let query = "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen'); SELECT n FROM numbers";
    let mut running = place.start(&["sql", "-c", query]);
    let mut line = String::new();
    BufReader::new(running.take_stdout()).read_line(&mut line).expect("a first row");
    assert!(line.starts_with("{\"n\":"), "{line}");
    let ended = running.wait(Duration::from_secs(20));
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
}

#[test]
fn recorded_data_is_played_into_a_topic() {
    let place = Place::new();
    let line = |second: u32| format!("{{\"ts\": \"2026-01-01 00:00:{second:02}\", \"n\": {second}}}\n");
    place.write("recorded.jsonl", &(0..30).map(line).collect::<String>());
    place.fleuve(&["play", "recorded.jsonl", "--time", "ts", "--speed", "1000x", "--data", "d"]).succeeds();
    let played = place.fleuve(&["consume", "recorded", "--data", "d"]).succeeds();
    assert_eq!(played.lines().count(), 30);
}

#[test]
fn the_demo_prints_plain_lines_without_a_terminal() {
    let place = Place::new();
    let demo = place.fleuve(&["demo", "--speed", "1000000x", "--data", "d"]).succeeds();
    let first = demo.lines().next().unwrap_or_default();
    assert!(first.contains(" quake  M"), "{first}");
    assert!(demo.lines().any(|line| line.contains(" ALERT  M")) && demo.lines().any(|line| line.contains(" hour   ")));
    assert!(demo.ends_with("The week is over. `fleuve demo --fresh` begins it again.\n"));
    assert!(!demo.contains('\u{1b}'), "no control sequences");
}

#[test]
fn help_knows_codes_connectors_functions_and_settings() {
    let place = Place::new();
    for (words, part) in [
        (&["help", "E012"][..], "unknown column"),
        (&["help", "connector", "filesystem"], "path"),
        (&["help", "function", "DATE_FORMAT"], "DATE_FORMAT"),
        (&["help", "settings"], "parallelism.default"),
        (&["completions", "bash"], "complete"),
        (&["doctor", "--data", "d"], "fsync"),
    ] {
        let text = place.fleuve(words).succeeds();
        assert!(text.contains(part), "{words:?}: {text}");
    }
    let unknown = place.fleuve(&["help", "function", "DATE_FROMAT"]);
    assert!(unknown.status == 1 && unknown.stderr.contains("DATE_FORMAT"), "{}", unknown.stderr);
}
