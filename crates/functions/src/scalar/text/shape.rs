//! Making strings of strings: cutting, padding, joining.

use arrow::array::{Array, ArrayRef, AsArray};
use datafusion_common::Result;
use fleuve_base::{Error, ErrorKind};

use super::{char_count, position_of_char};
use crate::compile::external;
use crate::scalar::args::{Args, Text, finish_texts, texts, texts_or_null};
use crate::scalar::function::{Param, Returns, Spec};

/// The longest string that REPEAT, LPAD and RPAD make.
const STRING_BYTES_MAX: usize = 16 << 20;

const TEXT: &[Param] = &[Param::Text];
const TEXT_COUNT: &[Param] = &[Param::Text, Param::Integer];
const PAD: &[Param] = &[Param::Text, Param::Integer, Param::Text];

/// The functions of this module.
pub(crate) static FUNCTIONS: &[Spec] = &[
    Spec::new("substring", &[Param::Text, Param::Integer, Param::Integer], Returns::Text, substring)
        .aliases(&["substr"])
        .optional(1)
        .nullable()
        .doc(
            "SUBSTRING(string, start[, length])",
            "the part from a character on (from 1; negative: from the end), of at most this length",
            "SUBSTRING('hello', 2, 3) = 'ell'",
        ),
    Spec::new("left", TEXT_COUNT, Returns::Text, left).doc(
        "LEFT(string, length)",
        "the first characters",
        "LEFT('hello', 2) = 'he'",
    ),
    Spec::new("right", TEXT_COUNT, Returns::Text, right).doc(
        "RIGHT(string, length)",
        "the last characters",
        "RIGHT('hello', 2) = 'lo'",
    ),
    Spec::new("lpad", PAD, Returns::Text, lpad).optional(1).nullable().can_fail().doc(
        "LPAD(string, length[, pad])",
        "the string filled up on the left, or cut, to this length; NULL for a negative length",
        "LPAD('hi', 4, '??') = '??hi'",
    ),
    Spec::new("rpad", PAD, Returns::Text, rpad).optional(1).nullable().can_fail().doc(
        "RPAD(string, length[, pad])",
        "the string filled up on the right, or cut, to this length; NULL for a negative length",
        "RPAD('hi', 1, '??') = 'h'",
    ),
    Spec::new("repeat", TEXT_COUNT, Returns::Text, repeat).can_fail().doc(
        "REPEAT(string, count)",
        "the string so many times over",
        "REPEAT('ab', 3) = 'ababab'",
    ),
    Spec::new("reverse", TEXT, Returns::Text, reverse).doc(
        "REVERSE(string)",
        "the characters in the opposite order",
        "REVERSE('héllo') = 'olléh'",
    ),
    Spec::new("concat", TEXT, Returns::Text, concat).repeats().doc(
        "CONCAT(string, …)",
        "the strings one after the other; NULL if any is NULL",
        "CONCAT('AA', 'BB', 'CC') = 'AABBCC'",
    ),
    Spec::new("concat_ws", &[Param::Text, Param::Text], Returns::Text, concat_ws)
        .optional(1)
        .repeats()
        .sees_nulls()
        .doc(
            "CONCAT_WS(separator, string, …)",
            "the strings that are not NULL, with a separator between them",
            "CONCAT_WS('~', 'AA', NULL, 'BB') = 'AA~BB'",
        ),
    Spec::new("initcap", TEXT, Returns::Text, initcap).doc(
        "INITCAP(string)",
        "the first letter of each word large, the others small",
        "INITCAP('a heLLo') = 'A Hello'",
    ),
    Spec::new("chr", &[Param::Integer], Returns::Text, chr).nullable().doc(
        "CHR(integer)",
        "the character with this code, modulo 256; NULL for a negative one",
        "CHR(97) = 'a'",
    ),
];

fn substring(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, start, length) = (args.text(0)?, args.integer(1)?, args.integer_or(2, i64::MAX)?);
    let ascii = text.is_ascii();
    let nulls = args.nulls();
    texts_or_null(args.rows, nulls.as_ref(), text.total_bytes(), |row, out| {
        let text = text.at(row);
        if length.at(row) < 0 {
            return false;
        }
        let chars = if ascii { text.len() } else { char_count(text.as_bytes()) };
        if let Some((from, to)) = char_range(chars, start.at(row), length.at(row)) {
            out.extend_from_slice(slice_chars(text, ascii, from, to).as_bytes());
        }
        true
    })
}

/// The characters `from..to` that a start (from 1, negative: from the end, 0 as 1) and a length mean.
fn char_range(chars: usize, start: i64, length: i64) -> Option<(usize, usize)> {
    let chars = i64::try_from(chars).ok()?;
    let from = match start {
        1.. => start - 1,
        0 => 0,
        _ => chars.checked_add(start)?,
    };
    let to = from.saturating_add(length).min(chars);
    if from < 0 || from >= to {
        return None;
    }
    Some((usize::try_from(from).ok()?, usize::try_from(to).ok()?))
}

#[inline]
fn slice_chars(text: &str, ascii: bool, from: usize, to: usize) -> &str {
    if ascii {
        return &text[from..to];
    }
    let start = position_of_char(text, from);
    let end = start + position_of_char(&text[start..], to - from);
    &text[start..end]
}

fn left(args: &Args<'_>) -> Result<ArrayRef> {
    cut(args, |chars, length| (0, length.min(chars)))
}

fn right(args: &Args<'_>) -> Result<ArrayRef> {
    cut(args, |chars, length| (chars - length.min(chars), chars))
}

fn cut(args: &Args<'_>, range: impl Fn(usize, usize) -> (usize, usize)) -> Result<ArrayRef> {
    let (text, length) = (args.text(0)?, args.integer(1)?);
    let ascii = text.is_ascii();
    texts(args.rows, args.nulls(), text.total_bytes(), |row, out| {
        let text = text.at(row);
        let chars = if ascii { text.len() } else { char_count(text.as_bytes()) };
        let (from, to) = range(chars, usize::try_from(length.at(row)).unwrap_or(0));
        out.extend_from_slice(slice_chars(text, ascii, from, to).as_bytes());
    })
}

fn lpad(args: &Args<'_>) -> Result<ArrayRef> {
    pad(args, true)
}

fn rpad(args: &Args<'_>) -> Result<ArrayRef> {
    pad(args, false)
}

fn pad(args: &Args<'_>, on_left: bool) -> Result<ArrayRef> {
    let (text, length, pad) = (args.text(0)?, args.integer(1)?, args.text_or(2, " ")?);
    let nulls = args.nulls();
    let mut too_long = false;
    let padded = texts_or_null(args.rows, nulls.as_ref(), text.total_bytes() * 2, |row, out| {
        let (text, pad) = (text.at(row), pad.at(row));
        let Ok(length) = usize::try_from(length.at(row)) else { return false };
        if length > STRING_BYTES_MAX || pad.is_empty() {
            too_long |= length > STRING_BYTES_MAX;
            return false;
        }
        let kept = &text[..position_of_char(text, length)];
        let fill = pad.chars().cycle().take(length - char_count(kept.as_bytes()));
        if on_left {
            extend_chars(out, fill);
            out.extend_from_slice(kept.as_bytes());
        } else {
            out.extend_from_slice(kept.as_bytes());
            extend_chars(out, fill);
        }
        true
    })?;
    if too_long { Err(string_too_long(args)) } else { Ok(padded) }
}

fn string_too_long(args: &Args<'_>) -> datafusion_common::DataFusionError {
    let error = args.fail("E307", &format!("the result is longer than {STRING_BYTES_MAX} bytes"));
    let message = crate::compile::to_error(&error).message().to_string();
    external(Error::new(ErrorKind::Limit, "E307", message))
}

fn extend_chars(out: &mut Vec<u8>, chars: impl Iterator<Item = char>) {
    chars.for_each(|c| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()));
}

fn repeat(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, count) = (args.text(0)?, args.integer(1)?);
    let nulls = args.nulls();
    let mut too_long = false;
    let repeated = texts(args.rows, nulls, text.total_bytes() * 2, |row, out| {
        let text = text.at(row).as_bytes();
        let count = usize::try_from(count.at(row)).unwrap_or(0);
        if text.len().saturating_mul(count) > STRING_BYTES_MAX {
            too_long = true;
            return;
        }
        (0..count).for_each(|_| out.extend_from_slice(text));
    })?;
    if too_long { Err(string_too_long(args)) } else { Ok(repeated) }
}

fn reverse(args: &Args<'_>) -> Result<ArrayRef> {
    let text = args.text(0)?;
    let ascii = text.is_ascii();
    texts(args.rows, args.nulls(), text.total_bytes(), |row, out| match ascii {
        true => out.extend(text.at(row).bytes().rev()),
        false => extend_chars(out, text.at(row).chars().rev()),
    })
}

fn concat(args: &Args<'_>) -> Result<ArrayRef> {
    let parts = (0..args.len()).map(|nth| args.text(nth)).collect::<Result<Vec<_>>>()?;
    let bytes = parts.iter().map(|part| match part {
        Text::Constant(text) => text.len() * args.rows,
        Text::Column(_) => part.total_bytes(),
    });
    texts(args.rows, args.nulls(), bytes.sum(), |row, out| {
        parts.iter().for_each(|part| out.extend_from_slice(part.at(row).as_bytes()));
    })
}

fn concat_ws(args: &Args<'_>) -> Result<ArrayRef> {
    let arrays = (0..args.len()).map(|nth| args.array(nth)).collect::<Result<Vec<_>>>()?;
    let Some((separator, parts)) = arrays.split_first() else { return finish_texts(vec![], vec![0], None) };
    let separator = separator.as_string::<i32>();
    let parts: Vec<_> = parts.iter().map(|part| part.as_string::<i32>()).collect();
    texts(args.rows, separator.nulls().cloned(), 0, |row, out| {
        let present = parts.iter().filter(|part| part.is_valid(row));
        for (nth, part) in present.enumerate() {
            if nth > 0 {
                out.extend_from_slice(separator.value(row).as_bytes());
            }
            out.extend_from_slice(part.value(row).as_bytes());
        }
    })
}

fn initcap(args: &Args<'_>) -> Result<ArrayRef> {
    let text = args.text(0)?;
    texts(args.rows, args.nulls(), text.total_bytes(), |row, out| {
        let mut in_word = false;
        for c in text.at(row).chars() {
            if in_word {
                extend_chars(out, c.to_lowercase())
            } else {
                extend_chars(out, c.to_uppercase())
            }
            in_word = c.is_alphanumeric();
        }
    })
}

fn chr(args: &Args<'_>) -> Result<ArrayRef> {
    let code = args.integer(0)?;
    let nulls = args.nulls();
    texts_or_null(args.rows, nulls.as_ref(), args.rows, |row, out| {
        let code = code.at(row);
        // Negative codes have no character; the others are those of Latin-1, as in Flink.
        let Ok(byte) = u8::try_from(code & 0xFF) else { return false };
        extend_chars(out, std::iter::once(char::from(byte)));
        code >= 0
    })
}
