//! `doctor`: what could be wrong with this machine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fleuve_base::{Env, Error, Result, fs::Fs};
use rustix::process::{Resource, getrlimit};
use serde_json::json;

use crate::args::DataArguments;
use crate::output::io_error;
use crate::workspace::DEFAULT_DATA;

/// Synced writes that are timed.
const SYNCS: usize = 50;

/// Bytes of each.
const SYNC_BYTES: usize = 4096;

/// Median above which a disk is slow for a log that syncs before it acknowledges, in milliseconds.
const SYNC_SLOW_MS: f64 = 10.0;

/// Open files below which many topics will not fit.
const FILES_MIN: u64 = 1024;

/// Free bytes below which a data directory is nearly full.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// 2020-01-01: no clock that is right stands before it.
const CLOCK_MIN_MS: i64 = 1_577_836_800_000;

struct Check {
    name: &'static str,
    fine: bool,
    found: String,
    fix: &'static str,
}

/// `fleuve doctor`
pub fn run(data: &DataArguments, as_json: bool) -> Result<()> {
    let directory = data.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
    let probe = if directory.is_dir() { directory.clone() } else { PathBuf::from(".") };
    let env = Env::system();
    let checks = [sync_speed(&*env.fs, &probe)?, free_space(&probe)?, open_files(), clock(&env), versions(&directory)];
    let mut out = std::io::stdout().lock();
    for check in &checks {
        let written = match as_json {
            true => writeln!(
                out,
                "{}",
                json!({"check": check.name, "ok": check.fine, "found": check.found, "fix": check.fix})
            ),
            false if check.fine => writeln!(out, "ok    {:12} {}", check.name, check.found),
            false => writeln!(out, "WARN  {:12} {}\n      {:12} {}", check.name, check.found, "", check.fix),
        };
        written.map_err(|e| io_error(&e))?;
    }
    Ok(())
}

fn sync_speed(fs: &dyn Fs, directory: &Path) -> Result<Check> {
    let path = directory.join(format!(".fleuve-doctor-{}", std::process::id()));
    let io = |e: std::io::Error| Error::io(format!("write {}", path.display()), &e);
    let file = fs.open(&path, true).map_err(io)?;
    let block = [7_u8; SYNC_BYTES];
    let mut times = vec![];
    for index in 0..SYNCS {
        let start = Instant::now();
        file.write_at(&block, (index * SYNC_BYTES) as u64).and_then(|()| file.sync()).map_err(io)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    fs.remove_file(&path).map_err(io)?;
    times.sort_by(f64::total_cmp);
    let (median, worst) = (times[SYNCS / 2], times[SYNCS - 1]);
    Ok(Check {
        name: "fsync",
        fine: median < SYNC_SLOW_MS,
        found: format!("4 KiB synced in {median:.2} ms (median), {worst:.2} ms (worst of {SYNCS})"),
        fix: "put --data on a local SSD",
    })
}

fn free_space(directory: &Path) -> Result<Check> {
    let stat = rustix::fs::statvfs(directory)
        .map_err(|e| Error::io(format!("look at the file system of {}", directory.display()), &e.into()))?;
    let free = stat.f_bavail * stat.f_frsize;
    Ok(Check {
        name: "disk",
        fine: free >= FREE_BYTES_MIN,
        found: format!("{} free", indicatif::HumanBytes(free)),
        fix: "free some space, or set a retention on the topics",
    })
}

fn open_files() -> Check {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    Check { name: "open files", fine: limit >= FILES_MIN, found: format!("limit {limit}"), fix: "ulimit -n 65536" }
}

fn clock(env: &Env) -> Check {
    let now = env.clock.now_ms();
    Check {
        name: "clock",
        fine: now >= CLOCK_MIN_MS,
        found: format!("{} UTC", crate::live::clock_text(now)),
        fix: "set the clock (NTP)",
    }
}

fn versions(directory: &Path) -> Check {
    let state = if directory.is_dir() { "exists" } else { "does not exist yet" };
    Check {
        name: "version",
        fine: true,
        found: format!("fleuve {}; data directory {} {state}", env!("CARGO_PKG_VERSION"), directory.display()),
        fix: "",
    }
}
