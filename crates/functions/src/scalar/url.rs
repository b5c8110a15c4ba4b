//! Parts and encodings of URLs.

use arrow::array::ArrayRef;
use datafusion_common::{Result, ScalarValue};
use fleuve_base::Error;

use super::args::{Args, texts, texts_or_null};
use super::function::{Param, Returns, Spec};
use crate::compile::external;

const TEXT: &[Param] = &[Param::Text];

/// The functions of this module.
pub(super) static FUNCTIONS: &[Spec] = &[
    Spec::new("parse_url", &[Param::Text, Param::Text, Param::Text], Returns::Text, parse_url)
        .optional(1)
        .nullable()
        .checked(check_part)
        .doc(
            "PARSE_URL(url, part[, key])",
            "a part of a URL: HOST, PATH, QUERY (of one key, if given), REF, PROTOCOL, FILE, AUTHORITY or USERINFO",
            "PARSE_URL('http://facebook.com/path?a=1&b=2', 'QUERY', 'b') = '2'",
        ),
    Spec::new("url_encode", TEXT, Returns::Text, url_encode).doc(
        "URL_ENCODE(string)",
        "the string in the form of a URL's query",
        "URL_ENCODE('a b&c') = 'a+b%26c'",
    ),
    Spec::new("url_decode", TEXT, Returns::Text, url_decode).nullable().doc(
        "URL_DECODE(string)",
        "the string that was encoded for a URL; NULL if it was not",
        "URL_DECODE('a+b%26c') = 'a b&c'",
    ),
];

/// The parts of a URL.
struct Url<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let valid = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if scheme.is_empty() || !valid {
            return None;
        }
        let (rest, fragment) = split_off(rest, '#');
        let (rest, query) = split_off(rest, '?');
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        Some(Url { scheme, authority, path, query, fragment })
    }

    fn host(&self) -> Option<&'a str> {
        let host = self.authority.rsplit_once('@').map_or(self.authority, |(_, host)| host);
        let end = match host.strip_prefix('[').and_then(|inner| inner.find(']')) {
            Some(bracket) => bracket + 2,
            None => host.find(':').unwrap_or(host.len()),
        };
        Some(&host[..end]).filter(|host| !host.is_empty())
    }

    fn user(&self) -> Option<&'a str> {
        self.authority.rsplit_once('@').map(|(user, _)| user)
    }

    fn value_of(&self, key: &str) -> Option<&'a str> {
        let pair = |item: &'a str| item.split_once('=').filter(|(name, _)| *name == key);
        self.query?.split('&').find_map(pair).map(|(_, value)| value)
    }
}

fn split_off(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(before, after)| (before, Some(after)))
}

const PARTS: [&str; 8] = ["HOST", "PATH", "QUERY", "REF", "PROTOCOL", "FILE", "AUTHORITY", "USERINFO"];

fn check_part(args: &[Option<&ScalarValue>]) -> Result<()> {
    match args.get(1).copied().flatten().and_then(|scalar| scalar.try_as_str().flatten()) {
        Some(part) if !PARTS.contains(&part) => {
            let error = Error::input("E309", format!("PARSE_URL: a URL has no part `{part}`"));
            Err(external(error.with_hint(format!("it has {}", PARTS.join(", ")))))
        }
        _ => Ok(()),
    }
}

fn parse_url(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, part) = (args.text(0)?, args.text(1)?);
    let key = if args.len() == 3 { Some(args.text(2)?) } else { None };
    let nulls = args.nulls();
    texts_or_null(args.rows, nulls.as_ref(), text.total_bytes() / 2, |row, out| {
        let Some(url) = Url::parse(text.at(row)) else { return false };
        let found = match (part.at(row), key.map(|key| key.at(row))) {
            ("QUERY", Some(key)) => url.value_of(key),
            (_, Some(_)) => None,
            ("HOST", None) => url.host(),
            ("PATH", None) => Some(url.path),
            ("QUERY", None) => url.query,
            ("REF", None) => url.fragment,
            ("PROTOCOL", None) => Some(url.scheme),
            ("AUTHORITY", None) => Some(url.authority).filter(|authority| !authority.is_empty()),
            ("USERINFO", None) => url.user(),
            ("FILE", None) => {
                out.extend_from_slice(url.path.as_bytes());
                if url.query.is_some() {
                    out.push(b'?');
                }
                Some(url.query.unwrap_or_default())
            }
            _ => None,
        };
        found.inspect(|found| out.extend_from_slice(found.as_bytes())).is_some()
    })
}

fn url_encode(args: &Args<'_>) -> Result<ArrayRef> {
    let text = args.text(0)?;
    texts(args.rows, args.nulls(), text.total_bytes(), |row, out| {
        for byte in text.at(row).bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => out.push(byte),
                b' ' => out.push(b'+'),
                other => out.extend_from_slice(format!("%{other:02X}").as_bytes()),
            }
        }
    })
}

fn url_decode(args: &Args<'_>) -> Result<ArrayRef> {
    let text = args.text(0)?;
    let nulls = args.nulls();
    texts_or_null(args.rows, nulls.as_ref(), text.total_bytes(), |row, out| {
        let start = out.len();
        let decoded = decode(text.at(row).as_bytes(), out).is_some() && std::str::from_utf8(&out[start..]).is_ok();
        if !decoded {
            out.truncate(start);
        }
        decoded
    })
}

fn decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            other => *other,
        });
    }
    Some(())
}
