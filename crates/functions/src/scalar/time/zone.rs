//! Time zones: the offset of local time at an instant.

use std::str::FromStr;

use chrono::{DateTime, MappedLocalTime, Offset, TimeZone};
use chrono_tz::Tz;
use datafusion_common::Result;
use fleuve_base::Error;

use crate::compile::external;

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    Utc,
    /// Seconds east of UTC.
    Fixed(i64),
    Named(Tz),
}

impl Zone {
    /// Reads `UTC`, `Z`, `+08:00`, `GMT-5` or a name of the tz database.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        if matches!(name, "UTC" | "Z" | "GMT" | "Etc/UTC" | "+00:00" | "-00:00") {
            return Ok(Zone::Utc);
        }
        let prefix = name.strip_prefix("GMT").or_else(|| name.strip_prefix("UTC")).unwrap_or(name);
        if let Some(seconds) = fixed_offset(prefix) {
            return Ok(if seconds == 0 { Zone::Utc } else { Zone::Fixed(seconds) });
        }
        Tz::from_str(name).map(Zone::Named).map_err(|_| {
            let error = Error::input("E310", format!("there is no time zone `{name}`"));
            external(error.with_hint("write UTC, an offset such as +08:00, or a region such as Europe/Paris"))
        })
    }

    /// Seconds by which local time is ahead of UTC at an instant (seconds since 1970).
    pub(crate) fn offset_at(self, instant: i64) -> i64 {
        match self {
            Zone::Utc => 0,
            Zone::Fixed(seconds) => seconds,
            Zone::Named(zone) => match DateTime::from_timestamp(instant, 0) {
                Some(time) => zone.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc().into(),
                None => 0,
            },
        }
    }

    /// The instant of a local time. Of two the earlier; a local time that a clock change skips is read with the offset
    /// from before the change.
    pub(crate) fn instant_of(self, local: i64) -> i64 {
        match self {
            Zone::Utc => local,
            Zone::Fixed(seconds) => local - seconds,
            Zone::Named(zone) => {
                let Some(time) = DateTime::from_timestamp(local, 0) else { return local };
                match zone.from_local_datetime(&time.naive_utc()) {
                    MappedLocalTime::Single(time) | MappedLocalTime::Ambiguous(time, _) => time.timestamp(),
                    MappedLocalTime::None => local - self.offset_at(local - super::DAY),
                }
            }
        }
    }

    /// Offsets of many instants.
    pub(crate) fn offsets(self) -> Offsets {
        Offsets { zone: self, hour: i64::MIN, offset: None }
    }
}

/// `+8`, `+08:00`, `-0530` in seconds.
fn fixed_offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = match text[1..].split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if text.len() == 5 => text[1..].split_at_checked(2)?,
        None => (&text[1..], "0"),
    };
    let number = |digits: &str| match digits.len() {
        1 | 2 if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<i64>().ok(),
        _ => None,
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 18 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// A zone that remembers the offset of the last hour it was asked about.
pub(crate) struct Offsets {
    zone: Zone,
    hour: i64,
    /// None if it changes within the hour.
    offset: Option<i64>,
}

impl Offsets {
    /// Seconds by which local time is ahead of UTC at an instant.
    #[inline]
    pub(crate) fn at(&mut self, instant: i64) -> i64 {
        let hour = instant.div_euclid(3_600);
        if hour != self.hour {
            self.hour = hour;
            let first = self.zone.offset_at(hour * 3_600);
            self.offset = (first == self.zone.offset_at(hour * 3_600 + 3_599)).then_some(first);
        }
        self.offset.unwrap_or_else(|| self.zone.offset_at(instant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_zones() {
        assert_eq!(Zone::parse("UTC").unwrap(), Zone::Utc);
        assert_eq!(Zone::parse("GMT+00:00").unwrap(), Zone::Utc);
        assert_eq!(Zone::parse("+08:00").unwrap(), Zone::Fixed(28_800));
        assert_eq!(Zone::parse("GMT-5").unwrap(), Zone::Fixed(-18_000));
        assert_eq!(Zone::parse("-0530").unwrap(), Zone::Fixed(-19_800));
        assert_eq!(Zone::parse("Asia/Shanghai").unwrap().offset_at(0), 28_800);
        for wrong in ["", "Mars/Phobos", "+25:00", "+1:2:3", "+é"] {
            assert!(Zone::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn clock_changes_are_exact() {
        let zone = Zone::parse("Europe/Paris").unwrap();
        // 2021-03-28 01:00:00 UTC: from +1 to +2.
        let change = 1_616_893_200;
        let mut offsets = zone.offsets();
        assert_eq!(offsets.at(change - 1), 3_600);
        assert_eq!(offsets.at(change), 7_200);
        // 02:30 local does not exist; 02:30 at +1 is 01:30 UTC.
        assert_eq!(zone.instant_of(change + 3_600 + 1_800), change + 1_800);
        // Amsterdam's offset changed in the middle of an hour in 1937.
        let amsterdam = Zone::parse("Europe/Amsterdam").unwrap();
        let mut offsets = amsterdam.offsets();
        for instant in (-1_050_000_000..-1_000_000_000).step_by(1_013) {
            assert_eq!(offsets.at(instant), amsterdam.offset_at(instant));
        }
    }
}
