//! R6: a system call fails, once or from then on: one after the other, the first to the last of each kind, and the next
//! run goes on where its seed says. Nothing that is acknowledged afterwards may be lost; after a failed
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
    what: "the k-th write, sync, open, rename … fails with EIO or ENOSPC, for every k",
    // The broker is killed before each and at its end.
    cycles: 2 * FAULTS,
    run,
};

/// Faults in one life.
const LIFE_CYCLES: u64 = 20;

/// Calls, and up to which of them one fails, counted per thread: more are rarely made while the broker runs.
const CALLS: [(&str, u64); 9] = [
    ("fdatasync", 40),
    ("pwrite64", 60),
    ("fsync", 8),
    ("openat", 60),
    ("rename", 6),
    ("ftruncate", 6),
    ("unlink", 4),
    ("mkdir", 6),
    ("pread64", 60),
];

/// Each call fails once with each error, and half of them for ever.
const FAULTS: u64 = 500;

const ERRORS: [&str; 2] = ["error=EIO", "error=ENOSPC"];

/// From one fault to the next one tried: it has no divisor in common with [`FAULTS`], so that all come, and those of a
/// short run are of all kinds.
const STRIDE: u64 = 77;

/// How long the broker runs with the fault.
const RUN: Duration = Duration::from_millis(700);

/// Acknowledgements that were on their way when the call failed have arrived after this.
const ON_THE_WAY: Duration = Duration::from_millis(200);

fn run(plan: &Plan<'_>) -> Result<String, String> {
    if !has_strace() {
        return Err("strace is not there".to_owned());
    }
    let (mut met, mut poisoned, mut refused, mut nth) = (0, 0, 0, plan.options.seed);
    let all = plan.lives("eio", LIFE_CYCLES, |directory, seed, cycles| {
        let storage = Storage::Directory(directory.join("data"));
        let launch = Launch::new(&plan.options.binary, &storage, directory);
        let mut life = Life::begin(launch, storage, seed, &Workload::ALL)?;
        for () in cycles {
            nth += 1;
            match cycle(&mut life, injection(nth)) {
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

/// The faults in a fixed order.
fn injection(nth: u64) -> Injection {
    let number = nth.wrapping_mul(STRIDE) % FAULTS;
    let (error, mut k) = (number % 2, number / 2);
    let forever = if (k + error).is_multiple_of(2) { "+" } else { "" };
    let mut calls = CALLS.iter();
    loop {
        let (call, most) = calls.next().expect("there are as many faults as calls have places, twice");
        match k.checked_sub(*most) {
            Some(rest) => k = rest,
            None => {
                let what = ERRORS[error as usize].to_owned();
                return Injection { calls: (*call).to_owned(), what, when: format!("{}{forever}", k + 1) };
            }
        }
    }
}

fn cycle(life: &mut Life, injection: Injection) -> Result<Met, String> {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_call_fails_with_every_error() {
        assert_eq!(FAULTS, 2 * CALLS.iter().map(|(_, most)| most).sum::<u64>());
        let all: BTreeSet<String> = (7..7 + FAULTS).map(|nth| injection(nth).to_string()).collect();
        assert_eq!(all.len() as u64, FAULTS);
        assert_eq!(all.iter().filter(|fault| fault.ends_with('+')).count() as u64, FAULTS / 2);
        for (call, most) in CALLS {
            let of_call = all.iter().filter(|fault| fault.starts_with(&format!("{call}:"))).count() as u64;
            assert_eq!(of_call, 2 * most, "{call}");
        }
    }
}
