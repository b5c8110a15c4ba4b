//! The `WITH (…)` options of a table: what each connector knows, checked before anything is opened.

mod doc;
mod kafka;
mod parse;
mod tables;

pub use doc::{ConnectorDoc, OptionDoc, OptionKind, documentation};

use fleuve_base::{Error, Result};
use fleuve_plan::TableOptions;
use std::time::Duration;

use crate::nearest::{list, nearest};

/// A table's options, checked against its connector's and format's documentation.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    table: String,
    values: TableOptions,
    connector: &'static ConnectorDoc,
}

/// Formats that a record's key can have: those without deletions.
const KEY_FORMATS: &[&str] = &["json", "csv", "avro", "raw"];

/// How a table is used; some connectors can only do one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    Write,
}

impl Options {
    /// Checks the name of the connector, of the format, of every option, and every value.
    pub(crate) fn check(table: &str, options: &TableOptions, usage: Use) -> Result<Self> {
        let values = with_modern_names(options);
        let connector = find_connector(table, values.connector(), usage)?;
        let values = if connector.keyed { without_value_prefix(table, values)? } else { values };
        let options = Options { table: table.to_owned(), values, connector };
        options.check_format(usage)?;
        options.check_key_format()?;
        options.values.0.iter().try_for_each(|(key, value)| options.check_option(key, value))?;
        Ok(options)
    }

    fn check_format(&self, usage: Use) -> Result<()> {
        let formats = self.connector.formats;
        match self.values.format() {
            Some(format) if formats.contains(&format) => Ok(()),
            Some(format) => Err(self.unknown_format(format)),
            None if formats.is_empty() || self.connector.default_format.is_some() => Ok(()),
            None => {
                let verb = if usage == Use::Read { "reads" } else { "writes" };
                Err(Error::input("E503", format!("table `{}` needs a 'format'", self.table))
                    .with_detail(format!("the `{}` connector {verb} {}", self.connector.name, list(formats)))
                    .with_hint("add 'format' = 'json' to its WITH options"))
            }
        }
    }

    fn check_key_format(&self) -> Result<()> {
        match self.key_format() {
            Some(format) if !KEY_FORMATS.contains(&format) => {
                let message = format!("table `{}`: a key cannot have the format `{format}`", self.table);
                Err(Error::input("E504", message).with_hint(nearest(format, KEY_FORMATS.iter().copied())))
            }
            _ => Ok(()),
        }
    }

    fn unknown_format(&self, format: &str) -> Error {
        let (name, formats) = (self.connector.name, self.connector.formats);
        if format == "avro-confluent" {
            let message = format!("table `{}`: format `{format}` needs a schema registry", self.table);
            return Error::unsupported("E504", message)
                .with_detail("there is none in this build")
                .with_hint("'format' = 'avro' reads and writes records without a registry's header");
        }
        if formats.is_empty() {
            return Error::input("E504", format!("table `{}`: the `{name}` connector takes no 'format'", self.table))
                .with_hint("remove the option");
        }
        Error::input("E504", format!("table `{}`: the `{name}` connector has no format `{format}`", self.table))
            .with_hint(nearest(format, formats.iter().copied()))
    }

    fn check_option(&self, key: &str, value: &str) -> Result<()> {
        if matches!(key, "connector" | "format") || self.connector.keyed && key == "key.format" {
            return Ok(());
        }
        let of_key = || {
            let (format, name) = (self.key_format()?, key.strip_prefix("key.")?);
            tables::format_options(format).iter().find(|option| option.matches(name))
        };
        let Some(option) = self.options().find(|option| option.matches(key)).or_else(of_key) else {
            return Err(self.unknown_option(key));
        };
        option.kind.check(value).map_err(|expected| {
            Error::input("E502", format!("table `{}`: '{key}' = '{value}' is not {expected}", self.table))
                .with_hint(option.doc)
        })
    }

    fn unknown_option(&self, key: &str) -> Error {
        let names = || self.options().map(|option| option.name);
        Error::input("E501", format!("table `{}`: the {} has no option '{key}'", self.table, self.described()))
            .with_detail(format!("its options: {}", list(&names().collect::<Vec<_>>())))
            .with_hint(nearest(key, names()))
    }

    /// The connector's name, with the format if there is one.
    fn described(&self) -> String {
        match self.format() {
            Some(format) => format!("`{}` connector with format `{format}`", self.connector.name),
            None => format!("`{}` connector", self.connector.name),
        }
    }

    /// Every option that this connector with this format knows.
    fn options(&self) -> impl Iterator<Item = &'static OptionDoc> {
        let formats = self.format().map_or(&[][..], tables::format_options);
        self.connector.options.iter().chain(formats)
    }

    /// The table's name.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// The connector's name.
    pub(crate) fn connector(&self) -> &'static str {
        self.connector.name
    }

    /// The format's name: the stated one or the connector's default.
    pub(crate) fn format(&self) -> Option<&str> {
        self.values.format().or(self.connector.default_format)
    }

    /// The format of the records' keys, if it is stated.
    pub(crate) fn key_format(&self) -> Option<&str> {
        self.values.get("key.format").filter(|_| self.connector.keyed)
    }

    /// The options as the format of keys sees them: `format` is the key's, and `json.…` is what `key.json.…` says.
    pub(crate) fn of_keys(&self, format: &str) -> Options {
        let mut values = TableOptions::default();
        let own = |(key, value): (&str, &str)| Some((key.strip_prefix("key.")?.to_owned(), value.to_owned()));
        values.0.extend(self.all().filter_map(own));
        values.0.extend(["connector", "bad-records"].iter().filter_map(|key| {
            let value = self.stated(key)?;
            Some(((*key).to_owned(), value.to_owned()))
        }));
        values.0.insert("format".to_owned(), format.to_owned());
        Options { table: self.table.clone(), values, connector: self.connector }
    }

    /// The value as it was written, or the documented default.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).or_else(|| self.default_of(key))
    }

    /// The value only if it was written.
    pub(crate) fn stated(&self, key: &str) -> Option<&str> {
        self.values.get(key)
    }

    /// The names and values that were written.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn default_of(&self, key: &str) -> Option<&'static str> {
        let option = self.options().find(|option| option.matches(key))?;
        (!option.default.is_empty()).then_some(option.default)
    }

    /// The value of an option that the connector cannot do without.
    pub(crate) fn required(&self, key: &str) -> Result<&str> {
        self.text(key).ok_or_else(|| {
            Error::input(
                "E503",
                format!("table `{}`: the `{}` connector needs '{key}'", self.table, self.connector.name),
            )
            .with_hint(format!("add '{key}' = '…' to its WITH options"))
        })
    }

    /// Whether a boolean option is `true`.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.text(key).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// An integer.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>> {
        self.parsed(key, |text| text.trim().parse().ok())
    }

    /// A number.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.parsed(key, |text| text.trim().parse().ok())
    }

    /// A duration, as Flink writes it: `10 s`, `1 min`, `500ms`.
    pub(crate) fn duration(&self, key: &str) -> Result<Option<Duration>> {
        self.parsed(key, parse::duration)
    }

    /// A number of bytes, as Flink writes it: `128MB`, `64 kb`.
    pub(crate) fn bytes(&self, key: &str) -> Result<Option<u64>> {
        self.parsed(key, parse::bytes)
    }

    /// One byte that is written as a character or as an escape (`\t`).
    pub(crate) fn character(&self, key: &str) -> Result<Option<u8>> {
        self.parsed(key, parse::character)
    }

    fn parsed<T>(&self, key: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match parse(text) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::input("E502", format!("table `{}`: '{key}' = '{text}' cannot be used", self.table))),
        }
    }
}

/// The names that Flink used before 1.11 (`connector.type`, `connector.path`, `format.type`) as today's.
fn with_modern_names(options: &TableOptions) -> TableOptions {
    let modern = |key: &str| match key {
        "connector.type" => "connector".to_owned(),
        "format.type" => "format".to_owned(),
        _ => key.strip_prefix("connector.").unwrap_or(key).to_owned(),
    };
    TableOptions(options.0.iter().map(|(key, value)| (modern(key), value.clone())).collect())
}

/// `value.format` and `value.json.…` as `format` and `json.…`.
fn without_value_prefix(table: &str, options: TableOptions) -> Result<TableOptions> {
    let mut values = TableOptions::default();
    for (key, value) in options.0 {
        let plain = key.strip_prefix("value.").filter(|rest| *rest != "fields-include").unwrap_or(&key).to_owned();
        if values.0.insert(plain.clone(), value).is_some() {
            let message = format!("table `{table}`: '{plain}' and 'value.{plain}' are both given");
            return Err(Error::input("E502", message).with_hint("they mean the same: leave one out"));
        }
    }
    Ok(values)
}

fn find_connector(table: &str, name: &str, usage: Use) -> Result<&'static ConnectorDoc> {
    let usable = |connector: &&ConnectorDoc| if usage == Use::Read { connector.source } else { connector.sink };
    match documentation().iter().find(|connector| connector.name == name) {
        Some(connector) if usable(&connector) => Ok(connector),
        Some(connector) => {
            let verb = if usage == Use::Read { "read" } else { "written" };
            let others = documentation().iter().filter(usable).map(|connector| connector.name);
            let message = format!("table `{table}`: a table with the `{}` connector cannot be {verb}", connector.name);
            Err(Error::input("E500", message)
                .with_hint(format!("connectors that can: {}", list(&others.collect::<Vec<_>>()))))
        }
        None => Err(unknown_connector(table, name)),
    }
}

fn unknown_connector(table: &str, name: &str) -> Error {
    let names = || documentation().iter().map(|connector| connector.name);
    Error::input("E500", format!("table `{table}`: there is no connector `{name}`"))
        .with_detail(format!("connectors: {}", list(&names().collect::<Vec<_>>())))
        .with_hint(nearest(name, names()))
}

#[cfg(test)]
mod tests;
