//! TABLESAMPLE: some of the input's rows, chosen by chances that are functions of the rows.
//!
//! No random source is read: a row's chance is a hash of its content and the sample's seed, so a row has the same fate
//! after a restart, in any order and on any number of workers, and its retraction shares it. The price is that rows of
//! equal content are chosen together; a column that tells them apart (an id, `offset`, `partition`) makes them independent.
//!
//! Samples of a fixed size are bottom-k samples (E. Cohen, H. Kaplan 2007, "Summarizing data using bottom-k sketches"):
//! each row has a key, and the rows of the smallest keys are kept. Uniform keys make a simple random sample; `−ln(u)/w` for
//! a weight w draws by weight without replacement (P. S. Efraimidis, P. G. Spirakis 2006, "Weighted random sampling with
//! a reservoir", whose keys `u^(1/w)` have the same order backwards).

mod reservoir;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use fleuve_base::Result;
use fleuve_sketch::random::split_mix;
use fleuve_state::hash::hash_rows;

use super::keyed_state::{arrow_error, output_batch, select};
use crate::batch::Batch;

pub use reservoir::Reservoir;

/// Draws 64 random bits for each row, from its content and a seed.
#[derive(Debug, Clone)]
pub struct Chances {
    columns: Vec<usize>,
    seed: u64,
}

impl Chances {
    /// Draws from the content of these columns.
    pub fn new(columns: &[usize], seed: u64) -> Self {
        // Mixed, so that seeds 1 and 2 do not give rows whose hashes differ by as little.
        Chances { columns: columns.to_vec(), seed: split_mix(&mut { seed }) }
    }

    /// The bits of each row.
    fn of(&self, rows: &RecordBatch) -> Result<Vec<u64>> {
        let mut hashes = vec![];
        hash_rows(&select(rows.columns(), &self.columns), &mut hashes)?;
        // Rows whose content does not count are all equal.
        hashes.resize(rows.num_rows(), 0);
        // The same hash deals rows out to workers: unmixed, a sample would depend on which worker has a row.
        Ok(hashes.into_iter().map(|hash| split_mix(&mut (hash ^ self.seed))).collect())
    }
}

/// A number in [0, 1) of 64 random bits.
pub(super) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Chooses each row by itself with the same probability.
#[derive(Debug)]
pub struct Bernoulli {
    chances: Chances,
    probability: f64,
    tells: Option<SchemaRef>,
}

impl Bernoulli {
    /// With a probability of 0 to 1.
    pub fn new(chances: Chances, probability: f64) -> Self {
        Bernoulli { chances, probability, tells: None }
    }

    /// Its rows have their keys as a further column, the last of this schema.
    pub fn telling(self, output: SchemaRef) -> Self {
        Bernoulli { tells: Some(output), ..self }
    }

    /// The rows of a batch that are chosen.
    ///
    /// # Errors
    /// If a column is nested too deeply to be hashed.
    pub fn apply(&self, batch: &Batch) -> Result<Batch> {
        let keys = self.chances.of(&batch.columns)?;
        let chosen = keys.iter().map(|bits| unit(*bits) < self.probability);
        let chosen = BooleanArray::from(chosen.collect::<Vec<bool>>());
        let told = self.tells.as_ref().map(|output| {
            let keys = Int64Array::from_iter_values(keys.iter().map(|key| *key as i64));
            let columns = batch.columns.columns().iter().cloned().chain([Arc::new(keys) as ArrayRef]).collect();
            output_batch(output, columns, batch.num_rows())
        });
        let columns = told.transpose()?;
        let columns = columns.as_ref().unwrap_or(&batch.columns);
        let columns = filter_record_batch(columns, &chosen).map_err(|e| arrow_error("sample rows", &e))?;
        let weights = batch.weights.as_ref().map(|weights| filtered_weights(weights, &chosen)).transpose()?;
        Ok(Batch { columns, weights })
    }
}

fn filtered_weights(weights: &arrow::array::Int64Array, chosen: &BooleanArray) -> Result<arrow::array::Int64Array> {
    let kept: ArrayRef = filter(weights, chosen).map_err(|e| arrow_error("sample rows", &e))?;
    super::limit::saved_int64(&kept).cloned()
}

#[cfg(test)]
mod tests;
