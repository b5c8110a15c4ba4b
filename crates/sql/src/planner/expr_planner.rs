//! Syntax that the analysis library leaves to its user: operators, fields of a ROW, EXTRACT, array literals ….

use arrow::datatypes::{DataType, Field};
use datafusion_common::{DFSchema, DataFusionError, Result, ScalarValue, TableReference};
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawFieldAccessExpr};
use datafusion_expr::{Expr, ExprSchemable, GetFieldAccess, Operator, lit};
use fleuve_base::Error;
use sqlparser::ast::BinaryOperator;

use super::errors::external;
use super::markers::field_access;
use super::typing;

/// Plans the syntax of the dialect.
#[derive(Debug)]
pub struct FlinkExprPlanner;

impl ExprPlanner for FlinkExprPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let Some(op) = operator(&expr.op) else { return Ok(PlannerResult::Original(expr)) };
        // A column that does not exist has no type; name resolution reports it better than we could.
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
            return untyped(expr, schema);
        };
        Ok(PlannerResult::Planned(typing::binary(op, expr.left, expr.right, (left, right))?))
    }

    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let collection = expr.expr.get_type(schema)?;
        match (expr.field_access, collection) {
            (GetFieldAccess::NamedStructField { name: ScalarValue::Utf8(Some(name)) }, DataType::Struct(_)) => {
                Ok(PlannerResult::Planned(field_access(expr.expr, &name)))
            }
            (GetFieldAccess::NamedStructField { name }, DataType::Map(..)) => value_of(expr.expr, lit(name)),
            (GetFieldAccess::ListIndex { key }, DataType::Map(..)) => value_of(expr.expr, *key),
            (GetFieldAccess::ListIndex { key }, _) => call("array_element", vec![expr.expr, *key]),
            (GetFieldAccess::NamedStructField { name }, other) => {
                let text = format!("{} has no field {name}", crate::types::display(&other));
                Err(external(Error::input("E020", text)))
            }
            (GetFieldAccess::ListRange { .. }, _) => Err(not_here("a range of an ARRAY")),
        }
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested_names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let column = Expr::Column((qualifier, field).into());
        let path = nested_names.iter().fold(column, |row, name| field_access(row, name));
        Ok(PlannerResult::Planned(path))
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        call("extract", args)
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        call("substring", args)
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        call("overlay", args)
    }

    fn plan_position(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let (text, wanted) = pair(args)?;
        call("locate", vec![wanted, text])
    }

    fn plan_array_literal(&self, exprs: Vec<Expr>, _schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        call("array", exprs)
    }

    fn plan_struct_literal(&self, args: Vec<Expr>, _is_named_struct: bool) -> Result<PlannerResult<Vec<Expr>>> {
        call("row", args)
    }

    fn plan_make_map(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let (keys, values): (Vec<_>, Vec<_>) = args.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
        let array =
            |items: Vec<(usize, Expr)>| function("make_array", items.into_iter().map(|(_, item)| item).collect());
        call("map", vec![array(keys)?, array(values)?])
    }

    /// `COUNT(*)` counts a constant.
    fn plan_aggregate(&self, mut expr: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        #[expect(deprecated, reason = "the only form in which the library hands us a *")]
        let is_star = matches!(expr.args.as_slice(), [Expr::Wildcard { .. }]);
        if is_star && expr.func.name() != "count" {
            let text = format!("{}(*) has no meaning; only COUNT takes *", expr.func.name().to_uppercase());
            return Err(external(Error::input("E021", text)));
        }
        if is_star {
            expr.args = vec![lit(1_i64)];
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// An operator whose operands have no type yet: an error of our own (a missing field of a ROW, say) is reported, an
/// unknown column is left to the library.
fn untyped(expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
    for side in [&expr.left, &expr.right] {
        if let Err(error @ DataFusionError::External(_)) = side.get_type(schema) {
            return Err(error);
        }
    }
    Ok(PlannerResult::Original(expr))
}

fn operator(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Modulo => Operator::Modulo,
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        BinaryOperator::And => Operator::And,
        BinaryOperator::Or => Operator::Or,
        _ => return None,
    })
}

fn pair(args: Vec<Expr>) -> Result<(Expr, Expr)> {
    <[Expr; 2]>::try_from(args)
        .map(|[first, second]| (first, second))
        .map_err(|_| external(Error::internal("two operands were expected")))
}

/// `map[key]`.
fn value_of<T>(map: Expr, key: Expr) -> Result<PlannerResult<T>> {
    call("array_element", vec![function("map_extract", vec![map, key])?, lit(1_i64)])
}

fn call<T>(name: &str, args: Vec<Expr>) -> Result<PlannerResult<T>> {
    function(name, args).map(PlannerResult::Planned)
}

fn function(name: &str, args: Vec<Expr>) -> Result<Expr> {
    match fleuve_functions::registry::scalar(name) {
        Some(udf) => Ok(udf.call(args)),
        None => Err(not_here(&name.to_uppercase())),
    }
}

fn not_here(what: &str) -> DataFusionError {
    external(Error::unsupported("E201", format!("{what} is not in this build")))
}
