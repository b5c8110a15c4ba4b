//! TABLESAMPLE: from its clause to the operator.
//!
//! All columns of the sampled relation are read, whatever the query needs: a row's content decides its fate, so the same
//! sample must not depend on who looks at it. Filters stay above a sample for the same reason.

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{Column, DFSchema, DFSchemaRef, DataFusionError, Result, ScalarValue};
use datafusion_expr::planner::RelationPlannerContext;
use datafusion_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use fleuve_base::{Error, Place};
use fleuve_plan::{Changelog, Operator, SampleMethod};
use sqlparser::ast::{self, Spanned, TableSample, TableSampleKind, TableSampleMethod, TableSampleUnit};

use super::errors::{at_opt, external, from_datafusion};
use super::extension::{node_of, only, plan_of};
use super::index;
use super::lower::Lowering;
use super::relation::{GraphNode, Relation, Step, Time};
use super::relation_planner::column_of;
use crate::parser::{byte_range, place};

/// How rows are chosen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Method {
    /// Each by itself, with the probability of these bits.
    Bernoulli(u64),
    /// So many.
    Reservoir(u64),
    /// So many, by the weight in a column.
    Weighted(Column, u64),
}

/// `input TABLESAMPLE …`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sample {
    input: Arc<LogicalPlan>,
    method: Method,
    /// `REPEATABLE (seed)`; without it, the pipeline's.
    seed: Option<u64>,
    /// Samples below this one, which must be drawn by other chances.
    depth: u64,
    /// Byte positions of the clause.
    span: Option<(usize, usize)>,
}

impl PartialOrd for Sample {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

/// Plans a sample of a relation.
pub fn plan(
    kind: &TableSampleKind,
    input: LogicalPlan,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let (TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) = kind;
    let seed = sample.seed.as_ref().map(|seed| {
        let digits = seed.value.to_string();
        digits
            .parse()
            .map_err(|_| wrong(&format!("the seed {digits} is no whole number from 0"), place(seed.value.span)))
    });
    if let Some((rows, options)) = olken(sample) {
        let rows = count(rows, context)?;
        return index::plan_olken(rows, options, seed.transpose()?, &input);
    }
    let (method, span) = method(sample, input.schema(), context)?;
    let depth = samples_in(&input)?;
    Ok(plan_of(Sample { input: input.into(), method, seed: seed.transpose()?, depth, span }))
}

/// The number of rows and the options of `OLKEN (rows, options …)`.
fn olken(sample: &TableSample) -> Option<(&ast::Expr, &[ast::Expr])> {
    match &sample.quantity.as_ref()?.value {
        ast::Expr::Tuple(parts) => match parts.as_slice() {
            [ast::Expr::Identifier(name), rows, options @ ..] if name.value.eq_ignore_ascii_case("OLKEN") => {
                Some((rows, options))
            }
            _ => None,
        },
        _ => None,
    }
}

fn samples_in(plan: &LogicalPlan) -> Result<u64> {
    let mut found = 0;
    plan.apply_with_subqueries(|plan| {
        found += u64::from(node_of::<Sample>(plan).is_some());
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

pub(super) fn wrong(text: &str, place: Option<Place>) -> DataFusionError {
    let hint = "BERNOULLI (percent), RESERVOIR (n ROWS), WEIGHTED (weight, n), OLKEN (n ROWS), each perhaps with \
                REPEATABLE (seed)";
    external(at_opt(Error::input("E025", text.to_owned()).with_hint(hint), place))
}

type Placed = (Method, Option<(usize, usize)>);

fn method(sample: &TableSample, schema: &DFSchema, context: &mut dyn RelationPlannerContext) -> Result<Placed> {
    let Some(quantity) = sample.quantity.as_ref().filter(|_| sample.offset.is_none() && sample.bucket.is_none()) else {
        return Err(wrong("a sample by buckets is not in this build", None));
    };
    let (span, whereabouts) = (byte_range(quantity.value.span()), place(quantity.value.span()));
    let method = match (&sample.name, &quantity.value, &quantity.unit) {
        (Some(TableSampleMethod::Bernoulli), percent, None | Some(TableSampleUnit::Percent)) => {
            Method::Bernoulli(probability(percent, context)?.to_bits())
        }
        (Some(TableSampleMethod::Bernoulli), ..) => {
            return Err(wrong("BERNOULLI takes a percentage of the rows, not their number", whereabouts));
        }
        (None, ast::Expr::Tuple(parts), None) => fixed_size(parts, schema, context)?,
        (Some(other), ..) => {
            let text = format!("TABLESAMPLE {other} is not in this build");
            let hint = "BERNOULLI (percent) chooses each row by itself";
            return Err(external(at_opt(Error::unsupported("E201", text).with_hint(hint), whereabouts)));
        }
        _ => return Err(wrong("TABLESAMPLE needs a method", whereabouts)),
    };
    Ok((method, span))
}

/// `(RESERVOIR, n)`, `(WEIGHTED, w, n)`: what the parser makes of methods that it does not know.
fn fixed_size(parts: &[ast::Expr], schema: &DFSchema, context: &mut dyn RelationPlannerContext) -> Result<Method> {
    let [ast::Expr::Identifier(name), args @ ..] = parts else {
        return Err(wrong("TABLESAMPLE needs a method", None));
    };
    let (whereabouts, name) = (place(name.span), name.value.to_uppercase());
    match (name.as_str(), args) {
        ("RESERVOIR", [rows]) => Ok(Method::Reservoir(count(rows, context)?)),
        ("WEIGHTED", [ast::Expr::Identifier(weight), rows]) => {
            let column = column_of(weight, schema)?;
            let data_type = schema.field(schema.index_of_column(&column)?).data_type().clone();
            if !data_type.is_numeric() {
                let own = crate::types::display(&data_type);
                let text = format!("the weight `{}` must be a number, not {own}", weight.value);
                return Err(external(at_opt(Error::input("E020", text), place(weight.span))));
            }
            Ok(Method::Weighted(column, count(rows, context)?))
        }
        ("RESERVOIR", _) => Err(wrong("RESERVOIR takes a number of rows", whereabouts)),
        ("WEIGHTED", _) => Err(wrong("WEIGHTED takes a column and a number of rows", whereabouts)),
        ("OLKEN", _) => Err(wrong("OLKEN takes a number of rows", whereabouts)),
        _ => Err(wrong(&format!("there is no sampling method {name}"), whereabouts)),
    }
}

/// A constant number, by its digits.
fn number(expr: &ast::Expr, context: &mut dyn RelationPlannerContext) -> Result<Option<String>> {
    let planned = context.sql_to_expr(expr.clone(), &DFSchema::empty())?;
    let (value, minus) = match planned {
        Expr::Negative(inner) => (*inner, "-"),
        other => (other, ""),
    };
    Ok(match value {
        Expr::Literal(value, _) if value.data_type().is_numeric() && !value.is_null() => {
            let text = value.cast_to(&DataType::Utf8)?;
            matches!(text, ScalarValue::Utf8(Some(_))).then(|| format!("{minus}{text}"))
        }
        _ => None,
    })
}

fn probability(expr: &ast::Expr, context: &mut dyn RelationPlannerContext) -> Result<f64> {
    const WHOLE: f64 = 100.0;
    let percent = number(expr, context)?.and_then(|digits| digits.parse::<f64>().ok());
    match percent {
        Some(percent) if (0.0..=WHOLE).contains(&percent) => Ok(percent / WHOLE),
        _ => Err(wrong(&format!("`{expr}` is no percentage from 0 to 100"), place(expr.span()))),
    }
}

fn count(expr: &ast::Expr, context: &mut dyn RelationPlannerContext) -> Result<u64> {
    let most = SampleMethod::ROWS_MAX;
    let rows = number(expr, context)?.and_then(|digits| digits.parse::<u64>().ok());
    rows.filter(|rows| (1..=most).contains(rows))
        .ok_or_else(|| wrong(&format!("a sample has 1 to {most} rows, not `{expr}`"), place(expr.span())))
}

impl UserDefinedLogicalNodeCore for Sample {
    fn name(&self) -> &str {
        "Sample"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        match &self.method {
            Method::Weighted(weight, _) => vec![Expr::Column(weight.clone())],
            Method::Bernoulli(_) | Method::Reservoir(_) => vec![],
        }
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sample: {:?}", self.method)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let column = exprs.first().and_then(|expr| expr.try_as_col().cloned());
        let method = match (&self.method, column) {
            (Method::Weighted(_, rows), Some(column)) => Method::Weighted(column, *rows),
            (method, _) => method.clone(),
        };
        Ok(Sample { input: Arc::new(only(inputs)?), method, ..self.clone() })
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

impl Lowering {
    /// A sample of a relation's rows.
    pub fn sample(&mut self, sample: &Sample) -> fleuve_base::Result<Relation> {
        let input = self.relation(&sample.input)?;
        let fields = input.fields.clone();
        let id = self.graph.materialize(input)?;
        let node = self.graph.nodes[id].clone();
        let method = match &sample.method {
            Method::Bernoulli(bits) => SampleMethod::Bernoulli { probability: f64::from_bits(*bits) },
            Method::Reservoir(rows) => SampleMethod::Reservoir { rows: *rows },
            Method::Weighted(weight, rows) => {
                let weight = sample.input.schema().index_of_column(weight).map_err(from_datafusion)?;
                SampleMethod::Weighted { weight, rows: *rows }
            }
        };
        let fixed = method.rows().is_some();
        if fixed && node.changelog == Changelog::Retract {
            let error = Error::unsupported("E201", "a sample of a fixed size of updated rows is not in this build")
                .with_detail("a row that goes would have to be replaced by one that was passed over")
                .with_hint("BERNOULLI (percent) can be taken of them");
            return Err(at_opt(error, sample.span.map(|(start, end)| Place::sql(start, end))));
        }
        // What differs from run to run, the clock, decides nothing.
        let columns = (0..node.times.len()).filter(|column| node.times[*column] != Time::Processing).collect();
        let seed = sample.seed.unwrap_or(self.seed).wrapping_add(sample.depth);
        let at_end = fixed && node.bounded;
        let changelog = if fixed && !at_end { Changelog::Retract } else { node.changelog };
        let step = Step::Operator(Operator::Sample { method, columns, seed, at_end, tells: false });
        let id = self.graph.add(GraphNode { step, inputs: vec![id], changelog, single_row: false, ..node });
        Ok(Relation::of_node(id, fields))
    }
}
