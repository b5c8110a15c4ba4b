//! Starting, killing and starting again.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::scenario::{EVENTS, Scenario};

/// How long a run may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(120);

/// Small epochs and frequent snapshots, so that kills fall into all kinds of moments.
const SETTINGS: &str = "
    SET 'pipeline.name' = 'killed';
    SET 'pipeline.epoch-bytes' = '512 KB';
    SET 'execution.checkpointing.interval' = '25 ms';\n";

/// SHA-256 of the lines, in hexadecimal digits.
pub fn digest(lines: &[String]) -> String {
    let mut sha = Sha256::new();
    lines.iter().for_each(|line| sha.update(format!("{line}\n")));
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Random numbers, the same ones in every run of the test (xorshift64*; Vigna, 2016).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound.max(1)
    }
}

/// The auction stream, made once.
fn events() -> &'static PathBuf {
    static EVENTS_FILE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = EVENTS_FILE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("events.json");
        let file = File::create(&path).expect("a file");
        let count = EVENTS.to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleuve"));
        command.args(["generate", "nexmark", "--rate", "2", "--events", &count]).stdout(file);
        assert!(command.status().expect("runs").success());
        (dir, path)
    });
    path
}

/// A scenario in a directory of its own.
pub struct Binary<'a> {
    scenario: &'a Scenario,
    directory: TempDir,
    whole_run: Duration,
}

impl<'a> Binary<'a> {
    pub fn new(scenario: &'a Scenario) -> Self {
        Binary { scenario, directory: tempfile::tempdir().expect("a directory"), whole_run: Duration::ZERO }
    }

    /// Runs from nothing to the end; returns the answer.
    pub fn run_whole(&mut self) -> Vec<String> {
        self.begin_again();
        let started = Instant::now();
        let mut child = self.start(1);
        assert!(self.wait(&mut child, RUN_TIMEOUT), "a run takes too long");
        self.whole_run = started.elapsed();
        self.collect()
    }

    /// Runs from nothing to the end with up to `kills_max` kills; returns how many there were.
    pub fn run_in_pieces(&mut self, dice: &mut Dice, workers: &[usize], kills_max: usize) -> usize {
        self.begin_again();
        let latest = self.whole_run.min(self.scenario.patience).as_micros() as u64 * 7 / 10;
        for kills in 0..kills_max {
            let workers = workers[dice.below(workers.len() as u64) as usize];
            let mut child = self.start(workers);
            if self.wait(&mut child, Duration::from_micros(dice.below(latest))) {
                return kills;
            }
            child.kill().expect("can be killed");
            child.wait().expect("has ended");
            if self.ended() {
                return kills;
            }
        }
        let mut child = self.start(workers[0]);
        assert!(self.wait(&mut child, RUN_TIMEOUT), "the last run takes too long");
        kills_max
    }

    /// The answer.
    pub fn collect(&self) -> Vec<String> {
        (self.scenario.collect)(self.directory.path())
    }

    /// Whether the run had noted its end before the kill came: started once more it would begin anew.
    fn ended(&self) -> bool {
        let plan = self.directory.path().join("data/pipelines/killed/plan.json");
        let plan = fs::read_to_string(plan).unwrap_or_default();
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap_or_default();
        plan["begun_after"].as_u64().is_some_and(|epoch| epoch > 0)
    }

    fn begin_again(&mut self) {
        self.directory = tempfile::tempdir().expect("a directory");
        let Some(script) = self.scenario.script else { return };
        let tables =
            include_str!("../../../queries/nexmark/tables.sql").replace("${data}", &events().display().to_string());
        let script = script.replace("${dir}", &self.directory.path().display().to_string());
        fs::write(self.directory.path().join("job.sql"), format!("{SETTINGS}{tables}{script}")).expect("is written");
    }

    fn start(&self, workers: usize) -> Child {
        let dir = self.directory.path();
        let log = File::options().create(true).append(true).open(dir.join("errors.txt")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleuve"));
        match self.scenario.script {
            Some(_) => command.arg("run").arg(dir.join("job.sql")),
            None => command.args(["demo", "--speed", "300000x"]),
        };
        command.args(["--workers", &workers.to_string(), "--data"]).arg(dir.join("data"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("starts")
    }

    /// Waits; whether it has ended (it must have succeeded).
    fn wait(&self, child: &mut Child, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait().expect("can be waited for") {
                let errors = fs::read_to_string(self.directory.path().join("errors.txt")).unwrap_or_default();
                assert!(status.success(), "{}: {errors}", self.scenario.name);
                return true;
            }
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            std::thread::sleep((deadline - now).min(Duration::from_micros(500)));
        }
    }
}
