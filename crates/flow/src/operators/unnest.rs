//! UNNEST: a row for each element of an ARRAY, or entry of a MAP, that a column holds.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_state::columns::{arrow_error, batch_of};

use crate::batch::Batch;

/// Spreads a collection over rows.
pub struct Unnest {
    column: usize,
    outer: bool,
    ordinality: bool,
    output: SchemaRef,
}

/// For each result row the row that it comes from, and what it takes of the collections' values.
#[derive(Default)]
struct Spread {
    rows: Vec<u32>,
    /// The place in the values of all collections; `None` where an empty collection stands.
    values: Vec<Option<u32>>,
    ordinals: Vec<Option<i64>>,
}

impl Unnest {
    /// Spreads the collection in a column.
    ///
    /// # Errors
    /// If the column holds no collection.
    pub fn new(input: &SchemaRef, column: usize, outer: bool, ordinality: bool, output: SchemaRef) -> Result<Self> {
        match input.field(column).data_type() {
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) | DataType::Map(_, _) => {
                Ok(Unnest { column, outer, ordinality, output })
            }
            other => Err(Error::internal(format!("UNNEST of a column of type {other}"))),
        }
    }

    /// The rows of a batch, spread; with the weights of the rows that they come from.
    ///
    /// # Errors
    /// If the result is too large for one batch.
    pub fn apply(&self, batch: &Batch) -> Result<Batch> {
        let collections = batch.column(self.column);
        let (elements, spread) = self.spread(collections)?;
        let rows = UInt32Array::from(spread.rows);
        let take_rows = |column: &ArrayRef| take(column, &rows, None).map_err(arrow_error);
        let mut columns = batch.columns.columns().iter().map(take_rows).collect::<Result<Vec<_>>>()?;
        let places = UInt32Array::from(spread.values);
        for element in elements {
            columns.push(take(&element, &places, None).map_err(arrow_error)?);
        }
        if self.ordinality {
            columns.push(self.ordinals(spread.ordinals)?);
        }
        let weights = batch
            .weights
            .as_ref()
            .map(|weights| rows.values().iter().map(|&r| Some(weights.value(r as usize))).collect());
        Ok(Batch { columns: batch_of(&self.output, columns, rows.len())?, weights })
    }

    /// The columns of all elements, and which of them each row gets.
    fn spread(&self, collections: &ArrayRef) -> Result<(Vec<ArrayRef>, Spread)> {
        let offset = |offset: i32| offset as u32;
        match collections.data_type() {
            DataType::List(_) => {
                let lists = collections.as_list::<i32>();
                let places = lists.value_offsets();
                let range = |row: usize| (offset(places[row]), offset(places[row + 1]));
                Ok((elements(lists.values())?, self.spread_ranges(collections, range)))
            }
            DataType::Map(_, _) => {
                let maps = collections.as_map();
                let places = maps.value_offsets();
                let range = |row: usize| (offset(places[row]), offset(places[row + 1]));
                Ok((vec![maps.keys().clone(), maps.values().clone()], self.spread_ranges(collections, range)))
            }
            DataType::FixedSizeList(_, size) => {
                let lists = collections.as_fixed_size_list();
                let range = |row: usize| (row as u32 * *size as u32, (row as u32 + 1) * *size as u32);
                Ok((elements(lists.values())?, self.spread_ranges(collections, range)))
            }
            _ => {
                let lists = collections.as_list::<i64>();
                if u32::try_from(lists.values().len()).is_err() {
                    return Err(arrow_error(arrow::error::ArrowError::OffsetOverflowError(lists.values().len())));
                }
                let places = lists.value_offsets();
                let range = |row: usize| (places[row] as u32, places[row + 1] as u32);
                Ok((elements(lists.values())?, self.spread_ranges(collections, range)))
            }
        }
    }

    fn spread_ranges(&self, collections: &ArrayRef, range: impl Fn(usize) -> (u32, u32)) -> Spread {
        let mut spread = Spread::default();
        for row in 0..collections.len() {
            let (start, end) = if collections.is_null(row) { (0, 0) } else { range(row) };
            if start == end && self.outer {
                spread.rows.push(row as u32);
                spread.values.push(None);
                spread.ordinals.push(None);
            }
            spread.rows.extend(std::iter::repeat_n(row as u32, (end - start) as usize));
            spread.values.extend((start..end).map(Some));
            if self.ordinality {
                spread.ordinals.extend((1..=i64::from(end - start)).map(Some));
            }
        }
        spread
    }

    fn ordinals(&self, ordinals: Vec<Option<i64>>) -> Result<ArrayRef> {
        let ordinals: ArrayRef = Arc::new(Int64Array::from(ordinals));
        let last = self.output.fields().len() - 1;
        arrow::compute::cast(&ordinals, self.output.field(last).data_type()).map_err(arrow_error)
    }
}

/// The columns that an element becomes: the fields of a ROW, or itself.
fn elements(values: &ArrayRef) -> Result<Vec<ArrayRef>> {
    let Some(rows) = values.as_struct_opt() else { return Ok(vec![values.clone()]) };
    // The fields of a ROW that is NULL are NULL, whatever lies below it.
    let with_nulls = |column: &ArrayRef| -> Result<ArrayRef> {
        let Some(nulls) = rows.nulls() else { return Ok(column.clone()) };
        let null = arrow::array::BooleanArray::new(!nulls.inner(), None);
        arrow::compute::nullif(column, &null).map_err(arrow_error)
    };
    rows.columns().iter().map(with_nulls).collect()
}

#[cfg(test)]
mod tests;
