//! SELECT ONLINE: the plan of the ordinary query, with its source read in random order and its aggregate replaced by the
//! one that estimates. Of a join of two tables both are read so (`join`).

mod bounds;
mod join;
mod sample;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use fleuve_base::{Error, Result};
use fleuve_plan::online::{FRACTION, POPULATION, ROWS_SEEN};
use fleuve_plan::{
    AggregateCall, BinaryOp, Changelog, Expr, Node, NodeId, OnlineAggregate, OnlineBounds, OnlineUnit, Operator,
    Pipeline, ReadOrder, Settings, SourceSpec, TableOptions, blocks_schema,
};
use sqlparser::ast::Query;

use super::index::{INDEX, index_source};
use crate::catalog::{Catalog, IndexDef};
use crate::settings::OnlineSettings;
use join::{Joined, is_join};

/// Bytes of an epoch at most: the first estimates are wanted after as few.
const EPOCH_BYTES_MAX: usize = 1 << 20;

/// The column that tells which block a row was read in.
const BLOCK: &str = "$block";

/// What can be estimated.
const FUNCTIONS: [&str; 7] = ["count", "sum", "avg", "var_pop", "var_samp", "stddev_pop", "stddev_samp"];

/// Plans the query that follows SELECT ONLINE.
///
/// # Errors
/// What [`plan_query`](super::plan_query) refuses; E201, if it is not one GROUP BY over one table or the inner join of two.
pub fn plan_online(catalog: &Catalog, settings: &Settings, online: OnlineSettings, query: &Query) -> Result<Pipeline> {
    let plain = super::plan_query(catalog, settings, query)?;
    let tail = Tail::of(&plain)?;
    let (read, before) = chain(&plain, tail.aggregate.inputs[0]);
    let nodes = if is_join(read) {
        Joined::of(&plain, query, read, before, tail)?.in_blocks(&plain, &online)?
    } else {
        let shape = Shape { catalog, source: read, spec: check_source(read)?, before, tail };
        match (shape.sampled(&online)?, shape.index(catalog)) {
            (Some(sampled), _) => sampled,
            (None, Some(index)) => shape.strided(index, &plain, &online)?,
            (None, None) => shape.in_blocks(&plain, &online)?,
        }
    };
    let mut pipeline = Pipeline { nodes, ..plain };
    pipeline.settings.epoch_bytes = pipeline.settings.epoch_bytes.min(EPOCH_BYTES_MAX);
    pipeline.fingerprint = pipeline.compute_fingerprint();
    pipeline.check()?;
    Ok(pipeline)
}

fn refused(what: &str) -> Error {
    Error::unsupported("E201", format!("SELECT ONLINE {what} is not in this build")).with_hint(
        "SELECT ONLINE keys, avg(x), sum(x), count(*) FROM a [JOIN b ON a.key = b.key] [WHERE …] GROUP BY keys",
    )
}

/// The parts of the ordinary plan over one table: the source, projections, and the rest.
struct Shape<'p> {
    catalog: &'p Catalog,
    source: &'p Node,
    spec: &'p SourceSpec,
    before: Vec<&'p Node>,
    tail: Tail<'p>,
}

/// The rest: the aggregate, the select list, the sink.
struct Tail<'p> {
    aggregate: &'p Node,
    keys: &'p [usize],
    calls: &'p [AggregateCall],
    /// What the select list has of the aggregate's output.
    selected: Vec<usize>,
    sink: &'p Node,
}

/// The node that yields the rows of a node, and the projections and samples between, upwards.
fn chain(pipeline: &Pipeline, mut id: NodeId) -> (&Node, Vec<&Node>) {
    let mut between = vec![];
    while let node @ Node { operator: Operator::Calc { .. } | Operator::Sample { .. }, .. } = &pipeline.nodes[id] {
        between.insert(0, node);
        id = node.inputs[0];
    }
    (&pipeline.nodes[id], between)
}

/// What a source reads, if that can be read in random order.
fn check_source(source: &Node) -> Result<&SourceSpec> {
    let spec = match &source.operator {
        Operator::Source(spec) => spec,
        Operator::Values { .. } => return Err(refused("without a table")),
        other => return Err(refused(&format!("over {}", other.name()))),
    };
    if spec.options.connector() == INDEX && spec.options.get("mode") != Some("olken") {
        return Err(refused("from a histogram"));
    }
    if source.changelog == Changelog::Retract {
        return Err(refused("from a table whose rows are updated"));
    }
    Ok(spec)
}

impl<'p> Tail<'p> {
    fn of(pipeline: &'p Pipeline) -> Result<Self> {
        let nodes = &pipeline.nodes;
        let is_aggregate = |node: &Node| matches!(node.operator, Operator::Aggregate { .. });
        let at = nodes.iter().rposition(is_aggregate).ok_or_else(|| refused("without an aggregate"))?;
        let (Operator::Aggregate { keys, aggregates }, [after @ .., sink]) = (&nodes[at].operator, &nodes[at + 1..])
        else {
            return Err(refused("of this kind"));
        };
        aggregates.iter().try_for_each(check_call)?;
        let selected = selected(after, nodes[at].schema.fields().len())?;
        Ok(Tail { aggregate: &nodes[at], keys, calls: aggregates, selected, sink })
    }
}

impl Shape<'_> {
    /// The index on the grouping columns, if there is one.
    fn index<'c>(&self, catalog: &'c Catalog) -> Option<&'c IndexDef> {
        let full = self.spec.full_schema();
        let grouped = self.tail.keys.iter().map(|key| match self.spec.output.get(*key)? {
            Expr::Column(column) => Some(full.field(*column).name().clone()),
            _ => None,
        });
        let grouped: BTreeSet<String> = grouped.collect::<Option<_>>()?;
        let serves = |index: &&IndexDef| {
            let columns: BTreeSet<&String> = index.columns.iter().collect();
            index.table == self.spec.table && columns.into_iter().eq(&grouped)
        };
        catalog.indexes().find(serves).filter(|_| self.before.is_empty())
    }

    /// The plan that reads group by group through an index, row by row in random order within each.
    fn strided(&self, index: &IndexDef, plain: &Pipeline, online: &OnlineSettings) -> Result<Vec<Node>> {
        let (mut output, mut fields) = (self.spec.output.clone(), self.source.schema.fields().to_vec());
        let mut calls = self.tail.calls.to_vec();
        // Rows that the condition leaves out are drawn, too: so it decides what counts, not what is read.
        for call in calls.iter_mut().filter(|_| self.spec.predicate.is_some()) {
            let parts = call
                .filter
                .and_then(|filter| output.get(filter).cloned())
                .into_iter()
                .chain(self.spec.predicate.clone());
            let condition = parts.reduce(|left, right| Expr::binary(BinaryOp::And, left, right));
            call.filter = condition.map(|condition| {
                output.push(condition);
                fields.push(Arc::new(Field::new(format!("${}", fields.len()), DataType::Boolean, true)));
                output.len() - 1
            });
        }
        // The index has all columns of the table as data.
        let physical = Arc::new(self.spec.full_schema());
        output.push(Expr::Column(physical.fields().len()));
        let population = Arc::new(Field::new(POPULATION, DataType::Int64, false));
        fields.push(Arc::clone(&population));
        let seed = plain.settings.seed.to_string();
        let options = [("connector", INDEX), ("index", &index.name), ("mode", "stride"), ("seed", &seed)];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let spec = SourceSpec {
            metadata: vec![POPULATION.to_owned()],
            metadata_schema: Arc::new(Schema::new(vec![population])),
            output,
            ..index_source(&self.spec.table, TableOptions(options.into()), physical)
        };
        let unit = OnlineUnit::Rows { population: fields.len() - 1 };
        let source = Node {
            operator: Operator::Source(Box::new(spec)),
            schema: Arc::new(Schema::new(fields)),
            upsert_key: None,
            ..self.source.clone()
        };
        let mut nodes = vec![source];
        self.online(&mut nodes, &calls, online, unit, vec![0])?;
        self.tail.ended(nodes)
    }

    /// The plan that reads block by block.
    fn in_blocks(&self, plain: &Pipeline, online: &OnlineSettings) -> Result<Vec<Node>> {
        let mut nodes = vec![shuffled(self.source, self.spec, plain.settings.seed), blocks(0)];
        let input = above(&mut nodes, &self.before, 0, 1)?;
        let unit = OnlineUnit::Blocks { block: nodes[input].schema.fields().len() - 1 };
        self.online(&mut nodes, self.tail.calls, online, unit, vec![input, 1])?;
        self.tail.ended(nodes)
    }

    /// Adds the aggregate that estimates, and where it has bounds of values from.
    fn online(
        &self,
        nodes: &mut Vec<Node>,
        calls: &[AggregateCall],
        online: &OnlineSettings,
        unit: OnlineUnit,
        mut inputs: Vec<NodeId>,
    ) -> Result<()> {
        let bounds = self.bounds(online, nodes, &mut inputs)?;
        nodes.push(self.tail.online(calls, online, unit, bounds, inputs));
        Ok(())
    }
}

impl Tail<'_> {
    /// The plan with the select list and the sink at its end.
    fn ended(&self, mut nodes: Vec<Node>) -> Result<Vec<Node>> {
        let (projection, fields) = self.select_list();
        let schema = Arc::new(Schema::new(fields));
        let upsert_key = self.upsert_key();
        let node = |operator, inputs: Vec<NodeId>| {
            let (schema, changelog, upsert_key) = (Arc::clone(&schema), Changelog::Retract, upsert_key.clone());
            Node { operator, inputs, schema, changelog, upsert_key }
        };
        let calc = node(Operator::Calc { predicate: None, projection }, vec![nodes.len() - 1]);
        nodes.push(calc);
        let Operator::Sink(sink) = &self.sink.operator else { return Err(refused("of this kind")) };
        let mut sink = sink.clone();
        (sink.schema, sink.changelog, sink.upsert_key) = (Arc::clone(&schema), true, upsert_key.clone());
        nodes.push(node(Operator::Sink(sink), vec![nodes.len() - 1]));
        Ok(nodes)
    }

    /// The aggregate that estimates.
    fn online(
        &self,
        calls: &[AggregateCall],
        online: &OnlineSettings,
        unit: OnlineUnit,
        bounds: Vec<Option<OnlineBounds>>,
        inputs: Vec<NodeId>,
    ) -> Node {
        let key_fields = self.aggregate.schema.fields().iter().take(self.keys.len()).cloned();
        let call_fields = (0..self.calls.len()).flat_map(|call| estimate_fields(&format!("#{call}")));
        let spec = OnlineAggregate {
            keys: self.keys.to_vec(),
            aggregates: calls.to_vec(),
            unit,
            confidence: online.confidence,
            method: online.method,
            bounds,
            interval_ms: online.interval_ms,
        };
        Node {
            operator: Operator::Online(Box::new(spec)),
            inputs,
            schema: Arc::new(Schema::new(key_fields.chain(call_fields).chain(seen_fields()).collect::<Vec<_>>())),
            changelog: Changelog::Retract,
            upsert_key: Some((0..self.keys.len()).collect()),
        }
    }

    /// The select list over the estimates: three columns for each aggregate, and at the end how much was read.
    fn select_list(&self) -> (Vec<Expr>, Vec<FieldRef>) {
        let (mut columns, mut fields, mut names) = (vec![], vec![], HashSet::new());
        for (at, column) in self.selected.iter().enumerate() {
            let field = &self.sink.schema.fields()[at];
            match column.checked_sub(self.keys.len()) {
                None => {
                    columns.push(Expr::Column(*column));
                    fields.push(Arc::clone(field));
                    names.insert(field.name().clone());
                }
                Some(call) => {
                    let first = self.keys.len() + 3 * call;
                    columns.extend((first..first + 3).map(Expr::Column));
                    let name = unique(estimate_name(field.name(), &self.calls[call]), &mut names);
                    fields.extend(estimate_fields(&name));
                }
            }
        }
        let seen = self.keys.len() + 3 * self.calls.len();
        columns.extend([Expr::Column(seen), Expr::Column(seen + 1)]);
        fields.extend(seen_fields());
        (columns, fields)
    }

    /// Where the select list has all keys.
    fn upsert_key(&self) -> Option<Vec<usize>> {
        let (mut at, mut places) = (0, vec![None; self.keys.len()]);
        for column in &self.selected {
            match places.get_mut(*column) {
                Some(place) => (*place, at) = (Some(at), at + 1),
                None => at += 3,
            }
        }
        places.into_iter().collect()
    }
}

fn check_call(call: &AggregateCall) -> Result<()> {
    match (call.distinct, FUNCTIONS.contains(&call.function.as_str())) {
        (false, true) => Ok(()),
        (true, _) => Err(refused("of DISTINCT values")),
        (_, false) => Err(refused(&format!("of {}", call.function))),
    }
}

/// The columns of the aggregate that are shown, if they are shown as they are.
fn selected(after: &[Node], width: usize) -> Result<Vec<usize>> {
    let Some((calc, rest)) = after.split_first() else { return Ok((0..width).collect()) };
    let (Operator::Calc { predicate: None, projection }, []) = (&calc.operator, rest) else {
        return Err(refused("with HAVING, ORDER BY or LIMIT"));
    };
    let column = |expr: &Expr| match expr {
        Expr::Column(column) => Ok(*column),
        other => Err(refused(&format!("with an expression over aggregates ({other})"))),
    };
    projection.iter().map(column).collect()
}

/// The source in random order, up to its present end, with the number of a row's block as its last column.
fn shuffled(source: &Node, spec: &SourceSpec, seed: u64) -> Node {
    let mut spec = Box::new(spec.clone());
    (spec.order, spec.watermark) = (ReadOrder::ShuffledBlocks { seed }, None);
    if matches!(spec.options.connector(), "topic" | "kafka") {
        let mode = spec.options.0.entry("scan.bounded.mode".to_owned());
        mode.or_insert_with(|| "latest-offset".to_owned());
    }
    let block = Arc::new(Field::new(BLOCK, DataType::Int64, false));
    let schema = appended(&source.schema, [block]);
    Node { operator: Operator::Source(spec), schema, upsert_key: None, ..source.clone() }
}

fn appended(schema: &Schema, fields: impl IntoIterator<Item = FieldRef>) -> Arc<Schema> {
    Arc::new(Schema::new(schema.fields().iter().cloned().chain(fields).collect::<Vec<_>>()))
}

/// Puts projections over a node, which hand on its last columns, so many of them; returns the uppermost.
fn above(nodes: &mut Vec<Node>, projections: &[&Node], mut input: NodeId, count: usize) -> Result<NodeId> {
    for node in projections {
        nodes.push(handing_on(node, input, &nodes[input], count)?);
        input = nodes.len() - 1;
    }
    Ok(input)
}

fn handing_on(node: &Node, input: NodeId, below: &Node, count: usize) -> Result<Node> {
    let Operator::Calc { predicate, projection } = &node.operator else { return Err(refused("of this kind")) };
    let fields = below.schema.fields();
    let handed = fields.len() - count..fields.len();
    let schema = appended(&node.schema, fields[handed.clone()].iter().cloned());
    let projection = projection.iter().cloned().chain(handed.map(Expr::Column)).collect();
    let operator = Operator::Calc { predicate: predicate.clone(), projection };
    Ok(Node { operator, inputs: vec![input], schema, ..node.clone() })
}

/// Which blocks of a source were read.
fn blocks(source: NodeId) -> Node {
    Node {
        operator: Operator::Blocks { source },
        inputs: vec![],
        schema: blocks_schema(),
        changelog: Changelog::AppendOnly,
        upsert_key: None,
    }
}

/// The name of an aggregate that has none of its own is its function's.
fn estimate_name(name: &str, call: &AggregateCall) -> String {
    if name.starts_with("EXPR$") || name.contains('(') { call.function.clone() } else { name.to_owned() }
}

fn unique(name: String, names: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !names.contains(name));
    let free = free.unwrap_or(name);
    names.insert(free.clone());
    free
}

fn estimate_fields(name: &str) -> [FieldRef; 3] {
    ["", "_low", "_high"].map(|end| Arc::new(Field::new(format!("{name}{end}"), DataType::Float64, true)))
}

fn seen_fields() -> [FieldRef; 2] {
    let rows = Field::new(ROWS_SEEN, DataType::Int64, false);
    [Arc::new(rows), Arc::new(Field::new(FRACTION, DataType::Float64, true))]
}
