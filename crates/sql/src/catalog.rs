//! What a session knows by name: tables, views, SQL functions and indexes.
//!
//! Names are case-sensitive, as in Flink. A lookup tries the exact name first; if there is none and exactly one name
//! agrees when case is ignored, it takes that one.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use fleuve_base::{Error, Result, nearest};
use fleuve_plan::TableOptions;
use sqlparser::ast;

/// Tables, views and functions of one session.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    tables: BTreeMap<String, TableDef>,
    views: BTreeMap<String, ViewDef>,
    functions: BTreeMap<String, FunctionDef>,
    indexes: BTreeMap<String, IndexDef>,
}

/// `CREATE INDEX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDef {
    /// The name as written.
    pub name: String,
    /// The table's name.
    pub table: String,
    /// The columns that it is ordered by.
    pub columns: Vec<String>,
}

/// `CREATE TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct TableDef {
    /// The name as written.
    pub name: String,
    /// All columns in declared order.
    pub columns: Vec<ColumnDef>,
    /// `WATERMARK FOR column AS expr`.
    pub watermark: Option<WatermarkDef>,
    /// `PRIMARY KEY (…) NOT ENFORCED`: column names, which exist and are physical.
    pub primary_key: Vec<String>,
    /// `PARTITIONED BY (…)`: column names, which exist.
    pub partitioned_by: Vec<String>,
    /// `WITH (…)`, keys in lower case.
    pub options: TableOptions,
    /// `COMMENT '…'`.
    pub comment: Option<String>,
    /// Byte positions of the statement in the script that created it.
    pub span: (usize, usize),
}

/// The event-time column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct WatermarkDef {
    /// The column; it exists.
    pub column: String,
    /// The watermark of a row.
    pub expr: ast::Expr,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    /// The name as written.
    pub name: String,
    /// The type; `None` of a computed column, whose expression decides.
    pub data_type: Option<DataType>,
    /// False after `NOT NULL` and of primary keys.
    pub nullable: bool,
    /// Where its values come from.
    pub kind: ColumnKind,
    /// `COMMENT '…'`.
    pub comment: Option<String>,
}

/// Where a column's values come from.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnKind {
    /// The data.
    Physical,
    /// The record's surroundings.
    Metadata {
        /// The metadata key: `FROM 'key'`, or the column's name.
        key: String,
        /// `VIRTUAL`: left out when the table is written.
        virtual_: bool,
    },
    /// An expression over the other columns.
    Computed(Box<ast::Expr>),
}

/// `CREATE VIEW`.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewDef {
    /// The name as written.
    pub name: String,
    /// Names given to the query's columns.
    pub columns: Option<Vec<String>>,
    /// The query. In a catalog its spans are empty, since its script may be gone when the view is used.
    pub query: Box<ast::Query>,
    /// The query as written.
    pub text: String,
    /// `COMMENT '…'`.
    pub comment: Option<String>,
}

/// `CREATE FUNCTION … LANGUAGE SQL AS '…'`.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionDef {
    /// The name as written.
    pub name: String,
    /// Names and types of the parameters.
    pub params: Vec<(String, DataType)>,
    /// The declared result type; the body is cast to it.
    pub returns: DataType,
    /// An expression over the parameters. In a catalog its spans are empty.
    pub body: ast::Expr,
    /// The body as written, unquoted.
    pub text: String,
}

/// What a name in FROM may mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Relation<'a> {
    /// A table.
    Table(&'a TableDef),
    /// A view.
    View(&'a ViewDef),
}

impl TableDef {
    /// The column of this exact name.
    pub fn column(&self, name: &str) -> Option<&ColumnDef> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that an INSERT writes: physical ones and metadata columns that are not virtual.
    pub fn writable_columns(&self) -> impl Iterator<Item = &ColumnDef> {
        self.columns.iter().filter(|column| match column.kind {
            ColumnKind::Physical => true,
            ColumnKind::Metadata { virtual_, .. } => !virtual_,
            ColumnKind::Computed(_) => false,
        })
    }

    /// The written columns that are metadata: positions among the [writable](Self::writable_columns) ones, and keys.
    pub fn written_metadata(&self) -> Vec<(usize, String)> {
        let numbered = self.writable_columns().enumerate();
        let metadata = numbered.filter_map(|(position, column)| match &column.kind {
            ColumnKind::Metadata { key, .. } => Some((position, key.clone())),
            _ => None,
        });
        metadata.collect()
    }
}

impl Catalog {
    /// A catalog without any names.
    pub fn new() -> Self {
        Self::default()
    }

    /// The table or view of this name.
    pub fn relation(&self, name: &str) -> Option<Relation<'_>> {
        let exact = self.tables.get(name).map(Relation::Table).or_else(|| self.views.get(name).map(Relation::View));
        exact.or_else(|| self.relation_ignoring_case(name))
    }

    fn relation_ignoring_case(&self, name: &str) -> Option<Relation<'_>> {
        match (find_ignoring_case(&self.tables, name), find_ignoring_case(&self.views, name)) {
            (Some(table), None) => Some(Relation::Table(table)),
            (None, Some(view)) => Some(Relation::View(view)),
            _ => None,
        }
    }

    /// The table or view of this name, or an error that suggests the nearest ones.
    pub fn expect_relation(&self, name: &str) -> Result<Relation<'_>> {
        self.relation(name).ok_or_else(|| self.unknown_relation(name))
    }

    /// Whether a table or view has exactly this name.
    pub fn relation_named(&self, name: &str) -> bool {
        self.tables.contains_key(name) || self.views.contains_key(name)
    }

    /// The table of this name (not a view).
    pub fn table(&self, name: &str) -> Option<&TableDef> {
        self.tables.get(name).or_else(|| find_ignoring_case(&self.tables, name))
    }

    /// The view of this name (not a table).
    pub fn view(&self, name: &str) -> Option<&ViewDef> {
        self.views.get(name).or_else(|| find_ignoring_case(&self.views, name))
    }

    /// The SQL function of this name; functions' names ignore case.
    pub fn function(&self, name: &str) -> Option<&FunctionDef> {
        self.functions.get(&name.to_ascii_lowercase())
    }

    /// All tables by name.
    pub fn tables(&self) -> impl Iterator<Item = &TableDef> {
        self.tables.values()
    }

    /// All views by name.
    pub fn views(&self) -> impl Iterator<Item = &ViewDef> {
        self.views.values()
    }

    /// All SQL functions by name.
    pub fn functions(&self) -> impl Iterator<Item = &FunctionDef> {
        self.functions.values()
    }

    /// Adds a table; the name must be free among tables and views.
    pub fn add_table(&mut self, table: TableDef) -> Result<()> {
        self.check_free(&table.name)?;
        self.tables.insert(table.name.clone(), table);
        Ok(())
    }

    /// Adds a view; with `replace` it takes the place of a view (not a table) of the same name.
    pub fn add_view(&mut self, view: ViewDef, replace: bool) -> Result<()> {
        if !(replace && self.views.contains_key(&view.name)) {
            self.check_free(&view.name)?;
        }
        self.views.insert(view.name.clone(), view);
        Ok(())
    }

    /// Adds a function; the name must be free among the session's functions.
    pub fn add_function(&mut self, function: FunctionDef) -> Result<()> {
        let name = function.name.to_ascii_lowercase();
        if self.functions.contains_key(&name) {
            return Err(already_exists("function", &function.name));
        }
        self.functions.insert(name, function);
        Ok(())
    }

    /// Adds an index; the name must be free among indexes.
    pub fn add_index(&mut self, index: IndexDef) -> Result<()> {
        if self.indexes.contains_key(&index.name) {
            return Err(already_exists("index", &index.name));
        }
        self.indexes.insert(index.name.clone(), index);
        Ok(())
    }

    /// The index of exactly this name.
    pub fn index(&self, name: &str) -> Option<&IndexDef> {
        self.indexes.get(name)
    }

    /// All indexes by name.
    pub fn indexes(&self) -> impl Iterator<Item = &IndexDef> {
        self.indexes.values()
    }

    /// Removes an index.
    pub fn drop_index(&mut self, name: &str) -> bool {
        self.indexes.remove(name).is_some()
    }

    /// Removes a table of exactly this name; whether there was one. It must have no index.
    pub fn drop_table(&mut self, name: &str) -> Result<bool> {
        match self.indexes.values().find(|index| index.table == name) {
            Some(index) if self.tables.contains_key(name) => {
                let text = format!("table `{name}` has the index `{}`", index.name);
                Err(Error::input("E027", text).with_hint(format!("DROP INDEX {} first", index.name)))
            }
            _ => Ok(self.tables.remove(name).is_some()),
        }
    }

    /// Removes a view of exactly this name.
    pub fn drop_view(&mut self, name: &str) -> bool {
        self.views.remove(name).is_some()
    }

    /// Removes a function.
    pub fn drop_function(&mut self, name: &str) -> bool {
        self.functions.remove(&name.to_ascii_lowercase()).is_some()
    }

    /// The error for a name that no table or view has.
    pub fn unknown_relation(&self, name: &str) -> Error {
        let names = || self.tables.keys().chain(self.views.keys()).map(String::as_str);
        let error = Error::input("E010", format!("unknown table or view `{name}`"));
        let error = match nearest(name, names()) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint("declare it with CREATE TABLE or CREATE VIEW before its first use"),
        };
        match names().take(NAMES_SHOWN_MAX).collect::<Vec<_>>() {
            known if known.is_empty() => error.with_detail("no table or view is declared yet"),
            known => error.with_detail(format!("known tables and views: {}", known.join(", "))),
        }
    }

    fn check_free(&self, name: &str) -> Result<()> {
        if self.tables.contains_key(name) {
            return Err(already_exists("table", name));
        }
        if self.views.contains_key(name) {
            return Err(already_exists("view", name));
        }
        Ok(())
    }
}

/// Names that an error lists at most.
const NAMES_SHOWN_MAX: usize = 20;

fn already_exists(what: &str, name: &str) -> Error {
    Error::input("E015", format!("{what} `{name}` already exists"))
        .with_hint(format!("DROP {} it first, or add IF NOT EXISTS", what.to_ascii_uppercase()))
}

/// The one value whose key agrees with `name` when case is ignored.
fn find_ignoring_case<'a, T>(map: &'a BTreeMap<String, T>, name: &str) -> Option<&'a T> {
    let mut found = map.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}
