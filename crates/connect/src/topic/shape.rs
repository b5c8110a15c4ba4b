//! What a table over topics reads: which of the scan's columns come from records' keys and which from their values.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use fleuve_base::{Place, Result};
use fleuve_flow::source::{Scan, ScanColumn, ScanField};
use fleuve_plan::SourceSpec;

use super::fields::{KeyFields, RecordFields};
use crate::decode::{Layout, unreadable_changelog, wants_weights};
use crate::options::Options;

/// What a source of topics and its decoders share.
pub(crate) struct TopicShape {
    /// The topics; split `n` is partition `n / topics` of topic `n % topics`.
    pub(crate) topics: Vec<String>,
    pub(super) scan: Scan,
    pub(super) values: Layout,
    pub(super) keys: Option<Layout>,
    /// Where each data column of the scan is found.
    pub(super) slots: Vec<Slot>,
    /// Names and types of the scan's data columns.
    pub(super) data: SchemaRef,
    /// A record without value deletes the row of its key; else it says nothing.
    pub(super) deletes: bool,
    pub(super) origin: Origin,
}

/// What the records were before they came into the topic; decides how a bad one is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Records.
    Topic,
    /// Lines of a stream; the record with this offset is its first line in this run.
    Lines {
        /// `stdin`, or the peer's address.
        name: String,
        /// Offset of the first line.
        first: u64,
    },
}

/// Where a data column is found: its place among the columns of the decoded values, and of the decoded keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slot {
    pub(super) value: Option<usize>,
    pub(super) key: Option<usize>,
    pub(super) data_type: DataType,
}

impl TopicShape {
    /// Checks that the formats can deliver the scan.
    pub(crate) fn new(
        options: &Options,
        spec: &SourceSpec,
        fields: &RecordFields,
        scan: Scan,
        topics: Vec<String>,
        origin: Origin,
    ) -> Result<Self> {
        let deletes = fields.upsert && wants_weights(&scan);
        if fields.upsert && !deletes {
            return Err(unreadable_changelog(&spec.table, "a topic with a PRIMARY KEY holds updates and deletions"));
        }
        let parts = Parts { columns: &spec.physical, fields, deletes };
        let slots = parts.slots(&scan);
        let physical = project(&spec.physical, &fields.value)?;
        let values = Layout::new(options, &physical, parts.of_values(&scan))?;
        let keys = match &fields.key {
            Some(key) if slots.iter().any(|slot| slot.key.is_some()) || deletes => {
                Some(Layout::new(&key.options, &key.schema(&spec.physical), parts.of_keys(key, &scan))?)
            }
            _ => None,
        };
        let data = scan.schema.fields().iter().zip(&scan.columns);
        let data = data.filter(|(_, column)| matches!(column.field, ScanField::Data(_)));
        let data = Arc::new(Schema::new(data.map(|(field, _)| field.clone()).collect::<Vec<_>>()));
        Ok(TopicShape { topics, scan, values, keys, slots, data, deletes, origin })
    }

    /// The topic and the partition of a split.
    pub(crate) fn located(&self, split: u32) -> (&str, u32) {
        let count = self.topics.len().max(1);
        let topic = self.topics.get(split as usize % count).map_or("", String::as_str);
        (topic, split / count as u32)
    }

    /// A record's place, for people.
    pub(super) fn place(&self, split: u32, offset: u64, column: u64) -> Place {
        let (topic, partition) = self.located(split);
        match &self.origin {
            Origin::Lines { name, first } if offset >= *first => Place::file(name, offset - first + 1, column),
            _ => Place::Record { topic: topic.to_owned(), partition, offset },
        }
    }
}

fn project(columns: &Arc<Schema>, positions: &[usize]) -> Result<Arc<Schema>> {
    if positions.len() == columns.fields().len() {
        Ok(columns.clone())
    } else {
        crate::encode::project(columns, positions)
    }
}

/// Deals a scan's columns out to the parts of a record.
struct Parts<'a> {
    columns: &'a Schema,
    fields: &'a RecordFields,
    deletes: bool,
}

impl Parts<'_> {
    fn position(&self, path: &[String]) -> Option<usize> {
        self.columns.index_of(path.first()?).ok()
    }

    fn in_value(&self, path: &[String]) -> bool {
        self.position(path).is_none_or(|column| !self.fields.only_in_key(column))
    }

    /// Whether a column is decoded from keys: because it is only there, or because some records have nothing else.
    fn in_key(&self, path: &[String]) -> bool {
        let Some((key, column)) = self.fields.key.as_ref().zip(self.position(path)) else { return false };
        key.columns.contains(&column) && (self.deletes || self.fields.only_in_key(column))
    }

    fn slots(&self, scan: &Scan) -> Vec<Slot> {
        let (mut values, mut keys) = (0.., 0..);
        let slot = |column: &ScanColumn| {
            let ScanField::Data(path) = &column.field else { return None };
            Some(Slot {
                value: if self.in_value(path) { values.next() } else { None },
                key: if self.in_key(path) { keys.next() } else { None },
                data_type: column.data_type.clone(),
            })
        };
        scan.columns.iter().filter_map(slot).collect()
    }

    /// What is wanted of values; the metadata stays, so that a format knows whether weights are.
    fn of_values(&self, scan: &Scan) -> Scan {
        let keep = |field: &ScanField| match field {
            ScanField::Data(path) => self.in_value(path).then(|| field.clone()),
            ScanField::Metadata(_) => Some(field.clone()),
        };
        narrowed(scan, keep, |path| self.in_value(path).then(|| path.to_vec()))
    }

    fn of_keys(&self, key: &KeyFields, scan: &Scan) -> Scan {
        let in_key = |path: &[String]| {
            let (first, rest) = path.split_first().filter(|_| self.in_key(path))?;
            Some([&[key.name_in_key(first).to_owned()], rest].concat())
        };
        let keep = |field: &ScanField| match field {
            ScanField::Data(path) => in_key(path).map(ScanField::Data),
            ScanField::Metadata(_) => None,
        };
        // Keys are never tested: a record is dropped by its value, or by the engine.
        let of_time = |path: &[String]| in_key(path).filter(|_| !self.in_value(path));
        Scan { prefilter: vec![], ..narrowed(scan, keep, of_time) }
    }
}

/// The columns that `keep` gives, and the conditions and watermark that `path` gives.
fn narrowed(
    scan: &Scan,
    keep: impl Fn(&ScanField) -> Option<ScanField>,
    path: impl Fn(&[String]) -> Option<Vec<String>>,
) -> Scan {
    let kept = scan.schema.fields().iter().zip(&scan.columns).filter_map(|(field, column)| {
        let place = keep(&column.field)?;
        Some((field.clone(), ScanColumn { field: place, ..column.clone() }))
    });
    let (fields, columns): (Vec<_>, Vec<_>) = kept.unzip();
    let prefilter = scan.prefilter.iter().filter(|condition| path(&condition.path).is_some()).cloned();
    Scan {
        columns,
        schema: Arc::new(Schema::new(fields)),
        prefilter: prefilter.collect(),
        max_of: scan.max_of.as_deref().and_then(path),
    }
}
