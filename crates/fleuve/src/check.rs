//! The options of the tables that a statement uses, checked before anything runs and placed in the script.

use std::ops::Range;

use fleuve_base::{Error, Place, Result};
use fleuve_connect::{check_sink, check_source};
use fleuve_plan::{Operator, Pipeline};
use fleuve_sql::catalog::Catalog;

use crate::result::RESULT_CONNECTOR;

/// Checks connector, format and options of every table that a pipeline reads or writes.
///
/// # Errors
/// The first mistake, at its place in the script if the table was declared there.
pub fn tables(pipeline: &Pipeline, catalog: &Catalog, script: &str) -> Result<()> {
    for node in &pipeline.nodes {
        let (table, checked) = match &node.operator {
            Operator::Source(spec) => (&spec.table, check_source(spec)),
            Operator::LookupJoin { table, .. } => (&table.table, check_source(table)),
            // `$result` is this program's own.
            Operator::Sink(spec) if spec.options.connector() != RESULT_CONNECTOR => (&spec.table, check_sink(spec)),
            _ => continue,
        };
        let span = catalog.table(table).map(|table| table.span.0..table.span.1);
        checked.map_err(|error| match span.and_then(|span| place(&error, &span, script)) {
            Some(place) => error.at(place),
            None => error,
        })?;
    }
    Ok(())
}

/// Where a table's declaration has what the error is about: the option that it names, or else its connector, or else the
/// declaration's first line.
fn place(error: &Error, declared: &Range<usize>, script: &str) -> Option<Place> {
    let text = script.get(declared.clone())?;
    let upper = text.to_ascii_uppercase();
    let begins_options = |at: &usize| upper[at + "WITH".len()..].trim_start().starts_with('(');
    let options = upper.match_indices("WITH").map(|(at, _)| at).filter(begins_options).last().unwrap_or(text.len());
    // A key or a value in single quotes is more precise than the name of a connector or format in backquotes.
    // Of several in backquotes the last one is what is wrong: "the `x` connector has no format `y`".
    let quoted = |quote| error.message().split(quote).skip(1).step_by(2).collect::<Vec<_>>();
    let quoted = quoted('\'').into_iter().chain(quoted('`').into_iter().rev());
    let mut literals = quoted.map(|name| format!("'{name}'")).chain(["'connector'".to_owned()]);
    let found = literals.find_map(|literal| {
        let at = text[options..].find(&literal)?;
        Some((options + at, literal.len()))
    });
    let (at, length) = found.unwrap_or((0, text.lines().next().map_or(text.len(), str::len)));
    Some(Place::sql(declared.start + at, declared.start + at + length))
}

#[cfg(test)]
mod tests {
    use fleuve_sql::session::{Outcome, Session};

    use super::*;

    /// The text at which a script's mistake is placed.
    fn placed(script: &str) -> (String, String) {
        let mut session = Session::new();
        for statement in session.parse(script).expect("parses") {
            if let Outcome::Pipeline(pipeline) = session.execute(&statement).expect("plans") {
                let error = tables(&pipeline, session.catalog(), script).expect_err("a mistake");
                let Some(Place::Sql { start, end }) = error.place() else { panic!("{error} has no place") };
                return (error.code().to_owned(), script[*start..*end].to_owned());
            }
        }
        panic!("no INSERT");
    }

    #[test]
    fn mistakes_in_options_are_placed_at_the_option() {
        let script = |options: &str, sink: &str| {
            format!(
                "CREATE TABLE b (x BIGINT) WITH ({sink});\nCREATE TABLE a (x BIGINT) WITH ({options});\n\
                 INSERT INTO b SELECT x FROM a;"
            )
        };
        let (file, hole) = ("'connector' = 'filesystem', 'format' = 'json'", "'connector' = 'blackhole'");
        let found = |options: &str, sink: &str| placed(&script(options, sink));
        let expected = |code: &str, text: &str| (code.to_owned(), text.to_owned());
        assert_eq!(found("'connector' = 'filesytem'", hole), expected("E500", "'filesytem'"));
        assert_eq!(found(&format!("{file}, 'path' = 'x', 'pth' = 'y'"), hole), expected("E501", "'pth'"));
        assert_eq!(found("'scan.bounded.mode' = 'x'", hole), expected("E502", "'scan.bounded.mode'"));
        assert_eq!(found(file, hole), expected("E503", "'filesystem'"));
        assert_eq!(found("'connector' = 'datagen'", "'connector' = 'stdin'"), expected("E500", "'stdin'"));
    }
}
