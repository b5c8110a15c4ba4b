//! Filter and projection that read the epoch's clock: they wait for the epoch to be complete, because its clock is known
//! only then. All others are applied as batches pass.

use arrow::datatypes::SchemaRef;
use fleuve_base::Result;
use fleuve_functions::compile::{Calc, CompileContext};
use fleuve_plan::Expr;

use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator};

/// A calc whose expressions contain the epoch's clock.
pub struct ClockedCalc {
    calc: Calc,
    context: CompileContext,
}

impl ClockedCalc {
    /// Compiles the expressions over the input.
    ///
    /// # Errors
    /// If an expression does not fit the input.
    pub fn new(
        predicate: Option<&Expr>,
        projection: &[Expr],
        input: &SchemaRef,
        output: SchemaRef,
        context: &CompileContext,
    ) -> Result<Self> {
        let calc = Calc::new(predicate, projection, input, output, context)?;
        Ok(ClockedCalc { calc, context: context.clone() })
    }
}

impl EpochOperator for ClockedCalc {
    fn apply(&mut self, info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        self.context.clock().set(info.clock_ms);
        for batch in inputs[0].drain(..) {
            let (columns, weights) = self.calc.apply_with_weights(&batch.columns, batch.weights.as_ref())?;
            if columns.num_rows() > 0 {
                output.push(Batch { columns, weights });
            }
        }
        Ok(())
    }
}
