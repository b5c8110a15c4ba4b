//! Parts of timestamps: YEAR, HOUR and the like, EXTRACT, FLOOR and CEIL to a unit.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::civil::{Date, iso_weekday};
use super::instants::Instants;
use super::unit::{self, Unit};
use super::{DAY, arithmetic};
use crate::scalar::args::{Args, integers};
use crate::scalar::function::{Param, Returns, Spec};

const TIME: &[Param] = &[Param::Time];
const UNIT_TIME: &[Param] = &[Param::Text, Param::Time];
const TIME_UNIT: &[Param] = &[Param::Time, Param::Text];

macro_rules! part {
    ($name:literal, $unit:expr, $summary:literal, $example:literal) => {
        Spec::new($name, TIME, Returns::BigInt, |args| part(args, 0, $unit)).doc(
            concat!($name, "(timestamp)"),
            $summary,
            $example,
        )
    };
}

/// The functions of this module.
pub(crate) static FUNCTIONS: &[Spec] = &[
    part!("year", Unit::Year, "the year", "YEAR(DATE '1994-09-27') = 1994"),
    part!("quarter", Unit::Quarter, "the quarter, 1 to 4", "QUARTER(DATE '1994-09-27') = 3"),
    part!("month", Unit::Month, "the month, 1 to 12", "MONTH(DATE '1994-09-27') = 9"),
    part!("week", Unit::Week, "the week of ISO 8601, 1 to 53", "WEEK(DATE '1994-09-27') = 39"),
    part!("dayofyear", Unit::DayOfYear, "the day of the year, 1 to 366", "DAYOFYEAR(DATE '1994-09-27') = 270"),
    part!("dayofmonth", Unit::Day, "the day of the month, 1 to 31", "DAYOFMONTH(DATE '1994-09-27') = 27"),
    part!("dayofweek", Unit::DayOfWeek, "the day of the week, Sunday is 1", "DAYOFWEEK(DATE '1994-09-27') = 3"),
    part!("hour", Unit::Hour, "the hour, 0 to 23", "HOUR(TIMESTAMP '1994-09-27 13:14:15') = 13"),
    part!("minute", Unit::Minute, "the minute, 0 to 59", "MINUTE(TIMESTAMP '1994-09-27 13:14:15') = 14"),
    part!("second", Unit::Second, "the second, 0 to 59", "SECOND(TIMESTAMP '1994-09-27 13:14:15') = 15"),
    Spec::new("extract", UNIT_TIME, Returns::BigInt, extract).checked(|args| unit::check(args.first())).doc(
        "EXTRACT(unit FROM timestamp)",
        "a part of a moment: YEAR, QUARTER, MONTH, WEEK, DAY, DOY, DOW, HOUR, MINUTE, SECOND, EPOCH, …",
        "EXTRACT('DAY', DATE '2006-06-05') = 5",
    ),
    Spec::new("floor_time", TIME_UNIT, Returns::Argument(0), floor_time).checked(|args| unit::check(args.get(1))).doc(
        "FLOOR(timestamp TO unit)",
        "the beginning of the unit of time",
        "FLOOR_TIME(TIMESTAMP '2018-03-20 06:44:31', 'HOUR') = TIMESTAMP '2018-03-20 06:00:00'",
    ),
    Spec::new("ceil_time", TIME_UNIT, Returns::Argument(0), ceil_time).checked(|args| unit::check(args.get(1))).doc(
        "CEIL(timestamp TO unit)",
        "the beginning of the next unit of time, unless the moment is one",
        "CEIL_TIME(TIMESTAMP '2018-03-20 06:44:31', 'MONTH') = TIMESTAMP '2018-04-01 00:00:00'",
    ),
    arithmetic::TIMESTAMPDIFF,
    arithmetic::TIMESTAMPADD,
];

fn extract(args: &Args<'_>) -> Result<ArrayRef> {
    part(args, 1, unit::argument(args, 0)?)
}

fn part(args: &Args<'_>, nth: usize, unit: Unit) -> Result<ArrayRef> {
    let array = args.array(nth)?;
    if unit == Unit::Epoch {
        let instants = Instants::new(&array)?;
        let per_second = instants.per_second;
        return Ok(each(args, &instants, |tick| tick.div_euclid(per_second)));
    }
    let instants = Instants::local(&array, args.zone()?)?;
    // The unit of the ticks is made a constant, so that divisions become multiplications.
    Ok(match instants.per_second {
        1 => part_of::<1>(args, &instants, unit),
        1_000 => part_of::<1_000>(args, &instants, unit),
        1_000_000 => part_of::<1_000_000>(args, &instants, unit),
        _ => part_of::<1_000_000_000>(args, &instants, unit),
    })
}

fn each(args: &Args<'_>, instants: &Instants, value: impl Fn(i64) -> i64) -> ArrayRef {
    let ticks = &instants.ticks;
    if instants.nulls.is_none() {
        let values: Vec<i64> = ticks.iter().map(|tick| value(*tick)).collect();
        return std::sync::Arc::new(arrow::array::Int64Array::new(values.into(), None));
    }
    integers(args.rows, instants.nulls.clone(), |row| value(ticks[row]))
}

fn part_of<const PER_SECOND: i64>(args: &Args<'_>, instants: &Instants, unit: Unit) -> ArrayRef {
    let second = |tick: i64, fraction: i64| (i128::from(tick.rem_euclid(PER_SECOND)) * i128::from(fraction)) as i64;
    match unit {
        Unit::Hour => each(args, instants, |tick| tick.rem_euclid(DAY * PER_SECOND) / (3_600 * PER_SECOND)),
        Unit::Minute => each(args, instants, |tick| tick.rem_euclid(3_600 * PER_SECOND) / (60 * PER_SECOND)),
        Unit::Second => each(args, instants, |tick| tick.rem_euclid(60 * PER_SECOND) / PER_SECOND),
        Unit::Millisecond => each(args, instants, |tick| second(tick, 1_000) / PER_SECOND),
        Unit::Microsecond => each(args, instants, |tick| second(tick, 1_000_000) / PER_SECOND),
        Unit::Nanosecond => each(args, instants, |tick| second(tick, 1_000_000_000 / PER_SECOND)),
        _ => each(args, instants, |tick| part_of_day(tick.div_euclid(DAY * PER_SECOND), unit)),
    }
}

fn part_of_day(days: i64, unit: Unit) -> i64 {
    let date = Date::from_days(days);
    match unit {
        Unit::Millennium => (date.year + 999).div_euclid(1_000),
        Unit::Century => (date.year + 99).div_euclid(100),
        Unit::Decade => date.year.div_euclid(10),
        Unit::Year => date.year,
        Unit::Quarter => (date.month - 1) / 3 + 1,
        Unit::Month => date.month,
        Unit::Week => date.iso_week(),
        Unit::DayOfYear => date.day_of_year(),
        Unit::DayOfWeek => iso_weekday(days) % 7 + 1,
        Unit::IsoDayOfWeek => iso_weekday(days),
        _ => date.day,
    }
}

fn floor_time(args: &Args<'_>) -> Result<ArrayRef> {
    to_unit(args, false)
}

fn ceil_time(args: &Args<'_>) -> Result<ArrayRef> {
    to_unit(args, true)
}

fn to_unit(args: &Args<'_>, up: bool) -> Result<ArrayRef> {
    let (unit, zone, array) = (unit::argument(args, 1)?, args.zone()?, args.array(0)?);
    let instants = Instants::local(&array, zone)?;
    let per_second = instants.per_second;
    let length = unit.ticks(per_second).map(|length| length.ticks);
    let one = |tick: &i64| match (length, unit) {
        // Weeks begin on Sunday, as in Calcite; 1970-01-04 was one.
        (Some(length), Unit::Week) => step(tick - 3 * DAY * per_second, length, up) + 3 * DAY * per_second,
        (Some(length), _) => step(*tick, length, up),
        (None, _) => step_months(*tick, DAY * per_second, unit, up),
    };
    let local: Vec<i64> = instants.ticks.iter().map(one).collect();
    Instants::column(local, per_second, instants.nulls, array.data_type(), zone)
}

fn step(tick: i64, length: i64, up: bool) -> i64 {
    let floor = tick - tick.rem_euclid(length);
    if up && floor != tick { floor.saturating_add(length) } else { floor }
}

fn step_months(tick: i64, day: i64, unit: Unit, up: bool) -> i64 {
    let date = Date::from_days(tick.div_euclid(day));
    let months = unit.months().unwrap_or(1);
    // Centuries and millennia begin with a year 1, the others with a multiple of themselves.
    let shift = if matches!(unit, Unit::Century | Unit::Millennium) { 12 } else { 0 };
    let all = date.year * 12 + date.month - 1 - shift;
    let first = |all: i64| Date { year: all.div_euclid(12), month: all.rem_euclid(12) + 1, day: 1 }.days() * day;
    let start = all - all.rem_euclid(months) + shift;
    if up && first(start) != tick { first(start + months) } else { first(start) }
}
