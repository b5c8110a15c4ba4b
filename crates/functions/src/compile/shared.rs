//! Common subexpressions: what several expressions compute is computed once, as an additional column.

use fleuve_base::Result;
use fleuve_plan::{BinaryOp, Expr};
use hashbrown::HashMap;

use arrow::datatypes::{DataType, SchemaRef};

use super::{CompileContext, Compiler, arithmetic};
use crate::registry;

/// At most this many subexpressions are shared in one list of expressions.
const SHARED_MAX: usize = 32;

/// Whether an expression gives a value for every row, so that it may be evaluated for rows that do not need it.
pub(super) fn is_total(compiler: &mut Compiler<'_>, expr: &Expr) -> Result<bool> {
    let own = match expr {
        Expr::Binary { op: BinaryOp::Multiply, left, right } if is_decimal_scaling(compiler, left, right)? => {
            return Ok(true);
        }
        Expr::Binary { op, left, .. } => {
            let left = compiler.compile(left)?;
            !arithmetic::can_fail(*op, &compiler.data_type(&left)?)
        }
        Expr::Call { function, .. } => registry::is_total(function),
        Expr::Cast { expr, to, lenient } => {
            let inner = compiler.compile(expr)?;
            *lenient || always_converts(&compiler.data_type(&inner)?, to)
        }
        _ => true,
    };
    if !own {
        return Ok(false);
    }
    for child in expr.children() {
        if !is_total(compiler, child)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the product is the special form that cannot overflow.
fn is_decimal_scaling(compiler: &mut Compiler<'_>, left: &Expr, right: &Expr) -> Result<bool> {
    match arithmetic::special(compiler, BinaryOp::Multiply, left, right)? {
        Some(_) => Ok([left, right].iter().all(|e| {
            let inner = if let Expr::Cast { expr, .. } = e { expr } else { *e };
            matches!(inner, Expr::Column(_) | Expr::Literal(_))
        })),
        None => Ok(false),
    }
}

/// Whether every value of one type is a value of the other.
fn always_converts(from: &DataType, to: &DataType) -> bool {
    let signed = |t: &DataType| t.is_signed_integer();
    match (from, to) {
        (_, DataType::Utf8) => from.is_primitive() || matches!(from, DataType::Boolean | DataType::Utf8View),
        _ if signed(from) && signed(to) => from.primitive_width() <= to.primitive_width(),
        (_, DataType::Float64) => from.is_numeric(),
        (_, DataType::Decimal128(digits, scale)) if signed(from) => i16::from(*digits) - i16::from(*scale) >= 19,
        _ => from == to,
    }
}

/// A list of expressions rewritten so that each subexpression is computed once.
pub(super) struct Shared {
    /// The subexpressions, in the order of evaluation: each is a new column after those before it.
    pub(super) extra: Vec<Expr>,
}

/// What is known of a subexpression.
struct Seen {
    count: usize,
    unconditional: bool,
    expr: Expr,
}

/// Takes out of `roots` what occurs more than once among them (and at least once in the first `required`), puts columns
/// from `width` on in its place, and returns what to compute for these.
pub(super) fn share(
    roots: &mut [Expr],
    required: usize,
    schema: &SchemaRef,
    context: &CompileContext,
) -> Result<Shared> {
    let width = schema.fields().len();
    let mut extra = Vec::new();
    while extra.len() < SHARED_MAX {
        let Some(expr) = largest_repeated(roots, required, width, schema, context)? else { break };
        let column = Expr::Column(width + extra.len());
        roots.iter_mut().for_each(|root| replace(root, &expr, &column));
        extra.push(expr);
    }
    Ok(Shared { extra })
}

fn largest_repeated(
    roots: &[Expr],
    required: usize,
    width: usize,
    schema: &SchemaRef,
    context: &CompileContext,
) -> Result<Option<Expr>> {
    let mut seen: HashMap<String, Seen, foldhash::fast::FixedState> = HashMap::default();
    for (nth, root) in roots.iter().enumerate() {
        collect(root, false, nth < required, &mut seen);
    }
    let mut repeated: Vec<(String, Seen)> = seen.into_iter().filter(|(_, seen)| seen.count > 1).collect();
    repeated.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    let mut compiler = Compiler { schema, context, depth: 0 };
    for (_, Seen { unconditional, expr, .. }) in repeated {
        // What already reads a shared column stays where it is: such columns exist only in the roots' input.
        let reads_input = expr.columns().last().is_none_or(|last| *last < width);
        if reads_input && (unconditional || is_total(&mut compiler, &expr)?) {
            return Ok(Some(expr));
        }
    }
    Ok(None)
}

/// Counts the subexpressions. Those that occur only in roots that are not `eligible` start from zero occurrences there:
/// they are counted, but never alone.
fn collect(
    expr: &Expr,
    conditional: bool,
    eligible: bool,
    seen: &mut HashMap<String, Seen, foldhash::fast::FixedState>,
) {
    if is_worth_sharing(expr) {
        let key = format!("{expr:?}");
        if eligible || seen.contains_key(&key) {
            let entry = seen.entry(key).or_insert_with(|| Seen { count: 0, unconditional: false, expr: expr.clone() });
            entry.count += 1;
            entry.unconditional |= eligible && !conditional;
        }
    }
    let lazy = lazy_from(expr);
    for (nth, child) in expr.children().into_iter().enumerate() {
        collect(child, conditional || nth >= lazy, eligible, seen);
    }
}

/// The first operand that is evaluated only for some rows.
fn lazy_from(expr: &Expr) -> usize {
    match expr {
        Expr::Case { .. } => 1,
        Expr::Binary { op: BinaryOp::And | BinaryOp::Or, .. } => 1,
        Expr::Call { function, .. } if matches!(function.as_str(), "if" | "coalesce" | "ifnull" | "nvl") => 1,
        _ => usize::MAX,
    }
}

/// Whether computing the expression costs more than fetching a column.
fn is_worth_sharing(expr: &Expr) -> bool {
    match expr {
        Expr::Call { .. } | Expr::Case { .. } | Expr::Like { .. } => !expr.columns().is_empty(),
        Expr::Binary { op, .. } => {
            use BinaryOp::{Concat, Divide, Minus, Modulo, Multiply, Plus};
            matches!(op, Plus | Minus | Multiply | Divide | Modulo | Concat) && !expr.columns().is_empty()
        }
        Expr::Cast { expr, .. } => !matches!(expr.as_ref(), Expr::Column(_) | Expr::Literal(_)),
        _ => false,
    }
}

fn replace(root: &mut Expr, wanted: &Expr, by: &Expr) {
    if root == wanted {
        *root = by.clone();
        return;
    }
    root.children_mut().into_iter().for_each(|child| replace(child, wanted, by));
}
