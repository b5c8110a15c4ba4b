//! Pipelines at run time: epochs over Timely.
//!
//! * [`run`] starts a pipeline and gives a [`Handle`] to it;
//! * `worker` is the loop of one thread: claim, decode, step, report;
//! * `coordinator` closes epochs and writes their `record`s ahead into the `journal`;
//! * `build` turns the plan into a dataflow out of the shapes in `driver`, with `logic` around operators and sinks;
//! * `scan` narrows a source to what the query reads, `shuffled` reads it in random order, `route` deals rows out to workers;
//! * `snapshot` gathers state at the end of an epoch, `store` keeps it.

mod build;
mod coordinator;
mod driver;
mod facts;
mod journal;
mod logic;
mod packet;
pub mod record;
pub mod replay;
mod route;
pub mod run;
mod scan;
mod shuffled;
mod snapshot;
pub mod stats;
pub mod store;
mod worker;

pub use journal::{EPOCH_TOPIC, EpochJournal};
pub use record::EpochRecord;
pub use run::{Handle, Outcome, StartOptions, begin, end, start};
pub use stats::Stats;
pub use store::{Manifest, PipelineStore, StoredPlan};
