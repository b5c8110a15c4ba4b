//! The general JSON scanner: any value that RFC 8259 allows, found and checked without converting it.
//!
//! A line is the unit: a newline never counts as white space here, so that a broken line cannot swallow the next.

use crate::column::Source;
use crate::index::Index;
use crate::number;
use crate::span::{Kind, Span};

/// Levels of arrays and objects within one another.
pub(crate) const DEPTH_MAX: usize = 64;

/// What is wrong with a line, and where in the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    pub(crate) position: usize,
    pub(crate) what: &'static str,
}

type Scanned<T> = Result<T, Syntax>;

/// Scans one block.
#[derive(Clone, Copy)]
pub(crate) struct Scanner<'a> {
    pub(crate) block: &'a [u8],
    pub(crate) index: &'a Index,
    /// Where the line ends.
    pub(crate) end: usize,
}

pub(crate) fn wrong<T>(position: usize, what: &'static str) -> Scanned<T> {
    Err(Syntax { position, what })
}

impl<'a> Scanner<'a> {
    pub(crate) fn of(source: Source<'a>) -> Self {
        Scanner { block: source.block, index: source.index, end: source.block.len() }
    }

    /// Scans a line that ends here: at a newline, a zero byte, or the end of the block.
    #[inline]
    pub(crate) fn until(self, end: usize) -> Self {
        Scanner { end, ..self }
    }

    /// The byte at `position`; a newline at the end of the block.
    #[inline]
    pub(crate) fn byte(self, position: usize) -> u8 {
        self.block.get(position).copied().unwrap_or(b'\n')
    }

    /// The first position from `position` that is no white space.
    #[inline]
    pub(crate) fn skip_blanks(self, position: usize) -> usize {
        let mut at = position;
        while matches!(self.byte(at), b' ' | b'\t' | b'\r') {
            at += 1;
        }
        at
    }

    /// Whether an object goes on at `position` as it should behind a member: with another one, or with its end.
    #[inline(always)]
    pub(crate) fn goes_on(self, position: usize) -> bool {
        match (self.byte(position), self.byte(position + 1)) {
            (b',', b'"') | (b'}', _) => true,
            _ => self.goes_on_after_blanks(position),
        }
    }

    #[inline(never)]
    fn goes_on_after_blanks(self, position: usize) -> bool {
        let at = self.skip_blanks(position);
        match self.byte(at) {
            b',' => self.byte(self.skip_blanks(at + 1)) == b'"',
            byte => byte == b'}',
        }
    }

    /// After white space and `wanted`; otherwise an error that says `what` is missing.
    pub(crate) fn expect(self, position: usize, wanted: u8, what: &'static str) -> Scanned<usize> {
        let at = self.skip_blanks(position);
        if self.byte(at) == wanted { Ok(at + 1) } else { self.missing(at, what) }
    }

    /// The error for something that is not there; at the end of the line it says so.
    pub(crate) fn missing<T>(self, position: usize, what: &'static str) -> Scanned<T> {
        wrong(position, if position >= self.end { "the line ends in the middle of the JSON value" } else { what })
    }

    /// The span of the value that begins at `position` (no white space before it), `depth` levels down.
    pub(crate) fn value(self, position: usize, depth: usize) -> Scanned<Span> {
        match self.byte(position) {
            b'{' | b'[' => self.container(position, depth),
            _ => self.scalar(position).map(|(span, _)| span),
        }
    }

    /// The span of a value that is neither array nor object, and the position after it.
    #[inline]
    pub(crate) fn scalar(self, position: usize) -> Scanned<(Span, usize)> {
        match self.byte(position) {
            b'"' => self.string(position),
            b'-' | b'0'..=b'9' => self.number(position).map(|span| (span, span.end())),
            b'n' => self.word(position, b"null", Kind::Null),
            b't' => self.word(position, b"true", Kind::True),
            b'f' => self.word(position, b"false", Kind::False),
            _ => self.missing(position, "expected a JSON value"),
        }
    }

    fn word(self, position: usize, word: &'static [u8], kind: Kind) -> Scanned<(Span, usize)> {
        if !self.block[position..].starts_with(word) {
            return self.missing(position, "expected a JSON value");
        }
        let end = position + word.len();
        Ok((Span::new(kind, position, end), end))
    }

    /// The string whose opening quote is at `position`: the span within the quotes, and the position after them.
    #[inline]
    pub(crate) fn string(self, position: usize) -> Scanned<(Span, usize)> {
        let start = position + 1;
        let stop = self.index.next_stop(start);
        if self.byte(stop) == b'"' {
            return Ok((Span::new(Kind::Text, start, stop), stop + 1));
        }
        self.escaped_string(start, stop)
    }

    #[cold]
    fn escaped_string(self, start: usize, stop: usize) -> Scanned<(Span, usize)> {
        let mut at = stop;
        loop {
            match self.byte(at) {
                _ if at >= self.end => return wrong(start - 1, "this string has no closing quote"),
                b'"' => return Ok((Span::new(Kind::Escaped, start, at), at + 1)),
                b'\\' => at = self.escape(at)?,
                _ => return wrong(at, "a control character in a string must be written as an escape"),
            }
            at = self.index.next_stop(at);
        }
    }

    /// The position after the escape whose backslash is at `position`.
    fn escape(self, position: usize) -> Scanned<usize> {
        match self.byte(position + 1) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(position + 2),
            b'u' if (2..6).all(|at| self.byte(position + at).is_ascii_hexdigit()) => Ok(position + 6),
            b'u' => wrong(position, "\\u needs four hexadecimal digits"),
            _ => wrong(position, "this escape is not one that JSON has"),
        }
    }

    /// The number at `position`.
    #[inline]
    pub(crate) fn number(self, position: usize) -> Scanned<Span> {
        let first = position + usize::from(self.byte(position) == b'-');
        let end = self.digits(first);
        let leading_zero = self.byte(first) == b'0' && end > first + 1;
        if end == first || leading_zero {
            return wrong(position, "this is not a number that JSON allows");
        }
        if matches!(self.byte(end), b'.' | b'e' | b'E') {
            return self.long_number(position, end);
        }
        Ok(Span::new(Kind::Integer, position, end))
    }

    /// The position after the digits at `position`. Sixteen are looked at without a branch, as in the index.
    #[inline]
    fn digits(self, position: usize) -> usize {
        let words = (number::load8(self.block, position), number::load8(self.block, position + 8));
        let (Some(near), Some(far)) = words else { return self.digits_slowly(position) };
        let near = number::leading_digits(near);
        let far = if near == 8 { number::leading_digits(far) } else { 0 };
        if near + far == 16 { self.digits_slowly(position + 16) } else { position + near + far }
    }

    #[cold]
    fn digits_slowly(self, position: usize) -> usize {
        let mut at = position;
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        at
    }

    /// A number with a fraction or an exponent, whose digits end at `point`.
    fn long_number(self, position: usize, point: usize) -> Scanned<Span> {
        const WRONG: &str = "this is not a number that JSON allows";
        let mut at = point;
        if self.byte(at) == b'.' {
            let end = self.digits(at + 1);
            if end == at + 1 {
                return wrong(position, WRONG);
            }
            at = end;
        }
        if matches!(self.byte(at), b'e' | b'E') {
            let digits = at + 1 + usize::from(matches!(self.byte(at + 1), b'+' | b'-'));
            let end = self.digits(digits);
            if end == digits {
                return wrong(position, WRONG);
            }
            at = end;
        }
        Ok(Span::new(Kind::Number, position, at))
    }

    fn container(self, position: usize, depth: usize) -> Scanned<Span> {
        if depth >= DEPTH_MAX {
            return wrong(position, "arrays and objects are nested too deeply (more than 64 levels)");
        }
        if self.byte(position) == b'[' {
            let end = self.items(position, depth, |_| ())?;
            return Ok(Span::new(Kind::Array, position, end));
        }
        let end = self.members(position, depth, |_, _| ())?;
        Ok(Span::new(Kind::Object, position, end))
    }

    /// Calls `each` with every element of the array at `position`; returns the position after it.
    fn items(self, position: usize, depth: usize, mut each: impl FnMut(Span)) -> Scanned<usize> {
        let mut at = self.skip_blanks(position + 1);
        if self.byte(at) == b']' {
            return Ok(at + 1);
        }
        loop {
            let span = self.value(at, depth + 1)?;
            each(span);
            at = self.skip_blanks(after(span));
            match self.byte(at) {
                b',' => at = self.skip_blanks(at + 1),
                b']' => return Ok(at + 1),
                _ => return self.missing(at, "expected `,` or `]`"),
            }
        }
    }

    /// Calls `each` with every key and value of the object at `position`; returns the position after it.
    fn members(self, position: usize, depth: usize, mut each: impl FnMut(Span, Span)) -> Scanned<usize> {
        let mut at = self.skip_blanks(position + 1);
        if self.byte(at) == b'}' {
            return Ok(at + 1);
        }
        loop {
            let (key, value) = self.key(at)?;
            let span = self.value(value, depth + 1)?;
            each(key, span);
            at = self.skip_blanks(after(span));
            match self.byte(at) {
                b',' => at = self.skip_blanks(at + 1),
                b'}' => return Ok(at + 1),
                _ => return self.missing(at, "expected `,` or `}`"),
            }
        }
    }

    /// The key at `position`, and where its value begins.
    pub(crate) fn key(self, position: usize) -> Scanned<(Span, usize)> {
        if self.byte(position) != b'"' {
            return self.missing(position, "expected a key in double quotes");
        }
        let (key, end) = self.string(position)?;
        let colon = self.expect(end, b':', "expected `:` after the key")?;
        Ok((key, self.skip_blanks(colon)))
    }

    /// The elements of an array that was scanned before.
    pub(crate) fn elements(self, array: Span, each: impl FnMut(Span)) -> Scanned<usize> {
        self.items(array.start(), 0, each)
    }

    /// The keys and values of an object that was scanned before.
    pub(crate) fn entries(self, object: Span, each: impl FnMut(Span, Span)) -> Scanned<usize> {
        self.members(object.start(), 0, each)
    }
}

/// The position after a value, counting the closing quote that its span leaves out.
pub(crate) fn after(span: Span) -> usize {
    span.end() + usize::from(matches!(span.kind(), Kind::Text | Kind::Escaped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Stops;
    use proptest::prelude::*;

    fn scan(text: &[u8]) -> Scanned<Span> {
        let mut index = Index::default();
        index.build(text, Stops::JSON);
        let scanner = Scanner { block: text, index: &index, end: text.len() };
        let span = scanner.value(scanner.skip_blanks(0), 0)?;
        let end = scanner.skip_blanks(after(span));
        if end == text.len() { Ok(span) } else { wrong(end, "more after the value") }
    }

    proptest! {
        #[test]
        fn accepts_exactly_what_serde_accepts(text in "[\\[\\]{},:\"\\\\0-9a-fnrtulse .+eE-]{0,24}") {
            // Lone surrogates and huge numbers are grammatical, but serde_json cannot represent them.
            prop_assume!(!text.contains("\\u"));
            let serde = match serde_json::from_str::<serde_json::Value>(&text) {
                Err(error) => error.to_string().contains("out of range"),
                Ok(_) => true,
            };
            prop_assert_eq!(scan(text.as_bytes()).is_ok(), serde, "{}", text);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = scan(&bytes);
        }
    }

    #[test]
    fn kinds_and_spans() {
        let kind = |text: &str| scan(text.as_bytes()).map(|span| (span.kind(), span.of(text.as_bytes()).to_vec()));
        assert_eq!(kind("\"ab\""), Ok((Kind::Text, b"ab".to_vec())));
        assert_eq!(kind("\"a\\nb\""), Ok((Kind::Escaped, b"a\\nb".to_vec())));
        assert_eq!(kind(" -12 "), Ok((Kind::Integer, b"-12".to_vec())));
        assert_eq!(kind("1.5e-3"), Ok((Kind::Number, b"1.5e-3".to_vec())));
        assert_eq!(kind("[1, [2]]"), Ok((Kind::Array, b"[1, [2]]".to_vec())));
        assert_eq!(kind("{\"a\": {}}"), Ok((Kind::Object, b"{\"a\": {}}".to_vec())));
    }

    #[test]
    fn errors_name_the_place() {
        let error = |text: &str| scan(text.as_bytes()).map_err(|e| (e.position, e.what));
        assert_eq!(error("{\"a\":01}"), Err((5, "this is not a number that JSON allows")));
        assert_eq!(error("{\"a\" 1}"), Err((5, "expected `:` after the key")));
        assert_eq!(error("{\"a\":1"), Err((6, "the line ends in the middle of the JSON value")));
        assert_eq!(error("[1 2]"), Err((3, "expected `,` or `]`")));
        assert_eq!(error("{a:1}"), Err((1, "expected a key in double quotes")));
        assert_eq!(error("\"abc"), Err((0, "this string has no closing quote")));
        assert_eq!(error("\"a\tb\""), Err((2, "a control character in a string must be written as an escape")));
        assert_eq!(error("\"\\q\""), Err((1, "this escape is not one that JSON has")));
        assert!(scan(&[b'['; 65]).is_err());
        let deep = [vec![b'['; 64], vec![b']'; 64]].concat();
        assert!(scan(&deep).is_ok());
    }
}
