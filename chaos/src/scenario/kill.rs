//! R1, R2: `kill -9` at any moment. Most kills come at a random time, some at the n-th call of a system call (strace
//! sends the signal), some while the broker still recovers from the kill before.

use std::time::Duration;

use super::{Plan, Scenario};
use crate::life::{Life, Summary, Workload, fresh};
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
    let (strace, mut all, mut life) = (has_strace(), Summary::default(), 0);
    while plan.goes_on(all.faults) {
        let cycles = LIFE_CYCLES.min(plan.cycles - all.faults.min(plan.cycles)).max(1);
        let directory = fresh(&plan.options.directory, &format!("kill-{life}"))?;
        let summary = live(plan, &directory, plan.options.seed + life, cycles, strace)?;
        add(&mut all, summary);
        // Only what failed is kept.
        let _ = std::fs::remove_dir_all(&directory);
        life += 1;
    }
    Ok(tell(&all))
}

fn live(plan: &Plan<'_>, directory: &std::path::Path, seed: u64, cycles: u64, strace: bool) -> Result<Summary, String> {
    let storage = Storage::Directory(directory.join("data"));
    let launch = Launch::new(&plan.options.binary, &storage, directory);
    let mut life = Life::begin(launch, storage, seed, &Workload::ALL)?;
    for _ in 0..cycles {
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

pub(super) fn add(all: &mut Summary, one: Summary) {
    all.faults += one.faults;
    all.events += one.events;
    all.records += one.records;
    all.starts.extend(one.starts);
}

pub(super) fn tell(all: &Summary) -> String {
    let mut starts: Vec<u128> = all.starts.iter().map(Duration::as_millis).collect();
    starts.sort_unstable();
    let at = |permille: usize| starts.get((starts.len() * permille / 1000).min(starts.len().max(1) - 1)).copied();
    let [median, p99, most] = [500, 990, 999].map(|permille| at(permille).unwrap_or(0));
    let Summary { faults, records, events, .. } = all;
    format!(
        "{faults} faults, 0 anomalies in {records} records and {events} events; start to ready p50 {median} ms, p99 {p99} ms, \
         p99.9 {most} ms"
    )
}
