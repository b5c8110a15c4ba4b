//! INSERT: the query's columns against the table's.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use fleuve_base::{Error, Place, Result, nearest};
use fleuve_plan::{Changelog, Expr, Literal, Operator, SinkSpec, TableOptions, Value};

use super::lower::Lowering;
use super::relation::{GraphNode, Relation, Step};
use super::table::is_upsert;
use crate::catalog::{ColumnDef, TableDef};
use crate::parser::{InsertStatement, Name};
use crate::types::display;

/// The connector that hands rows to whoever asked.
pub const RESULT: &str = "$result";

impl Lowering {
    /// Ends a query in a table.
    pub fn insert(&mut self, relation: Relation, table: &TableDef, insert: &InsertStatement) -> Result<usize> {
        let place = Place::sql(insert.table.span.0, insert.table.span.1);
        let relation = self.plain(relation)?;
        let relation = write_columns(relation, table, &insert.columns).map_err(|error| error.at(place.clone()))?;
        let mut spec = SinkSpec {
            table: table.name.clone(),
            options: table.options.clone(),
            schema: Arc::new(Schema::new(relation.fields.clone())),
            primary_key: positions(&relation.fields, &table.primary_key),
            partition_by: positions(&relation.fields, &table.partitioned_by),
            metadata: table.written_metadata(),
            changelog: self.graph.changelog(&relation) == Changelog::Retract,
            upsert_key: None,
        };
        if spec.changelog {
            check_takes_changelog(&spec).map_err(|error| error.at(place))?;
        }
        let input = self.graph.materialize(relation)?;
        spec.upsert_key.clone_from(&self.graph.nodes[input].upsert_key);
        Ok(self.add_sink(spec, input))
    }

    /// Ends a query in its asker.
    pub fn result(&mut self, relation: Relation) -> Result<usize> {
        let relation = self.plain(relation)?;
        let options = BTreeMap::from([("connector".to_owned(), RESULT.to_owned())]);
        let (fields, changelog) = (relation.fields.clone(), self.graph.changelog(&relation) == Changelog::Retract);
        let input = self.graph.materialize(relation)?;
        let spec = SinkSpec {
            table: RESULT.to_owned(),
            options: TableOptions(options),
            schema: Arc::new(Schema::new(fields)),
            primary_key: vec![],
            partition_by: vec![],
            metadata: vec![],
            changelog,
            upsert_key: self.graph.nodes[input].upsert_key.clone(),
        };
        Ok(self.add_sink(spec, input))
    }

    /// A relation whose window function, if one is pending, is carried out.
    fn plain(&mut self, relation: Relation) -> Result<Relation> {
        if relation.pending.is_some() { self.graph.assign_window(relation) } else { Ok(relation) }
    }

    pub(super) fn add_sink(&mut self, spec: SinkSpec, input: usize) -> usize {
        let node = &self.graph.nodes[input];
        let fields = spec.schema.fields().iter().cloned().collect();
        let node = GraphNode {
            step: Step::Operator(Operator::Sink(Box::new(spec))),
            inputs: vec![input],
            fields,
            ..node.clone()
        };
        self.graph.add(node)
    }
}

/// The table's writable columns, in its order and with its types, from the query's columns.
fn write_columns(relation: Relation, table: &TableDef, names: &[Name]) -> Result<Relation> {
    let writable: Vec<&ColumnDef> = table.writable_columns().collect();
    let targets: Vec<&ColumnDef> = match names {
        [] => writable.clone(),
        names => names.iter().map(|name| target(name, table, &writable)).collect::<Result<_>>()?,
    };
    if targets.len() != relation.columns.len() {
        return Err(wrong_count(&targets, &relation.fields, table));
    }
    let (mut columns, mut fields) = (vec![], vec![]);
    for column in &writable {
        let data_type = column.data_type.clone().ok_or_else(|| Error::internal("a writable column has no type"))?;
        let source = targets.iter().position(|target| target.name == column.name);
        columns.push(match source {
            Some(index) => stored(relation.columns[index].clone(), &relation.fields[index], column, &data_type, table)?,
            None if !column.nullable => {
                return Err(Error::input(
                    "E020",
                    format!("column `{}` of `{}` is NOT NULL and must be written", column.name, table.name),
                ));
            }
            None => Expr::Literal(Literal { data_type: data_type.clone(), value: Value::Null }),
        });
        fields.push(Arc::new(Field::new(&column.name, data_type, column.nullable)));
    }
    Ok(Relation { columns, fields, ..relation })
}

fn target<'t>(name: &Name, table: &TableDef, writable: &[&'t ColumnDef]) -> Result<&'t ColumnDef> {
    let found = writable.iter().find(|column| column.name == name.value);
    found.copied().ok_or_else(|| {
        let error = Error::input("E012", format!("unknown column `{}` in `{}`", name.value, table.name))
            .at(Place::sql(name.span.0, name.span.1));
        match nearest(&name.value, writable.iter().map(|column| column.name.as_str())) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_detail(format!("columns that can be written: {}", names_of(writable))),
        }
    })
}

fn names_of(columns: &[&ColumnDef]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn wrong_count(targets: &[&ColumnDef], fields: &[FieldRef], table: &TableDef) -> Error {
    let text = format!("`{}` takes {} columns here, but the query yields {}", table.name, targets.len(), fields.len());
    let query = fields.iter().map(|field| format!("{} {}", field.name(), display(field.data_type())));
    let query = query.collect::<Vec<_>>().join(", ");
    Error::input("E021", text)
        .with_detail(format!("table: {}; query: {query}", names_of(targets)))
        .with_hint(format!("name the columns that are written: INSERT INTO {} (…) SELECT …", table.name))
}

/// A value as the column stores it.
fn stored(expr: Expr, field: &FieldRef, column: &ColumnDef, wanted: &DataType, table: &TableDef) -> Result<Expr> {
    let own = field.data_type();
    if own == wanted {
        return Ok(expr);
    }
    if !is_implicit(own, wanted) {
        let text = format!(
            "column `{}` of `{}` is {}, but the query yields {}",
            column.name,
            table.name,
            display(wanted),
            display(own)
        );
        return Err(
            Error::input("E020", text).with_hint(format!("convert it in the query: CAST(… AS {})", display(wanted)))
        );
    }
    Ok(super::scan::recast(expr, wanted))
}

/// Whether Flink converts without being told to (`LogicalTypeCasts`, the implicit part).
fn is_implicit(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, List, Map, Null, Struct, Time32, Timestamp,
    };
    let width = |data_type: &DataType| match data_type {
        Int8 => Some(1),
        Int16 => Some(2),
        Int32 => Some(4),
        Int64 => Some(8),
        _ => None,
    };
    match (from, to) {
        (Null, _) => true,
        (a, b) if a == b => true,
        (a, b) if width(a).is_some() && width(b).is_some() => width(a) <= width(b),
        (a, Decimal128(..) | Float64) => a.is_numeric(),
        (a, Float32) => width(a).is_some() || matches!(a, Decimal128(..)),
        (Timestamp(..), Timestamp(..) | Date32 | Time32(_)) | (Date32, Timestamp(..)) => true,
        (Struct(a), Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_implicit(a.data_type(), b.data_type()))
        }
        (List(a), List(b)) => is_implicit(a.data_type(), b.data_type()),
        (Map(a, _), Map(b, _)) => is_implicit(a.data_type(), b.data_type()),
        _ => false,
    }
}

fn positions(fields: &[FieldRef], names: &[String]) -> Vec<usize> {
    names.iter().filter_map(|name| fields.iter().position(|field| field.name() == name)).collect()
}

/// Refuses updates where the format has no way to tell them from new rows.
fn check_takes_changelog(spec: &SinkSpec) -> Result<()> {
    let format = spec.options.format().unwrap_or("json");
    let has_key = !spec.primary_key.is_empty();
    let (takes, hint) = match spec.options.connector() {
        "filesystem" => (format == "debezium-json", "write it with 'format' = 'debezium-json'".to_owned()),
        "topic" | "kafka" | "upsert-kafka" => (
            format == "debezium-json" || has_key && is_upsert(&spec.options, has_key),
            format!("declare a PRIMARY KEY (…) NOT ENFORCED for `{}`, or use 'format' = 'debezium-json'", spec.table),
        ),
        _ => (true, String::new()),
    };
    if takes {
        return Ok(());
    }
    let text = format!("the query for `{}` produces updates, which format '{format}' cannot hold", spec.table);
    Err(Error::input("E024", text)
        .with_detail("a group's result changes with every row, so earlier results are taken back")
        .with_hint(format!("{hint}; or aggregate in windows, whose results are final")))
}
