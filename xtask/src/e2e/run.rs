//! Running one scenario: a process with a time limit, its output kept.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::client::Client;
use super::project;

/// After that a scenario has failed.
const LIMIT: Duration = Duration::from_secs(240);

/// How often a process is asked whether it ended.
const POLL: Duration = Duration::from_millis(20);

/// Lines of output that a failure shows.
const TAIL_LINES: usize = 60;

/// How a scenario went.
pub struct Outcome {
    /// It ended in time, with exit code 0.
    pub passed: bool,
    /// From start to end.
    pub took: Duration,
    /// The end of what it printed.
    pub output: String,
}

/// Runs a client's scenario; an error only if it cannot be started.
///
/// The program finds in its environment `BOOTSTRAP`, `RUN` (a prefix for the names of topics and groups, another in every run) and
/// `SCRATCH` (an empty directory), and what else is given.
pub fn scenario(
    client: &Client,
    directory: &Path,
    scenario: &str,
    bootstrap: &str,
    environment: &[(&str, String)],
) -> Result<Outcome, String> {
    let scratch = project::cache().join("scratch").join(format!("{}-{scenario}", client.name));
    let log = scratch.with_extension("log");
    let failed = |e: std::io::Error| format!("{}: {e}", scratch.display());
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).map_err(failed)?;
    let output = fs::File::create(&log).map_err(failed)?;
    let [program, arguments @ ..] = client.command else { return Err(format!("{}: no command", client.name)) };
    let mut command = Command::new(program_in(directory, program));
    command.args(arguments).arg(scenario).current_dir(directory).stdin(Stdio::null());
    command.stdout(output.try_clone().map_err(failed)?).stderr(output);
    command.env("BOOTSTRAP", bootstrap).env("RUN", run_name(client.name)).env("SCRATCH", &scratch);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let started = Instant::now();
    let mut child = command.spawn().map_err(|e| format!("{program} cannot be started: {e}"))?;
    let ended = within(&mut child, LIMIT).map_err(failed)?;
    let mut output = tail(&log);
    if ended.is_none() {
        output += &format!("\nnot done after {} s", LIMIT.as_secs());
    }
    Ok(Outcome { passed: ended.is_some_and(|status| status.success()), took: started.elapsed(), output })
}

/// A program of the project by its path, any other by its name.
fn program_in(directory: &Path, program: &str) -> std::path::PathBuf {
    match program.contains('/') {
        true => directory.join(program),
        false => program.into(),
    }
}

/// Unlike any other run's, as brokers keep topics.
fn run_name(client: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{client}-{}", now.as_millis() % 100_000_000)
}

/// Waits for the end of a process, and kills it when it takes too long: then there is no status.
pub fn within(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(POLL);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// The last lines of a file.
pub fn tail(path: &Path) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
