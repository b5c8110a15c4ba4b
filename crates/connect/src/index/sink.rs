//! The end of an index's pipeline.

use std::sync::Arc;

use fleuve_base::{Env, Result};
use fleuve_flow::batch::Batch;
use fleuve_flow::connectors::Reader;
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};
use fleuve_journal::Ticket;
use fleuve_plan::SinkSpec;

use super::registry::Indexes;
use super::rows::RowEncoder;
use super::tree::Index;
use crate::internal;

/// An index that is being written.
pub(crate) struct IndexSink {
    env: Env,
    index: Arc<Index>,
    /// What marks this pipeline's epochs.
    mark: i64,
    /// So that whoever opens the index meanwhile gets the same one.
    _indexes: Arc<Indexes>,
}

impl IndexSink {
    pub(crate) fn open(env: &Env, indexes: &Arc<Indexes>, reader: &Reader<'_>, spec: &SinkSpec) -> Result<Self> {
        // A lane is a positive number.
        let mark = (internal::mark(reader) >> 1) as i64;
        let index = indexes.create(spec)?;
        index.kept_by(reader.pipeline);
        Ok(IndexSink { env: env.clone(), index, mark, _indexes: Arc::clone(indexes) })
    }
}

impl Sink for IndexSink {
    fn lanes(&self) -> Lanes {
        Lanes::Fixed { count: 1, by: vec![] }
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn recover(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }

    fn open(&self, _lane: usize) -> Result<Box<dyn Lane>> {
        Ok(Box::new(IndexLane {
            env: self.env.clone(),
            held: self.index.partition().last_epoch(self.mark),
            encoder: RowEncoder::new(self.index.definition())?,
            index: Arc::clone(&self.index),
            mark: self.mark,
            last: None,
        }))
    }

    fn commit(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }
}

struct IndexLane {
    env: Env,
    index: Arc<Index>,
    mark: i64,
    /// The last epoch that the rows held when the lane was opened.
    held: Option<u64>,
    encoder: RowEncoder,
    last: Option<Ticket>,
}

impl Lane for IndexLane {
    fn last_epoch(&self) -> Option<u64> {
        self.held
    }

    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        let records = self.encoder.epoch(&batches, self.env.clock.now_ms())?;
        let appended = self.index.partition().append_epoch(self.mark, epoch, records)?;
        self.last = appended.map(|appended| appended.ticket).or(self.last.take());
        // While this epoch is being synced, those before it go into the tree.
        self.index.catch_up()
    }

    fn checkpoint(&mut self, _epoch: u64) -> Result<String> {
        // What an earlier process appended may not be durable either.
        self.last.take().unwrap_or_else(|| self.index.partition().ticket()).wait()?;
        self.index.catch_up()?;
        Ok(String::new())
    }
}
