//! What every other crate stands on: the environment, errors, and limits.
//!
//! **What it is.** The narrow door to the outside world ([`Env`]: clock, random source, file system), the one
//! error type that users and callers see ([`Error`]), and the limits that several crates share ([`limits`]).
//!
//! **What it is not.** A drawer for helpers. A thing belongs here only if the codec, durable and engine layers
//! all need it and it knows nothing of streams.
//!
//! **Invariants.** Nothing above this crate calls the operating system's clock, random source or file system
//! where a result depends on it: it asks its [`Env`]. That one habit makes fault injection and deterministic
//! simulation possible.
//!
//! ```
//! use fleuve_base::{Error, Place};
//!
//! let error = Error::input("E012", "unknown column `amnt`")
//!     .with_hint("did you mean `amt`?")
//!     .at(Place::sql(17, 21));
//! assert_eq!(error.to_string(), "error[E012]: unknown column `amnt`");
//! ```

mod canary;
pub mod codes;
pub mod env;
pub mod error;
pub mod fs;
pub mod fs_memory;
mod histogram;
pub mod limits;
mod nearest;
mod stored;

pub use canary::{CANARIES, canary};
pub use env::{Clock, Env, Random, SystemClock, SystemRandom};
pub use error::{Error, ErrorKind, Place, Result};
pub use fs::{File, Fs, LockGuard, OsFs};
pub use fs_memory::MemoryFs;
pub use histogram::Histogram;
pub use nearest::nearest;
pub use stored::{FileRange, Stored};
