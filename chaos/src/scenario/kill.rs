//! R1, R2: `kill -9` at any moment. Most kills come at a random time, some at the n-th call of a system call (strace
//! sends the signal), some while the broker still recovers from the kill before.

use std::path::Path;
use std::time::Duration;

use super::{Cycles, Plan, Scenario};
use crate::life::{Life, Summary, Workload};
use crate::process::{Injection, Launch, has_strace};
use crate::storage::Storage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "kill",
    goal: "R1",
    what: "kill -9 at random moments under producers, transactions, readers and groups",
    cycles: 2_000,
    run,
};

/// Kills in one life, before its log is read and judged.
const LIFE_CYCLES: u64 = 25;

/// Of a hundred starts, how many are killed at a system call.
const AT_CALL_PERCENT: u64 = 20;

/// Of a hundred recoveries, how many are killed, too.
const IN_RECOVERY_PERCENT: u64 = 20;

/// How long the broker runs at most after everybody has got on.
const RUN_MS_MAX: u64 = 300;

/// How long a start that is killed takes at most.
const START_MS_MAX: u64 = 60;

/// How long a broker may live that is to be killed at a system call.
const CALL_LIMIT: Duration = Duration::from_secs(3);

/// The system calls that make something durable.
const CALLS: [&str; 7] = ["fdatasync", "pwrite64", "fsync", "openat", "rename", "ftruncate", "unlink"];

fn run(plan: &Plan<'_>) -> Result<String, String> {
    let strace = has_strace();
    let all = plan.lives("kill", LIFE_CYCLES, |directory, seed, cycles| live(plan, directory, seed, cycles, strace))?;
    Ok(all.tell())
}

fn live(plan: &Plan<'_>, directory: &Path, seed: u64, cycles: Cycles, strace: bool) -> Result<Summary, String> {
    let storage = Storage::Directory(directory.join("data"));
    let launch = Launch::new(&plan.options.binary, &storage, directory);
    let mut life = Life::begin(launch, storage, seed, &Workload::ALL)?;
    for () in cycles {
        if let Err(what) = cycle(&mut life, strace) {
            return Err(life.failed(&what, &[]));
        }
    }
    life.finish()
}

fn cycle(life: &mut Life, strace: bool) -> Result<(), String> {
    life.progress()?;
    life.run_for(RUN_MS_MAX);
    life.kill("kill -9");
    if life.dice.percent(IN_RECOVERY_PERCENT) {
        let starting = life.launch.start(None)?;
        life.run_for(START_MS_MAX);
        starting.kill();
    }
    if strace && life.dice.percent(AT_CALL_PERCENT) {
        kill_at_call(life)?;
    }
    life.recover()
}

fn kill_at_call(life: &mut Life) -> Result<(), String> {
    let calls = CALLS[life.dice.below(CALLS.len() as u64) as usize].to_owned();
    let when = (1 + life.dice.below(40)).to_string();
    let injection = Injection { calls, what: "signal=SIGKILL".to_owned(), when };
    if life.start(Some(&injection))?
        && let Some(server) = &mut life.server
    {
        // It does not come to the call if it has too little to do; then it is killed here.
        let _ = server.process.ended_within(CALL_LIMIT);
    }
    life.kill(&format!("kill -9 at {injection}"));
    Ok(())
}
