//! From a query to a pipeline.
//!
//! A query goes through five stages, each a module or two:
//!
//! 1. [`prepare`] rewrites the text form where no types are needed, and [`refuse`] says what is not in this build.
//! 2. [`context`] resolves names against the catalog: DataFusion's SQL planner asks it for tables, views (whose plan
//!    stands in their place) and functions; [`relation_planner`] and [`expr_planner`] plan what is Flink's own.
//! 3. [`analyze`] resolves types; [`typing`] holds Flink's rules where they differ.
//! 4. [`optimize`] applies a fixed list of rewrites: filters down, columns pruned, subqueries to joins.
//! 5. [`lower`] (with [`aggregate`], [`join`], [`sink`]) makes operators of it, deciding by what each column tells of time
//!    whether an aggregate is a windowed one and a join an interval join; [`scan`] and [`finish`] merge the scans.
//!
//! Invariants. No clock and no random source is read: clock functions are a variable from the first stage on. The same
//! catalog and text give the same plan on every machine. No error is without a code, and one about a name or a clause has
//! its place.

mod aggregate;
mod aggregate_decl;
mod analyze;
mod context;
mod errors;
mod expr_planner;
mod extension;
mod finish;
mod ignore_case;
mod index;
mod index_read;
mod interval;
mod join;
mod lower;
mod lower_expr;
mod markers;
mod online;
mod optimize;
mod prepare;
mod refuse;
mod relation;
mod relation_planner;
mod sample;
mod scan;
mod sink;
mod sql_function;
mod table;
mod typing;

#[cfg(test)]
mod tests;

use datafusion_expr::LogicalPlan;
use fleuve_base::{Error, Result};
use fleuve_plan::{Pipeline, Settings};
use sqlparser::ast::Query;

use crate::catalog::{Catalog, Relation};
use crate::parser::InsertStatement;
use crate::parser::statement::CreateIndex;
use context::Context;
use errors::from_datafusion;
pub(crate) use index::INDEX;
use lower::Lowering;
pub use online::plan_online;
pub use sink::RESULT;
pub(crate) use table::is_bounded;

/// Stack of the thread that plans. Plans are trees of as many levels as a chain of operators is long, and every stage
/// walks them recursively.
const STACK_BYTES: usize = 256 << 20;

/// Plans INSERT statements as one pipeline.
///
/// Common parts are computed once: a table is read once, and equal subqueries are one node.
pub fn plan_insert(catalog: &Catalog, settings: &Settings, inserts: &[InsertStatement]) -> Result<Pipeline> {
    with_stack(|| {
        let context = Context::new(catalog);
        let mut lowering = Lowering { seed: settings.seed, ..Lowering::default() };
        let mut sinks = vec![];
        for insert in inserts {
            sinks.push(insert_one(&context, &mut lowering, insert)?);
            index::check_insert(&lowering.graph).map_err(|error| located(error, &insert.query))?;
        }
        finish::pipeline(&lowering.graph, &sinks, settings)
    })
}

/// Plans a query whose rows go to whoever asked: the pipeline ends in a sink of connector [`RESULT`].
pub fn plan_query(catalog: &Catalog, settings: &Settings, query: &Query) -> Result<Pipeline> {
    with_stack(|| {
        let context = Context::new(catalog);
        let mut lowering = Lowering { seed: settings.seed, ..Lowering::default() };
        let plan = optimized(&context, query)?;
        let relation = lowering.relation(&plan).map_err(|error| located(error, query))?;
        let sink = lowering.result(relation).map_err(|error| located(error, query))?;
        let mut pipeline = finish::pipeline(&lowering.graph, &[sink], settings)?;
        index_read::choose(&mut pipeline, catalog);
        pipeline.fingerprint = pipeline.compute_fingerprint();
        Ok(pipeline)
    })
}

/// Plans the pipeline that copies a table's rows into an index.
pub fn plan_index(catalog: &Catalog, settings: &Settings, create: &CreateIndex) -> Result<Pipeline> {
    with_stack(|| {
        let context = Context::new(catalog);
        let mut lowering = Lowering { seed: settings.seed, ..Lowering::default() };
        let (start, end) = create.table.span;
        let at_table = |error: Error| error.at(fleuve_base::Place::sql(start, end));
        let table = match catalog.expect_relation(&create.table.value).map_err(at_table)? {
            Relation::Table(table) => table,
            Relation::View(view) => {
                let error = Error::input("E022", format!("`{}` is a view, and an index is over a table", view.name));
                return Err(at_table(error.with_hint("index the table that the view reads")));
            }
        };
        let query = crate::show::query_of(&table.name)?;
        let plan = optimized(&context, &query).map_err(at_table)?;
        let relation = lowering.relation(&plan).map_err(at_table)?;
        let sink = lowering.index(relation, table, create).map_err(at_table)?;
        finish::pipeline(&lowering.graph, &[sink], settings)
    })
}

fn insert_one(context: &Context<'_>, lowering: &mut Lowering, insert: &InsertStatement) -> Result<usize> {
    let (start, end) = insert.table.span;
    let at_table = |error: Error| error.at(fleuve_base::Place::sql(start, end));
    let table = match context.catalog().expect_relation(&insert.table.value).map_err(at_table)? {
        Relation::Table(table) => table,
        Relation::View(view) => {
            let error = Error::input("E022", format!("`{}` is a view and cannot be written", view.name));
            return Err(at_table(error.with_hint("INSERT INTO takes a table: CREATE TABLE … WITH ('connector' = …)")));
        }
    };
    let plan = optimized(context, &insert.query)?;
    let relation = lowering.relation(&plan).map_err(|error| located(error, &insert.query))?;
    lowering.insert(relation, table, insert).map_err(|error| located(error, &insert.query))
}

/// The optimised plan of a query. A name that only differs in case from a known one is taken for it.
fn optimized(context: &Context<'_>, query: &Query) -> Result<LogicalPlan> {
    let plan = context.query(query).or_else(|error| match ignore_case::rewrite(query, context.catalog()) {
        Some(rewritten) if matches!(error.code(), "E010" | "E012") => context.query(&rewritten).map_err(|_| error),
        _ => Err(error),
    });
    let analyzed = plan.and_then(|plan| analyze::analyze_plan(plan).map_err(from_datafusion));
    let optimized = analyzed.and_then(|plan| optimize::optimize(plan).map_err(from_datafusion));
    optimized.map_err(|error| located(error, query))
}

/// An error without a place is put where the query names what the error is about.
fn located(error: Error, query: &Query) -> Error {
    if error.place().is_some() {
        return error;
    }
    let texts = [Some(error.message()), error.detail()];
    let quoted = texts.into_iter().flatten().flat_map(|text| text.split(['`', '\'']).skip(1).step_by(2));
    let place = quoted.into_iter().find_map(|name| prepare::place_of_name(query, name));
    errors::at_opt(error, place)
}

/// Runs `plan` on a stack that is deep enough for any query that the parser lets through.
fn with_stack<T: Send>(plan: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("planner".to_owned()).stack_size(STACK_BYTES);
        let running = thread.spawn_scoped(scope, plan).map_err(|error| Error::io("start a thread", &error))?;
        running.join().unwrap_or_else(|_| Err(Error::internal("the planner panicked")))
    })
}
