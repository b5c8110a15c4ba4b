//! Plans of queries as EXPLAIN shows them, and the errors of queries that have none, as text files.
//!
//! `UPDATE_GOLDEN=1 cargo test -p fleuve-sql` writes the files anew; read the difference before you keep it.

mod golden;
mod meaning;
mod random;

use fleuve_base::{Error, Place};
use fleuve_plan::{Pipeline, Settings};

use crate::catalog::{Catalog, IndexDef};
use crate::explain::{Options, explain};
use crate::parser::{Statement, parse_script};

/// The pipeline of a script: its DDL, then its one INSERT or query.
fn plan(script: &str) -> Result<Pipeline, Error> {
    let mut catalog = Catalog::new();
    let mut pipeline = None;
    for parsed in parse_script(script)? {
        match parsed.statement {
            Statement::CreateTable(create) => catalog.add_table(create.table)?,
            Statement::CreateView(create) => catalog.add_view(create.view, false)?,
            Statement::CreateFunction(create) => catalog.add_function(create.function)?,
            Statement::CreateIndex(create) => {
                pipeline = Some(super::plan_index(&catalog, &Settings::default(), &create)?);
                let columns = create.columns.into_iter().map(|column| column.value).collect();
                catalog.add_index(IndexDef { name: create.name.value, table: create.table.value, columns })?;
            }
            Statement::Insert(inserts) => {
                pipeline = Some(super::plan_insert(&catalog, &Settings::default(), &inserts)?);
            }
            Statement::Query(query) => pipeline = Some(super::plan_query(&catalog, &Settings::default(), &query)?),
            other => return Err(Error::internal(format!("not planned in these tests: {other:?}"))),
        }
    }
    let pipeline = pipeline.ok_or_else(|| Error::internal("the script has no query"))?;
    pipeline.check()?;
    assert_eq!(Pipeline::from_json(&pipeline.to_json())?, pipeline, "a plan survives being stored");
    Ok(pipeline)
}

/// The plan of a script as EXPLAIN shows it, or its error as a terminal would.
fn shown(script: &str) -> String {
    match plan(script) {
        Ok(pipeline) => explain(&pipeline, &Options { changelog: true, ..Options::default() }),
        Err(error) => shown_error(&error, script),
    }
}

fn shown_error(error: &Error, script: &str) -> String {
    let place = match error.place() {
        Some(Place::Sql { start, end }) => script.get(*start..*end).unwrap_or("a place outside of the script"),
        _ => "nowhere",
    };
    let mut text = format!("{error}\n  at: {place}\n");
    for (name, line) in [("detail", error.detail()), ("hint", error.hint())] {
        line.iter().for_each(|line| text.push_str(&format!("  {name}: {line}\n")));
    }
    text
}
