//! Tables at the rim: what a source reads and a sink writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};

use crate::expr::Expr;
use crate::index_read::IndexRead;

/// The `WITH (…)` options of a table, keys in lower case, `connector` among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableOptions(pub BTreeMap<String, String>);

impl TableOptions {
    /// The option's value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The connector's name.
    pub fn connector(&self) -> &str {
        self.get("connector").unwrap_or("topic")
    }

    /// The format's name: `format`, or `value.format`; none for connectors that make rows by themselves.
    pub fn format(&self) -> Option<&str> {
        self.get("format").or_else(|| self.get("value.format"))
    }
}

/// The event-time column of a source and how far its watermark trails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatermarkSpec {
    /// Name of the time column in the full row.
    pub column: String,
    /// The watermark of a row, over the source's full row (`physical` then `computed`); a timestamp in milliseconds.
    /// The split's watermark is the maximum over its rows.
    pub expr: Expr,
}

/// What a source node reads.
///
/// The full row of a table is its physical columns (decoded from the data), then its metadata columns, then its
/// computed columns. A source node emits the columns in `output`, in that order, and only the rows that satisfy
/// `predicate`; the connector decodes only what `output`, `predicate`, `computed` and `watermark` read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// The table's name, for messages and metrics.
    pub table: String,
    /// The `WITH` options.
    pub options: TableOptions,
    /// The columns that the data itself holds.
    pub physical: Arc<Schema>,
    /// Columns taken from the record's surroundings: (column, metadata key), e.g. `offset`, `partition`, `timestamp`,
    /// `file.path`; their types are in `metadata_schema`.
    pub metadata: Vec<String>,
    /// Types of the metadata columns, in the same order.
    pub metadata_schema: Arc<Schema>,
    /// Computed columns, each over the columns before it (physical, metadata, earlier computed ones).
    pub computed: Vec<Expr>,
    /// Names and types of the computed columns, in the same order.
    pub computed_schema: Arc<Schema>,
    /// Event time, if declared **and** needed by the query or shown to the user.
    pub watermark: Option<WatermarkSpec>,
    /// Rows that do not satisfy it are dropped at the source (over the full row); they still move the watermark.
    pub predicate: Option<Expr>,
    /// The expressions that the node emits, over the full row: usually plain columns, but a projection above the
    /// scan is merged into it, so that nested fields are decoded straight into flat columns.
    pub output: Vec<Expr>,
    /// Primary key (positions in the full row); empty if none is declared.
    pub primary_key: Vec<usize>,
    /// The order in which it is read.
    #[serde(default, skip_serializing_if = "ReadOrder::is_stored")]
    pub order: ReadOrder,
}

/// The order in which a table is read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum ReadOrder {
    /// As it is stored.
    #[default]
    Stored,
    /// A table that ends, block by block, every order of the blocks being equally likely. The number of a row's block
    /// (BIGINT) comes as the last column of the node's output, after those in [`SourceSpec::output`].
    ShuffledBlocks {
        /// What the order is drawn from.
        seed: u64,
    },
    /// As it is stored, or, where that is less work, only the part of it that an index finds.
    Indexed(Box<IndexRead>),
}

impl ReadOrder {
    fn is_stored(&self) -> bool {
        *self == ReadOrder::Stored
    }
}

impl SourceSpec {
    /// The schema of the full row: physical, metadata, computed.
    pub fn full_schema(&self) -> Schema {
        let fields = [&self.physical, &self.metadata_schema, &self.computed_schema];
        Schema::new(fields.into_iter().flat_map(|s| s.fields().iter().cloned()).collect::<Vec<_>>())
    }

    /// The table into which the bad records of this source go, if it has chosen `'bad-records' = 'dead-letter'` and a
    /// topic for them.
    pub fn dead_letters(&self) -> Option<SinkSpec> {
        if self.options.get("bad-records") != Some("dead-letter") {
            return None;
        }
        let topic = self.options.get("dead-letter.topic")?;
        let options = [("connector", "topic"), ("topic", topic), ("format", "json")];
        let options: BTreeMap<_, _> = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Some(SinkSpec {
            table: format!("{}.bad_records", self.table),
            options: TableOptions(options),
            schema: bad_records_schema(),
            primary_key: vec![],
            partition_by: vec![],
            metadata: vec![],
            changelog: false,
            upsert_key: None,
        })
    }
}

/// The columns of records that could not be decoded: what is wrong, where the record stands, the record as text.
pub fn bad_records_schema() -> Arc<Schema> {
    let columns = ["reason", "place", "record"];
    Arc::new(Schema::new(columns.map(|name| Field::new(name, DataType::Utf8, false)).to_vec()))
}

/// What a sink node writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkSpec {
    /// The table's name.
    pub table: String,
    /// The `WITH` options.
    pub options: TableOptions,
    /// The table's columns; the node's input has the same number and types of columns, in the same order.
    pub schema: Arc<Schema>,
    /// Primary key (positions); empty if none is declared.
    pub primary_key: Vec<usize>,
    /// `PARTITIONED BY` columns (positions).
    pub partition_by: Vec<usize>,
    /// Whether rows may be retracted. A connector that cannot hold that refuses when the script is checked.
    pub changelog: bool,
    /// Columns that go into a record's surroundings instead of its data: (position, metadata key), e.g. `timestamp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<(usize, String)>,
    /// Columns by which two rows of one epoch are versions of the same thing, if the plan knows them: lets a
    /// terminal show `-U`/`+U` instead of `-D`/`+I`.
    pub upsert_key: Option<Vec<usize>>,
}
