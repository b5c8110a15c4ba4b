//! Escapes within text: resolving them on the way in, writing them on the way out.

use crate::column::Dialect;

/// Appends `text` with its escapes resolved. `out` may hold a part of it after an error.
pub(crate) fn unescape(text: &[u8], dialect: Dialect, out: &mut Vec<u8>) -> Result<(), &'static str> {
    match dialect {
        Dialect::Json => unescape_json(text, out),
        Dialect::Csv { quote, escape, .. } => {
            unescape_csv(text, quote, escape, out);
            Ok(())
        }
    }
}

fn unescape_json(text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (escape, after) = rest[at + 1..].split_first().ok_or("an escape ends in the middle")?;
        rest = after;
        match simple_escape(*escape) {
            Some(byte) => out.push(byte),
            None if *escape == b'u' => rest = push_unicode(rest, out)?,
            None => return Err("the text holds an escape that JSON does not have"),
        }
    }
    out.extend_from_slice(rest);
    Ok(())
}

fn simple_escape(escape: u8) -> Option<u8> {
    Some(match escape {
        b'"' | b'\\' | b'/' => escape,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// Appends the character of `XXXX`, or of a surrogate pair `XXXX\uXXXX`; returns what follows.
fn push_unicode<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    const LONE: &str = "the text holds half of a surrogate pair";
    let (first, mut rest) = four_hex(text)?;
    let code = match first {
        0xd800..=0xdbff => {
            let (second, after) = four_hex(rest.strip_prefix(b"\\u").ok_or(LONE)?)?;
            if !(0xdc00..=0xdfff).contains(&second) {
                return Err(LONE);
            }
            rest = after;
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        }
        _ => first,
    };
    let character = char::from_u32(code).ok_or(LONE)?;
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(rest)
}

fn four_hex(text: &[u8]) -> Result<(u32, &[u8]), &'static str> {
    const BROKEN: &str = "\\u needs four hexadecimal digits";
    let (digits, rest) = text.split_first_chunk::<4>().ok_or(BROKEN)?;
    let value = digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?));
    Ok((value.ok_or(BROKEN)?, rest))
}

fn unescape_csv(text: &[u8], quote: u8, escape: Option<u8>, out: &mut Vec<u8>) {
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        let escaped = Some(*byte) == escape || *byte == quote;
        out.push(if escaped { *rest.as_slice().first().unwrap_or(byte) } else { *byte });
        if escaped {
            rest.next();
        }
    }
}

/// Whether a byte must be escaped in a JSON string.
const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// For every byte whether it must be escaped.
const NEEDS_ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = needs_escape(byte as u8);
        byte += 1;
    }
    table
};

/// Appends `text` as a JSON string, with its quotes.
pub(crate) fn write_json_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = find_escape(rest) {
        out.extend_from_slice(&rest[..at]);
        write_escape(rest[at], out);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The first byte that must be escaped. Sixteen bytes at a time are tested without a branch.
#[inline]
fn find_escape(text: &[u8]) -> Option<usize> {
    let (chunks, _) = text.as_chunks::<16>();
    let dirty = |chunk: &[u8; 16]| chunk.iter().fold(false, |any, byte| any | needs_escape(*byte));
    let clean = chunks.iter().take_while(|chunk| !dirty(chunk)).count() * 16;
    let at = text[clean..].iter().position(|byte| NEEDS_ESCAPE[*byte as usize])?;
    Some(clean + at)
}

#[cold]
fn write_escape(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        8 => out.extend_from_slice(b"\\b"),
        12 => out.extend_from_slice(b"\\f"),
        _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(text: &str) -> Result<String, &'static str> {
        let mut out = Vec::new();
        unescape(text.as_bytes(), Dialect::Json, &mut out)?;
        Ok(String::from_utf8(out).expect("resolving escapes keeps UTF-8"))
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(text in "\\PC{0,20}[\\x00-\\x7f]{0,40}") {
            let mut out = Vec::new();
            write_json_string(text.as_bytes(), &mut out);
            let inner = std::str::from_utf8(&out[1..out.len() - 1]).expect("UTF-8");
            prop_assert_eq!(json(inner), Ok(text.clone()));
            prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("valid JSON"), text);
        }
    }

    #[test]
    fn escapes_of_json() {
        assert_eq!(json(r#"a\"b\\c\/d\b\f\n\r\te"#).as_deref(), Ok("a\"b\\c/d\u{8}\u{c}\n\r\te"));
        assert_eq!(json("\\u00e9\\uD83D\\uDE00").as_deref(), Ok("é😀"));
        assert_eq!(json("\\ud83d"), Err("the text holds half of a surrogate pair"));
        assert_eq!(json("\\ud83d\\u0041"), Err("the text holds half of a surrogate pair"));
        assert_eq!(json("\\udc00"), Err("the text holds half of a surrogate pair"));
        assert_eq!(json("\\u12"), Err("\\u needs four hexadecimal digits"));
        assert_eq!(json("\\x"), Err("the text holds an escape that JSON does not have"));
        assert_eq!(json("\\"), Err("an escape ends in the middle"));
    }

    #[test]
    fn quotes_of_csv() {
        let mut out = Vec::new();
        let dialect = Dialect::Csv { quote: b'"', escape: Some(b'\\'), elements: b';' };
        unescape(br#"a""b\nc\""#, dialect, &mut out).expect("CSV has no wrong escapes");
        assert_eq!(out, br#"a"bnc""#);
    }
}
