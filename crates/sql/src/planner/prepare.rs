//! The first pass over a query's text form: what needs no types.
//!
//! Clock functions become a variable (before anything could fold them into a constant), legacy group windows become
//! fields of a ROW, output columns get Flink's names, and every unknown function is reported with its place.
//! [`super::refuse`] says what is not in this build.

use std::collections::HashSet;
use std::ops::ControlFlow;

use fleuve_base::{Error, Result, nearest};
use sqlparser::ast::{
    self, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, LimitClause, ObjectName, Query, Select, SelectItem, TableFactor, TableWithJoins,
    TimezoneInfo, Value, VisitMut, VisitorMut,
};
use sqlparser::tokenizer::Span;

use super::aggregate_decl::aggregate;
use super::context::function_names;
use super::errors::at_opt;
use super::extension::WINDOW_COLUMNS;
use super::markers::{self, CLOCK, FIELD};
use super::refuse;
use crate::catalog::Catalog;
use crate::parser::place;

/// What names are looked up in.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The session's catalog.
    pub catalog: &'a Catalog,
}

/// Rewrites a query, or says why it cannot be planned.
pub fn prepare_query(query: &Query, scope: &Scope<'_>) -> Result<Query> {
    let mut query = query.clone();
    match query.visit(&mut Prepare { scope: *scope }) {
        ControlFlow::Continue(()) => Ok(query),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// Rewrites a scalar expression, or says why it cannot be planned.
pub fn prepare_expr(expr: &Expr, scope: &Scope<'_>) -> Result<Expr> {
    let mut expr = expr.clone();
    match expr.visit(&mut Prepare { scope: *scope }) {
        ControlFlow::Continue(()) => Ok(expr),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Prepare<'a> {
    scope: Scope<'a>,
}

type Flow = ControlFlow<Box<Error>>;

fn flow(result: Result<()>) -> Flow {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Box::new(error)),
    }
}

impl VisitorMut for Prepare<'_> {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        fetch_as_limit(query);
        flow(refuse::check_query(query))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        flow(refuse::check_select(select))
    }

    fn post_visit_select(&mut self, select: &mut Select) -> Flow {
        name_outputs(select);
        Flow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        flow(refuse::check_table_factor(factor))
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        flow(refuse::check_expr(expr))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match expr {
            Expr::Function(function) => match self.function(function) {
                Ok(Some(replacement)) => {
                    *expr = replacement;
                    Flow::Continue(())
                }
                Ok(None) => Flow::Continue(()),
                Err(error) => Flow::Break(Box::new(error)),
            },
            Expr::Value(value) => {
                if let Value::Number(digits, _) = &value.value
                    && digits.contains(['e', 'E'])
                {
                    *expr = double(digits.clone(), value.span);
                }
                Flow::Continue(())
            }
            _ => Flow::Continue(()),
        }
    }
}

/// A number with an exponent is a DOUBLE, one without is exact.
fn double(digits: String, span: Span) -> Expr {
    let digits = Expr::Value(Value::SingleQuotedString(digits).with_span(span));
    cast(digits, DataType::Double(ast::ExactNumberInfo::None))
}

impl Prepare<'_> {
    /// What a call becomes, if it does not stay as it is.
    fn function(&self, function: &mut Function) -> Result<Option<Expr>> {
        let Some(ident) = single_name(&function.name) else {
            return Err(Error::input("E011", format!("unknown function `{}`", function.name)));
        };
        let (name, span) = (ident.value.to_ascii_lowercase(), ident.span);
        if self.scope.catalog.function(&name).is_some() {
            return Ok(None);
        }
        if let Some(clock) = clock_function(&name, &function.args) {
            return Ok(Some(clock));
        }
        if let Some(part) = group_window_part(&name) {
            return Ok(Some(part.of(function, span)));
        }
        if name == "mod" {
            return modulo(function, span).map(Some);
        }
        if matches!(name.as_str(), "floor" | "ceil") && has_unit(&function.args) {
            let to_unit = Ident { value: format!("{name}_time"), ..ident };
            return Ok(Some(Expr::Function(Function { name: ObjectName::from(vec![to_unit]), ..function.clone() })));
        }
        self.check_known(&name, &ident.value, span)?;
        Ok(None)
    }

    fn check_known(&self, name: &str, written: &str, span: Span) -> Result<()> {
        let known = matches!(name, "descriptor" | "partition_by")
            || markers::marker(name).is_some()
            || fleuve_functions::registry::scalar(name).is_some()
            || aggregate(name).is_some();
        if known {
            return Ok(());
        }
        let error = Error::input("E011", format!("unknown function `{written}`"));
        let names = function_names(self.scope.catalog);
        let error = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => error.with_hint(format!("did you mean `{}`?", near.to_uppercase())),
            None => error
                .with_hint("SHOW FUNCTIONS lists the functions of this build; CREATE FUNCTION … LANGUAGE SQL adds one"),
        };
        Err(at_opt(error, place(span)))
    }
}

fn single_name(name: &ObjectName) -> Option<Ident> {
    match name.0.as_slice() {
        [part] => part.as_ident().cloned(),
        _ => None,
    }
}

fn is_without_arguments(args: &FunctionArguments) -> bool {
    match args {
        FunctionArguments::None => true,
        FunctionArguments::List(list) => list.args.is_empty(),
        FunctionArguments::Subquery(_) => false,
    }
}

/// Whether the second argument is a unit of time: `FLOOR(ts TO DAY)`.
fn has_unit(args: &FunctionArguments) -> bool {
    match args {
        FunctionArguments::List(list) => match list.args.as_slice() {
            [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(unit)))] => {
                matches!(unit.value, Value::SingleQuotedString(_))
            }
            _ => false,
        },
        _ => false,
    }
}

/// The clock functions over the variable that stands for the epoch's clock.
fn clock_function(name: &str, args: &FunctionArguments) -> Option<Expr> {
    // CURRENT_TIME(p) and its like take a precision; the clock has milliseconds whatever it says.
    let local = || cast(clock(), DataType::Timestamp(Some(3), TimezoneInfo::None));
    match name {
        "proctime" | "now" | "current_timestamp" | "current_row_timestamp" => Some(clock()),
        "localtimestamp" => Some(local()),
        "current_date" => Some(cast(local(), DataType::Date)),
        "current_time" | "localtime" => Some(cast(local(), DataType::Time(None, TimezoneInfo::None))),
        "unix_timestamp" if is_without_arguments(args) => Some(call("extract", vec![text("EPOCH"), clock()])),
        _ => None,
    }
}

fn clock() -> Expr {
    Expr::Identifier(Ident::new(CLOCK))
}

fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).with_empty_span())
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

/// A part of a legacy group window: `TUMBLE_START` is the first column of `TUMBLE`.
struct GroupWindowPart {
    window: &'static str,
    column: Option<&'static str>,
}

fn group_window_part(name: &str) -> Option<GroupWindowPart> {
    let (window, part) = name.split_once('_')?;
    let window = markers::GROUP_WINDOWS.into_iter().find(|known| *known == window)?;
    let [start, end, time] = WINDOW_COLUMNS;
    let column = match part {
        "start" => Some(start),
        "end" => Some(end),
        "rowtime" => Some(time),
        "proctime" => None,
        _ => return None,
    };
    Some(GroupWindowPart { window, column })
}

impl GroupWindowPart {
    fn of(self, function: &Function, span: Span) -> Expr {
        let Some(column) = self.column else { return clock() };
        let window = Ident { value: self.window.to_owned(), quote_style: None, span };
        let window = Expr::Function(Function { name: ObjectName::from(vec![window]), ..function.clone() });
        call(FIELD, vec![window, text(column)])
    }
}

/// `MOD(a, b)` is `a % b`.
fn modulo(function: &Function, span: Span) -> Result<Expr> {
    let operands = match &function.args {
        FunctionArguments::List(list) => list.args.as_slice(),
        _ => &[],
    };
    match operands {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(left)), FunctionArg::Unnamed(FunctionArgExpr::Expr(right))] => {
            let nested = |expr: &Expr| Box::new(Expr::Nested(Box::new(expr.clone())));
            let (left, op, right) = (nested(left), BinaryOperator::Modulo, nested(right));
            Ok(Expr::Nested(Box::new(Expr::BinaryOp { left, op, right })))
        }
        other => {
            let text = format!("MOD takes 2 arguments, not {}", other.len());
            Err(at_opt(Error::input("E021", text), place(span)))
        }
    }
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
fn fetch_as_limit(query: &mut Query) {
    let quantity = match &query.fetch {
        Some(fetch) if !fetch.percent && !fetch.with_ties => fetch.quantity.clone(),
        _ => return,
    };
    let one = || Expr::Value(Value::Number("1".to_owned(), false).with_empty_span());
    let quantity = Some(quantity.unwrap_or_else(one));
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = quantity,
        None => query.limit_clause = Some(LimitClause::LimitOffset { limit: quantity, offset: None, limit_by: vec![] }),
        Some(_) => return,
    }
    query.fetch = None;
}

/// Gives output columns the names that Flink gives them: an expression is `EXPR$3`, a field of a ROW has the field's
/// name, a second `id` is `id0`.
fn name_outputs(select: &mut Select) {
    let tables = relation_names(&select.from);
    let mut used = HashSet::new();
    for (position, item) in select.projection.iter_mut().enumerate() {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let (name, must_be_given) = output_name(expr, position, &tables);
                let unique = unique_name(&name, &used);
                if must_be_given || unique != name {
                    let alias = Ident::with_quote('`', unique.clone());
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
                used.insert(unique);
            }
            SelectItem::ExprWithAlias { alias, .. } => {
                used.insert(alias.value.clone());
            }
            _ => {}
        }
    }
}

/// The name of an expression, and whether it has to be written down.
fn output_name(expr: &Expr, position: usize, tables: &HashSet<String>) -> (String, bool) {
    let last = |idents: &[Ident]| idents.last().map_or_else(String::new, |ident| ident.value.clone());
    match expr {
        Expr::Identifier(ident) if ident.value == CLOCK => (format!("EXPR${position}"), true),
        Expr::Identifier(ident) => (ident.value.clone(), false),
        Expr::CompoundIdentifier(idents) => {
            let is_column = idents.len() == 2 && tables.contains(&idents[0].value);
            (last(idents), !is_column)
        }
        _ => (format!("EXPR${position}"), true),
    }
}

fn unique_name(name: &str, used: &HashSet<String>) -> String {
    if !used.contains(name) {
        return name.to_owned();
    }
    let numbered = (0..=used.len()).map(|number| format!("{name}{number}"));
    numbered.into_iter().find(|candidate| !used.contains(candidate)).unwrap_or_else(|| name.to_owned())
}

/// Names by which a FROM's relations are called.
fn relation_names(from: &[TableWithJoins]) -> HashSet<String> {
    let mut names = HashSet::new();
    from.iter().for_each(|relation| collect_names(relation, &mut names));
    names
}

fn collect_names(relation: &TableWithJoins, names: &mut HashSet<String>) {
    let factors = std::iter::once(&relation.relation).chain(relation.joins.iter().map(|join| &join.relation));
    for factor in factors {
        let (alias, own) = match factor {
            TableFactor::Table { alias, args: Some(_), .. } => (alias, None),
            TableFactor::Table { alias, name, .. } => (alias, name.0.last().and_then(|part| part.as_ident())),
            TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => (alias, None),
            TableFactor::NestedJoin { table_with_joins, alias } => {
                collect_names(table_with_joins, names);
                (alias, None)
            }
            _ => continue,
        };
        let name = alias.as_ref().map(|alias| &alias.name).or(own);
        names.extend(name.map(|name| name.value.clone()));
    }
}

/// The first place where a query names something.
pub fn place_of_name(query: &Query, name: &str) -> Option<fleuve_base::Place> {
    struct Find<'a>(&'a str);
    impl ast::Visitor for Find<'_> {
        type Break = Span;

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Span> {
            let idents: Vec<&Ident> = match expr {
                Expr::Identifier(ident) => vec![ident],
                Expr::CompoundIdentifier(idents) => idents.iter().collect(),
                Expr::Function(function) => function.name.0.iter().filter_map(|part| part.as_ident()).collect(),
                _ => vec![],
            };
            self.among(idents)
        }

        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Span> {
            self.among(relation.0.iter().filter_map(|part| part.as_ident()).collect())
        }
    }
    impl Find<'_> {
        fn among(&self, idents: Vec<&Ident>) -> ControlFlow<Span> {
            match idents
                .into_iter()
                .find(|ident| ident.value.eq_ignore_ascii_case(self.0) && place(ident.span).is_some())
            {
                Some(ident) => ControlFlow::Break(ident.span),
                None => ControlFlow::Continue(()),
            }
        }
    }
    match ast::Visit::visit(query, &mut Find(name)) {
        ControlFlow::Break(span) => place(span),
        ControlFlow::Continue(()) => None,
    }
}
