//! The replacement of REGEXP_REPLACE, in Java's notation.

use regex::Regex;

/// A replacement: `$1` and `${name}` stand for what a group took, a backslash takes the next character as it is.
pub(super) struct Replacement(Vec<Part>);

enum Part {
    Literal(String),
    Group(usize),
    Named(String),
}

impl Replacement {
    /// Reads a replacement; every text is one.
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if let Some((part, after)) = (c == '$').then(|| group(rest)).flatten() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
                parts.push(part);
                rest = after;
                continue;
            }
            let taken = if c == '\\' { rest.chars().next() } else { None };
            rest = &rest[taken.map_or(0, char::len_utf8)..];
            literal.push(taken.unwrap_or(c));
        }
        parts.push(Part::Literal(literal));
        Replacement(parts)
    }

    /// Appends `text` with every match of `regex` replaced.
    pub(super) fn replace_all(&self, regex: &Regex, text: &str, out: &mut Vec<u8>) {
        let mut copied = 0;
        if let [Part::Literal(literal)] = self.0.as_slice() {
            for found in regex.find_iter(text) {
                out.extend_from_slice(&text.as_bytes()[copied..found.start()]);
                out.extend_from_slice(literal.as_bytes());
                copied = found.end();
            }
        } else {
            for captures in regex.captures_iter(text) {
                let Some(found) = captures.get(0) else { continue };
                out.extend_from_slice(&text.as_bytes()[copied..found.start()]);
                self.0.iter().for_each(|part| out.extend_from_slice(part.text(&captures).as_bytes()));
                copied = found.end();
            }
        }
        out.extend_from_slice(&text.as_bytes()[copied..]);
    }
}

impl Part {
    fn text<'a>(&'a self, captures: &regex::Captures<'a>) -> &'a str {
        let group = match self {
            Part::Literal(literal) => return literal,
            Part::Group(number) => captures.get(*number),
            Part::Named(name) => captures.name(name),
        };
        group.map_or("", |found| found.as_str())
    }
}

/// The group that `text`, which follows a dollar sign, begins with, and what comes after it.
fn group(text: &str) -> Option<(Part, &str)> {
    if let Some(inner) = text.strip_prefix('{') {
        let (name, after) = inner.split_once('}')?;
        return Some((Part::Named(name.to_string()), after));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok()?;
    Some((Part::Group(number), &text[digits..]))
}
