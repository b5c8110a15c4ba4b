//! The rows of an epoch in an order that can be shown: what goes before what comes.

use arrow::array::{AsArray, BooleanArray, Int64Array};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::Int64Type;
use fleuve_flow::batch::Batch;

/// The rows that are inserted, or those that are retracted.
pub(crate) fn split(batches: &[Batch], inserted: bool) -> Vec<Batch> {
    batches.iter().filter_map(|batch| half(batch, inserted)).filter(|batch| batch.num_rows() > 0).collect()
}

fn half(batch: &Batch, inserted: bool) -> Option<Batch> {
    let Some(weights) = &batch.weights else { return inserted.then(|| batch.clone()) };
    let wanted: BooleanArray = weights.values().iter().map(|weight| Some((*weight > 0) == inserted)).collect();
    // The mask has a value for each row, which is all that a filter can fail for.
    let columns = filter_record_batch(&batch.columns, &wanted).ok()?;
    let weights: Int64Array = filter(weights, &wanted).ok()?.as_primitive::<Int64Type>().clone();
    Some(Batch::weighted(columns, weights))
}

/// The batches of an epoch as (retractions, then insertions), so that an update never shows its row twice.
pub(crate) fn deletions_first(batches: Vec<Batch>) -> Vec<Batch> {
    if batches.iter().all(|batch| batch.weights.is_none()) {
        return batches;
    }
    let mut sorted = split(&batches, false);
    sorted.extend(split(&batches, true));
    sorted
}
