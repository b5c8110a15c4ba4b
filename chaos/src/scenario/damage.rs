//! R4, R7: files are not as they were left. A log of known content is copied again and again; in each copy one bit is
//! flipped, or a page zeroed, or a file cut short. Whatever the broker then serves must be right, and what it does not serve must
//! have been reported.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Plan, Scenario};
use crate::client::{Connection, Isolation, Outcome, Problem};
use crate::contents::{Contents, Extent, Stored};
use crate::dice::Dice;
use crate::drivers::Topic;
use crate::history::Place;
use crate::life::{Life, Workload, fresh};
use crate::process::{Launch, run as run_command};
use crate::storage::Storage;

pub(super) const BITFLIP: Scenario = Scenario {
    name: "bitflip",
    goal: "R7",
    what: "a flipped bit or a zeroed page anywhere in the data directory",
    cycles: 500,
    run: |plan| run(plan, "bitflip", flip),
};

pub(super) const TRUNCATE: Scenario = Scenario {
    name: "truncate",
    goal: "R7",
    what: "a file of the data directory ends too early",
    cycles: 200,
    run: |plan| run(plan, "truncate", truncate),
};

/// How long the drivers write before the log is left alone.
const WRITING: Duration = Duration::from_millis(1500);

/// How long the broker gets to stop when it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A log whose content is known.
struct Original {
    data: PathBuf,
    files: Vec<PathBuf>,
    topics: Vec<Topic>,
    contents: Contents,
}

/// What the broker made of the copies.
#[derive(Default)]
struct Tally {
    copies: u64,
    refused: u64,
    reported: u64,
    same: u64,
}

type Damage = fn(&Path, &mut Dice) -> Result<String, String>;

fn run(plan: &Plan<'_>, name: &str, damage: Damage) -> Result<String, String> {
    let directory = fresh(&plan.options.directory, name)?;
    let mut dice = Dice::new(plan.options.seed);
    let mut tally = Tally::default();
    // Half of the copies are of a log that was closed, half of one that was killed.
    let originals = [original(plan, &directory, true)?, original(plan, &directory, false)?];
    while plan.goes_on(tally.copies) {
        let original = &originals[(tally.copies % 2) as usize];
        tally.copies += 1;
        let copy = fresh(&directory, "copy")?;
        run_command(Command::new("cp").arg("-a").arg(&original.data).arg(copy.join("data")))?;
        let file = &original.files[dice.below(original.files.len() as u64) as usize];
        let what = damage(&copy.join("data").join(file), &mut dice)?;
        let what = format!("{}: {what}", file.display());
        judge(plan, original, &copy, &mut tally).map_err(|error| {
            format!("{what}: {error}\ndata: {}, original: {}", copy.display(), original.data.display())
        })?;
    }
    let Tally { copies, refused, reported, same } = tally;
    let _ = fs::remove_dir_all(&directory);
    Ok(format!(
        "{copies} damaged copies: {refused} refused with an error, {reported} served without what is damaged and said so, {same} \
         served whole; 0 wrong records"
    ))
}

/// Makes a log, reads it, and leaves it.
fn original(plan: &Plan<'_>, directory: &Path, closed: bool) -> Result<Original, String> {
    let home = fresh(directory, if closed { "closed" } else { "killed" })?;
    let storage = Storage::Directory(home.join("data"));
    let data = storage.data();
    let launch = Launch::new(&plan.options.binary, &storage, &home);
    let life = Life::begin(launch, storage, plan.options.seed, &Workload::ALL)?;
    life.progress()?;
    std::thread::sleep(WRITING);
    let (contents, topics, mut server) = life.leave()?;
    if closed {
        server.process.signal("TERM")?;
        server.process.ended_within(STOP_LIMIT).ok_or("the broker does not stop")?;
    }
    server.process.kill();
    let mut files = vec![];
    list(&data, Path::new(""), &mut files);
    Ok(Original { data, files, topics, contents })
}

/// All files below a directory that have content.
fn list(root: &Path, below: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(below)).into_iter().flatten().flatten() {
        let path = below.join(entry.file_name());
        match entry.metadata() {
            Ok(found) if found.is_dir() => list(root, &path, out),
            Ok(found) if found.len() > 0 => out.push(path),
            _ => {}
        }
    }
    out.sort();
}

fn flip(path: &Path, dice: &mut Dice) -> Result<String, String> {
    let mut bytes = fs::read(path).map_err(|e| e.to_string())?;
    let at = dice.below(bytes.len() as u64) as usize;
    let what = if dice.percent(85) {
        bytes[at] ^= 1 << dice.below(8);
        format!("a bit at {at} of {}", bytes.len())
    } else {
        let page = at & !4095;
        let end = bytes.len().min(page + 4096);
        bytes[page..end].fill(0);
        format!("zeros from {page} to {end} of {}", bytes.len())
    };
    fs::write(path, bytes).map_err(|e| e.to_string())?;
    Ok(what)
}

fn truncate(path: &Path, dice: &mut Dice) -> Result<String, String> {
    let file = fs::OpenOptions::new().write(true).open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    // Most cuts are near the end, where torn writes are.
    let end = if dice.percent(60) { length - 1 - dice.below(length.min(300)) } else { dice.below(length) };
    file.set_len(end).map_err(|e| e.to_string())?;
    Ok(format!("cut at {end} of {length}"))
}

/// Starts the broker over the copy and reads all that it serves.
fn judge(plan: &Plan<'_>, original: &Original, copy: &Path, tally: &mut Tally) -> Result<(), String> {
    let storage = Storage::Directory(copy.join("data"));
    let launch = Launch::new(&plan.options.binary, &storage, copy);
    let told = |launch: &Launch| fs::read_to_string(launch.messages()).unwrap_or_default();
    let started = launch.start(None)?.ready()?;
    let Some(server) = started else {
        let told = told(&launch);
        return match told.contains("panicked") || !told.contains("error") {
            true => Err(format!("it does not start, and does not say why: {told}")),
            false => {
                tally.refused += 1;
                Ok(())
            }
        };
    };
    let mut found = Found::default();
    let mut connection = Connection::open(server.address).map_err(|e| e.to_string())?;
    for topic in &original.topics {
        for partition in 0..topic.partitions {
            let place = topic.place(partition);
            compare(&mut connection, server.address, topic, place, &original.contents, &mut found)?;
        }
    }
    let told = told(&launch);
    if told.contains("panicked") {
        return Err(format!("it panicked: {told}"));
    }
    // Whoever reads is told by an error, whoever looks after the broker by its log.
    let reported = found.errors > 0 || ["damage", "missing", "corrupt", "cut"].iter().any(|word| told.contains(word));
    match found.missing {
        missing if missing > 0 && !reported => Err(format!("{missing} records are missing and nothing is said")),
        _ => {
            tally.reported += u64::from(reported);
            tally.same += u64::from(!reported);
            Ok(())
        }
    }
}

/// What reading came to.
#[derive(Default)]
struct Found {
    /// Records that were not served.
    missing: usize,
    /// Fetches that were answered with an error.
    errors: usize,
}

/// Reads every batch of a partition. A wrong record is an error.
fn compare(
    connection: &mut Connection,
    address: std::net::SocketAddr,
    topic: &Topic,
    place: Place,
    contents: &Contents,
    found: &mut Found,
) -> Result<(), String> {
    let Some(expected) = contents.partitions.get(&place) else { return Ok(()) };
    let mut served: BTreeMap<i64, Stored> = BTreeMap::new();
    for extent in &expected.extents {
        if served.contains_key(&extent.first) {
            continue;
        }
        match read_batch(connection, topic, place, *extent) {
            Ok(records) => served.extend(records.into_iter().map(|stored| (stored.offset, stored))),
            Err(Problem::Lost(_)) => *connection = Connection::open(address).map_err(|e| e.to_string())?,
            Err(Problem::Refused(_)) => found.errors += 1,
            Err(Problem::Odd(what)) => return Err(what),
        }
    }
    let right: BTreeMap<i64, Stored> = expected.all.iter().map(|stored| (stored.offset, *stored)).collect();
    if let Some((_, wrong)) = served.iter().find(|(offset, stored)| right.get(offset) != Some(stored)) {
        let was = right.get(&wrong.offset);
        return Err(format!("{place:?}: wrong record {wrong:?}, was {was:?}"));
    }
    found.missing += right.len() - served.len();
    Ok(())
}

fn read_batch(connection: &mut Connection, topic: &Topic, place: Place, extent: Extent) -> Outcome<Vec<Stored>> {
    let fetched = connection.fetch(&topic.name, place.partition, extent.first, Isolation::Uncommitted, 0)?;
    Ok(fetched.records)
}
