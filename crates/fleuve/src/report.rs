//! How an error looks: the place with a caret, what is wrong, and what to do.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use ariadne::{CharSet, Config, IndexType, Label, Report, ReportKind, Source};
use fleuve_base::{Error, ErrorKind, Place};
use serde_json::json;

/// An error with the script that it lies in.
#[derive(Debug)]
pub struct Failure {
    /// The error.
    pub error: Error,
    /// Name and text of the script, if the error's place is in one.
    pub script: Option<(String, String)>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { error, script: None }
    }
}

impl Failure {
    /// An error in a script.
    pub fn in_script(error: Error, name: &str, text: &str) -> Self {
        Failure { error, script: Some((name.to_owned(), text.to_owned())) }
    }

    /// 3 for wrong SQL, 4 where something cannot be reached, 1 for the rest.
    fn exit_code(&self) -> u8 {
        let code = self.error.code();
        match self.error.kind() {
            _ if self.script.is_some() && matches!(self.error.place(), Some(Place::Sql { .. })) => 3,
            ErrorKind::Input | ErrorKind::Unsupported if code.starts_with("E0") || code.starts_with("E2") => 3,
            ErrorKind::Io if code.starts_with("E5") => 4,
            _ => 1,
        }
    }
}

/// Prints to standard error and gives the exit status.
pub fn print(failure: &Failure, as_json: bool) -> ExitCode {
    let text = if as_json { format!("{}\n", to_json(failure)) } else { render(failure, colour()) };
    // Nothing can be said if standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(failure.exit_code())
}

fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

fn to_json(failure: &Failure) -> serde_json::Value {
    let error = &failure.error;
    let place = match error.place() {
        Some(Place::Sql { start, end }) => json!({"start": start, "end": end}),
        Some(Place::File { path, line, column }) => json!({"path": path, "line": line, "column": column}),
        Some(Place::Record { topic, partition, offset }) => {
            json!({"topic": topic, "partition": partition, "offset": offset})
        }
        None => serde_json::Value::Null,
    };
    json!({"code": error.code(), "message": error.message(), "detail": error.detail(), "hint": error.hint(),
           "span": place, "docs": format!("fleuve help {}", error.code())})
}

/// The error as text.
pub fn render(failure: &Failure, colour: bool) -> String {
    match (&failure.script, failure.error.place()) {
        (Some((name, text)), Some(Place::Sql { start, end })) => in_script(failure, name, text, *start, *end, colour),
        _ => plain(&failure.error),
    }
}

fn plain(error: &Error) -> String {
    let mut text = format!("{error}\n");
    error.detail().iter().for_each(|detail| text.push_str(&format!("   = {detail}\n")));
    error.hint().iter().for_each(|hint| text.push_str(&format!("   = hint: {hint}\n")));
    text
}

fn in_script(failure: &Failure, name: &str, text: &str, start: usize, end: usize, colour: bool) -> String {
    let error = &failure.error;
    let start = start.min(text.len());
    let span = (name, start..end.clamp(start, text.len()));
    let config = Config::new().with_color(colour).with_index_type(IndexType::Byte).with_char_set(CharSet::Unicode);
    let label = Label::new(span.clone()).with_message(error.hint().unwrap_or("here"));
    let mut report = Report::build(ReportKind::Error, span)
        .with_config(config)
        .with_code(error.code())
        .with_message(error.message())
        .with_label(label);
    if let Some(detail) = error.detail() {
        report = report.with_note(detail);
    }
    let mut out = Vec::new();
    match report.finish().write((name, Source::from(text)), &mut out) {
        Ok(()) => reshape(&String::from_utf8_lossy(&out)),
        Err(_) => plain(error),
    }
}

/// `[E012] Error: …` as `error[E012]: …`.
fn reshape(report: &str) -> String {
    let (first, rest) = report.split_once('\n').unwrap_or((report, ""));
    let shaped = first.replacen('[', "error[", 1).replacen("] Error:", "]:", 1);
    format!("{shaped}\n{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_a_script_shows_its_line_and_a_caret() {
        let script = "SELECT card,\n  SUM(amnt)\nFROM payments";
        let error = Error::input("E012", "unknown column `amnt`")
            .with_hint("did you mean `amt`?")
            .with_detail("columns of payments: ts, card, amt")
            .at(Place::sql(19, 23));
        let text = render(&Failure::in_script(error, "job.sql", script), false);
        assert!(text.starts_with("error[E012]: unknown column `amnt`\n"), "{text}");
        assert!(text.contains("job.sql:2:7"), "{text}");
        assert!(text.contains("did you mean `amt`?") && text.contains("columns of payments"), "{text}");
    }

    #[test]
    fn an_error_elsewhere_names_the_file_and_line() {
        let error = Error::input("E410", "expected a BIGINT").at(Place::file("orders.json", 17, 5)).with_hint("fix it");
        let text = render(&error.into(), false);
        assert_eq!(text, "error[E410]: expected a BIGINT (orders.json:17:5)\n   = hint: fix it\n");
    }
}
