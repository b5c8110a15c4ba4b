//! An upsert table's records as changes: of each key the row that it had leaves, and the row that it has now comes.
//!
//! Within an epoch only the last record of a key counts, and a record that says what is known already changes nothing. So
//! the output is a Z-set in which no two rows agree on the key, whatever the order in which the records arrive.

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{interleave_record_batch, take};
use arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_state::columns::{NullEquality, batch_of, concat_owned, equal_rows, take_rows};
use fleuve_state::key_table::KeyTable;
use fleuve_state::multimap::{CHUNK_ROWS_MAX, Cursor, Keys, Layout, Multimap, Pairs, RowId};

use super::keyed_state::{arrow_error, select, types_of};
use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, OperatorStats, Share, StateTable};

/// What the names of the saved tables begin with.
const TABLE: &str = "rows-";

/// The last row of each key.
#[derive(Debug)]
pub struct Normalize {
    keys: Vec<usize>,
    key_types: Vec<DataType>,
    order: Vec<usize>,
    output: SchemaRef,
    /// One row of weight 1 for each key that has one.
    rows: Multimap,
}

/// Where an epoch's last record of a key stands.
struct Last {
    batch: usize,
    row: usize,
}

impl Normalize {
    /// Over an input whose first columns are those of `output`, and whose other columns are `order`.
    ///
    /// # Errors
    /// If there is no key, or the columns do not fit.
    pub fn new(input: &Schema, keys: &[usize], order: &[usize], output: SchemaRef) -> Result<Self> {
        let types = types_of(input);
        let width = output.fields().len();
        let fits =
            keys.iter().all(|key| *key < width) && order.iter().all(|at| types.get(*at) == Some(&DataType::Int64));
        if keys.is_empty() || !fits || types.get(..width) != Some(types_of(&output).as_slice()) {
            return Err(Error::internal("the columns of an upsert table do not fit its operator"));
        }
        let key_types = keys.iter().map(|key| types[*key].clone()).collect();
        let layout =
            Layout { schema: output.clone(), keys: keys.to_vec(), time: None, retractable: true, counted: false };
        Ok(Normalize { keys: keys.to_vec(), key_types, order: order.to_vec(), output, rows: Multimap::new(layout) })
    }

    /// The last record of each key.
    fn last_records(&self, batches: &[Batch]) -> Result<Vec<Last>> {
        let (mut table, mut groups) = (KeyTable::new(&self.key_types)?, vec![]);
        let orders = batches.iter().map(|batch| self.order_of(batch)).collect::<Result<Vec<_>>>()?;
        let is_later = |row: usize, batch: usize, last: &Last| {
            let ours = orders[batch].iter().map(|column| column.value(row));
            ours.gt(orders[last.batch].iter().map(|column| column.value(last.row)))
        };
        let mut lasts: Vec<Option<Last>> = vec![];
        for (number, batch) in batches.iter().enumerate() {
            table.intern(&select(batch.columns.columns(), &self.keys), &mut groups)?;
            lasts.resize_with(table.total_groups(), || None);
            for (row, group) in groups.iter().enumerate() {
                let last = &mut lasts[*group as usize];
                if last.as_ref().is_none_or(|last| is_later(row, number, last)) {
                    *last = Some(Last { batch: number, row });
                }
            }
        }
        Ok(lasts.into_iter().flatten().collect())
    }

    fn order_of<'b>(&self, batch: &'b Batch) -> Result<Vec<&'b Int64Array>> {
        let column = |at: &usize| batch.column(*at).as_primitive_opt::<Int64Type>();
        let columns: Option<Vec<_>> = self.order.iter().map(column).collect();
        columns.ok_or_else(|| Error::internal("the order of an upsert table's records is no BIGINT"))
    }

    /// Takes up records of different keys, and emits what they change.
    fn apply_last(&mut self, batches: &[Batch], lasts: &[Last], output: &mut Vec<Batch>) -> Result<()> {
        let places: Vec<(usize, usize)> = lasts.iter().map(|last| (last.batch, last.row)).collect();
        let rows: Vec<&RecordBatch> = batches.iter().map(|batch| &batch.columns).collect();
        let rows = interleave_record_batch(&rows, &places).map_err(|e| arrow_error("gather records", &e))?;
        let columns = rows.columns()[..self.output.fields().len()].to_vec();
        let mut comes: Vec<bool> = lasts.iter().map(|last| batches[last.batch].weight(last.row) > 0).collect();
        let (gone, unchanged) = self.known(&columns, &comes)?;
        unchanged.into_iter().for_each(|row| comes[row as usize] = false);
        let coming: Vec<u32> = (0..comes.len() as u32).filter(|row| comes[*row as usize]).collect();
        if gone.is_empty() && coming.is_empty() {
            return Ok(());
        }
        let new = take_rows(&rows, &coming)?;
        let new = batch_of(&self.output, new.columns()[..columns.len()].to_vec(), coming.len())?;
        let all: Vec<usize> = (0..columns.len()).collect();
        let old = batch_of(&self.output, self.rows.gather(&all, &gone)?, gone.len())?;
        let changes = concat_owned(&self.output, &[old, new])?;
        let weights: Vec<i64> =
            std::iter::repeat_n(-1, gone.len()).chain(std::iter::repeat_n(1, coming.len())).collect();
        self.rows.update(&changes, &self.rows.keys_of(&changes)?, &weights, &[])?;
        output.push(Batch::weighted(changes, Int64Array::from(weights)));
        Ok(())
    }

    /// The stored rows that leave, and the records that say what is stored already.
    fn known(&self, columns: &[ArrayRef], comes: &[bool]) -> Result<(Vec<RowId>, Vec<u32>)> {
        let keys = Keys::new(select(columns, &self.keys), comes.len())?;
        let (mut cursor, mut pairs) = (Cursor::start(), Pairs::default());
        let (mut gone, mut unchanged) = (vec![], vec![]);
        let all: Vec<usize> = (0..columns.len()).collect();
        let mut more = true;
        while more {
            more = self.rows.probe(&keys, &mut cursor, CHUNK_ROWS_MAX, &mut pairs)?;
            let asked = UInt32Array::from(pairs.probe.clone());
            let asked = columns.iter().map(|column| take(column, &asked, None));
            let asked = asked.collect::<Result<Vec<_>, _>>().map_err(|e| arrow_error("compare rows", &e))?;
            let stored = self.rows.gather(&all, &pairs.stored)?;
            let equal = equal_rows(&asked, &stored, pairs.len(), NullEquality::NullIsValue)?;
            for (place, (row, id)) in pairs.probe.iter().zip(&pairs.stored).enumerate() {
                match comes[*row as usize] && equal.value(place) {
                    true => unchanged.push(*row),
                    false => gone.push(*id),
                }
            }
        }
        Ok((gone, unchanged))
    }
}

impl EpochOperator for Normalize {
    fn apply(&mut self, _info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        let batches: Vec<Batch> = inputs[0].drain(..).filter(|batch| batch.num_rows() > 0).collect();
        let lasts = self.last_records(&batches)?;
        lasts.chunks(CHUNK_ROWS_MAX).try_for_each(|lasts| self.apply_last(&batches, lasts, output))?;
        self.rows.maintain()
    }

    fn save(&mut self) -> Result<Vec<StateTable>> {
        let saved = self.rows.save()?.into_iter().enumerate();
        Ok(saved.map(|(number, rows)| StateTable { name: format!("{TABLE}{number}"), rows }).collect())
    }

    fn restore(&mut self, tables: &[StateTable], share: Share) -> Result<()> {
        tables.iter().try_for_each(|table| self.rows.load(&table.rows, |group| share.owns(group)))
    }

    fn stats(&self) -> OperatorStats {
        OperatorStats { late_rows: 0, state_bytes: self.rows.bytes(), state_rows: self.rows.len() }
    }
}

#[cfg(test)]
mod tests;
