//! Expressions of the analysis library as expressions of the plan: columns by position, functions by name.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion_common::{Column, DFSchema, ScalarValue};
use datafusion_expr::expr::{InList, Like, ScalarFunction};
use datafusion_expr::{Between, BinaryExpr, Case, Cast, Expr as Logical, ExprSchemable, Operator};
use fleuve_base::{Error, Result};
use fleuve_functions::compile::scalar_to_literal;
use fleuve_plan::{BinaryOp, Expr, Literal, Value};

use super::errors::{at_opt, from_datafusion};
use super::extension::WINDOW_COLUMNS;
use super::markers::{CLOCK, FIELD, GROUP_WINDOWS};
use super::typing::place_of_exprs;

/// The name of the pseudo function that holds a legacy group window's columns until a field is taken from it.
pub const WINDOW_ROW: &str = "$window";

/// What an expression's columns mean.
pub struct Scope<'a> {
    /// Names and types.
    pub schema: &'a DFSchema,
    /// For each field of the schema what it stands for; none means the column of its own position.
    pub columns: Option<&'a [Expr]>,
}

/// An expression whose columns are positions in a schema.
pub fn over_schema(expr: &Logical, schema: &DFSchema) -> Result<Expr> {
    Scope { schema, columns: None }.lower(expr)
}

impl Scope<'_> {
    /// The plan's form of an expression.
    pub fn lower(&self, expr: &Logical) -> Result<Expr> {
        match expr {
            Logical::Alias(alias) => self.lower(&alias.expr),
            Logical::Column(column) => self.column(column),
            Logical::Literal(value, _) => constant(value),
            Logical::ScalarVariable(_, names) if names == &[CLOCK] => Ok(Expr::EpochClock),
            Logical::BinaryExpr(binary) => self.binary(binary, expr),
            Logical::ScalarFunction(call) => self.call(call, expr),
            Logical::Cast(cast) => self.cast(cast),
            Logical::TryCast(cast) => self.conversion(&cast.expr, cast.field.data_type(), true),
            Logical::Case(case) => self.case(case),
            Logical::InList(list) => self.in_list(list),
            Logical::Like(like) => self.like(like),
            Logical::Between(between) => self.between(between),
            Logical::Not(inner) => Ok(Expr::Not(Box::new(self.lower(inner)?))),
            Logical::Negative(inner) => Ok(Expr::Negative(Box::new(self.lower(inner)?))),
            Logical::IsNull(inner) | Logical::IsUnknown(inner) => Ok(Expr::IsNull(Box::new(self.lower(inner)?))),
            Logical::IsNotNull(inner) | Logical::IsNotUnknown(inner) => {
                Ok(Expr::IsNotNull(Box::new(self.lower(inner)?)))
            }
            Logical::IsTrue(inner) => self.is(inner, true, BinaryOp::IsNotDistinctFrom),
            Logical::IsFalse(inner) => self.is(inner, false, BinaryOp::IsNotDistinctFrom),
            Logical::IsNotTrue(inner) => self.is(inner, true, BinaryOp::IsDistinctFrom),
            Logical::IsNotFalse(inner) => self.is(inner, false, BinaryOp::IsDistinctFrom),
            other => Err(refuse(other)),
        }
    }

    fn column(&self, column: &Column) -> Result<Expr> {
        let index = self.schema.index_of_column(column).map_err(super::errors::from_datafusion)?;
        match self.columns {
            Some(columns) => columns
                .get(index)
                .cloned()
                .ok_or_else(|| Error::internal(format!("column {index} of a relation has no expression"))),
            None => Ok(Expr::Column(index)),
        }
    }

    fn data_type(&self, expr: &Logical) -> Result<DataType> {
        expr.get_type(self.schema).map_err(super::errors::from_datafusion)
    }

    fn boxed(&self, expr: &Logical) -> Result<Box<Expr>> {
        self.lower(expr).map(Box::new)
    }

    fn binary(&self, binary: &BinaryExpr, whole: &Logical) -> Result<Expr> {
        let op = operator(binary.op).ok_or_else(|| refuse(whole))?;
        let built = Expr::Binary { op, left: self.boxed(&binary.left)?, right: self.boxed(&binary.right)? };
        Ok(if op == BinaryOp::Or { any_of(built) } else { built })
    }

    fn call(&self, call: &ScalarFunction, whole: &Logical) -> Result<Expr> {
        let name = call.func.name();
        if name == FIELD {
            return self.field(call);
        }
        if GROUP_WINDOWS.contains(&name) {
            let upper = name.to_uppercase();
            let error = Error::input("E022", format!("{upper}(…) as a function stands in GROUP BY only"))
                .with_hint(format!("or use it as a table: FROM TABLE({upper}(TABLE t, DESCRIPTOR(ts), …))"));
            return Err(at_opt(error, place_of_exprs([whole])));
        }
        let args = call.args.iter().map(|arg| self.lower(arg)).collect::<Result<_>>()?;
        Ok(Expr::Call { function: name.to_owned(), args })
    }

    fn field(&self, call: &ScalarFunction) -> Result<Expr> {
        let [row, Logical::Literal(ScalarValue::Utf8(Some(name)), _)] = call.args.as_slice() else {
            return Err(Error::internal("a field access without a name"));
        };
        let row = self.lower(row)?;
        if let Expr::Call { function, args } = &row
            && function == WINDOW_ROW
            && let Some(index) = WINDOW_COLUMNS.iter().position(|column| column == name)
        {
            return Ok(args[index].clone());
        }
        Ok(Expr::Field { expr: Box::new(row), name: name.clone() })
    }

    /// A conversion, leaving out those that change nothing.
    fn cast(&self, cast: &Cast) -> Result<Expr> {
        let to = cast.field.data_type();
        let mut inner = cast.expr.as_ref();
        while let Logical::Cast(lossless) = inner {
            if !self.is_lossless(lossless)? || !widens(lossless.field.data_type(), to) {
                break;
            }
            inner = &lossless.expr;
        }
        self.conversion(inner, to, false)
    }

    fn conversion(&self, expr: &Logical, to: &DataType, lenient: bool) -> Result<Expr> {
        if &self.data_type(expr)? == to {
            return self.lower(expr);
        }
        Ok(Expr::Cast { expr: self.boxed(expr)?, to: to.clone(), lenient })
    }

    /// Whether a conversion that the typing rules put in never changes a value: a product of DECIMALs of p and q digits
    /// has at most p + q, and a remainder of an INT divisor is an INT.
    fn is_lossless(&self, cast: &Cast) -> Result<bool> {
        let Logical::BinaryExpr(binary) = cast.expr.as_ref() else { return Ok(false) };
        Ok(match (binary.op, self.data_type(&cast.expr)?, cast.field.data_type()) {
            (Operator::Multiply, DataType::Decimal128(kernel, s1), DataType::Decimal128(p, s2)) => {
                s1 == *s2 && *p + 1 == kernel
            }
            (Operator::Modulo, DataType::Int64, DataType::Int32) => int_constant(&binary.right).is_some(),
            _ => false,
        })
    }

    fn case(&self, case: &Case) -> Result<Expr> {
        let branch = |(when, then): &(Box<Logical>, Box<Logical>)| Ok((self.lower(when)?, self.lower(then)?));
        Ok(Expr::Case {
            operand: case.expr.as_ref().map(|operand| self.boxed(operand)).transpose()?,
            branches: case.when_then_expr.iter().map(branch).collect::<Result<_>>()?,
            otherwise: case.else_expr.as_ref().map(|otherwise| self.boxed(otherwise)).transpose()?,
        })
    }

    fn in_list(&self, list: &InList) -> Result<Expr> {
        Ok(Expr::InList {
            expr: self.boxed(&list.expr)?,
            list: list.list.iter().map(|item| self.lower(item)).collect::<Result<_>>()?,
            negated: list.negated,
        })
    }

    fn like(&self, like: &Like) -> Result<Expr> {
        let pattern = match (like.escape_char, self.lower(&like.pattern)?) {
            (None | Some('\\'), pattern) => pattern,
            (Some(escape), Expr::Literal(Literal { data_type, value: Value::String(text) })) => {
                Expr::Literal(Literal { data_type, value: Value::String(with_backslashes(&text, escape)) })
            }
            _ => {
                return Err(Error::unsupported("E201", "LIKE … ESCAPE with a computed pattern is not in this build"));
            }
        };
        Ok(Expr::Like {
            expr: self.boxed(&like.expr)?,
            pattern: Box::new(pattern),
            negated: like.negated,
            ignore_case: like.case_insensitive,
        })
    }

    fn between(&self, between: &Between) -> Result<Expr> {
        let (expr, low, high) = (self.lower(&between.expr)?, self.lower(&between.low)?, self.lower(&between.high)?);
        let (above, below, both) = match between.negated {
            false => (BinaryOp::GtEq, BinaryOp::LtEq, BinaryOp::And),
            true => (BinaryOp::Lt, BinaryOp::Gt, BinaryOp::Or),
        };
        Ok(Expr::binary(both, Expr::binary(above, expr.clone(), low), Expr::binary(below, expr, high)))
    }

    fn is(&self, inner: &Logical, value: bool, op: BinaryOp) -> Result<Expr> {
        let truth = Expr::Literal(Literal { data_type: DataType::Boolean, value: Value::Bool(value) });
        Ok(Expr::binary(op, self.lower(inner)?, truth))
    }
}

/// Whether every value of the first type is one of the second.
fn widens(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)) => s1 == s2 && p1 <= p2,
        (DataType::Int32, DataType::Int64) => true,
        _ => false,
    }
}

fn int_constant(expr: &Logical) -> Option<i32> {
    match expr {
        Logical::Literal(ScalarValue::Int64(Some(value)), _) => i32::try_from(*value).ok(),
        Logical::Cast(cast) => match cast.expr.as_ref() {
            Logical::Literal(ScalarValue::Int32(Some(value)), _) => Some(*value),
            _ => None,
        },
        _ => None,
    }
}

/// `x = 1 OR x = 2 OR x IN (3, 4)` as `x IN (1, 2, 3, 4)`, which sources and kernels understand.
fn any_of(expr: Expr) -> Expr {
    let Expr::Binary { left, right, .. } = &expr else { return expr };
    match (alternatives(left), alternatives(right)) {
        (Some((subject, mut list)), Some((other, more))) if subject == other => {
            let subject = subject.clone();
            list.extend(more);
            list.dedup();
            Expr::InList { expr: Box::new(subject), list, negated: false }
        }
        _ => expr,
    }
}

/// The constants that an expression compares its subject with.
pub fn alternatives(expr: &Expr) -> Option<(&Expr, Vec<Expr>)> {
    let constant = |expr: &Expr| matches!(expr, Expr::Literal(literal) if literal.value != Value::Null);
    match expr {
        Expr::Binary { op: BinaryOp::Eq, left, right } if constant(right) => Some((left, vec![right.as_ref().clone()])),
        Expr::Binary { op: BinaryOp::Eq, left, right } if constant(left) => Some((right, vec![left.as_ref().clone()])),
        Expr::InList { expr, list, negated: false } if list.iter().all(constant) => Some((expr, list.clone())),
        _ => None,
    }
}

/// A LIKE pattern with `\` in place of another escape character.
fn with_backslashes(pattern: &str, escape: char) -> String {
    let mut out = String::with_capacity(pattern.len() + 2);
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            _ if char == escape => {
                out.push('\\');
                out.extend(chars.next());
            }
            '\\' => out.push_str("\\\\"),
            _ => out.push(char),
        }
    }
    out
}

fn refuse(expr: &Logical) -> Error {
    let what = match expr {
        Logical::ScalarSubquery(_) => "a scalar subquery in this place",
        Logical::Exists(_) => "EXISTS in this place",
        Logical::InSubquery(_) => "IN (SELECT …) in this place",
        Logical::OuterReferenceColumn(..) => "a subquery that depends on each row of the outer query in this way",
        Logical::WindowFunction(_) => "OVER (…)",
        Logical::AggregateFunction(_) => "an aggregate function in this place",
        Logical::SimilarTo(_) => "SIMILAR TO",
        Logical::Placeholder(_) => "a parameter",
        Logical::Unnest(_) => "UNNEST in SELECT",
        Logical::GroupingSet(_) => "GROUPING SETS",
        Logical::BinaryExpr(_) => "this operator",
        _ => "this expression",
    };
    let hint = match expr {
        Logical::ScalarSubquery(_) | Logical::Exists(_) | Logical::InSubquery(_) => {
            "in WHERE it works, joined to the rest with AND"
        }
        Logical::OuterReferenceColumn(..) => "join the two tables instead",
        Logical::Unnest(_) => "CROSS JOIN UNNEST(…) AS t (x)",
        _ => "SHOW FUNCTIONS lists what there is",
    };
    let error = Error::unsupported("E201", format!("{what} is not in this build")).with_hint(hint);
    at_opt(error, place_of_exprs([expr]))
}

fn operator(op: Operator) -> Option<BinaryOp> {
    Some(match op {
        Operator::And => BinaryOp::And,
        Operator::Or => BinaryOp::Or,
        Operator::Eq => BinaryOp::Eq,
        Operator::NotEq => BinaryOp::NotEq,
        Operator::Lt => BinaryOp::Lt,
        Operator::LtEq => BinaryOp::LtEq,
        Operator::Gt => BinaryOp::Gt,
        Operator::GtEq => BinaryOp::GtEq,
        Operator::IsDistinctFrom => BinaryOp::IsDistinctFrom,
        Operator::IsNotDistinctFrom => BinaryOp::IsNotDistinctFrom,
        Operator::Plus => BinaryOp::Plus,
        Operator::Minus => BinaryOp::Minus,
        Operator::Multiply => BinaryOp::Multiply,
        Operator::Divide => BinaryOp::Divide,
        Operator::Modulo => BinaryOp::Modulo,
        Operator::StringConcat => BinaryOp::Concat,
        Operator::BitwiseAnd => BinaryOp::BitAnd,
        Operator::BitwiseOr => BinaryOp::BitOr,
        Operator::BitwiseXor => BinaryOp::BitXor,
        Operator::RegexMatch => BinaryOp::RegexMatch,
        Operator::RegexIMatch => BinaryOp::RegexIMatch,
        Operator::RegexNotMatch => BinaryOp::RegexNotMatch,
        Operator::RegexNotIMatch => BinaryOp::RegexNotIMatch,
        _ => return None,
    })
}

/// A constant; one with parts (which the optimiser has folded) is made of them again.
fn constant(value: &ScalarValue) -> Result<Expr> {
    let elements = |array: &ArrayRef| -> Result<Vec<Expr>> {
        let element = |row| constant(&ScalarValue::try_from_array(array, row).map_err(from_datafusion)?);
        (0..array.len()).map(element).collect()
    };
    let call = |function: &str, args| Ok(Expr::Call { function: function.to_owned(), args });
    match value {
        _ if value.is_null() => Ok(Expr::Literal(scalar_to_literal(value)?)),
        ScalarValue::List(list) if list.value_length(0) > 0 => call("make_array", elements(&list.value(0))?),
        ScalarValue::Struct(row) => {
            let fields = row.columns().iter().map(elements).collect::<Result<Vec<_>>>()?;
            call("row", fields.into_iter().flatten().collect())
        }
        ScalarValue::Map(map) => {
            let array = |part| call("make_array", elements(part)?);
            call("map", vec![array(map.value(0).column(0))?, array(map.value(0).column(1))?])
        }
        _ => Ok(Expr::Literal(scalar_to_literal(value)?)),
    }
}
