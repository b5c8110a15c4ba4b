//! TIMESTAMPDIFF and TIMESTAMPADD.

use arrow::array::{Array, ArrayRef, Int32Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::civil::Date;
use super::instants::Instants;
use super::unit::{self, Length, Unit};
use super::{DAY, Zone};
use crate::scalar::args::Args;
use crate::scalar::function::{Param, Returns, Spec};

/// `TIMESTAMPDIFF(unit, from, to)`.
pub(super) const TIMESTAMPDIFF: Spec =
    Spec::new("timestampdiff", &[Param::Text, Param::Time, Param::Time], Returns::Int, timestampdiff)
        .can_fail()
        .checked(|args| unit::check(args.first()))
        .doc(
            "TIMESTAMPDIFF(unit, from, to)",
            "the whole units of time between two moments",
            "TIMESTAMPDIFF('DAY', TIMESTAMP '2003-01-02 10:00:00', TIMESTAMP '2003-01-03 10:00:00') = 1",
        );

/// `TIMESTAMPADD(unit, count, timestamp)`.
pub(super) const TIMESTAMPADD: Spec =
    Spec::new("timestampadd", &[Param::Text, Param::Integer, Param::Time], Returns::From(sum_type), timestampadd)
        .can_fail()
        .checked(|args| unit::check(args.first()))
        .doc(
            "TIMESTAMPADD(unit, count, timestamp)",
            "the moment so many units of time later",
            "TIMESTAMPADD('MONTH', 1, TIMESTAMP '2003-01-31 10:00:00') = TIMESTAMP '2003-02-28 10:00:00'",
        );

/// A date stays one: Flink gives a timestamp only where the unit is shorter than a day.
fn sum_type(types: &[DataType]) -> Result<DataType> {
    Ok(types.get(2).cloned().unwrap_or(DataType::Null))
}

fn timestampdiff(args: &Args<'_>) -> Result<ArrayRef> {
    let (unit, zone) = (unit::argument(args, 0)?, args.zone()?);
    let (from, to) = moments(&args.array(1)?, &args.array(2)?, unit, zone)?;
    // Both in the finer unit of the two.
    let per_second = from.per_second.max(to.per_second);
    let scale = |instants: &Instants| i128::from(per_second / instants.per_second);
    let (scale_from, scale_to) = (scale(&from), scale(&to));
    let nulls = args.nulls();
    let difference = |row: usize| {
        let (from, to) = (i128::from(from.ticks[row]) * scale_from, i128::from(to.ticks[row]) * scale_to);
        let difference = match (unit.ticks(per_second), unit.months()) {
            (Some(length), _) => (to - from) / i128::from(length.ticks) * i128::from(length.per_tick),
            (None, months) => months_between(from, to, i128::from(DAY * per_second)) / i128::from(months.unwrap_or(1)),
        };
        i32::try_from(difference).map_err(|_| args.fail("E302", &format!("{difference} units do not fit in an INT")))
    };
    let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let values = (0..args.rows).map(|row| if valid(row) { difference(row) } else { Ok(0) });
    let values = values.collect::<Result<Vec<i32>>>()?;
    Ok(std::sync::Arc::new(Int32Array::new(values.into(), nulls)))
}

/// The two columns as ticks that can be subtracted: instants if both have a zone and no calendar is involved, else
/// local times.
fn moments(from: &ArrayRef, to: &ArrayRef, unit: Unit, zone: Zone) -> Result<(Instants, Instants)> {
    let zoned = |array: &ArrayRef| matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
    if zoned(from) && zoned(to) && unit.months().is_none() {
        return Ok((Instants::new(from)?, Instants::new(to)?));
    }
    Ok((Instants::local(from, zone)?, Instants::local(to, zone)?))
}

/// Whole months from one local time to another.
fn months_between(from: i128, to: i128, day: i128) -> i128 {
    let split = |tick: i128| (Date::from_days(tick.div_euclid(day) as i64), tick.rem_euclid(day));
    let ((first, first_time), (last, last_time)) = (split(from), split(to));
    let months = i128::from((last.year - first.year) * 12 + last.month - first.month);
    let (first_rest, last_rest) = ((first.day, first_time), (last.day, last_time));
    match months {
        1.. if last_rest < first_rest => months - 1,
        ..=-1 if last_rest > first_rest => months + 1,
        _ => months,
    }
}

fn timestampadd(args: &Args<'_>) -> Result<ArrayRef> {
    let (unit, zone, count, array) = (unit::argument(args, 0)?, args.zone()?, args.integer(1)?, args.array(2)?);
    let nulls = args.nulls();
    let zoned = unit.months().is_some();
    let instants = if zoned { Instants::local(&array, zone)? } else { Instants::new(&array)? };
    let per_second = instants.per_second;
    let later = |row: usize| {
        let (tick, count) = (instants.ticks[row], count.at(row));
        let sum = match (unit.ticks(per_second), unit.months()) {
            (Some(Length { ticks, per_tick }), _) => {
                (count / per_tick).checked_mul(ticks).and_then(|d| tick.checked_add(d))
            }
            (None, months) => add_months(tick, count.checked_mul(months.unwrap_or(1)), DAY * per_second),
        };
        sum.ok_or_else(|| args.fail("E302", "the result is out of range"))
    };
    let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let sums = (0..args.rows).map(|row| if valid(row) { later(row) } else { Ok(0) }).collect::<Result<Vec<i64>>>()?;
    let zone = if zoned { zone } else { Zone::Utc };
    Instants::column(sums, per_second, nulls, array.data_type(), zone)
}

fn add_months(tick: i64, months: Option<i64>, day: i64) -> Option<i64> {
    let date = Date::from_days(tick.div_euclid(day)).plus_months(months?)?;
    date.days().checked_mul(day)?.checked_add(tick.rem_euclid(day))
}
