//! Transactions: what a producer writes to several partitions and groups counts as a whole, or not at all.
//!
//! [`Transactions`] is the coordinator. `transaction` says what may follow what; `coordinator` makes it durable, under one lock for
//! each transactional id; `finish` tells the end to all that took part; `resume` takes up what a crash left; the other files answer
//! requests.
//!
//! The order of an end is: the decision durable → markers durable in all partitions, offsets in all groups → the note that it is
//! complete durable → the answer. So an answered end is visible to every reader, and a crash in between cannot end it otherwise.

mod coordinator;
mod finish;
mod list;
mod offsets;
mod record;
mod requests;
mod resume;
mod transaction;

pub(crate) use coordinator::{StagedOffsets, Surroundings, Writer};
pub use coordinator::{TRANSACTIONAL_ID_BYTES_MAX, TRANSACTIONAL_IDS_MAX, Transactions};
pub use record::TRANSACTION_TOPIC;
pub(crate) use transaction::{Participant, Producer, TxnPartition};
