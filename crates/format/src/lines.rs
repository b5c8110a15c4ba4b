//! Framing: where the whole lines of a chunk end.
//!
//! A reader that reads a file in chunks keeps what follows the last whole line for the next chunk.

/// Bytes of `chunk` up to and including its last newline; 0 if it has none.
///
/// ```
/// assert_eq!(fleuve_format::lines::whole_lines(b"one\ntwo\nthr"), 8);
/// assert_eq!(fleuve_format::lines::whole_lines(b"thr"), 0);
/// ```
pub fn whole_lines(chunk: &[u8]) -> usize {
    memchr::memrchr(b'\n', chunk).map_or(0, |newline| newline + 1)
}

/// Bytes of `chunk`, which begins with a row, up to and including the last newline outside quotes.
///
/// ```
/// assert_eq!(fleuve_format::lines::whole_csv_rows(b"1,a\n2,\"b\nc", b'"'), 4);
/// ```
pub fn whole_csv_rows(chunk: &[u8], quote: u8) -> usize {
    let (mut end, mut quoted) = (0, false);
    for at in memchr::memchr2_iter(b'\n', quote, chunk) {
        if chunk[at] == quote {
            quoted = !quoted;
        } else if !quoted {
            end = at + 1;
        }
    }
    end
}
