//! Settings of the JSON decoder.

use crate::bad::OnBad;
use crate::time::TimestampFormat;

/// How JSON lines are decoded.
#[derive(Debug, Clone, Default)]
pub struct JsonOptions {
    /// `json.ignore-parse-errors`: a value that cannot be converted becomes NULL (unless its column is NOT NULL).
    /// What happens to a line that is no JSON at all is for `on_bad` to say.
    pub ignore_parse_errors: bool,
    /// `json.fail-on-missing-field`: a field that is not there makes the row bad; else it is NULL.
    pub fail_on_missing_field: bool,
    /// `json.timestamp-format.standard`. Decoding understands both forms.
    pub timestamp_format: TimestampFormat,
    /// What happens to bad rows.
    pub on_bad: OnBad,
    /// Comparisons that every row must pass; all of them.
    pub prefilter: Vec<Prefilter>,
    /// Paths of timestamps (or integers) whose maximum over *all* rows is wanted, those included that a
    /// prefilter drops: a watermark must not stand still because a query looks elsewhere.
    pub max_of: Vec<Vec<String>>,
    /// Note the line (or record) that each row came from.
    pub track_lines: bool,
    /// Check every line to its end. Otherwise a line is read up to the last wanted value, and what follows may
    /// be anything; this is what makes decoding a few columns so much faster.
    pub strict: bool,
}

/// A comparison that every row must pass, decided on the raw field before the rest of the row is decoded.
///
/// NULL passes no condition, as in SQL. A value that cannot be compared with the constants (a string where
/// integers are wanted) makes the row bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefilter {
    /// The field, from the outermost object inwards.
    pub path: Vec<String>,
    /// What must hold.
    pub condition: Condition,
}

/// What a prefilter asks of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It equals one of these.
    AnyOf(Vec<Literal>),
    /// It is there and not null.
    NotNull,
}

/// A constant in a prefilter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// An integer.
    Int(i64),
    /// Text.
    Text(String),
    /// A boolean.
    Bool(bool),
}
