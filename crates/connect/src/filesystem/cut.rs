//! Where a stretch of text may be cut: after a newline that ends a record.

/// What ends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Every newline (JSON lines, raw lines, CSV without quotes).
    Newline,
    /// A newline outside quotes; a quoted field of CSV may hold newlines.
    Quoted {
        /// Encloses fields; twice in a row it stands for itself.
        quote: u8,
        /// Takes the meaning from the next character.
        escape: Option<u8>,
    },
}

impl Cut {
    /// Bytes of the longest prefix of whole records; the text begins at a record's start.
    pub(super) fn whole_records(self, text: &[u8]) -> usize {
        match self {
            Cut::Newline => memchr::memrchr(b'\n', text).map_or(0, |newline| newline + 1),
            Cut::Quoted { quote, escape } => last_unquoted_newline(text, quote, escape),
        }
    }

    /// Bytes of the first record, with its newline; none if it does not end here.
    pub(super) fn first_record(self, text: &[u8]) -> Option<usize> {
        let mut newlines = memchr::memchr_iter(b'\n', text).map(|newline| newline + 1);
        newlines.find(|end| self.whole_records(&text[..*end]) == *end)
    }
}

fn last_unquoted_newline(text: &[u8], quote: u8, escape: Option<u8>) -> usize {
    let quotes = memchr::memchr(quote, text).is_some();
    if !quotes && escape.is_none_or(|escape| memchr::memchr(escape, text).is_none()) {
        return Cut::Newline.whole_records(text);
    }
    let (mut end, mut quoted, mut position) = (0, false, 0);
    // A doubled quote closes and opens again, which leaves the state right.
    let escape = escape.filter(|escape| *escape != quote).unwrap_or(quote);
    while let Some(found) = memchr::memchr3(b'\n', quote, escape, &text[position..]) {
        let at = position + found;
        position = at + 1;
        match text[at] {
            b'\n' if !quoted => end = position,
            b'\n' => {}
            byte if byte == quote => quoted = !quoted,
            _ => position = (position + 1).min(text.len()),
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Cut = Cut::Quoted { quote: b'"', escape: Some(b'\\') };

    #[test]
    fn lines_are_cut_after_the_last_newline() {
        assert_eq!(Cut::Newline.whole_records(b"a\nb\nc"), 4);
        assert_eq!(Cut::Newline.whole_records(b"abc"), 0);
        assert_eq!(Cut::Newline.first_record(b"a\nb\n"), Some(2));
    }

    #[test]
    fn newlines_in_quotes_do_not_end_a_record() {
        assert_eq!(CSV.whole_records(b"1,\"a\nb\"\n2,\"c\nd"), 8);
        assert_eq!(CSV.whole_records(b"1,\"a\"\"\nb\"\n2"), 10);
        assert_eq!(CSV.whole_records(b"1,\"a\\\"\nb\"\n2"), 10);
        assert_eq!(CSV.whole_records(b"1,a\n2,b\n3"), 8);
        assert_eq!(CSV.first_record(b"\"x\ny\",1\n2\n"), Some(8));
        assert_eq!(CSV.first_record(b"\"x\ny"), None);
    }
}
