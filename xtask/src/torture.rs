//! `cargo xtask torture`: builds the binary and what tortures it, and lets them at each other.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files;

/// Options that have a value.
const VALUED: [&str; 5] = ["--binary", "--cycles", "--seconds", "--seed", "--directory"];

/// Passes the words on, with the binary and a directory if they name none.
///
/// # Errors
/// A build failed, or a scenario.
pub fn run(words: &[&str]) -> Result<(), String> {
    let light = words.contains(&"--light");
    let mut passed: Vec<String> =
        words.iter().filter(|word| **word != "--light").map(|word| (*word).to_owned()).collect();
    let names = names(words);
    if names.contains(&"nightly") {
        return nightly(words);
    }
    if names.contains(&"canaries") {
        return canaries();
    }
    if names.contains(&"fuzz") {
        return fuzz(words);
    }
    let target = target();
    if !passed.iter().any(|word| word == "--binary") && !names.is_empty() {
        passed.extend(["--binary".to_owned(), build(light)?.display().to_string()]);
    }
    if !passed.iter().any(|word| word == "--directory") {
        passed.extend(["--directory".to_owned(), target.join("torture").display().to_string()]);
    }
    cargo(&["build", "--quiet", "-p", "fleuve-chaos"])?;
    let status = Command::new(target.join("debug/fleuve-chaos")).args(&passed).status();
    match status.map_err(|e| format!("fleuve-chaos: {e}"))?.success() {
        true => Ok(()),
        false => Err("the torture found something".to_owned()),
    }
}

/// All there is, each to its full number: every decoder fuzzed for a minute, every scenario, every canary. What fails does
/// not keep the others waiting; it takes some three hours.
fn nightly(words: &[&str]) -> Result<(), String> {
    let scenarios: Vec<&str> = words.iter().map(|word| if *word == "nightly" { "all" } else { word }).collect();
    let failed: Vec<String> = [fuzz(&[]), run(&scenarios), canaries()].into_iter().filter_map(Result::err).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// Which scenario finds which canary (`fleuve_base::CANARIES`), and how many cycles that may take.
const FOUND_BY: [(&str, &str, &str); 8] = [
    ("skip_fsync", "powercut", "30"),
    ("ack_early", "powercut", "100"),
    ("swallow_eio", "eio", "200"),
    ("tail_off_by_one", "kill", "50"),
    ("ignore_crc", "bitflip", "200"),
    ("double_append", "kill", "100"),
    ("forget_fencing", "kill", "50"),
    ("forget_aborted", "kill", "25"),
];

/// Builds the broker with all canaries, wakes one after the other, and demands that each is found; and that nothing is
/// found while all are asleep.
fn canaries() -> Result<(), String> {
    let target = target();
    let home = target.join("torture/canaries");
    std::fs::create_dir_all(&home).map_err(|e| e.to_string())?;
    let binary = build_canaries(&target, &home)?;
    cargo(&["build", "--quiet", "-p", "fleuve-chaos"])?;
    let torture = |scenario: &str, cycles: &str, name: &str| {
        let mut command = Command::new(target.join("debug/fleuve-chaos"));
        command.args([scenario, "--cycles", cycles, "--binary"]).arg(&binary).arg("--directory").arg(home.join(name));
        command.env("FLEUVE_CANARY", name).output().map_err(|e| format!("fleuve-chaos: {e}"))
    };
    let asleep = torture("kill", "25", "asleep")?;
    if !asleep.status.success() {
        return Err(format!("a bug was found while all canaries sleep: {}", String::from_utf8_lossy(&asleep.stdout)));
    }
    let mut missed = vec![];
    for (name, scenario, cycles) in FOUND_BY {
        let output = torture(scenario, cycles, name)?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() || !told.contains("FAILED") {
            true => missed.push(name),
            false => println!("{name}: found by {scenario}: {}", told.lines().take(2).collect::<Vec<_>>().join(" ")),
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("not found: {}", missed.join(", "))) }
}

/// A wrapper sets the flag for our own crates only, so that the others need not be built again.
fn build_canaries(target: &Path, home: &Path) -> Result<PathBuf, String> {
    use std::os::unix::fs::PermissionsExt;
    let wrapper = home.join("rustc-canary");
    std::fs::write(&wrapper, "#!/bin/sh\nexec \"$@\" --cfg canary\n").map_err(|e| e.to_string())?;
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(files::root()).env("RUSTC_WORKSPACE_WRAPPER", &wrapper);
    let status = command.args(["build", "--quiet", "-p", "fleuve-chaos", "--example", "brokerd"]).status();
    if !status.map_err(|e| format!("cargo: {e}"))?.success() {
        return Err("the canaries cannot be built".to_owned());
    }
    let binary = home.join("brokerd");
    std::fs::copy(target.join("debug/examples/brokerd"), &binary).map_err(|e| e.to_string())?;
    Ok(binary)
}

/// The fuzzer of all decoders of the protocol, for a minute each or as long as is said.
fn fuzz(words: &[&str]) -> Result<(), String> {
    let seconds = words.iter().position(|word| *word == "--seconds").and_then(|at| words.get(at + 1)).unwrap_or(&"60");
    let arguments = ["run", "--quiet", "--release", "-p", "fleuve-wire", "--example", "fuzz", "--", "--target", "all"];
    cargo(&[&arguments[..], &["--seconds", seconds]].concat())
}

/// The words that are neither options nor their values.
fn names<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let is_value = |at: usize| at > 0 && VALUED.contains(&words[at - 1]);
    let named = words.iter().enumerate().filter(|(at, word)| !word.starts_with('-') && !is_value(*at));
    named.map(|(_, word)| *word).collect()
}

/// The binary as users have it, or the broker alone; both without optimisation, with their assertions.
fn build(light: bool) -> Result<PathBuf, String> {
    match light {
        true => cargo(&["build", "--quiet", "-p", "fleuve-chaos", "--example", "brokerd"])?,
        false => cargo(&["build", "--quiet", "-p", "fleuve"])?,
    }
    Ok(target().join(if light { "debug/examples/brokerd" } else { "debug/fleuve" }))
}

fn cargo(words: &[&str]) -> Result<(), String> {
    let status = Command::new(env!("CARGO")).current_dir(files::root()).args(words).status();
    match status.map_err(|e| format!("cargo: {e}"))?.success() {
        true => Ok(()),
        false => Err(format!("cargo {}: failed", words.join(" "))),
    }
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| files::root().join("target"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_options_are_no_names() {
        assert_eq!(names(&["kill", "--cycles", "5", "eio", "--light", "--seed", "1"]), ["kill", "eio"]);
    }
}
