//! From the optimised logical plan to the steps of a pipeline: everything but aggregates and joins.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::logical_plan::{EmptyRelation, Limit, Sort, TableScan, Union, Values};
use datafusion_expr::{Expr as Logical, LogicalPlan};
use fleuve_base::{Error, Result};
use fleuve_plan::{Changelog, Expr, Operator, SortKey};

use super::errors::{at_opt, from_datafusion};
use super::extension::{self, SystemTime, UnnestCall, WindowFunction, node_of};
use super::index::IndexScan;
use super::lower_expr::Scope;
use super::relation::{Base, Graph, GraphNode, PENDING, Pending, Relation, Step, Time, in_milliseconds, window_fields};
use super::sample::Sample;
use super::scan::inline_computed;
use super::table::BoundTable;
use super::typing::place_of_exprs;

/// Lowers plans into one graph.
#[derive(Debug, Default)]
pub struct Lowering {
    /// The steps so far.
    pub graph: Graph,
    /// What summaries are seeded with.
    pub seed: u64,
}

impl Lowering {
    /// The relation that a plan describes.
    pub fn relation(&mut self, plan: &LogicalPlan) -> Result<Relation> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Projection(projection) => {
                let input = self.relation(&projection.input)?;
                self.project(input, &projection.expr, projection.input.schema(), &projection.schema)
            }
            LogicalPlan::Filter(filter) => {
                let input = self.relation(&filter.input)?;
                self.filter(input, &filter.predicate, filter.input.schema())
            }
            LogicalPlan::SubqueryAlias(alias) => self.relation(&alias.input),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => Ok(one_row()),
            LogicalPlan::EmptyRelation(empty) => Ok(self.no_rows(fields_of(&empty.schema))),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Sort(sort) => self.sort(sort, 0, None),
            LogicalPlan::Extension(_) => self.extension(plan),
            other => Err(not_in_this_build(other)),
        }
    }

    fn extension(&mut self, plan: &LogicalPlan) -> Result<Relation> {
        if let Some(function) = node_of::<WindowFunction>(plan) {
            return self.window_function(function);
        }
        if let Some(system_time) = node_of::<SystemTime>(plan) {
            let input = self.relation(&system_time.input)?;
            return Ok(Relation { lookup: true, ..input });
        }
        if let Some(call) = node_of::<UnnestCall>(plan) {
            return self.unnest_alone(call);
        }
        if let Some(sample) = node_of::<Sample>(plan) {
            return self.sample(sample);
        }
        if let Some(scan) = node_of::<IndexScan>(plan) {
            return Ok(self.index_scan(scan));
        }
        match node_of::<extension::Unnest>(plan) {
            Some(unnest) => self.unnest(unnest),
            None => Err(not_in_this_build(plan)),
        }
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Relation> {
        let Some(table) = scan.source.downcast_ref::<BoundTable>() else {
            return Err(Error::internal(format!("`{}` is not a table of the catalog", scan.table_name)));
        };
        let number = self.graph.table(table);
        let projected: Vec<usize> = match &scan.projection {
            Some(projection) => projection.iter().map(|index| table.declared[*index]).collect(),
            None => table.declared.clone(),
        };
        let full = table.full_row();
        let fields = projected.iter().map(|index| Arc::clone(&full[*index])).collect();
        let columns = projected.iter().map(|index| Expr::Column(*index)).collect();
        let relation = match table.is_upsert() {
            true => self.upsert_table(table, number, columns, fields)?,
            false => {
                Relation { base: Base::Table(number), predicate: None, columns, fields, pending: None, lookup: false }
            }
        };
        let filters = scan.filters.iter();
        filters.into_iter().try_fold(relation, |relation, filter| self.filter(relation, filter, &scan.projected_schema))
    }

    /// Columns of the rows that an upsert table has, from its records.
    fn upsert_table(
        &mut self,
        table: &BoundTable,
        number: usize,
        columns: Vec<Expr>,
        fields: Vec<FieldRef>,
    ) -> Result<Relation> {
        let mut columns: Vec<Expr> = columns.into_iter().map(|column| inline_computed(column, table)).collect();
        let mut kept = table.primary_key();
        for column in columns.iter().flat_map(Expr::columns) {
            if !kept.contains(&column) {
                kept.push(column);
            }
        }
        let (keys, width, full) = ((0..table.primary_key().len()).collect::<Vec<_>>(), kept.len(), table.full_row());
        let read: Vec<usize> = kept.iter().chain(&table.order).copied().collect();
        let records = self.graph.materialize(Relation {
            base: Base::Table(number),
            predicate: None,
            columns: read.iter().map(|column| Expr::Column(*column)).collect(),
            fields: read.iter().map(|column| Arc::clone(&full[*column])).collect(),
            pending: None,
            lookup: false,
        })?;
        let mut node = self.graph.nodes[records].clone();
        node.fields.truncate(width);
        node.times.truncate(width);
        let order = (width..read.len()).collect();
        node.step = Step::Operator(Operator::Normalize { keys: keys.clone(), order });
        let id = self.graph.add(GraphNode { inputs: vec![records], upsert_key: Some(keys), ..node });
        let place = |column: usize| kept.iter().position(|kept| *kept == column).unwrap_or(column);
        columns.iter_mut().for_each(|expr| expr.map_columns(&place));
        Ok(Relation { columns, ..Relation::of_node(id, fields) })
    }

    /// Lowers expressions over a relation's columns.
    pub fn exprs<'e>(
        &self,
        relation: &Relation,
        exprs: impl IntoIterator<Item = &'e Logical>,
        schema: &DFSchema,
    ) -> Result<Vec<Expr>> {
        let scope = Scope { schema, columns: Some(&relation.columns) };
        exprs.into_iter().map(|expr| scope.lower(expr)).collect()
    }

    fn project(
        &mut self,
        input: Relation,
        exprs: &[Logical],
        schema: &DFSchema,
        output: &DFSchema,
    ) -> Result<Relation> {
        let projected =
            Relation { columns: self.exprs(&input, exprs, schema)?, fields: fields_of(output), ..input.clone() };
        if !projected.is_large() || projected.pending.is_some() {
            return Ok(projected);
        }
        let (fields, lookup) = (input.fields.clone(), input.lookup);
        let input = Relation { lookup, ..Relation::of_node(self.graph.materialize(input)?, fields) };
        Ok(Relation { columns: self.exprs(&input, exprs, schema)?, fields: fields_of(output), ..input })
    }

    fn filter(&mut self, mut input: Relation, predicate: &Logical, schema: &DFSchema) -> Result<Relation> {
        let predicate = Scope { schema, columns: Some(&input.columns) }.lower(predicate)?;
        input.filter(predicate);
        Ok(input)
    }

    fn window_function(&mut self, function: &WindowFunction) -> Result<Relation> {
        let input = self.relation(&function.input)?;
        let mut input = if input.pending.is_some() { self.graph.assign_window(input)? } else { input };
        let schema = function.input.schema();
        let time_column = Logical::Column(function.time.clone());
        let time = self.exprs(&input, [&time_column], schema)?.remove(0);
        let index = schema.index_of_column(&function.time).map_err(from_datafusion)?;
        let data_type = input.fields[index].data_type().clone();
        let time = match self.graph.time_of(&input, &time) {
            Time::Processing => None,
            Time::Event | Time::RowtimeOfWindow(_) => Some(in_milliseconds(time, &data_type)),
            _ => return Err(at_opt(no_time_attribute(&function.time.name, &data_type), function.place.clone())),
        };
        let partition: Vec<Logical> = function.partition.iter().cloned().map(Logical::Column).collect();
        let partition = self.exprs(&input, &partition, schema)?;
        input.pending = Some(Pending { window: function.window.clone(), time, partition });
        input.columns.extend(PENDING.map(Expr::Column));
        input.fields.extend(window_fields());
        Ok(input)
    }

    /// `FROM UNNEST(…)` without anything on its left: over one row without columns.
    fn unnest_alone(&mut self, call: &UnnestCall) -> Result<Relation> {
        let one_row = EmptyRelation { produce_one_row: true, schema: Arc::new(DFSchema::empty()) };
        let input = LogicalPlan::EmptyRelation(one_row);
        let unnest = extension::Unnest::new(input, call, call.collection.clone(), "__element", false);
        self.unnest(&unnest.map_err(from_datafusion)?)
    }

    fn unnest(&mut self, unnest: &extension::Unnest) -> Result<Relation> {
        let mut input = self.relation(&unnest.input)?;
        let schema = unnest.input.schema();
        let collection = self.exprs(&input, [&unnest.collection], schema)?.remove(0);
        let fields = fields_of(datafusion_expr::UserDefinedLogicalNodeCore::schema(unnest));
        let own = input.columns.len();
        let column = match input.columns.iter().position(|expr| *expr == collection) {
            Some(column) => column,
            None => {
                let field = collection_field(unnest, schema)?;
                input.columns.push(collection);
                input.fields.push(field);
                own
            }
        };
        let (bounded, changelog, mut times) =
            (self.graph.bounded(&input), self.graph.changelog(&input), self.graph.times(&input));
        let mut inner_fields = input.fields.clone();
        inner_fields.extend(fields.iter().skip(own).cloned());
        let width = input.columns.len();
        let elements = fields.len() - own;
        times.extend(std::iter::repeat_n(Time::None, elements));
        let node = self.graph.materialize(input)?;
        let operator = Operator::Unnest { column, outer: unnest.outer, ordinality: unnest.ordinality };
        let id = self.graph.add(GraphNode {
            step: Step::Operator(operator),
            inputs: vec![node],
            fields: inner_fields,
            times,
            changelog,
            upsert_key: None,
            bounded,
            single_row: false,
        });
        let columns = (0..own).chain(width..width + elements).map(Expr::Column).collect();
        Ok(Relation { base: Base::Node(id), predicate: None, columns, fields, pending: None, lookup: false })
    }

    fn union(&mut self, union: &Union) -> Result<Relation> {
        let fields = fields_of(&union.schema);
        let mut inputs = vec![];
        for input in &union.inputs {
            let relation = self.relation(input)?;
            let relation = converted(relation, &fields);
            inputs.push(self.graph.materialize(relation)?);
        }
        let node = |id: &usize| &self.graph.nodes[*id];
        let mut times = node(&inputs[0]).times.clone();
        for id in &inputs {
            let other = &node(id).times;
            times.iter_mut().zip(other).filter(|(time, other)| time != other).for_each(|(time, _)| *time = Time::None);
        }
        let retracts = inputs.iter().any(|id| node(id).changelog == Changelog::Retract);
        let bounded = inputs.iter().all(|id| node(id).bounded);
        let id = self.graph.add(GraphNode {
            step: Step::Operator(Operator::Union),
            inputs,
            fields: fields.clone(),
            times,
            changelog: if retracts { Changelog::Retract } else { Changelog::AppendOnly },
            upsert_key: None,
            bounded,
            single_row: false,
        });
        Ok(Relation::of_node(id, fields))
    }

    fn values(&mut self, values: &Values) -> Result<Relation> {
        let none = DFSchema::empty();
        let row =
            |row: &Vec<Logical>| row.iter().map(|expr| Scope { schema: &none, columns: None }.lower(expr)).collect();
        let rows: Vec<Vec<Expr>> = values.values.iter().map(row).collect::<Result<_>>()?;
        Ok(self.constants(rows, fields_of(&values.schema)))
    }

    fn no_rows(&mut self, fields: Vec<FieldRef>) -> Relation {
        self.constants(vec![], fields)
    }

    fn constants(&mut self, rows: Vec<Vec<Expr>>, fields: Vec<FieldRef>) -> Relation {
        let single_row = rows.len() == 1;
        let id = self.graph.add(GraphNode {
            step: Step::Operator(Operator::Values { rows }),
            inputs: vec![],
            times: vec![Time::None; fields.len()],
            fields: fields.clone(),
            changelog: Changelog::AppendOnly,
            upsert_key: None,
            bounded: true,
            single_row,
        });
        Relation::of_node(id, fields)
    }

    fn limit(&mut self, limit: &Limit) -> Result<Relation> {
        let skip = limit.skip.as_deref().map(count).transpose()?.flatten().unwrap_or(0);
        let fetch = limit.fetch.as_deref().map(count).transpose()?.flatten();
        if let LogicalPlan::Sort(sort) = limit.input.as_ref() {
            return self.sort(sort, skip, fetch);
        }
        if let Some(below) = limit_below(limit)? {
            return self.relation(&below);
        }
        let input = self.relation(&limit.input)?;
        let fields = input.fields.clone();
        let single_row = self.graph.single_row(&input) && skip == 0 && fetch != Some(0);
        let id = self.graph.materialize(input)?;
        let node = &self.graph.nodes[id];
        if node.changelog == Changelog::Retract && !node.bounded {
            return Err(Error::unsupported("E201", "LIMIT over a stream of updates is not in this build")
                .with_detail("which rows are the first ones would change with every update")
                .with_hint("limit the input of the aggregate or join, or drop LIMIT"));
        }
        let node = GraphNode {
            step: Step::Operator(Operator::Limit { skip, fetch }),
            inputs: vec![id],
            single_row,
            ..node.clone()
        };
        Ok(Relation::of_node(self.graph.add(node), fields))
    }

    fn sort(&mut self, sort: &Sort, skip: u64, fetch: Option<u64>) -> Result<Relation> {
        let input = self.relation(&sort.input)?;
        if !self.graph.bounded(&input) {
            let error = Error::unsupported("E201", "ORDER BY over an unbounded stream is not in this build")
                .with_detail("its first row is not known before the last one has come")
                .with_hint("sort what a bounded input gives, or drop ORDER BY");
            return Err(at_opt(error, place_of_exprs(sort.expr.iter().map(|key| &key.expr))));
        }
        let (mut fields, own) = (input.fields.clone(), input.columns.len());
        let exprs = self.exprs(&input, sort.expr.iter().map(|key| &key.expr), sort.input.schema())?;
        let mut input = input;
        let mut keys = vec![];
        for (key, expr) in sort.expr.iter().zip(exprs) {
            let column = match input.columns.iter().position(|column| *column == expr) {
                Some(column) => column,
                None => {
                    input.columns.push(expr);
                    input.fields.push(logical_field(&key.expr, sort.input.schema())?);
                    input.columns.len() - 1
                }
            };
            keys.push(SortKey { column, descending: !key.asc, nulls_first: key.nulls_first });
        }
        let id = self.graph.materialize(input)?;
        let fetch = fetch.or(sort.fetch.and_then(|fetch| u64::try_from(fetch).ok()));
        let node = GraphNode {
            step: Step::Operator(Operator::Sort { keys, skip, fetch }),
            inputs: vec![id],
            changelog: Changelog::AppendOnly,
            ..self.graph.nodes[id].clone()
        };
        let id = self.graph.add(node);
        let mut sorted = Relation::of_node(id, self.graph.nodes[id].fields.clone());
        sorted.columns.truncate(own);
        fields.truncate(own);
        Ok(Relation { fields, ..sorted })
    }
}

/// LIMIT over columns that are chosen from sorted rows, as the same columns over a LIMIT: only the sort knows which rows
/// come first.
fn limit_below(limit: &Limit) -> Result<Option<LogicalPlan>> {
    fn over_sort(plan: &LogicalPlan) -> bool {
        match plan {
            LogicalPlan::Projection(projection) => over_sort(&projection.input),
            LogicalPlan::SubqueryAlias(alias) => over_sort(&alias.input),
            other => matches!(other, LogicalPlan::Sort(_)),
        }
    }
    let plan = limit.input.as_ref();
    let inputs = plan.inputs();
    let (true, [input]) = (over_sort(plan), inputs.as_slice()) else { return Ok(None) };
    let below = LogicalPlan::Limit(Limit { input: Arc::new((*input).clone()), ..limit.clone() });
    plan.with_new_exprs(plan.expressions(), vec![below]).map(Some).map_err(from_datafusion)
}

fn one_row() -> Relation {
    Relation { base: Base::OneRow, predicate: None, columns: vec![], fields: vec![], pending: None, lookup: false }
}

/// The fields of a schema, without their tables.
pub fn fields_of(schema: &DFSchema) -> Vec<FieldRef> {
    schema.fields().iter().cloned().collect()
}

/// Name and type of an expression over a schema.
pub fn logical_field(expr: &Logical, schema: &DFSchema) -> Result<FieldRef> {
    use datafusion_expr::ExprSchemable;
    expr.to_field(schema).map(|(_, field)| field).map_err(from_datafusion)
}

fn collection_field(unnest: &extension::Unnest, schema: &DFSchema) -> Result<FieldRef> {
    logical_field(&unnest.collection, schema)
}

/// The relation with its columns converted to the types of `fields`.
pub fn converted(relation: Relation, fields: &[FieldRef]) -> Relation {
    let convert = |((expr, own), wanted): ((Expr, &FieldRef), &FieldRef)| {
        if own.data_type() == wanted.data_type() {
            return expr;
        }
        Expr::Cast { expr: Box::new(expr), to: wanted.data_type().clone(), lenient: false }
    };
    let columns = relation.columns.into_iter().zip(&relation.fields).zip(fields).map(convert).collect();
    Relation { columns, fields: fields.to_vec(), ..relation }
}

/// The number in LIMIT or OFFSET; none is no limit.
fn count(expr: &Logical) -> Result<Option<u64>> {
    let number = match expr {
        Logical::Literal(ScalarValue::Int64(number), _) => *number,
        Logical::Literal(ScalarValue::Int32(number), _) => number.map(i64::from),
        _ => return Err(Error::input("E025", "LIMIT and OFFSET take a constant number")),
    };
    number
        .map(|number| u64::try_from(number).map_err(|_| Error::input("E025", "LIMIT and OFFSET cannot be negative")))
        .transpose()
}

/// The error for a window over a column that is no time attribute.
pub fn no_time_attribute(column: &str, data_type: &DataType) -> Error {
    let column = column.rsplit('.').next().unwrap_or(column);
    let declare = |column: &str| format!("WATERMARK FOR {column} AS {column} - INTERVAL '5' SECOND");
    let hint = match data_type {
        DataType::Timestamp(..) => format!("declare {} in its table", declare(column)),
        DataType::Int64 => format!(
            "compute a TIMESTAMP from it in its table, ts AS TO_TIMESTAMP_LTZ({column}, 3), and declare {}",
            declare("ts")
        ),
        DataType::Utf8 => format!(
            "compute a TIMESTAMP from it in its table, ts AS TO_TIMESTAMP({column}), and declare {}",
            declare("ts")
        ),
        _ => format!("declare a TIMESTAMP column in its table, and {}", declare("ts")),
    };
    Error::input("E023", format!("`{column}` is not a time attribute, so windows cannot be made of it"))
        .with_detail("a time attribute is a table's WATERMARK column or PROCTIME(), passed on unchanged")
        .with_hint(hint)
}

fn not_in_this_build(plan: &LogicalPlan) -> Error {
    let name = plan.display().to_string();
    let name = name.split([':', ' ']).next().unwrap_or("this").to_owned();
    Error::unsupported("E201", format!("the operation {name} is not in this build"))
}
