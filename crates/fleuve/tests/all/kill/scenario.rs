//! The pipelines that are killed: what is run, and how its answer is read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

/// Events of the auction stream that the pipelines read.
pub const EVENTS: u64 = 60_000;

/// A pipeline.
pub struct Scenario {
    /// For messages.
    pub name: &'static str,
    /// What follows the tables of the auction stream; `None` for the demo.
    pub script: Option<&'static str>,
    /// The answer as sorted lines, from the directory of a finished run.
    pub collect: fn(&Path) -> Vec<String>,
    /// Kills come at a random time up to so much after the start, or up to the time of a whole run if that is shorter.
    pub patience: Duration,
}

/// A window over event time, into JSON files.
pub fn windows_into_files() -> Scenario {
    let script = "
        CREATE TABLE answer (window_end TIMESTAMP(3), channel STRING, bids BIGINT, highest BIGINT)
        WITH ('connector' = 'filesystem', 'path' = '${dir}/answer', 'format' = 'json');
        INSERT INTO answer
        SELECT window_end, channel, COUNT(*), MAX(price)
        FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '5' MINUTE, INTERVAL '15' MINUTE))
        GROUP BY window_start, window_end, channel;";
    let collect = |dir: &Path| file_lines(&dir.join("answer"));
    Scenario { name: "windows", script: Some(script), collect, patience: Duration::from_secs(1) }
}

/// An unwindowed aggregate, whose changes go into files in Debezium's form.
pub fn totals_into_files() -> Scenario {
    let script = "
        CREATE TABLE answer (bidder BIGINT, bids BIGINT, total BIGINT, auctions BIGINT)
        WITH ('connector' = 'filesystem', 'path' = '${dir}/answer', 'format' = 'debezium-json');
        INSERT INTO answer
        SELECT bidder, COUNT(*), SUM(price), COUNT(DISTINCT auction) FROM bid GROUP BY bidder;";
    let collect = |dir: &Path| net_changes(&file_lines(&dir.join("answer")));
    Scenario { name: "totals", script: Some(script), collect, patience: Duration::from_secs(1) }
}

/// An unbounded join, into a topic with several partitions.
pub fn join_into_a_topic() -> Scenario {
    let script = "
        CREATE TABLE answer (auction BIGINT, seller BIGINT, bidder BIGINT, price BIGINT)
        WITH ('connector' = 'topic', 'topic' = 'answer', 'partitions' = '3', 'key.fields' = 'auction');
        INSERT INTO answer
        SELECT B.auction, A.seller, B.bidder, B.price
        FROM bid AS B INNER JOIN auction AS A ON B.auction = A.id
        WHERE A.category = 10 AND B.price > 100000;";
    let collect = |dir: &Path| topic_lines(dir, "answer");
    Scenario { name: "join", script: Some(script), collect, patience: Duration::from_secs(1) }
}

/// Sketches of windows, into a topic: two that do not depend on order, and running statistics.
pub fn sketches_into_a_topic() -> Scenario {
    let script = "
        CREATE TABLE answer (window_end TIMESTAMP(3), bidders BYTES, auctions BYTES, often BYTES, skewed DOUBLE)
        WITH ('connector' = 'topic', 'topic' = 'answer', 'partitions' = '2', 'format' = 'json');
        INSERT INTO answer
        SELECT window_end, HLL_SKETCH(bidder, 8), BJKST_SKETCH(auction, 0.5, 0.9), COUNT_MIN_SKETCH(channel, 0.1, 0.9), SKEWNESS(price)
        FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '15' MINUTE))
        GROUP BY window_start, window_end;";
    let collect = |dir: &Path| topic_lines(dir, "answer");
    Scenario { name: "sketches", script: Some(script), collect, patience: Duration::from_secs(1) }
}

/// The demo, a week in about two seconds.
pub fn demo() -> Scenario {
    let collect = |dir: &Path| {
        let topics = ["latest", "hourly", "alerts"];
        let lines =
            topics.iter().flat_map(|topic| topic_lines(dir, topic).into_iter().map(move |l| format!("{topic} {l}")));
        sorted(lines.collect())
    };
    Scenario { name: "demo", script: None, collect, patience: Duration::from_millis(700) }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines
}

/// The lines of every visible file.
fn file_lines(directory: &Path) -> Vec<String> {
    let mut lines = vec![];
    for entry in fs::read_dir(directory).expect("the answer's directory is there") {
        let path = entry.expect("can be listed").path();
        let name = path.file_name().expect("has a name").to_string_lossy().into_owned();
        if path.is_file() && !name.starts_with(['.', '_']) {
            lines.extend(fs::read_to_string(&path).expect("is text").lines().map(str::to_owned));
        }
    }
    sorted(lines)
}

fn topic_lines(dir: &Path, topic: &str) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleuve"));
    let output = command.args(["consume", topic, "--data"]).arg(dir.join("data")).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    sorted(String::from_utf8(output.stdout).expect("is text").lines().map(str::to_owned).collect())
}

/// What is left when every change is applied: an epoch may end anywhere, so two runs agree on no more than this.
fn net_changes(lines: &[String]) -> Vec<String> {
    let mut rows: BTreeMap<String, i64> = BTreeMap::new();
    for line in lines {
        let change: Value = serde_json::from_str(line).expect("is JSON");
        for (image, weight) in [("before", -1), ("after", 1)] {
            if !change[image].is_null() {
                *rows.entry(change[image].to_string()).or_insert(0) += weight;
            }
        }
    }
    let left = rows.into_iter().filter(|(_, weight)| *weight != 0);
    left.map(|(row, weight)| if weight == 1 { row } else { format!("{weight} × {row}") }).collect()
}
