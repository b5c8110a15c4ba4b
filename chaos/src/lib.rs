//! Tortures the binary: starts it, loads it, kills it, cuts its power, and checks what it promised.
//!
//! **What it is.** A client that writes down all it asked and all it was told ([`History`]), faults for a real process
//! on a real kernel, and a [checker](check) that reads the history when it is over. A seed gives the plan: who writes
//! what, which faults come and when. `cargo xtask torture` runs it.
//!
//! **What it is not.** A part of the product, or a simulation: threads race here, so a seed repeats the plan, not
//! the run. A run that failed therefore leaves its history and its data directory.
//!
//! **Invariants.**
//! - Every value that is written is written by one writer, once: whatever is read tells who wrote it, and when.
//! - What was asked and never answered may have happened or not; only what was answered counts.
//! - It depends on the codecs alone, not on the broker: an error in the broker's logic is not shared by its judge.
//!
//! Start reading at `life.rs`, then `checker/mod.rs`.
//!
//! ```
//! use fleuve_chaos::{Batch, Contents, Event, History, Kind, Place, check};
//!
//! let history = History::default();
//! let place = Place { topic: 0, partition: 0 };
//! history.add(Event::Send(Batch { writer: 1, place, first: 0, count: 1, transaction: None }));
//! history.add(Event::Acked { writer: 1, first: 0, base_offset: 0 });
//!
//! let anomalies = check(&history.events(), &Contents::default());
//! assert_eq!(anomalies[0].kind, Kind::Lost);
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod checker;
mod client;
mod contents;
mod context;
mod dice;
mod drivers;
mod history;
mod life;
mod options;
mod process;
mod scenario;
mod storage;
mod value;

pub use checker::{Anomaly, Kind, check};
pub use contents::{Contents, Extent, Stored};
pub use history::{Batch, Event, History, Moment, Place};
pub use options::Options;
pub use scenario::{SCENARIOS, Scenario, run};
pub use value::Value;
