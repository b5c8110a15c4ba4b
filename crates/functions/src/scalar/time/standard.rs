//! SQL's own texts of moments: `2020-01-31 12:30:45.123`.

use super::DAY;
use super::civil::Date;

/// The moment that `yyyy-MM-dd[ HH:mm[:ss[.fraction]]]` stands for, in seconds and nanoseconds of local time. A `T` in
/// place of the space, and a `Z` after it all, are taken too.
pub(crate) fn read(text: &str) -> Option<(i64, i64)> {
    let text = text.trim();
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = match text.find([' ', 'T']) {
        Some(place) => (&text[..place], text[place + 1..].trim_start()),
        None => (text, ""),
    };
    let days = read_date(date)?;
    let (second, nanos) = if time.is_empty() { (0, 0) } else { read_time(time)? };
    Some((days * DAY + second, nanos))
}

/// The days since 1970 of `yyyy-MM-dd`; month and day may have one digit.
pub(crate) fn read_date(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut parts = digits.splitn(3, '-');
    let year = number(parts.next()?, 1, 9)?;
    let (month, day) = (number(parts.next()?, 1, 2)?, number(parts.next()?, 1, 2)?);
    Some(Date::new(sign * year, month, day)?.days())
}

/// Second of the day and nanoseconds of `HH:mm[:ss[.fraction]]`.
fn read_time(text: &str) -> Option<(i64, i64)> {
    let (text, fraction) = text.split_once('.').map_or((text, None), |(text, fraction)| (text, Some(fraction)));
    let mut parts = text.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?, 1, 2)?, number(parts.next()?, 1, 2)?);
    let second = parts.next().map_or(Some(0), |second| number(second, 1, 2))?;
    let nanos = match fraction {
        None => 0,
        Some(fraction) => {
            number(fraction, 1, usize::MAX)?;
            let digits = format!("{fraction:0<9}");
            digits[..9].parse().ok()?
        }
    };
    (hour < 24 && minute < 60 && second < 60).then_some((hour * 3_600 + minute * 60 + second, nanos))
}

fn number(text: &str, least: usize, most: usize) -> Option<i64> {
    let valid = (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !valid {
        return None;
    }
    // Fractions may be longer than any integer; only their being digits matters to the caller then.
    Some(text[..text.len().min(18)].parse().unwrap_or(0))
}

/// Appends `yyyy-MM-dd HH:mm:ss` and as many digits of a fraction as the ticks have.
pub(crate) fn write(tick: i64, per_second: i64, out: &mut Vec<u8>) {
    let seconds = tick.div_euclid(per_second);
    let date = Date::from_days(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    write_date(date, out);
    let parts = [b' ', b':', b':'].into_iter().zip([second / 3_600, second / 60 % 60, second % 60]);
    for (separator, value) in parts {
        out.extend_from_slice(&[separator, b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
    }
    let mut unit = per_second / 10;
    if unit > 0 {
        out.push(b'.');
    }
    let fraction = tick.rem_euclid(per_second);
    while unit > 0 {
        out.push(b'0' + (fraction / unit % 10) as u8);
        unit /= 10;
    }
}

fn write_date(date: Date, out: &mut Vec<u8>) {
    match date.year {
        0..=9_999 => {
            let digits = [date.year / 1_000, date.year / 100 % 10, date.year / 10 % 10, date.year % 10];
            digits.iter().for_each(|digit| out.push(b'0' + *digit as u8));
        }
        year => out.extend_from_slice(year.to_string().as_bytes()),
    }
    for value in [date.month, date.day] {
        out.extend_from_slice(&[b'-', b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let cases = [
            ("1970-01-01 00:00:00.000", 0),
            ("1969-12-31 23:59:59.999", -1),
            ("2020-02-29 12:34:56.789", 1_582_979_696_789),
            ("0001-01-01 00:00:00.000", -62_135_596_800_000),
        ];
        for (text, millis) in cases {
            let (seconds, nanos) = read(text).unwrap();
            assert_eq!(seconds * 1_000 + nanos / 1_000_000, millis, "{text}");
            let mut out = Vec::new();
            write(millis, 1_000, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn short_forms() {
        assert_eq!(read("1970-1-2"), Some((86_400, 0)));
        assert_eq!(read("1970-01-01T00:01Z"), Some((60, 0)));
        assert_eq!(read(" 1970-01-01 00:00:00.5 "), Some((0, 500_000_000)));
        assert_eq!(read("1970-01-01 00:00:00.1234567891234"), Some((0, 123_456_789)));
    }

    #[test]
    fn nonsense_is_none() {
        for text in [
            "",
            "1970",
            "1970-13-01",
            "1970-02-30",
            "1970-01-01 24:00:00",
            "1970-01-01 00:00:00.",
            "abc",
            "1970-01-01 é",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
