//! `cargo xtask e2e foreign`: a pipeline from Apache Kafka to Apache Kafka, exactly-once, killed in the middle.
//!
//! The same script runs twice: to its end, and with `kill -9` again and again. A consumer of committed records (librdkafka)
//! must find the same records in both outputs. The binary is one with a client for other brokers (`foreign-kafka`).

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::broker::{Broker, fresh};
use super::reference;
use super::run::{tail, within};
use crate::bench::Driver;
use crate::files;

const USAGE: &str = "usage: cargo xtask e2e foreign [--binary PATH]

  --binary PATH  this binary, built with --features foreign-kafka, instead of one built from the sources";

/// Records of the input.
const RECORDS: u64 = 400_000;

/// Partitions of all topics.
const PARTITIONS: &str = "3";

/// Kills of the interrupted run; at least so many must meet a pipeline that is not through.
const KILLS: u32 = 8;
const KILLS_MIN: usize = 3;

/// How long a run may take that nobody kills.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs it.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    let binary = match arguments {
        ["--binary", path] => PathBuf::from(path),
        [] => build()?,
        _ => return Err(USAGE.to_owned()),
    };
    let driver = Driver::compile()?;
    let kafka = reference::start()?;
    let world = World { home: fresh("foreign")?, binary, driver, kafka };
    world.fill()?;
    let begun = Instant::now();
    world.whole("whole")?;
    let took = begun.elapsed();
    println!("uninterrupted: {:.1} s", took.as_secs_f64());
    let kills = world.interrupted("killed", took)?;
    let (whole, killed) = (world.output("whole")?, world.output("killed")?);
    compare(&whole, &killed)?;
    println!("{} committed records, the same after {kills} kills in the middle", whole.len());
    match kills >= KILLS_MIN {
        true => Ok(()),
        false => Err(format!("only {kills} kills met a running pipeline, which tells too little")),
    }
}

/// Builds the binary with its client for other brokers.
fn build() -> Result<PathBuf, String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(files::root()).args(["build", "--quiet", "-p", "fleuve", "--features", "foreign-kafka"]);
    match command.status() {
        Ok(status) if status.success() => {}
        _ => return Err("the binary cannot be built with foreign-kafka".to_owned()),
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| files::root().join("target"), PathBuf::from);
    Ok(target.join("debug/fleuve"))
}

/// Both outputs, sorted, must be equal, and hold each record once.
fn compare(whole: &[String], killed: &[String]) -> Result<(), String> {
    let expected = (1..=RECORDS).filter(|n| n % 3 != 0).count();
    let twice = killed.windows(2).filter(|pair| pair[0] == pair[1]).count();
    if whole.len() != expected {
        return Err(format!("the uninterrupted run wrote {} records, not {expected}", whole.len()));
    }
    match whole == killed {
        true => Ok(()),
        false => Err(format!("{} records after kills, not {expected}; {twice} of them twice", killed.len())),
    }
}

struct World {
    home: PathBuf,
    binary: PathBuf,
    driver: Driver,
    kafka: Broker,
}

impl World {
    fn fill(&self) -> Result<(), String> {
        let bootstrap = &self.kafka.bootstrap;
        for topic in ["input", "whole", "killed"] {
            self.driver.run(&["create", bootstrap, topic, PARTITIONS])?;
        }
        let mut lines = String::new();
        for n in 1..=RECORDS {
            let _ = writeln!(lines, "{{\"n\":{n},\"name\":\"name-{}\"}}", n % 1000);
        }
        let file = self.home.join("input.json");
        fs::write(&file, lines).map_err(|e| format!("{}: {e}", file.display()))?;
        let figures = self.driver.run(&["lines", bootstrap, "input", &file.display().to_string(), "lz4"])?;
        match figures["records"] == RECORDS {
            true => Ok(()),
            false => Err(format!("Kafka did not take the input: {figures}")),
        }
    }

    /// Starts the pipeline into a topic, or goes on with it.
    fn start(&self, output: &str) -> Result<Child, String> {
        let bootstrap = &self.kafka.bootstrap;
        let table = format!("'connector' = 'kafka', 'properties.bootstrap.servers' = '{bootstrap}', 'format' = 'json'");
        let script = format!(
            "CREATE TABLE numbers (n BIGINT, name STRING) WITH ({table}, 'topic' = 'input',
               'properties.group.id' = 'readers-{output}', 'scan.startup.mode' = 'earliest-offset',
               'scan.bounded.mode' = 'latest-offset');
             CREATE TABLE results (n BIGINT, name STRING) WITH ({table}, 'topic' = '{output}', 'key.fields' = 'name',
               'key.format' = 'raw', 'sink.delivery-guarantee' = 'exactly-once', 'sink.parallelism' = '2');
             SET 'execution.checkpointing.interval' = '500 ms';
             INSERT INTO results SELECT n, name FROM numbers WHERE MOD(n, 3) <> 0;"
        );
        let file = self.home.join(format!("{output}.sql"));
        fs::write(&file, script).map_err(|e| format!("{}: {e}", file.display()))?;
        let log = fs::File::create(self.log(output)).map_err(|e| e.to_string())?;
        let mut command = Command::new(&self.binary);
        command.arg("run").arg(&file).arg("--data").arg(self.home.join(output)).args(["--workers", "2"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().map_err(|e| format!("{} cannot be started: {e}", self.binary.display()))
    }

    fn log(&self, output: &str) -> PathBuf {
        self.home.join(format!("{output}.log"))
    }

    /// Runs the pipeline to its end.
    fn whole(&self, output: &str) -> Result<(), String> {
        let mut child = self.start(output)?;
        let ended = within(&mut child, LIMIT).map_err(|e| e.to_string())?;
        self.succeeded(output, ended)
    }

    fn succeeded(&self, output: &str, ended: Option<std::process::ExitStatus>) -> Result<(), String> {
        match ended {
            Some(status) if status.success() => Ok(()),
            ended => Err(format!("the pipeline ended with {ended:?}:\n{}", tail(&self.log(output)))),
        }
    }

    /// Runs the pipeline with kills, each later in its life than the one before; how many met it alive.
    fn interrupted(&self, output: &str, whole: Duration) -> Result<usize, String> {
        let mut kills = 0;
        for kill in 1..=KILLS {
            let mut child = self.start(output)?;
            std::thread::sleep(whole * kill / (KILLS + 1));
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                self.succeeded(output, Some(status))?;
                return Ok(kills);
            }
            child.kill().and_then(|()| child.wait()).map_err(|e| e.to_string())?;
            kills += 1;
        }
        self.whole(output)?;
        Ok(kills)
    }

    /// The committed records of an output, sorted.
    fn output(&self, topic: &str) -> Result<Vec<String>, String> {
        let text = self.driver.text(&["print", &self.kafka.bootstrap, topic, PARTITIONS])?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        Ok(lines)
    }
}
