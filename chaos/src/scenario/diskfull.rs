//! R8: the disk is full at a random moment, and later it is not. Writers are told so with an error that lets them try again,
//! readers go on reading, nothing is lost, and writing goes on as soon as there is room again, in the same process. How long
//! that took is told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fleuve_wire::ErrorCode;

use super::{Plan, Scenario};
use crate::client::{Isolation, Problem};
use crate::history::Event;
use crate::life::{Life, Workload};
use crate::process::{Launch, run as run_command};
use crate::storage::{Disk, Storage};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "diskfull",
    goal: "R8",
    what: "the disk fills at random moments, then there is room again",
    cycles: 50,
    run,
};

/// Times that the disk is full in one life.
const LIFE_CYCLES: u64 = 5;

/// Bytes of the disk.
const DISK_BYTES: u64 = 512 << 20;

/// How long the disk stays full.
const FULL: Duration = Duration::from_millis(600);

/// How long writers may take to get on when there is room again.
const ROOM_LIMIT: Duration = Duration::from_secs(3);

/// How long the broker runs at most before the disk is full.
const RUN_MS_MAX: u64 = 400;

/// Bytes that the filler takes at once: all sizes down to one block, so that nothing is left.
const FILLS: [u64; 4] = [32 << 20, 1 << 20, 64 << 10, 4 << 10];

fn run(plan: &Plan<'_>) -> Result<String, String> {
    let (mut refusals, mut slowest) = (0, Duration::ZERO);
    let all = plan.lives("diskfull", LIFE_CYCLES, |directory, seed, cycles| {
        let storage = Storage::Disk(Disk::of(directory, DISK_BYTES)?);
        let launch = Launch::new(&plan.options.binary, &storage, directory);
        let mut life = Life::begin(launch, storage, seed, &Workload::ALL)?;
        for () in cycles {
            let again = cycle(&mut life, directory).map_err(|what| life.failed(&what, &[]))?;
            refusals += u64::from(again.is_some());
            slowest = slowest.max(again.unwrap_or_default());
        }
        life.progress().map_err(|what| life.failed(&what, &[]))?;
        life.finish()
    })?;
    let (faults, slowest_ms) = (all.faults, slowest.as_millis());
    Ok(format!(
        "the disk was full {faults} times, {refusals} times writers met that; with room they wrote on after {slowest_ms} ms at most, \
         without a restart; {}",
        all.tell()
    ))
}

/// Fills the disk and makes room again; if that was met, how long it took then to write on.
fn cycle(life: &mut Life, directory: &Path) -> Result<Option<Duration>, String> {
    life.progress()?;
    life.run_for(RUN_MS_MAX);
    life.fault("the disk is full");
    let filler = fill(&directory.join("disk"))?;
    std::thread::sleep(FULL);
    let refused = probe(life)?;
    std::fs::remove_file(&filler).map_err(|e| e.to_string())?;
    life.context.history.add(Event::Fault("there is room again".to_owned()));
    let begun = Instant::now();
    while probe(life)? {
        if begun.elapsed() > ROOM_LIMIT {
            return Err(format!("there is room, but after {ROOM_LIMIT:?} writers are still refused"));
        }
    }
    Ok(refused.then(|| begun.elapsed()))
}

/// Takes blocks until there are no more.
fn fill(mount: &Path) -> Result<PathBuf, String> {
    let path = mount.join("filler");
    let mut end = 0;
    for bytes in FILLS {
        let mut take = || {
            let range = ["--offset".to_owned(), end.to_string(), "--length".to_owned(), bytes.to_string()];
            let taken = run_command(Command::new("fallocate").args(range).arg(&path)).is_ok();
            end += if taken { bytes } else { 0 };
            taken
        };
        while take() {}
    }
    Ok(path)
}

/// Whether writing is refused; with the right error, while reading goes on.
fn probe(life: &mut Life) -> Result<bool, String> {
    let mut connection = life.context.connect().map_err(|e| format!("with a full disk: {e}"))?;
    let name = life.topics[0].name.clone();
    connection.fetch(&name, 0, 0, Isolation::Uncommitted, 0).map_err(|e| format!("cannot be read: {e}"))?;
    match life.probe(&mut connection) {
        Ok(()) => Ok(false),
        Err(Problem::Refused(code)) if code == ErrorCode::KAFKA_STORAGE_ERROR => Ok(true),
        Err(problem) => Err(format!("writing with a full disk: {problem}")),
    }
}
