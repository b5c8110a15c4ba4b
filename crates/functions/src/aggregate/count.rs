//! COUNT: rows, or rows whose argument is not NULL.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use fleuve_base::Result;

use super::accumulator::{Accumulator, Rows, gather, grow, reset};

/// Counts by group. Without arguments it counts rows.
#[derive(Debug, Default)]
pub struct Count {
    counts: Vec<i64>,
}

impl Count {
    /// The counts of groups.
    pub fn values<'a>(&'a self, groups: &'a [u32]) -> impl ExactSizeIterator<Item = i64> + 'a {
        gather(&self.counts, groups)
    }
}

impl Accumulator for Count {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        grow(&mut self.counts, rows.total_groups);
        let counts = &mut self.counts[..];
        match (rows.valid(), rows.weights) {
            // A filter is unpredictable as a branch, so here it is a number.
            (Some(valid), None) => {
                let rows = rows.groups.iter().zip(valid.iter());
                rows.for_each(|(group, valid)| counts[*group as usize] += i64::from(valid));
            }
            (valid, _) => rows.each(valid.as_ref(), |_, group, weight| counts[group] += weight),
        }
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from_iter_values(self.values(groups))))
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(groups)?])
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Int64]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        grow(&mut self.counts, total_groups);
        let counts = saved[0].as_primitive::<Int64Type>();
        groups.iter().zip(counts.values()).for_each(|(group, count)| self.counts[*group as usize] += count);
        Ok(())
    }

    fn clear(&mut self, groups: &[u32]) {
        reset(&mut self.counts, groups);
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }
}
