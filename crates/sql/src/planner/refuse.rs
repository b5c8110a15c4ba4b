//! What is not in this build, by name and place, with what to do instead.

use fleuve_base::{Error, Result};
use sqlparser::ast::{
    Distinct, Expr, Function, GroupByExpr, Join, JoinOperator, Query, Select, SetExpr, SetOperator, Spanned,
    TableFactor, TableVersion, TableWithJoins,
};
use sqlparser::tokenizer::Span;

use super::errors::at_opt;
use crate::parser::place;

/// Functions that rank rows: with OVER they make a Top-N or a deduplication.
const RANKING: [&str; 4] = ["row_number", "rank", "dense_rank", "ntile"];

/// Functions whose answer would differ from run to run.
const RANDOM: [&str; 4] = ["rand", "rand_integer", "random", "uuid"];

fn unsupported(what: &str, hint: &str, span: Span) -> Error {
    at_opt(Error::unsupported("E201", format!("{what} is not in this build")).with_hint(hint.to_owned()), place(span))
}

/// Checks a query without what lies in it.
pub fn check_query(query: &Query) -> Result<()> {
    if query.with.as_ref().is_some_and(|with| with.recursive) {
        return Err(unsupported("WITH RECURSIVE", "write the levels out as UNION ALL", query.span()));
    }
    if let Some(fetch) = &query.fetch {
        let what = if fetch.with_ties { "FETCH … WITH TIES" } else { "FETCH … PERCENT" };
        return Err(unsupported(what, "LIMIT n keeps the first n rows", query.span()));
    }
    if !query.pipe_operators.is_empty() {
        return Err(unsupported("the pipe syntax `|>`", "write nested SELECTs", query.span()));
    }
    check_set_expr(&query.body)
}

fn check_set_expr(body: &SetExpr) -> Result<()> {
    let SetExpr::SetOperation { left, op, right, .. } = body else { return Ok(()) };
    let hint = match op {
        SetOperator::Union => "",
        SetOperator::Intersect => "SELECT DISTINCT … WHERE k IN (SELECT k …) keeps what both have",
        SetOperator::Except | SetOperator::Minus => {
            "SELECT DISTINCT … WHERE NOT EXISTS (…) leaves out what the other has"
        }
    };
    match op {
        SetOperator::Union => check_set_expr(left).and_then(|()| check_set_expr(right)),
        other => Err(unsupported(&other.to_string(), hint, right.span())),
    }
}

/// Checks a SELECT without what lies in it.
pub fn check_select(select: &Select) -> Result<()> {
    let span = select.span();
    let clauses = [
        (select.qualify.is_some(), "QUALIFY"),
        (!select.named_window.is_empty(), "WINDOW"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (select.top.is_some(), "TOP"),
        (select.into.is_some(), "SELECT INTO"),
        (select.prewhere.is_some(), "PREWHERE"),
        (matches!(select.distinct, Some(Distinct::On(_))), "DISTINCT ON"),
    ];
    if let Some((_, what)) = clauses.into_iter().find(|(present, _)| *present) {
        return Err(unsupported(what, "the guide's page on SELECT lists the clauses of this build", span));
    }
    if let GroupByExpr::Expressions(_, modifiers) | GroupByExpr::All(modifiers) = &select.group_by
        && !modifiers.is_empty()
    {
        return Err(grouping_sets("GROUP BY … WITH ROLLUP or CUBE", span));
    }
    select.from.iter().try_for_each(check_joins)
}

fn grouping_sets(what: &str, span: Span) -> Error {
    unsupported(what, "write one SELECT for each grouping and put UNION ALL between them", span)
}

fn check_joins(relation: &TableWithJoins) -> Result<()> {
    relation.joins.iter().try_for_each(check_join)
}

fn check_join(join: &Join) -> Result<()> {
    let span = join.relation.span();
    match &join.join_operator {
        JoinOperator::Right(_) | JoinOperator::RightOuter(_) => {
            Err(unsupported("RIGHT JOIN", "swap the two sides and write LEFT JOIN", span))
        }
        JoinOperator::FullOuter(_) => Err(unsupported(
            "FULL JOIN",
            "write a LEFT JOIN, UNION ALL, and the right side's rows WHERE NOT EXISTS in the left",
            span,
        )),
        JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => {
            Err(unsupported("a right semi or anti join", "swap the two sides", span))
        }
        JoinOperator::CrossApply | JoinOperator::OuterApply => {
            Err(unsupported("APPLY", "CROSS JOIN UNNEST(…) unfolds an ARRAY", span))
        }
        JoinOperator::AsOf { .. } => {
            Err(unsupported("ASOF JOIN", "JOIN t FOR SYSTEM_TIME AS OF proc_time looks the current row up", span))
        }
        _ => Ok(()),
    }
}

/// Checks a relation in FROM.
pub fn check_table_factor(factor: &TableFactor) -> Result<()> {
    let span = factor.span();
    match factor {
        TableFactor::Derived { lateral: true, .. } | TableFactor::Function { lateral: true, .. } => {
            Err(unsupported("LATERAL", "join on a condition, or unfold a collection with CROSS JOIN UNNEST(…)", span))
        }
        TableFactor::MatchRecognize { .. } => Err(unsupported(
            "MATCH_RECOGNIZE",
            "a self join on the key with bounds on the time finds pairs of events",
            span,
        )),
        TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => {
            Err(unsupported("PIVOT", "aggregate with FILTER (WHERE …), one column for each value", span))
        }
        TableFactor::Table { version: Some(version), .. } if !matches!(version, TableVersion::ForSystemTimeAsOf(_)) => {
            Err(unsupported("this form of time travel", "write FOR SYSTEM_TIME AS OF", span))
        }
        TableFactor::NestedJoin { table_with_joins, .. } => check_joins(table_with_joins),
        TableFactor::Table { sample: Some(_), args, version, .. } if args.is_some() || version.is_some() => {
            let hint = "sample a table or a subquery: FROM (SELECT …) TABLESAMPLE BERNOULLI (10)";
            Err(unsupported("TABLESAMPLE of a table function or a version of a table", hint, span))
        }
        TableFactor::Table { .. } | TableFactor::Derived { .. } | TableFactor::UNNEST { .. } => Ok(()),
        _ => Err(unsupported("this kind of table", "FROM takes tables, views, subqueries and window functions", span)),
    }
}

/// Checks an expression without its operands.
pub fn check_expr(expr: &Expr) -> Result<()> {
    match expr {
        Expr::GroupingSets(_) => Err(grouping_sets("GROUPING SETS", expr.span())),
        Expr::Rollup(_) => Err(grouping_sets("ROLLUP", expr.span())),
        Expr::Cube(_) => Err(grouping_sets("CUBE", expr.span())),
        Expr::AtTimeZone { .. } => {
            Err(unsupported("AT TIME ZONE", "CONVERT_TZ(text, from, to) converts between zones", expr.span()))
        }
        Expr::SimilarTo { .. } => Err(unsupported("SIMILAR TO", "REGEXP(text, pattern) matches patterns", expr.span())),
        Expr::Function(function) => check_function(function, expr.span()),
        _ => Ok(()),
    }
}

fn check_function(function: &Function, span: Span) -> Result<()> {
    let name = function.name.to_string().trim_matches('`').to_ascii_lowercase();
    let ranking = RANKING.contains(&name.as_str());
    if ranking || function.over.is_some() && matches!(name.as_str(), "lag" | "lead" | "first_value" | "last_value") {
        let upper = name.to_uppercase();
        let hint = match ranking {
            true => "Top-N and deduplication come later; MAX or MIN in a GROUP BY finds the first row's value",
            false => "a self join on the key with bounds on the time pairs a row with an earlier one",
        };
        return Err(unsupported(&format!("{upper}() OVER (…)"), hint, span));
    }
    if function.over.is_some() {
        return Err(unsupported(
            "OVER (…)",
            "aggregate in a window: TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), …)) with GROUP BY",
            span,
        ));
    }
    if RANDOM.contains(&name.as_str()) {
        let hint = "a result must be the same when a row is read again; hash a column of the row instead";
        return Err(unsupported(&format!("{}()", name.to_uppercase()), hint, span));
    }
    if matches!(name.as_str(), "grouping" | "grouping_id") {
        return Err(grouping_sets(&name.to_uppercase(), span));
    }
    Ok(())
}
