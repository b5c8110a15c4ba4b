//! A [`Batch`] as a Timely container: counted by rows, and sent between processes as Arrow IPC.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::dataflow::channels::ContainerBytes;

use crate::batch::Batch;

/// The name of the column that carries the weights between processes.
const WEIGHT_COLUMN: &str = "$weight";

impl Default for Batch {
    fn default() -> Self {
        Batch::append(RecordBatch::new_empty(Arc::new(Schema::empty())))
    }
}

impl Accountable for Batch {
    fn record_count(&self) -> i64 {
        i64::try_from(self.num_rows()).expect("a batch has fewer than 2^63 rows")
    }
}

impl ContainerBytes for Batch {
    fn from_bytes(bytes: Bytes) -> Self {
        let reader = StreamReader::try_new(&bytes[..], None).expect("a peer of the same version wrote the stream");
        let batch = reader.into_iter().next().expect("one batch a message").expect("a peer wrote the batch");
        split_weights(batch)
    }

    fn length_in_bytes(&self) -> usize {
        (encode(self).len() + 7) & !7
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let bytes = encode(self);
        let padding = bytes.len().next_multiple_of(8) - bytes.len();
        writer.write_all(&bytes).expect("the buffer was sized by length_in_bytes");
        writer.write_all(&[0; 8][..padding]).expect("the buffer was sized by length_in_bytes");
    }
}

fn encode(batch: &Batch) -> Vec<u8> {
    let columns = join_weights(batch);
    let mut writer = StreamWriter::try_new(Vec::new(), &columns.schema()).expect("writing to memory");
    writer.write(&columns).expect("writing to memory");
    writer.into_inner().expect("writing to memory")
}

/// The batch's columns, with the weights appended as one more where there are any.
pub(super) fn join_weights(batch: &Batch) -> RecordBatch {
    let Some(weights) = &batch.weights else { return batch.columns.clone() };
    let mut fields = batch.columns.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(WEIGHT_COLUMN, DataType::Int64, false)));
    let mut columns = batch.columns.columns().to_vec();
    columns.push(Arc::new(weights.clone()));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("as many weights as rows")
}

/// The reverse of [`join_weights`].
pub(super) fn split_weights(columns: RecordBatch) -> Batch {
    let last = columns.num_columns().wrapping_sub(1);
    match columns.schema().fields().last() {
        Some(field) if field.name() == WEIGHT_COLUMN => {
            let weights = columns.column(last).as_primitive::<Int64Type>().clone();
            let kept: Vec<usize> = (0..last).collect();
            Batch::weighted(columns.project(&kept).expect("the positions exist"), weights)
        }
        _ => Batch::append(columns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    #[test]
    fn weights_travel_with_their_rows() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
        let columns = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![1, 2]))]).expect("valid");
        let batch = Batch::weighted(columns.clone(), Int64Array::from(vec![1, -1]));
        let again = split_weights(join_weights(&batch));
        assert_eq!((again.columns, again.weights), (columns.clone(), batch.weights.clone()));
        let bytes = encode(&batch);
        assert_eq!(batch.length_in_bytes(), bytes.len().next_multiple_of(8));
        assert!(split_weights(columns).weights.is_none());
    }
}
