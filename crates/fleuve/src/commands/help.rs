//! `help`: error codes, connectors, functions, settings.

use std::fmt::Write as _;

use clap::CommandFactory;
use fleuve_base::{Error, Result, codes, nearest};

use crate::args::Arguments;
use crate::output::say;

/// `fleuve help [TOPIC…]`
pub fn run(topic: &[String]) -> Result<()> {
    let words: Vec<&str> = topic.iter().map(String::as_str).collect();
    let text = match words.as_slice() {
        [] => Arguments::command().render_long_help().to_string(),
        ["connector" | "connectors", rest @ ..] => connector(rest.first().copied())?,
        ["function" | "functions", rest @ ..] => function(rest.first().copied())?,
        ["settings" | "setting"] => settings(),
        [code] if codes::find(code).is_some() => code_text(code),
        [command, ..] => command_help(command)?,
    };
    say(text)
}

fn code_text(code: &str) -> String {
    match codes::find(code) {
        Some(entry) => format!("{}: {}\n\n{}\n", entry.code, entry.title, entry.explanation),
        None => String::new(),
    }
}

fn command_help(name: &str) -> Result<String> {
    let mut command = Arguments::command();
    match command.find_subcommand_mut(name) {
        Some(found) => Ok(found.render_long_help().to_string()),
        None => Err(Error::input("E404", format!("there is no help on `{name}`"))
            .with_hint("try a command, an error code (E012), `connector NAME`, `function NAME` or `settings`")),
    }
}

fn connector(name: Option<&str>) -> Result<String> {
    let all = fleuve_connect::documentation();
    let Some(name) = name else {
        return Ok(all.iter().map(|c| format!("{:12} {}\n", c.name, c.doc)).collect());
    };
    let found = all.iter().find(|c| c.name == name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|c| c.name).collect();
        let error = Error::input("E404", format!("there is no connector `{name}`"))
            .with_detail(format!("there are: {}", names.join(", ")));
        with_nearest(error, name, &names)
    })?;
    let mut text = format!("{}: {}\n\n", found.name, found.doc);
    for option in found.options {
        let default = if option.default.is_empty() { String::new() } else { format!(" (default {})", option.default) };
        let _ = writeln!(text, "  '{}' {}{default}\n      {}", option.name, option.kind.describe(), option.doc);
    }
    Ok(text)
}

fn function(name: Option<&str>) -> Result<String> {
    let all = fleuve_functions::registry::documentation();
    match name {
        None => Ok(all.iter().map(|f| format!("{:20} {}\n", f.name, f.summary)).collect()),
        Some(name) => match all.iter().find(|f| f.name.eq_ignore_ascii_case(name)) {
            Some(f) if f.example.is_empty() => Ok(format!("{}\n\n{}\n", f.signature, f.summary)),
            Some(f) => Ok(format!("{}\n\n{}\n\nexample: {}\n", f.signature, f.summary, f.example)),
            None => {
                let names: Vec<String> = all.iter().map(|f| f.name.to_uppercase()).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                Err(with_nearest(Error::input("E404", format!("there is no function `{name}`")), name, &names))
            }
        },
    }
}

fn with_nearest(error: Error, name: &str, names: &[&str]) -> Error {
    match nearest(name, names.iter().copied()) {
        Some(near) => error.with_hint(format!("did you mean {near}?")),
        None => error,
    }
}

fn settings() -> String {
    fleuve_sql::settings::documentation()
}
