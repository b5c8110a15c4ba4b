//! Conversions with Flink's meaning where it is not Arrow's.
//!
//! A TIMESTAMP becomes the text `2020-01-31 12:00:00.000`, not RFC 3339; between TIMESTAMP and TIMESTAMP_LTZ lies the
//! session's time zone; BOOLEAN is `TRUE` or `FALSE`; a number is read from a text without the spaces around it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::Result;
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::expressions as physical;
use fleuve_base::Error;
use fleuve_plan::Expr;

use super::arithmetic::per_array;
use super::kernel::{self, Kernel};
use super::{CompileContext, PhysicalExprRef, checked, external, to_error};
use crate::scalar::{Instants, Zone, finish_texts, standard};

/// Compiles a cast.
pub(super) fn cast(
    inner: PhysicalExprRef,
    to: &DataType,
    lenient: bool,
    plan: &Expr,
    schema: &SchemaRef,
    context: &CompileContext,
) -> fleuve_base::Result<PhysicalExprRef> {
    let from = inner.data_type(schema).map_err(|e| to_error(&e))?;
    if &from == to {
        return Ok(inner);
    }
    let zone = Zone::parse(&context.time_zone).map_err(|e| to_error(&e))?;
    if let Some(conversion) = Conversion::between(&from, to, zone) {
        let nullable = lenient || inner.nullable(schema).map_err(|e| to_error(&e))?;
        let kernel = Convert { conversion, to: to.clone(), lenient, zone };
        let converted = kernel::expr(plan.to_string(), vec![inner], to.clone(), nullable, kernel);
        return kernel::named(converted, plan, schema);
    }
    if lenient {
        return checked(physical::try_cast(inner, schema, to.clone()));
    }
    kernel::named(checked(physical::cast(inner, schema, to.clone()))?, plan, schema)
}

/// The conversions that are not Arrow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conversion {
    MomentToText,
    TextToMoment,
    ToOtherZone,
    BooleanToText,
    TextToBoolean,
    TrimmedText,
}

impl Conversion {
    fn between(from: &DataType, to: &DataType, zone: Zone) -> Option<Self> {
        use DataType::{Boolean, Date32, Timestamp, Utf8};
        match (from, to) {
            (Timestamp(..), Utf8) => Some(Conversion::MomentToText),
            (Utf8, Timestamp(..) | Date32) => Some(Conversion::TextToMoment),
            (Timestamp(_, Some(_)), Timestamp(_, None) | Date32 | DataType::Time32(_) | DataType::Time64(_))
            | (Timestamp(_, None) | Date32, Timestamp(_, Some(_))) => {
                (zone != Zone::Utc).then_some(Conversion::ToOtherZone)
            }
            (Boolean, Utf8) => Some(Conversion::BooleanToText),
            (Utf8, Boolean) => Some(Conversion::TextToBoolean),
            (Utf8, to) if to.is_numeric() => Some(Conversion::TrimmedText),
            _ => None,
        }
    }
}

/// The kernel of a conversion.
#[derive(Debug)]
struct Convert {
    conversion: Conversion,
    to: DataType,
    lenient: bool,
    zone: Zone,
}

impl Kernel for Convert {
    fn evaluate(&self, operands: &[PhysicalExprRef], batch: &RecordBatch) -> Result<ColumnarValue> {
        per_array(operands[0].evaluate(batch)?, |array| match self.conversion {
            Conversion::MomentToText => moment_to_text(array, self.zone),
            Conversion::TextToMoment => self.text_to_moment(array),
            Conversion::ToOtherZone => self.to_other_zone(array),
            Conversion::BooleanToText => {
                let name = |value: Option<bool>| value.map(|value| if value { "TRUE" } else { "FALSE" });
                Ok(Arc::new(array.as_boolean().iter().map(name).collect::<StringArray>()))
            }
            Conversion::TextToBoolean => self.text_to_boolean(array.as_string()),
            Conversion::TrimmedText => self.trimmed(array),
        })
    }
}

fn moment_to_text(array: &ArrayRef, zone: Zone) -> Result<ArrayRef> {
    let moments = Instants::local(array, zone)?;
    let mut out = Vec::with_capacity(array.len() * 24);
    let mut offsets = Vec::with_capacity(array.len() + 1);
    offsets.push(0);
    for (row, tick) in moments.ticks.iter().enumerate() {
        if array.is_valid(row) {
            standard::write(*tick, moments.per_second, &mut out);
        }
        offsets.push(out.len() as i32);
    }
    finish_texts(out, offsets, array.nulls().cloned())
}

impl Convert {
    fn refuse(&self, text: &str) -> datafusion_common::DataFusionError {
        let error = Error::input("E303", format!("cannot convert '{text}' to {}", crate::scalar::type_name(&self.to)));
        external(error.with_hint("TRY_CAST gives NULL for what cannot be converted"))
    }

    fn text_to_moment(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let texts = array.as_string::<i32>();
        let mut ticks = Vec::with_capacity(texts.len());
        for text in texts {
            let Some(text) = text else {
                ticks.push(None);
                continue;
            };
            match standard::read(text).and_then(|(seconds, nanos)| self.nanoseconds(seconds, nanos)) {
                None if !self.lenient => return Err(self.refuse(text)),
                moment => ticks.push(moment),
            }
        }
        self.in_target_unit(ticks)
    }

    /// Seconds and nanoseconds of a local time as ticks of the target.
    fn nanoseconds(&self, seconds: i64, nanos: i64) -> Option<i64> {
        let per_second = self.per_second();
        let seconds =
            if matches!(self.to, DataType::Timestamp(_, Some(_))) { self.zone.instant_of(seconds) } else { seconds };
        seconds.checked_mul(per_second)?.checked_add(nanos / (1_000_000_000 / per_second))
    }

    fn per_second(&self) -> i64 {
        if let DataType::Timestamp(unit, _) = &self.to { crate::scalar::per_second(*unit) } else { 1 }
    }

    fn in_target_unit(&self, ticks: Vec<Option<i64>>) -> Result<ArrayRef> {
        let ticks = PrimitiveArray::<arrow::datatypes::Int64Type>::from(ticks);
        let (_, values, nulls) = ticks.into_parts();
        Instants::column(values.to_vec(), self.per_second(), nulls, &self.to, Zone::Utc)
    }

    /// Local time as an instant, or an instant as local time.
    fn to_other_zone(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let local = Instants::local(array, self.zone)?;
        if let DataType::Timestamp(unit, Some(_)) = &self.to {
            let unzoned = DataType::Timestamp(*unit, None);
            let converted = cast_with_options(array, &unzoned, &self.options())?;
            let moments = Instants::new(&converted)?;
            return Instants::column(moments.ticks.to_vec(), moments.per_second, moments.nulls, &self.to, self.zone);
        }
        let DataType::Timestamp(unit, _) = array.data_type() else { return Ok(Arc::clone(array)) };
        let unzoned = DataType::Timestamp(*unit, None);
        let shown = Instants::column(local.ticks.to_vec(), local.per_second, local.nulls, &unzoned, Zone::Utc)?;
        Ok(cast_with_options(&shown, &self.to, &self.options())?)
    }

    fn options(&self) -> CastOptions<'static> {
        CastOptions { safe: self.lenient, ..CastOptions::default() }
    }

    fn text_to_boolean(&self, texts: &StringArray) -> Result<ArrayRef> {
        let one = |text: Option<&str>| {
            let Some(text) = text else { return Ok(None) };
            match text.trim().to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "1" => Ok(Some(true)),
                "false" | "f" | "no" | "n" | "0" => Ok(Some(false)),
                _ if self.lenient => Ok(None),
                _ => Err(self.refuse(text)),
            }
        };
        Ok(Arc::new(texts.iter().map(one).collect::<Result<BooleanArray>>()?))
    }

    fn trimmed(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let texts = array.as_string::<i32>();
        let has_space = |text: &str| text.starts_with([' ', '\t']) || text.ends_with([' ', '\t', '\n', '\r']);
        if !texts.iter().flatten().any(has_space) {
            return Ok(cast_with_options(array, &self.to, &self.options())?);
        }
        let trimmed: StringArray = texts.iter().map(|text| text.map(str::trim)).collect();
        Ok(cast_with_options(&trimmed, &self.to, &self.options())?)
    }
}
