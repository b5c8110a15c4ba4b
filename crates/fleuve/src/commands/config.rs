//! `config`: what `fleuve serve` would be told, and whether a file is right.

use std::path::Path;

use fleuve_base::Result;
use serde_json::json;

use super::serve;
use crate::args::ServeArguments;
use crate::config::{self, Effective};
use crate::output::say;

/// `fleuve config show`
pub fn show(arguments: &ServeArguments, json: bool) -> Result<()> {
    let lines = serve::settings(arguments)?.effective();
    let width = |column: fn(&Effective) -> usize| lines.iter().map(column).max().unwrap_or(0);
    let (names, values) = (width(|line| line.name.len()), width(|line| line.value.len().min(30)));
    let text = lines.iter().map(|Effective { name, value, origin, doc }| match json {
        true => format!("{}\n", json!({"name": name, "value": value, "origin": origin.to_string(), "doc": doc})),
        false => format!("{name:names$}  {value:values$}  # {origin}: {doc}\n"),
    });
    say(text.collect::<String>())
}

/// `fleuve config check FILE`
pub fn check(file: &Path) -> Result<()> {
    let settings = config::load(Some(file), std::iter::empty(), vec![])?;
    settings.server.listeners.iter().try_for_each(|listener| listener.bind_address().map(drop))?;
    say(format!("{} is fine\n", file.display()))
}
