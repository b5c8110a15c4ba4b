//! Flink 2.3 beside Fleuve, on the same file.
//!
//! `xtask/flink/setup` installs it from PyPI into a directory of its own (`FLEUVE_FLINK`, default `~/.cache/fleuve/flink`).

use std::path::PathBuf;
use std::process::Command;

use super::nexmark::{Data, script};
use crate::files;

fn directory() -> PathBuf {
    std::env::var_os("FLEUVE_FLINK")
        .map_or_else(|| std::env::home_dir().unwrap_or_default().join(".cache/fleuve/flink"), PathBuf::from)
}

/// Events a second of one query, warmed up, with checkpoints every 10 s.
pub fn measure(query: &str, data: &Data, events: u64) -> Result<f64, String> {
    let home = directory();
    let python = home.join("venv/bin/python");
    if !python.exists() {
        let setup = files::root().join("xtask/flink/setup");
        let status = Command::new("bash").arg(&setup).arg(&home).status().map_err(|e| e.to_string())?;
        if !status.success() {
            return Err(format!("{} failed", setup.display()));
        }
    }
    let text = data.directory.join(format!("{query}-flink.sql"));
    let output = data.directory.join("flink-output");
    std::fs::write(&text, script(query, data, &output)).map_err(|e| e.to_string())?;
    let mut command = Command::new(python);
    command.arg(files::root().join("xtask/flink/run.py")).arg(&text).arg(&home).arg(events.to_string());
    let result = command.output().map_err(|e| e.to_string())?;
    let stdout = String::from_utf8_lossy(&result.stdout);
    let rate = stdout.lines().rev().find_map(|line| line.strip_prefix("events_per_second ")?.parse().ok());
    rate.ok_or_else(|| format!("Flink failed on {query}:\n{}", String::from_utf8_lossy(&result.stderr)))
}
