//! Records that could not be decoded, as rows for a topic of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use fleuve_base::{Error, Result};
use fleuve_flow::source::BadRecord;
use fleuve_plan::{SinkSpec, SourceSpec, TableOptions};

/// The column of a dead letter that says what is wrong with it; the others are `place` and `record`.
pub const DEAD_LETTER_REASON: &str = "reason";

fn schema() -> Arc<Schema> {
    let columns = [DEAD_LETTER_REASON, "place", "record"];
    Arc::new(Schema::new(columns.map(|name| Field::new(name, DataType::Utf8, false)).to_vec()))
}

/// The table into which the bad records of a source go, if it has chosen `'bad-records' = 'dead-letter'`. Written like
/// any other sink, each of them lands there exactly once.
pub fn dead_letter_sink(source: &SourceSpec) -> Option<SinkSpec> {
    if source.options.get("bad-records") != Some("dead-letter") {
        return None;
    }
    let topic = source.options.get("dead-letter.topic")?;
    let options = [("connector", "topic"), ("topic", topic), ("format", "json")];
    let options: BTreeMap<_, _> = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Some(SinkSpec {
        table: format!("{}.bad_records", source.table),
        options: TableOptions(options),
        schema: schema(),
        primary_key: vec![],
        partition_by: vec![],
        changelog: false,
        upsert_key: None,
    })
}

/// Bad records as rows of that table: the reason, the place, and the record as text.
pub fn dead_letter_batch(records: &[BadRecord]) -> Result<RecordBatch> {
    let reasons: StringArray = records.iter().map(|record| Some(record.reason.as_str())).collect();
    let places: StringArray = records.iter().map(|record| Some(record.place.to_string())).collect();
    let texts: StringArray = records.iter().map(|record| Some(String::from_utf8_lossy(&record.bytes))).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(reasons), Arc::new(places), Arc::new(texts)];
    RecordBatch::try_new(schema(), columns).map_err(|error| Error::internal(format!("bad records: {error}")))
}
