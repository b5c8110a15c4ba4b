//! A table of which an index finds the part that a query needs.
//!
//! The index is read instead of the table only if it has all that the table has at that moment, and if its tree, which counts
//! exactly, finds few rows: each may lie in a batch of its own.

use std::sync::Arc;

use fleuve_base::Result;
use fleuve_flow::source::{Scan, ScanField, Source, WEIGHT};
use fleuve_plan::{IndexRead, SourceSpec};

use super::draws::DrawSource;
use super::registry::Indexes;
use super::search::{Found, search};
use super::tree::Index;

/// A part is read through the index if it has at most one of so many of the table's rows.
const WORTH_SHARE: u64 = 16;

/// A part of so few rows is always worth it.
const WORTH_ROWS: u64 = 256;

impl Index {
    /// The numbers of the rows that a read finds, in the order in which they are stored; none if there are too many.
    fn numbers(&self, read: &IndexRead) -> Option<Vec<u64>> {
        let tree = self.tree();
        let found: Found = search(&tree, self.keys(), read);
        (found.rows() <= (tree.len() / WORTH_SHARE).max(WORTH_ROWS)).then(|| {
            let entries = found.ranks.into_iter().flat_map(|ranks| tree.entries(ranks));
            let mut rows: Vec<u64> = entries.map(|entry| entry.row).collect();
            rows.sort_unstable();
            rows
        })
    }
}

/// The part of a table through its index, if that is worth it. `has_all` tells whether an index has all rows of the table, from
/// what identifies the pipeline that keeps it.
///
/// # Errors
/// Corrupt, if the index is damaged.
pub(crate) fn open_part(
    indexes: &Indexes,
    read: &IndexRead,
    spec: &SourceSpec,
    scan: &Scan,
    has_all: impl FnOnce(&Index, &str) -> Result<bool>,
) -> Result<Option<Arc<dyn Source>>> {
    if !indexes.has(&read.index) {
        return Ok(None);
    }
    let index = indexes.open(&read.index)?;
    let Some(pipeline) = index.whole() else { return Ok(None) };
    let Some(scan) = over_rows(&index, spec, scan) else { return Ok(None) };
    index.catch_up()?;
    if !has_all(&index, &pipeline)? {
        return Ok(None);
    }
    Ok(index.numbers(read).map(|rows| Arc::new(DrawSource::of_rows(index, scan, rows)) as Arc<dyn Source>))
}

/// The scan with the table's metadata as columns of the index's rows, which have all that was declared.
fn over_rows(index: &Index, spec: &SourceSpec, scan: &Scan) -> Option<Scan> {
    let mut scan = scan.clone();
    for column in &mut scan.columns {
        let name = match &column.field {
            ScanField::Metadata(key) if key == WEIGHT => return None,
            ScanField::Metadata(key) => {
                let at = spec.metadata.iter().position(|own| own == key)?;
                spec.metadata_schema.fields().get(at)?.name().clone()
            }
            ScanField::Data(path) => match path.as_slice() {
                [] => return None,
                [name, ..] => name.clone(),
            },
        };
        index.definition().schema.field_with_name(&name).ok()?;
        if matches!(column.field, ScanField::Metadata(_)) {
            column.field = ScanField::Data(vec![name]);
        }
    }
    Some(scan)
}
