//! From steps to the pipeline: scans of one table become one source, what nobody reads goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use fleuve_base::{Error, Result};
use fleuve_plan::{Changelog, Expr, Node, NodeId, Operator, Pipeline, Settings, TimeAttribute, WindowInput};

use super::relation::{Graph, GraphNode, Step, Time};
use super::scan::{Reader, Shared, share, source_spec};
use super::sink::RESULT;

/// The pipeline that ends in the given steps.
pub fn pipeline(graph: &Graph, sinks: &[usize], settings: &Settings) -> Result<Pipeline> {
    let mut builder = Builder::new(graph, sinks);
    for id in 0..graph.nodes.len() {
        if builder.live[id] {
            builder.add(id)?;
        }
    }
    let is_query =
        builder.nodes.iter().any(|node| matches!(&node.operator, Operator::Sink(sink) if sink.table == RESULT));
    if !is_query {
        add_dead_letters(&mut builder.nodes);
    }
    let mut pipeline =
        Pipeline { name: String::new(), fingerprint: 0, settings: settings.clone(), nodes: builder.nodes };
    check_zone(&pipeline)?;
    pipeline.fingerprint = pipeline.compute_fingerprint();
    pipeline.check()?;
    Ok(pipeline)
}

/// Windows over instants lie in local time, while watermarks are instants: the two agree in UTC only.
fn check_zone(pipeline: &Pipeline) -> Result<()> {
    let zone = &pipeline.settings.time_zone;
    let is_window = |node: &Node| {
        matches!(
            node.operator,
            Operator::AssignWindow { .. } | Operator::WindowAggregate { .. } | Operator::WindowJoin { .. }
        )
    };
    let is_instant = |node: &Node| {
        let Operator::Source(spec) = &node.operator else { return false };
        let Some(watermark) = &spec.watermark else { return false };
        let fields =
            spec.physical.fields().iter().chain(spec.metadata_schema.fields()).chain(spec.computed_schema.fields());
        let mut columns = fields.filter(|field| *field.name() == watermark.column);
        columns.any(|field| matches!(field.data_type(), DataType::Timestamp(_, Some(_))))
    };
    if zone == "UTC" || !pipeline.nodes.iter().any(is_window) || !pipeline.nodes.iter().any(is_instant) {
        return Ok(());
    }
    let message = format!("windows over a TIMESTAMP_LTZ in the time zone {zone} are not in this build");
    Err(Error::unsupported("E201", message)
        .with_hint("SET 'table.local-time-zone' = 'UTC', or declare the time column as TIMESTAMP(3)"))
}

/// Leads the bad records of each source that wants it into its topic. Not for a query, which changes nothing.
fn add_dead_letters(nodes: &mut Vec<Node>) {
    for source in 0..nodes.len() {
        let Operator::Source(spec) = &nodes[source].operator else { continue };
        let Some(sink) = spec.dead_letters() else { continue };
        let node = |operator, inputs, schema| {
            let changelog = Changelog::AppendOnly;
            Node { operator, inputs, schema, changelog, upsert_key: None }
        };
        let schema = Arc::clone(&sink.schema);
        nodes.push(node(Operator::BadRecords { source }, vec![], Arc::clone(&schema)));
        nodes.push(node(Operator::Sink(Box::new(sink)), vec![nodes.len() - 1], schema));
    }
}

struct Builder<'g> {
    graph: &'g Graph,
    /// Whether a sink depends on the step.
    live: Vec<bool>,
    /// Whether something that works by event time depends on the step.
    timed: Vec<bool>,
    /// The node that has a step's output.
    placed: Vec<Option<NodeId>>,
    /// The shared source of each table with several readers, and the readers above it by step.
    shared: BTreeMap<usize, (NodeId, BTreeMap<usize, Reader>)>,
    nodes: Vec<Node>,
}

impl<'g> Builder<'g> {
    fn new(graph: &'g Graph, sinks: &[usize]) -> Self {
        let mut live = vec![false; graph.nodes.len()];
        sinks.iter().for_each(|sink| live[*sink] = true);
        let mut timed = vec![false; graph.nodes.len()];
        for (id, node) in graph.nodes.iter().enumerate().rev() {
            if !live[id] {
                continue;
            }
            let by_time = timed[id] || works_by_event_time(graph, node);
            for input in &node.inputs {
                live[*input] = true;
                timed[*input] |= by_time;
            }
        }
        let placed = vec![None; graph.nodes.len()];
        Builder { graph, live, timed, placed, shared: BTreeMap::new(), nodes: vec![] }
    }

    fn add(&mut self, id: usize) -> Result<()> {
        let node = &self.graph.nodes[id];
        let (operator, inputs) = match &node.step {
            Step::Operator(operator) => {
                let inputs = node.inputs.iter().map(|input| self.placed[*input]).collect::<Option<Vec<NodeId>>>();
                (operator.clone(), inputs.ok_or_else(|| Error::internal("a step stands before its input"))?)
            }
            Step::Scan { table, .. } => match self.scan(id, *table)? {
                Some(placed) => placed,
                None => return Ok(()),
            },
        };
        self.nodes.push(Node {
            operator,
            inputs,
            schema: Arc::new(Schema::new(node.fields.clone())),
            changelog: node.changelog,
            upsert_key: node.upsert_key.clone(),
        });
        self.placed[id] = Some(self.nodes.len() - 1);
        Ok(())
    }

    /// The operator of a scan; none if the shared source itself is what it yields.
    fn scan(&mut self, id: usize, table: usize) -> Result<Option<(Operator, Vec<NodeId>)>> {
        let scans = self.scans_of(table);
        if let [(_, reader)] = scans.as_slice() {
            let timed = self.timed[id];
            let spec = source_spec(&self.graph.tables[table], reader.predicate.clone(), reader.output.clone(), timed);
            return Ok(Some((Operator::Source(Box::new(spec)), vec![])));
        }
        if !self.shared.contains_key(&table) {
            self.add_shared(table, scans);
        }
        let (source, readers) = self.shared.get(&table).ok_or_else(|| Error::internal("a shared source is missing"))?;
        let reader = readers.get(&id).cloned().ok_or_else(|| Error::internal("a scan has no reader"))?;
        let width = self.nodes[*source].schema.fields().len();
        if reader.predicate.is_none() && reader.output.iter().cloned().eq((0..width).map(Expr::Column)) {
            self.placed[id] = Some(*source);
            return Ok(None);
        }
        let calc = Operator::Calc { predicate: reader.predicate, projection: reader.output };
        Ok(Some((calc, vec![*source])))
    }

    fn scans_of(&self, wanted: usize) -> Vec<(usize, Reader)> {
        let scans = self.graph.nodes.iter().enumerate().filter(|(id, _)| self.live[*id]);
        let reader = |(id, node): (usize, &GraphNode)| match &node.step {
            Step::Scan { table, predicate, output } if *table == wanted => {
                Some((id, Reader { predicate: predicate.clone(), output: output.clone() }))
            }
            _ => None,
        };
        scans.filter_map(reader).collect()
    }

    fn add_shared(&mut self, number: usize, scans: Vec<(usize, Reader)>) {
        let table = &self.graph.tables[number];
        let (ids, readers): (Vec<usize>, Vec<Reader>) = scans.into_iter().unzip();
        let timed = ids.iter().any(|id| self.timed[*id]);
        let Shared { output, fields, predicate, readers } = share(table, readers);
        let position = |column: &usize| output.iter().position(|expr| *expr == Expr::Column(*column));
        let key = Some(table.primary_key()).filter(|key| !key.is_empty() && table.is_changelog());
        let upsert_key = key.and_then(|key| key.iter().map(position).collect());
        self.nodes.push(Node {
            operator: Operator::Source(Box::new(source_spec(table, predicate, output.clone(), timed))),
            inputs: vec![],
            schema: Arc::new(Schema::new(fields)),
            changelog: if table.is_changelog() { Changelog::Retract } else { Changelog::AppendOnly },
            upsert_key,
        });
        let readers = ids.into_iter().zip(readers).collect();
        self.shared.insert(number, (self.nodes.len() - 1, readers));
    }
}

/// Whether a step waits for the watermark.
fn works_by_event_time(graph: &Graph, node: &GraphNode) -> bool {
    match &node.step {
        Step::Operator(Operator::AssignWindow { time, .. }) => *time != TimeAttribute::Processing,
        Step::Operator(Operator::WindowAggregate { input, .. }) => match input {
            WindowInput::Assign { time, .. } => *time != TimeAttribute::Processing,
            WindowInput::Attached { processing, .. } => !processing,
        },
        Step::Operator(Operator::WindowJoin { left_window, .. }) => {
            let time = node.inputs.first().and_then(|input| graph.nodes[*input].times.get(left_window.0));
            !matches!(time, Some(Time::WindowStart(windowing)) if windowing.processing)
        }
        Step::Operator(Operator::Join { interval, .. }) => interval.is_some(),
        _ => false,
    }
}
