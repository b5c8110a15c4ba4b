//! Log lines, on standard error. The level says what a person must do: error, act now; warn, look soon; info, nothing,
//! the broker begins or ends something; debug and below, for whoever looks for a bug.

use std::io::IsTerminal;
use std::str::FromStr;

use fleuve_base::{Error, Result};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Writes lines that `filter` lets through: a level, or levels per part of the program.
///
/// # Errors
/// `E606` if it is no filter.
pub(super) fn start(filter: &str) -> Result<()> {
    let targets = Targets::from_str(filter).map_err(|e| {
        Error::input("E606", format!("`{filter}` selects no log lines: {e}"))
            .with_hint("a level (error, warn, info, debug, trace), or levels per part: info,fleuve_server=debug")
    })?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false);
    // Only tests of this program start logging twice, and then the first is as good.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
    Ok(())
}
