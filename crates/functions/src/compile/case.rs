//! CASE, IF and COALESCE.
//!
//! A CASE whose conditions cannot fail evaluates them over whole columns, notes for every row which branch it takes,
//! and puts the results together in one pass; results that are not constants are computed for their rows only. A CASE
//! over a text with constant WHENs looks the text up. Everything else is DataFusion's, which evaluates a condition only
//! for the rows that reach it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{filter_record_batch, interleave, is_null, take};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::{Result, ScalarValue, internal_datafusion_err};
use datafusion_expr::ColumnarValue;
use datafusion_expr::type_coercion::binary::type_union_resolution;
use datafusion_physical_expr::expressions as physical;
use fleuve_base::Error;
use fleuve_plan::{BinaryOp, Expr};

use super::kernel::{self, Kernel};
use super::lookup::{TextTable, constant_text, indices};
use super::{Compiler, PhysicalExprRef, checked, narrowed, shared, to_error};

/// Compiles a CASE.
pub(super) fn compile(
    compiler: &mut Compiler<'_>,
    operand: Option<&Expr>,
    branches: &[(Expr, Expr)],
    otherwise: Option<&Expr>,
) -> fleuve_base::Result<PhysicalExprRef> {
    let results = results(compiler, branches, otherwise)?;
    let chooser = match text_chooser(compiler, operand, branches)? {
        Some(chooser) => Some(chooser),
        None => condition_chooser(compiler, operand, branches)?,
    };
    match chooser {
        Some((chooser, operands)) => select(compiler, chooser, operands, results),
        None => lazy(compiler, operand, branches, results),
    }
}

/// THEN and ELSE of a CASE, all of one type.
struct Results {
    plans: Vec<Expr>,
    exprs: Vec<PhysicalExprRef>,
    data_type: DataType,
    has_else: bool,
}

fn results(
    compiler: &mut Compiler<'_>,
    branches: &[(Expr, Expr)],
    otherwise: Option<&Expr>,
) -> fleuve_base::Result<Results> {
    let plans: Vec<Expr> = branches.iter().map(|(_, then)| then).chain(otherwise).cloned().collect();
    let exprs = plans.iter().map(|e| compiler.compile(e)).collect::<fleuve_base::Result<Vec<_>>>()?;
    let (exprs, data_type) = unified(compiler, exprs)?;
    Ok(Results { plans, exprs, data_type, has_else: otherwise.is_some() })
}

/// The expressions, converted to the one type that all of them fit in.
fn unified(
    compiler: &Compiler<'_>,
    exprs: Vec<PhysicalExprRef>,
) -> fleuve_base::Result<(Vec<PhysicalExprRef>, DataType)> {
    let types = exprs.iter().map(|e| compiler.data_type(e)).collect::<fleuve_base::Result<Vec<_>>>()?;
    let Some(data_type) = type_union_resolution(&types) else {
        let types = types.iter().map(DataType::to_string).collect::<Vec<_>>().join(", ");
        return Err(Error::input("E304", format!("the results of a CASE have types without a common one: {types}")));
    };
    let exprs = exprs.into_iter().map(|e| compiler.coerce(e, &data_type)).collect::<fleuve_base::Result<_>>()?;
    Ok((exprs, data_type))
}

/// DataFusion's CASE, which evaluates everything only where it is needed.
fn lazy(
    compiler: &mut Compiler<'_>,
    operand: Option<&Expr>,
    branches: &[(Expr, Expr)],
    results: Results,
) -> fleuve_base::Result<PhysicalExprRef> {
    let operand = operand.map(|e| compiler.compile(e)).transpose()?;
    let mut when =
        |when: &Expr| if operand.is_some() { compiler.compile(when) } else { condition_expr(compiler, when) };
    let whens = branches.iter().map(|(condition, _)| when(condition)).collect::<fleuve_base::Result<Vec<_>>>()?;
    let mut results = results.exprs.into_iter();
    let branches = whens.into_iter().zip(results.by_ref()).collect();
    checked(physical::case(operand, branches, results.next()))
}

/// How the branch of a row is found.
#[derive(Debug)]
enum Chooser {
    /// The operand is looked up among constants.
    Text(TextTable),
    /// The first operand that is true.
    Conditions,
}

/// A CASE that compares one text with constants, in either form.
fn text_chooser(
    compiler: &mut Compiler<'_>,
    operand: Option<&Expr>,
    branches: &[(Expr, Expr)],
) -> fleuve_base::Result<Option<(Chooser, Vec<PhysicalExprRef>)>> {
    let compared = match operand {
        Some(operand) => branches.iter().map(|(when, _)| Some((operand, constant_text(when)?))).collect(),
        None => branches.iter().map(|(when, _)| text_equality(when)).collect::<Option<Vec<_>>>(),
    };
    let Some(compared) = compared else { return Ok(None) };
    let Some((text, _)) = compared.first() else { return Ok(None) };
    if compared.iter().any(|(other, _)| other != text) {
        return Ok(None);
    }
    let operand = compiler.compile(text)?;
    if compiler.data_type(&operand)? != DataType::Utf8 {
        return Ok(None);
    }
    let constants: Vec<&str> = compared.iter().map(|(_, constant)| *constant).collect();
    Ok(Some((Chooser::Text(TextTable::new(&constants)), vec![operand])))
}

/// `text = 'constant'`, either way round.
fn text_equality(condition: &Expr) -> Option<(&Expr, &str)> {
    let Expr::Binary { op: BinaryOp::Eq, left, right } = condition else { return None };
    match (constant_text(left), constant_text(right)) {
        (None, Some(constant)) => Some((left, constant)),
        (Some(constant), None) => Some((right, constant)),
        _ => None,
    }
}

/// Conditions that may be evaluated for all rows, because they cannot fail.
fn condition_chooser(
    compiler: &mut Compiler<'_>,
    operand: Option<&Expr>,
    branches: &[(Expr, Expr)],
) -> fleuve_base::Result<Option<(Chooser, Vec<PhysicalExprRef>)>> {
    let condition = |when: &Expr| match operand {
        Some(operand) => Expr::binary(BinaryOp::Eq, operand.clone(), when.clone()),
        None => when.clone(),
    };
    let conditions: Vec<Expr> = branches.iter().map(|(when, _)| condition(when)).collect();
    for (nth, condition) in conditions.iter().enumerate() {
        // The first condition is evaluated for every row in any case.
        if nth > 0 && !shared::is_total(compiler, condition)? {
            return Ok(None);
        }
    }
    let operands = conditions.iter().map(|c| condition_expr(compiler, c)).collect::<fleuve_base::Result<Vec<_>>>()?;
    let all_boolean = operands.iter().all(|o| matches!(o.data_type(compiler.schema), Ok(DataType::Boolean)));
    Ok(all_boolean.then_some((Chooser::Conditions, operands)))
}

/// A condition; the constant NULL, which has no type, becomes a BOOLEAN.
fn condition_expr(compiler: &mut Compiler<'_>, condition: &Expr) -> fleuve_base::Result<PhysicalExprRef> {
    let compiled = compiler.compile(condition)?;
    match compiler.data_type(&compiled)? {
        DataType::Null => compiler.coerce(compiled, &DataType::Boolean),
        _ => Ok(compiled),
    }
}

/// A result of a CASE, in the form in which it is cheapest to fetch.
#[derive(Debug)]
enum Outcome {
    /// One row.
    Constant(ArrayRef),
    /// A column as it is.
    Column(usize),
    /// Computed for the rows that want it, from these columns.
    Computed { columns: Vec<usize>, schema: SchemaRef, expr: PhysicalExprRef },
}

fn outcome(
    compiler: &Compiler<'_>,
    plan: &Expr,
    expr: &PhysicalExprRef,
    to: &DataType,
) -> fleuve_base::Result<Outcome> {
    if let Some(literal) = expr.downcast_ref::<physical::Literal>() {
        return Ok(Outcome::Constant(literal.value().to_array().map_err(|e| to_error(&e))?));
    }
    if let Some(column) = expr.downcast_ref::<physical::Column>() {
        return Ok(Outcome::Column(column.index()));
    }
    let columns = plan.columns();
    let schema = narrowed(compiler.schema, &columns)?;
    let mut plan = plan.clone();
    plan.map_columns(&|old| columns.binary_search(&old).unwrap_or_default());
    let mut inner = Compiler { schema: &schema, context: compiler.context, depth: compiler.depth };
    let expr = inner.compile(&plan)?;
    let expr = inner.coerce(expr, to)?;
    Ok(Outcome::Computed { columns, schema, expr })
}

fn select(
    compiler: &Compiler<'_>,
    chooser: Chooser,
    operands: Vec<PhysicalExprRef>,
    results: Results,
) -> fleuve_base::Result<PhysicalExprRef> {
    let data_type = results.data_type;
    let pairs = results.plans.iter().zip(&results.exprs);
    let mut outcomes =
        pairs.map(|(plan, expr)| outcome(compiler, plan, expr, &data_type)).collect::<fleuve_base::Result<Vec<_>>>()?;
    if !results.has_else {
        let null = ScalarValue::try_new_null(&data_type).and_then(|null| null.to_array());
        outcomes.push(Outcome::Constant(null.map_err(|e| to_error(&e))?));
    }
    let constants = constants(&outcomes)?;
    let shown = results.exprs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let whens = operands.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let text = format!("CASE {whens} {chooser:?} THEN {shown} END");
    Ok(kernel::expr(text, operands, data_type, true, Select { chooser, outcomes, constants }))
}

/// All outcomes as one array, if all are constants.
fn constants(outcomes: &[Outcome]) -> fleuve_base::Result<Option<ArrayRef>> {
    let constant = |outcome: &Outcome| match outcome {
        Outcome::Constant(array) => Some(Arc::clone(array)),
        _ => None,
    };
    let Some(arrays) = outcomes.iter().map(constant).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    let all = arrow::compute::concat(&arrays).map_err(|e| to_error(&e.into()))?;
    Ok(Some(all))
}

/// The kernel: a branch for every row, then the results put together. The last outcome is ELSE.
#[derive(Debug)]
struct Select {
    chooser: Chooser,
    outcomes: Vec<Outcome>,
    constants: Option<ArrayRef>,
}

impl Kernel for Select {
    fn evaluate(&self, operands: &[PhysicalExprRef], batch: &RecordBatch) -> Result<ColumnarValue> {
        let branch = self.choose(operands, batch)?;
        if let Some(constants) = &self.constants {
            let chosen = take(constants.as_ref(), &UInt32Array::from(branch), None)?;
            return Ok(ColumnarValue::Array(chosen));
        }
        let mut sources = Vec::with_capacity(self.outcomes.len());
        for (number, outcome) in (0_u32..).zip(&self.outcomes) {
            sources.push(Source::new(outcome, batch, &branch, number)?);
        }
        let mut place = |row: usize, branch: u32| (branch as usize, sources[branch as usize].next.index(row));
        let pairs: Vec<(usize, usize)> = branch.iter().enumerate().map(|(row, branch)| place(row, *branch)).collect();
        let arrays: Vec<&dyn Array> = sources.iter().map(|source| source.array.as_ref()).collect();
        Ok(ColumnarValue::Array(interleave(&arrays, &pairs)?))
    }
}

impl Select {
    fn choose(&self, operands: &[PhysicalExprRef], batch: &RecordBatch) -> Result<Vec<u32>> {
        let otherwise = u32::try_from(self.outcomes.len() - 1).map_err(|e| internal_datafusion_err!("{e}"))?;
        match &self.chooser {
            Chooser::Text(table) => {
                let texts = operands[0].evaluate(batch)?.into_array(batch.num_rows())?;
                Ok(indices(table, texts.as_string::<i32>(), otherwise))
            }
            Chooser::Conditions => {
                let mut branch = vec![otherwise; batch.num_rows()];
                // From the last to the first: an earlier condition overrides a later one.
                for (number, condition) in (0..otherwise.max(1)).zip(operands).rev() {
                    let mask = condition.evaluate(batch)?.into_array(batch.num_rows())?;
                    truths(mask.as_boolean()).set_indices().for_each(|row| branch[row] = number);
                }
                Ok(branch)
            }
        }
    }
}

/// Where a mask is true and not NULL.
fn truths(mask: &BooleanArray) -> BooleanBuffer {
    match mask.nulls() {
        Some(nulls) => mask.values() & nulls.inner(),
        None => mask.values().clone(),
    }
}

/// An outcome's values for one batch.
struct Source {
    array: ArrayRef,
    next: Next,
}

/// Which of a source's values the next row takes.
enum Next {
    /// Always the only one.
    First,
    /// The row's own.
    Row,
    /// The next one not yet taken.
    Sequential(usize),
}

impl Next {
    #[inline]
    fn index(&mut self, row: usize) -> usize {
        match self {
            Next::First => 0,
            Next::Row => row,
            Next::Sequential(next) => {
                *next += 1;
                *next - 1
            }
        }
    }
}

impl Source {
    fn new(outcome: &Outcome, batch: &RecordBatch, branch: &[u32], number: u32) -> Result<Self> {
        match outcome {
            Outcome::Constant(array) => Ok(Source { array: Arc::clone(array), next: Next::First }),
            Outcome::Column(index) => Ok(Source { array: Arc::clone(batch.column(*index)), next: Next::Row }),
            Outcome::Computed { columns, schema, expr } => {
                let mask = BooleanBuffer::collect_bool(branch.len(), |row| branch[row] == number);
                let mask = BooleanArray::new(mask, None);
                let rows = mask.true_count();
                if rows == 0 {
                    let none = arrow::array::new_null_array(&expr.data_type(schema)?, 1);
                    return Ok(Source { array: none, next: Next::First });
                }
                let narrow = batch.project(columns)?;
                let array = expr.evaluate(&filter_record_batch(&narrow, &mask)?)?.into_array(rows)?;
                Ok(Source { array, next: Next::Sequential(0) })
            }
        }
    }
}

/// `coalesce`: the first value that is not NULL; later ones are computed only for the rows that need them.
pub(super) fn coalesce(
    compiler: &mut Compiler<'_>,
    plan: &Expr,
    args: &[Expr],
) -> fleuve_base::Result<PhysicalExprRef> {
    let exprs = args.iter().map(|e| compiler.compile(e)).collect::<fleuve_base::Result<Vec<_>>>()?;
    let (exprs, data_type) = unified(compiler, exprs)?;
    let mut nullable = true;
    for expr in &exprs {
        nullable &= expr.nullable(compiler.schema).map_err(|e| to_error(&e))?;
    }
    Ok(kernel::expr(plan.to_string(), exprs, data_type, nullable, Coalesce))
}

/// The kernel of [`coalesce`].
#[derive(Debug)]
struct Coalesce;

impl Kernel for Coalesce {
    fn evaluate(&self, operands: &[PhysicalExprRef], batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows();
        let mut value = operands[0].evaluate(batch)?.into_array(rows)?;
        for next in &operands[1..] {
            if value.null_count() == 0 {
                break;
            }
            let missing = is_null(&value)?;
            value = match next.downcast_ref::<physical::Literal>() {
                Some(literal) => zip(&missing, &literal.value().to_scalar()?, &value)?,
                None => zip(&missing, &next.evaluate_selection(batch, &missing)?.into_array(rows)?, &value)?,
            };
        }
        Ok(ColumnarValue::Array(value))
    }
}
