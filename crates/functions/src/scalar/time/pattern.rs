//! Patterns of Java's `DateTimeFormatter`, such as `yyyy-MM-dd HH:mm`.
//!
//! A pattern is read once. Formatting knows the coarsest stretch of time within which its output does not change (a
//! minute for `HH:mm`), so that a column in order is mostly copies of the last text.

use std::cell::RefCell;
use std::rc::Rc;

use datafusion_common::{Result, ScalarValue};
use fleuve_base::Error;
use hashbrown::HashMap;

use super::DAY;
use super::civil::{Date, iso_weekday};
use crate::compile::external;

/// Read patterns that a thread keeps.
const PATTERNS_MAX: usize = 256;
/// The longest run of one letter.
const WIDTH_MAX: usize = 19;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A part of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Quarter,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Weekday,
    /// 0 to 23.
    Hour,
    /// 1 to 24.
    HourFromOne,
    /// 0 to 11.
    HalfDayHour,
    /// 1 to 12.
    ClockHour,
    AmPm,
    Minute,
    Second,
    Fraction,
}

impl Field {
    fn of(letter: char, width: usize) -> Option<Self> {
        Some(match letter {
            'y' | 'u' => Field::Year,
            'Q' | 'q' => Field::Quarter,
            'M' | 'L' if width > 2 => Field::MonthName,
            'M' | 'L' => Field::Month,
            'd' => Field::Day,
            'D' => Field::DayOfYear,
            'E' => Field::Weekday,
            'H' => Field::Hour,
            'k' => Field::HourFromOne,
            'K' => Field::HalfDayHour,
            'h' => Field::ClockHour,
            'a' => Field::AmPm,
            'm' => Field::Minute,
            's' => Field::Second,
            'S' => Field::Fraction,
            _ => return None,
        })
    }

    /// Seconds within which it does not change; 0 for fractions of a second.
    fn stretch(self) -> i64 {
        match self {
            Field::Fraction => 0,
            Field::Second => 1,
            Field::Minute => 60,
            Field::Hour | Field::HourFromOne | Field::HalfDayHour | Field::ClockHour | Field::AmPm => 3_600,
            _ => DAY,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Field(Field, usize),
}

/// A pattern that was read.
#[derive(Debug)]
pub(crate) struct Pattern {
    segments: Vec<Segment>,
    stretch: i64,
}

thread_local! {
    static PATTERNS: RefCell<HashMap<String, Rc<Pattern>>> = RefCell::default();
}

impl Pattern {
    /// The pattern in its read form, from this thread's store.
    pub(crate) fn of(text: &str) -> Result<Rc<Pattern>> {
        PATTERNS.with_borrow_mut(|patterns| {
            if let Some(found) = patterns.get(text) {
                return Ok(Rc::clone(found));
            }
            if patterns.len() >= PATTERNS_MAX {
                patterns.clear();
            }
            let new = Rc::new(Pattern::parse(text)?);
            patterns.insert(text.to_string(), Rc::clone(&new));
            Ok(new)
        })
    }

    fn parse(text: &str) -> Result<Pattern> {
        let mut segments: Vec<Segment> = Vec::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let (segment, after) = if letter == '\'' {
                quoted(&rest[1..]).ok_or_else(|| problem(text, "it has a quote that does not end"))?
            } else if letter.is_ascii_alphabetic() {
                let width = rest.chars().take_while(|c| *c == letter).count();
                let field = Field::of(letter, width).filter(|_| width <= WIDTH_MAX);
                let field = field.ok_or_else(|| problem(text, &format!("`{}` has no meaning", &rest[..width])))?;
                (Segment::Field(field, width), &rest[width..])
            } else {
                let (literal, after) = rest.split_at(letter.len_utf8());
                (Segment::Literal(literal.to_string()), after)
            };
            match (segments.last_mut(), segment) {
                (Some(Segment::Literal(last)), Segment::Literal(more)) => last.push_str(&more),
                (_, segment) => segments.push(segment),
            }
            rest = after;
        }
        let stretches = segments.iter().map(|segment| match segment {
            Segment::Field(field, _) => field.stretch(),
            Segment::Literal(_) => DAY,
        });
        let stretch = stretches.min().unwrap_or(DAY);
        Ok(Pattern { segments, stretch })
    }
}

/// What stands in quotes; two quotes are one.
fn quoted(rest: &str) -> Option<(Segment, &str)> {
    if let Some(after) = rest.strip_prefix('\'') {
        return Some((Segment::Literal("'".to_string()), after));
    }
    let mut literal = String::new();
    let mut rest = rest;
    loop {
        let (text, after) = rest.split_once('\'')?;
        literal.push_str(text);
        match after.strip_prefix('\'') {
            Some(after) => {
                literal.push('\'');
                rest = after;
            }
            None => return Some((Segment::Literal(literal), after)),
        }
    }
}

fn problem(pattern: &str, what: &str) -> datafusion_common::DataFusionError {
    let error = Error::input("E308", format!("`{pattern}` is not a pattern of dates and times: {what}"));
    external(error.with_hint("the letters are those of Java's DateTimeFormatter, e.g. yyyy-MM-dd HH:mm:ss.SSS"))
}

/// Refuses a wrong constant pattern when the query is planned.
pub(crate) fn check(pattern: Option<&Option<&ScalarValue>>) -> Result<()> {
    match pattern.copied().flatten().and_then(|scalar| scalar.try_as_str().flatten()) {
        Some(pattern) => Pattern::of(pattern).map(|_| ()),
        None => Ok(()),
    }
}

/// A moment of local time, taken apart.
struct Moment {
    date: Date,
    days: i64,
    second_of_day: i64,
    nanos: i64,
}

impl Moment {
    fn new(tick: i64, per_second: i64) -> Self {
        let seconds = tick.div_euclid(per_second);
        let days = seconds.div_euclid(DAY);
        let nanos = tick.rem_euclid(per_second) * (1_000_000_000 / per_second);
        Moment { date: Date::from_days(days), days, second_of_day: seconds.rem_euclid(DAY), nanos }
    }
}

/// A pattern at work on a column of local ticks.
pub(crate) struct Formatter {
    pattern: Rc<Pattern>,
    per_second: i64,
    /// The stretch of time that `text` is right for, in ticks.
    start: i64,
    length: u64,
    text: Vec<u8>,
}

impl Formatter {
    pub(crate) fn new(pattern: Rc<Pattern>, per_second: i64) -> Self {
        Formatter { pattern, per_second, start: 0, length: 0, text: Vec::new() }
    }

    /// Appends the text of a moment.
    #[inline]
    pub(crate) fn write(&mut self, tick: i64, out: &mut Vec<u8>) {
        if (tick.wrapping_sub(self.start) as u64) >= self.length {
            self.render(tick);
        }
        out.extend_from_slice(&self.text);
    }

    fn render(&mut self, tick: i64) {
        let length = (self.pattern.stretch * self.per_second).max(1);
        self.start = tick - tick.rem_euclid(length);
        self.length = length as u64;
        self.text.clear();
        let moment = Moment::new(tick, self.per_second);
        for segment in &self.pattern.segments {
            match segment {
                Segment::Literal(literal) => self.text.extend_from_slice(literal.as_bytes()),
                Segment::Field(field, width) => field.write(&moment, *width, &mut self.text),
            }
        }
    }
}

impl Field {
    fn write(self, moment: &Moment, width: usize, out: &mut Vec<u8>) {
        let hour = moment.second_of_day / 3_600;
        let number = match self {
            Field::Year if width == 2 => moment.date.year.rem_euclid(100),
            Field::Year => moment.date.year,
            Field::Quarter => (moment.date.month - 1) / 3 + 1,
            Field::Month => moment.date.month,
            Field::Day => moment.date.day,
            Field::DayOfYear => moment.date.day_of_year(),
            Field::Hour => hour,
            Field::HourFromOne => (hour + 23) % 24 + 1,
            Field::HalfDayHour => hour % 12,
            Field::ClockHour => (hour + 11) % 12 + 1,
            Field::Minute => moment.second_of_day / 60 % 60,
            Field::Second => moment.second_of_day % 60,
            Field::Fraction => {
                let digits = padded(moment.nanos, 9);
                (0..width).for_each(|nth| out.push(digits.as_bytes().get(nth).copied().unwrap_or(b'0')));
                return;
            }
            Field::MonthName | Field::Weekday | Field::AmPm => {
                out.extend_from_slice(self.name(moment, width).as_bytes());
                return;
            }
        };
        write_number(number, width, out);
    }

    fn name(self, moment: &Moment, width: usize) -> &'static str {
        let name = match self {
            Field::MonthName => MONTHS[(moment.date.month - 1).rem_euclid(12) as usize],
            Field::Weekday => WEEKDAYS[(iso_weekday(moment.days) - 1).rem_euclid(7) as usize],
            _ => return if moment.second_of_day < DAY / 2 { "AM" } else { "PM" },
        };
        if width > 3 { name } else { &name[..3] }
    }
}

/// Two digits at once where that is all; else in general.
fn write_number(number: i64, width: usize, out: &mut Vec<u8>) {
    match (width, number) {
        (1 | 2, 10..=99) | (2, 0..=9) => {
            out.extend_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8])
        }
        _ => out.extend_from_slice(padded(number, width).as_bytes()),
    }
}

fn padded(number: i64, width: usize) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{:0width$}", number.unsigned_abs())
}

/// What a text says of a moment; what it leaves out is that of 1970-01-01 00:00:00.
#[derive(Debug, Default)]
struct Parsed {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    half_day: Option<i64>,
    afternoon: bool,
    minute: i64,
    second: i64,
    nanos: i64,
}

impl Pattern {
    /// The moment that a text stands for, in seconds and nanoseconds of local time; none if it does not fit.
    pub(crate) fn read(&self, text: &str) -> Option<(i64, i64)> {
        let mut rest = text;
        let mut parsed = Parsed::default();
        for (nth, segment) in self.segments.iter().enumerate() {
            rest = match segment {
                Segment::Literal(literal) => rest.strip_prefix(literal.as_str())?,
                Segment::Field(field, width) => {
                    let adjacent = matches!(self.segments.get(nth + 1), Some(Segment::Field(..)));
                    parsed.read(*field, *width, adjacent, rest)?
                }
            };
        }
        if rest.is_empty() { parsed.moment() } else { None }
    }
}

impl Parsed {
    /// Takes a field from the beginning of `text`; returns what follows it.
    fn read<'a>(&mut self, field: Field, width: usize, adjacent: bool, text: &'a str) -> Option<&'a str> {
        match field {
            Field::MonthName => {
                let (nth, after) = named(&MONTHS, width, text)?;
                self.month = Some(nth + 1);
                return Some(after);
            }
            Field::Weekday => return named(&WEEKDAYS, width, text).map(|(_, after)| after),
            Field::AmPm => {
                let (half, after) = text.split_at_checked(2)?;
                self.afternoon = half.eq_ignore_ascii_case("PM");
                return (self.afternoon || half.eq_ignore_ascii_case("AM")).then_some(after);
            }
            _ => {}
        }
        let (least, most) = match (field, width) {
            (Field::Fraction, width) => (width, width),
            (Field::Year, 2) => (2, 2),
            (Field::Year, width) => (width, if adjacent { width } else { 9 }),
            (Field::DayOfYear, width) => (width, 3),
            (_, 1) => (1, if adjacent { 1 } else { 2 }),
            (_, width) => (width, width),
        };
        let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, after) = text.split_at(digits);
        let number = if digits.len() < least { None } else { digits.parse::<i64>().ok() }?;
        self.set(field, width, number)?;
        Some(after)
    }

    fn set(&mut self, field: Field, width: usize, number: i64) -> Option<()> {
        let within = |most: i64| (number <= most).then_some(());
        match field {
            Field::Year if width == 2 => self.year = Some(2_000 + number),
            Field::Year => self.year = Some(number),
            Field::Month => self.month = Some(number),
            Field::Day => self.day = Some(number),
            Field::DayOfYear => self.day_of_year = Some(number),
            Field::Hour => {
                self.hour = number;
                return within(23);
            }
            Field::HourFromOne => {
                self.hour = number % 24;
                return within(24);
            }
            Field::HalfDayHour | Field::ClockHour => {
                self.half_day = Some(number % 12);
                return within(12);
            }
            Field::Minute => {
                self.minute = number;
                return within(59);
            }
            Field::Second => {
                self.second = number;
                return within(59);
            }
            Field::Fraction => self.nanos = scaled_to_nanos(number, width)?,
            _ => {}
        }
        Some(())
    }

    fn moment(&self) -> Option<(i64, i64)> {
        let year = self.year.unwrap_or(1970);
        let days = match self.day_of_year {
            Some(day) => Date::new(year, 1, 1)?.days() + day - 1,
            None => Date::new(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?.days(),
        };
        let hour = self.half_day.map_or(self.hour, |hour| hour + if self.afternoon { 12 } else { 0 });
        Some((days * DAY + hour * 3_600 + self.minute * 60 + self.second, self.nanos))
    }
}

fn scaled_to_nanos(number: i64, width: usize) -> Option<i64> {
    match width {
        0..=9 => Some(number * 10_i64.pow(9 - u32::try_from(width).ok()?)),
        _ => Some(number / 10_i64.checked_pow(u32::try_from(width).ok()? - 9)?),
    }
}

/// The number of the name that the text begins with.
fn named<'a>(names: &[&str], width: usize, text: &'a str) -> Option<(i64, &'a str)> {
    (0..).zip(names).find_map(|(nth, name)| {
        let name = if width > 3 { name } else { &name[..3] };
        let (start, after) = text.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some((nth, after))
    })
}
