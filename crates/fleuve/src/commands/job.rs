//! `job`: the pipelines of a data directory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleuve_base::{Env, Error, ErrorKind, Result};
use fleuve_connect::StandardConnectors;
use fleuve_flow::runtime::PipelineStore;
use fleuve_journal::{Log, LogOptions};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;

use crate::args::DataArguments;
use crate::output::{io_error, say};
use crate::workspace::DEFAULT_DATA;

/// How long a running process gets to stop cleanly.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

fn directory(data: &DataArguments) -> Result<PathBuf> {
    let directory = data.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
    if directory.is_dir() {
        return Ok(directory);
    }
    let message = format!("there is no data directory `{}`", directory.display());
    Err(Error::input("E402", message).with_hint("name it with --data DIR"))
}

/// The process that has the directory open.
fn holder(directory: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(directory.join("lock")).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    test_kill_process(pid).is_ok().then_some(pid)
}

/// One pipeline as listed.
struct Job {
    name: String,
    state: &'static str,
    epoch: u64,
    nodes: usize,
}

fn jobs(directory: &Path) -> Result<Vec<Job>> {
    let running = holder(directory).is_some();
    let pipelines = directory.join("pipelines");
    let entries = match std::fs::read_dir(&pipelines) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(Error::io(format!("list {}", pipelines.display()), &e)),
    };
    let mut jobs = vec![];
    for entry in entries.flatten() {
        let name = fleuve_flow::runtime::store::pipeline_name(&entry.file_name().to_string_lossy());
        let store = PipelineStore::open(Env::system(), directory, &name)?;
        let Some(plan) = store.plan()? else { continue };
        let latest = store.latest()?;
        let state = match &latest {
            Some(manifest) if manifest.last => "finished",
            _ if running => "running",
            _ => "stopped",
        };
        jobs.push(Job { name, state, epoch: latest.map_or(0, |m| m.epoch), nodes: plan.pipeline.nodes.len() });
    }
    jobs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(jobs)
}

/// `fleuve job ls`
pub fn list(data: &DataArguments, as_json: bool) -> Result<()> {
    let jobs = jobs(&directory(data)?)?;
    let mut out = std::io::stdout().lock();
    let width = jobs.iter().map(|job| job.name.len()).max().unwrap_or(0).max(4);
    if !as_json {
        writeln!(out, "{:width$}  {:9} {:>10} {:>10}", "name", "state", "epoch", "operators")
            .map_err(|e| io_error(&e))?;
    }
    for job in jobs {
        let written = match as_json {
            true => {
                let line = json!({"name": job.name, "state": job.state, "epoch": job.epoch, "operators": job.nodes});
                writeln!(out, "{line}")
            }
            false => writeln!(out, "{:width$}  {:9} {:>10} {:>10}", job.name, job.state, job.epoch, job.nodes),
        };
        written.map_err(|e| io_error(&e))?;
    }
    Ok(())
}

fn find(directory: &Path, name: &str) -> Result<Job> {
    let mut jobs = jobs(directory)?;
    match jobs.iter().position(|job| job.name == name) {
        Some(at) => Ok(jobs.swap_remove(at)),
        None => {
            let names: Vec<String> = jobs.into_iter().map(|job| job.name).collect();
            let detail =
                if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
            Err(Error::input("E403", format!("there is no pipeline `{name}` in {}", directory.display()))
                .with_detail(detail))
        }
    }
}

/// `fleuve job stop NAME`: the process that runs it stops cleanly, with all pipelines of its script.
pub fn stop(name: &str, data: &DataArguments) -> Result<()> {
    let directory = directory(data)?;
    let job = find(&directory, name)?;
    let Some(pid) = holder(&directory).filter(|_| job.state == "running") else {
        return say(format!("{name} is not running\n"));
    };
    kill_process(pid, Signal::TERM)
        .map_err(|e| Error::io(format!("signal process {}", pid.as_raw_nonzero()), &e.into()))?;
    let deadline = Instant::now() + STOP_TIMEOUT;
    while holder(&directory).is_some() {
        if Instant::now() > deadline {
            let message =
                format!("process {} has not stopped within {} s", pid.as_raw_nonzero(), STOP_TIMEOUT.as_secs());
            return Err(Error::new(ErrorKind::Conflict, "E407", message));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    say(format!("{name} stopped\n"))
}

/// `fleuve job rm NAME`
pub fn remove(name: &str, data: &DataArguments) -> Result<()> {
    let directory = directory(data)?;
    let job = find(&directory, name)?;
    if job.state == "running" {
        let message = format!("pipeline `{name}` is running");
        return Err(Error::new(ErrorKind::Conflict, "E407", message).with_hint(format!("fleuve job stop {name}")));
    }
    let store = PipelineStore::open(Env::system(), &directory, name)?;
    if let Some(plan) = store.plan()? {
        let log = Log::open(Env::system(), &directory, LogOptions::default())?;
        let forgotten = StandardConnectors::forget(&log, &plan.identity());
        log.close().and(forgotten)?;
    }
    store.forget()?;
    say(format!("{name} removed\n"))
}
