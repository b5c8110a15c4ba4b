//! What is known of the values before any of them was read, where the method of the intervals needs that.

use arrow::datatypes::DataType;
use fleuve_base::{Error, Result};
use fleuve_plan::{AggregateCall, Expr, OnlineBounds, OnlineMethod, Operator};

use super::{Shape, refused};
use crate::settings::OnlineSettings;

impl Shape<'_> {
    /// Bounds of the argument of each aggregate that needs them: those that the user has set, else those of its type.
    pub(super) fn bounds(&self, online: &OnlineSettings) -> Result<Vec<Option<OnlineBounds>>> {
        let method = match online.method {
            OnlineMethod::LargeSample => return Ok(vec![None; self.calls.len()]),
            OnlineMethod::Conservative => "hoeffding",
            OnlineMethod::Deterministic => "deterministic",
        };
        self.calls.iter().map(|call| self.bounds_of(call, online, method)).collect()
    }

    fn bounds_of(&self, call: &AggregateCall, online: &OnlineSettings, method: &str) -> Result<Option<OnlineBounds>> {
        let argument = match (call.function.as_str(), call.args.first()) {
            ("count", _) | (_, None) => return Ok(None),
            ("sum" | "avg", Some(argument)) => *argument,
            (other, _) => {
                let error = refused(&format!("of {other} by the method '{method}'"));
                return Err(error.with_hint("SET 'online.method' = 'clt'"));
            }
        };
        let Some((column, data_type)) = self.column(argument) else {
            let message =
                format!("intervals by the method '{method}' need bounds, and those of an expression are not known");
            return Err(Error::input("E304", message).with_hint(
                "make the expression a column of the table (c AS …), and SET 'online.bounds' = 'c low high'",
            ));
        };
        let set = online.bounds.iter().find(|bounds| bounds.column.eq_ignore_ascii_case(&column));
        if let Some(OnlineBounds { low, high, .. }) = set {
            return Ok(Some(OnlineBounds { column, low: *low, high: *high }));
        }
        match bounds_of_type(&data_type) {
            Some((low, high)) => Ok(Some(OnlineBounds { column, low, high })),
            None => Err(Error::input("E304", format!("intervals by the method '{method}' need bounds of `{column}`"))
                .with_hint(format!("SET 'online.bounds' = '{column} low high', its least and greatest value"))),
        }
    }

    /// The table's column that a column of the aggregate's input is, perhaps as another type of number.
    fn column(&self, argument: usize) -> Option<(String, DataType)> {
        let mut at = argument;
        for node in self.before.iter().rev() {
            at = match &node.operator {
                Operator::Calc { projection, .. } => plain(projection.get(at)?)?,
                _ => at,
            };
        }
        let field = self.spec.full_schema().field(plain(self.spec.output.get(at)?)?).clone();
        Some((field.name().clone(), field.data_type().clone()))
    }
}

/// The column that an expression is, but for its type.
fn plain(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column(column) => Some(*column),
        Expr::Cast { expr, .. } => plain(expr),
        _ => None,
    }
}

/// What every value of a narrow type lies within.
fn bounds_of_type(data_type: &DataType) -> Option<(f64, f64)> {
    match data_type {
        DataType::Int8 => Some((f64::from(i8::MIN), f64::from(i8::MAX))),
        DataType::Int16 => Some((f64::from(i16::MIN), f64::from(i16::MAX))),
        _ => None,
    }
}
