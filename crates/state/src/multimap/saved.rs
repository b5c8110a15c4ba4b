//! Saving and loading.
//!
//! A saved batch has the stored columns, then the weights of a retractable multimap, then the matches of a counted one.

use std::sync::Arc;

use arrow::array::types::Int64Type;
use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use fleuve_base::{Error, Result};

use super::Multimap;
use super::maintain::pick;
use crate::columns::{arrow_error, batch_of, concat_owned, hashes_of};
use crate::hash::key_group;

impl Multimap {
    /// The rows that count, in batches of at most [`CHUNK_ROWS_MAX`](super::CHUNK_ROWS_MAX).
    pub fn save(&mut self) -> Result<Vec<RecordBatch>> {
        if let Some(last) = self.chunks.last_mut() {
            last.seal(&self.layout)?;
        }
        let schema = Arc::new(self.saved_schema());
        let mut saved = Vec::with_capacity(self.chunks.len());
        for chunk in &self.chunks {
            let Some(columns) = chunk.pieces().next() else { continue };
            let mut all = columns.columns().to_vec();
            if self.layout.retractable {
                all.push(Arc::new(Int64Array::from(chunk.weights.clone())) as ArrayRef);
            }
            if self.layout.counted {
                all.push(Arc::new(Int64Array::from(chunk.matches.clone())));
            }
            let batch = batch_of(&schema, all, columns.num_rows())?;
            saved.push(match self.alive(chunk)? {
                Some(mask) => filter_record_batch(&batch, &BooleanArray::from(mask)).map_err(arrow_error)?,
                None => batch,
            });
        }
        saved.retain(|batch| batch.num_rows() > 0);
        Ok(saved)
    }

    fn saved_schema(&self) -> Schema {
        let counter = |name: &str| Arc::new(Field::new(name, DataType::Int64, false));
        let mut fields = self.layout.schema.fields().to_vec();
        fields.extend(self.layout.retractable.then(|| counter("weight")));
        fields.extend(self.layout.counted.then(|| counter("matches")));
        Schema::new(fields)
    }

    /// Takes up a saved batch: the rows whose key group is owned. Rows without keys belong to key group 0.
    pub fn load(&mut self, saved: &RecordBatch, owns: impl Fn(u8) -> bool) -> Result<()> {
        if saved.schema().fields() != self.saved_schema().fields() {
            let detail = format!("saved: {:?}; expected: {:?}", saved.schema(), self.saved_schema());
            return Err(Error::corrupt("the saved state of a join has other columns").with_detail(detail));
        }
        let keys = self.keys_of(saved)?;
        let owned: BooleanArray = if self.layout.keys.is_empty() {
            vec![owns(0); saved.num_rows()].into()
        } else {
            hashes_of(keys.columns(), saved.num_rows())?.into_iter().map(|hash| Some(owns(key_group(hash)))).collect()
        };
        let counters: Vec<&[i64]> = saved.columns()[self.layout.schema.fields().len()..]
            .iter()
            .map(|c| &c.as_primitive::<Int64Type>().values()[..])
            .collect();
        let weights = if self.layout.retractable { counters[0] } else { &[] };
        let matches = if self.layout.counted { counters[counters.len() - 1] } else { &[] };
        let owned = owned.values();
        let stored = saved.project(&(0..self.layout.schema.fields().len()).collect::<Vec<_>>()).map_err(arrow_error)?;
        let kept = filter_record_batch(&stored, &BooleanArray::from(owned.clone())).map_err(arrow_error)?;
        let kept = concat_owned(&self.layout.schema, &[kept])?;
        let keys = self.keys_of(&kept)?;
        self.append(kept, &keys, &pick(weights, owned), &pick(matches, owned))
    }
}
