//! Looking for something in strings: lengths, places, parts, replacements, properties.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array};
use datafusion_common::Result;
use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter};

use super::{char_count, position_of_char};
use crate::scalar::args::{Args, Text, booleans, integers, ints, texts, texts_or_null};
use crate::scalar::function::{Param, Returns, Spec};

const TEXT: &[Param] = &[Param::Text];
const TEXTS_2: &[Param] = &[Param::Text, Param::Text];

/// The functions of this module.
pub(crate) static FUNCTIONS: &[Spec] = &[
    Spec::new("char_length", TEXT, Returns::Int, char_length).aliases(&["character_length", "length"]).doc(
        "CHAR_LENGTH(string)",
        "the number of characters",
        "CHAR_LENGTH('naïve') = 5",
    ),
    Spec::new("split_index", &[Param::Text, Param::Text, Param::Integer], Returns::Text, split_index).nullable().doc(
        "SPLIT_INDEX(string, delimiter, index)",
        "the part with this index (from 0) between delimiters; NULL if there are fewer",
        "SPLIT_INDEX('a/b/c', '/', 1) = 'b'",
    ),
    Spec::new("replace", &[Param::Text, Param::Text, Param::Text], Returns::Text, replace).doc(
        "REPLACE(string, old, new)",
        "the string with every occurrence of a text replaced",
        "REPLACE('hello world', 'world', 'flink') = 'hello flink'",
    ),
    Spec::new("instr", &[Param::Text, Param::Text, Param::Integer, Param::Integer], Returns::Int, instr)
        .optional(2)
        .doc(
            "INSTR(string, sub[, start[, occurrence]])",
            "the position (from 1) of a text in a string; 0 if it is not there; a negative start searches backwards",
            "INSTR('Corporate Floor', 'or', 3, 2) = 14",
        ),
    Spec::new("locate", &[Param::Text, Param::Text, Param::Integer], Returns::Int, locate).optional(1).doc(
        "LOCATE(sub, string[, start])",
        "the position (from 1) of a text in a string, from a start on; 0 if it is not there",
        "LOCATE('bar', 'foobarbar', 5) = 7",
    ),
    Spec::new("count_char", TEXTS_2, Returns::BigInt, count_char).doc(
        "COUNT_CHAR(string, character)",
        "how often a text occurs in a string, without overlaps",
        "COUNT_CHAR('success', 'c') = 2",
    ),
    Spec::new("ascii", TEXT, Returns::Int, ascii).doc(
        "ASCII(string)",
        "the code of the first character's first byte; 0 for an empty string",
        "ASCII('abc') = 97",
    ),
    Spec::new("is_alpha", TEXT, Returns::Boolean, is_alpha).doc(
        "IS_ALPHA(string)",
        "whether the string consists of letters only, and is not empty",
        "IS_ALPHA('Abc') = TRUE",
    ),
    Spec::new("is_digit", TEXT, Returns::Boolean, is_digit).doc(
        "IS_DIGIT(string)",
        "whether the string consists of digits only, and is not empty",
        "IS_DIGIT('12a') = FALSE",
    ),
    Spec::new("is_decimal", TEXT, Returns::Boolean, is_decimal).doc(
        "IS_DECIMAL(string)",
        "whether the string is a number",
        "IS_DECIMAL('-12.5') = TRUE",
    ),
];

fn char_length(args: &Args<'_>) -> Result<ArrayRef> {
    match args.text(0)? {
        Text::Column(column) if column.is_ascii() => {
            let lengths: Vec<i32> = column.value_offsets().windows(2).map(|ends| ends[1] - ends[0]).collect();
            Ok(Arc::new(Int32Array::new(lengths.into(), args.nulls())))
        }
        text => Ok(ints(args.rows, args.nulls(), |row| char_count(text.at(row).as_bytes()) as i32)),
    }
}

fn split_index(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, delimiter, index) = (args.text(0)?, args.text(1)?, args.integer(2)?);
    let nulls = args.nulls();
    let bytes = text.total_bytes() / 4;
    let nth = |row: usize| usize::try_from(index.at(row)).ok();
    match delimiter.constant().map(str::as_bytes) {
        Some([delimiter]) => texts_or_null(args.rows, nulls.as_ref(), bytes, |row, out| {
            append(part_between_bytes(text.at(row).as_bytes(), *delimiter, nth(row)), out)
        }),
        Some(delimiter) if !delimiter.is_empty() => {
            let finder = Finder::new(delimiter);
            texts_or_null(args.rows, nulls.as_ref(), bytes, |row, out| {
                append(part_between(text.at(row).as_bytes(), &finder, nth(row)), out)
            })
        }
        _ => texts_or_null(args.rows, nulls.as_ref(), bytes, |row, out| match delimiter.at(row) {
            "" => append(part_between_spaces(text.at(row), nth(row)), out),
            delimiter => append(part_between(text.at(row).as_bytes(), &Finder::new(delimiter), nth(row)), out),
        }),
    }
}

/// Appends the part, if there is one.
#[inline]
fn append(part: Option<&[u8]>, out: &mut Vec<u8>) -> bool {
    part.inspect(|part| out.extend_from_slice(part)).is_some()
}

/// As in Flink, an empty string has no parts.
#[inline]
fn part_between_bytes(text: &[u8], delimiter: u8, nth: Option<usize>) -> Option<&[u8]> {
    let nth = nth.filter(|_| !text.is_empty())?;
    let mut ends = memchr_iter(delimiter, text);
    let start = if nth == 0 { 0 } else { ends.nth(nth - 1)? + 1 };
    Some(&text[start..ends.next().unwrap_or(text.len())])
}

fn part_between<'a>(text: &'a [u8], delimiter: &Finder<'_>, nth: Option<usize>) -> Option<&'a [u8]> {
    let nth = nth.filter(|_| !text.is_empty())?;
    let mut ends = delimiter.find_iter(text);
    let start = if nth == 0 { 0 } else { ends.nth(nth - 1)? + delimiter.needle().len() };
    Some(&text[start..ends.next().unwrap_or(text.len())])
}

/// An empty delimiter stands for white space.
fn part_between_spaces(text: &str, nth: Option<usize>) -> Option<&[u8]> {
    let nth = nth.filter(|_| !text.is_empty())?;
    text.split(char::is_whitespace).nth(nth).map(str::as_bytes)
}

fn replace(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, old, new) = (args.text(0)?, args.text(1)?, args.text(2)?);
    let bytes = text.total_bytes();
    match old.constant().map(str::as_bytes) {
        Some([old]) => texts(args.rows, args.nulls(), bytes, |row, out| {
            let (text, new) = (text.at(row).as_bytes(), new.at(row).as_bytes());
            replace_all(text, memchr_iter(*old, text), 1, new, out);
        }),
        Some(old) if !old.is_empty() => {
            let finder = Finder::new(old);
            texts(args.rows, args.nulls(), bytes, |row, out| {
                let (text, new) = (text.at(row).as_bytes(), new.at(row).as_bytes());
                replace_all(text, finder.find_iter(text), old.len(), new, out);
            })
        }
        _ => texts(args.rows, args.nulls(), bytes, |row, out| {
            let (text, old, new) = (text.at(row).as_bytes(), old.at(row), new.at(row).as_bytes());
            let finder = Finder::new(old);
            let places = finder.find_iter(text).take_while(|_| !old.is_empty());
            replace_all(text, places, old.len(), new, out);
        }),
    }
}

#[inline]
fn replace_all(text: &[u8], places: impl Iterator<Item = usize>, length: usize, new: &[u8], out: &mut Vec<u8>) {
    let mut copied = 0;
    for place in places {
        out.extend_from_slice(&text[copied..place]);
        out.extend_from_slice(new);
        copied = place + length;
    }
    out.extend_from_slice(&text[copied..]);
}

fn count_char(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, wanted) = (args.text(0)?, args.text(1)?);
    Ok(match wanted.constant().map(str::as_bytes) {
        Some([wanted]) => integers(args.rows, args.nulls(), |row| count_byte(text.at(row).as_bytes(), *wanted)),
        _ => integers(args.rows, args.nulls(), |row| match wanted.at(row) {
            "" => 0,
            wanted => Finder::new(wanted).find_iter(text.at(row).as_bytes()).count() as i64,
        }),
    })
}

/// Counted in blocks of at most 255 bytes, whose counts fit in a byte: so the compiler uses vectors of bytes.
#[inline]
fn count_byte(bytes: &[u8], wanted: u8) -> i64 {
    let in_block = |block: &[u8]| i64::from(block.iter().map(|byte| u8::from(*byte == wanted)).sum::<u8>());
    bytes.chunks(255).map(in_block).sum()
}

fn instr(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, wanted) = (args.text(0)?, args.text(1)?);
    let (start, occurrence) = (args.integer_or(2, 1)?, args.integer_or(3, 1)?);
    Ok(ints(args.rows, args.nulls(), |row| {
        let (text, wanted) = (text.at(row), wanted.at(row));
        let found = match start.at(row) {
            0 => None,
            start if start > 0 => nth_from(text, wanted, start, occurrence.at(row)),
            start => nth_backwards(text, wanted, start, occurrence.at(row)),
        };
        found.map_or(0, |position| char_count(&text.as_bytes()[..position]) as i32 + 1)
    }))
}

fn locate(args: &Args<'_>) -> Result<ArrayRef> {
    let (wanted, text, start) = (args.text(0)?, args.text(1)?, args.integer_or(2, 1)?);
    Ok(ints(args.rows, args.nulls(), |row| {
        let text = text.at(row);
        let found = nth_from(text, wanted.at(row), start.at(row).max(1), 1);
        found.map_or(0, |position| char_count(&text.as_bytes()[..position]) as i32 + 1)
    }))
}

/// The byte position of the n-th occurrence that starts at the `start`-th character or after it.
fn nth_from(text: &str, wanted: &str, start: i64, occurrence: i64) -> Option<usize> {
    let skipped = usize::try_from(start - 1).ok()?;
    let nth = usize::try_from(occurrence.checked_sub(1)?).ok()?;
    let from = if skipped == 0 { 0 } else { position_of_char(text, skipped) };
    let overlapping = |after: usize| {
        let tail = text.get(after..)?;
        let found = if let [byte] = wanted.as_bytes() { memchr(*byte, tail.as_bytes()) } else { tail.find(wanted) };
        found.map(|position| after + position)
    };
    let mut found = overlapping(from)?;
    for _ in 0..nth {
        let step = text[found..].chars().next().map_or(1, char::len_utf8);
        found = overlapping(found + step)?;
    }
    Some(found)
}

/// The same, backwards from the `-start`-th character from the end.
fn nth_backwards(text: &str, wanted: &str, start: i64, occurrence: i64) -> Option<usize> {
    let last = i64::try_from(char_count(text.as_bytes())).ok()?.checked_add(start)?;
    let last = position_of_char(text, usize::try_from(last).ok()?);
    let nth = usize::try_from(occurrence.checked_sub(1)?).ok()?;
    let places = text[..=last.min(text.len().saturating_sub(1))].char_indices().rev();
    places.map(|(position, _)| position).filter(|position| text[*position..].starts_with(wanted)).nth(nth)
}

fn ascii(args: &Args<'_>) -> Result<ArrayRef> {
    let text = args.text(0)?;
    Ok(ints(args.rows, args.nulls(), |row| text.at(row).bytes().next().map_or(0, i32::from)))
}

fn is_alpha(args: &Args<'_>) -> Result<ArrayRef> {
    property(args, |text| !text.is_empty() && text.chars().all(char::is_alphabetic))
}

fn is_digit(args: &Args<'_>) -> Result<ArrayRef> {
    property(args, |text| !text.is_empty() && text.chars().all(char::is_numeric))
}

fn is_decimal(args: &Args<'_>) -> Result<ArrayRef> {
    property(args, |text| {
        let text = text.trim();
        // What Rust reads beyond numbers (inf, nan) has letters other than an exponent's.
        text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) && text.parse::<f64>().is_ok()
    })
}

fn property(args: &Args<'_>, holds: impl Fn(&str) -> bool) -> Result<ArrayRef> {
    let text = args.text(0)?;
    Ok(booleans(args.rows, args.nulls(), |row| holds(text.at(row))))
}
