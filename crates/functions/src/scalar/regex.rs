//! Functions over regular expressions.
//!
//! A pattern that is a constant is compiled once per thread. Patterns of the shape *context literal capture*, such as
//! `(&|^)channel_id=([^&]*)`, do not need a regular expression's machinery at all: [`KeyValue`] finds the literal and
//! copies what follows.

mod key_value;
mod replacement;

use std::cell::RefCell;
use std::rc::Rc;

use arrow::array::ArrayRef;
use datafusion_common::{Result, ScalarValue};
use fleuve_base::Error;
use hashbrown::HashMap;
use regex::Regex;

use super::args::{Args, Text, booleans, texts_or_null};
use super::function::{Param, Returns, Spec};
use crate::compile::external;
use key_value::KeyValue;
use replacement::Replacement;

/// Compiled patterns that a thread keeps.
const PATTERNS_MAX: usize = 256;

/// The functions of this module.
pub(super) static FUNCTIONS: &[Spec] = &[
    Spec::new("regexp_extract", &[Param::Text, Param::Text, Param::Integer], Returns::Text, regexp_extract)
        .optional(1)
        .nullable()
        .can_fail()
        .checked(check)
        .doc(
            "REGEXP_EXTRACT(string, regex[, group])",
            "what a group (0, the default: all) of the first match took; NULL if there is none",
            "REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 2) = 'bar'",
        ),
    Spec::new("regexp", &[Param::Text, Param::Text], Returns::Boolean, regexp)
        .aliases(&["rlike"])
        .can_fail()
        .checked(check)
        .doc("REGEXP(string, regex)", "whether some part of the string matches", "REGEXP('foothebar', 'the') = TRUE"),
    Spec::new("regexp_replace", &[Param::Text, Param::Text, Param::Text], Returns::Text, regexp_replace)
        .can_fail()
        .checked(check)
        .doc(
            "REGEXP_REPLACE(string, regex, replacement)",
            "the string with every match replaced; $1 in the replacement is what the first group took",
            "REGEXP_REPLACE('foobar', 'oo|ar', '') = 'fb'",
        ),
];

thread_local! {
    static PATTERNS: RefCell<HashMap<String, Rc<Pattern>>> = RefCell::default();
}

/// A compiled pattern.
struct Pattern {
    regex: Regex,
    key_value: Option<KeyValue>,
}

/// The compiled form of a pattern, from this thread's store.
fn compiled(pattern: &str) -> Result<Rc<Pattern>> {
    PATTERNS.with_borrow_mut(|patterns| {
        if let Some(found) = patterns.get(pattern) {
            return Ok(Rc::clone(found));
        }
        if patterns.len() >= PATTERNS_MAX {
            patterns.clear();
        }
        let new = Rc::new(Pattern { regex: parse(pattern)?, key_value: KeyValue::recognize(pattern) });
        patterns.insert(pattern.to_string(), Rc::clone(&new));
        Ok(new)
    })
}

fn parse(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|problem| {
        let problem = problem.to_string();
        let detail = problem.lines().last().unwrap_or_default().trim_start_matches("error: ").to_string();
        let error = Error::input("E308", format!("`{pattern}` is not a regular expression that Fleuve understands"));
        external(error.with_detail(detail).with_hint("look-around and back-references are not supported"))
    })
}

fn check(args: &[Option<&ScalarValue>]) -> Result<()> {
    match args.get(1).copied().flatten().and_then(|scalar| scalar.try_as_str().flatten()) {
        Some(pattern) => compiled(pattern).map(|_| ()),
        None => Ok(()),
    }
}

/// The pattern of each row; consecutive rows with the same pattern share it.
struct Patterns<'a> {
    text: Text<'a>,
    last: Option<(&'a str, Rc<Pattern>)>,
}

impl<'a> Patterns<'a> {
    fn new(text: Text<'a>) -> Self {
        Patterns { text, last: None }
    }

    /// The row's pattern; none if it is not a regular expression.
    fn at(&mut self, row: usize) -> Option<Rc<Pattern>> {
        let pattern = self.text.at(row);
        match &self.last {
            Some((last, compiled)) if *last == pattern => Some(Rc::clone(compiled)),
            _ => {
                let new = compiled(pattern).ok()?;
                self.last = Some((pattern, Rc::clone(&new)));
                Some(new)
            }
        }
    }
}

fn regexp_extract(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, pattern, group) = (args.text(0)?, args.text(1)?, args.integer_or(2, 0)?);
    let nulls = args.nulls();
    let bytes = text.total_bytes() / 4;
    let constant_group = args.constant(2).is_some() || args.len() == 2;
    if let (Some(pattern), true) = (pattern.constant(), constant_group) {
        let pattern = compiled(pattern)?;
        let Ok(group) = usize::try_from(group.at(0)) else {
            return texts_or_null(args.rows, None, 0, |_, _| false);
        };
        if let Some(fast) = pattern.key_value.as_ref().filter(|fast| fast.captures(group)) {
            return texts_or_null(args.rows, nulls.as_ref(), bytes, |row, out| fast.extract(text.at(row), group, out));
        }
        let mut groups = pattern.regex.capture_locations();
        return texts_or_null(args.rows, nulls.as_ref(), bytes, |row, out| {
            extract(&pattern.regex, &mut groups, text.at(row), group, out)
        });
    }
    let mut patterns = Patterns::new(pattern);
    texts_or_null(args.rows, nulls.as_ref(), bytes, |row, out| {
        let Some(pattern) = patterns.at(row) else { return false };
        let Ok(group) = usize::try_from(group.at(row)) else { return false };
        extract(&pattern.regex, &mut pattern.regex.capture_locations(), text.at(row), group, out)
    })
}

/// Appends what a group of the first match took.
fn extract(regex: &Regex, groups: &mut regex::CaptureLocations, text: &str, group: usize, out: &mut Vec<u8>) -> bool {
    let range = match group {
        0 => regex.find(text).map(|found| (found.start(), found.end())),
        _ => regex.captures_read(groups, text).and_then(|_| groups.get(group)),
    };
    range.inspect(|(start, end)| out.extend_from_slice(&text.as_bytes()[*start..*end])).is_some()
}

fn regexp(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, pattern) = (args.text(0)?, args.text(1)?);
    if let Some(pattern) = pattern.constant() {
        let pattern = compiled(pattern)?;
        return Ok(booleans(args.rows, args.nulls(), |row| pattern.regex.is_match(text.at(row))));
    }
    let mut patterns = Patterns::new(pattern);
    Ok(booleans(args.rows, args.nulls(), |row| {
        patterns.at(row).is_some_and(|pattern| pattern.regex.is_match(text.at(row)))
    }))
}

fn regexp_replace(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, pattern, replacement) = (args.text(0)?, args.text(1)?, args.text(2)?);
    let nulls = args.nulls();
    let mut patterns = Patterns::new(pattern);
    let constant = replacement.constant().map(Replacement::parse);
    texts_or_null(args.rows, nulls.as_ref(), text.total_bytes(), |row, out| {
        let Some(pattern) = patterns.at(row) else { return false };
        match &constant {
            Some(replacement) => replacement.replace_all(&pattern.regex, text.at(row), out),
            None => Replacement::parse(replacement.at(row)).replace_all(&pattern.regex, text.at(row), out),
        }
        true
    })
}
