//! R4: the process ends in the middle of a write, so that any part of it is in the file. (A shim of twenty lines of C, `torn.c`,
//! is loaded into the broker; the journal's own tests tear at every single byte.)

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Plan, Scenario};
use crate::life::{Life, Workload, fresh};
use crate::process::{Launch, run as run_command};
use crate::storage::Storage;

pub(super) const SCENARIO: Scenario =
    Scenario { name: "torn", goal: "R4", what: "the process ends in the middle of a write", cycles: 2_000, run };

/// Torn writes in one life.
const LIFE_CYCLES: u64 = 25;

/// One of so many writes is torn.
const CALLS_MAX: u64 = 200;

/// How long a broker may live until then.
const CALL_LIMIT: Duration = Duration::from_secs(5);

const SOURCE: &str = include_str!("../torn.c");

fn run(plan: &Plan<'_>) -> Result<String, String> {
    let shim = compile(&plan.options.directory)?;
    let all = plan.lives("torn", LIFE_CYCLES, |directory, seed, cycles| {
        let storage = Storage::Directory(directory.join("data"));
        let launch = Launch::new(&plan.options.binary, &storage, directory);
        let mut life = Life::begin(launch, storage, seed, &Workload::ALL)?;
        for () in cycles {
            cycle(&mut life, &shim).map_err(|what| life.failed(&what, &[]))?;
        }
        life.finish()
    })?;
    Ok(all.tell())
}

fn compile(directory: &Path) -> Result<PathBuf, String> {
    let home = fresh(directory, "shim")?;
    let (source, shim) = (home.join("torn.c"), home.join("torn.so"));
    std::fs::write(&source, SOURCE).map_err(|e| e.to_string())?;
    run_command(Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(&source).arg("-ldl"))?;
    Ok(shim)
}

/// Lets the running broker be, so that there is something to recover; then one that tears.
fn cycle(life: &mut Life, shim: &Path) -> Result<(), String> {
    life.progress()?;
    life.kill("before a torn write");
    let (call, permille) = (1 + life.dice.below(CALLS_MAX), life.dice.below(1001));
    life.launch.environment = vec![
        ("LD_PRELOAD".to_owned(), shim.display().to_string()),
        ("TORN_CALL".to_owned(), call.to_string()),
        ("TORN_PERMILLE".to_owned(), permille.to_string()),
    ];
    let started = life.start(None);
    life.launch.environment.clear();
    if started? && let Some(server) = &mut life.server {
        let _ = server.process.ended_within(CALL_LIMIT);
    }
    life.kill(&format!("write {call} torn at {permille} thousandths"));
    life.recover()
}
