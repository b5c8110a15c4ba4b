//! GROUP BY: in windows that a function below assigns, in windows that rows carry already, or without any.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::DFSchema;
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::logical_plan::Aggregate;
use datafusion_expr::{Expr as Logical, ExprSchemable};
use fleuve_base::{Error, Result};
use fleuve_functions::aggregate::summary;
use fleuve_plan::{AggregateCall, Changelog, Expr, Literal, Operator, TimeAttribute, Value, Window, WindowInput};

use super::errors::{at_opt, from_datafusion};
use super::extension::{WINDOW_COLUMNS, WINDOW_TYPE};
use super::lower::{Lowering, fields_of, logical_field, no_time_attribute};
use super::lower_expr::WINDOW_ROW;
use super::markers::GROUP_WINDOWS;
use super::relation::{
    Base, GraphNode, PENDING, Pending, Relation, Step, Time, Windowing, in_milliseconds, window_fields,
    window_over_changelog,
};
use super::relation_planner::{check_window, interval_ms};
use super::typing::place_of_exprs;

/// What one grouping expression contributes.
#[derive(Debug, Clone, PartialEq)]
enum Group {
    /// A key: an expression over the base.
    Key(Expr),
    /// The window's start, end or time.
    Bound(usize),
    /// All three, as the ROW of a legacy group window.
    Row,
}

/// Where the windows of an aggregate come from.
#[derive(Debug, Clone)]
enum Windows {
    None,
    Assign(Pending),
    /// Start and end columns over the base.
    Attached(Windowing, Expr, Expr),
}

/// The input of an aggregate: exactly the columns that it reads.
#[derive(Debug, Default)]
struct Needed {
    columns: Vec<Expr>,
    fields: Vec<FieldRef>,
}

impl Needed {
    fn position(&mut self, expr: Expr, field: FieldRef) -> usize {
        if let Some(position) = self.columns.iter().position(|known| *known == expr) {
            return position;
        }
        self.columns.push(expr);
        self.fields.push(field);
        self.columns.len() - 1
    }
}

impl Lowering {
    /// Lowers an aggregate.
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Relation> {
        let input = self.relation(&aggregate.input)?;
        let (windows, groups, input) = self.classify(input, aggregate)?;
        let schema = aggregate.input.schema();
        let mut needed = Needed::default();
        let mut keys = vec![];
        for (group, logical) in groups.iter().zip(&aggregate.group_expr) {
            if let Group::Key(expr) = group {
                keys.push(needed.position(expr.clone(), logical_field(logical, schema)?));
            }
        }
        let mut calls = vec![];
        for (index, expr) in aggregate.aggr_expr.iter().enumerate() {
            let result = aggregate.schema.field(aggregate.group_expr.len() + index);
            calls.push(self.call(expr, result.data_type(), &input, aggregate, &mut needed)?);
        }
        if matches!(windows, Windows::None) && groups.contains(&Group::Key(Expr::EpochClock)) {
            return Err(grouped_by_the_clock());
        }
        let output = fields_of(&aggregate.schema);
        self.add_aggregate(input, windows, Grouping { groups, keys, calls, needed, output })
    }

    fn classify(&mut self, input: Relation, aggregate: &Aggregate) -> Result<(Windows, Vec<Group>, Relation)> {
        if let Some(legacy) = aggregate.group_expr.iter().position(is_group_window) {
            return self.legacy(input, aggregate, legacy);
        }
        let exprs = self.exprs(&input, &aggregate.group_expr, aggregate.input.schema())?;
        if let Some(pending) = input.pending.clone() {
            let has = |column: usize| exprs.contains(&Expr::Column(column));
            let [start, end, _] = PENDING;
            let on_window = |expr: &Expr| Relation::reads_pending(expr) && !matches!(expr, Expr::Column(_));
            let elsewhere = exprs.iter().any(on_window)
                || input.predicate.as_ref().is_some_and(Relation::reads_pending)
                || self.arguments_read_window(&input, aggregate)?;
            if has(start) && has(end) && !elsewhere {
                let groups = exprs.into_iter().map(|expr| match &expr {
                    Expr::Column(column) if PENDING.contains(column) => Group::Bound(column - start),
                    _ => Group::Key(expr),
                });
                let groups: Vec<Group> = groups.collect();
                check_session_keys(&pending, &groups)?;
                return Ok((Windows::Assign(pending), groups, Relation { pending: None, ..input }));
            }
            let input = self.graph.assign_window(input)?;
            return self.classify(input, aggregate);
        }
        Ok(self.attached(input, exprs))
    }

    /// Whether an aggregate's argument or filter reads the window, which is not known before it is assigned.
    fn arguments_read_window(&self, input: &Relation, aggregate: &Aggregate) -> Result<bool> {
        let mut arguments = vec![];
        for expr in &aggregate.aggr_expr {
            if let Logical::AggregateFunction(function) = expr.clone().unalias() {
                arguments.extend(function.params.args);
                arguments.extend(function.params.filter.map(|filter| *filter));
            }
        }
        Ok(self.exprs(input, &arguments, aggregate.input.schema())?.iter().any(Relation::reads_pending))
    }

    fn attached(&self, input: Relation, exprs: Vec<Expr>) -> (Windows, Vec<Group>, Relation) {
        let times: Vec<Time> = exprs.iter().map(|expr| self.graph.time_of(&input, expr)).collect();
        let windowing = times.iter().find_map(|time| match time {
            Time::WindowStart(windowing) if times.contains(&Time::WindowEnd(windowing.clone())) => {
                Some(windowing.clone())
            }
            _ => None,
        });
        let Some(windowing) = windowing else {
            return (Windows::None, exprs.into_iter().map(Group::Key).collect(), input);
        };
        let bounds = windowing.times();
        let bound = |time: &Time| bounds.iter().position(|bound| bound == time);
        let column =
            |wanted: usize| times.iter().position(|time| bound(time) == Some(wanted)).map(|index| exprs[index].clone());
        let (Some(start), Some(end)) = (column(0), column(1)) else {
            return (Windows::None, exprs.into_iter().map(Group::Key).collect(), input);
        };
        let group = |(expr, time): (Expr, &Time)| bound(time).map_or(Group::Key(expr), Group::Bound);
        let groups = exprs.into_iter().zip(&times).map(group).collect();
        (Windows::Attached(windowing, start, end), groups, input)
    }

    /// `GROUP BY TUMBLE(ts, …)`.
    fn legacy(&mut self, input: Relation, aggregate: &Aggregate, at: usize) -> Result<(Windows, Vec<Group>, Relation)> {
        let schema = aggregate.input.schema();
        let whole = &aggregate.group_expr[at];
        let fail = |error: Error| at_opt(error, place_of_exprs([whole]));
        let (name, args) = group_window(whole).ok_or_else(|| Error::internal("a group window was found before"))?;
        let input = if input.pending.is_some() { self.graph.assign_window(input)? } else { input };
        let Some((time, lengths)) = args.split_first() else {
            return Err(fail(Error::input(
                "E021",
                format!("{} needs a time column and an INTERVAL", name.to_uppercase()),
            )));
        };
        let lengths = lengths.iter().map(interval_ms).collect::<Result<Vec<i64>>>().map_err(fail)?;
        let window = legacy_window(&name, &lengths).map_err(fail)?;
        let data_type = time.get_type(schema).map_err(from_datafusion)?;
        let lowered = self.exprs(&input, [time], schema)?.remove(0);
        let time = match self.graph.time_of(&input, &lowered) {
            Time::Processing => None,
            Time::Event | Time::RowtimeOfWindow(_) => Some(in_milliseconds(lowered, &data_type)),
            _ => return Err(fail(no_time_attribute(&time.schema_name().to_string(), &data_type))),
        };
        let mut groups = vec![];
        for (index, expr) in aggregate.group_expr.iter().enumerate() {
            groups.push(match index == at {
                true => Group::Row,
                false if is_group_window(expr) => {
                    return Err(fail(Error::unsupported(
                        "E201",
                        "two group windows in one GROUP BY are not in this build",
                    )));
                }
                false => Group::Key(self.exprs(&input, [expr], schema)?.remove(0)),
            });
        }
        Ok((Windows::Assign(Pending { window, time, partition: vec![] }), groups, input))
    }

    fn call(
        &self,
        expr: &Logical,
        data_type: &DataType,
        input: &Relation,
        aggregate: &Aggregate,
        needed: &mut Needed,
    ) -> Result<AggregateCall> {
        let schema = aggregate.input.schema();
        let Logical::AggregateFunction(AggregateFunction { func, params }) = expr.clone().unalias() else {
            return Err(Error::internal(format!("{expr} is not an aggregate function")));
        };
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            let text = format!("ORDER BY or IGNORE NULLS in {}() is not in this build", func.name().to_uppercase());
            return Err(at_opt(Error::unsupported("E201", text), place_of_exprs([expr])));
        }
        let summary = summary::find(func.name());
        let columns = summary.map_or(params.args.len(), |spec| spec.columns().min(params.args.len()));
        let counts_rows = func.name() == "count" && !params.distinct && params.args.iter().all(is_constant);
        let mut args = vec![];
        for arg in params.args[..columns].iter().filter(|_| !counts_rows) {
            let lowered = self.exprs(input, [arg], schema)?.remove(0);
            args.push(needed.position(lowered, logical_field(arg, schema)?));
        }
        let filter = match &params.filter {
            Some(filter) => {
                let lowered = self.exprs(input, [filter.as_ref()], schema)?.remove(0);
                Some(needed.position(lowered, Arc::new(Field::new("filter", DataType::Boolean, true))))
            }
            None => None,
        };
        let distinct = params.distinct && !matches!(func.name(), "min" | "max");
        let mut call = AggregateCall {
            function: func.name().to_owned(),
            args,
            parameters: vec![],
            distinct,
            filter,
            data_type: data_type.clone(),
        };
        if let Some(spec) = summary {
            self.parameters(spec, &params.args, input, schema, &mut call)?;
            let types: Vec<DataType> = call.args.iter().map(|arg| needed.fields[*arg].data_type().clone()).collect();
            let retracts = self.graph.changelog(input) == Changelog::Retract;
            let checked = spec.create(&types, &call.parameters, retracts);
            checked.map_err(|error| at_opt(error, place_of_exprs([expr])))?;
        }
        Ok(call)
    }

    /// The constant arguments of a summary, and the pipeline's seed after them.
    fn parameters(
        &self,
        spec: &summary::Spec,
        args: &[Logical],
        input: &Relation,
        schema: &DFSchema,
        call: &mut AggregateCall,
    ) -> Result<()> {
        for (arg, constant) in args.iter().skip(spec.columns()).zip(spec.constants) {
            let Expr::Literal(literal) = self.exprs(input, [arg], schema)?.remove(0) else {
                let text = format!("the {} of {} must be a constant", constant.name, spec.name.to_uppercase());
                return Err(at_opt(Error::input("E304", text).with_hint(spec.usage), place_of_exprs([arg])));
            };
            call.parameters.push(literal);
        }
        call.parameters.push(Literal { data_type: DataType::UInt64, value: Value::UInt(self.seed) });
        Ok(())
    }

    fn add_aggregate(&mut self, input: Relation, windows: Windows, grouping: Grouping) -> Result<Relation> {
        let Grouping { groups, keys, calls, mut needed, output } = grouping;
        let retracts = self.graph.changelog(&input) == Changelog::Retract;
        if retracts && !matches!(windows, Windows::None) {
            return Err(window_over_changelog());
        }
        let windowing = windows.windowing();
        let window_input = windows.into_input(&mut needed)?;
        let base = Relation { columns: needed.columns, fields: needed.fields, ..input };
        let mut fields: Vec<FieldRef> = keys.iter().map(|key| Arc::clone(&base.fields[*key])).collect();
        fields.extend(calls.iter().zip(&output[groups.len()..]).map(|(call, named)| call_field(call, named)));
        let mut times = vec![Time::None; fields.len()];
        let (key_columns, bounds_start) = (keys.len(), fields.len());
        if let Some(windowing) = &windowing {
            fields.extend(window_fields());
            times.extend(windowing.times());
        }
        let bounded = self.graph.bounded(&base);
        let node = self.graph.materialize(base)?;
        let windowed = windowing.is_some();
        let bounds = (bounds_start..bounds_start + 2).filter(|_| windowed);
        let id = self.graph.add(GraphNode {
            step: Step::Operator(match window_input {
                Some(input) => Operator::WindowAggregate { input, keys, aggregates: calls },
                None => Operator::Aggregate { keys, aggregates: calls },
            }),
            inputs: vec![node],
            fields,
            times,
            changelog: if windowed { Changelog::AppendOnly } else { Changelog::Retract },
            single_row: !windowed && key_columns == 0,
            upsert_key: Some((0..key_columns).chain(bounds).collect()),
            bounded,
        });
        let columns = output_columns(&groups, key_columns, bounds_start, output.len());
        Ok(Relation { base: Base::Node(id), predicate: None, columns, fields: output, pending: None, lookup: false })
    }
}

impl Windows {
    fn windowing(&self) -> Option<Windowing> {
        match self {
            Windows::None => None,
            Windows::Assign(pending) => Some(pending.windowing()),
            Windows::Attached(windowing, ..) => Some(windowing.clone()),
        }
    }

    /// The operator's view of the windows; the columns that it takes them from join the needed ones.
    fn into_input(self, needed: &mut Needed) -> Result<Option<WindowInput>> {
        let column = |name: &str| Arc::new(Field::new(name, WINDOW_TYPE, true));
        Ok(match self {
            Windows::None => None,
            Windows::Assign(Pending { window, time, .. }) => {
                let time = match time {
                    Some(time) => TimeAttribute::Event(needed.position(time, column("rowtime"))),
                    None => TimeAttribute::Processing,
                };
                Some(WindowInput::Assign { window, time })
            }
            Windows::Attached(windowing, start, end) => {
                let [start_name, end_name, _] = WINDOW_COLUMNS;
                let start = needed.position(start, column(start_name));
                let end = needed.position(end, column(end_name));
                Some(WindowInput::Attached { start, end, processing: windowing.processing })
            }
        })
    }
}

/// Name and type of an aggregate's result.
fn call_field(call: &AggregateCall, named: &FieldRef) -> FieldRef {
    Arc::new(Field::new(named.name(), call.data_type.clone(), call.function != "count"))
}

/// An unwindowed group of the clock would hold the rows of one epoch.
fn grouped_by_the_clock() -> Error {
    Error::input("E022", "grouping by the processing time itself puts no two moments together")
        .with_hint("group by a window of it: TABLE(TUMBLE(TABLE t, DESCRIPTOR(proc_time), INTERVAL '10' SECOND))")
}

/// Everything that an aggregate computes.
struct Grouping {
    groups: Vec<Group>,
    keys: Vec<usize>,
    calls: Vec<AggregateCall>,
    needed: Needed,
    output: Vec<FieldRef>,
}

/// The logical output (grouping expressions, then aggregates) over the operator's (keys, aggregates, window).
fn output_columns(groups: &[Group], keys: usize, bounds_start: usize, width: usize) -> Vec<Expr> {
    let mut next_key = 0;
    let mut columns: Vec<Expr> = vec![];
    for group in groups {
        columns.push(match group {
            Group::Key(_) => {
                next_key += 1;
                Expr::Column(next_key - 1)
            }
            Group::Bound(bound) => Expr::Column(bounds_start + bound),
            Group::Row => {
                let args = (0..WINDOW_COLUMNS.len()).map(|bound| Expr::Column(bounds_start + bound)).collect();
                Expr::Call { function: WINDOW_ROW.to_owned(), args }
            }
        });
    }
    let aggregates = width - groups.len();
    columns.extend((keys..keys + aggregates).map(Expr::Column));
    columns
}

fn group_window(expr: &Logical) -> Option<(String, Vec<Logical>)> {
    match expr {
        Logical::Alias(alias) => group_window(&alias.expr),
        Logical::ScalarFunction(call) if GROUP_WINDOWS.contains(&call.func.name()) => {
            Some((call.func.name().to_owned(), call.args.clone()))
        }
        _ => None,
    }
}

fn is_group_window(expr: &Logical) -> bool {
    group_window(expr).is_some()
}

fn is_constant(expr: &Logical) -> bool {
    matches!(expr, Logical::Literal(value, _) if !value.is_null())
}

fn legacy_window(name: &str, lengths: &[i64]) -> Result<Window> {
    let window = match (name, lengths) {
        ("tumble", [size]) => Window::Tumble { size_ms: *size, offset_ms: 0 },
        ("hop", [slide, size]) => Window::Hop { size_ms: *size, slide_ms: *slide, offset_ms: 0 },
        ("session", [gap]) => Window::Session { gap_ms: *gap },
        _ => {
            let usage = if name == "hop" {
                "HOP(ts, slide, size)".to_owned()
            } else {
                format!("{}(ts, length)", name.to_uppercase())
            };
            return Err(Error::input("E021", format!("in GROUP BY write {usage}, lengths as INTERVAL '10' SECOND")));
        }
    };
    check_window(&window)?;
    Ok(window)
}

/// Sessions are those of the rows that PARTITION BY puts together: the grouping keys must be the same columns.
fn check_session_keys(pending: &Pending, groups: &[Group]) -> Result<()> {
    if !matches!(pending.window, Window::Session { .. }) {
        return Ok(());
    }
    let is_key = |expr: &Expr| groups.contains(&Group::Key(expr.clone()));
    let is_partition = |group: &Group| match group {
        Group::Key(expr) => pending.partition.contains(expr),
        _ => true,
    };
    if groups.iter().all(is_partition) && pending.partition.iter().all(is_key) {
        return Ok(());
    }
    Err(Error::unsupported("E201", "SESSION with other grouping keys than its PARTITION BY is not in this build")
        .with_detail("without PARTITION BY its sessions span the rows of all keys together")
        .with_hint("write SESSION(TABLE t PARTITION BY key, …) and GROUP BY key, window_start, window_end"))
}
