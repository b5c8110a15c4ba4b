//! Why a connection ended, and who should know.

use std::fmt;
use std::io;

use fleuve_wire::{ApiKey, DecodeError, EncodeError};

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The peer left.
    Left,
    /// All was said: the server stops, or the last answer was the end.
    Done,
    /// Nothing moved for too long.
    Idle,
    /// The peer took too long.
    TooSlow(&'static str),
    /// The memory for requests was taken for too long.
    Starved,
    /// The network failed.
    Io(io::Error),
    /// The peer does not speak the protocol.
    Malformed(DecodeError),
    /// An API or a version that is not served.
    NotServed(ApiKey, i16),
    /// A request that needs a login came before it.
    NotAuthenticated(ApiKey),
    /// An answer cannot be expressed in the version that was asked for: a bug.
    Unencodable(EncodeError),
    /// Handling panicked or lost the request: a bug.
    Bug,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Left => f.write_str("the client left"),
            Ended::Done => f.write_str("done"),
            Ended::Idle => f.write_str("nothing moved for too long"),
            Ended::TooSlow(what) => write!(f, "the client took too long {what}"),
            Ended::Starved => f.write_str("the memory for requests was in use for too long"),
            Ended::Io(error) => write!(f, "the network failed: {error}"),
            Ended::Malformed(error) => write!(f, "malformed request: {error}"),
            Ended::NotServed(api, version) => write!(f, "{} version {version} is not served", api.name()),
            Ended::NotAuthenticated(api) => write!(f, "{} before authentication", api.name()),
            Ended::Unencodable(error) => write!(f, "an answer cannot be encoded: {error}"),
            Ended::Bug => f.write_str("a request was lost to a bug"),
        }
    }
}

impl Ended {
    /// Whether the peer broke the protocol.
    pub(crate) fn is_protocol_error(&self) -> bool {
        matches!(self, Ended::Malformed(_) | Ended::NotServed(..) | Ended::NotAuthenticated(_))
    }

    /// Whether we did.
    pub(crate) fn is_bug(&self) -> bool {
        matches!(self, Ended::Unencodable(_) | Ended::Bug)
    }
}
