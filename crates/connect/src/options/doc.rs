//! What there is to know about a connector: its options, with types, defaults and a sentence each.

use super::{parse, tables};

/// A connector and its options; `fleuve help connector NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct ConnectorDoc {
    /// The name, as in `'connector' = '…'`.
    pub name: &'static str,
    /// What it connects to.
    pub doc: &'static str,
    /// Whether such a table can be read.
    pub source: bool,
    /// Whether such a table can be written.
    pub sink: bool,
    /// The formats that it takes; none for connectors that make or drop rows by themselves.
    pub formats: &'static [&'static str],
    /// The format that is used when none is stated.
    pub default_format: Option<&'static str>,
    /// Whether its records have keys besides their values: then `key.format` and the key's format options, `key.json.…`,
    /// are known, and the value's may be written as `value.json.…`.
    pub keyed: bool,
    /// Its options, without those of the formats.
    pub options: &'static [OptionDoc],
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct OptionDoc {
    /// The name; `#` stands for a column's name.
    pub name: &'static str,
    /// What values it takes.
    pub kind: OptionKind,
    /// The value when it is not stated; empty if there is none.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// The values that an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Bool,
    /// An integer from 0.
    Count,
    /// A number.
    Number,
    /// A duration such as `10 s`.
    Duration,
    /// A number of bytes such as `128 MB`.
    Bytes,
    /// One character.
    Character,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// All connectors, with their options.
pub fn documentation() -> &'static [ConnectorDoc] {
    tables::CONNECTORS
}

impl ConnectorDoc {
    /// The options that a format adds.
    pub fn format_options(format: &str) -> &'static [OptionDoc] {
        tables::format_options(format)
    }
}

impl OptionDoc {
    /// Whether this option is meant by a key; `#` in its name matches any column.
    pub(super) fn matches(&self, key: &str) -> bool {
        match self.name.split_once('#') {
            None => self.name == key,
            Some((before, after)) => {
                key.len() > before.len() + after.len() && key.starts_with(before) && key.ends_with(after)
            }
        }
    }
}

impl OptionKind {
    /// Whether a value is of this kind; if not, what was expected.
    pub(super) fn check(self, value: &str) -> Result<(), String> {
        let fits = match self {
            OptionKind::Text => true,
            OptionKind::Bool => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            OptionKind::Count => value.trim().parse::<u64>().is_ok_and(|count| i64::try_from(count).is_ok()),
            OptionKind::Number => value.trim().parse::<f64>().is_ok_and(f64::is_finite),
            OptionKind::Duration => parse::duration(value).is_some(),
            OptionKind::Bytes => parse::bytes(value).is_some(),
            OptionKind::Character => parse::character(value).is_some(),
            OptionKind::Choice(words) => words.contains(&value),
        };
        if fits { Ok(()) } else { Err(self.describe()) }
    }

    /// What values it takes, for a message.
    pub fn describe(self) -> String {
        match self {
            OptionKind::Text => "a text".to_owned(),
            OptionKind::Bool => "true or false".to_owned(),
            OptionKind::Count => "a whole number from 0".to_owned(),
            OptionKind::Number => "a number".to_owned(),
            OptionKind::Duration => "a duration such as '10 s' or '1 min'".to_owned(),
            OptionKind::Bytes => "a number of bytes such as '128 MB'".to_owned(),
            OptionKind::Character => "one character".to_owned(),
            OptionKind::Choice(words) => format!("one of {}", words.join(", ")),
        }
    }
}
