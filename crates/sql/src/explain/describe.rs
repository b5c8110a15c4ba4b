//! One operator in one line, and how its input is distributed.

use std::fmt::Write as _;
use std::sync::Arc;

use fleuve_plan::{
    AggregateCall, Expr, Interval, JoinKind, Node, NodeId, OnlineMethod, Operator, Pipeline, ReadOrder, SampleMethod,
    SinkSpec, SourceSpec, TimeAttribute, Window, WindowInput,
};

use super::changes;
use crate::planner::INDEX;

/// Characters of one detail line.
const DETAIL_CHARS_MAX: usize = 400;

/// The line of a node, and lines of detail.
pub fn describe(pipeline: &Pipeline, id: NodeId) -> (String, Vec<String>) {
    let node = &pipeline.nodes[id];
    let name = |column: usize| input_column(pipeline, node, column);
    let names = |columns: &[usize]| columns.iter().map(|column| name(*column)).collect::<Vec<_>>().join(", ");
    let (arguments, details) = match &node.operator {
        Operator::Source(spec) => (source(spec), source_details(spec, node)),
        Operator::BadRecords { source } => (format!("of #{source}"), vec![]),
        Operator::Blocks { source } => (format!("that were read of #{source}"), vec![]),
        Operator::Online(online) => {
            let interval = match online.method {
                OnlineMethod::LargeSample => format!("intervals: {} % confidence", 100.0 * online.confidence),
                OnlineMethod::Conservative => format!("intervals: {} % confidence at least", 100.0 * online.confidence),
                OnlineMethod::Deterministic => "intervals: certain".to_owned(),
            };
            let rows = node.inputs.first().map(|input| Arc::clone(&pipeline.nodes[*input].schema));
            let name =
                |column: usize| rows.as_ref().map_or_else(String::new, |rows| plain_name(rows.field(column).name()));
            let keys = online.keys.iter().map(|key| name(*key)).collect::<Vec<_>>().join(", ");
            (by(&keys), vec![computes(&online.aggregates, &name), interval])
        }
        Operator::Normalize { keys, .. } => (format!("upserts {}", by(&names(keys))), vec![]),
        Operator::Values { rows } => (format!("{} rows", rows.len()), vec![]),
        Operator::Calc { predicate, projection } => (String::new(), calc(predicate.as_ref(), projection, node, &name)),
        Operator::AssignWindow { window, time } => {
            (format!("{} of {}", shown(window), time_name(*time, &name)), vec![])
        }
        Operator::WindowAggregate { input, keys, aggregates } => {
            let windows = window_input(input, &name);
            (format!("{windows}, {}", by(&names(keys))), vec![computes(aggregates, &name)])
        }
        Operator::Aggregate { keys, aggregates } => (by(&names(keys)), vec![computes(aggregates, &name)]),
        Operator::Join { kind, left_keys, right_keys, filter, interval } => {
            let on = equalities(pipeline, node, left_keys, right_keys);
            let width = width(pipeline, node.inputs.first());
            let mut details = filter_detail(filter.as_ref(), &name);
            details.extend(interval.iter().map(|interval| within(interval, width, &name)));
            (format!("{} on {on}", kind_name(*kind)), details)
        }
        Operator::WindowJoin { kind, left_keys, right_keys, filter, .. } => {
            let on = equalities(pipeline, node, left_keys, right_keys);
            (format!("{} on the same window and {on}", kind_name(*kind)), filter_detail(filter.as_ref(), &name))
        }
        Operator::LookupJoin { table, kind, input_keys, table_keys, filter } => {
            let keys = input_keys.iter().map(|key| key.display_with(&name));
            let table_key = |key: &usize| output_name(table, *key);
            let on = keys.zip(table_keys.iter().map(table_key)).map(|(key, column)| format!("{key} = {column}"));
            let on = on.collect::<Vec<_>>().join(" AND ");
            (format!("{} `{}` on {on}", kind_name(*kind), table.table), filter_detail(filter.as_ref(), &name))
        }
        Operator::Union => (String::new(), vec![]),
        Operator::Unnest { column, outer, .. } => {
            (format!("{}{}", name(*column), if *outer { " (outer)" } else { "" }), vec![])
        }
        Operator::Sample { method, at_end, .. } => (sample(method, *at_end, &name), vec![]),
        Operator::Limit { skip, fetch } => (limit(*skip, *fetch), vec![]),
        Operator::Sort { keys, skip, fetch } => {
            let keys =
                keys.iter().map(|key| format!("{}{}", name(key.column), if key.descending { " DESC" } else { "" }));
            let kept = fetch.map_or_else(String::new, |fetch| format!(", first {fetch}"));
            let after = if *skip == 0 { String::new() } else { format!(" after {skip}") };
            (format!("by {}{kept}{after}", keys.collect::<Vec<_>>().join(", ")), vec![])
        }
        Operator::Sink(spec) => (sink(spec), sink_details(spec, node)),
    };
    let head = format!("{} {arguments}", node.operator.name());
    (head.trim_end().to_owned(), details.into_iter().map(cut).collect())
}

fn cut(text: String) -> String {
    match text.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((position, _)) => format!("{}…", &text[..position]),
        None => text,
    }
}

fn width(pipeline: &Pipeline, input: Option<&NodeId>) -> usize {
    input.map_or(0, |input| pipeline.nodes[*input].schema.fields().len())
}

/// The analysis library counts a constant where the script says `*`.
fn plain_name(name: &str) -> String {
    name.replace("count(Int64(1))", "count(*)")
}

/// The name of a column of the concatenated inputs.
fn input_column(pipeline: &Pipeline, node: &Node, column: usize) -> String {
    let mut column = column;
    for (side, input) in node.inputs.iter().enumerate() {
        let fields = pipeline.nodes[*input].schema.fields();
        match fields.get(column) {
            Some(field) if node.inputs.len() > 1 => return format!("{}.{}", side_name(side), plain_name(field.name())),
            Some(field) => return plain_name(field.name()),
            None => column -= fields.len(),
        }
    }
    format!("#{column}")
}

fn side_name(side: usize) -> &'static str {
    if side == 0 { "left" } else { "right" }
}

fn source(spec: &SourceSpec) -> String {
    let option = |key: &str| spec.options.get(key).unwrap_or_default();
    match option("mode") {
        "histogram" => return format!("`{}` (the levels of index `{}`)", spec.table, option("index")),
        "olken" => {
            let replacement = if option("replacement") == "true" { ", with replacement" } else { "" };
            let (rows, method, index) = (option("rows"), option("method"), option("index"));
            return format!("`{}` ({rows} draws by {method} from index `{index}`{replacement})", spec.table);
        }
        _ => {}
    }
    let format = spec.options.format().map_or_else(String::new, |format| format!(", {format}"));
    format!("`{}` ({}{format})", spec.table, spec.options.connector())
}

fn source_details(spec: &SourceSpec, node: &Node) -> Vec<String> {
    let full = spec.full_schema();
    let name =
        |column: usize| full.fields().get(column).map_or_else(|| format!("#{column}"), |field| field.name().clone());
    let mut details = vec![format!("reads: {}", projected(&spec.output, node, &name))];
    details.extend(spec.predicate.iter().map(|predicate| format!("where: {}", predicate.display_with(&name))));
    match &spec.order {
        ReadOrder::Stored => {}
        ReadOrder::ShuffledBlocks { .. } => details.push("order: block by block at random".to_owned()),
        ReadOrder::Indexed(read) => details.push(super::index_read::shown(read)),
    }
    if let Some(watermark) = &spec.watermark {
        details.push(format!("watermark: {} = {}", watermark.column, watermark.expr.display_with(&name)));
    }
    details
}

fn projected(exprs: &[Expr], node: &Node, name: &dyn Fn(usize) -> String) -> String {
    let fields = node.schema.fields();
    let column = |(index, expr): (usize, &Expr)| {
        let text = expr.display_with(name);
        match fields.get(index) {
            Some(field) if *field.name() != text => format!("{text} AS {}", field.name()),
            _ => text,
        }
    };
    exprs.iter().enumerate().map(column).collect::<Vec<_>>().join(", ")
}

fn calc(predicate: Option<&Expr>, projection: &[Expr], node: &Node, name: &dyn Fn(usize) -> String) -> Vec<String> {
    let mut details = vec![format!("select: {}", projected(projection, node, name))];
    details.extend(predicate.map(|predicate| format!("where: {}", predicate.display_with(name))));
    details
}

fn shown(window: &Window) -> String {
    match window {
        Window::Tumble { size_ms, .. } => format!("TUMBLE {}", duration(*size_ms)),
        Window::Hop { size_ms, slide_ms, .. } => format!("HOP {} every {}", duration(*size_ms), duration(*slide_ms)),
        Window::Session { gap_ms } => format!("SESSION gap {}", duration(*gap_ms)),
    }
}

/// Milliseconds in the largest unit that divides them.
pub fn duration(ms: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    match UNITS.iter().find(|(unit, _)| ms != 0 && ms % unit == 0) {
        Some((unit, name)) => format!("{} {name}", ms / unit),
        None => format!("{ms} ms"),
    }
}

fn time_name(time: TimeAttribute, name: &dyn Fn(usize) -> String) -> String {
    match time {
        TimeAttribute::Event(column) => format!("{} (event time)", name(column)),
        TimeAttribute::Processing => "the clock (processing time)".to_owned(),
    }
}

fn window_input(input: &WindowInput, name: &dyn Fn(usize) -> String) -> String {
    match input {
        WindowInput::Assign { window, time } => format!("{} of {}", shown(window), time_name(*time, name)),
        WindowInput::Attached { start, end, .. } => format!("windows of the input ({}, {})", name(*start), name(*end)),
    }
}

fn by(keys: &str) -> String {
    if keys.is_empty() { "over all rows".to_owned() } else { format!("by {keys}") }
}

fn computes(aggregates: &[AggregateCall], name: &dyn Fn(usize) -> String) -> String {
    if aggregates.is_empty() {
        return "computes: nothing (DISTINCT)".to_owned();
    }
    let call = |call: &AggregateCall| {
        let args = call.args.iter().map(|arg| name(*arg)).collect::<Vec<_>>().join(", ");
        let constants = call.parameters.split_last().map_or(&[][..], |(_seed, constants)| constants);
        let args = constants.iter().fold(args, |args, constant| format!("{args}, {constant}"));
        let args = if call.args.is_empty() { "*".to_owned() } else { args };
        let mut text = format!("{}({}{args})", call.function, if call.distinct { "DISTINCT " } else { "" });
        if let Some(filter) = call.filter {
            write!(text, " FILTER ({})", name(filter)).expect("writing to a string does not fail");
        }
        text
    };
    format!("computes: {}", aggregates.iter().map(call).collect::<Vec<_>>().join(", "))
}

fn equalities(pipeline: &Pipeline, node: &Node, left: &[usize], right: &[usize]) -> String {
    if left.is_empty() {
        return "no key".to_owned();
    }
    let offset = width(pipeline, node.inputs.first());
    let name = |column| input_column(pipeline, node, column);
    let pairs = left.iter().zip(right).map(|(l, r)| format!("{} = {}", name(*l), name(r + offset)));
    pairs.collect::<Vec<_>>().join(" AND ")
}

fn filter_detail(filter: Option<&Expr>, name: &dyn Fn(usize) -> String) -> Vec<String> {
    filter.map(|filter| format!("where: {}", filter.display_with(name))).into_iter().collect()
}

fn within(interval: &Interval, width: usize, name: &dyn Fn(usize) -> String) -> String {
    let (left, right) = (name(interval.left_time), name(interval.right_time + width));
    format!("interval: {right} - {left} from {} to {}", duration(interval.lower_ms), duration(interval.upper_ms))
}

fn kind_name(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "inner",
        JoinKind::Left => "left",
        JoinKind::Semi => "semi",
        JoinKind::Anti => "anti",
    }
}

fn output_name(spec: &SourceSpec, position: usize) -> String {
    let full = spec.full_schema();
    let name =
        |column: usize| full.fields().get(column).map_or_else(|| format!("#{column}"), |field| field.name().clone());
    spec.output.get(position).map_or_else(|| format!("#{position}"), |expr| expr.display_with(&name))
}

fn sample(method: &SampleMethod, at_end: bool, name: &dyn Fn(usize) -> String) -> String {
    let when = if at_end { ", at the end" } else { ", as changes" };
    match method {
        SampleMethod::Bernoulli { probability } => format!("each row with probability {probability}"),
        SampleMethod::Reservoir { rows } => format!("{rows} rows{when}"),
        SampleMethod::Weighted { weight, rows } => format!("{rows} rows by weight {}{when}", name(*weight)),
    }
}

fn limit(skip: u64, fetch: Option<u64>) -> String {
    let rows = fetch.map_or_else(|| "all rows".to_owned(), |fetch| format!("{fetch} rows"));
    if skip == 0 { rows } else { format!("{rows} after {skip}") }
}

fn sink(spec: &SinkSpec) -> String {
    if spec.options.connector() == INDEX {
        return format!("index `{}` over `{}`", spec.table, spec.options.get("table").unwrap_or_default());
    }
    let format = spec.options.format().map_or_else(String::new, |format| format!(", {format}"));
    format!("`{}` ({}{format})", spec.table, spec.options.connector())
}

fn sink_details(spec: &SinkSpec, node: &Node) -> Vec<String> {
    let mut details = vec![format!("changes: {}", changes(node.changelog)), format!("guarantee: {}", guarantee(spec))];
    let fields = spec.schema.fields();
    let names =
        |columns: &[usize]| columns.iter().map(|column| fields[*column].name().clone()).collect::<Vec<_>>().join(", ");
    if !spec.primary_key.is_empty() {
        let what = if spec.options.connector() == INDEX { "ordered by" } else { "primary key" };
        details.push(format!("{what}: {}", names(&spec.primary_key)));
    }
    if !spec.partition_by.is_empty() {
        details.push(format!("partitioned by: {}", names(&spec.partition_by)));
    }
    details
}

/// What a connector promises of its output.
fn guarantee(spec: &SinkSpec) -> &'static str {
    match spec.options.connector() {
        "filesystem" => "exactly-once (files appear whole, with a snapshot)",
        "topic" | INDEX => "exactly-once (each epoch is appended once)",
        "blackhole" => "none needed (rows are counted and dropped)",
        _ => "at-least-once (after a crash the epochs since the last snapshot are shown again)",
    }
}

/// How each input is distributed for a node, where that differs from how it comes.
pub fn exchanges(pipeline: &Pipeline, id: NodeId) -> Vec<Option<String>> {
    let node = &pipeline.nodes[id];
    let wanted: Vec<Option<&[usize]>> = match &node.operator {
        Operator::WindowAggregate { keys, .. }
        | Operator::Aggregate { keys, .. }
        | Operator::Normalize { keys, .. } => vec![Some(keys)],
        Operator::Join { left_keys, right_keys, .. } | Operator::WindowJoin { left_keys, right_keys, .. } => {
            vec![Some(left_keys), Some(right_keys)]
        }
        Operator::Limit { .. } | Operator::Sort { .. } => vec![Some(&[])],
        Operator::Online(_) => vec![Some(&[]); node.inputs.len()],
        Operator::Sample { method, .. } if method.rows().is_some() => vec![Some(&[])],
        _ => vec![None; node.inputs.len()],
    };
    let one = |(input, keys): (&NodeId, Option<&[usize]>)| {
        let keys = keys?;
        let distributed = distribution(pipeline, *input);
        let fields = pipeline.nodes[*input].schema.fields();
        let names = keys.iter().map(|key| fields[*key].name().as_str()).collect::<Vec<_>>();
        match distributed {
            Some(by) if by == keys => None,
            _ if keys.is_empty() => Some("to one worker".to_owned()),
            _ => Some(format!("by hash({})", names.join(", "))),
        }
    };
    node.inputs.iter().zip(wanted).map(one).collect()
}

/// The columns whose hash decides on which worker a node's rows lie, if that is known.
fn distribution(pipeline: &Pipeline, id: NodeId) -> Option<Vec<usize>> {
    let node = &pipeline.nodes[id];
    match &node.operator {
        Operator::WindowAggregate { keys, .. } | Operator::Aggregate { keys, .. } => Some((0..keys.len()).collect()),
        Operator::Join { left_keys, .. } | Operator::WindowJoin { left_keys, .. } => Some(left_keys.clone()),
        Operator::Normalize { keys, .. } => Some(keys.clone()),
        Operator::Calc { projection, .. } => {
            let below = distribution(pipeline, *node.inputs.first()?)?;
            let position = |column: &usize| projection.iter().position(|expr| *expr == Expr::Column(*column));
            below.iter().map(position).collect()
        }
        _ => None,
    }
}
