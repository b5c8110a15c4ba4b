//! AND and OR whose right side can fail: it is evaluated only for the rows that the left side leaves undecided.
//!
//! `d <> 0 AND n / d > 1` is how people guard a division; where the right side cannot fail, evaluating it for all rows
//! is faster, and the answer is the same.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{and_kleene, is_null, not, or_kleene};
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::ColumnarValue;
use fleuve_plan::{BinaryOp, Expr};

use super::kernel::{self, Kernel};
use super::{Compiler, PhysicalExprRef, to_error};

/// Compiles `left AND right` or `left OR right`.
pub(super) fn guarded(
    compiler: &mut Compiler<'_>,
    plan: &Expr,
    op: BinaryOp,
    left: &Expr,
    right: &Expr,
) -> fleuve_base::Result<PhysicalExprRef> {
    let sides = [left, right].map(|side| {
        let side = compiler.compile(side)?;
        compiler.coerce(side, &DataType::Boolean)
    });
    let [left, right] = sides;
    let operands = vec![left?, right?];
    let mut nullable = false;
    for operand in &operands {
        nullable |= operand.nullable(compiler.schema).map_err(|e| to_error(&e))?;
    }
    let connective = if op == BinaryOp::And { Connective::And } else { Connective::Or };
    Ok(kernel::expr(plan.to_string(), operands, DataType::Boolean, nullable, connective))
}

/// The kernel: three-valued logic, the left side first.
#[derive(Debug)]
enum Connective {
    And,
    Or,
}

impl Connective {
    /// The rows whose value depends on the right side.
    fn undecided(&self, left: &BooleanArray) -> Result<BooleanArray> {
        let open = match self {
            Connective::And => left.clone(),
            Connective::Or => not(left)?,
        };
        Ok(match open.null_count() {
            0 => open,
            _ => BooleanArray::new(open.values() | is_null(&open)?.values(), None),
        })
    }
}

impl Kernel for Connective {
    fn evaluate(&self, operands: &[PhysicalExprRef], batch: &RecordBatch) -> Result<ColumnarValue> {
        let left = operands[0].evaluate(batch)?.into_array(batch.num_rows())?;
        let left = left.as_boolean();
        // Rows that are not selected become NULL, which changes no decided row.
        let right = operands[1].evaluate_selection(batch, &self.undecided(left)?)?.into_array(batch.num_rows())?;
        let value = match self {
            Connective::And => and_kleene(left, right.as_boolean())?,
            Connective::Or => or_kleene(left, right.as_boolean())?,
        };
        Ok(ColumnarValue::Array(std::sync::Arc::new(value)))
    }
}
