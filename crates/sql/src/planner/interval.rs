//! Bounds on the distance of two times, from a join's condition.

use arrow::datatypes::DataType;
use fleuve_plan::{BinaryOp, Expr, Interval, Literal, Value, Window};

use super::relation::{Time, Windowing};

/// Nanoseconds in a millisecond.
const NANOS_PER_MS: i64 = 1_000_000;

/// Milliseconds in a day.
const MS_PER_DAY: i64 = 86_400_000;

/// What the columns of a join's inputs tell of time.
pub struct TimeSide {
    /// The left input's.
    pub left: Vec<Time>,
    /// The right input's.
    pub right: Vec<Time>,
}

impl TimeSide {
    /// The time of a column of the concatenated inputs, if the watermark follows it.
    fn of(&self, column: usize) -> Option<&Time> {
        let time = match column.checked_sub(self.left.len()) {
            None => self.left.get(column),
            Some(right) => self.right.get(right),
        };
        time.filter(|time| match time {
            Time::Event => true,
            Time::WindowStart(windowing) | Time::WindowEnd(windowing) | Time::RowtimeOfWindow(windowing) => {
                !windowing.processing
            }
            Time::None | Time::Processing => false,
        })
    }
}

/// `column + offset_ms`.
#[derive(Clone, Copy)]
struct Moved {
    column: usize,
    offset_ms: i64,
}

/// A condition `right.time - left.time op limit_ms`.
struct Bound {
    left: usize,
    right: usize,
    lower_ms: Option<i64>,
    upper_ms: Option<i64>,
}

/// The tightest interval that a conjunction's terms imply, if it is bounded on both sides.
///
/// A window's start lies up to the window's length behind the watermark at which its row appears, so a bound against
/// such a column is widened by that length: rows must be kept so much longer.
pub fn bounds(terms: &[Expr], sides: &TimeSide) -> Option<Interval> {
    let found: Vec<Bound> = terms.iter().filter_map(|term| bound(term, sides)).collect();
    found.iter().find_map(|first| {
        let of_pair = || found.iter().filter(|bound| (bound.left, bound.right) == (first.left, first.right));
        let lower_ms = of_pair().filter_map(|bound| bound.lower_ms).max()?;
        let upper_ms = of_pair().filter_map(|bound| bound.upper_ms).min()?;
        Some(Interval {
            left_time: first.left,
            right_time: first.right - sides.left.len(),
            lower_ms: lower_ms.checked_sub(lag_ms(sides.of(first.left)?)?)?,
            upper_ms: upper_ms.checked_add(lag_ms(sides.of(first.right)?)?)?,
        })
    })
}

/// How far behind the watermark a row's time may lie when the row appears.
fn lag_ms(time: &Time) -> Option<i64> {
    match time {
        Time::WindowStart(Windowing { window, .. }) => match window {
            Window::Tumble { size_ms, .. } | Window::Hop { size_ms, .. } => Some(*size_ms),
            // A session has no greatest length.
            Window::Session { .. } => None,
        },
        _ => Some(0),
    }
}

fn bound(term: &Expr, sides: &TimeSide) -> Option<Bound> {
    let Expr::Binary { op, left, right } = term else { return None };
    let (a, b) = (moved(left)?, moved(right)?);
    sides.of(a.column)?;
    sides.of(b.column)?;
    let split = sides.left.len();
    // a + x op b + y, with a of the left input and b of the right one: b - a is compared with x - y.
    let (op, a, b) = match (a.column < split, b.column < split) {
        (true, false) => (*op, a, b),
        (false, true) => (mirrored(*op)?, b, a),
        _ => return None,
    };
    let limit = a.offset_ms.checked_sub(b.offset_ms)?;
    let (lower_ms, upper_ms) = match op {
        BinaryOp::LtEq | BinaryOp::Lt => (Some(limit), None),
        BinaryOp::GtEq | BinaryOp::Gt => (None, Some(limit)),
        BinaryOp::Eq => (Some(limit), Some(limit)),
        _ => return None,
    };
    Some(Bound { left: a.column, right: b.column, lower_ms, upper_ms })
}

fn mirrored(op: BinaryOp) -> Option<BinaryOp> {
    Some(match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::LtEq => BinaryOp::GtEq,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::GtEq => BinaryOp::LtEq,
        BinaryOp::Eq => BinaryOp::Eq,
        _ => return None,
    })
}

fn moved(expr: &Expr) -> Option<Moved> {
    match expr {
        Expr::Column(column) => Some(Moved { column: *column, offset_ms: 0 }),
        Expr::Cast { expr, to: DataType::Timestamp(..), .. } => moved(expr),
        Expr::Binary { op: BinaryOp::Plus, left, right } => {
            let (time, by) = moved(left).zip(constant_ms(right)).or_else(|| moved(right).zip(constant_ms(left)))?;
            Some(Moved { offset_ms: time.offset_ms.checked_add(by)?, ..time })
        }
        Expr::Binary { op: BinaryOp::Minus, left, right } => {
            let (time, by) = (moved(left)?, constant_ms(right)?);
            Some(Moved { offset_ms: time.offset_ms.checked_sub(by)?, ..time })
        }
        _ => None,
    }
}

fn constant_ms(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(Literal { value: Value::Interval { months: 0, days, nanos }, .. }) => {
            let days = i64::from(*days).checked_mul(MS_PER_DAY)?;
            (nanos % NANOS_PER_MS == 0).then(|| days.checked_add(nanos / NANOS_PER_MS)).flatten()
        }
        _ => None,
    }
}
