//! Which columns of a table lie in a record's key, and which in its value.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use fleuve_base::{Error, Result};

use crate::nearest::nearest;
use crate::options::Options;

/// How the columns of a table are spread over the parts of a record.
#[derive(Debug, Clone)]
pub(crate) struct RecordFields {
    /// Positions of the columns that the value holds.
    pub(super) value: Vec<usize>,
    /// The key, if it holds columns.
    pub(super) key: Option<KeyFields>,
    /// The key is the table's primary key: the last record of a key is its row, and one without value deletes it.
    pub(super) upsert: bool,
}

/// The columns of a record's key.
#[derive(Debug, Clone)]
pub(crate) struct KeyFields {
    /// The table's options as the key's format sees them.
    pub(super) options: Options,
    /// Positions of the columns in the table, in the key's order.
    pub(super) columns: Vec<usize>,
    /// What their names begin with in the table, and not in the key.
    prefix: String,
}

impl RecordFields {
    /// From the options of a table with these columns, of which `primary_key` are the key.
    ///
    /// # Errors
    /// If the options contradict each other, or name columns that are not there.
    pub(crate) fn new(options: &Options, columns: &Schema, primary_key: &[usize]) -> Result<Self> {
        let keyed = !primary_key.is_empty();
        let upsert = match options.connector() {
            "upsert-kafka" if !keyed => return Err(missing_primary_key(options)),
            "upsert-kafka" => true,
            "kafka" if keyed && options.format() != Some("debezium-json") => return Err(needless_primary_key(options)),
            "kafka" => false,
            _ => keyed && matches!(options.format(), Some("json" | "avro")),
        };
        let key = if upsert { primary_key.to_vec() } else { stated_key(options, columns)? };
        let key = key_fields(options, columns, key)?;
        let in_key = |column: &usize| key.as_ref().is_some_and(|key| key.columns.contains(column));
        let all = 0..columns.fields().len();
        let value = match options.text("value.fields-include") {
            Some("EXCEPT_KEY") => all.filter(|column| !in_key(column)).collect(),
            _ => all.collect(),
        };
        Ok(RecordFields { value, key, upsert })
    }

    /// All columns in the value: what a connector without keys has.
    pub(crate) fn all_in_value(columns: &Schema) -> Self {
        RecordFields { value: (0..columns.fields().len()).collect(), key: None, upsert: false }
    }

    /// Whether a column can be found only in the key.
    pub(super) fn only_in_key(&self, column: usize) -> bool {
        !self.value.contains(&column)
    }
}

impl KeyFields {
    /// The key's columns under their names in the key.
    pub(super) fn schema(&self, columns: &Schema) -> Arc<Schema> {
        let field = |column: &usize| {
            let field = columns.field(*column);
            Field::clone(field).with_name(self.name_in_key(field.name()))
        };
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// A column's name in the key.
    pub(super) fn name_in_key<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(self.prefix.as_str()).unwrap_or(name)
    }
}

fn key_fields(options: &Options, columns: &Schema, key: Vec<usize>) -> Result<Option<KeyFields>> {
    let format = match (key.is_empty(), options.key_format(), options.connector()) {
        (true, None, _) => return Ok(None),
        (true, Some(_), _) => return Err(half_a_key(options, "key.format", "key.fields")),
        (false, Some(format), _) => format,
        (false, None, "topic") => "json",
        (false, None, "upsert-kafka") => return Err(half_a_key(options, "connector", "key.format")),
        (false, None, _) => return Err(half_a_key(options, "key.fields", "key.format")),
    };
    let prefix = options.stated("key.fields-prefix").unwrap_or_default().to_owned();
    check_prefix(options, columns, &key, &prefix)?;
    Ok(Some(KeyFields { options: options.of_keys(format), columns: key, prefix }))
}

/// As in Flink, a prefix tells columns of the key from those of the value, so the value must not hold both.
fn check_prefix(options: &Options, columns: &Schema, key: &[usize], prefix: &str) -> Result<()> {
    if prefix.is_empty() {
        return Ok(());
    }
    let table = options.table();
    if options.text("value.fields-include") != Some("EXCEPT_KEY") {
        let message = format!("table `{table}`: 'key.fields-prefix' needs 'value.fields-include' = 'EXCEPT_KEY'");
        return Err(Error::input("E503", message));
    }
    let without = key.iter().map(|column| columns.field(*column).name()).find(|name| !name.starts_with(prefix));
    without.map_or(Ok(()), |name| {
        let message =
            format!("table `{table}`: the key's column `{name}` does not begin with 'key.fields-prefix' = '{prefix}'");
        Err(Error::input("E502", message))
    })
}

/// The columns that `key.fields` names.
fn stated_key(options: &Options, columns: &Schema) -> Result<Vec<usize>> {
    let find = |name: &str| {
        columns.index_of(name).map_err(|_| {
            let names = columns.fields().iter().map(|field| field.name().as_str());
            let table = options.table();
            Error::input("E502", format!("table `{table}`: 'key.fields' names `{name}`, which is no column"))
                .with_hint(nearest(name, names))
        })
    };
    let names = options.stated("key.fields").unwrap_or_default();
    names.split(';').map(str::trim).filter(|name| !name.is_empty()).map(find).collect()
}

fn half_a_key(options: &Options, there: &str, missing: &str) -> Error {
    Error::input("E503", format!("table `{}`: '{there}' needs '{missing}', too", options.table()))
        .with_hint(format!("add '{missing}' = '…' to its WITH options"))
}

fn missing_primary_key(options: &Options) -> Error {
    let message = format!("table `{}`: the `upsert-kafka` connector needs a primary key", options.table());
    Error::input("E503", message)
        .with_detail("it is the key of the records, and says which row a record replaces")
        .with_hint("declare PRIMARY KEY (…) NOT ENFORCED")
}

fn needless_primary_key(options: &Options) -> Error {
    let format = options.format().unwrap_or("json");
    let message = format!("table `{}`: a `kafka` table of `{format}` cannot have a primary key", options.table());
    Error::input("E508", message)
        .with_detail("its records are rows that stay, so nothing keeps the key unique")
        .with_hint("use 'connector' = 'upsert-kafka' for the latest row of each key, or leave the PRIMARY KEY out")
}
