//! What is known of the values before any of them was read, where the method of the intervals needs that.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use fleuve_base::{Error, Result};
use fleuve_plan::{
    AggregateCall, BoundsFrom, Changelog, Expr, Node, NodeId, OnlineBounds, OnlineMethod, Operator, TableOptions,
};

use super::{Shape, refused};
use crate::catalog::IndexDef;
use crate::planner::index::{INDEX, index_source};
use crate::settings::OnlineSettings;

impl Shape<'_> {
    /// Bounds of the argument of each aggregate that needs them: those that the user has set, else the keys of an index, else
    /// those of its type. An index is read by a node of its own, which becomes a further input.
    pub(super) fn bounds(
        &self,
        online: &OnlineSettings,
        nodes: &mut Vec<Node>,
        inputs: &mut Vec<NodeId>,
    ) -> Result<Vec<Option<OnlineBounds>>> {
        let method = match online.method {
            OnlineMethod::LargeSample => return Ok(vec![None; self.tail.calls.len()]),
            OnlineMethod::Conservative => "hoeffding",
            OnlineMethod::Deterministic => "deterministic",
        };
        let mut bounds = vec![];
        for call in self.tail.calls {
            let Some((column, data_type)) = self.argument(call, method)? else {
                bounds.push(None);
                continue;
            };
            let from = match self.known_bounds(online, &column, &data_type) {
                Some(known) => known,
                None => {
                    let extremes = self.extremes(&column, &data_type).ok_or_else(|| unknown(&column, method))?;
                    inputs.push(nodes.len());
                    nodes.push(extremes);
                    BoundsFrom::Input(inputs.len() - 1)
                }
            };
            bounds.push(Some(OnlineBounds { column, from }));
        }
        Ok(bounds)
    }

    /// The column whose values are bounded; none of a number of rows.
    fn argument(&self, call: &AggregateCall, method: &str) -> Result<Option<(String, DataType)>> {
        let argument = match (call.function.as_str(), call.args.first()) {
            ("count", _) | (_, None) => return Ok(None),
            ("sum" | "avg", Some(argument)) => *argument,
            (other, _) => {
                let error = refused(&format!("of {other} by the method '{method}'"));
                return Err(error.with_hint("SET 'online.method' = 'clt'"));
            }
        };
        self.column(argument).map(Some).ok_or_else(|| {
            let message =
                format!("intervals by the method '{method}' need bounds, and those of an expression are not known");
            Error::input("E304", message)
                .with_hint("make the expression a column of the table (c AS …), and SET 'online.bounds' = 'c low high'")
        })
    }

    fn known_bounds(&self, online: &OnlineSettings, column: &str, data_type: &DataType) -> Option<BoundsFrom> {
        let set = online.bounds.iter().find(|set| set.column.eq_ignore_ascii_case(column));
        if let Some(set) = set {
            return Some(set.from);
        }
        let indexed = self.index_of(column).is_some();
        bounds_of_type(data_type).filter(|_| !indexed).map(|(low, high)| BoundsFrom::Known { low, high })
    }

    fn index_of(&self, column: &str) -> Option<&IndexDef> {
        let serves = |index: &&IndexDef| index.table == self.spec.table && index.columns == [column];
        self.catalog.indexes().find(serves)
    }

    /// A source of the smallest and the greatest key of the index on a column, if it has one.
    fn extremes(&self, column: &str, data_type: &DataType) -> Option<Node> {
        let index = self.index_of(column).filter(|_| data_type.is_numeric())?;
        let options = [("connector", INDEX), ("index", &index.name), ("mode", "extremes")];
        let fields = ["low", "high"].map(|name| Field::new(name, DataType::Float64, true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let options = TableOptions(options.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let spec = index_source(&self.spec.table, options, Arc::clone(&schema));
        let (operator, inputs) = (Operator::Source(Box::new(spec)), vec![]);
        Some(Node { operator, inputs, schema, upsert_key: None, changelog: Changelog::AppendOnly })
    }

    /// The table's column that a column of the aggregate's input is, perhaps as another type of number.
    fn column(&self, argument: usize) -> Option<(String, DataType)> {
        let mut at = argument;
        for node in self.before.iter().rev() {
            at = match &node.operator {
                Operator::Calc { projection, .. } => plain(projection.get(at)?)?,
                _ => at,
            };
        }
        let field = self.spec.full_schema().field(plain(self.spec.output.get(at)?)?).clone();
        Some((field.name().clone(), field.data_type().clone()))
    }
}

fn unknown(column: &str, method: &str) -> Error {
    Error::input("E304", format!("intervals by the method '{method}' need bounds of `{column}`"))
        .with_hint(format!("SET 'online.bounds' = '{column} low high', its least and greatest value"))
        .with_detail("or an index on that column alone tells them")
}

/// The column that an expression is, but for its type.
fn plain(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column(column) => Some(*column),
        Expr::Cast { expr, .. } => plain(expr),
        _ => None,
    }
}

/// What every value of a narrow type lies within.
fn bounds_of_type(data_type: &DataType) -> Option<(f64, f64)> {
    match data_type {
        DataType::Int8 => Some((f64::from(i8::MIN), f64::from(i8::MAX))),
        DataType::Int16 => Some((f64::from(i16::MIN), f64::from(i16::MAX))),
        _ => None,
    }
}
