//! A table of the catalog with its expressions analysed: what a scan of it means.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion_common::DFSchema;
use datafusion_expr::TableSource;
use fleuve_base::{Error, Result};
use fleuve_plan::{Expr, TableOptions};

use super::context::Context;
use super::errors::from_datafusion;
use super::index::INDEX;
use super::lower_expr::over_schema;
use crate::catalog::{ColumnDef, ColumnKind, IndexDef, TableDef};
use crate::types::display;

/// A table that can be scanned. Its *full row* is physical, metadata, then computed columns, each group in declared
/// order; its schema is the declared order.
#[derive(Debug, Clone)]
pub struct BoundTable {
    /// The definition.
    pub definition: TableDef,
    /// The physical columns.
    pub physical: Vec<FieldRef>,
    /// The metadata columns, and their keys.
    pub metadata: Vec<(FieldRef, String)>,
    /// The computed columns, each over the full row up to it.
    pub computed: Vec<(FieldRef, Expr)>,
    /// The time column (position in the full row) and the watermark over the full row.
    pub watermark: Option<(usize, Expr)>,
    /// For each declared column its position in the full row.
    pub declared: Vec<usize>,
    /// The indexes over it.
    pub indexes: Vec<IndexDef>,
    /// Hidden metadata columns (positions in the full row) that say which of two records of an upsert table is later.
    pub order: Vec<usize>,
    schema: SchemaRef,
}

impl BoundTable {
    /// Analyses the computed columns and the watermark.
    pub fn bind(table: &TableDef, context: &Context<'_>) -> Result<Self> {
        let in_table = |what: String| move |error: Error| error.with_detail(what);
        let mut full: Vec<FieldRef> = vec![];
        let mut physical = fields(table, &mut full, |column| matches!(column.kind, ColumnKind::Physical))?;
        let metadata = fields(table, &mut full, |column| matches!(column.kind, ColumnKind::Metadata { .. }))?;
        let keys = table.columns.iter().filter_map(|column| match &column.kind {
            ColumnKind::Metadata { key, .. } => Some(key.clone()),
            _ => None,
        });
        let mut metadata: Vec<(FieldRef, String)> = metadata.into_iter().zip(keys).collect();
        let mut order = vec![];
        if is_upsert(&table.options, !table.primary_key.is_empty()) {
            // A record that deletes has no columns but the key's.
            physical.iter_mut().filter(|field| !table.primary_key.contains(field.name())).for_each(make_nullable);
            order = (full.len()..full.len() + UPSERT_ORDER.len()).collect();
            metadata.extend(
                UPSERT_ORDER
                    .map(|key| (Arc::new(Field::new(format!("${key}"), DataType::Int64, false)), key.to_owned())),
            );
            full = physical.iter().chain(metadata.iter().map(|(field, _)| field)).cloned().collect();
        }
        let mut computed = vec![];
        for column in &table.columns {
            let ColumnKind::Computed(expr) = &column.kind else { continue };
            let bound = computed_column(column, expr, &full, context)
                .map_err(in_table(format!("in column `{}` of table `{}`", column.name, table.name)))?;
            full.push(Arc::clone(&bound.0));
            computed.push(bound);
        }
        let watermark = bind_watermark(table, &full, context)
            .map_err(in_table(format!("in the watermark of table `{}`", table.name)))?;
        let position = |name: &str| full.iter().position(|field| field.name() == name);
        let declared: Vec<usize> = table.columns.iter().filter_map(|column| position(&column.name)).collect();
        let schema = Arc::new(Schema::new(declared.iter().map(|index| Arc::clone(&full[*index])).collect::<Vec<_>>()));
        let indexes = context.catalog().indexes().filter(|index| index.table == table.name).cloned().collect();
        let definition = table.clone();
        Ok(BoundTable { definition, physical, metadata, computed, watermark, declared, indexes, order, schema })
    }

    /// The full row.
    pub fn full_row(&self) -> Vec<FieldRef> {
        let metadata = self.metadata.iter().map(|(field, _)| field);
        let computed = self.computed.iter().map(|(field, _)| field);
        self.physical.iter().chain(metadata).chain(computed).cloned().collect()
    }

    /// Position of the first computed column in the full row.
    pub fn computed_start(&self) -> usize {
        self.physical.len() + self.metadata.len()
    }

    /// The primary key, as positions in the full row.
    pub fn primary_key(&self) -> Vec<usize> {
        let full = self.full_row();
        let names = self.definition.primary_key.iter();
        names.filter_map(|name| full.iter().position(|field| field.name() == name)).collect()
    }

    /// Whether the table's records are the latest rows of their keys.
    pub fn is_upsert(&self) -> bool {
        is_upsert(&self.definition.options, !self.definition.primary_key.is_empty())
    }

    /// Whether the table's rows are a changelog.
    pub fn is_changelog(&self) -> bool {
        self.is_upsert() || self.definition.options.format().is_some_and(|format| format == "debezium-json")
    }

    /// Whether the table ends by itself.
    pub fn is_bounded(&self) -> bool {
        is_bounded(&self.definition.options)
    }
}

impl TableSource for BoundTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// Metadata of a topic's records by which the records of one key follow each other.
const UPSERT_ORDER: [&str; 2] = ["partition", "offset"];

fn make_nullable(field: &mut FieldRef) {
    *field = Arc::new(field.as_ref().clone().with_nullable(true));
}

/// A topic of JSON or Avro with a primary key holds the latest row of each key.
pub fn is_upsert(options: &TableOptions, has_key: bool) -> bool {
    match options.connector() {
        "topic" => has_key && options.format().is_none_or(|format| matches!(format, "json" | "avro")),
        "upsert-kafka" => true,
        _ => false,
    }
}

/// Whether a table with these options ends by itself.
pub fn is_bounded(options: &TableOptions) -> bool {
    match options.connector() {
        "filesystem" => options.get("source.monitor-interval").is_none(),
        "datagen" => options.get("number-of-rows").is_some(),
        "nexmark" => options.get("events.num").or_else(|| options.get("events")).is_some(),
        INDEX => true,
        "topic" | "kafka" | "upsert-kafka" => options.get("scan.bounded.mode").is_some_and(|mode| mode != "unbounded"),
        _ => false,
    }
}

fn fields(table: &TableDef, full: &mut Vec<FieldRef>, keep: impl Fn(&ColumnDef) -> bool) -> Result<Vec<FieldRef>> {
    let kept = table.columns.iter().filter(|column| keep(column)).map(|column| match &column.data_type {
        Some(data_type) => Ok(Arc::new(Field::new(&column.name, data_type.clone(), column.nullable))),
        None => Err(Error::internal(format!("column `{}` has no type", column.name))),
    });
    let kept: Vec<FieldRef> = kept.collect::<Result<_>>()?;
    full.extend(kept.iter().cloned());
    Ok(kept)
}

fn computed_column(
    column: &ColumnDef,
    expr: &sqlparser::ast::Expr,
    full: &[FieldRef],
    context: &Context<'_>,
) -> Result<(FieldRef, Expr)> {
    let (expr, field) = scalar(expr, full, context)?;
    Ok((Arc::new(Field::new(&column.name, field.data_type().clone(), field.is_nullable())), expr))
}

fn bind_watermark(table: &TableDef, full: &[FieldRef], context: &Context<'_>) -> Result<Option<(usize, Expr)>> {
    let Some(watermark) = &table.watermark else { return Ok(None) };
    let column = full
        .iter()
        .position(|field| field.name() == &watermark.column)
        .ok_or_else(|| Error::input("E012", format!("unknown column `{}`", watermark.column)))?;
    let data_type = full[column].data_type();
    if !matches!(data_type, DataType::Timestamp(..)) {
        let text = format!("the time column `{}` must be a TIMESTAMP, not {}", watermark.column, display(data_type));
        return Err(Error::input("E023", text).with_hint("compute one: ts AS TO_TIMESTAMP(text_column)"));
    }
    let (expr, field) = scalar(&watermark.expr, full, context)?;
    match field.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => Ok(Some((column, expr))),
        DataType::Timestamp(_, zone) => {
            let to = DataType::Timestamp(TimeUnit::Millisecond, zone.clone());
            Ok(Some((column, Expr::Cast { expr: Box::new(expr), to, lenient: false })))
        }
        other => {
            let text = format!("a watermark must be a TIMESTAMP, not {}", display(other));
            Err(Error::input("E023", text).with_hint("for example WATERMARK FOR ts AS ts - INTERVAL '5' SECOND"))
        }
    }
}

/// Analyses an expression over fields; its columns are positions among them.
fn scalar(expr: &sqlparser::ast::Expr, full: &[FieldRef], context: &Context<'_>) -> Result<(Expr, FieldRef)> {
    use datafusion_expr::ExprSchemable;
    let schema = DFSchema::try_from(Schema::new(full.to_vec())).map_err(from_datafusion)?;
    let planned = context.scalar(expr, &schema)?;
    let (_, field) = planned.to_field(&schema).map_err(from_datafusion)?;
    Ok((over_schema(&planned, &schema)?, field))
}
