//! The one error type: what went wrong, where, and what to do about it.
//!
//! An error is primary message, detail and hint, as PostgreSQL has it, under a stable code that
//! `fleuve help CODE` explains. Its [`ErrorKind`] tells the *caller* what to do; its text tells the *user*.

use std::fmt;

/// The code for a full disk.
const NO_SPACE: &str = "E905";

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input (SQL text, a record, a setting) must be changed by its author.
    Input,
    /// The input is meaningful, but this build cannot do what it asks for.
    Unsupported,
    /// The operating system or a peer refused; trying again later may help.
    Io,
    /// Stored bytes are not what was written. Retrying will not help, and nothing may be served from them.
    Corrupt,
    /// A named limit was reached.
    Limit,
    /// Someone else holds what is needed (a lock, a name), or state exists that contradicts the request.
    Conflict,
    /// A bug in Fleuve.
    Internal,
}

/// Where in the user's input an error lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Byte positions `start..end` in the SQL script that is being executed.
    Sql {
        /// Position of the first byte.
        start: usize,
        /// Position after the last byte.
        end: usize,
    },
    /// A position in a file or another byte stream.
    File {
        /// The file's path, or `stdin`, or the peer's address.
        path: String,
        /// Line number from 1; 0 where the format has no lines.
        line: u64,
        /// Column in bytes from 1; 0 if unknown.
        column: u64,
    },
    /// A record of a topic.
    Record {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: u32,
        /// The record's offset.
        offset: u64,
    },
}

impl Place {
    /// A span of the SQL script, in bytes.
    pub fn sql(start: usize, end: usize) -> Self {
        Place::Sql { start, end }
    }

    /// A line and column (both from 1, 0 if unknown) of a file.
    pub fn file(path: impl Into<String>, line: u64, column: u64) -> Self {
        Place::File { path: path.into(), line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sql { start, end } => write!(f, "bytes {start}..{end} of the script"),
            Place::File { path, line: 0, .. } => write!(f, "{path}"),
            Place::File { path, line, column: 0 } => write!(f, "{path}:{line}"),
            Place::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Place::Record { topic, partition, offset } => {
                write!(f, "topic {topic}, partition {partition}, offset {offset}")
            }
        }
    }
}

/// An error with a code, a place and a hint.
///
/// Boxed inside, so that `Result<T>` stays one word larger than `T` at most.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    place: Option<Place>,
}

impl Error {
    /// An error of the given kind. `code` is `E` and three digits, listed in the code registry.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, code, message: message.into(), detail: None, hint: None, place: None }))
    }

    /// The user's input is wrong.
    pub fn input(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, code, message)
    }

    /// The request is meaningful, but not in this build.
    pub fn unsupported(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, code, message)
    }

    /// Stored bytes are damaged.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, "E901", message)
    }

    /// A bug: an invariant that the code relies on does not hold.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, "E999", message)
    }

    /// An operating-system error while doing `what` (for example ``open `orders.csv` ``): `E905` if the disk is full, else
    /// `E902`.
    pub fn io(what: impl fmt::Display, source: &std::io::Error) -> Self {
        let message = format!("could not {what}: {source}");
        if crate::fs::is_no_space(source) {
            return Self::new(ErrorKind::Io, NO_SPACE, message).with_hint("make room on the disk, then try again");
        }
        Self::new(ErrorKind::Io, "E902", message)
    }

    /// Whether the disk was full, and nothing is in doubt but what was to be written: see [`crate::fs::is_no_space`].
    pub fn is_no_space(&self) -> bool {
        self.code() == NO_SPACE
    }

    /// Adds the place in the user's input. The first place wins: the innermost one is the most exact.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.0.place.get_or_insert(place);
        self
    }

    /// Adds a second sentence of facts.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds what the user could do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable code, for example `E012`.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The primary message, without code and place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// A second sentence of facts, if there is one.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// What the user could do, if known.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Where in the user's input, if known.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.0.code, self.0.message)?;
        match &self.0.place {
            Some(Place::Sql { .. }) | None => Ok(()),
            Some(place) => write!(f, " ({place})"),
        }
    }
}

impl std::error::Error for Error {}
