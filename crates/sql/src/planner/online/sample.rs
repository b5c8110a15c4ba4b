//! SELECT ONLINE of a sample: one answer, when all of the sample is there, with intervals of the whole.
//!
//! The sample tells the key of each row or the number of rows that it was drawn from, and these columns are handed on to the
//! aggregate. A condition above the sample decides what counts, not what was drawn, so it becomes a column as well.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use fleuve_base::{Error, Result};
use fleuve_plan::online::{POPULATION, SAMPLE_KEY};
use fleuve_plan::{
    AggregateCall, BinaryOp, Expr, Node, OnlineMethod, OnlineUnit, Operator, SampleMethod, SampleUnit, SourceSpec,
};

use super::{Shape, refused};
use crate::planner::index::INDEX;
use crate::planner::is_bounded;
use crate::settings::OnlineSettings;

/// The nodes of the plan, and where the last of them has what the sample tells.
struct Told {
    nodes: Vec<Node>,
    unit: Option<SampleUnit>,
    /// Conditions of rows that were drawn (positions).
    conditions: Vec<usize>,
}

impl Shape<'_> {
    /// The plan of an aggregate over a sample; none if it is over a table.
    pub(super) fn sampled(&self, online: &OnlineSettings) -> Result<Option<Vec<Node>>> {
        let olken = self.spec.options.connector() == INDEX;
        let samples = self.before.iter().filter(|node| matches!(node.operator, Operator::Sample { .. })).count();
        match samples + usize::from(olken) {
            0 => return Ok(None),
            1 => {}
            _ => return Err(refused("of a sample of a sample")),
        }
        if online.method != OnlineMethod::LargeSample {
            return Err(refused("of a sample by another method than 'clt'").with_hint("SET 'online.method' = 'clt'"));
        }
        let mut told = if olken { self.draws()? } else { Told::new(self.source.clone()) };
        for node in &self.before {
            match &node.operator {
                Operator::Sample { .. } => told.sample(node, self.spec)?,
                _ => told.calc(node)?,
            }
        }
        let calls = told.calls(self.tail.calls);
        let unit = told.unit.ok_or_else(|| Error::internal("a sample without its chances"))?;
        let mut nodes = told.nodes;
        let input = nodes.len() - 1;
        self.online(&mut nodes, &calls, online, OnlineUnit::Sample(unit), vec![input])?;
        self.tail.ended(nodes).map(Some)
    }

    /// The source of rows drawn through an index, with the number of all rows as its last column.
    fn draws(&self) -> Result<Told> {
        let (mut spec, mut fields) = (self.spec.clone(), self.source.schema.fields().to_vec());
        if spec.predicate.is_some() || !spec.metadata.is_empty() || !spec.computed.is_empty() {
            return Err(Error::internal("draws through an index are filtered where they are made"));
        }
        let population = Arc::new(Field::new(POPULATION, DataType::Int64, false));
        spec.metadata = vec![POPULATION.to_owned()];
        spec.metadata_schema = Arc::new(Schema::new(vec![Arc::clone(&population)]));
        spec.output.push(Expr::Column(spec.physical.fields().len()));
        fields.push(population);
        let replacement = spec.options.get("replacement") == Some("true");
        let unit = SampleUnit::Draws { population: fields.len() - 1, replacement };
        let schema = Arc::new(Schema::new(fields));
        let node = Node { operator: Operator::Source(Box::new(spec)), schema, ..self.source.clone() };
        Ok(Told { unit: Some(unit), ..Told::new(node) })
    }
}

impl Told {
    fn new(source: Node) -> Self {
        Told { nodes: vec![source], unit: None, conditions: vec![] }
    }

    /// A sample that tells.
    fn sample(&mut self, node: &Node, source: &SourceSpec) -> Result<()> {
        let Operator::Sample { method, columns, seed, at_end, .. } = node.operator.clone() else {
            return Err(refused("of this kind"));
        };
        if !is_bounded(&source.options) {
            return Err(refused("of a sample of a stream that does not end")
                .with_detail("such a sample changes as long as rows come, and its estimates are of all rows")
                .with_hint("sample windows of the stream, or what is stored: a bounded source"));
        }
        let width = node.schema.fields().len();
        let mut told = vec![Arc::new(Field::new(SAMPLE_KEY, DataType::Int64, false))];
        let (method, unit) = match method {
            SampleMethod::Bernoulli { probability } => (method, SampleUnit::Bernoulli { key: width, probability }),
            // One row more tells how large the keys are that were passed over.
            SampleMethod::Reservoir { rows } => {
                (SampleMethod::Reservoir { rows: rows + 1 }, smallest(width, rows, None))
            }
            SampleMethod::Weighted { weight, rows } => {
                (SampleMethod::Weighted { weight, rows: rows + 1 }, smallest(width, rows, Some(weight)))
            }
        };
        if method.rows().is_some() {
            told.push(Arc::new(Field::new(POPULATION, DataType::Int64, false)));
        }
        self.unit = Some(unit);
        let operator = Operator::Sample { method, columns, seed, at_end, tells: true };
        self.push(node, operator, node.schema.fields().iter().cloned().chain(told).collect());
        Ok(())
    }

    /// A projection, which hands on what the sample has told.
    fn calc(&mut self, node: &Node) -> Result<()> {
        let Operator::Calc { predicate, projection } = &node.operator else { return Err(refused("of this kind")) };
        if self.unit.is_none() {
            self.push(node, node.operator.clone(), node.schema.fields().to_vec());
            return Ok(());
        }
        let input = self.schema();
        let (mut projection, mut fields) = (projection.clone(), node.schema.fields().to_vec());
        let mut hand_on = |column: &mut usize| {
            projection.push(Expr::Column(*column));
            fields.push(Arc::clone(&input.fields()[*column]));
            *column = fields.len() - 1;
        };
        match &mut self.unit {
            Some(SampleUnit::Bernoulli { key, .. }) => hand_on(key),
            Some(SampleUnit::Smallest { key, population, weight, .. }) => {
                [key, population].into_iter().chain(weight).for_each(&mut hand_on);
            }
            Some(SampleUnit::Draws { population, .. }) => hand_on(population),
            None => {}
        }
        self.conditions.iter_mut().for_each(&mut hand_on);
        if let Some(predicate) = predicate {
            projection.push(predicate.clone());
            fields.push(condition(fields.len()));
            self.conditions.push(fields.len() - 1);
        }
        self.push(node, Operator::Calc { predicate: None, projection }, fields);
        Ok(())
    }

    /// The aggregates, with the conditions as a part of their filters.
    fn calls(&mut self, calls: &[AggregateCall]) -> Vec<AggregateCall> {
        let mut calls = calls.to_vec();
        if self.conditions.is_empty() {
            return calls;
        }
        let Some(last) = self.nodes.last().cloned() else { return calls };
        let mut fields = last.schema.fields().to_vec();
        let mut projection: Vec<Expr> = (0..fields.len()).map(Expr::Column).collect();
        for call in &mut calls {
            let parts = call.filter.into_iter().chain(self.conditions.iter().copied()).map(Expr::Column);
            let all = parts.reduce(|left, right| Expr::binary(BinaryOp::And, left, right));
            call.filter = all.map(|all| {
                projection.push(all);
                fields.push(condition(fields.len()));
                fields.len() - 1
            });
        }
        self.push(&last, Operator::Calc { predicate: None, projection }, fields);
        calls
    }

    fn schema(&self) -> Arc<Schema> {
        self.nodes.last().map_or_else(|| Arc::new(Schema::empty()), |node| Arc::clone(&node.schema))
    }

    fn push(&mut self, like: &Node, operator: Operator, fields: Vec<FieldRef>) {
        let inputs = vec![self.nodes.len() - 1];
        self.nodes.push(Node { operator, inputs, schema: Arc::new(Schema::new(fields)), ..like.clone() });
    }
}

fn smallest(width: usize, rows: u64, weight: Option<usize>) -> SampleUnit {
    SampleUnit::Smallest { key: width, population: width + 1, rows, weight }
}

fn condition(at: usize) -> FieldRef {
    Arc::new(Field::new(format!("${at}"), DataType::Boolean, true))
}
