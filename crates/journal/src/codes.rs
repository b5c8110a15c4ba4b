//! The errors of the log: one constructor per code, so that a code has one wording. `fleuve_base::codes` explains them.

use fleuve_base::{Error, ErrorKind};

pub(crate) fn locked(directory: &str, holder: &str) -> Error {
    Error::new(ErrorKind::Conflict, "E701", format!("the data directory `{directory}` is in use by {holder}"))
        .with_hint("stop that process, or choose another directory")
}

pub(crate) fn unknown_format(directory: &str, found: &str) -> Error {
    Error::new(ErrorKind::Conflict, "E702", format!("the data directory `{directory}` has the format `{found}`"))
        .with_detail(format!("this build reads `{}`; nothing was changed", crate::directory::FORMAT))
        .with_hint("use the build that wrote it, or another directory")
}

pub(crate) fn topic_exists(name: &str) -> Error {
    Error::new(ErrorKind::Conflict, "E704", format!("the topic `{name}` exists already"))
}

pub(crate) fn unknown_topic(name: &str) -> Error {
    Error::input("E705", format!("there is no topic `{name}`"))
}

pub(crate) fn unknown_topic_id(id: u128) -> Error {
    Error::input("E705", format!("there is no topic of the id {id:032x}"))
}

pub(crate) fn unknown_partition(name: &str, partition: u32, count: usize) -> Error {
    Error::input("E705", format!("the topic `{name}` has {count} partitions, and no number {partition}"))
}

pub(crate) fn offset_out_of_range(offset: u64, start: u64, end: u64) -> Error {
    Error::input("E706", format!("offset {offset} is outside the partition, which holds {start} to {end}"))
}

pub(crate) fn poisoned(cause: &Error) -> Error {
    Error::new(cause.kind(), "E707", format!("the log has stopped accepting records: {}", cause.message()))
        .with_detail("nothing that was acknowledged is lost; what was in flight is not acknowledged")
        .with_hint("look after the disk, then restart: the log recovers by itself")
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Conflict, "E711", "the log is closed")
}

pub(crate) fn limit(message: String) -> Error {
    Error::new(ErrorKind::Limit, "E710", message)
}

pub(crate) fn rule(message: impl Into<String>) -> Error {
    Error::input("E713", message)
}

pub(crate) fn batch_too_large(bytes: usize, limit: u32) -> Error {
    Error::new(
        ErrorKind::Limit,
        "E715",
        format!("a record batch of {bytes} bytes is over the topic's limit of {limit}"),
    )
}

pub(crate) fn outside_transaction(producer_id: i64) -> Error {
    Error::input(
        "E717",
        format!("producer {producer_id} has a transaction open, and the record batch is not part of it"),
    )
}

pub(crate) fn pinned(offset: u64, name: &str, pin: u64) -> Error {
    let message = format!("records before offset {offset} cannot be deleted: `{name}` still needs offset {pin}");
    Error::new(ErrorKind::Conflict, "E716", message)
        .with_hint("stop what reads them, or delete only what is before that offset")
}
