//! SELECT ONLINE over a join of two tables: a ripple join.
//!
//! Both sources are read block by block in random order, and the ordinary join puts together what has come of them. Every
//! joined row has the numbers of its two blocks, which are what was drawn.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use fleuve_base::{Place, Result};
use fleuve_plan::{
    AggregateCall, Expr, JoinKind, Node, NodeId, OnlineMethod, OnlineUnit, Operator, Pipeline, SourceSpec,
};
use sqlparser::ast::{Query, SetExpr, Spanned, TableWithJoins};

use super::super::errors::at_opt;
use super::super::index::INDEX;
use super::{Tail, above, appended, blocks, chain, check_source, refused, shuffled};
use crate::parser::place;
use crate::settings::OnlineSettings;

/// What the second table's order is drawn from besides the seed: the orders are to be independent.
const SECOND: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the numbers of the blocks are called.
const BLOCKS: [&str; 2] = ["$left_block", "$right_block"];

/// The parts of the ordinary plan: two tables with projections, their join, projections, and the rest.
pub struct Joined<'p> {
    sides: [Side<'p>; 2],
    join: &'p Node,
    before: Vec<&'p Node>,
    tail: Tail<'p>,
}

struct Side<'p> {
    source: &'p Node,
    spec: &'p SourceSpec,
    before: Vec<&'p Node>,
    /// Columns that the join reads.
    width: usize,
}

/// Whether a node joins two inputs.
pub fn is_join(node: &Node) -> bool {
    matches!(node.operator, Operator::Join { .. } | Operator::WindowJoin { .. } | Operator::LookupJoin { .. })
}

impl<'p> Joined<'p> {
    /// # Errors
    /// E201, if it is not an inner join of two tables on an equality.
    pub fn of(
        pipeline: &'p Pipeline,
        query: &Query,
        join: &'p Node,
        before: Vec<&'p Node>,
        tail: Tail<'p>,
    ) -> Result<Self> {
        check_kind(join).map_err(|error| at_opt(error, place_of_join(query, 0)))?;
        let side = |input: usize| {
            let id = join.inputs[input];
            let (source, before) = chain(pipeline, id);
            if is_join(source) {
                let error = refused("from more than two tables");
                let error = error.with_hint("write the third table's columns into one of the two, or leave it out");
                return Err(at_opt(error, place_of_join(query, 1)));
            }
            let spec = check_source(source)?;
            let is_sample = |node: &&Node| matches!(node.operator, Operator::Sample { .. });
            if spec.options.connector() == INDEX || before.iter().any(is_sample) {
                return Err(at_opt(refused("of a join with a sample"), place_of_join(query, 0)));
            }
            Ok(Side { source, spec, before, width: pipeline.nodes[id].schema.fields().len() })
        };
        Ok(Joined { sides: [side(0)?, side(1)?], join, before, tail })
    }

    /// The plan that reads both tables block by block. A table that is joined with itself is read twice, as the orders have to
    /// be independent.
    ///
    /// # Errors
    /// E201, if its estimates are known of one table only.
    pub fn in_blocks(&self, plain: &Pipeline, online: &OnlineSettings) -> Result<Vec<Node>> {
        self.check_estimates(online)?;
        let seeds = [plain.settings.seed, plain.settings.seed ^ SECOND];
        let sources = self.sides.iter().zip(seeds).map(|(side, seed)| shuffled(side.source, side.spec, seed));
        let mut nodes: Vec<Node> = sources.chain([blocks(0), blocks(1)]).collect();
        let mut inputs = [0, 1];
        for (side, input) in self.sides.iter().zip(&mut inputs) {
            *input = above(&mut nodes, &side.before, *input, 1)?;
        }
        let join = self.join(&nodes, inputs)?;
        nodes.push(join);
        let rearranged = self.rearranged(&nodes);
        nodes.push(rearranged);
        let input = nodes.len() - 1;
        let input = above(&mut nodes, &self.before, input, 2)?;
        let width = nodes[input].schema.fields().len();
        let unit = OnlineUnit::Pairs { left: width - 2, right: width - 1 };
        let none = vec![None; self.tail.calls.len()];
        nodes.push(self.tail.online(self.tail.calls, online, unit, none, vec![input, 2, 3]));
        self.tail.ended(nodes)
    }

    /// Of a join there are counts, sums and means, with intervals by the central limit theorem.
    fn check_estimates(&self, online: &OnlineSettings) -> Result<()> {
        if online.method != OnlineMethod::LargeSample {
            let error = refused("of a join by another method than 'clt'");
            return Err(error.with_hint("SET 'online.method' = 'clt'"));
        }
        let unknown = |call: &&AggregateCall| !matches!(call.function.as_str(), "count" | "sum" | "avg");
        match self.tail.calls.iter().find(unknown) {
            Some(call) => Err(refused(&format!("of {} over a join", call.function))),
            None => Ok(()),
        }
    }

    /// The join of inputs that have a further column each, their blocks' numbers.
    fn join(&self, nodes: &[Node], inputs: [NodeId; 2]) -> Result<Node> {
        let Operator::Join { kind, left_keys, right_keys, filter, .. } = self.join.operator.clone() else {
            return Err(refused("of this kind"));
        };
        let width = self.sides[0].width;
        let filter = filter.map(|mut filter| {
            filter.map_columns(&|column| if column < width { column } else { column + 1 });
            filter
        });
        let fields = inputs.iter().flat_map(|input| nodes[*input].schema.fields().iter().cloned());
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        // Bounds on times are in the filter as well. Rows do not come by their times, so they may not expire by them.
        let operator = Operator::Join { kind, left_keys, right_keys, filter, interval: None };
        Ok(Node { operator, inputs: inputs.to_vec(), schema, upsert_key: None, ..self.join.clone() })
    }

    /// The join's columns as they were, and then the numbers of the blocks.
    fn rearranged(&self, nodes: &[Node]) -> Node {
        let [left, right] = [self.sides[0].width, self.sides[1].width];
        let columns = (0..left).chain(left + 1..left + 1 + right).chain([left, left + 1 + right]);
        let numbers = BLOCKS.map(|name| Arc::new(Field::new(name, DataType::Int64, false)) as FieldRef);
        Node {
            operator: Operator::Calc { predicate: None, projection: columns.map(Expr::Column).collect() },
            inputs: vec![nodes.len() - 1],
            schema: appended(&self.join.schema, numbers),
            upsert_key: None,
            ..self.join.clone()
        }
    }
}

fn check_kind(join: &Node) -> Result<()> {
    let refused = |what: &str, hint: &str| -> Result<()> { Err(refused(what).with_hint(hint.to_owned())) };
    let outer =
        "write JOIN: a row that has no partner yet may still find one, so nothing can be said of it before the end";
    match &join.operator {
        Operator::Join { kind: JoinKind::Inner, left_keys, .. } if left_keys.is_empty() => {
            refused("of a join without an equality", "add a condition a.key = b.key")
        }
        Operator::Join { kind: JoinKind::Inner, .. } => Ok(()),
        Operator::Join { kind: JoinKind::Left, .. } => refused("of a LEFT JOIN", outer),
        Operator::Join { .. } => refused("with IN or EXISTS", "write JOIN … ON a.key = b.key"),
        Operator::LookupJoin { .. } => refused("with FOR SYSTEM_TIME AS OF", "write JOIN … ON a.key = b.key"),
        _ => refused("of a join of windows", "write JOIN … ON a.key = b.key, without the windows"),
    }
}

/// Where the query names the table that is joined as the first, or as a later one.
fn place_of_join(query: &Query, at: usize) -> Option<Place> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let tables = |from: &'_ TableWithJoins| -> Vec<_> {
        std::iter::once(from.relation.span()).chain(from.joins.iter().map(Spanned::span)).collect()
    };
    select.from.iter().flat_map(tables).nth(at + 1).and_then(place)
}
