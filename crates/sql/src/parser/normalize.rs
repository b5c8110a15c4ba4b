//! Gives each construct one form in the syntax tree, whichever way it was written.

use std::ops::ControlFlow;

use fleuve_base::{Error, Result};
use sqlparser::ast::{
    CeilFloorKind, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Spanned, TableAlias, TableFactor, TableFunctionArgs,
    Value, VisitMut, VisitorMut,
};

use super::cursor::{qualified_name, strip_defaults};
use super::token::{TIME_UNITS, place};

/// Normalises a query.
pub(super) fn query(query: &mut Query) -> Result<()> {
    finish(query.visit(&mut Normalizer))
}

/// Normalises an expression.
pub(super) fn expr(expr: &mut Expr) -> Result<()> {
    finish(expr.visit(&mut Normalizer))
}

fn finish(flow: ControlFlow<Error>) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Normalizer;

impl VisitorMut for Normalizer {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        match table_factor(factor) {
            Ok(Some(replacement)) => *factor = replacement,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Some(replacement) = floor_or_ceil(expr) {
            *expr = replacement;
        }
        ControlFlow::Continue(())
    }
}

/// What a table factor is replaced by, if it is not in its normal form.
fn table_factor(factor: &mut TableFactor) -> Result<Option<TableFactor>> {
    match factor {
        TableFactor::TableFunction { expr, alias } => table_function(expr, alias).map(Some),
        TableFactor::Function { name, .. } => Err(lateral_refused(name)),
        TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } if is_named(name, "UNNEST") => {
            unnest(std::mem::take(&mut args.args), alias.take(), *with_ordinality).map(Some)
        }
        TableFactor::Table { name, args: None, .. } => strip_relation(name).map(|()| None),
        _ => Ok(None),
    }
}

/// `TABLE(f(…))` becomes `f(…)`.
fn table_function(expr: &mut Expr, alias: &mut Option<TableAlias>) -> Result<TableFactor> {
    let place = place(expr.span());
    match expr {
        Expr::Function(Function { name, args: FunctionArguments::List(list), over: None, filter: None, .. }) => {
            let args = std::mem::take(&mut list.args);
            if is_named(name, "UNNEST") {
                return unnest(args, alias.take(), false);
            }
            let name = std::mem::replace(name, ObjectName(vec![]));
            Ok(table_with_args(name, args, alias.take()))
        }
        _ => {
            let error = Error::input("E001", "TABLE(…) needs a table function")
                .with_hint("for example TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))");
            Err(place.into_iter().fold(error, Error::at))
        }
    }
}

fn table_with_args(name: ObjectName, args: Vec<FunctionArg>, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Table {
        name,
        alias,
        args: Some(TableFunctionArgs { args, settings: None }),
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    }
}

fn unnest(args: Vec<FunctionArg>, alias: Option<TableAlias>, with_ordinality: bool) -> Result<TableFactor> {
    let array_exprs = args.into_iter().map(plain_argument).collect::<Result<Vec<Expr>>>()?;
    Ok(TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias: None, with_ordinality })
}

fn plain_argument(arg: FunctionArg) -> Result<Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        other => {
            let error = Error::input("E001", format!("UNNEST takes an array or a map, not `{other}`"));
            Err(place(other.span()).into_iter().fold(error, Error::at))
        }
    }
}

fn lateral_refused(name: &ObjectName) -> Error {
    let error = Error::unsupported("E201", "LATERAL TABLE(…) is not in this build")
        .with_detail("table functions can only come from Java, which this build does not run")
        .with_hint("to expand an array or a map, use CROSS JOIN UNNEST(column) AS t (element)");
    place(name.span()).into_iter().fold(error, Error::at)
}

/// Leaves the default catalog and database away.
fn strip_relation(name: &mut ObjectName) -> Result<()> {
    let identifiers: Option<Vec<&Ident>> = name.0.iter().map(ObjectNamePart::as_ident).collect();
    let Some(identifiers) = identifiers else { return Ok(()) };
    let parts: Vec<&str> = identifiers.iter().map(|ident| ident.value.as_str()).collect();
    if strip_defaults(&parts).is_none() {
        return Err(place(name.span()).into_iter().fold(qualified_name(&parts), Error::at));
    }
    name.0.drain(..name.0.len() - 1);
    Ok(())
}

fn is_named(name: &ObjectName, wanted: &str) -> bool {
    matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|ident| ident.value.eq_ignore_ascii_case(wanted)))
}

/// `FLOOR(x TO DAY)` becomes the function call `floor(x, 'DAY')`.
fn floor_or_ceil(expr: &mut Expr) -> Option<Expr> {
    let span = expr.span();
    let (name, operand, field) = match expr {
        Expr::Floor { expr, field: CeilFloorKind::DateTimeField(field) } => ("floor", expr, field),
        Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(field) } => ("ceil", expr, field),
        _ => return None,
    };
    if *field == DateTimeField::NoDateTime {
        return None;
    }
    let unit = field.to_string().to_ascii_uppercase();
    let unit =
        Expr::Value(Value::SingleQuotedString(unit.strip_suffix('S').unwrap_or(&unit).to_owned()).with_span(span));
    let operand = std::mem::replace(operand.as_mut(), Expr::Value(Value::Null.with_empty_span()));
    Some(call(Ident::with_span(span, name), vec![operand, unit]))
}

fn call(name: Ident, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

/// The text of an expression in this dialect: undoes what sqlparser would print in another one's form.
pub(crate) fn text(expr: &Expr) -> String {
    let mut expr = expr.clone();
    let _: ControlFlow<()> = expr.visit(&mut Unnormalizer);
    expr.to_string()
}

struct Unnormalizer;

impl VisitorMut for Unnormalizer {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr {
            let replacement = match list.args.as_mut_slice() {
                [
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(operand)),
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(unit)),
                ] => to_unit(name, operand, unit),
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(unit)), _, _] => {
                    unquote_unit(name, unit);
                    None
                }
                _ => None,
            };
            if let Some(replacement) = replacement {
                *expr = replacement;
            }
        }
        ControlFlow::Continue(())
    }
}

fn string_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// `floor(x, 'DAY')` becomes `FLOOR(x TO DAY)` again.
fn to_unit(name: &ObjectName, operand: &Expr, unit: &Expr) -> Option<Expr> {
    let unit = TIME_UNITS.into_iter().find(|known| string_of(unit) == Some(known))?;
    let field = CeilFloorKind::DateTimeField(DateTimeField::Custom(Ident::new(unit)));
    let expr = Box::new(operand.clone());
    match () {
        () if is_named(name, "floor") => Some(Expr::Floor { expr, field }),
        () if is_named(name, "ceil") => Some(Expr::Ceil { expr, field }),
        () => None,
    }
}

/// `TIMESTAMPDIFF('SECOND', …)` becomes `TIMESTAMPDIFF(SECOND, …)` again.
fn unquote_unit(name: &ObjectName, unit: &mut Expr) {
    let takes_unit = is_named(name, "TIMESTAMPDIFF") || is_named(name, "TIMESTAMPADD");
    let known = TIME_UNITS.into_iter().find(|known| string_of(unit) == Some(known));
    if let (true, Some(known)) = (takes_unit, known) {
        *unit = Expr::Identifier(Ident::new(known));
    }
}
