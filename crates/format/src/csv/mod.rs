//! CSV (RFC 4180, with the options of Flink's `csv` format).

mod decode;
mod encode;

use crate::bad::OnBad;

pub use decode::CsvDecoder;
pub use encode::CsvEncoder;

/// How CSV is read and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// `csv.field-delimiter`, one ASCII character.
    pub delimiter: u8,
    /// `csv.quote-character`; `None` for `csv.disable-quote-character`.
    pub quote: Option<u8>,
    /// `csv.escape-character`, which makes the next character plain within quotes. (A doubled quote always works.)
    pub escape: Option<u8>,
    /// `csv.null-literal`: the text that stands for NULL. Without one, an empty field is NULL unless its column is
    /// a STRING, of which it is the empty one.
    pub null_literal: Option<String>,
    /// `csv.array-element-delimiter`.
    pub array_delimiter: u8,
    /// `csv.allow-comments`: lines that begin with `#` are passed over.
    pub allow_comments: bool,
    /// The first line holds the names of the columns. (Reading: it is passed over. Writing: it is written first.)
    pub header: bool,
    /// `csv.ignore-parse-errors`: a value that cannot be converted becomes NULL, and a row with missing columns has
    /// NULL for them.
    pub ignore_parse_errors: bool,
    /// What happens to bad rows.
    pub on_bad: OnBad,
    /// Columns (by their number in the file) whose greatest timestamp or integer is wanted.
    pub max_of: Vec<usize>,
    /// Note the line that each row came from.
    pub track_lines: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            null_literal: None,
            array_delimiter: b';',
            allow_comments: false,
            header: false,
            ignore_parse_errors: false,
            on_bad: OnBad::Fail,
            max_of: Vec::new(),
            track_lines: false,
        }
    }
}
