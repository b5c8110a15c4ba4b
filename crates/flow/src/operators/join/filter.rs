//! The condition of a join beyond equality of keys, on pairs of rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_functions::compile::{CompileContext, PhysicalExprRef, compile, evaluate_predicate};
use fleuve_plan::Expr;
use fleuve_state::columns::{arrow_error, batch_of, is_true};
use fleuve_state::multimap::{Multimap, Pairs};

use super::pairs::Probing;

/// A compiled condition; only the columns that it reads are fetched.
pub(in super::super) struct PairFilter {
    expr: PhysicalExprRef,
    schema: SchemaRef,
    left: Vec<usize>,
    right: Vec<usize>,
}

impl PairFilter {
    /// Compiles a condition over the concatenated columns; `stored` is the place of a right column in `right`.
    pub fn new(
        filter: &Expr,
        left: &SchemaRef,
        right: &SchemaRef,
        stored: &dyn Fn(usize) -> Option<usize>,
        context: &CompileContext,
    ) -> Result<Self> {
        let width = left.fields().len();
        let read = filter.columns();
        let (left_read, right_read): (Vec<usize>, Vec<usize>) = read.iter().partition(|&&column| column < width);
        let missing = || Error::internal("the filter of a join reads a column that it does not have");
        let right_places = right_read.iter().map(|&column| stored(column - width).ok_or_else(missing));
        let right_places = right_places.collect::<Result<Vec<_>>>()?;
        let left_fields = left_read.iter().map(|&column| left.fields().get(column).cloned().ok_or_else(missing));
        let right_fields = right_places.iter().map(|&column| right.fields().get(column).cloned().ok_or_else(missing));
        let schema = Arc::new(Schema::new(left_fields.chain(right_fields).collect::<Result<Vec<_>>>()?));
        let mut narrow = filter.clone();
        narrow.map_columns(&|column| read.binary_search(&column).expect("a column that is read"));
        let expr = compile(&narrow, &schema, context)?;
        Ok(PairFilter { expr, schema, left: left_read, right: right_places })
    }

    /// For which pairs the condition is true.
    pub fn evaluate(
        &self,
        probing: Probing,
        rows: &[ArrayRef],
        store: &Multimap,
        pairs: &Pairs,
    ) -> Result<BooleanBuffer> {
        let (probing_columns, stored_columns) = match probing {
            Probing::Left => (&self.left, &self.right),
            Probing::Right => (&self.right, &self.left),
        };
        let indices = UInt32Array::from(pairs.probe.clone());
        let probing_columns = probing_columns.iter().map(|&c| take(&rows[c], &indices, None).map_err(arrow_error));
        let probing_columns = probing_columns.collect::<Result<Vec<_>>>()?;
        let stored_columns = store.gather(stored_columns, &pairs.stored)?;
        let columns = match probing {
            Probing::Left => [probing_columns, stored_columns].concat(),
            Probing::Right => [stored_columns, probing_columns].concat(),
        };
        let batch = batch_of(&self.schema, columns, pairs.len())?;
        Ok(is_true(&evaluate_predicate(&self.expr, &batch)?))
    }
}
