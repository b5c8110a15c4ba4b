//! A session: settings and a catalog that statements change, and queries that become pipelines.
//!
//! ```
//! use fleuve_sql::session::{Outcome, Session};
//!
//! let mut session = Session::new();
//! for statement in session.parse("CREATE TABLE t (a BIGINT) WITH ('connector' = 'blackhole'); SHOW TABLES;")? {
//!     if let Outcome::Rows(rows) = session.execute(&statement)? {
//!         assert_eq!(rows.num_rows(), 1);
//!     }
//! }
//! # Ok::<(), fleuve_base::Error>(())
//! ```

use arrow::array::RecordBatch;
use fleuve_base::{Error, Place, Result};
use fleuve_plan::{Control, Pipeline};
use sqlparser::ast::Query;

use crate::catalog::{Catalog, FunctionDef, IndexDef, TableDef, ViewDef};
use crate::parser::statement::{
    CreateFunction, CreateIndex, CreateTable, CreateView, Explain, Name, ObjectKind, ParsedStatement, Statement,
};
use crate::parser::{ByteSpan, InsertStatement, parse_script, parse_without_places};
use crate::settings::SessionSettings;
use crate::{explain, like, planner, show};

/// What executing a statement gives.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The session has changed; a line to say so.
    Done(String),
    /// The rows of SHOW and DESCRIBE.
    Rows(RecordBatch),
    /// The text of EXPLAIN.
    Explain(String),
    /// An INSERT or a statement set, to be run.
    Pipeline(Pipeline),
    /// A query, to be run: its rows go to the sink of connector `$result`.
    Query(Pipeline),
    /// What is asked of the SELECT ONLINE that runs or comes next, and where.
    Control(Control, Place),
    /// A pipeline that builds and keeps an index.
    Index(Pipeline),
    /// An index is dropped: its pipeline is to be stopped, and what it has stored to be deleted.
    DropIndex(DropIndex),
}

/// An index that is dropped.
#[derive(Debug, Clone)]
pub struct DropIndex {
    /// Its name.
    pub name: String,
    /// Whether the session has declared it. Otherwise an earlier script has; or there is none.
    pub declared: bool,
    /// No error if there is none.
    pub if_exists: bool,
    /// Where the name stands.
    pub place: Place,
}

/// The name of the pipeline that builds an index.
pub fn index_pipeline(index: &str) -> String {
    format!("index-{index}")
}

/// Settings and a catalog.
#[derive(Debug, Clone, Default)]
pub struct Session {
    settings: SessionSettings,
    catalog: Catalog,
}

impl Session {
    /// A session with default settings and nothing declared.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tables, views and functions declared so far.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The settings changed so far.
    pub fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// Changes a setting, as SET does. Returns a note if it is accepted but has no effect.
    pub fn set(&mut self, name: &str, value: &str) -> Result<Option<&'static str>> {
        self.settings.set(name, value)
    }

    /// Parses a script. Nothing is executed; an error anywhere in it refuses all of it.
    pub fn parse(&self, script: &str) -> Result<Vec<ParsedStatement>> {
        parse_script(script)
    }

    /// Executes one statement. After an error the session is as it was before.
    pub fn execute(&mut self, statement: &ParsedStatement) -> Result<Outcome> {
        match &statement.statement {
            Statement::CreateTable(create) => self.create_table(create, &statement.text),
            Statement::CreateView(create) => self.create_view(create, &statement.text),
            Statement::CreateFunction(create) => self.create_function(create),
            Statement::CreateIndex(create) => self.create_index(create),
            Statement::Drop { kind, name, if_exists } => self.drop(*kind, name, *if_exists),
            Statement::Set { key, value } => self.execute_set(key, value),
            Statement::Reset(key) => self.reset(key.as_ref()),
            Statement::Show(what) => show::show(&self.catalog, &self.settings, what).map(Outcome::Rows),
            Statement::Insert(inserts) => self.insert(inserts).map(Outcome::Pipeline),
            Statement::Query(query) => self.query(query).map(Outcome::Query),
            Statement::Online(query) => self.online(query).map(Outcome::Query),
            Statement::Control(control) => {
                Ok(Outcome::Control(control.clone(), Place::sql(statement.span.0, statement.span.1)))
            }
            Statement::Explain(what) => self.explain(what).map(Outcome::Explain),
        }
        .map_err(|error| {
            let (start, end) = place_in_statement(&error, statement);
            error.at(Place::sql(start, end))
        })
    }

    fn create_table(&mut self, create: &CreateTable, text: &str) -> Result<Outcome> {
        let name = &create.table.name;
        if create.if_not_exists && self.catalog.relation_named(name) {
            return Ok(Outcome::Done(format!("table `{name}` exists already")));
        }
        // With places in it, so that an error points into the script …
        let mut checked = self.catalog.clone();
        checked.add_table(like::resolve(&self.catalog, create)?).map_err(at(create.name_span))?;
        self.check_table(&checked, create)?;
        // … and kept without them, since the script may be gone when the table is used.
        let stored = TableDef { span: create.table.span, ..self.table_without_places(text)? };
        self.catalog.add_table(stored)?;
        Ok(Outcome::Done(format!("table `{name}` created")))
    }

    /// Plans a query of a table whose expressions have to be understood.
    fn check_table(&self, catalog: &Catalog, create: &CreateTable) -> Result<()> {
        let Some(table) = catalog.table(&create.table.name) else { return Ok(()) };
        if table.watermark.is_none() && table.columns.iter().all(|column| column.data_type.is_some()) {
            return Ok(());
        }
        let all = show::query_of(&table.name)?;
        planner::plan_query(catalog, &self.settings.pipeline(), &all).map(drop).map_err(at(create.name_span))
    }

    fn table_without_places(&self, text: &str) -> Result<TableDef> {
        match parse_without_places(text)? {
            Statement::CreateTable(create) => like::resolve(&self.catalog, &create),
            _ => Err(Error::internal("the text of CREATE TABLE parses as another statement")),
        }
    }

    fn create_view(&mut self, create: &CreateView, text: &str) -> Result<Outcome> {
        let name = &create.view.name;
        if create.if_not_exists && self.catalog.relation_named(name) {
            return Ok(Outcome::Done(format!("view `{name}` exists already")));
        }
        let pipeline = planner::plan_query(&self.catalog, &self.settings.pipeline(), &create.view.query)?;
        check_column_count(&create.view, &pipeline).map_err(at(create.name_span))?;
        let stored = match parse_without_places(text)? {
            Statement::CreateView(stored) => ViewDef { text: create.view.text.clone(), ..stored.view },
            _ => return Err(Error::internal("the text of CREATE VIEW parses as another statement")),
        };
        self.catalog.add_view(stored, create.or_replace).map_err(at(create.name_span))?;
        Ok(Outcome::Done(format!("view `{name}` created")))
    }

    fn create_function(&mut self, create: &CreateFunction) -> Result<Outcome> {
        let FunctionDef { name, .. } = &create.function;
        if create.if_not_exists && self.catalog.function(name).is_some() {
            return Ok(Outcome::Done(format!("function `{name}` exists already")));
        }
        self.catalog.add_function(create.function.clone()).map_err(at(create.name_span))?;
        Ok(Outcome::Done(format!("function `{name}` created")))
    }

    fn create_index(&mut self, create: &CreateIndex) -> Result<Outcome> {
        let name = &create.name.value;
        if create.if_not_exists && self.catalog.index(name).is_some() {
            return Ok(Outcome::Done(format!("index `{name}` exists already")));
        }
        let pipeline = self.index(create)?;
        let columns = create.columns.iter().map(|column| column.value.clone()).collect();
        // As the table is called, which the statement may spell otherwise.
        let table = self.catalog.table(&create.table.value).map_or(&create.table.value, |table| &table.name).clone();
        self.catalog.add_index(IndexDef { name: name.clone(), table, columns }).map_err(at(create.name.span))?;
        Ok(Outcome::Index(pipeline))
    }

    fn index(&self, create: &CreateIndex) -> Result<Pipeline> {
        let pipeline = planner::plan_index(&self.catalog, &self.settings.pipeline(), create)?;
        Ok(Pipeline { name: index_pipeline(&create.name.value), ..pipeline })
    }

    fn drop(&mut self, kind: ObjectKind, name: &Name, if_exists: bool) -> Result<Outcome> {
        let (what, dropped) = match kind {
            ObjectKind::Table => ("table", self.catalog.drop_table(&name.value).map_err(at(name.span))?),
            ObjectKind::View => ("view", self.catalog.drop_view(&name.value)),
            ObjectKind::Function => ("function", self.catalog.drop_function(&name.value)),
            ObjectKind::Index => {
                let (declared, place) = (self.catalog.drop_index(&name.value), Place::sql(name.span.0, name.span.1));
                return Ok(Outcome::DropIndex(DropIndex { name: name.value.clone(), declared, if_exists, place }));
            }
        };
        if dropped {
            return Ok(Outcome::Done(format!("{what} `{}` dropped", name.value)));
        }
        if if_exists {
            return Ok(Outcome::Done(format!("there is no {what} `{}`", name.value)));
        }
        Err(self.nothing_to_drop(kind, &name.value)).map_err(at(name.span))
    }

    fn nothing_to_drop(&self, kind: ObjectKind, name: &str) -> Error {
        match kind {
            ObjectKind::Table if self.catalog.view(name).is_some() => {
                Error::input("E010", format!("`{name}` is a view")).with_hint("DROP VIEW it")
            }
            ObjectKind::View if self.catalog.table(name).is_some() => {
                Error::input("E010", format!("`{name}` is a table")).with_hint("DROP TABLE it")
            }
            ObjectKind::Table | ObjectKind::View => self.catalog.unknown_relation(name),
            ObjectKind::Function => Error::input("E011", format!("the session has no function `{name}`")),
            ObjectKind::Index => Error::input("E026", format!("there is no index `{name}`")),
        }
    }

    fn execute_set(&mut self, key: &Name, value: &Name) -> Result<Outcome> {
        let note = self.settings.set(&key.value, &value.value).map_err(|error| match error.code() {
            "E018" => at(key.span)(error),
            _ => at(value.span)(error),
        })?;
        let note = note.map_or_else(String::new, |note| format!(" (without effect: {note})"));
        Ok(Outcome::Done(format!("'{}' = '{}'{note}", key.value, value.value)))
    }

    fn reset(&mut self, key: Option<&Name>) -> Result<Outcome> {
        match key {
            Some(key) => self.settings.reset(&key.value).map_err(at(key.span))?,
            None => self.settings.reset_all(),
        }
        Ok(Outcome::Done(key.map_or_else(|| "all settings reset".to_owned(), |key| format!("'{}' reset", key.value))))
    }

    fn insert(&self, inserts: &[InsertStatement]) -> Result<Pipeline> {
        planner::plan_insert(&self.catalog, &self.settings.pipeline(), inserts).map(|pipeline| self.named(pipeline))
    }

    fn query(&self, query: &Query) -> Result<Pipeline> {
        planner::plan_query(&self.catalog, &self.settings.pipeline(), query).map(|pipeline| self.named(pipeline))
    }

    fn online(&self, query: &Query) -> Result<Pipeline> {
        let pipeline = planner::plan_online(&self.catalog, &self.settings.pipeline(), self.settings.online(), query)?;
        Ok(self.named(pipeline))
    }

    fn named(&self, mut pipeline: Pipeline) -> Pipeline {
        if let Some(name) = self.settings.pipeline_name() {
            name.clone_into(&mut pipeline.name);
        }
        pipeline
    }

    fn explain(&self, what: &Explain) -> Result<String> {
        let pipeline = match &what.statement {
            Statement::Insert(inserts) => self.insert(inserts)?,
            Statement::Query(query) => self.query(query)?,
            Statement::Online(query) => self.online(query)?,
            Statement::CreateIndex(create) => self.index(create)?,
            _ => return Err(Error::input("E001", "only queries and INSERTs can be explained")),
        };
        let options = explain::Options { cost: what.cost, changelog: what.changelog, json: what.json };
        Ok(explain::explain(&pipeline, &options))
    }
}

/// Puts an error that has no place yet at these bytes of the script.
/// Where a statement has what an error without a place is about: the name that its message quotes first, if the statement has
/// that once; or else all of it.
fn place_in_statement(error: &Error, statement: &ParsedStatement) -> ByteSpan {
    let (start, end) = statement.span;
    let Some(name) = error.message().split('`').nth(1).filter(|name| !name.is_empty()) else { return (start, end) };
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = statement.text.as_bytes();
    let alone = |at: &usize| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        !is_word(before) && !is_word(bytes.get(at + name.len()))
    };
    let mut found = statement.text.match_indices(name).map(|(at, _)| at).filter(alone);
    match (found.next(), found.next()) {
        (Some(at), None) => (start + at, start + at + name.len()),
        _ => (start, end),
    }
}

fn at(span: ByteSpan) -> impl FnOnce(Error) -> Error {
    move |error| error.at(Place::sql(span.0, span.1))
}

/// A view's list of columns must name all of them.
fn check_column_count(view: &ViewDef, pipeline: &Pipeline) -> Result<()> {
    let Some(columns) = &view.columns else { return Ok(()) };
    let found = pipeline.nodes.last().map_or(0, |sink| sink.schema.fields().len());
    if found == columns.len() {
        return Ok(());
    }
    Err(Error::input("E021", format!("view `{}` names {} columns, its query has {found}", view.name, columns.len())))
}

#[cfg(test)]
mod tests;
