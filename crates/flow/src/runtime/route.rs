//! Which worker a row goes to.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute;
use fleuve_base::Result;
use fleuve_state::hash::{hash_rows, key_group};
use timely::communication::Push;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::progress::Stamp;

use crate::batch::Batch;
use crate::operator::Share;
use crate::sink::Chooser;

/// How an edge deals out its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// They stay where they are.
    Stay,
    /// All to one worker.
    To(usize),
    /// By the key group of these columns.
    Keys(Vec<usize>),
    /// By lane: hash of these columns modulo the number of lanes, lanes dealt out round robin.
    Lanes {
        /// Columns that choose the lane; none: lane 0.
        by: Vec<usize>,
        /// How many lanes there are.
        count: usize,
    },
    /// By the lane that the sink chooses, lanes dealt out round robin.
    Chosen(Chooser),
}

impl Route {
    /// The worker of each row, or of all rows alike.
    fn targets(&self, columns: &RecordBatch, worker: usize, peers: usize) -> Result<Targets> {
        match self {
            Route::Stay => Ok(Targets::One(worker)),
            Route::To(target) => Ok(Targets::One(*target)),
            Route::Lanes { by, .. } if by.is_empty() => Ok(Targets::One(0)),
            Route::Keys(keys) => {
                Ok(Targets::Each(hashes(columns, keys)?, Box::new(move |hash| Share::owner(key_group(hash), peers))))
            }
            Route::Lanes { by, count } => {
                let count = *count;
                Ok(Targets::Each(hashes(columns, by)?, Box::new(move |hash| lane_of(hash, count) % peers)))
            }
            Route::Chosen(chooser) => {
                let lanes = chooser.0.lanes(columns)?.into_iter().map(|lane| lane as u64);
                Ok(Targets::Each(lanes.collect(), Box::new(move |lane| lane as usize % peers)))
            }
        }
    }
}

/// The lane of a row by its hash; part of what a topic's readers rely on, so it never changes.
pub fn lane_of(hash: u64, lanes: usize) -> usize {
    ((u128::from(hash) * lanes as u128) >> 64) as usize
}

/// The hashes of some columns' rows.
pub fn hashes(columns: &RecordBatch, keys: &[usize]) -> Result<Vec<u64>> {
    let keys: Vec<ArrayRef> = keys.iter().map(|key| columns.column(*key).clone()).collect();
    let mut hashes = Vec::with_capacity(columns.num_rows());
    hash_rows(&keys, &mut hashes)?;
    Ok(hashes)
}

enum Targets {
    One(usize),
    Each(Vec<u64>, Box<dyn Fn(u64) -> usize>),
}

/// The rows of a batch at some positions.
pub fn take_rows(batch: &Batch, rows: &UInt32Array) -> Result<Batch> {
    let arrow = |e: arrow::error::ArrowError| fleuve_base::Error::internal(e.to_string());
    let columns = compute::take_record_batch(&batch.columns, rows).map_err(arrow)?;
    let weights = batch.weights.as_ref().map(|w| compute::take(w, rows, None).map_err(arrow)).transpose()?;
    let weights = weights.map(|w| w.as_any().downcast_ref::<Int64Array>().expect("take keeps the type").clone());
    Ok(Batch { columns, weights })
}

/// Deals batches out to workers along a [`Route`].
pub struct Router {
    route: Route,
    worker: usize,
    rows: Vec<Vec<u32>>,
}

impl Router {
    /// A router on one worker of several.
    pub fn new(route: Route, worker: usize, peers: usize) -> Self {
        Router { route, worker, rows: vec![vec![]; peers] }
    }

    fn split(&mut self, batch: Batch, hashes: &[u64], target: &dyn Fn(u64) -> usize) -> Result<Vec<(usize, Batch)>> {
        self.rows.iter_mut().for_each(Vec::clear);
        for (row, hash) in hashes.iter().enumerate() {
            self.rows[target(*hash)].push(u32::try_from(row).expect("a batch has fewer than 2^32 rows"));
        }
        if let Some(only) = self.rows.iter().position(|rows| rows.len() == hashes.len()) {
            return Ok(vec![(only, batch)]);
        }
        let shares = self.rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty());
        shares.map(|(peer, rows)| Ok((peer, take_rows(&batch, &UInt32Array::from(rows.clone()))?))).collect()
    }
}

impl Distributor<Batch> for Router {
    fn partition<T: Clone, P: Push<Message<T, Batch>>>(
        &mut self,
        batch: &mut Batch,
        stamp: &Stamp<T>,
        peers: &mut [P],
    ) {
        let batch = std::mem::take(batch);
        let targets = self.route.targets(&batch.columns, self.worker, peers.len());
        // An exchange has no way to report an error but to panic; the worker's loop catches it and names the pipeline.
        let parts = match targets
            .expect("key columns have types that can be hashed and encoded, or the plan would have been refused")
        {
            Targets::One(peer) => vec![(peer, batch)],
            Targets::Each(hashes, target) => {
                self.split(batch, &hashes, &*target).expect("positions of rows lie within their batch")
            }
        };
        for (peer, mut part) in parts {
            Message::push_at(&mut part, stamp.clone(), &mut peers[peer]);
        }
    }

    fn flush<T: Clone, P: Push<Message<T, Batch>>>(&mut self, _stamp: &Stamp<T>, _peers: &mut [P]) {}
}
