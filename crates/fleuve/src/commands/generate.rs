//! `generate`: data for benchmarks.

use std::io::{BufWriter, Write, stdout};

use fleuve_base::Result;
use fleuve_connect::nexmark::{EventOptions, write_json};

use crate::args::GenerateCommand;
use crate::output::io_error;

/// `fleuve generate nexmark`
pub fn run(command: &GenerateCommand) -> Result<()> {
    let GenerateCommand::Nexmark { events, rate, ooo_group, seed } = command;
    let options = EventOptions { seed: *seed, rate: *rate, group: *ooo_group, ..EventOptions::default() };
    let mut out = BufWriter::new(stdout().lock());
    write_json(*events, &options, &mut out).and_then(|()| out.flush()).map_err(|e| io_error(&e))
}
