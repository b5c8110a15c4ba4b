//! `config`: what `fleuve serve` would be told, and whether a file is right.

use std::path::Path;

use fleuve_base::Result;
use serde_json::json;

use super::serve;
use crate::args::ServeArguments;
use crate::config;

/// `fleuve config show`
pub fn show(arguments: &ServeArguments, json: bool) -> Result<()> {
    let lines = serve::settings(arguments)?.effective();
    let width = |column: fn(&(String, String, config::Origin)) -> usize| lines.iter().map(column).max().unwrap_or(0);
    let (names, values) = (width(|line| line.0.len()), width(|line| line.1.len().min(30)));
    for (name, value, origin) in &lines {
        match json {
            true => println!("{}", json!({"name": name, "value": value, "origin": origin.to_string()})),
            false => println!("{name:names$}  {value:values$}  # {origin}"),
        }
    }
    Ok(())
}

/// `fleuve config check FILE`
pub fn check(file: &Path) -> Result<()> {
    let settings = config::load(Some(file), std::iter::empty(), vec![])?;
    settings.server.listeners.iter().try_for_each(|listener| listener.bind_address().map(drop))?;
    println!("{} is fine", file.display());
    Ok(())
}
