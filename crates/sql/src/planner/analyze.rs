//! From resolved names to resolved types: what the analysis library's own coercion does not know of this dialect.
//!
//! In order: calls of SQL functions become their bodies, integer literals become INT where they fit, UNNEST finds its
//! left side, system-time joins are checked; then the library coerces the rest (functions' arguments, CASE, IN, UNION).

use std::sync::Arc;

use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRewriter};
use datafusion_common::{Column, DFSchema, Result, TableReference};
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder};
use datafusion_optimizer::AnalyzerRule;
use datafusion_optimizer::analyzer::type_coercion::{TypeCoercion, TypeCoercionRewriter};
use fleuve_base::Error;

use super::errors::{at_opt, external, unknown_column};
use super::extension::{SystemTime, Unnest, UnnestCall, node_of, plan_of};
use super::markers::CLOCK;
use super::sql_function::inline_calls;
use super::table::BoundTable;
use super::typing::narrow_literal;

/// Resolves all types of a plan.
pub fn analyze_plan(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(analyze_node)?.data;
    TypeCoercion::new().analyze(plan, &ConfigOptions::default())
}

/// Resolves all types of an expression over a schema.
pub fn analyze_expr(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let expr = inline_calls(expr)?.data;
    let expr = narrow_literals(expr)?.data;
    expr.rewrite(&mut TypeCoercionRewriter::new(schema)).data()
}

fn analyze_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let plan = match plan {
        LogicalPlan::Join(join) => join_with_extensions(join)?,
        other => other,
    };
    // LIMIT and ORDER BY keep their literals: counts and positions, not values.
    if matches!(plan, LogicalPlan::Limit(_)) {
        return Ok(Transformed::no(plan));
    }
    let names = NamePreserver::new(&plan);
    let rewritten = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let inlined = inline_calls(expr)?;
        let narrowed = narrow_literals(inlined.data)?;
        let changed = inlined.transformed || narrowed.transformed;
        Ok(Transformed::new_transformed(name.restore(narrowed.data), changed))
    })?;
    // Types below may have changed even if nothing did here.
    rewritten.map_data(LogicalPlan::recompute_schema)
}

fn narrow_literals(expr: Expr) -> Result<Transformed<Expr>> {
    struct Narrow;
    impl TreeNodeRewriter for Narrow {
        type Node = Expr;

        fn f_up(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
            Ok(match narrow_literal(&expr) {
                Some(narrowed) => Transformed::yes(narrowed),
                None => Transformed::no(expr),
            })
        }
    }
    expr.rewrite(&mut Narrow)
}

fn join_with_extensions(join: Join) -> Result<LogicalPlan> {
    if let Some(system_time) = find::<SystemTime>(&join.right) {
        check_system_time(&join, system_time)?;
    }
    if find::<SystemTime>(&join.left).is_some_and(|_| !matches!(join.left.as_ref(), LogicalPlan::Join(_))) {
        let error = Error::input("E022", "FOR SYSTEM_TIME AS OF stands on the left side of a join").with_hint(
            "the table that is looked up comes last: FROM stream JOIN table FOR SYSTEM_TIME AS OF stream.proc_time",
        );
        return Err(external(error));
    }
    match find::<UnnestCall>(&join.right).cloned() {
        Some(call) => unnest(join, &call),
        None => Ok(LogicalPlan::Join(join)),
    }
}

/// The node of a kind that a relation consists of, under its aliases.
fn find<T: 'static>(plan: &LogicalPlan) -> Option<&T> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => find(&alias.input),
        LogicalPlan::Projection(projection) => find(&projection.input),
        other => node_of(other),
    }
}

/// The time of a lookup must be the processing time of the other side.
fn check_system_time(join: &Join, system_time: &SystemTime) -> Result<()> {
    let refuse = |error: Error| Err(external(at_opt(error, system_time.place())));
    let column = match system_time.time.as_slice() {
        [name] => Column::new_unqualified(name),
        [.., table, name] => Column::new(Some(TableReference::bare(table.clone())), name),
        [] => return refuse(Error::internal("a system time without a name")),
    };
    let schema = join.left.schema();
    let field = match &column.relation {
        Some(relation) => schema.qualified_field_with_name(Some(relation), &column.name),
        None => schema.qualified_field_with_unqualified_name(&column.name),
    };
    let Ok(found) = field else { return refuse(unknown_column(&column, &schema.columns())) };
    if is_processing_time(&join.left, &Column::from(found)) {
        return Ok(());
    }
    let text = format!("`{}` is not a processing-time column", system_time.time.join("."));
    refuse(
        Error::unsupported("E201", text)
            .with_detail("event-time versioned joins are not in this build")
            .with_hint("add PROCTIME() AS proc_time to the left side, and write FOR SYSTEM_TIME AS OF that column"),
    )
}

/// Whether a column of a plan is `PROCTIME()`.
fn is_processing_time(plan: &LogicalPlan, column: &Column) -> bool {
    let index = |plan: &LogicalPlan| plan.schema().index_of_column(column).ok();
    match plan {
        LogicalPlan::Projection(projection) => {
            index(plan).is_some_and(|index| match projection.expr[index].clone().unalias() {
                Expr::ScalarVariable(_, names) => names == [CLOCK],
                Expr::Column(inner) => is_processing_time(&projection.input, &inner),
                _ => false,
            })
        }
        LogicalPlan::SubqueryAlias(alias) => index(plan).is_some_and(|index| {
            is_processing_time(&alias.input, &Column::from(alias.input.schema().qualified_field(index)))
        }),
        LogicalPlan::Filter(filter) => is_processing_time(&filter.input, column),
        LogicalPlan::Join(join) => [&join.left, &join.right].into_iter().any(|side| is_processing_time(side, column)),
        LogicalPlan::TableScan(scan) => scan.source.downcast_ref::<BoundTable>().is_some_and(|table| {
            let computed = table.computed.iter().find(|(field, _)| field.name() == &column.name);
            computed.is_some_and(|(_, expr)| matches!(expr, fleuve_plan::Expr::EpochClock))
        }),
        _ => false,
    }
}

/// `left JOIN UNNEST(left.collection) AS alias`: one node over the left side, renamed as the right side was.
fn unnest(join: Join, call: &UnnestCall) -> Result<LogicalPlan> {
    const INNER: &str = "__element";
    let refuse = |text: &str| Err(external(at_opt(Error::unsupported("E201", text.to_owned()), call.place())));
    let outer = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left => true,
        _ => return refuse("this kind of join with UNNEST is not in this build"),
    };
    if outer && !join.on.is_empty() {
        return refuse("LEFT JOIN UNNEST with a condition is not in this build; write ON TRUE");
    }
    let collection = call.collection.clone().transform_up(|expr| {
        Ok(match expr {
            Expr::OuterReferenceColumn(_, column) => Transformed::yes(Expr::Column(column)),
            other => Transformed::no(other),
        })
    })?;
    let left = join.left.schema().columns();
    let node = Unnest::new(Arc::unwrap_or_clone(join.left), call, collection.data, INNER, outer)?;
    let width = left.len();
    let elements: Vec<Column> = node_columns(&node, width);
    let right = join.right.schema();
    let renamed = right
        .iter()
        .zip(elements)
        .map(|((qualifier, field), element)| Expr::Column(element).alias_qualified(qualifier.cloned(), field.name()));
    let projection = left.into_iter().map(Expr::Column).chain(renamed).collect::<Vec<_>>();
    let plan = LogicalPlanBuilder::from(plan_of(node)).project(projection)?;
    let keys = join.on.into_iter().map(|(left, right)| left.eq(right));
    let condition = keys.chain(join.filter).reduce(Expr::and);
    match condition {
        Some(condition) if !outer => plan.filter(condition)?.build(),
        Some(condition) if condition != datafusion_expr::lit(true) => {
            refuse("LEFT JOIN UNNEST with a condition is not in this build; write ON TRUE")
        }
        _ => plan.build(),
    }
}

fn node_columns(node: &Unnest, skip: usize) -> Vec<Column> {
    use datafusion_expr::UserDefinedLogicalNodeCore;
    node.schema().columns().into_iter().skip(skip).collect()
}
