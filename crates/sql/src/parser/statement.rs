//! The statements of the dialect.

use fleuve_plan::Control;
use sqlparser::ast;

use crate::catalog::{FunctionDef, TableDef, ViewDef};

/// Byte positions `start..end` in the whole script.
pub type ByteSpan = (usize, usize);

/// A statement and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedStatement {
    /// The statement.
    pub statement: Statement,
    /// From its first byte to the last before its `;`.
    pub span: ByteSpan,
    /// Its text as written.
    pub text: String,
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `CREATE [TEMPORARY] TABLE`.
    CreateTable(Box<CreateTable>),
    /// `CREATE [OR REPLACE] [TEMPORARY] VIEW`.
    CreateView(Box<CreateView>),
    /// `CREATE [TEMPORARY [SYSTEM]] FUNCTION … LANGUAGE SQL`.
    CreateFunction(Box<CreateFunction>),
    /// `CREATE INDEX`.
    CreateIndex(Box<CreateIndex>),
    /// `DROP [TEMPORARY] TABLE | VIEW | FUNCTION | INDEX [IF EXISTS] name`.
    Drop {
        /// What is dropped.
        kind: ObjectKind,
        /// Its name.
        name: Name,
        /// No error if there is none.
        if_exists: bool,
    },
    /// `INSERT INTO`, or a statement set: all of it becomes one pipeline.
    Insert(Vec<InsertStatement>),
    /// `SELECT`, `WITH`, `VALUES`.
    Query(Box<ast::Query>),
    /// `SELECT ONLINE …`, without that word.
    Online(Box<ast::Query>),
    /// `SET RATE OF group = rate`, `STOP GROUP group`.
    Control(Control),
    /// `EXPLAIN`.
    Explain(Box<Explain>),
    /// `SET 'key' = 'value'`.
    Set {
        /// The key, and where it stands.
        key: Name,
        /// The value, and where it stands.
        value: Name,
    },
    /// `RESET 'key'`, or `RESET` for all keys.
    Reset(Option<Name>),
    /// `SHOW …`, `DESCRIBE …` and `SET` without arguments.
    Show(Show),
}

/// A name or a text in the script, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The text, unquoted.
    pub value: String,
    /// Its place.
    pub span: ByteSpan,
}

/// What a session can drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A table.
    Table,
    /// A view.
    View,
    /// A function.
    Function,
    /// An index, with what it has stored.
    Index,
}

/// `CREATE TABLE` as written.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    /// The table without what LIKE brings.
    pub table: TableDef,
    /// `LIKE other (…)`.
    pub like: Option<Like>,
    /// No error if it exists.
    pub if_not_exists: bool,
    /// Place of the name.
    pub name_span: ByteSpan,
}

/// `LIKE table [(INCLUDING | EXCLUDING | OVERWRITING …)]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Like {
    /// The table whose definition is taken over.
    pub table: Name,
    /// What is taken over.
    pub features: Vec<(LikeFeature, LikeMode)>,
}

/// A part of a table's definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LikeFeature {
    /// All of it.
    All,
    /// The primary key.
    Constraints,
    /// `PARTITIONED BY`. (Flink also knows DISTRIBUTION, which no table has here.)
    Partitions,
    /// Computed columns.
    Generated,
    /// Metadata columns.
    Metadata,
    /// `WITH (…)`.
    Options,
    /// The watermark.
    Watermarks,
}

/// What LIKE does with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LikeMode {
    /// Take it over; a part that is declared twice is an error.
    Including,
    /// Leave it out.
    Excluding,
    /// Take it over; what the new table declares wins.
    Overwriting,
}

/// `CREATE VIEW` as written.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateView {
    /// The view.
    pub view: ViewDef,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// No error if it exists.
    pub if_not_exists: bool,
    /// Place of the name.
    pub name_span: ByteSpan,
}

/// `CREATE FUNCTION` as written.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateFunction {
    /// The function.
    pub function: FunctionDef,
    /// No error if it exists.
    pub if_not_exists: bool,
    /// Place of the name.
    pub name_span: ByteSpan,
}

/// `CREATE INDEX [IF NOT EXISTS] name ON table (column, …)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateIndex {
    /// The index's name.
    pub name: Name,
    /// The table's name.
    pub table: Name,
    /// The columns that it is ordered by, most significant first.
    pub columns: Vec<Name>,
    /// No error if it exists.
    pub if_not_exists: bool,
}

/// `INSERT INTO table [(columns)] query`.
#[derive(Debug, Clone, PartialEq)]
pub struct InsertStatement {
    /// The table written to.
    pub table: Name,
    /// The columns written, in the query's order; empty is all writable ones.
    pub columns: Vec<Name>,
    /// The rows; `VALUES` is a query, too.
    pub query: Box<ast::Query>,
    /// Place of the statement.
    pub span: ByteSpan,
}

/// `EXPLAIN [details] [PLAN FOR] statement`.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// What is explained: a query, an INSERT, a statement set or CREATE INDEX.
    pub statement: Statement,
    /// `ESTIMATED_COST`.
    pub cost: bool,
    /// `CHANGELOG_MODE`.
    pub changelog: bool,
    /// `JSON_EXECUTION_PLAN`.
    pub json: bool,
}

/// What SHOW lists.
#[derive(Debug, Clone, PartialEq)]
pub enum Show {
    /// Tables and views.
    Tables,
    /// Views.
    Views,
    /// Functions.
    Functions,
    /// Indexes.
    Indexes,
    /// The statement that would create a table.
    CreateTable(Name),
    /// The statement that would create a view.
    CreateView(Name),
    /// Columns of a table or view: `DESCRIBE t`, `SHOW COLUMNS FROM t`.
    Columns(Name),
    /// All settings: `SET`.
    Settings,
}
