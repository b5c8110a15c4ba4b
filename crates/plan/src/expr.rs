//! Scalar expressions over the columns of one input.

use std::fmt;

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

/// A scalar expression. Types are already resolved: where operands had to be converted, a [`Expr::Cast`] says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Expr {
    /// The input's column at this position.
    Column(usize),
    /// A constant.
    Literal(Literal),
    /// A scalar function of the registry, by its canonical name.
    Call {
        /// Canonical (lower-case) name in the function registry.
        function: String,
        /// Arguments in order.
        args: Vec<Expr>,
    },
    /// A binary operator; both sides have the types that it needs.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// Logical negation (three-valued).
    Not(Box<Expr>),
    /// Arithmetic negation.
    Negative(Box<Expr>),
    /// `IS NULL`.
    IsNull(Box<Expr>),
    /// `IS NOT NULL`.
    IsNotNull(Box<Expr>),
    /// Conversion to a type. With `lenient` what cannot be converted becomes NULL (`TRY_CAST`).
    Cast {
        /// What is converted.
        expr: Box<Expr>,
        /// The target type.
        to: DataType,
        /// NULL instead of an error.
        lenient: bool,
    },
    /// `CASE [operand] WHEN … THEN … ELSE … END`.
    Case {
        /// The value that each WHEN is compared with; none for a searched CASE.
        operand: Option<Box<Expr>>,
        /// WHEN and THEN, in order.
        branches: Vec<(Expr, Expr)>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
    /// `[NOT] IN (…)` over a list of expressions.
    InList {
        /// The value looked for.
        expr: Box<Expr>,
        /// The list.
        list: Vec<Expr>,
        /// NOT IN.
        negated: bool,
    },
    /// `[NOT] LIKE` / `SIMILAR`-free pattern match with `%` and `_`.
    Like {
        /// The text.
        expr: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// NOT LIKE.
        negated: bool,
        /// ILIKE.
        ignore_case: bool,
    },
    /// A field of a ROW, by name.
    Field {
        /// The ROW.
        expr: Box<Expr>,
        /// The field's name.
        name: String,
    },
    /// The clock of the row's epoch: what `NOW()`, `PROCTIME()` and `CURRENT_TIMESTAMP` mean here. Milliseconds,
    /// `Timestamp(Millisecond, "UTC")`.
    EpochClock,
}

impl Expr {
    /// `left op right`.
    pub fn binary(op: BinaryOp, left: Expr, right: Expr) -> Self {
        Expr::Binary { op, left: Box::new(left), right: Box::new(right) }
    }

    /// A BIGINT constant.
    pub fn int64(value: i64) -> Self {
        Expr::Literal(Literal { data_type: DataType::Int64, value: Value::Int(value) })
    }

    /// The conjunction of all; `None` of no terms.
    pub fn and_all(terms: impl IntoIterator<Item = Expr>) -> Option<Expr> {
        terms.into_iter().reduce(|left, right| Expr::binary(BinaryOp::And, left, right))
    }

    /// Calls `visit` on this expression and everything below it, parents first.
    pub fn walk(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        self.children().into_iter().for_each(|child| child.walk(visit));
    }

    /// The direct operands.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Column(_) | Expr::Literal(_) | Expr::EpochClock => vec![],
            Expr::Call { args, .. } => args.iter().collect(),
            Expr::Binary { left, right, .. } => vec![left, right],
            Expr::Not(e) | Expr::Negative(e) | Expr::IsNull(e) | Expr::IsNotNull(e) => vec![e],
            Expr::Cast { expr, .. } | Expr::Field { expr, .. } => vec![expr],
            Expr::Case { operand, branches, otherwise } => operand
                .iter()
                .map(AsRef::as_ref)
                .chain(branches.iter().flat_map(|(when, then)| [when, then]))
                .chain(otherwise.iter().map(AsRef::as_ref))
                .collect(),
            Expr::InList { expr, list, .. } => std::iter::once(expr.as_ref()).chain(list).collect(),
            Expr::Like { expr, pattern, .. } => vec![expr, pattern],
        }
    }

    /// The direct operands, to be changed in place.
    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Expr::Column(_) | Expr::Literal(_) | Expr::EpochClock => vec![],
            Expr::Call { args, .. } => args.iter_mut().collect(),
            Expr::Binary { left, right, .. } => vec![left, right],
            Expr::Not(e) | Expr::Negative(e) | Expr::IsNull(e) | Expr::IsNotNull(e) => vec![e],
            Expr::Cast { expr, .. } | Expr::Field { expr, .. } => vec![expr],
            Expr::Case { operand, branches, otherwise } => operand
                .iter_mut()
                .map(AsMut::as_mut)
                .chain(branches.iter_mut().flat_map(|(when, then)| [when, then]))
                .chain(otherwise.iter_mut().map(AsMut::as_mut))
                .collect(),
            Expr::InList { expr, list, .. } => std::iter::once(expr.as_mut()).chain(list).collect(),
            Expr::Like { expr, pattern, .. } => vec![expr, pattern],
        }
    }

    /// The positions of all columns read, ascending and without repetition.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns = Vec::new();
        self.walk(&mut |e| {
            if let Expr::Column(index) = e {
                columns.push(*index);
            }
        });
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Renumbers the columns.
    pub fn map_columns(&mut self, new_position: &dyn Fn(usize) -> usize) {
        if let Expr::Column(index) = self {
            *index = new_position(*index);
        }
        self.children_mut().into_iter().for_each(|child| child.map_columns(new_position));
    }
}

/// Binary operators with SQL's three-valued meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is named after its operator")]
pub enum BinaryOp {
    And,
    Or,
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    IsDistinctFrom,
    IsNotDistinctFrom,
    Plus,
    Minus,
    Multiply,
    Divide,
    Modulo,
    Concat,
    BitAnd,
    BitOr,
    BitXor,
    RegexMatch,
    RegexIMatch,
    RegexNotMatch,
    RegexNotIMatch,
}

impl fmt::Display for BinaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BinaryOp::And => "AND",
            BinaryOp::Or => "OR",
            BinaryOp::Eq => "=",
            BinaryOp::NotEq => "<>",
            BinaryOp::Lt => "<",
            BinaryOp::LtEq => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::GtEq => ">=",
            BinaryOp::IsDistinctFrom => "IS DISTINCT FROM",
            BinaryOp::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
            BinaryOp::Plus => "+",
            BinaryOp::Minus => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Concat => "||",
            BinaryOp::BitAnd => "&",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "^",
            BinaryOp::RegexMatch => "~",
            BinaryOp::RegexIMatch => "~*",
            BinaryOp::RegexNotMatch => "!~",
            BinaryOp::RegexNotIMatch => "!~*",
        })
    }
}

/// A typed constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Literal {
    /// The exact type.
    pub data_type: DataType,
    /// The value, in the widest form of its family.
    pub value: Value,
}

/// A constant's value. Together with the literal's type it is exact: timestamps, dates, times and intervals of one
/// unit are [`Value::Int`] in the type's unit, a decimal is its unscaled integer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// NULL of the literal's type.
    Null,
    /// BOOLEAN.
    Bool(bool),
    /// Signed integers, dates, times, timestamps, durations.
    Int(i64),
    /// Unsigned integers.
    UInt(u64),
    /// FLOAT and DOUBLE.
    Float(f64),
    /// DECIMAL, unscaled.
    Decimal(i128),
    /// STRING.
    String(String),
    /// BYTES.
    Bytes(Vec<u8>),
    /// Intervals of mixed units: months, days, nanoseconds.
    Interval {
        /// Months.
        months: i32,
        /// Days.
        days: i32,
        /// Nanoseconds.
        nanos: i64,
    },
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("NULL"),
            Value::Bool(v) => write!(f, "{v}"),
            Value::Int(v) => write!(f, "{v}"),
            Value::UInt(v) => write!(f, "{v}"),
            Value::Float(v) => write!(f, "{v}"),
            Value::Decimal(v) => fmt_decimal(*v, &self.data_type, f),
            Value::String(v) => write!(f, "'{}'", v.replace('\'', "''")),
            Value::Bytes(v) => write!(f, "{} bytes", v.len()),
            Value::Interval { months, days, nanos } => fmt_interval(*months, *days, *nanos, f),
        }
    }
}

/// In the largest unit that holds it whole, as a script would have it.
fn fmt_interval(months: i32, days: i32, nanos: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const UNITS: [(&str, i64); 4] = [
        ("HOUR", 3_600_000_000_000),
        ("MINUTE", 60_000_000_000),
        ("SECOND", 1_000_000_000),
        ("MILLISECOND", 1_000_000),
    ];
    match (months, days, nanos) {
        (months, 0, 0) if months != 0 => write!(f, "INTERVAL '{months}' MONTH"),
        (0, days, 0) if days != 0 => write!(f, "INTERVAL '{days}' DAY"),
        (0, 0, nanos) => match UNITS.iter().find(|(_, unit)| nanos % unit == 0) {
            Some((name, unit)) => write!(f, "INTERVAL '{}' {name}", nanos / unit),
            None => write!(f, "INTERVAL '{nanos}' NANOSECOND"),
        },
        _ => write!(f, "INTERVAL '{months} months {days} days {nanos} ns'"),
    }
}

fn fmt_decimal(unscaled: i128, data_type: &DataType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let scale = match data_type {
        DataType::Decimal128(_, scale) => usize::try_from(*scale).unwrap_or(0),
        _ => 0,
    };
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    if scale == 0 { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_with(&|index| format!("#{index}"), f)
    }
}

impl Expr {
    /// Text with the columns' names in place of their positions.
    pub fn display_with(&self, name: &dyn Fn(usize) -> String) -> String {
        struct Named<'a>(&'a Expr, &'a dyn Fn(usize) -> String);
        impl fmt::Display for Named<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt_with(self.1, f)
            }
        }
        Named(self, name).to_string()
    }

    fn fmt_with(&self, name: &dyn Fn(usize) -> String, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |e: &Expr| e.display_with(name);
        let list = |items: &[Expr]| items.iter().map(&show).collect::<Vec<_>>().join(", ");
        match self {
            Expr::Column(index) => f.write_str(&name(*index)),
            Expr::Literal(literal) => write!(f, "{literal}"),
            Expr::Call { function, args } => write!(f, "{}({})", function, list(args)),
            Expr::Binary { op, left, right } => {
                write!(f, "{} {op} {}", nested(left, &show), nested(right, &show))
            }
            Expr::Not(e) => write!(f, "NOT {}", nested(e, &show)),
            Expr::Negative(e) => write!(f, "-{}", nested(e, &show)),
            Expr::IsNull(e) => write!(f, "{} IS NULL", nested(e, &show)),
            Expr::IsNotNull(e) => write!(f, "{} IS NOT NULL", nested(e, &show)),
            Expr::Cast { expr, to, lenient } => {
                write!(f, "{}CAST({} AS {to})", if *lenient { "TRY_" } else { "" }, show(expr))
            }
            Expr::Case { operand, branches, otherwise } => {
                f.write_str("CASE")?;
                operand.iter().try_for_each(|e| write!(f, " {}", show(e)))?;
                branches.iter().try_for_each(|(w, t)| write!(f, " WHEN {} THEN {}", show(w), show(t)))?;
                otherwise.iter().try_for_each(|e| write!(f, " ELSE {}", show(e)))?;
                f.write_str(" END")
            }
            Expr::InList { expr, list: items, negated } => {
                write!(f, "{} {}IN ({})", nested(expr, &show), if *negated { "NOT " } else { "" }, list(items))
            }
            Expr::Like { expr, pattern, negated, ignore_case } => {
                let verb = if *ignore_case { "ILIKE" } else { "LIKE" };
                write!(f, "{} {}{verb} {}", nested(expr, &show), if *negated { "NOT " } else { "" }, show(pattern))
            }
            Expr::Field { expr, name: field } => write!(f, "{}.{field}", nested(expr, &show)),
            Expr::EpochClock => f.write_str("PROCTIME()"),
        }
    }
}

/// The text of an operand, in parentheses where it is an operator itself.
fn nested(expr: &Expr, show: &dyn Fn(&Expr) -> String) -> String {
    match expr {
        Expr::Binary { .. } | Expr::Not(_) | Expr::Negative(_) | Expr::InList { .. } | Expr::Like { .. } => {
            format!("({})", show(expr))
        }
        _ => show(expr),
    }
}
