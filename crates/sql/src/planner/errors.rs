//! The analysis library's errors in the words of this dialect: code, place, hint.
//!
//! Spans come from the AST, whose columns are byte positions (the parser rewrites them), so no line is ever counted.

use datafusion_common::{Column, DataFusionError, SchemaError, Span, TableReference};
use fleuve_base::{Error, Place, nearest};

/// Columns that an error lists at most.
const COLUMNS_SHOWN_MAX: usize = 30;

/// Carries one of our own errors through the analysis library.
pub fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The place of a span, if it has one.
pub fn place_of(span: Option<Span>) -> Option<Place> {
    let span = span?;
    let byte = |column: u64| usize::try_from(column).ok().and_then(|column| column.checked_sub(1));
    Some(Place::sql(byte(span.start.column)?, byte(span.end.column)?))
}

/// Adds a place if there is one.
pub fn at_opt(error: Error, place: Option<Place>) -> Error {
    match place {
        Some(place) => error.at(place),
        None => error,
    }
}

/// Translates an error of the analysis library.
pub fn from_datafusion(error: DataFusionError) -> Error {
    translate(error, None)
}

fn translate(error: DataFusionError, place: Option<Place>) -> Error {
    match error {
        DataFusionError::Diagnostic(diagnostic, inner) => translate(*inner, place_of(diagnostic.span).or(place)),
        DataFusionError::Context(_, inner) => translate(*inner, place),
        DataFusionError::Collection(errors) => match errors.into_iter().next() {
            Some(first) => translate(first, place),
            None => Error::internal("an empty collection of planning errors"),
        },
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(error) => at_opt(*error, place),
            Err(other) => Error::internal(format!("planning failed: {other}")),
        },
        DataFusionError::SchemaError(error, _) => at_opt(schema_error(*error), place),
        DataFusionError::Shared(inner) => at_opt(plan_error(&inner.to_string()), place),
        DataFusionError::Plan(message) => at_opt(plan_error(&message), place),
        DataFusionError::NotImplemented(message) => at_opt(not_in_this_build(&message), place),
        DataFusionError::ArrowError(error, _) => at_opt(constant_error(&error.to_string()), place),
        DataFusionError::Execution(message) => at_opt(constant_error(&message), place),
        other => at_opt(Error::internal(format!("planning failed: {}", other.strip_backtrace())), place),
    }
}

fn schema_error(error: SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => unknown_column(&field, &valid_fields),
        SchemaError::AmbiguousReference { field } => at_opt(
            Error::input("E013", format!("column `{}` is ambiguous", field.name))
                .with_detail("several tables of this FROM have a column of this name")
                .with_hint(format!("put the table's name or alias before it, as in a.{}", field.name)),
            place_of(field.spans.first()),
        ),
        SchemaError::DuplicateQualifiedField { qualifier, name } => duplicate(&format!("{qualifier}.{name}"), &name),
        SchemaError::DuplicateUnqualifiedField { name } => duplicate(&name, &name),
    }
}

fn duplicate(full: &str, name: &str) -> Error {
    Error::input("E013", format!("two columns are named `{full}`"))
        .with_hint(format!("give one of them another name: … AS `{name}0`"))
}

/// The error for a column that no table in scope has.
pub fn unknown_column(field: &Column, valid: &[Column]) -> Error {
    let shown = match &field.relation {
        Some(relation) => format!("{}.{}", relation.table(), field.name),
        None => field.name.clone(),
    };
    let error = Error::input("E012", format!("unknown column `{shown}`"));
    let in_scope: Vec<&Column> = match &field.relation {
        Some(relation) if valid.iter().any(|column| same_table(column, relation)) => {
            valid.iter().filter(|column| same_table(column, relation)).collect()
        }
        _ => valid.iter().collect(),
    };
    let error = match nearest(&field.name, in_scope.iter().map(|column| column.name.as_str())) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => with_relation_hint(error, field, valid),
    };
    at_opt(error.with_detail(columns_text(&in_scope)), place_of(field.spans.first()))
}

fn with_relation_hint(error: Error, field: &Column, valid: &[Column]) -> Error {
    match &field.relation {
        Some(relation) if !valid.iter().any(|column| same_table(column, relation)) => {
            error.with_hint(format!("there is no table or alias `{}` in this FROM", relation.table()))
        }
        _ => error,
    }
}

fn same_table(column: &Column, relation: &TableReference) -> bool {
    column.relation.as_ref().is_some_and(|own| own.table() == relation.table())
}

fn columns_text(columns: &[&Column]) -> String {
    if columns.is_empty() {
        return "no column is in scope here: there is no FROM, or the place takes constants only".to_owned();
    }
    let mut names: Vec<&str> = vec![];
    for column in columns {
        if !names.contains(&column.name.as_str()) {
            names.push(&column.name);
        }
    }
    if names.len() > COLUMNS_SHOWN_MAX {
        names.truncate(COLUMNS_SHOWN_MAX);
        names.push("…");
    }
    format!("columns in scope: {}", names.join(", "))
}

/// Errors that the library tells in prose only. What is not recognised keeps its text.
fn plan_error(message: &str) -> Error {
    let message = message.strip_prefix("Error during planning: ").unwrap_or(message);
    let first_line = message.lines().next().unwrap_or(message).trim_end_matches('.').to_owned();
    let has = |text: &str| message.contains(text);
    if has("must appear in the GROUP BY clause") || has("must appear in GROUP BY") {
        return grouping_error(message);
    }
    if has("Aggregate functions are not allowed in the WHERE") {
        return Error::input("E022", "an aggregate function cannot stand in WHERE")
            .with_hint("filter groups with HAVING, or rows of one aggregate with FILTER (WHERE …)");
    }
    if has("non-boolean predicate") {
        return condition_error(&first_line);
    }
    if has("Aggregate function calls cannot be nested") {
        return Error::input("E022", "an aggregate function cannot stand inside another one")
            .with_hint("aggregate twice: SELECT SUM(n) FROM (SELECT COUNT(*) AS n FROM … GROUP BY …)");
    }
    if let Some(own) = own_error(message) {
        return own;
    }
    if has("Substring without for/from") {
        return Error::input("E021", "`SUBSTRING` takes a string, a position, and perhaps a length")
            .with_hint("for example SUBSTRING(item, 1, 3), or SUBSTRING(item FROM 1 FOR 3)");
    }
    if has("Invalid function") {
        return Error::input("E011", first_line);
    }
    if has("expects") && has("argument") || has("Expected") && has("arguments") || has("does not accept") {
        return Error::input("E021", first_line);
    }
    if has("coerce")
        || has("Cannot infer")
        || has("common argument type")
        || has("boolean type")
        || has("Unsupported CAST")
        || has("Failed to coerce")
        || has("No function matches")
        || has("Cannot get result type")
    {
        return type_error(&first_line);
    }
    Error::input("E022", first_line)
}

/// One of our own errors that the library has wrapped into prose: `… External error: error[E020]: text. No function
/// matches …`.
fn own_error(message: &str) -> Option<Error> {
    let (_, own) = message.split_once("External error: error[")?;
    let (_, text) = own.split_once("]: ")?;
    let text = text.split_once(". No function matches").map_or(text, |(text, _)| text);
    let text = text.lines().next().unwrap_or(text);
    // In backquotes the function's name is found in the query.
    let name = message.split_once("Function '").and_then(|(_, rest)| rest.split('\'').next()).unwrap_or("");
    let name = name.to_uppercase();
    let text = if name.is_empty() { text.to_owned() } else { text.replacen(&name, &format!("`{name}`"), 1) };
    if text.ends_with(" arguments") {
        return Some(Error::input("E021", text));
    }
    Some(Error::input("E020", text).with_hint("convert the argument: CAST(… AS …)"))
}

/// `Cannot create filter with non-boolean predicate 't.x' returning Utf8`.
fn condition_error(line: &str) -> Error {
    let quoted = line.split('\'').nth(1).unwrap_or("the condition");
    let name = quoted.rsplit('.').next().unwrap_or(quoted);
    Error::input("E020", format!("`{name}` is not BOOLEAN, so it cannot be a condition"))
        .with_hint(format!("compare it with something, as in {name} = …, or test it: {name} IS NOT NULL"))
}

fn type_error(line: &str) -> Error {
    Error::input("E020", "types do not fit")
        .with_detail(line.to_owned())
        .with_hint("convert one side with CAST(… AS …)")
}

/// `… column "t.x" must appear in the GROUP BY clause …`.
fn grouping_error(message: &str) -> Error {
    let quoted = message.split('"').nth(1).or_else(|| message.split('\'').nth(1)).unwrap_or("a column");
    let name = quoted.rsplit('.').next().unwrap_or(quoted);
    Error::input("E022", format!("`{name}` is neither in GROUP BY nor inside an aggregate function"))
        .with_hint(format!("add `{name}` to GROUP BY, or aggregate it: MAX({name})"))
}

fn not_in_this_build(message: &str) -> Error {
    let message = message.strip_prefix("This feature is not implemented: ").unwrap_or(message);
    let first_line: String = message.lines().next().unwrap_or(message).chars().take(MESSAGE_CHARS_MAX).collect();
    Error::unsupported("E201", format!("this form is not in this build: {first_line}"))
}

/// Characters of a foreign message that are shown.
const MESSAGE_CHARS_MAX: usize = 200;

fn constant_error(message: &str) -> Error {
    Error::input("E025", "a constant expression cannot be evaluated").with_detail(message.to_owned())
}
