//! R3: the power goes. What has not been synced is gone with it, in the middle of work or of a recovery. Some brokers run
//! with syncs that take long, so that many cuts fall into one.

use std::path::Path;

use super::{Cycles, Plan, Scenario};
use crate::life::{Life, Summary, Workload};
use crate::process::{Injection, Launch, Process, has_strace};
use crate::storage::{Disk, Storage};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "powercut",
    goal: "R3",
    what: "the disk loses all that was not synced, at random moments",
    cycles: 200,
    run,
};

/// Cuts in one life.
const LIFE_CYCLES: u64 = 10;

/// Of a hundred starts, how many have slow syncs.
const SLOW_PERCENT: u64 = 40;

/// Of a hundred recoveries, how many are cut, too.
const IN_RECOVERY_PERCENT: u64 = 25;

/// How long the broker runs at most after everybody has got on.
const RUN_MS_MAX: u64 = 400;

/// How long a start that is cut takes at most.
const START_MS_MAX: u64 = 60;

fn run(plan: &Plan<'_>) -> Result<String, String> {
    let strace = has_strace();
    let all =
        plan.lives("powercut", LIFE_CYCLES, |directory, seed, cycles| live(plan, directory, seed, cycles, strace))?;
    Ok(all.tell())
}

fn live(plan: &Plan<'_>, directory: &Path, seed: u64, cycles: Cycles, strace: bool) -> Result<Summary, String> {
    let storage = Storage::Disk(Disk::create(directory)?);
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
    cut(life, None)?;
    if life.dice.percent(IN_RECOVERY_PERCENT) {
        let starting = life.launch.start(None)?;
        life.run_for(START_MS_MAX);
        cut(life, Some(starting.process))?;
    }
    if strace && life.dice.percent(SLOW_PERCENT) {
        let what = format!("delay_enter={}", 1000 * (1 + life.dice.below(20)));
        let slow = Injection { calls: "fdatasync".to_owned(), what, when: "1+".to_owned() };
        return match life.start(Some(&slow))? {
            true => Ok(()),
            false => Err("the broker does not start with slow syncs".to_owned()),
        };
    }
    life.recover()
}

/// Stops the broker, so that no answer leaves that is not covered by the copy; copies, kills, and goes on with the copy.
fn cut(life: &mut Life, starting: Option<Process>) -> Result<(), String> {
    match (&life.server, &starting) {
        (Some(server), _) => server.process.signal("STOP")?,
        // It may have ended already.
        (None, Some(process)) => _ = process.signal("STOP"),
        (None, None) => return Err("there is no broker to cut off".to_owned()),
    }
    let Storage::Disk(disk) = &life.storage else { return Err("the storage is no disk".to_owned()) };
    disk.cut()?;
    drop(starting);
    life.kill("power cut");
    let Storage::Disk(disk) = &life.storage else { return Err("the storage is no disk".to_owned()) };
    disk.replug()
}
