//! `explain`: what a script would do.

use std::io::Write;

use fleuve_sql::explain::{Options, explain};
use fleuve_sql::session::{Outcome, Session};

use crate::args::ExplainArguments;
use crate::output::io_error;
use crate::report::Failure;

/// `fleuve explain FILE`
pub fn run(arguments: &ExplainArguments, json: bool) -> Result<(), Failure> {
    let text = super::run::read_script(&arguments.file)?;
    let name = arguments.file.display().to_string();
    let located = |error| Failure::in_script(error, &name, &text);
    let mut session = Session::new();
    let options = Options { json, ..Options::default() };
    let mut out = std::io::stdout().lock();
    for statement in session.parse(&text).map_err(located)? {
        let shown = match session.execute(&statement).map_err(located)? {
            Outcome::Pipeline(pipeline) | Outcome::Query(pipeline) | Outcome::Index(pipeline) => {
                explain(&pipeline, &options)
            }
            Outcome::Explain(text) => text,
            Outcome::Done(_) | Outcome::Rows(_) | Outcome::Control(..) | Outcome::DropIndex(_) => continue,
        };
        writeln!(out, "{}", shown.trim_end()).map_err(|e| io_error(&e))?;
    }
    Ok(())
}
