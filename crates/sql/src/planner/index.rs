//! Indexes: CREATE INDEX as a pipeline, and what is read of an index.
//!
//! `HISTOGRAM(TABLE t, DESCRIPTOR(c))` and `t TABLESAMPLE OLKEN (n ROWS)` become leaves of the logical plan, since they read the
//! index and not the table. What they read may have changed when a pipeline is restarted, so only queries have them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion_common::{Column, DFSchema, DFSchemaRef, ExprSchema, Result};
use datafusion_expr::{Expr as Logical, LogicalPlan, UserDefinedLogicalNodeCore};
use fleuve_base::{Error, Place, nearest};
use fleuve_plan::{Changelog, Expr, Operator, ReadOrder, SinkSpec, SourceSpec, TableOptions};
use sqlparser::ast::{self, Spanned};

use super::errors::{at_opt, external};
use super::extension::plan_of;
use super::lower::{Lowering, fields_of};
use super::relation::{Graph, GraphNode, Relation, Step, Time};
use super::sample::wrong;
use super::table::BoundTable;
use crate::catalog::{IndexDef, TableDef};
use crate::parser::Name;
use crate::parser::place;
use crate::parser::statement::CreateIndex;
use crate::types::display;

/// The connector of indexes.
pub const INDEX: &str = "$index";

/// What reads an index: all of these columns, as they come.
pub fn index_source(table: &str, options: TableOptions, physical: Arc<Schema>) -> SourceSpec {
    let none = Arc::new(Schema::empty());
    SourceSpec {
        table: table.to_owned(),
        options,
        output: (0..physical.fields().len()).map(Expr::Column).collect(),
        physical,
        metadata: vec![],
        metadata_schema: Arc::clone(&none),
        computed: vec![],
        computed_schema: none,
        watermark: None,
        predicate: None,
        primary_key: vec![],
        order: ReadOrder::Stored,
    }
}

/// What is read of an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Read {
    /// The tree, level after level.
    Histogram,
    /// Rows at random.
    Olken {
        rows: u64,
        rejection: bool,
        replacement: bool,
        /// `REPEATABLE (seed)`; without it, the pipeline's.
        seed: Option<u64>,
        /// The time column among the table's columns.
        time: Option<usize>,
    },
}

/// A table that is read through its index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IndexScan {
    index: String,
    table: String,
    read: Read,
    schema: DFSchemaRef,
}

impl PartialOrd for IndexScan {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

/// The table of a plan that reads one as it is, without a view or a subquery.
fn table_of(plan: &LogicalPlan) -> Option<&BoundTable> {
    match plan {
        LogicalPlan::TableScan(scan) => scan.source.downcast_ref::<BoundTable>(),
        _ => None,
    }
}

/// Plans `HISTOGRAM(TABLE t, DESCRIPTOR(c))`.
pub fn plan_histogram(input: &LogicalPlan, column: &Column, place: Option<Place>) -> Result<LogicalPlan> {
    let Some(table) = table_of(input) else {
        let error = Error::unsupported("E201", "HISTOGRAM of a view or a subquery is not in this build")
            .with_hint("an index is over a table: HISTOGRAM(TABLE t, DESCRIPTOR(c))");
        return Err(external(at_opt(error, place)));
    };
    let is_first = |index: &&IndexDef| index.columns.first() == Some(&column.name);
    let index = table.indexes.iter().filter(is_first).min_by_key(|index| index.columns.len());
    let index = index.ok_or_else(|| external(at_opt(no_index(table, &column.name), place)))?;
    let data_type = input.schema().field_from_column(column)?.data_type().clone();
    let schema = histogram_fields(data_type).into_iter().map(|field| (None, field)).collect();
    let schema = Arc::new(DFSchema::new_with_metadata(schema, Default::default())?);
    let (index, table) = (index.name.clone(), table.definition.name.clone());
    Ok(plan_of(IndexScan { index, table, read: Read::Histogram, schema }))
}

/// The columns of a histogram over a column of this type.
fn histogram_fields(data_type: DataType) -> Vec<FieldRef> {
    let field = |name: &str, data_type: DataType, nullable| Arc::new(Field::new(name, data_type, nullable));
    vec![
        field("level", DataType::Int32, false),
        field("bucket", DataType::Int64, false),
        field("low", data_type.clone(), true),
        field("high", data_type, true),
        field("row_count", DataType::Int64, false),
        field("error", DataType::Int64, false),
    ]
}

fn no_index(table: &BoundTable, column: &str) -> Error {
    let name = &table.definition.name;
    Error::input("E026", format!("there is no index on `{name}` ({column})"))
        .with_hint(format!("make one: CREATE INDEX {name}_{column} ON {name} ({column})"))
}

/// Plans `input TABLESAMPLE OLKEN (rows, options …)`.
pub fn plan_olken(rows: u64, options: &[ast::Expr], seed: Option<u64>, input: &LogicalPlan) -> Result<LogicalPlan> {
    let (mut rejection, mut replacement) = (false, false);
    for option in options {
        match option {
            ast::Expr::Identifier(word) if word.value.eq_ignore_ascii_case("REJECTION") => rejection = true,
            ast::Expr::Identifier(word) if word.value.eq_ignore_ascii_case("REPLACEMENT") => replacement = true,
            other => {
                let text = format!("OLKEN has no option `{other}`; it has REJECTION and WITH REPLACEMENT");
                return Err(wrong(&text, place(other.span())));
            }
        }
    }
    let Some(table) = table_of(input) else {
        return Err(external(
            Error::unsupported("E201", "TABLESAMPLE OLKEN of a view or a subquery is not in this build")
                .with_detail("its draws go through an index, which is over a table")
                .with_hint("RESERVOIR (n ROWS) draws the same kind of sample by reading all rows"),
        ));
    };
    let index = table.indexes.first().ok_or_else(|| {
        let name = &table.definition.name;
        let column = table.definition.columns.first().map_or("c", |column| column.name.as_str());
        external(
            Error::input("E026", format!("TABLESAMPLE OLKEN draws through an index, and `{name}` has none"))
                .with_hint(format!("make one: CREATE INDEX {name}_{column} ON {name} ({column})")),
        )
    })?;
    let time = table.watermark.as_ref().and_then(|(time, _)| table.declared.iter().position(|column| column == time));
    let read = Read::Olken { rows, rejection, replacement, seed, time };
    let (index, table) = (index.name.clone(), table.definition.name.clone());
    Ok(plan_of(IndexScan { index, table, read, schema: Arc::clone(input.schema()) }))
}

impl UserDefinedLogicalNodeCore for IndexScan {
    fn name(&self) -> &str {
        "IndexScan"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Logical> {
        vec![]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IndexScan: {:?} of {}", self.read, self.index)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Logical>, _inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}

impl Lowering {
    /// A source that reads an index.
    pub fn index_scan(&mut self, scan: &IndexScan) -> Relation {
        let fields = fields_of(&scan.schema);
        let mut times = vec![Time::None; fields.len()];
        if let Read::Olken { time: Some(time), .. } = scan.read {
            // Its rows come in no order, so the watermark stays where it is until all are there.
            times[time] = Time::Event;
        }
        let spec = index_source(&scan.table, scan.options(self.seed), Arc::new(Schema::new(fields.clone())));
        let id = self.graph.add(GraphNode {
            step: Step::Operator(Operator::Source(Box::new(spec))),
            inputs: vec![],
            fields: fields.clone(),
            times,
            changelog: Changelog::AppendOnly,
            upsert_key: None,
            bounded: true,
            single_row: false,
        });
        Relation::of_node(id, fields)
    }

    /// Ends a table's rows in an index over it.
    pub fn index(&mut self, relation: Relation, table: &TableDef, create: &CreateIndex) -> fleuve_base::Result<usize> {
        if self.graph.changelog(&relation) == Changelog::Retract {
            let text = format!("an index over `{}`, whose rows are updated, is not in this build", table.name);
            return Err(Error::unsupported("E201", text)
                .with_hint("declare another table over the same data, without the PRIMARY KEY, and index that"));
        }
        let mut key = vec![];
        for name in &create.columns {
            let column = key_column(name, &relation.fields, table)?;
            if key.contains(&column) {
                let error = Error::input("E016", format!("the index names `{}` twice", name.value));
                return Err(error.at(Place::sql(name.span.0, name.span.1)));
            }
            key.push(column);
        }
        let name = &create.name.value;
        let spec = SinkSpec {
            table: name.clone(),
            options: options_of([("index", name.clone()), ("table", table.name.clone())]),
            schema: Arc::new(Schema::new(relation.fields.clone())),
            primary_key: key,
            partition_by: vec![],
            metadata: vec![],
            changelog: false,
            upsert_key: None,
        };
        let input = self.graph.materialize(relation)?;
        Ok(self.add_sink(spec, input))
    }
}

/// A column by its name; it must have an order.
fn key_column(name: &Name, fields: &[FieldRef], table: &TableDef) -> fleuve_base::Result<usize> {
    let at = |error: Error| error.at(Place::sql(name.span.0, name.span.1));
    let Some(column) = fields.iter().position(|field| *field.name() == name.value) else {
        let error = Error::input("E012", format!("unknown column `{}` in `{}`", name.value, table.name));
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        return Err(at(match nearest(&name.value, names.iter().copied()) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_detail(format!("columns of `{}`: {}", table.name, names.join(", "))),
        }));
    };
    let data_type = fields[column].data_type();
    if data_type.is_nested() || *data_type == DataType::Null {
        let text = format!("`{}` cannot be a key: {} has no order", name.value, display(data_type));
        return Err(at(Error::input("E430", text).with_hint("index a field of it: declare a computed column over it")));
    }
    Ok(column)
}

fn options_of<const N: usize>(options: [(&str, String); N]) -> TableOptions {
    let own = options.into_iter().map(|(key, value)| (key.to_owned(), value));
    TableOptions(own.chain([("connector".to_owned(), INDEX.to_owned())]).collect::<BTreeMap<_, _>>())
}

impl IndexScan {
    fn options(&self, default_seed: u64) -> TableOptions {
        let index = ("index", self.index.clone());
        match &self.read {
            Read::Histogram => options_of([index, ("mode", "histogram".to_owned())]),
            Read::Olken { rows, rejection, replacement, seed, .. } => options_of([
                index,
                ("mode", "olken".to_owned()),
                ("rows", rows.to_string()),
                ("method", if *rejection { "rejection" } else { "rank" }.to_owned()),
                ("replacement", replacement.to_string()),
                ("seed", seed.unwrap_or(default_seed).to_string()),
            ]),
        }
    }
}

/// Refuses to write what was read of an index: after a restart it could not be read again.
pub fn check_insert(graph: &Graph) -> fleuve_base::Result<()> {
    let reads_index = |node: &GraphNode| match &node.step {
        Step::Operator(Operator::Source(spec)) => spec.options.connector() == INDEX,
        _ => false,
    };
    if !graph.nodes.iter().any(reads_index) {
        return Ok(());
    }
    Err(Error::unsupported("E201", "INSERT from HISTOGRAM or TABLESAMPLE OLKEN is not in this build")
        .with_detail("when the pipeline is restarted, the index may have more rows than when it was read")
        .with_hint(
            "print the result of a SELECT; or sample with RESERVOIR (n ROWS), which is the same after a restart",
        ))
}
