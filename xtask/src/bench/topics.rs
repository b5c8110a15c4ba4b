//! Nexmark from topics: a real client fills them through the broker, then the queries run over them beside the broker.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::driver::{Driver, figure};
use super::nexmark::{Data, Line, Options, geometric_mean, measure_query, script};
use super::process::cpu;
use crate::e2e::broker::Broker;
use crate::e2e::reference::free_port;

/// How producers compress what they send, and so what the log holds.
const CODECS: [&str; 2] = ["none", "lz4"];

/// The topic's name.
pub const TOPIC: &str = "nexmark";

/// After that a query has failed.
const LIMIT: Duration = Duration::from_secs(120);

/// How often the broker's log is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What is left of it tells that the topic is whole.
const FILLED: &str = "filled";

/// Measures the queries over files and over topics, and prints both.
pub fn run(fleuve: &Path, data: &Data, options: &Options) -> Result<(), String> {
    let driver = Driver::compile()?;
    let filled = CODECS.iter().map(|codec| {
        let home = data.directory.join(format!("topic-{codec}"));
        fill(fleuve, &driver, data, &home, codec, options.events).map(|()| home)
    });
    let homes = filled.collect::<Result<Vec<_>, _>>()?;
    println!(
        "{} events, thousands a second, best of {} runs; CPU in seconds per million events",
        options.events, options.runs
    );
    println!("| query | workers | files | topic | topic, lz4 | topic/files | lz4/files | CPU files | topic | lz4 |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut ratios = vec![];
    for query in &options.queries {
        for workers in &options.workers {
            let from_files = measure_query(fleuve, data, query, *workers, options)?;
            let from_topics = homes.iter().map(|home| measure(fleuve, data, home, query, *workers, options));
            let from_topics = from_topics.collect::<Result<Vec<_>, _>>()?;
            println!("{}", row(query, *workers, &from_files, &from_topics));
            ratios.push(from_topics.iter().map(|line| line.rate / from_files.rate).collect::<Vec<_>>());
        }
    }
    for (nth, codec) in CODECS.iter().enumerate() {
        let all: Vec<f64> = ratios.iter().map(|ratios| ratios[nth]).collect();
        println!("topic ({codec}) against files, geometric mean: {:.2}", geometric_mean(&all));
    }
    Ok(())
}

fn row(query: &str, workers: u64, files: &Line, topics: &[Line]) -> String {
    let all = || std::iter::once(files).chain(topics);
    let rates: String = all().map(|line| format!(" {:.0} |", line.rate / 1e3)).collect();
    let ratios: String = topics.iter().map(|line| format!(" {:.2} |", line.rate / files.rate)).collect();
    let costs: String = all().map(|line| format!(" {:.2} |", line.cpu)).collect();
    format!("| {query} | {workers} |{rates}{ratios}{costs}")
}

/// Has the client write the events into a topic of a new directory, unless that was done before.
fn fill(fleuve: &Path, driver: &Driver, data: &Data, home: &Path, codec: &str, events: u64) -> Result<(), String> {
    if home.join(FILLED).exists() {
        return Ok(());
    }
    let figures = fill_topic(fleuve, driver, home, &data.json.join("part-00000.json"), 1, codec)?;
    let (records, seconds) = (figure(&figures, "records")?, figure(&figures, "seconds")?);
    println!("{figures}: {:.0} thousand records/s into the topic, {codec}", records / seconds / 1e3);
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    if records != events as f64 {
        return Err(format!("{records} records were acknowledged, not {events}"));
    }
    std::fs::write(home.join(FILLED), "").map_err(|e| e.to_string())
}

/// Has the client write the lines of a file into [`TOPIC`], in an empty directory; what the client says of it.
pub fn fill_topic(
    fleuve: &Path,
    driver: &Driver,
    home: &Path,
    lines: &Path,
    partitions: u32,
    codec: &str,
) -> Result<serde_json::Value, String> {
    let _ = std::fs::remove_dir_all(home);
    std::fs::create_dir_all(home).map_err(|e| e.to_string())?;
    let broker = Broker::fleuve_in(fleuve, home, &["--kafka", "127.0.0.1:0", "--http", "off"])?;
    driver.run(&["create", &broker.bootstrap, TOPIC, &partitions.to_string()])?;
    driver.run(&["lines", &broker.bootstrap, TOPIC, &lines.display().to_string(), codec])
}

/// The best run of a query beside the broker.
fn measure(
    fleuve: &Path,
    data: &Data,
    home: &Path,
    query: &str,
    workers: u64,
    options: &Options,
) -> Result<Line, String> {
    let mut best: Option<Line> = None;
    for _ in 0..options.runs.max(1) {
        let line = once(fleuve, data, home, query, workers, options.events)?;
        if best.as_ref().is_none_or(|best| line.rate > best.rate) {
            best = Some(line);
        }
    }
    best.ok_or_else(|| "no run".to_owned())
}

fn once(fleuve: &Path, data: &Data, home: &Path, query: &str, workers: u64, events: u64) -> Result<Line, String> {
    let output = data.directory.join("output");
    let _ = std::fs::remove_dir_all(&output);
    let address = format!("127.0.0.1:{}", free_port()?);
    let file: PathBuf = home.join(format!("{query}.sql"));
    let text = format!("SET 'parallelism.default' = '{workers}';\n{}", script(query, data, &output));
    std::fs::write(&file, from_topic(&text, data, &address)).map_err(|e| e.to_string())?;
    let script = file.display().to_string();
    let broker = Broker::fleuve_in(fleuve, home, &["--kafka", &address, "--http", "off", "--run", &script])?;
    let begun = Instant::now();
    let logged = loop {
        let log = broker.logged();
        if let Some(line) = log.lines().find(|line| line.contains(" finished pipeline=")) {
            break line.to_owned();
        }
        if log.contains(" ERROR ") || begun.elapsed() > LIMIT {
            return Err(format!("{query} does not finish:\n{}", broker.tail()));
        }
        std::thread::sleep(POLL);
    };
    let spent = broker.pid().and_then(cpu).ok_or("the broker has ended")?;
    let (rows, seconds) = (counter(&logged, "rows_in")?, counter(&logged, "seconds")?);
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let events = events as f64;
    if rows != events {
        return Err(format!("{rows} events were read, not {events}"));
    }
    Ok(Line::of_rate(events / seconds, spent * 1e6 / events))
}

/// The same script over the topic instead of the file.
fn from_topic(text: &str, data: &Data, address: &str) -> String {
    let of_file = format!("'connector' = 'filesystem',\n  'path' = '{}',\n  'format' = 'json'", data.json.display());
    let of_topic = format!(
        "'connector' = 'kafka', 'topic' = '{TOPIC}', 'properties.bootstrap.servers' = '{address}', \
         'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset', 'format' = 'json'"
    );
    text.replace(&of_file, &of_topic)
}

/// A number in a line of the log.
fn counter(line: &str, name: &str) -> Result<f64, String> {
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).ok_or_else(|| format!("no {name} in `{line}`"))
}
