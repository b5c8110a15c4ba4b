//! Patterns that need no regular expression: a literal, what may stand before it, and a run of characters after it.

use memchr::memmem::Finder;
use regex_syntax::hir::{Capture, Class, Hir, HirKind, Look};

/// `context literal (run)`: the first place where the literal follows the context, and the characters after it that
/// belong to a class.
///
/// Because the run takes as much as it can, takes anything (also nothing, if its least length is 0), and nothing
/// follows it, the first place where context and literal fit is the match of the regular expression.
pub(super) struct KeyValue {
    context: Context,
    literal: Finder<'static>,
    context_group: Option<usize>,
    run_group: Option<usize>,
    /// For each byte whether the run goes on; bytes of characters beyond ASCII all do or all do not.
    run: Box<[bool; 256]>,
    run_least: usize,
}

/// What must stand directly before the literal.
#[derive(Default)]
struct Context {
    /// Anything.
    any: bool,
    /// The beginning of the text will do.
    start: bool,
    /// One of these bytes will do.
    bytes: Vec<u8>,
}

impl KeyValue {
    /// The pattern in this form, if it has it.
    pub(super) fn recognize(pattern: &str) -> Option<Self> {
        let hir = regex_syntax::parse(pattern).ok()?;
        let HirKind::Concat(parts) = hir.kind() else { return None };
        let (context, context_group, parts) = context(parts);
        let [HirKind::Literal(literal), run] = parts.iter().map(Hir::kind).collect::<Vec<_>>()[..] else { return None };
        let (run_group, run) = match run {
            HirKind::Capture(Capture { index, sub, .. }) => (Some(*index as usize), sub.kind()),
            other => (None, other),
        };
        let HirKind::Repetition(run) = run else { return None };
        if !run.greedy || run.max.is_some() || run.min > 1 {
            return None;
        }
        let run_bytes = bytes_of(run.sub.kind())?;
        if context.is_ambiguous(&literal.0) {
            return None;
        }
        Some(KeyValue {
            context,
            literal: Finder::new(&literal.0).into_owned(),
            context_group,
            run_group,
            run: Box::new(run_bytes),
            run_least: run.min as usize,
        })
    }

    /// Whether this form knows what the group takes.
    pub(super) fn captures(&self, group: usize) -> bool {
        Some(group) == self.run_group && Some(group) != self.context_group
    }

    /// Appends what the run takes in the first match.
    #[inline]
    pub(super) fn extract(&self, text: &str, _group: usize, out: &mut Vec<u8>) -> bool {
        let bytes = text.as_bytes();
        let length = self.literal.needle().len();
        for place in self.places(bytes) {
            if !self.context.fits(bytes, place) {
                continue;
            }
            let value = &bytes[place + length..];
            let end = value.iter().position(|byte| !self.run[usize::from(*byte)]).unwrap_or(value.len());
            if end >= self.run_least {
                out.extend_from_slice(&value[..end]);
                return true;
            }
        }
        false
    }

    /// Every place of the literal, also overlapping ones.
    #[inline]
    fn places<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let mut from = 0;
        std::iter::from_fn(move || {
            let place = from + self.literal.find(bytes.get(from..)?)?;
            from = place + 1;
            Some(place)
        })
    }
}

impl Context {
    #[inline]
    fn fits(&self, bytes: &[u8], place: usize) -> bool {
        match place.checked_sub(1) {
            _ if self.any => true,
            None => self.start,
            Some(before) => self.bytes.contains(&bytes[before]),
        }
    }
}

/// The context that the pattern begins with, its group, and the rest of the pattern.
fn context(parts: &[Hir]) -> (Context, Option<usize>, &[Hir]) {
    let anything = Context { any: true, ..Context::default() };
    let Some((first, rest)) = parts.split_first() else { return (anything, None, parts) };
    let (group, inner) = match first.kind() {
        HirKind::Capture(Capture { index, sub, .. }) => (Some(*index as usize), sub.as_ref()),
        HirKind::Alternation(_) | HirKind::Look(_) | HirKind::Class(_) => (None, first),
        _ => return (anything, None, parts),
    };
    let alternatives = match inner.kind() {
        HirKind::Alternation(alternatives) => alternatives.iter().collect(),
        _ => vec![inner],
    };
    let mut context = Context::default();
    for alternative in alternatives {
        if !context.add(alternative) {
            return (anything, None, parts);
        }
    }
    (context, group, rest)
}

impl Context {
    /// Whether two matches can begin at the start of the text, so that the order of the alternatives matters.
    fn is_ambiguous(&self, literal: &[u8]) -> bool {
        self.start && literal.first().is_some_and(|first| self.bytes.contains(first))
    }

    /// Adds an alternative; false if it is neither the beginning nor single ASCII characters.
    fn add(&mut self, alternative: &Hir) -> bool {
        match alternative.kind() {
            HirKind::Look(Look::Start) => {
                self.start = true;
                true
            }
            other => match bytes_of(other) {
                Some(set) if !set[0x80] => {
                    self.bytes.extend((0..0x80_u8).filter(|byte| set[usize::from(*byte)]));
                    true
                }
                _ => false,
            },
        }
    }
}

/// The bytes of a pattern for one character, if they are a set as [`byte_set`] makes it.
fn bytes_of(pattern: &HirKind) -> Option<[bool; 256]> {
    match pattern {
        HirKind::Literal(literal) => match literal.0.as_ref() {
            [byte] if byte.is_ascii() => {
                let mut set = [false; 256];
                set[usize::from(*byte)] = true;
                Some(set)
            }
            _ => None,
        },
        HirKind::Class(class) => byte_set(class),
        _ => None,
    }
}

/// The class as a set of bytes, if it treats all characters beyond ASCII alike.
fn byte_set(class: &Class) -> Option<[bool; 256]> {
    let Class::Unicode(class) = class else { return None };
    let contains = |c: u32| class.ranges().iter().any(|r| u32::from(r.start()) <= c && c <= u32::from(r.end()));
    let beyond_ascii = class.ranges().iter().find(|r| u32::from(r.end()) >= 0x80);
    let all_beyond = match beyond_ascii {
        None => false,
        Some(range) => {
            let all = u32::from(range.start()) <= 0x80 && range.end() == char::MAX;
            if !all {
                return None;
            }
            true
        }
    };
    let mut set = [all_beyond; 256];
    (0..0x80_u32).for_each(|c| set[c as usize] = contains(c));
    Some(set)
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    const PATTERNS: &[&str] = &[
        "(&|^)channel_id=([^&]*)",
        "(^|&)id=([^&]*)",
        "(?:[&?])id=([^&]+)",
        "id=([a-z]*)",
        "id=(.*)",
        "aa(a*)",
        "(a|b)a(b+)",
        "^id=([^&]*)",
        r"id=(\d+)",
        "[&;]k([^;]*)",
        "(a|^)aa(b*)",
    ];

    /// All texts over a small alphabet, and some that a generator of texts would not find.
    fn texts() -> Vec<String> {
        let mut texts: Vec<String> = vec![String::new()];
        let pieces = ["a", "b", "&", "id=", "channel_id=", ";k", "1", "é", "\n"];
        for length in 0..4 {
            let longest: Vec<String> = texts.iter().filter(|t| t.chars().count() >= length).cloned().collect();
            texts.extend(longest.iter().flat_map(|t| pieces.iter().map(move |p| format!("{t}{p}"))));
        }
        texts.sort();
        texts.dedup();
        texts
    }

    #[test]
    fn extracts_what_the_regular_expression_does() {
        let mut recognized = 0;
        for pattern in PATTERNS {
            let regex = Regex::new(pattern).unwrap();
            let Some(fast) = KeyValue::recognize(pattern) else { continue };
            recognized += 1;
            for group in (0..regex.captures_len()).filter(|group| fast.captures(*group)) {
                for text in texts() {
                    let expected = regex.captures(&text).and_then(|c| c.get(group)).map(|m| m.as_str().as_bytes());
                    let mut out = Vec::new();
                    let found = fast.extract(&text, group, &mut out);
                    assert_eq!(found.then_some(out.as_slice()), expected, "{pattern} group {group} of {text:?}");
                }
            }
        }
        assert!(recognized >= 9, "only {recognized} of {} patterns take the fast path", PATTERNS.len());
    }

    #[test]
    fn leaves_other_shapes_alone() {
        for pattern in ["a|b", "id=(.*?)", "id=([^&]*)x", "(é)id=(.*)", "id=([a-é]*)", "(&|ab)id=(.*)", r"\bid=(.*)"]
        {
            let fast = KeyValue::recognize(pattern);
            assert!(fast.is_none_or(|fast| !fast.captures(1)), "{pattern}");
        }
    }
}
