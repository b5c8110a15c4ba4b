//! Moments as texts: DATE_FORMAT, FROM_UNIXTIME, CONVERT_TZ.

use std::rc::Rc;

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::instants::Instants;
use super::pattern::{self, Formatter, Pattern};
use super::{Zone, standard};
use crate::scalar::args::{Args, Text, texts, texts_or_null};
use crate::scalar::function::{Param, Returns, Spec};

/// The pattern of Flink's functions that are given none.
const DEFAULT_PATTERN: &str = "yyyy-MM-dd HH:mm:ss";
/// A text of a moment is about this long.
const TEXT_BYTES: usize = 20;

/// The functions of this module.
pub(crate) static FUNCTIONS: &[Spec] = &[
    Spec::new("date_format", &[Param::Time, Param::Text], Returns::Text, date_format)
        .can_fail()
        .checked(|args| pattern::check(args.get(1)))
        .doc(
            "DATE_FORMAT(timestamp, pattern)",
            "the moment as a text; the pattern is one of Java's DateTimeFormatter",
            "DATE_FORMAT(TIMESTAMP '2020-02-29 12:34:56', 'yyyy-MM-dd HH:mm') = '2020-02-29 12:34'",
        ),
    Spec::new("from_unixtime", &[Param::Integer, Param::Text], Returns::Text, from_unixtime)
        .optional(1)
        .can_fail()
        .checked(|args| pattern::check(args.get(1)))
        .doc(
            "FROM_UNIXTIME(seconds[, pattern])",
            "seconds since 1970 as a text in the session's time zone",
            "FROM_UNIXTIME(44) = '1970-01-01 00:00:44'",
        ),
    Spec::new("convert_tz", &[Param::Text, Param::Text, Param::Text], Returns::Text, convert_tz).nullable().doc(
        "CONVERT_TZ(timestamp, from_zone, to_zone)",
        "a text of a local time in another time zone; NULL if text or zone is none",
        "CONVERT_TZ('1970-01-01 00:00:00', 'UTC', 'America/Los_Angeles') = '1969-12-31 16:00:00'",
    ),
];

fn date_format(args: &Args<'_>) -> Result<ArrayRef> {
    let instants = Instants::local(&args.array(0)?, args.zone()?)?;
    formatted(args, &instants.ticks, instants.per_second, args.text(1)?)
}

fn from_unixtime(args: &Args<'_>) -> Result<ArrayRef> {
    let (seconds, pattern) = (args.integer(0)?, args.text_or(1, DEFAULT_PATTERN)?);
    let mut offsets = args.zone()?.offsets();
    let local = |row: usize| seconds.at(row).saturating_add(offsets.at(seconds.at(row)));
    let ticks: Vec<i64> = (0..args.rows).map(local).collect();
    formatted(args, &ticks, 1, pattern)
}

fn formatted(args: &Args<'_>, ticks: &[i64], per_second: i64, pattern: Text<'_>) -> Result<ArrayRef> {
    if let Some(pattern) = pattern.constant() {
        let mut formatter = Formatter::new(Pattern::of(pattern)?, per_second);
        return texts(args.rows, args.nulls(), args.rows * (pattern.len() + 1), |row, out| {
            formatter.write(ticks[row], out)
        });
    }
    let mut problem = None;
    let result =
        texts(args.rows, args.nulls(), args.rows * TEXT_BYTES, |row, out| match Pattern::of(pattern.at(row)) {
            Ok(pattern) => Formatter::new(Rc::clone(&pattern), per_second).write(ticks[row], out),
            Err(error) => problem = Some(error),
        })?;
    problem.map_or(Ok(result), Err)
}

fn convert_tz(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, from, to) = (args.text(0)?, args.text(1)?, args.text(2)?);
    let nulls = args.nulls();
    let constant = |zone: Text<'_>| zone.constant().map(|name| Zone::parse(name).ok());
    let (constant_from, constant_to) = (constant(from), constant(to));
    texts_or_null(args.rows, nulls.as_ref(), args.rows * TEXT_BYTES, |row, out| {
        let from = constant_from.unwrap_or_else(|| Zone::parse(from.at(row)).ok());
        let to = constant_to.unwrap_or_else(|| Zone::parse(to.at(row)).ok());
        let (Some(from), Some(to), Some((local, _))) = (from, to, standard::read(text.at(row))) else { return false };
        let instant = from.instant_of(local);
        standard::write(instant + to.offset_at(instant), 1, out);
        true
    })
}
