//! `fleuve`: the command line of the streaming stack.
//!
//! This crate wires the layers together and talks to the person in front of it: arguments (`args`), one file for each
//! command (`commands`), what results look like (`output`), what errors look like (`report`), and the live line below a
//! running pipeline (`live`). It decides nothing about streams.

mod args;
mod check;
mod commands;
mod config;
mod estimates;
mod indexes;
mod launch;
mod live;
mod output;
mod report;
mod result;
mod signals;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// Column batches are allocated and freed at a high rate on several threads; mimalloc does that with less contention and
/// less memory kept than the system's allocator (docs/adr/0003).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    signals::install();
    match commands::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // That the reader of the output has gone is how `head` ends a command.
        Err(failure) if failure.error.code() == result::PRINTER_CLOSED => ExitCode::SUCCESS,
        Err(failure) => report::print(&failure, arguments.json),
    }
}
