//! Events a second of the Nexmark queries over JSON lines, exactly-once.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Cost, binary, measure};
use super::{flag, flink, number, topics};
use crate::files;

/// Queries that are measured, in order.
const QUERIES: [&str; 17] =
    ["q0", "q1", "q2", "q3", "q5", "q7", "q8", "q10", "q11", "q12", "q13", "q14", "q15", "q16", "q17", "q21", "q22"];

/// What to measure.
pub struct Options {
    /// Events of the stream.
    pub events: u64,
    /// Names of queries.
    pub queries: Vec<String>,
    /// Each number of workers that is measured.
    pub workers: Vec<u64>,
    /// Runs, of which the best one counts.
    pub runs: u64,
    flink: bool,
    topics: bool,
    binary: Option<PathBuf>,
}

impl Options {
    /// Reads the flags.
    pub fn parse(arguments: &[&str]) -> Result<Self, String> {
        let queries = flag(arguments, "--queries")?.map_or(QUERIES.join(","), str::to_owned);
        let workers = flag(arguments, "--workers")?.unwrap_or("1,2").split(',').map(str::parse);
        Ok(Options {
            events: number(arguments, "--events", 2_000_000)?,
            queries: queries.split(',').map(str::to_owned).collect(),
            workers: workers.collect::<Result<_, _>>().map_err(|_| "--workers takes numbers".to_owned())?,
            runs: number(arguments, "--runs", 3)?,
            flink: arguments.contains(&"--flink"),
            topics: arguments.contains(&"--topics"),
            binary: flag(arguments, "--binary")?.map(PathBuf::from),
        })
    }
}

/// The data on disk.
pub struct Data {
    /// Where everything of the benchmark lies.
    pub directory: PathBuf,
    /// The directory of the JSON lines.
    pub json: PathBuf,
    /// The directory of q13's side table.
    pub side: PathBuf,
}

/// Measures and prints the table.
pub fn run(options: &Options) -> Result<(), String> {
    let fleuve = options.binary.clone().map_or_else(binary, Ok)?;
    let data = generate(&fleuve, options.events)?;
    if options.topics {
        return topics::run(&fleuve, &data, options);
    }
    println!(
        "{} events; best of {} runs; CPU in seconds per million events; latency from arrival to release",
        options.events, options.runs
    );
    println!("| query | workers | events/s | CPU s/M | anonymous MB | p50 ms | p99 ms | Flink 2.3 events/s | ratio |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut rates = vec![];
    for query in &options.queries {
        let peer = options.flink.then(|| flink::measure(query, &data, options.events));
        // Flink does not take every query of this dialect: a lookup in a file, for one.
        let peer = peer.and_then(|rate| rate.map_err(|error| eprintln!("{}", first_lines(&error))).ok());
        for workers in &options.workers {
            let line = measure_query(&fleuve, &data, query, *workers, options)?;
            println!("{}", line.text(query, *workers, peer));
            rates.push((*workers, line.rate, peer));
        }
    }
    summary(&rates);
    Ok(())
}

fn generate(fleuve: &Path, events: u64) -> Result<Data, String> {
    let directory = std::env::temp_dir().join(format!("fleuve-bench-{events}"));
    let data = Data { json: directory.join("json"), side: directory.join("side"), directory };
    if data.json.join("part-00000.json").exists() {
        return Ok(data);
    }
    for path in [&data.json, &data.side] {
        std::fs::create_dir_all(path).map_err(|e| e.to_string())?;
    }
    let side: String = (0..10_000).map(|key| format!("{key},{key}\n")).collect();
    std::fs::write(data.side.join("side_input.csv"), side).map_err(|e| e.to_string())?;
    let out = data.json.join("part-00000.json.tmp");
    let file = std::fs::File::create(&out).map_err(|e| e.to_string())?;
    let mut command = Command::new(fleuve);
    command.args(["generate", "nexmark", "--events", &events.to_string()]).stdout(file);
    match command.status() {
        Ok(status) if status.success() => {}
        _ => return Err("the data cannot be generated".to_owned()),
    }
    std::fs::rename(&out, data.json.join("part-00000.json")).map_err(|e| e.to_string())?;
    Ok(data)
}

/// The text of a query with its tables, over the benchmark's data.
pub fn script(query: &str, data: &Data, output: &Path) -> String {
    let root = files::root().join("crates/fleuve/queries/nexmark");
    let text = files::text(&root.join("tables.sql")) + &files::text(&root.join(format!("{query}.sql")));
    text.replace("${data}", &data.json.display().to_string())
        .replace("${side_input}", &data.side.display().to_string())
        .replace("${output}", &output.display().to_string())
}

/// The head of a long error, and what its stack trace says is wrong.
fn first_lines(error: &str) -> String {
    let telling = error.lines().filter(|line| line.contains("Exception: "));
    error.lines().take(1).chain(telling).take(2).collect::<Vec<_>>().join("\n")
}

/// What a run gave.
pub struct Line {
    /// Events a second.
    pub rate: f64,
    /// Processor seconds per million events.
    pub cpu: f64,
    anonymous: u64,
    p50: f64,
    p99: f64,
}

impl Line {
    /// A run of which only the rate and the cost are known.
    pub fn of_rate(rate: f64, cpu: f64) -> Self {
        Line { rate, cpu, anonymous: 0, p50: f64::NAN, p99: f64::NAN }
    }

    fn text(&self, query: &str, workers: u64, peer: Option<f64>) -> String {
        let peer_text = peer.map_or("".to_owned(), |rate| format!("{rate:.0}"));
        let ratio = peer.map_or("".to_owned(), |rate| format!("{:.1}", self.rate / rate));
        // No latency where nothing came in between two releases.
        let ms = |value: f64| if value.is_finite() { format!("{value:.1}") } else { String::new() };
        format!(
            "| {query} | {workers} | {:.0} | {:.2} | {} | {} | {} | {peer_text} | {ratio} |",
            self.rate,
            self.cpu,
            self.anonymous / 1_000_000,
            ms(self.p50),
            ms(self.p99)
        )
    }
}

/// The best run of a query over files.
pub fn measure_query(fleuve: &Path, data: &Data, query: &str, workers: u64, options: &Options) -> Result<Line, String> {
    let mut best: Option<Line> = None;
    for _ in 0..options.runs.max(1) {
        let (state, output) = (data.directory.join("state"), data.directory.join("output"));
        for path in [&state, &output] {
            let _ = std::fs::remove_dir_all(path);
        }
        let file = data.directory.join(format!("{query}.sql"));
        std::fs::write(&file, script(query, data, &output)).map_err(|e| e.to_string())?;
        let mut command = Command::new(fleuve);
        command.arg("run").arg(&file).arg("--data").arg(&state).args(["--workers", &workers.to_string(), "--stats"]);
        let cost = measure(&mut command)?;
        let line = line(&cost, options.events)?;
        if best.as_ref().is_none_or(|best| line.rate > best.rate) {
            best = Some(line);
        }
    }
    best.ok_or_else(|| "no run".to_owned())
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn line(cost: &Cost, events: u64) -> Result<Line, String> {
    let counters = cost.stderr.lines().rev().find(|line| line.starts_with('{')).ok_or("no counters")?;
    let counters: serde_json::Value = serde_json::from_str(counters).map_err(|e| e.to_string())?;
    if counters["rows_in"] != events {
        return Err(format!("{} events were read, not {events}", counters["rows_in"]));
    }
    let seconds = counters["seconds"].as_f64().unwrap_or(cost.wall.as_secs_f64());
    let latency = |name: &str| counters[name].as_f64().unwrap_or(f64::NAN);
    Ok(Line {
        rate: events as f64 / seconds,
        cpu: cost.cpu_seconds * 1e6 / events as f64,
        anonymous: cost.anonymous_bytes,
        p50: latency("latency_ms_p50"),
        p99: latency("latency_ms_p99"),
    })
}

/// What the product of all values would be made of, if they were one value.
pub fn geometric_mean(values: &[f64]) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a handful of queries")]
    let count = values.len().max(1) as f64;
    (values.iter().map(|v| v.ln()).sum::<f64>() / count).exp()
}

fn summary(rates: &[(u64, f64, Option<f64>)]) {
    let of = |workers: u64| rates.iter().filter(|r| r.0 == workers).map(|r| r.1).collect::<Vec<_>>();
    let (one, two) = (of(1), of(2));
    if one.len() == two.len() && !one.is_empty() {
        let scaling: Vec<f64> = one.iter().zip(&two).map(|(one, two)| two / one).collect();
        println!("two workers against one, geometric mean: {:.2}", geometric_mean(&scaling));
    }
    let ratios: Vec<f64> = rates.iter().filter(|r| r.0 == 1).filter_map(|r| Some(r.1 / r.2?)).collect();
    if !ratios.is_empty() {
        println!("one worker against Flink, geometric mean: {:.2}", geometric_mean(&ratios));
    }
}
