//! Timestamps, dates and times of a column as ticks of one unit.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowTimestampType, DataType, Date32Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion_common::Result;
use fleuve_base::Error;

use super::{DAY, Zone};
use crate::compile::external;

/// Moments of a column, in ticks since 1970-01-01 00:00:00 (of local time, or UTC where the type has a zone).
pub(crate) struct Instants {
    pub(crate) ticks: ScalarBuffer<i64>,
    pub(crate) per_second: i64,
    pub(crate) nulls: Option<NullBuffer>,
    /// Whether the ticks count from UTC's 1970, and local time depends on the session's zone.
    pub(crate) zoned: bool,
}

/// Ticks of a second.
pub(crate) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

impl Instants {
    /// The ticks as they are stored.
    pub(crate) fn new(array: &ArrayRef) -> Result<Self> {
        let (ticks, per_second, zoned) = match array.data_type() {
            DataType::Timestamp(unit, zone) => (reinterpreted(array), per_second(*unit), zone.is_some()),
            DataType::Time64(unit) => (reinterpreted(array), per_second(*unit), false),
            DataType::Time32(unit) => {
                let times = arrow::compute::cast(array, &DataType::Int32)?;
                let ticks = times.as_primitive::<Int32Type>().values().iter().map(|tick| i64::from(*tick)).collect();
                (ticks, per_second(*unit), false)
            }
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>().values();
                (days.iter().map(|day| i64::from(*day) * DAY).collect(), 1, false)
            }
            other => return Err(external(Error::internal(format!("a {other} is not a moment")))),
        };
        Ok(Instants { ticks, per_second, nulls: array.nulls().cloned(), zoned })
    }

    /// The ticks in the session's local time.
    pub(crate) fn local(array: &ArrayRef, zone: Zone) -> Result<Self> {
        let mut instants = Self::new(array)?;
        if instants.zoned && zone != Zone::Utc {
            let per_second = instants.per_second;
            let mut offsets = zone.offsets();
            let local = |tick: &i64| tick.saturating_add(offsets.at(tick.div_euclid(per_second)) * per_second);
            instants.ticks = instants.ticks.iter().map(local).collect();
        }
        Ok(instants)
    }

    /// A column of `data_type` (a timestamp or date) from local ticks of this unit.
    pub(crate) fn column(
        local: Vec<i64>,
        per_second: i64,
        nulls: Option<NullBuffer>,
        to: &DataType,
        zone: Zone,
    ) -> Result<ArrayRef> {
        let shown = |tick: i64| match to {
            DataType::Timestamp(_, Some(_)) if zone != Zone::Utc => {
                let seconds = tick.div_euclid(per_second);
                tick + (zone.instant_of(seconds) - seconds) * per_second
            }
            _ => tick,
        };
        let ticks: ScalarBuffer<i64> = match (zone, to) {
            (Zone::Utc, _) | (_, DataType::Timestamp(_, None)) => local.into(),
            _ => local.into_iter().map(shown).collect(),
        };
        match to {
            DataType::Timestamp(TimeUnit::Second, _) => Ok(timestamps::<TimestampSecondType>(ticks, nulls, to)),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Ok(timestamps::<TimestampMillisecondType>(ticks, nulls, to))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Ok(timestamps::<TimestampMicrosecondType>(ticks, nulls, to))
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Ok(timestamps::<TimestampNanosecondType>(ticks, nulls, to)),
            DataType::Date32 => {
                let day = |tick: &i64| i32::try_from(tick.div_euclid(DAY * per_second)).unwrap_or_default();
                let days = PrimitiveArray::<Date32Type>::new(ticks.iter().map(day).collect(), nulls);
                Ok(std::sync::Arc::new(days))
            }
            other => Err(external(Error::internal(format!("a {other} is not made of ticks")))),
        }
    }
}

fn timestamps<T: ArrowTimestampType>(ticks: ScalarBuffer<i64>, nulls: Option<NullBuffer>, to: &DataType) -> ArrayRef {
    std::sync::Arc::new(PrimitiveArray::<T>::new(ticks, nulls).with_data_type(to.clone()))
}

/// The 64-bit values of a column, without a copy.
fn reinterpreted(array: &ArrayRef) -> ScalarBuffer<i64> {
    let data = array.to_data();
    match data.buffers().first() {
        Some(buffer) => ScalarBuffer::new(buffer.clone(), data.offset(), data.len()),
        None => PrimitiveArray::<Int64Type>::new_null(data.len()).values().clone(),
    }
}
