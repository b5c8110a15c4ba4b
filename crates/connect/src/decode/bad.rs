//! What becomes of records that cannot be decoded.

use bytes::Bytes;
use fleuve_base::{Error, Place, Result};
use fleuve_flow::source::{BAD_RECORD_BYTES_MAX, BadRecord, Decoded};

use crate::options::Options;

/// The table's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadPolicy {
    /// The pipeline fails and names the record.
    Fail,
    /// The engine counts it, and writes it to the dead-letter topic if there is one.
    HandOn,
}

/// Finds out where a bad record stands; may read the input again to count its lines.
pub(crate) type MakePlace<'a> = &'a mut dyn FnMut(&fleuve_format::BadRecord) -> Result<Place>;

impl BadPolicy {
    /// `bad-records`, or the format's `ignore-parse-errors`.
    pub(crate) fn of(options: &Options) -> Result<Self> {
        let format = options.format().unwrap_or("json");
        let ignored = options.flag(&format!("{format}.ignore-parse-errors"));
        match options.text("bad-records") {
            Some("dead-letter") => options.required("dead-letter.topic").map(|_| BadPolicy::HandOn),
            Some("skip") => Ok(BadPolicy::HandOn),
            _ if ignored => Ok(BadPolicy::HandOn),
            _ => Ok(BadPolicy::Fail),
        }
    }

    /// Fails on the first bad record, or hands all of them on.
    pub(crate) fn apply(
        self,
        format: &str,
        bad: Vec<fleuve_format::BadRecord>,
        place: MakePlace<'_>,
        decoded: &mut Decoded,
    ) -> Result<()> {
        for record in bad {
            if self == BadPolicy::Fail {
                return Err(failure(format, &record, place(&record)?));
            }
            let kept = &record.raw[..record.raw.len().min(BAD_RECORD_BYTES_MAX)];
            let bytes = Bytes::copy_from_slice(kept);
            decoded.bad.push(BadRecord { place: place(&record)?, reason: record.reason, bytes });
        }
        Ok(())
    }
}

/// Bytes of the record that an error shows.
const SHOWN_BYTES: usize = 120;

fn failure(format: &str, record: &fleuve_format::BadRecord, place: Place) -> Error {
    let shown = String::from_utf8_lossy(&record.raw[..record.raw.len().min(SHOWN_BYTES)]);
    // A terminal would obey what a stranger has put into the data.
    let shown: String = shown.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    let cut = if record.raw.len() > SHOWN_BYTES { " …" } else { "" };
    record
        .to_error(format)
        .with_detail(format!("the record: {shown}{cut}"))
        .with_hint("fix the record, or set 'bad-records' = 'skip' or 'dead-letter' in the table's WITH options")
        .at(place)
}
