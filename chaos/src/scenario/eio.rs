//! R6: a system call fails, once or from then on. Nothing that is acknowledged afterwards may be lost; after a failed
//! write or sync of a segment nothing is acknowledged at all, and the broker says so; the next start is a clean one. Only
//! a write that finds no room is refused and no more than that: what is acknowledged after it must be there all the same.

use std::time::Duration;

use super::{Plan, Scenario};
use crate::history::Event;
use crate::life::{Life, Workload};
use crate::process::{Injection, Launch, has_strace, tail};
use crate::storage::Storage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "eio",
    goal: "R6",
    what: "the k-th write, sync, open, rename … fails with EIO or ENOSPC",
    cycles: 300,
    run,
};

/// Faults in one life.
const LIFE_CYCLES: u64 = 20;

/// Calls, and up to which of them one fails; reads and opens are many.
const CALLS: [(&str, u64); 9] = [
    ("fdatasync", 60),
    ("pwrite64", 60),
    ("fsync", 12),
    ("openat", 80),
    ("rename", 12),
    ("ftruncate", 12),
    ("unlink", 6),
    ("mkdir", 12),
    ("pread64", 60),
];

const ERRORS: [&str; 2] = ["error=EIO", "error=ENOSPC"];

/// How long the broker runs with the fault.
const RUN: Duration = Duration::from_millis(700);

/// Acknowledgements that were on their way when the call failed have arrived after this.
const ON_THE_WAY: Duration = Duration::from_millis(200);

fn run(plan: &Plan<'_>) -> Result<String, String> {
    if !has_strace() {
        return Err("strace is not there".to_owned());
    }
    let (mut met, mut poisoned, mut refused) = (0, 0, 0);
    let all = plan.lives("eio", LIFE_CYCLES, |directory, seed, cycles| {
        let storage = Storage::Directory(directory.join("data"));
        let launch = Launch::new(&plan.options.binary, &storage, directory);
        let mut life = Life::begin(launch, storage, seed, &Workload::ALL)?;
        for () in cycles {
            match cycle(&mut life) {
                Ok(Met::Nothing) => {}
                Ok(Met::Failure) => met += 1,
                Ok(Met::Poison) => (met, poisoned) = (met + 1, poisoned + 1),
                Ok(Met::NoRoom) => (met, refused) = (met + 1, refused + 1),
                Err(what) => return Err(life.failed(&what, &[])),
            }
        }
        life.finish()
    })?;
    Ok(format!(
        "{met} calls failed, {poisoned} of them writes or syncs of records, and {refused} writes of records that found no room; {}",
        all.tell()
    ))
}

/// What came of an injection.
enum Met {
    /// The broker did not make so many calls.
    Nothing,
    /// A call failed.
    Failure,
    /// A write or sync of a segment failed.
    Poison,
    /// A write of a segment found no room.
    NoRoom,
}

fn cycle(life: &mut Life) -> Result<Met, String> {
    let (calls, most) = CALLS[life.dice.below(CALLS.len() as u64) as usize];
    let what = ERRORS[life.dice.below(ERRORS.len() as u64) as usize].to_owned();
    let forever = if life.dice.percent(50) { "+" } else { "" };
    let when = format!("{}{forever}", 1 + life.dice.below(most));
    let injection = Injection { calls: calls.to_owned(), what, when };
    life.kill("before a fault");
    let _ = std::fs::remove_file(life.launch.injections());
    let begun = life.context.history.len();
    life.context.history.add(Event::Fault(format!("{injection}")));
    if life.start(Some(&injection))? {
        std::thread::sleep(RUN);
    }
    let met = met(&life.launch);
    let met = match met {
        None => Met::Nothing,
        Some(Failed { segment: false, .. }) => Met::Failure,
        Some(_) if injection.calls == "pwrite64" && injection.what == "error=ENOSPC" => Met::NoRoom,
        Some(Failed { at, .. }) => {
            silent(life, begun, at)?;
            Met::Poison
        }
    };
    life.kill("the end of a fault");
    life.recover().map_err(|error| format!("after {injection}: {error}"))?;
    life.progress().map_err(|error| format!("after {injection}: {error}"))?;
    Ok(met)
}

/// The first call that failed.
struct Failed {
    /// Since 1970.
    at: Duration,
    /// Whether it was a write or sync of a segment.
    segment: bool,
}

/// What strace says: `PID SECONDS CALL(FD<PATH>, …) = -1 EIO (Input/output error) (INJECTED)`.
fn met(launch: &Launch) -> Option<Failed> {
    let log = std::fs::read_to_string(launch.injections()).unwrap_or_default();
    let failed = |line: &str| {
        let mut words = line.split_whitespace().skip_while(|word| !word.contains('.'));
        let at = Duration::from_secs_f64(words.next()?.parse().ok()?);
        let call = words.next()?;
        let writes = call.starts_with("pwrite64(") || call.starts_with("fdatasync(");
        Some(Failed { at, segment: writes && line.contains(".log>") })
    };
    let mut all = log.lines().filter(|line| line.contains("(INJECTED)")).filter_map(failed).peekable();
    let first = all.peek().map(|failed| Failed { at: failed.at, segment: failed.segment });
    // If one of them was of a segment, that is the one that counts.
    all.find(|failed| failed.segment).or(first)
}

/// Nothing has been acknowledged after the failure, and the broker has said why.
fn silent(life: &Life, begun: usize, at: Duration) -> Result<(), String> {
    let failed = life.context.history.since_begin(at) + ON_THE_WAY;
    let events = life.context.history.events();
    let late = events[begun..]
        .iter()
        .find(|m| m.at > failed && matches!(m.event, Event::Acked { .. } | Event::Committed { .. }));
    if let Some(late) = late {
        return Err(format!("acknowledged {:?} after the failure: {:?}", late.at.saturating_sub(failed), late.event));
    }
    let told = tail(&life.launch.messages(), 50);
    let clear = ["os error 5", "os error 28", "Input/output error", "No space left"];
    match clear.iter().any(|words| told.contains(words)) {
        true => Ok(()),
        false => Err("the broker has not said that a write or sync failed".to_owned()),
    }
}
