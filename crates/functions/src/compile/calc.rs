//! A filter and a projection as one step over batches.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{FilterBuilder, prep_null_mask_filter};
use arrow::datatypes::{Field, Schema, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_plan::Expr;

use super::{
    CompileContext, PhysicalExprRef, compile, compile_all, evaluate, evaluate_predicate, narrowed, shared, to_error,
};

/// `SELECT projection … WHERE predicate`, compiled.
///
/// Expressions that occur several times are computed once. Only the columns that the projection reads are filtered, and
/// the projection sees only the rows that passed. A projection that is a plain column copies nothing.
#[derive(Debug)]
pub struct Calc {
    /// Computed from the input and appended to it.
    before: Stage,
    predicate: Option<PhysicalExprRef>,
    /// The columns, of input and `before`, that are read after the predicate.
    kept: Vec<usize>,
    kept_schema: SchemaRef,
    /// Computed from the kept columns and appended to them.
    after: Stage,
    outputs: Vec<Output>,
    output_schema: SchemaRef,
}

/// Columns to be appended to a batch.
#[derive(Debug)]
struct Stage {
    exprs: Vec<PhysicalExprRef>,
    schema: SchemaRef,
}

#[derive(Debug)]
enum Output {
    Column(usize),
    Computed(PhysicalExprRef),
}

/// The rows that a predicate lets pass.
enum Selection {
    All,
    None,
    Some(BooleanArray),
}

impl Calc {
    /// Compiles a predicate (none: all rows pass) and the projection over `schema`; `output_schema` has the
    /// projection's names and types.
    pub fn new(
        predicate: Option<&Expr>,
        projection: &[Expr],
        schema: &SchemaRef,
        output_schema: SchemaRef,
        context: &CompileContext,
    ) -> Result<Self> {
        let mut roots: Vec<Expr> = predicate.into_iter().chain(projection).cloned().collect();
        let conditions = usize::from(predicate.is_some());
        let before = match predicate {
            Some(_) => Stage::new(shared::share(&mut roots, conditions, schema, context)?, schema, context)?,
            None => Stage { exprs: vec![], schema: Arc::clone(schema) },
        };
        let mut projection = roots.split_off(conditions);
        let kept = read_columns(&projection);
        let kept_schema = narrowed(&before.schema, &kept)?;
        let new_position = |old: usize| kept.binary_search(&old).unwrap_or_default();
        projection.iter_mut().for_each(|expr| expr.map_columns(&new_position));
        let count = projection.len();
        let after = Stage::new(shared::share(&mut projection, count, &kept_schema, context)?, &kept_schema, context)?;
        let predicate = roots.first().map(|expr| compile(expr, &before.schema, context)).transpose()?;
        let outputs = outputs(&projection, &after.schema, context)?;
        Ok(Calc { before, predicate, kept, kept_schema, after, outputs, output_schema })
    }

    /// The schema of the result.
    pub fn output_schema(&self) -> &SchemaRef {
        &self.output_schema
    }

    /// Filters and projects a batch.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        Ok(self.apply_with_weights(batch, None)?.0)
    }

    /// Filters and projects a batch, and filters the rows' weights along with it.
    pub fn apply_with_weights(
        &self,
        batch: &RecordBatch,
        weights: Option<&Int64Array>,
    ) -> Result<(RecordBatch, Option<Int64Array>)> {
        let extended = self.before.append(batch)?;
        let (kept, weights) = match self.select(&extended)? {
            Selection::All => (self.keep(&extended)?, weights.cloned()),
            Selection::None => {
                let none = RecordBatch::new_empty(Arc::clone(&self.output_schema));
                return Ok((none, weights.map(|_| Int64Array::new(vec![].into(), None))));
            }
            Selection::Some(mask) => self.filter(&extended, &mask, weights)?,
        };
        Ok((self.project(&self.after.append(&kept)?)?, weights))
    }

    /// Like [`Calc::apply`], but a row that fails is left out, and returned with its error. A batch that fails is halved
    /// until the rows that make it fail are found.
    pub fn apply_lossy(&self, batch: &RecordBatch) -> Result<(RecordBatch, Vec<(usize, Error)>)> {
        let mut good = Vec::new();
        let mut failed = Vec::new();
        let mut ranges = vec![(0, batch.num_rows())];
        while let Some((start, rows)) = ranges.pop() {
            match self.apply(&batch.slice(start, rows)) {
                Ok(result) => good.push(result),
                Err(error) if rows <= 1 => failed.push((start, error)),
                Err(_) => ranges.extend([(start + rows / 2, rows - rows / 2), (start, rows / 2)]),
            }
        }
        let good = arrow::compute::concat_batches(&self.output_schema, &good).map_err(|e| to_error(&e.into()))?;
        Ok((good, failed))
    }

    fn select(&self, batch: &RecordBatch) -> Result<Selection> {
        let Some(predicate) = &self.predicate else { return Ok(Selection::All) };
        let mask = evaluate_predicate(predicate, batch)?;
        let mask = if mask.null_count() > 0 { prep_null_mask_filter(&mask) } else { mask };
        match mask.true_count() {
            0 => Ok(Selection::None),
            count if count == mask.len() => Ok(Selection::All),
            _ => Ok(Selection::Some(mask)),
        }
    }

    fn keep(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.kept.iter().map(|index| Arc::clone(batch.column(*index))).collect();
        assemble(&self.kept_schema, columns, batch.num_rows())
    }

    fn filter(
        &self,
        batch: &RecordBatch,
        mask: &BooleanArray,
        weights: Option<&Int64Array>,
    ) -> Result<(RecordBatch, Option<Int64Array>)> {
        let mut filter = FilterBuilder::new(mask);
        if self.kept.len() + usize::from(weights.is_some()) > 1 {
            filter = filter.optimize();
        }
        let filter = filter.build();
        let keep = |array: &dyn Array| filter.filter(array).map_err(|e| to_error(&e.into()));
        let columns = self.kept.iter().map(|index| keep(batch.column(*index).as_ref())).collect::<Result<_>>()?;
        let kept = assemble(&self.kept_schema, columns, filter.count())?;
        let Some(weights) = weights else { return Ok((kept, None)) };
        let weights = keep(weights)?.to_data();
        Ok((kept, Some(Int64Array::from(weights))))
    }

    fn project(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.outputs.iter().map(|output| match output {
            Output::Column(index) => Ok(Arc::clone(batch.column(*index))),
            Output::Computed(expr) => evaluate(expr, batch),
        });
        let columns = columns.collect::<Result<_>>()?;
        assemble(&self.output_schema, columns, batch.num_rows())
    }
}

impl Stage {
    fn new(shared: shared::Shared, schema: &SchemaRef, context: &CompileContext) -> Result<Self> {
        let exprs = compile_all(&shared.extra, schema, context)?;
        let mut fields = schema.fields().to_vec();
        for (nth, expr) in exprs.iter().enumerate() {
            let field = expr.return_field(schema).map_err(|e| to_error(&e))?;
            let nullable = field.is_nullable();
            fields.push(Arc::new(Field::new(format!("shared {nth}"), field.data_type().clone(), nullable)));
        }
        Ok(Stage { exprs, schema: Arc::new(Schema::new(fields)) })
    }

    fn append(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        if self.exprs.is_empty() {
            return Ok(batch.clone());
        }
        let mut columns = batch.columns().to_vec();
        for expr in &self.exprs {
            columns.push(evaluate(expr, batch)?);
        }
        assemble(&self.schema, columns, batch.num_rows())
    }
}

/// The columns that the expressions read, ascending.
fn read_columns(exprs: &[Expr]) -> Vec<usize> {
    let mut columns: Vec<usize> = exprs.iter().flat_map(Expr::columns).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn outputs(projection: &[Expr], schema: &SchemaRef, context: &CompileContext) -> Result<Vec<Output>> {
    let output = |expr: &Expr| match expr {
        Expr::Column(index) if *index < schema.fields().len() => Ok(Output::Column(*index)),
        other => compile(other, schema, context).map(Output::Computed),
    };
    projection.iter().map(output).collect()
}

fn assemble(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|e| to_error(&e.into()))
}
