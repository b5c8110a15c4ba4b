//! Units of time, as EXTRACT, TIMESTAMPADD and FLOOR … TO name them.

use datafusion_common::{Result, ScalarValue};
use fleuve_base::Error;

use super::DAY;
use crate::compile::external;
use crate::scalar::args::Args;

/// A unit or part of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Millennium,
    Century,
    Decade,
    Year,
    Quarter,
    Month,
    Week,
    Day,
    DayOfYear,
    DayOfWeek,
    IsoDayOfWeek,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    Epoch,
}

impl Unit {
    /// The unit with this name, in any case.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let upper = name.to_ascii_uppercase();
        Ok(match upper.strip_prefix("SQL_TSI_").unwrap_or(&upper) {
            "MILLENNIUM" => Unit::Millennium,
            "CENTURY" => Unit::Century,
            "DECADE" => Unit::Decade,
            "YEAR" | "YEARS" => Unit::Year,
            "QUARTER" | "QUARTERS" => Unit::Quarter,
            "MONTH" | "MONTHS" => Unit::Month,
            "WEEK" | "WEEKS" => Unit::Week,
            "DAY" | "DAYS" => Unit::Day,
            "DOY" | "DAYOFYEAR" => Unit::DayOfYear,
            "DOW" | "DAYOFWEEK" => Unit::DayOfWeek,
            "ISODOW" => Unit::IsoDayOfWeek,
            "HOUR" | "HOURS" => Unit::Hour,
            "MINUTE" | "MINUTES" => Unit::Minute,
            "SECOND" | "SECONDS" => Unit::Second,
            "MILLISECOND" | "MILLISECONDS" => Unit::Millisecond,
            "MICROSECOND" | "MICROSECONDS" => Unit::Microsecond,
            "NANOSECOND" | "NANOSECONDS" => Unit::Nanosecond,
            "EPOCH" => Unit::Epoch,
            _ => {
                let error = Error::input("E309", format!("there is no unit of time `{name}`"));
                return Err(external(error.with_hint("such as YEAR, MONTH, DAY, HOUR, MINUTE or SECOND")));
            }
        })
    }

    /// Its length as a number of ticks and of seconds, whichever is exact; none if it varies (months and longer).
    pub(crate) fn ticks(self, per_second: i64) -> Option<Length> {
        let seconds = match self {
            Unit::Week => 7 * DAY,
            Unit::Day | Unit::DayOfYear | Unit::DayOfWeek | Unit::IsoDayOfWeek => DAY,
            Unit::Hour => 3_600,
            Unit::Minute => 60,
            Unit::Second | Unit::Epoch => 1,
            Unit::Millisecond => return Some(Length::of_fraction(per_second, 1_000)),
            Unit::Microsecond => return Some(Length::of_fraction(per_second, 1_000_000)),
            Unit::Nanosecond => return Some(Length::of_fraction(per_second, 1_000_000_000)),
            _ => return None,
        };
        Some(Length { ticks: seconds * per_second, per_tick: 1 })
    }

    /// The number of months, for units that are made of them.
    pub(crate) fn months(self) -> Option<i64> {
        Some(match self {
            Unit::Month => 1,
            Unit::Quarter => 3,
            Unit::Year => 12,
            Unit::Decade => 120,
            Unit::Century => 1_200,
            Unit::Millennium => 12_000,
            _ => return None,
        })
    }
}

/// The length of a unit: `ticks`, or one tick divided by `per_tick`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    pub(crate) ticks: i64,
    pub(crate) per_tick: i64,
}

impl Length {
    fn of_fraction(per_second: i64, fraction: i64) -> Self {
        Length { ticks: (per_second / fraction).max(1), per_tick: (fraction / per_second).max(1) }
    }
}

/// The unit that a constant argument names.
pub(crate) fn argument(args: &Args<'_>, nth: usize) -> Result<Unit> {
    match args.text(nth)?.constant() {
        Some(name) => Unit::parse(name),
        None => Err(args.fail("E309", "the unit of time must be a constant")),
    }
}

/// Refuses an unknown unit when the query is planned.
pub(crate) fn check(name: Option<&Option<&ScalarValue>>) -> Result<()> {
    match name.copied().flatten().and_then(|scalar| scalar.try_as_str().flatten()) {
        Some(name) => Unit::parse(name).map(|_| ()),
        None => Ok(()),
    }
}
