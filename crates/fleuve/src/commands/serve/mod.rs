//! `serve`: the log as a broker for Kafka's clients, and pipelines beside it, in one process.

mod first_user;
mod logging;
mod pipelines;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleuve_base::{Env, Error, Result, fs};
use fleuve_broker::Broker;
use fleuve_journal::{Log, LogOptions, RecoveryReport};
use fleuve_server::{Bound, Server};

use crate::args::ServeArguments;
use crate::commands::target::LISTENERS_FILE;
use crate::config::{self, Given, Origin, Settings};
use crate::output::io_error;
use crate::report::Failure;
use crate::signals;
use pipelines::Pipelines;

/// How often signals and pipelines are looked at.
const POLL: Duration = Duration::from_millis(50);

/// How long clients get for taking their answers when the broker stops.
const STOP: Duration = Duration::from_secs(3);

/// `fleuve serve`
pub fn run(arguments: &ServeArguments, json: bool) -> Result<(), Failure> {
    let started = Instant::now();
    let settings = settings(arguments)?;
    logging::start(&settings.log, settings.log_json)?;
    let scripts = settings.run.iter().map(|path| pipelines::Script::read(path)).collect::<Result<Vec<_>, _>>()?;
    let bound = Bound::open(&settings.server)?;
    let env = Env::system();
    let log = Log::open(env.clone(), &settings.data, LogOptions::default())?;
    tell_recovery(log.recovery());
    let broker = Broker::open(env.clone(), Arc::clone(&log), settings.broker.clone())?;
    first_user::create(&broker, &settings)?;
    let addresses = bound.addresses();
    let server = bound.serve(Arc::clone(&broker));
    note_listeners(&env, &settings.data, &addresses)?;
    announce(&addresses, json)?;
    tracing::info!(data = %settings.data.display(), milliseconds = started.elapsed().as_millis() as u64, "ready");
    let own = addresses.iter().map(|(_, address)| address.to_string());
    let mut running = Pipelines::start(scripts, &env, &broker, &settings.data, own);
    while !signals::stop_requested() {
        running.report();
        std::thread::sleep(POLL);
    }
    stop(running, server, &log)
}

/// What the arguments, the environment and the file add up to.
pub fn settings(arguments: &ServeArguments) -> Result<Settings> {
    let mut flags = arguments.set.iter().map(|text| config::assignment(text)).collect::<Result<Vec<_>>>()?;
    let mut flag = |name: &str, flag: &str, value: Option<String>| {
        let given = |value: String| Given { origin: Origin::Flag(format!("--{flag} {value}")), value };
        flags.extend(value.map(|value| (name.to_owned(), given(value))));
    };
    let path = |path: &PathBuf| path.display().to_string();
    flag("data", "data", arguments.data.as_ref().map(path));
    flag("http", "http", arguments.http.clone());
    flag("log", "log", arguments.log.clone());
    let scripts: Vec<String> = arguments.run.iter().map(path).collect();
    flag("run", "run", (!scripts.is_empty()).then(|| scripts.join(",")));
    flags.extend(arguments.kafka.iter().map(|text| config::listener_flag(text)));
    config::load(arguments.config.as_deref(), std::env::vars_os(), flags)
}

/// Leaves word for the tools that find the data directory in use. It is old after a stop, and then nobody looks.
fn note_listeners(env: &Env, data: &Path, addresses: &[(String, SocketAddr)]) -> Result<()> {
    let kafka = addresses.iter().filter(|(name, _)| name != "http");
    let text: String = kafka.map(|(_, address)| format!("{address}\n")).collect();
    let path = data.join(LISTENERS_FILE);
    fs::write_atomically(&*env.fs, &path, text.as_bytes())
        .map_err(|e| Error::io(format_args!("write {}", path.display()), &e))
}

/// One line for each listener, once clients may come.
fn announce(addresses: &[(String, SocketAddr)], json: bool) -> Result<()> {
    let line = |(name, address): &(String, SocketAddr)| match json {
        true => format!("{}\n", serde_json::json!({"listener": name, "address": address.to_string()})),
        false => format!("{name} listening on {address}\n"),
    };
    let text: String = addresses.iter().map(line).collect();
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| io_error(&e))
}

fn tell_recovery(report: &RecoveryReport) {
    for (partition, damage) in &report.damage {
        tracing::error!(%partition, ?damage, "acknowledged records are damaged; all others are served");
    }
    for cut in &report.cuts {
        let (partition, bytes) = (&cut.partition, cut.bytes);
        tracing::warn!(%partition, cut.offset, bytes, kept_in = ?cut.kept_in, "cut off what was written and not acknowledged");
    }
    tracing::info!(partitions = report.partitions, scanned_bytes = report.scanned_bytes, "opened the log");
}

/// Pipelines first, since they write to the log; then clients; then the log, so that the next start reads no records.
fn stop(running: Pipelines, server: Server, log: &Log) -> Result<(), Failure> {
    tracing::info!("stopping");
    running.stop();
    server.stop(STOP);
    log.close()?;
    tracing::info!("stopped");
    Ok(())
}
