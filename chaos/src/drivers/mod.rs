//! Who writes and reads while the faults come. Each driver is a thread that connects, works, and when the connection
//! is lost connects again, as a client library does.

mod group;
mod idempotent;
mod plain;
mod reader;
mod transactional;

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::context::{Context, Progress};
use crate::dice::Dice;

pub(crate) use group::GroupMember;
pub(crate) use idempotent::IdempotentWriter;
pub(crate) use plain::PlainWriter;
pub(crate) use reader::Reader;
pub(crate) use transactional::{OFFSETS_GROUP, TransactionalWriter};

/// A topic of the plan.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    /// By this number the history knows it.
    pub(crate) number: u16,
    pub(crate) name: String,
    pub(crate) partitions: i32,
}

impl Topic {
    pub(crate) fn place(&self, partition: i32) -> crate::history::Place {
        crate::history::Place { topic: self.number, partition }
    }
}

/// What a driver is.
pub(crate) trait Driver: Send + 'static {
    /// For messages.
    fn name(&self) -> String;

    /// Works until the context says that it is time to end.
    fn run(self: Box<Self>, context: &Context, dice: Dice, progress: &Progress);
}

/// A driver at work.
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) progress: Progress,
    pub(crate) thread: JoinHandle<()>,
}

/// Starts a driver.
pub(crate) fn start(driver: Box<dyn Driver>, context: &Arc<Context>, dice: Dice) -> Running {
    let (name, progress) = (driver.name(), Progress::default());
    let (context, counted) = (Arc::clone(context), progress.clone());
    let thread = std::thread::spawn(move || driver.run(&context, dice, &counted));
    Running { name, progress, thread }
}
