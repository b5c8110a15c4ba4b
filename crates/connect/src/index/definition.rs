//! What an index is over, as it is stored with its topic of rows.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use fleuve_base::{Error, ErrorKind, Result};
use fleuve_plan::SinkSpec;
use serde::{Deserialize, Serialize};

use super::key::KeyShape;
use crate::internal::escaped;

/// Name, table and columns of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The index's name.
    pub name: String,
    /// The table's name.
    pub table: String,
    /// The columns of a row: all of the table's.
    pub schema: Arc<Schema>,
    /// The columns that it is ordered by (positions), most significant first.
    pub key: Vec<usize>,
}

impl Definition {
    /// Of a plan's sink.
    ///
    /// # Errors
    /// E430 if a column cannot be a key, E414 if a column cannot be stored.
    pub fn of(spec: &SinkSpec) -> Result<Self> {
        let option = |key: &str| {
            let value = spec.options.get(key).map(str::to_owned);
            value.ok_or_else(|| Error::internal(format!("the plan names no '{key}' of an index")))
        };
        let (name, table) = (option("index")?, option("table")?);
        let (schema, key) = (Arc::clone(&spec.schema), spec.primary_key.clone());
        let definition = Definition { name, table, schema, key };
        KeyShape::new(&definition)?;
        fleuve_format::AvroEncoder::new(&definition.schema)?;
        Ok(definition)
    }

    /// The names of the key's columns.
    pub fn columns(&self) -> Vec<&str> {
        self.key.iter().map(|column| self.schema.field(*column).name().as_str()).collect()
    }

    /// The columns of a row.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::internal(format!("the definition of an index: {error}")))
    }

    pub(super) fn from_json(name: &str, text: Option<&String>) -> Result<Self> {
        let definition = text.and_then(|text| serde_json::from_str(text).ok());
        definition.ok_or_else(|| {
            Error::corrupt(format!("the definition of index `{name}` cannot be read")).with_hint(rebuild(name))
        })
    }

    /// That this is what an existing index is over.
    pub(super) fn check_same(&self, existing: &Definition) -> Result<()> {
        if self == existing {
            return Ok(());
        }
        let message =
            format!("index `{}` exists, over `{}` ({})", self.name, existing.table, existing.columns().join(", "));
        let detail = format!(
            "the script asks for one over `{}` ({}); or the table's columns have changed",
            self.table,
            self.columns().join(", ")
        );
        Err(Error::new(ErrorKind::Conflict, "E408", message)
            .with_detail(detail)
            .with_hint(format!("DROP INDEX {} first, or give this one another name", self.name)))
    }
}

/// What to do about an index whose topics are damaged.
pub(super) fn rebuild(name: &str) -> String {
    format!("an index can be made again: DROP INDEX {name}, then CREATE INDEX")
}

/// The topic of an index's rows.
pub(super) fn rows_topic(name: &str) -> String {
    format!("__index-{}-rows", escaped(name))
}

/// The topic of the tree's pages.
pub(super) fn pages_topic(name: &str) -> String {
    format!("__index-{}-pages", escaped(name))
}
