//! From the plan's expressions to executable ones.
//!
//! [`compile`] turns an [`Expr`] into DataFusion's [`PhysicalExpr`], with a few expressions of our own where Flink's
//! meaning or the speed of a hot query asks for it: a CASE that evaluates its operand once, a decimal constant times a
//! BIGINT, a timestamp moved by a constant interval, Flink's casts. [`Calc`] is the whole of a filter and projection.
//!
//! Evaluation is lazy where SQL says so: the branches of CASE, `if`, `coalesce` and the right side of AND and OR are
//! computed for the rows that need them, so that `IF(d = 0, 0, n / d)` never divides by zero.

mod arithmetic;
mod calc;
mod case;
mod cast;
mod clock;
mod connective;
mod error;
mod kernel;
mod literal;
mod lookup;
mod shared;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_expr::type_coercion::functions::fields_with_udf;
use datafusion_expr::{Operator, ScalarUDF};
use datafusion_physical_expr::expressions as physical;
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use fleuve_base::{Error, Result};
use fleuve_plan::{BinaryOp, Expr, Value};

pub use calc::Calc;
pub use clock::ClockCell;
pub(crate) use error::external;
pub use error::to_error;
pub use literal::{literal_to_scalar, scalar_to_literal};

use crate::registry;
use crate::scalar::Zone;

/// A compiled expression.
pub type PhysicalExprRef = Arc<dyn PhysicalExpr>;

/// Expressions nested deeper than this are refused rather than overflowing the stack.
pub const EXPRESSION_DEPTH_MAX: usize = 500;

/// What expressions need to know beside their input: the epoch's clock and the session's time zone.
#[derive(Debug, Clone)]
pub struct CompileContext {
    clock: ClockCell,
    time_zone: Arc<str>,
    options: Arc<ConfigOptions>,
}

impl CompileContext {
    /// A context of this clock and time zone (`UTC`, `Europe/Paris`, `+08:00`).
    pub fn new(clock: ClockCell, time_zone: &str) -> Result<Self> {
        Zone::parse(time_zone).map_err(|e| to_error(&e))?;
        let mut options = ConfigOptions::default();
        options.execution.time_zone = Some(time_zone.to_string());
        Ok(CompileContext { clock, time_zone: time_zone.into(), options: Arc::new(options) })
    }

    /// The clock that `PROCTIME()` reads.
    pub fn clock(&self) -> &ClockCell {
        &self.clock
    }

    /// The session's time zone, in which a TIMESTAMP_LTZ is shown.
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }
}

impl Default for CompileContext {
    fn default() -> Self {
        CompileContext::new(ClockCell::default(), "UTC").expect("UTC is a time zone")
    }
}

/// Compiles an expression over the columns of `schema`.
pub fn compile(expr: &Expr, schema: &SchemaRef, context: &CompileContext) -> Result<PhysicalExprRef> {
    Compiler { schema, context, depth: 0 }.compile(expr)
}

/// Compiles several expressions over the same schema.
pub fn compile_all(exprs: &[Expr], schema: &SchemaRef, context: &CompileContext) -> Result<Vec<PhysicalExprRef>> {
    exprs.iter().map(|expr| compile(expr, schema, context)).collect()
}

/// The type of an expression over `schema`, and whether it can be NULL.
pub fn data_type(expr: &Expr, schema: &SchemaRef, context: &CompileContext) -> Result<(DataType, bool)> {
    let field = compile(expr, schema, context)?.return_field(schema).map_err(|e| to_error(&e))?;
    Ok((field.data_type().clone(), field.is_nullable()))
}

/// Evaluates an expression; the result has as many rows as the batch.
pub fn evaluate(expr: &PhysicalExprRef, batch: &RecordBatch) -> Result<ArrayRef> {
    let value = expr.evaluate(batch).map_err(|e| to_error(&e))?;
    value.into_array(batch.num_rows()).map_err(|e| to_error(&e))
}

/// Evaluates a BOOLEAN expression; what is NULL stays NULL.
pub fn evaluate_predicate(expr: &PhysicalExprRef, batch: &RecordBatch) -> Result<BooleanArray> {
    let array = evaluate(expr, batch)?;
    match array.as_boolean_opt() {
        Some(mask) => Ok(mask.clone()),
        None => Err(Error::internal(format!("the predicate {expr} has type {}, not BOOLEAN", array.data_type()))),
    }
}

/// The recursion over an expression.
struct Compiler<'a> {
    schema: &'a SchemaRef,
    context: &'a CompileContext,
    depth: usize,
}

impl Compiler<'_> {
    fn compile(&mut self, expr: &Expr) -> Result<PhysicalExprRef> {
        if self.depth == EXPRESSION_DEPTH_MAX {
            let message = format!("an expression is nested more than {EXPRESSION_DEPTH_MAX} levels deep");
            return Err(Error::new(fleuve_base::ErrorKind::Limit, "E307", message));
        }
        self.depth += 1;
        let compiled = self.node(expr);
        self.depth -= 1;
        compiled
    }

    fn node(&mut self, expr: &Expr) -> Result<PhysicalExprRef> {
        match expr {
            Expr::Column(index) => self.column(*index),
            Expr::Literal(literal) => Ok(physical::lit(literal_to_scalar(literal)?)),
            Expr::Call { function, args } => self.call(expr, function, args),
            Expr::Binary { op, left, right } => self.binary(expr, *op, left, right),
            Expr::Not(e) => checked(physical::not(self.compile(e)?)),
            Expr::Negative(e) => checked(physical::negative(self.compile(e)?, self.schema)),
            Expr::IsNull(e) => checked(physical::is_null(self.compile(e)?)),
            Expr::IsNotNull(e) => checked(physical::is_not_null(self.compile(e)?)),
            Expr::Cast { expr: inner, to, lenient } => {
                let inner = self.compile(inner)?;
                cast::cast(inner, to, *lenient, expr, self.schema, self.context)
            }
            Expr::Case { operand, branches, otherwise } => {
                case::compile(self, operand.as_deref(), branches, otherwise.as_deref())
            }
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Expr::Like { expr, pattern, negated, ignore_case } => {
                let (text, pattern) = (self.compile(expr)?, self.compile(pattern)?);
                checked(physical::like(*negated, *ignore_case, text, pattern, self.schema))
            }
            Expr::Field { expr, name } => self.field(expr, name),
            Expr::EpochClock => Ok(clock::expr(&self.context.clock)),
        }
    }

    fn column(&self, index: usize) -> Result<PhysicalExprRef> {
        match self.schema.fields().get(index) {
            Some(field) => Ok(Arc::new(physical::Column::new(field.name(), index))),
            None => Err(Error::internal(format!("column {index} of an input of {}", self.schema.fields().len()))),
        }
    }

    fn field(&mut self, expr: &Expr, name: &str) -> Result<PhysicalExprRef> {
        let args = vec![self.compile(expr)?, physical::lit(name)];
        self.function(datafusion_functions::core::get_field(), args)
    }

    fn in_list(&mut self, expr: &Expr, list: &[Expr], negated: bool) -> Result<PhysicalExprRef> {
        if let Some(lookup) = lookup::in_list(self, expr, list, negated)? {
            return Ok(lookup);
        }
        let value = self.compile(expr)?;
        let list = list.iter().map(|e| self.compile(e)).collect::<Result<Vec<_>>>()?;
        checked(physical::in_list(value, list, &negated, self.schema))
    }

    fn call(&mut self, expr: &Expr, function: &str, args: &[Expr]) -> Result<PhysicalExprRef> {
        match (function, args) {
            ("if", [condition, then, otherwise]) => {
                return case::compile(self, None, &[(condition.clone(), then.clone())], Some(otherwise));
            }
            ("coalesce" | "ifnull" | "nvl", [_, ..]) => return case::coalesce(self, expr, args),
            _ => {}
        }
        let Some(udf) = registry::scalar(function) else {
            return Err(Error::input("E306", format!("there is no function `{function}`")));
        };
        let args = args.iter().map(|arg| self.compile(arg)).collect::<Result<Vec<_>>>()?;
        self.function(udf, args)
    }

    /// A call with its arguments converted to what the function takes.
    fn function(&self, udf: Arc<ScalarUDF>, args: Vec<PhysicalExprRef>) -> Result<PhysicalExprRef> {
        let fields = self.fields(&args)?;
        let wanted = fields_with_udf(&fields, udf.as_ref()).map_err(|e| to_error(&e))?;
        let args = args.into_iter().zip(&wanted).map(|(arg, field)| self.coerce(arg, field.data_type()));
        let args = args.collect::<Result<Vec<_>>>()?;
        let options = Arc::clone(&self.context.options);
        let call = ScalarFunctionExpr::try_new(udf, args, self.schema, options).map_err(|e| to_error(&e))?;
        Ok(Arc::new(call))
    }

    fn fields(&self, exprs: &[PhysicalExprRef]) -> Result<Vec<FieldRef>> {
        exprs.iter().map(|e| e.return_field(self.schema).map_err(|e| to_error(&e))).collect()
    }

    /// The expression converted to a type, by Arrow's own rules.
    fn coerce(&self, expr: PhysicalExprRef, to: &DataType) -> Result<PhysicalExprRef> {
        if let Some(literal) = expr.downcast_ref::<physical::Literal>() {
            let value = literal.value().cast_to(to).map_err(|e| to_error(&e))?;
            return Ok(physical::lit(value));
        }
        checked(physical::cast(expr, self.schema, to.clone()))
    }

    fn data_type(&self, expr: &PhysicalExprRef) -> Result<DataType> {
        expr.data_type(self.schema).map_err(|e| to_error(&e))
    }

    fn binary(&mut self, expr: &Expr, op: BinaryOp, left: &Expr, right: &Expr) -> Result<PhysicalExprRef> {
        if let Some(special) = arithmetic::special(self, op, left, right)? {
            return Ok(special);
        }
        if let Some(regex) = self.regex_match(op, left, right)? {
            return Ok(regex);
        }
        if matches!(op, BinaryOp::And | BinaryOp::Or) && !shared::is_total(self, right)? {
            return connective::guarded(self, expr, op, left, right);
        }
        let (left, right) = (self.compile(left)?, self.compile(right)?);
        let fallible = arithmetic::can_fail(op, &self.data_type(&left)?);
        let binary: PhysicalExprRef = Arc::new(physical::BinaryExpr::new(left, operator(op), right));
        self.data_type(&binary)?;
        if fallible { kernel::named(binary, expr, self.schema) } else { Ok(binary) }
    }

    /// A regular expression that is a constant is compiled once, by our own function.
    fn regex_match(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Result<Option<PhysicalExprRef>> {
        let (ignore_case, negated) = match op {
            BinaryOp::RegexMatch => (false, false),
            BinaryOp::RegexIMatch => (true, false),
            BinaryOp::RegexNotMatch => (false, true),
            BinaryOp::RegexNotIMatch => (true, true),
            _ => return Ok(None),
        };
        let Expr::Literal(literal) = right else { return Ok(None) };
        let Value::String(pattern) = &literal.value else { return Ok(None) };
        let pattern = if ignore_case { format!("(?i){pattern}") } else { pattern.clone() };
        let udf = registry::scalar("regexp").ok_or_else(|| Error::internal("`regexp` is not registered"))?;
        let text = self.compile(left)?;
        let matched = self.function(udf, vec![text, physical::lit(pattern)])?;
        if negated { checked(physical::not(matched)).map(Some) } else { Ok(Some(matched)) }
    }
}

fn checked(expr: datafusion_common::Result<PhysicalExprRef>) -> Result<PhysicalExprRef> {
    expr.map_err(|e| to_error(&e))
}

fn operator(op: BinaryOp) -> Operator {
    match op {
        BinaryOp::And => Operator::And,
        BinaryOp::Or => Operator::Or,
        BinaryOp::Eq => Operator::Eq,
        BinaryOp::NotEq => Operator::NotEq,
        BinaryOp::Lt => Operator::Lt,
        BinaryOp::LtEq => Operator::LtEq,
        BinaryOp::Gt => Operator::Gt,
        BinaryOp::GtEq => Operator::GtEq,
        BinaryOp::IsDistinctFrom => Operator::IsDistinctFrom,
        BinaryOp::IsNotDistinctFrom => Operator::IsNotDistinctFrom,
        BinaryOp::Plus => Operator::Plus,
        BinaryOp::Minus => Operator::Minus,
        BinaryOp::Multiply => Operator::Multiply,
        BinaryOp::Divide => Operator::Divide,
        BinaryOp::Modulo => Operator::Modulo,
        BinaryOp::Concat => Operator::StringConcat,
        BinaryOp::BitAnd => Operator::BitwiseAnd,
        BinaryOp::BitOr => Operator::BitwiseOr,
        BinaryOp::BitXor => Operator::BitwiseXor,
        BinaryOp::RegexMatch => Operator::RegexMatch,
        BinaryOp::RegexIMatch => Operator::RegexIMatch,
        BinaryOp::RegexNotMatch => Operator::RegexNotMatch,
        BinaryOp::RegexNotIMatch => Operator::RegexNotIMatch,
    }
}

/// The schema of some of the columns, in this order.
fn narrowed(schema: &Schema, columns: &[usize]) -> Result<SchemaRef> {
    schema.project(columns).map(Arc::new).map_err(|e| Error::internal(e.to_string()))
}
