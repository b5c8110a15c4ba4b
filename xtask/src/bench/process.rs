//! Building the binary, and running it while its memory is watched.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::files;

/// How often memory is read.
const SAMPLE: Duration = Duration::from_millis(5);

/// Clock ticks a second in `/proc/PID/stat`; fixed on Linux.
const TICKS: f64 = 100.0;

/// The optimised binary, built if needed.
pub fn binary() -> Result<PathBuf, String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(files::root()).args(["build", "--release", "-p", "fleuve"]);
    match command.status() {
        Ok(status) if status.success() => {}
        _ => return Err("the binary cannot be built".to_owned()),
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| files::root().join("target"), PathBuf::from);
    Ok(target.join("release/fleuve"))
}

/// What a run cost.
pub struct Cost {
    /// From start to end.
    pub wall: Duration,
    /// User and system time.
    pub cpu_seconds: f64,
    /// Peak anonymous memory.
    pub anonymous_bytes: u64,
    /// Standard error, which holds the counters.
    pub stderr: String,
}

/// Runs a command to its end.
pub fn measure(command: &mut Command) -> Result<Cost, String> {
    let start = Instant::now();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|e| format!("{command:?} cannot be started: {e}"))?;
    let pid = child.id();
    let (mut anonymous_bytes, mut cpu_seconds) = (0, 0.0);
    let status = loop {
        anonymous_bytes = anonymous_bytes.max(anonymous(pid).unwrap_or(0));
        cpu_seconds = cpu(pid).unwrap_or(cpu_seconds);
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => std::thread::sleep(SAMPLE),
            Err(e) => return Err(e.to_string()),
        }
    };
    let wall = start.elapsed();
    let mut stderr = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        std::io::Read::read_to_string(&mut pipe, &mut stderr).map_err(|e| e.to_string())?;
    }
    match status.success() {
        true => Ok(Cost { wall, cpu_seconds, anonymous_bytes, stderr }),
        false => Err(format!("{command:?} failed:\n{stderr}")),
    }
}

fn anonymous(pid: u32) -> Option<u64> {
    memory(pid, "RssAnon:")
}

/// Bytes of one kind of memory of a running process, by its name in `/proc/PID/status`.
pub fn memory(pid: u32, kind: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(kind))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// User and system seconds of a running process.
pub fn cpu(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS)
}
