//! `SHOW`, `DESCRIBE` and `SET` without arguments: what a session knows, as rows.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use fleuve_base::{Error, Place, Result};
use sqlparser::ast::Query;

use crate::catalog::{Catalog, ColumnDef, ColumnKind, Relation, TableDef, ViewDef};
use crate::parser::statement::{Name, Show};
use crate::parser::{Statement, expr_text, parse_without_places};
use crate::planner;
use crate::settings::{KEYS, Kind, SessionSettings};
use crate::types;

/// The rows of a SHOW statement.
pub(crate) fn show(catalog: &Catalog, settings: &SessionSettings, what: &Show) -> Result<RecordBatch> {
    match what {
        Show::Tables => {
            let tables = catalog.tables().map(|table| table.name.as_str());
            let mut names: Vec<&str> = tables.chain(catalog.views().map(|view| view.name.as_str())).collect();
            names.sort_unstable();
            texts(&[("table name", names.into_iter().map(Some).collect())])
        }
        Show::Views => texts(&[("view name", catalog.views().map(|view| Some(view.name.as_str())).collect())]),
        Show::Functions => functions(catalog),
        Show::Indexes => {
            let columns: Vec<String> = catalog.indexes().map(|index| index.columns.join(", ")).collect();
            texts(&[
                ("index name", catalog.indexes().map(|index| Some(index.name.as_str())).collect()),
                ("table name", catalog.indexes().map(|index| Some(index.table.as_str())).collect()),
                ("columns", columns.iter().map(|columns| Some(columns.as_str())).collect()),
            ])
        }
        Show::Settings => all_settings(settings),
        Show::CreateTable(name) => match relation(catalog, name)? {
            Relation::Table(table) => texts(&[("create table", vec![Some(&create_table(table))])]),
            Relation::View(_) => Err(misused(name, "is a view", "SHOW CREATE VIEW it")),
        },
        Show::CreateView(name) => match relation(catalog, name)? {
            Relation::View(view) => texts(&[("create view", vec![Some(&create_view(view))])]),
            Relation::Table(_) => Err(misused(name, "is a table", "SHOW CREATE TABLE it")),
        },
        Show::Columns(name) => describe(catalog, settings, relation(catalog, name)?),
    }
}

fn relation<'c>(catalog: &'c Catalog, name: &Name) -> Result<Relation<'c>> {
    catalog.expect_relation(&name.value).map_err(|error| error.at(Place::sql(name.span.0, name.span.1)))
}

fn misused(name: &Name, why: &str, hint: &str) -> Error {
    let error = Error::input("E010", format!("`{}` {why}", name.value)).with_hint(hint);
    error.at(Place::sql(name.span.0, name.span.1))
}

/// A batch of text columns.
fn texts(columns: &[(&str, Vec<Option<&str>>)]) -> Result<RecordBatch> {
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let arrays = columns.iter().map(|(_, values)| Arc::new(StringArray::from(values.clone())) as ArrayRef).collect();
    batch(fields, arrays)
}

fn batch(fields: Vec<Field>, arrays: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|error| Error::internal(format!("the columns of SHOW differ in length: {error}")))
}

fn functions(catalog: &Catalog) -> Result<RecordBatch> {
    let declared: Vec<String> = catalog.functions().map(signature).collect();
    let built_in = fleuve_functions::registry::documentation();
    let names =
        catalog.functions().map(|function| function.name.as_str()).chain(built_in.iter().map(|f| f.name.as_str()));
    let signatures = declared.iter().map(String::as_str).chain(built_in.iter().map(|f| f.signature.as_str()));
    texts(&[("function name", names.map(Some).collect()), ("signature", signatures.map(Some).collect())])
}

fn signature(function: &crate::catalog::FunctionDef) -> String {
    let params: Vec<String> =
        function.params.iter().map(|(name, data_type)| format!("{name} {}", types::display(data_type))).collect();
    format!("{}({}) RETURNS {}", function.name, params.join(", "), types::display(&function.returns))
}

fn all_settings(settings: &SessionSettings) -> Result<RecordBatch> {
    let shown: Vec<_> = KEYS
        .iter()
        .filter(|key| !matches!(key.kind, Kind::Ignored(_)) || settings.get(key.name).is_some())
        .map(|key| (key.name, settings.get(key.name), key.about))
        .collect();
    texts(&[
        ("key", shown.iter().map(|(name, ..)| Some(*name)).collect()),
        ("value", shown.iter().map(|(_, value, _)| *value).collect()),
        ("about", shown.iter().map(|(.., about)| Some(*about)).collect()),
    ])
}

/// `SELECT * FROM name`, without places.
pub(crate) fn query_of(name: &str) -> Result<Box<Query>> {
    match parse_without_places(&format!("SELECT * FROM {}", quoted(name)))? {
        Statement::Query(query) => Ok(query),
        _ => Err(Error::internal("a SELECT parses as another statement")),
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The columns of DESCRIBE, as Flink has them: name, type, null, key, extras, watermark.
fn describe(catalog: &Catalog, settings: &SessionSettings, relation: Relation<'_>) -> Result<RecordBatch> {
    let lines: Vec<Line> = match relation {
        Relation::View(view) => {
            planned_columns(catalog, settings, &view.name)?.iter().map(|field| Line::of(field)).collect()
        }
        Relation::Table(table) => {
            let planned = match table.columns.iter().all(|column| column.data_type.is_some()) {
                true => vec![],
                false => planned_columns(catalog, settings, &table.name)?,
            };
            let planned: HashMap<&str, &Field> =
                planned.iter().map(|field| (field.name().as_str(), field.as_ref())).collect();
            table.columns.iter().map(|column| Line::of_column(table, column, &planned)).collect()
        }
    };
    let column = |name: &str, value: fn(&Line) -> Option<&str>| {
        let values: StringArray = lines.iter().map(value).collect();
        (Field::new(name, DataType::Utf8, true), Arc::new(values) as ArrayRef)
    };
    let nulls: BooleanArray = lines.iter().map(|line| Some(line.nullable)).collect();
    let (fields, arrays) = [
        column("name", |line| Some(&line.name)),
        column("type", |line| Some(&line.data_type)),
        (Field::new("null", DataType::Boolean, true), Arc::new(nulls)),
        column("key", |line| line.key.as_deref()),
        column("extras", |line| line.extras.as_deref()),
        column("watermark", |line| line.watermark.as_deref()),
    ]
    .into_iter()
    .unzip();
    batch(fields, arrays)
}

/// The columns of `SELECT * FROM name`.
fn planned_columns(catalog: &Catalog, settings: &SessionSettings, name: &str) -> Result<Vec<Arc<Field>>> {
    let pipeline = planner::plan_query(catalog, &settings.pipeline(), &*query_of(name)?)?;
    Ok(pipeline.nodes.last().map_or_else(Vec::new, |sink| sink.schema.fields().iter().cloned().collect()))
}

/// One line of DESCRIBE.
struct Line {
    name: String,
    data_type: String,
    nullable: bool,
    key: Option<String>,
    extras: Option<String>,
    watermark: Option<String>,
}

impl Line {
    fn of(field: &Field) -> Self {
        let data_type = types::display(field.data_type());
        Line {
            name: field.name().clone(),
            data_type,
            nullable: field.is_nullable(),
            key: None,
            extras: None,
            watermark: None,
        }
    }

    fn of_column(table: &TableDef, column: &ColumnDef, planned: &HashMap<&str, &Field>) -> Self {
        let planned = planned.get(column.name.as_str());
        let data_type = column.data_type.as_ref().or_else(|| planned.map(|field| field.data_type()));
        let watermark = table.watermark.as_ref().filter(|watermark| watermark.column == column.name);
        let key = table.primary_key.contains(&column.name);
        Line {
            name: column.name.clone(),
            data_type: data_type.map_or_else(String::new, types::display),
            nullable: column.nullable && planned.is_none_or(|field| field.is_nullable()),
            key: key.then(|| format!("PRI({})", table.primary_key.join(", "))),
            extras: extras(column),
            watermark: watermark.map(|watermark| expr_text(&watermark.expr)),
        }
    }
}

/// How a column that is not physical comes about.
fn extras(column: &ColumnDef) -> Option<String> {
    match &column.kind {
        ColumnKind::Physical => None,
        ColumnKind::Computed(expr) => Some(format!("AS {}", expr_text(expr))),
        ColumnKind::Metadata { key, virtual_ } => {
            let from = if *key == column.name { String::new() } else { format!(" FROM {}", literal(key)) };
            Some(format!("METADATA{from}{}", if *virtual_ { " VIRTUAL" } else { "" }))
        }
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The statement that creates a table.
pub(crate) fn create_table(table: &TableDef) -> String {
    let mut elements: Vec<String> = table.columns.iter().map(column_text).collect();
    if let Some(watermark) = &table.watermark {
        elements.push(format!("WATERMARK FOR {} AS {}", quoted(&watermark.column), expr_text(&watermark.expr)));
    }
    if !table.primary_key.is_empty() {
        elements.push(format!("PRIMARY KEY ({}) NOT ENFORCED", names(&table.primary_key)));
    }
    let mut text = format!("CREATE TABLE {} (\n  {}\n)", quoted(&table.name), elements.join(",\n  "));
    if let Some(comment) = &table.comment {
        text.push_str(&format!(" COMMENT {}", literal(comment)));
    }
    if !table.partitioned_by.is_empty() {
        text.push_str(&format!(" PARTITIONED BY ({})", names(&table.partitioned_by)));
    }
    if !table.options.0.is_empty() {
        let options: Vec<String> =
            table.options.0.iter().map(|(key, value)| format!("{} = {}", literal(key), literal(value))).collect();
        text.push_str(&format!(" WITH (\n  {}\n)", options.join(",\n  ")));
    }
    text
}

fn column_text(column: &ColumnDef) -> String {
    let data_type = match &column.data_type {
        Some(data_type) => format!(" {}{}", types::display(data_type), if column.nullable { "" } else { " NOT NULL" }),
        None => String::new(),
    };
    let extras = extras(column).map_or_else(String::new, |extras| format!(" {extras}"));
    let comment = column.comment.as_ref().map_or_else(String::new, |comment| format!(" COMMENT {}", literal(comment)));
    format!("{}{data_type}{extras}{comment}", quoted(&column.name))
}

fn names(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// The statement that creates a view.
fn create_view(view: &ViewDef) -> String {
    let columns = view.columns.as_ref().map_or_else(String::new, |columns| format!(" ({})", names(columns)));
    let comment = view.comment.as_ref().map_or_else(String::new, |comment| format!(" COMMENT {}", literal(comment)));
    format!("CREATE VIEW {}{columns}{comment} AS\n{}", quoted(&view.name), view.text)
}
