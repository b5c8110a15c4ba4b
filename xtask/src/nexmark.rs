//! `cargo xtask nexmark`: the large data set against its golden answers, from files or from topics.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::{Driver, binary, fill_topic};
use crate::files;

const USAGE: &str = "usage: cargo xtask nexmark [--topics [--binary PATH]] [NAME]..

  --topics         from topics that a real client (librdkafka) has filled through the broker, not from files
  --binary PATH    that broker, instead of one built from the sources
  NAME             only tests with this in their names";

/// Events of the data set.
const EVENTS: &str = "2000000";

/// The tests of topics, among those of the large data set.
const OF_TOPICS: &str = "large_topic";

/// How the client compresses, and into how many partitions it writes.
const FILLINGS: [(&str, u32); 2] = [("none", 1), ("lz4", 2)];

/// Runs the ignored tests of the large data set, optimised.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    match arguments {
        ["--topics", "--binary", path] => from_topics(Path::new(path)),
        ["--topics"] => from_topics(&binary()?),
        names if names.iter().all(|name| !name.starts_with('-')) => {
            test(&[&["--skip", OF_TOPICS], names].concat(), None)
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn test(arguments: &[&str], topics: Option<&Path>) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(files::root()).args(["test", "--release", "-p", "fleuve", "--test", "all", "nexmark", "--"]);
    command.args(["--ignored", "--nocapture"]).args(arguments);
    command.envs(topics.map(|directory| ("FLEUVE_NEXMARK_TOPICS", directory)));
    let status = command.status().map_err(|e| format!("cargo cannot be started: {e}"))?;
    if status.success() { Ok(()) } else { Err("the answers differ".to_owned()) }
}

fn from_topics(fleuve: &Path) -> Result<(), String> {
    let driver = Driver::compile()?;
    let home = std::env::temp_dir().join("fleuve-nexmark-topics");
    let _ = std::fs::remove_dir_all(&home);
    std::fs::create_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
    let lines = generate(fleuve, &home)?;
    for (codec, partitions) in FILLINGS {
        let broker = home.join(codec);
        let figures = fill_topic(fleuve, &driver, &broker, &lines, partitions, codec)?;
        println!("{partitions} partitions, {codec}: {figures}");
        test(&[OF_TOPICS], Some(&broker.join("data")))?;
    }
    std::fs::remove_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))
}

fn generate(fleuve: &Path, home: &Path) -> Result<PathBuf, String> {
    let lines = home.join("events.json");
    let file = File::create(&lines).map_err(|e| format!("{}: {e}", lines.display()))?;
    let status = Command::new(fleuve).args(["generate", "nexmark", "--events", EVENTS]).stdout(file).status();
    match status {
        Ok(status) if status.success() => Ok(lines),
        _ => Err("the data cannot be generated".to_owned()),
    }
}
