//! Looking into strings of JSON with SQL/JSON paths.

use std::cell::RefCell;
use std::rc::Rc;

use arrow::array::ArrayRef;
use datafusion_common::{Result, ScalarValue};
use fleuve_base::Error;
use hashbrown::HashMap;
use serde_json::Value;

use super::args::{Args, Text, booleans, texts_or_null};
use super::function::{Param, Returns, Spec};
use crate::compile::external;

const JSON_PATH: &[Param] = &[Param::Text, Param::Text];

/// Parsed paths that a thread keeps.
const PATHS_MAX: usize = 256;

/// The functions of this module.
pub(super) static FUNCTIONS: &[Spec] = &[
    Spec::new("json_value", JSON_PATH, Returns::Text, json_value).nullable().checked(check).doc(
        "JSON_VALUE(json, path)",
        "the scalar at a path, as a string; NULL if there is none",
        r#"JSON_VALUE('{"a": {"b": [1, 2]}}', '$.a.b[1]') = '2'"#,
    ),
    Spec::new("json_query", JSON_PATH, Returns::Text, json_query).nullable().checked(check).doc(
        "JSON_QUERY(json, path)",
        "the object or array at a path, as JSON; NULL if there is none",
        r#"JSON_QUERY('{"a": {"b": 1}}', '$.a') = '{"b":1}'"#,
    ),
    Spec::new("json_exists", JSON_PATH, Returns::Boolean, json_exists).checked(check).doc(
        "JSON_EXISTS(json, path)",
        "whether there is something at a path",
        r#"JSON_EXISTS('{"a": true}', '$.a') = TRUE"#,
    ),
    Spec::new("is_json", &[Param::Text], Returns::Boolean, is_json).doc(
        "IS_JSON(string)",
        "whether the string is JSON",
        "IS_JSON('[1, 2]') = TRUE",
    ),
];

thread_local! {
    static PATHS: RefCell<HashMap<String, Option<Rc<Path>>>> = RefCell::default();
}

/// A path: `$`, then `.name`, `['name']` and `[index]`.
struct Path(Vec<Step>);

enum Step {
    Name(String),
    Index(usize),
}

impl Path {
    /// The path, from this thread's store; none if it is not a path.
    fn of(text: &str) -> Option<Rc<Path>> {
        PATHS.with_borrow_mut(|paths| {
            if let Some(found) = paths.get(text) {
                return found.clone();
            }
            if paths.len() >= PATHS_MAX {
                paths.clear();
            }
            let new = Path::parse(text).map(Rc::new);
            paths.insert(text.to_string(), new.clone());
            new
        })
    }

    fn parse(text: &str) -> Option<Path> {
        let text = text.trim();
        let text = text.strip_prefix("lax ").or_else(|| text.strip_prefix("strict ")).unwrap_or(text);
        let mut rest = text.trim_start().strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = if let Some(rest) = rest.strip_prefix('.') { name(rest)? } else { bracket(rest)? };
            steps.push(step);
            rest = after;
        }
        Some(Path(steps))
    }

    fn find<'a>(&self, json: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(json, |json, step| match step {
            Step::Name(name) => json.get(name),
            Step::Index(index) => json.get(index),
        })
    }
}

fn name(text: &str) -> Option<(Step, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (name, after) = quoted.split_once('"')?;
        return Some((Step::Name(name.to_string()), after));
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let plain = !name.is_empty() && !name.contains(['*', '?', '(', ' ', '\'']);
    plain.then(|| (Step::Name(name.to_string()), after))
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    let inner = text.strip_prefix('[')?;
    for quote in ['\'', '"'] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (name, after) = quoted.split_once(quote)?;
            return Some((Step::Name(name.to_string()), after.strip_prefix(']')?));
        }
    }
    let (index, after) = inner.split_once(']')?;
    Some((Step::Index(index.trim().parse().ok()?), after))
}

fn check(args: &[Option<&ScalarValue>]) -> Result<()> {
    match args.get(1).copied().flatten().and_then(|scalar| scalar.try_as_str().flatten()) {
        Some(path) if Path::of(path).is_none() => {
            let error = Error::input("E309", format!("`{path}` is not a path into JSON that Fleuve understands"));
            Err(external(error.with_hint("paths look like $.name, $['name'] or $.list[0]")))
        }
        _ => Ok(()),
    }
}

/// What is at the row's path of the row's document.
fn found<T>(json: Text<'_>, path: Text<'_>, row: usize, take: impl FnOnce(&Value) -> T) -> Option<T> {
    let path = Path::of(path.at(row))?;
    let document: Value = serde_json::from_str(json.at(row)).ok()?;
    path.find(&document).map(take)
}

fn json_value(args: &Args<'_>) -> Result<ArrayRef> {
    texts_at_path(args, |value, out| match value {
        Value::String(text) => {
            out.extend_from_slice(text.as_bytes());
            true
        }
        Value::Bool(_) | Value::Number(_) => {
            out.extend_from_slice(value.to_string().as_bytes());
            true
        }
        _ => false,
    })
}

fn json_query(args: &Args<'_>) -> Result<ArrayRef> {
    texts_at_path(args, |value, out| {
        let composite = value.is_object() || value.is_array();
        if composite {
            out.extend_from_slice(value.to_string().as_bytes());
        }
        composite
    })
}

fn texts_at_path(args: &Args<'_>, write: impl Fn(&Value, &mut Vec<u8>) -> bool) -> Result<ArrayRef> {
    let (json, path) = (args.text(0)?, args.text(1)?);
    let nulls = args.nulls();
    texts_or_null(args.rows, nulls.as_ref(), json.total_bytes() / 4, |row, out| {
        found(json, path, row, |value| write(value, out)).unwrap_or(false)
    })
}

fn json_exists(args: &Args<'_>) -> Result<ArrayRef> {
    let (json, path) = (args.text(0)?, args.text(1)?);
    Ok(booleans(args.rows, args.nulls(), |row| found(json, path, row, |_| ()).is_some()))
}

fn is_json(args: &Args<'_>) -> Result<ArrayRef> {
    let json = args.text(0)?;
    Ok(booleans(args.rows, args.nulls(), |row| serde_json::from_str::<serde::de::IgnoredAny>(json.at(row)).is_ok()))
}
