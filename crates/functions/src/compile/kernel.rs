//! Our own physical expressions: one kernel over some operands.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion_common::{DataFusionError, Result};
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;
use fleuve_plan::Expr;

use super::{PhysicalExprRef, error};

/// What an expression of our own computes from its operands.
pub(super) trait Kernel: fmt::Debug + Send + Sync {
    /// The values for the rows of `batch`.
    fn evaluate(&self, operands: &[PhysicalExprRef], batch: &RecordBatch) -> Result<ColumnarValue>;
}

/// A kernel with its operands, as a physical expression. Its text identifies the kernel and its parameters.
#[derive(Debug)]
struct KernelExpr {
    text: String,
    operands: Vec<PhysicalExprRef>,
    field: FieldRef,
    kernel: Arc<dyn Kernel>,
}

/// An expression that evaluates `kernel` over `operands`. `text` names the kernel and all its parameters.
pub(super) fn expr(
    text: String,
    operands: Vec<PhysicalExprRef>,
    data_type: DataType,
    nullable: bool,
    kernel: impl Kernel + 'static,
) -> PhysicalExprRef {
    let field = Arc::new(Field::new(&text, data_type, nullable));
    Arc::new(KernelExpr { text, operands, field, kernel: Arc::new(kernel) })
}

impl PartialEq for KernelExpr {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.operands == other.operands && self.field == other.field
    }
}

impl Eq for KernelExpr {}

impl Hash for KernelExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
        self.operands.hash(state);
    }
}

impl fmt::Display for KernelExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PhysicalExpr for KernelExpr {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(self.field.is_nullable())
    }

    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.kernel.evaluate(&self.operands, batch)
    }

    fn children(&self) -> Vec<&PhysicalExprRef> {
        self.operands.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, operands: Vec<PhysicalExprRef>) -> Result<PhysicalExprRef> {
        let KernelExpr { text, field, kernel, .. } = self.as_ref();
        Ok(Arc::new(KernelExpr { text: text.clone(), operands, field: Arc::clone(field), kernel: Arc::clone(kernel) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An operand whose errors name the expression as the user wrote it.
#[derive(Debug)]
struct Named {
    text: String,
}

impl Kernel for Named {
    fn evaluate(&self, operands: &[PhysicalExprRef], batch: &RecordBatch) -> Result<ColumnarValue> {
        operands[0]
            .evaluate(batch)
            .map_err(|e| DataFusionError::External(Box::new(error::in_expression(&e, &self.text))))
    }
}

/// Wraps an expression that can fail for a row, so that its error says which expression it was.
pub(super) fn named(inner: PhysicalExprRef, plan: &Expr, schema: &SchemaRef) -> fleuve_base::Result<PhysicalExprRef> {
    let field = inner.return_field(schema).map_err(|e| super::to_error(&e))?;
    let text = plan.display_with(&|index| column_name(schema, index));
    let kernel = Named { text: text.clone() };
    Ok(expr(text, vec![inner], field.data_type().clone(), field.is_nullable(), kernel))
}

fn column_name(schema: &Schema, index: usize) -> String {
    schema.fields().get(index).map_or_else(|| format!("#{index}"), |field| field.name().clone())
}
