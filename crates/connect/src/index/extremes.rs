//! The smallest and the greatest key of an index of one column, as one row of two DOUBLEs; NULL where no row has one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use fleuve_base::{Error, Result};
use fleuve_flow::source::{Chunk, Claim, Decoded, Decoder, Range, Scan, Source, Waker};
use parking_lot::Mutex;

use super::columns::{name_of, project};
use super::histogram::moved;
use super::tree::Index;

/// See the module.
pub(super) struct ExtremesSource {
    index: Arc<Index>,
    scan: Scan,
    is_read: Mutex<bool>,
}

impl ExtremesSource {
    pub(super) fn new(index: Arc<Index>, scan: Scan) -> Self {
        ExtremesSource { index, scan, is_read: Mutex::default() }
    }
}

/// The keys of the rows that have one, NULLs being the first of all.
pub(super) fn extremes(index: &Index) -> Result<[Option<f64>; 2]> {
    let (tree, definition) = (index.tree(), index.definition());
    let column = definition.key.first().map(|column| definition.schema.field(*column).data_type().clone());
    let null = new_null_array(&column.ok_or_else(|| Error::internal("an index without a column"))?, 1);
    let nulls = index.keys().encode(&[null])?.first().map_or(0, |key| tree.rank_through(key));
    let (Some(low), Some(high)) = (tree.kth(nulls), tree.len().checked_sub(1).and_then(|last| tree.kth(last))) else {
        return Ok([None; 2]);
    };
    let keys = index.keys().decode_first([low.key, high.key].into_iter())?;
    let keys = cast(&keys, &DataType::Float64).map_err(|e| Error::internal(format!("keys as numbers: {e}")))?;
    let keys = keys.as_primitive::<Float64Type>();
    Ok([0, 1].map(|end| keys.is_valid(end).then(|| keys.value(end))))
}

impl Source for ExtremesSource {
    fn bounded(&self) -> bool {
        true
    }

    fn splits(&self) -> Vec<String> {
        vec![self.index.definition().name.clone()]
    }

    fn claim(&self, _bytes_max: usize) -> Result<Claim> {
        if std::mem::replace(&mut *self.is_read.lock(), true) {
            return Ok(Claim::Finished);
        }
        Ok(Claim::Chunk(Chunk { range: Range { split: 0, item: 0, start: 0, end: 1 }, bytes: None }))
    }

    fn reclaim(&self, _range: Range) -> Result<Chunk> {
        Err(moved(&self.index))
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        if last.is_empty() { Ok(()) } else { Err(moved(&self.index)) }
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(ExtremesDecoder { index: Arc::clone(&self.index), scan: self.scan.clone() }))
    }

    fn subscribe(&self, _waker: Waker) {}
}

struct ExtremesDecoder {
    index: Arc<Index>,
    scan: Scan,
}

impl Decoder for ExtremesDecoder {
    fn decode(&mut self, _chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        let ends = extremes(&self.index)?.map(|end| Arc::new(Float64Array::from(vec![end])) as ArrayRef);
        decoded.batches.push(project(&self.scan, 1, |field| match name_of(field)? {
            "low" => Some(Arc::clone(&ends[0])),
            "high" => Some(Arc::clone(&ends[1])),
            _ => None,
        })?);
        Ok(())
    }
}
