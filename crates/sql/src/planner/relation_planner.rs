//! Relations in FROM that standard SQL lacks: window table functions, system-time joins, UNNEST.

use datafusion_common::{Column, DFSchema, DataFusionError, Result, ScalarValue};
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan};
use fleuve_base::{Error, Place};
use fleuve_plan::Window;
use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, Spanned, TableAlias, TableFactor, TableVersion,
};

use super::errors::{at_opt, external, unknown_column};
use super::extension::{SystemTime, UnnestCall, WindowFunction, plan_of};
use super::index;
use super::sample;
use crate::parser::{byte_range, place};

/// Plans the relations of the dialect.
#[derive(Debug)]
pub struct FlinkRelationPlanner;

impl RelationPlanner for FlinkRelationPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match relation {
            TableFactor::Table { name, alias, args: Some(args), .. } => {
                let (partition, args) = args.args.into_iter().partition(is_partition);
                let call = WindowCall { place: place(name.span()), name: function_name(&name), args, partition };
                planned(call.plan(context)?, alias)
            }
            TableFactor::Table { name, alias, version: Some(TableVersion::ForSystemTimeAsOf(time)), .. } => {
                planned(system_time(name, &time, context)?, alias)
            }
            TableFactor::Table { name, alias, sample: Some(kind), .. } => {
                planned(sample::plan(&kind, context.plan(plain_table(name))?, context)?, alias)
            }
            TableFactor::Derived { lateral, subquery, alias, sample: Some(kind) } => {
                let factor = TableFactor::Derived { lateral, subquery, alias: None, sample: None };
                planned(sample::plan(&kind, context.plan(factor)?, context)?, alias)
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                planned(unnest(array_exprs, with_ordinality, context)?, alias)
            }
            other => Ok(RelationPlanning::Original(Box::new(other))),
        }
    }
}

fn planned(plan: LogicalPlan, alias: Option<TableAlias>) -> Result<RelationPlanning> {
    Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
}

fn system_time(name: ObjectName, time: &ast::Expr, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let parts = match time {
        ast::Expr::Identifier(ident) => vec![ident.value.clone()],
        ast::Expr::CompoundIdentifier(idents) => idents.iter().map(|ident| ident.value.clone()).collect(),
        other => {
            let error = Error::unsupported("E201", format!("FOR SYSTEM_TIME AS OF `{other}` is not in this build"))
                .with_hint("name a processing-time column of the other table: FOR SYSTEM_TIME AS OF o.proc_time");
            return Err(external(at_opt(error, place(other.span()))));
        }
    };
    let input = context.plan(plain_table(name))?;
    Ok(plan_of(SystemTime { input: input.into(), time: parts, span: byte_range(time.span()) }))
}

fn plain_table(name: ObjectName) -> TableFactor {
    TableFactor::Table {
        name,
        alias: None,
        args: None,
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    }
}

fn unnest(exprs: Vec<ast::Expr>, ordinality: bool, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let [expr] = <[ast::Expr; 1]>::try_from(exprs).map_err(|exprs| {
        external(Error::unsupported("E201", format!("UNNEST of {} collections is not in this build", exprs.len())))
    })?;
    let (span, whereabouts) = (byte_range(expr.span()), place(expr.span()));
    let none = DFSchema::empty();
    let collection = context.sql_expr_to_logical_expr(expr, &none)?;
    let data_type = collection.get_type(&none)?;
    match UnnestCall::new(collection, &data_type, ordinality, span)? {
        Some(call) => Ok(plan_of(call)),
        None => {
            let text = format!("UNNEST needs an ARRAY, a MAP or a MULTISET, not {}", crate::types::display(&data_type));
            Err(external(at_opt(Error::input("E020", text), whereabouts)))
        }
    }
}

fn function_name(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map_or_else(|| name.to_string(), |ident| ident.value.to_uppercase())
}

/// `TABLE t PARTITION BY k`, which the parser hands on as a further argument.
fn is_partition(arg: &FunctionArg) -> bool {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Function(function))) => {
            function_name(&function.name) == "PARTITION_BY"
        }
        _ => false,
    }
}

/// A call of a window table function.
struct WindowCall {
    name: String,
    args: Vec<FunctionArg>,
    partition: Vec<FunctionArg>,
    place: Option<Place>,
}

impl WindowCall {
    fn plan(self, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
        let names: &[&str] = match self.name.as_str() {
            "TUMBLE" => &["DATA", "TIMECOL", "SIZE", "OFFSET"],
            "HOP" => &["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"],
            "SESSION" => &["DATA", "TIMECOL", "GAP"],
            "HISTOGRAM" => return self.histogram(context),
            "CUMULATE" => return Err(self.error(cumulate())),
            other => {
                let error = Error::input("E011", format!("unknown table function `{other}`"))
                    .with_hint("table functions of this build: TUMBLE, HOP, SESSION, HISTOGRAM");
                return Err(self.error(error));
            }
        };
        let args = self.arguments(names)?;
        let required = if names.last() == Some(&"OFFSET") { names.len() - 1 } else { names.len() };
        if args.iter().take(required).any(Option::is_none) {
            let text = format!("{} needs {}", self.name, names[..required].join(", "));
            return Err(self.error(Error::input("E021", text).with_hint(usage(&self.name))));
        }
        let mut args = args.into_iter();
        let (Some(Some(data)), Some(Some(time))) = (args.next(), args.next()) else {
            return Err(self.error(Error::internal("required arguments were checked")));
        };
        let input = self.input(data, context)?;
        let time = self.descriptor(&time, input.schema())?;
        let lengths = args.map(|arg| arg.map(|arg| self.interval(arg, context)).transpose());
        let window = self.window(&lengths.collect::<Result<Vec<_>>>()?)?;
        let partition = self.partition_columns(&window, input.schema())?;
        Ok(plan_of(WindowFunction::new(input, window, time, partition, self.place)?))
    }

    /// `HISTOGRAM(TABLE t, DESCRIPTOR(c))`.
    fn histogram(&self, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
        let args = self.arguments(&["DATA", "COLUMN"])?;
        let [Some(data), Some(column)] = args.as_slice() else {
            let error = Error::input("E021", "HISTOGRAM needs a table and a column").with_hint(usage(&self.name));
            return Err(self.error(error));
        };
        let input = self.input(data.clone(), context)?;
        let column = self.descriptor(column, input.schema())?;
        index::plan_histogram(&input, &column, self.place.clone())
    }

    fn partition_columns(&self, window: &Window, schema: &DFSchema) -> Result<Vec<Column>> {
        if !self.partition.is_empty() && !matches!(window, Window::Session { .. }) {
            let error = Error::unsupported("E201", format!("PARTITION BY in {} is not in this build", self.name))
                .with_hint("leave it out: its windows do not depend on the rows; GROUP BY makes the groups");
            return Err(self.error(error));
        }
        let mut columns = vec![];
        for arg in &self.partition {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Function(function))) = arg else { continue };
            let FunctionArguments::List(list) = &function.args else { continue };
            for key in &list.args {
                let FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Identifier(ident))) = key else {
                    return Err(
                        self.error(Error::unsupported("E201", "PARTITION BY an expression is not in this build"))
                    );
                };
                columns.push(column_of(ident, schema)?);
            }
        }
        Ok(columns)
    }

    /// The arguments in the order of `names`, given by position or by name.
    fn arguments(&self, names: &[&str]) -> Result<Vec<Option<ast::Expr>>> {
        let mut slots = vec![None; names.len()];
        for (position, arg) in self.args.iter().enumerate() {
            let (slot, arg) = match arg {
                FunctionArg::Unnamed(arg) => (Some(position), arg),
                FunctionArg::Named { name, arg, .. } => {
                    (names.iter().position(|known| name.value.eq_ignore_ascii_case(known)), arg)
                }
                FunctionArg::ExprNamed { arg, .. } => (None, arg),
            };
            match (slot.and_then(|slot| slots.get_mut(slot)), arg) {
                (Some(slot), FunctionArgExpr::Expr(expr)) => *slot = Some(expr.clone()),
                _ => {
                    let text = format!("argument {} of {} has no meaning", position + 1, self.name);
                    return Err(self.error(Error::input("E021", text).with_hint(usage(&self.name))));
                }
            }
        }
        Ok(slots)
    }

    fn input(&self, data: ast::Expr, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
        let span = data.span();
        let factor = match data {
            ast::Expr::Identifier(ident) => plain_table(ObjectName::from(vec![ident])),
            ast::Expr::CompoundIdentifier(idents) => plain_table(ObjectName::from(idents)),
            ast::Expr::Subquery(subquery) => {
                TableFactor::Derived { lateral: false, subquery, alias: None, sample: None }
            }
            other => {
                let error = Error::input("E021", format!("`{other}` is not a table")).with_hint(usage(&self.name));
                return Err(external(at_opt(error, place(span))));
            }
        };
        context.plan(factor)
    }

    fn descriptor(&self, time: &ast::Expr, schema: &DFSchema) -> Result<Column> {
        let what = if self.name == "HISTOGRAM" { "column" } else { "time" };
        let text = format!("the {what} is named by DESCRIPTOR(column)");
        let wrong = || self.error(Error::input("E021", text.clone()).with_hint(usage(&self.name)));
        let ast::Expr::Function(function) = time else { return Err(wrong()) };
        let FunctionArguments::List(list) = &function.args else { return Err(wrong()) };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Identifier(ident)))] = list.args.as_slice() else {
            return Err(wrong());
        };
        column_of(ident, schema)
    }

    fn interval(&self, expr: ast::Expr, context: &mut dyn RelationPlannerContext) -> Result<i64> {
        let whereabouts = place(expr.span());
        let planned = context.sql_to_expr(expr, &DFSchema::empty())?;
        interval_ms(&planned).map_err(|error| external(at_opt(at_opt(error, whereabouts), self.place.clone())))
    }

    fn window(&self, lengths: &[Option<i64>]) -> Result<Window> {
        let length = |index: usize| lengths.get(index).copied().flatten();
        let window = match (self.name.as_str(), lengths.len()) {
            ("TUMBLE", _) => length(0).map(|size_ms| Window::Tumble { size_ms, offset_ms: length(1).unwrap_or(0) }),
            ("HOP", _) => length(0).zip(length(1)).map(|(slide_ms, size_ms)| Window::Hop {
                size_ms,
                slide_ms,
                offset_ms: length(2).unwrap_or(0),
            }),
            _ => length(0).map(|gap_ms| Window::Session { gap_ms }),
        };
        let window = window.ok_or_else(|| self.error(Error::internal("window lengths were checked")))?;
        check_window(&window).map_err(|error| self.error(error))?;
        Ok(window)
    }

    fn error(&self, error: Error) -> DataFusionError {
        external(at_opt(error, self.place.clone()))
    }
}

/// The column of a schema that a name means.
pub fn column_of(ident: &ast::Ident, schema: &DFSchema) -> Result<Column> {
    match schema.qualified_field_with_unqualified_name(&ident.value) {
        Ok((qualifier, field)) => Ok(Column::new(qualifier.cloned(), field.name())),
        Err(_) => {
            let wanted = Column::new_unqualified(ident.value.clone());
            Err(external(at_opt(unknown_column(&wanted, &schema.columns()), place(ident.span))))
        }
    }
}

/// CUMULATE by name.
pub fn cumulate() -> Error {
    Error::unsupported("E201", "CUMULATE windows are not in this build")
        .with_hint("TUMBLE with the step as size gives the same pieces; add them up downstream")
}

/// Lengths must be positive, and a HOP must consist of whole slides.
pub fn check_window(window: &Window) -> Result<(), Error> {
    let positive = match window {
        Window::Tumble { size_ms, .. } => *size_ms > 0,
        Window::Hop { size_ms, slide_ms, .. } => *size_ms > 0 && *slide_ms > 0,
        Window::Session { gap_ms } => *gap_ms > 0,
    };
    if !positive {
        return Err(Error::input("E025", "a window's length must be positive"));
    }
    match window {
        Window::Hop { size_ms, slide_ms, .. } if size_ms % slide_ms != 0 => Err(Error::input(
            "E022",
            format!("the size of a HOP ({size_ms} ms) must be a multiple of its slide ({slide_ms} ms)"),
        )
        .with_hint("HOP takes the slide first, then the size")),
        _ => Ok(()),
    }
}

/// A constant interval in milliseconds.
pub fn interval_ms(expr: &Expr) -> Result<i64, Error> {
    let wrong = |text: &str| Error::input("E025", text.to_owned()).with_hint("for example INTERVAL '10' SECOND");
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) = expr else {
        return Err(wrong("a window's length is a constant INTERVAL"));
    };
    if interval.months != 0 {
        return Err(wrong("a window's length cannot be in months or years, which are not all equally long"));
    }
    const NANOS_PER_MS: i64 = 1_000_000;
    const MS_PER_DAY: i64 = 86_400_000;
    if interval.nanoseconds % NANOS_PER_MS != 0 {
        return Err(wrong("a window's length must be whole milliseconds"));
    }
    i64::from(interval.days)
        .checked_mul(MS_PER_DAY)
        .and_then(|days| days.checked_add(interval.nanoseconds / NANOS_PER_MS))
        .ok_or_else(|| wrong("the window is too long"))
}

fn usage(name: &str) -> String {
    let rest = match name {
        "HISTOGRAM" => return "for example HISTOGRAM(TABLE t, DESCRIPTOR(c))".to_owned(),
        "HOP" => "INTERVAL '5' SECOND, INTERVAL '10' SECOND",
        _ => "INTERVAL '10' SECOND",
    };
    format!("for example {name}(TABLE t, DESCRIPTOR(time_column), {rest})")
}
