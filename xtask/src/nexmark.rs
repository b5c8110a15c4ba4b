//! `cargo xtask nexmark`: the large data set against its golden answers.

use std::process::Command;

use crate::files;

/// Runs the ignored test of the large data set, optimised.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(files::root()).args(["test", "--release", "-p", "fleuve", "--test", "all", "nexmark", "--"]);
    command.args(["--ignored", "--nocapture"]).args(arguments);
    let status = command.status().map_err(|e| format!("cargo cannot be started: {e}"))?;
    if status.success() { Ok(()) } else { Err("the answers differ".to_owned()) }
}
