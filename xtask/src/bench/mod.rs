//! `cargo xtask bench`: what the released binary does on this machine.

use std::process::Command;

use crate::files;

mod ceiling;
mod driver;
mod flink;
mod kafka;
mod latency;
mod nexmark;
mod process;
mod topics;

const USAGE: &str =
    "usage: cargo xtask bench nexmark [--events N] [--queries q0,q1] [--workers 1,2] [--runs N] [--binary PATH] [--flink | --topics]
       cargo xtask bench latency [--rate N] [--seconds N]
       cargo xtask bench kafka [--rounds N] [--only fleuve] [--binary PATH]
       cargo xtask bench sketch [WORD]";

pub(crate) use driver::Driver;
pub(crate) use process::binary;
pub(crate) use topics::fill_topic;

/// Runs a benchmark.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    match arguments {
        ["nexmark", rest @ ..] => nexmark::run(&nexmark::Options::parse(rest)?),
        ["latency", rest @ ..] => latency::run(&latency::Options::parse(rest)?),
        ["kafka", rest @ ..] => kafka::run(&kafka::Options::parse(rest)?),
        ["sketch", rest @ ..] => sketch(rest),
        _ => Err(USAGE.to_owned()),
    }
}

/// Runs an example program of the crate `sketch`, optimised.
pub(crate) fn sketch_example(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(files::root());
    command.args(["run", "--quiet", "--release", "-p", "fleuve-sketch", "--example", name]);
    command
}

/// What summaries, samples and draws cost, beside other crates, and beside DataSketches in C++ where its Python package is installed.
fn sketch(arguments: &[&str]) -> Result<(), String> {
    for example in ["sketch_cost", "sketch_draws"] {
        match sketch_example(example).arg("--").args(arguments).status() {
            Ok(status) if status.success() => {}
            _ => return Err(format!("{example} failed")),
        }
    }
    let mut foreign = Command::new("python3");
    let script = files::root().join("xtask/bench/sketch/cpp.py");
    match foreign.arg(script).args(arguments).status() {
        // It says by itself what it lacks.
        Ok(_) => Ok(()),
        Err(error) => Err(format!("python3, for DataSketches in C++: {error}")),
    }
}

/// The value after a flag, if it is there.
fn flag<'a>(arguments: &[&'a str], name: &str) -> Result<Option<&'a str>, String> {
    match arguments.iter().position(|a| *a == name) {
        None => Ok(None),
        Some(at) => match arguments.get(at + 1) {
            Some(value) => Ok(Some(value)),
            None => Err(format!("{name} needs a value\n{USAGE}")),
        },
    }
}

/// A number after a flag.
fn number(arguments: &[&str], name: &str, default: u64) -> Result<u64, String> {
    match flag(arguments, name)? {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| format!("{name} takes a number, not {text}")),
    }
}
