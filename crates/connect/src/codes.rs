//! The codes of this crate's errors.

/// Codes and what they mean, for the code registry.
pub const CODES: &[(&str, &str)] = &[
    ("E500", "A table's connector is not known, or cannot be read or written."),
    ("E501", "A table has an option that its connector does not know."),
    ("E502", "An option's value cannot be used."),
    ("E503", "An option that the connector needs is missing."),
    ("E504", "A format is not known, or cannot hold the table's columns."),
    ("E505", "A metadata column is not one that the connector has, or does not fit its type."),
    ("E506", "There is no such file, or its place cannot be reached."),
    ("E507", "Input that was read before cannot be read again: it has gone or changed."),
    ("E508", "Updates and deletions cannot be held, or not be read, by a table."),
    ("E509", "There is no such topic, or no data directory to hold it."),
    ("E510", "A connection could not be made, or standard input is taken."),
    ("E511", "A table cannot be partitioned like this."),
    ("E512", "A record, or the number of moments to replay, is over its limit."),
];
