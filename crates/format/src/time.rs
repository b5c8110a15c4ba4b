//! Timestamps, dates and times of day as text, in Flink's two forms: SQL (`2015-07-15 00:00:00.000`) and
//! ISO-8601 (`2015-07-15T00:00:00.000Z`).
//!
//! Reading accepts both, a fraction of up to nine digits, and a zone (`Z` or `+02:00`), which is applied; a
//! timestamp without a zone is taken as UTC.

use arrow::datatypes::TimeUnit;

/// Which form timestamps are written in (`json.timestamp-format.standard`). Both are understood on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampFormat {
    /// `yyyy-MM-dd HH:mm:ss.SSS`, Flink's `SQL`.
    #[default]
    Sql,
    /// `yyyy-MM-ddTHH:mm:ss.SSS`, Flink's `ISO-8601`.
    Iso8601,
}

const SECONDS_PER_DAY: i64 = 86_400;

/// A moment: seconds since 1970-01-01 UTC (negative before), and nanoseconds within the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

impl Moment {
    /// As a count of `unit`s since 1970, rounded down; `None` if that does not fit 64 bits.
    #[inline]
    pub(crate) fn count(self, unit: TimeUnit) -> Option<i64> {
        let per_second = units_per_second(unit);
        let part = i64::from(self.nanos) / (1_000_000_000 / per_second);
        self.seconds.checked_mul(per_second)?.checked_add(part)
    }

    /// The moment that is `count` of `unit`s after 1970.
    pub(crate) fn from_count(count: i64, unit: TimeUnit) -> Moment {
        let per_second = units_per_second(unit);
        let nanos = count.rem_euclid(per_second) * (1_000_000_000 / per_second);
        Moment { seconds: count.div_euclid(per_second), nanos: u32::try_from(nanos).unwrap_or(0) }
    }
}

fn units_per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Digits after the point that a unit needs.
pub(crate) fn fraction_digits(unit: TimeUnit) -> usize {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// Reads timestamps. It remembers the minute of the last one, since neighbours mostly share it.
#[derive(Debug, Clone)]
pub(crate) struct TimestampReader {
    minute: [u8; 16],
    seconds: i64,
}

impl TimestampReader {
    pub(crate) fn new() -> Self {
        TimestampReader { minute: *b"1970-01-01 00:00", seconds: 0 }
    }

    /// Reads `yyyy-MM-dd HH:mm:ss`, with `T` or a blank, and perhaps a fraction and a zone.
    #[inline]
    pub(crate) fn read(&mut self, text: &[u8]) -> Option<Moment> {
        let minute = text.first_chunk::<16>()?;
        if u128::from_le_bytes(*minute) != u128::from_le_bytes(self.minute) {
            self.seconds = read_minute(minute)?;
            self.minute = *minute;
        }
        let rest = &text[16..];
        if let Some((second, millis)) = rest.try_into().ok().and_then(read_second_and_millis) {
            return Some(Moment { seconds: self.seconds + second, nanos: millis * 1_000_000 });
        }
        let (second, rest) = two_digits(rest.strip_prefix(b":")?)?;
        let (nanos, rest) = read_fraction(rest)?;
        let zone = read_zone(rest)?;
        (second <= 59).then(|| Moment { seconds: self.seconds + i64::from(second) - zone, nanos })
    }
}

/// `:ss.SSS`, the commonest form.
#[inline]
fn read_second_and_millis(text: &[u8; 7]) -> Option<(i64, u32)> {
    let digit = |at: usize| u32::from(text[at].wrapping_sub(b'0'));
    let digits = [digit(1), digit(2), digit(4), digit(5), digit(6)];
    let right = text[0] == b':' && text[3] == b'.' && digits.iter().all(|digit| *digit <= 9) && digits[0] <= 5;
    let millis = digits[2] * 100 + digits[3] * 10 + digits[4];
    right.then_some((i64::from(digits[0] * 10 + digits[1]), millis))
}

/// Seconds since 1970 of `yyyy-MM-dd HH:mm`.
fn read_minute(text: &[u8; 16]) -> Option<i64> {
    let days = read_date(&text[..10])?;
    let (hour, rest) = two_digits(text[10..].strip_prefix(b" ").or_else(|| text[10..].strip_prefix(b"T"))?)?;
    let (minute, _) = two_digits(rest.strip_prefix(b":")?)?;
    (hour <= 23 && minute <= 59)
        .then(|| i64::from(days) * SECONDS_PER_DAY + i64::from(hour) * 3600 + i64::from(minute) * 60)
}

/// Days since 1970 of `yyyy-MM-dd`.
pub(crate) fn read_date(text: &[u8]) -> Option<i32> {
    let (century, rest) = two_digits(text)?;
    let (years, rest) = two_digits(rest)?;
    let (month, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let (day, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let year = i64::from(century * 100 + years);
    let exists = rest.is_empty() && (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    exists.then(|| days_from_civil(year, month, day))
}

/// Nanoseconds since midnight of `HH:mm:ss`, perhaps with a fraction and `Z`.
pub(crate) fn read_time(text: &[u8]) -> Option<i64> {
    let (hour, rest) = two_digits(text)?;
    let (minute, rest) = two_digits(rest.strip_prefix(b":")?)?;
    let (second, rest) = two_digits(rest.strip_prefix(b":")?)?;
    let (nanos, rest) = read_fraction(rest)?;
    let exists = hour <= 23 && minute <= 59 && second <= 59 && (rest.is_empty() || rest == b"Z");
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    exists.then(|| seconds * 1_000_000_000 + i64::from(nanos))
}

fn two_digits(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<2>()?;
    let [tens, ones] = digits.map(|digit| u32::from(digit.wrapping_sub(b'0')));
    (tens <= 9 && ones <= 9).then_some((tens * 10 + ones, rest))
}

/// The nanoseconds of an optional `.S` to `.SSSSSSSSS`.
fn read_fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else { return Some((0, text)) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let value = rest[..digits].iter().fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    Some((value * 10u32.pow(9 - digits as u32), &rest[digits..]))
}

/// Seconds east of UTC of an optional `Z`, `+hh:mm` or `-hh:mm`.
fn read_zone(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text.split_first() {
        None => return Some(0),
        Some((b'Z', rest)) => return rest.is_empty().then_some(0),
        Some((b'+', rest)) => (1, rest),
        Some((b'-', rest)) => (-1, rest),
        Some(_) => return None,
    };
    let (hours, rest) = two_digits(rest)?;
    let (minutes, rest) = two_digits(rest.strip_prefix(b":").unwrap_or(rest))?;
    (rest.is_empty() && hours <= 18 && minutes <= 59).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970 of a date of the Gregorian calendar (H. Hinnant, *chrono-compatible low-level date
/// algorithms*, 2013).
fn days_from_civil(year: i64, month: u32, day: u32) -> i32 {
    let shifted = year - i64::from(month <= 2);
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * i64::from((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468) as i32
}

/// Year, month and day of a day since 1970 (the inverse, by the same author).
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = (if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 }) as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Writes timestamps of one column. It remembers the second of the last one.
#[derive(Debug, Clone)]
pub(crate) struct TimestampWriter {
    separator: u8,
    unit: TimeUnit,
    zoned: bool,
    second: i64,
    text: Vec<u8>,
}

impl TimestampWriter {
    /// For columns of `unit`; `zoned` ones (`TIMESTAMP_LTZ`) end in `Z`.
    pub(crate) fn new(format: TimestampFormat, unit: TimeUnit, zoned: bool) -> Self {
        let separator = if format == TimestampFormat::Sql { b' ' } else { b'T' };
        TimestampWriter { separator, unit, zoned, second: i64::MIN, text: Vec::new() }
    }

    /// Appends the timestamp `count` (in this column's unit).
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, count: i64) {
        let moment = Moment::from_count(count, self.unit);
        if moment.seconds != self.second || self.text.is_empty() {
            self.second = moment.seconds;
            self.text.clear();
            write_date(&mut self.text, moment.seconds.div_euclid(SECONDS_PER_DAY));
            self.text.push(self.separator);
            write_clock(&mut self.text, moment.seconds.rem_euclid(SECONDS_PER_DAY));
        }
        out.extend_from_slice(&self.text);
        write_fraction(out, moment.nanos, fraction_digits(self.unit));
        if self.zoned {
            out.push(b'Z');
        }
    }
}

/// Appends `yyyy-MM-dd`.
pub(crate) fn write_date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        push_two(out, (year / 100) as u32);
        push_two(out, (year % 100) as u32);
    } else {
        out.extend_from_slice(format!("{year:+05}").as_bytes());
    }
    out.push(b'-');
    push_two(out, month);
    out.push(b'-');
    push_two(out, day);
}

/// Appends `HH:mm:ss` and the fraction of a time of day that is given in `unit`s since midnight.
pub(crate) fn write_time(out: &mut Vec<u8>, count: i64, unit: TimeUnit) {
    let moment = Moment::from_count(count, unit);
    write_clock(out, moment.seconds.rem_euclid(SECONDS_PER_DAY));
    write_fraction(out, moment.nanos, fraction_digits(unit));
}

fn write_clock(out: &mut Vec<u8>, second_of_day: i64) {
    let second = second_of_day as u32;
    push_two(out, second / 3600);
    out.push(b':');
    push_two(out, second / 60 % 60);
    out.push(b':');
    push_two(out, second % 60);
}

fn write_fraction(out: &mut Vec<u8>, nanos: u32, digits: usize) {
    if digits == 0 {
        return;
    }
    out.push(b'.');
    let mut rest = nanos;
    let mut place = 100_000_000;
    for _ in 0..digits {
        out.push(b'0' + (rest / place) as u8);
        rest %= place;
        place /= 10;
    }
}

fn push_two(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&[b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Moment> {
        TimestampReader::new().read(text.as_bytes())
    }

    proptest! {
        #[test]
        fn timestamps_round_trip(millis in -62_135_596_800_000i64..253_402_300_799_999, iso in any::<bool>(), zoned in any::<bool>()) {
            let format = if iso { TimestampFormat::Iso8601 } else { TimestampFormat::Sql };
            let mut out = Vec::new();
            TimestampWriter::new(format, TimeUnit::Millisecond, zoned).write(&mut out, millis);
            let moment = TimestampReader::new().read(&out).expect("what was written can be read");
            prop_assert_eq!(moment.count(TimeUnit::Millisecond), Some(millis));
            let chrono = chrono::DateTime::from_timestamp_millis(millis).expect("in range");
            let expected = chrono.format(if iso { "%Y-%m-%dT%H:%M:%S%.3f" } else { "%Y-%m-%d %H:%M:%S%.3f" });
            let written = String::from_utf8(out).expect("ASCII");
            prop_assert_eq!(written.trim_end_matches('Z'), expected.to_string());
        }

        #[test]
        fn a_reader_that_remembers_agrees_with_a_fresh_one(seconds in proptest::collection::vec(0i64..100_000, 1..20)) {
            let mut reader = TimestampReader::new();
            for second in seconds {
                let mut text = Vec::new();
                TimestampWriter::new(TimestampFormat::Sql, TimeUnit::Second, false).write(&mut text, second);
                prop_assert_eq!(reader.read(&text), TimestampReader::new().read(&text));
            }
        }

        #[test]
        fn hostile_text_never_panics(text in "[0-9:. TZ+-]{0,32}") {
            let _ = read(&text);
            let _ = read_date(text.as_bytes());
            let _ = read_time(text.as_bytes());
        }
    }

    #[test]
    fn zones_are_applied() {
        assert_eq!(read("1970-01-01T02:00:00+02:00"), Some(Moment { seconds: 0, nanos: 0 }));
        assert_eq!(read("1970-01-01T00:00:00.5-00:30"), Some(Moment { seconds: 1800, nanos: 500_000_000 }));
        assert_eq!(read("1970-01-01 00:00:01.123456789Z"), Some(Moment { seconds: 1, nanos: 123_456_789 }));
    }

    #[test]
    fn impossible_moments_are_refused() {
        for text in [
            "2015-02-29 00:00:00",
            "2015-13-01 00:00:00",
            "2015-01-01 24:00:00",
            "2015-01-01 00:60:00",
            "2015-01-01 00:00:60",
            "2015-01-01 00:00:60.000",
            "2015-01-01",
            "2015-01-01 00:00:00.",
            "2015-01-01 00:00:00.1234567890",
            "2015-01-01 00:00:00 ",
            "2015-01-01x00:00:00",
            "2015-01-01 00:00:0x.000",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(read("2016-02-29 00:00:00").is_some());
        assert!(read_time(b"23:59:59.999Z").is_some());
        assert_eq!(read_time(b"23:59"), None);
    }
}
