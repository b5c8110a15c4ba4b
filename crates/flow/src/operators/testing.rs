//! Runs an operator in tests as the engine does: several workers, rows dealt out by their keys, restarts from saved state
//! with other numbers of workers.

use std::collections::BTreeMap;

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::util::display::array_value_to_string;
use fleuve_state::hash::{hash_rows, key_group};

use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, Share};

/// Rows as text with their weights, those of 0 left out.
pub type Net = BTreeMap<String, i64>;

/// All workers of an operator.
pub struct Cluster<'a> {
    make: &'a dyn Fn(Share) -> Box<dyn EpochOperator>,
    workers: Vec<Box<dyn EpochOperator>>,
    keys: Vec<usize>,
    /// Late rows counted before the last restart.
    late_before: u64,
}

impl<'a> Cluster<'a> {
    /// An operator on one worker, its input dealt out by key columns.
    pub fn new(make: &'a dyn Fn(Share) -> Box<dyn EpochOperator>, keys: &[usize]) -> Self {
        let workers = vec![make(Share { worker: 0, workers: 1 })];
        Cluster { make, workers, keys: keys.to_vec(), late_before: 0 }
    }

    /// Saves, and goes on with so many workers.
    pub fn restart(&mut self, workers: usize) {
        self.late_before = self.late_rows();
        let saved: Vec<_> = self.workers.iter_mut().map(|worker| worker.save().unwrap()).collect();
        self.workers = (0..workers).map(|worker| (self.make)(Share { worker, workers })).collect();
        for (worker, operator) in self.workers.iter_mut().enumerate() {
            saved.iter().for_each(|tables| operator.restore(tables, Share { worker, workers }).unwrap());
        }
    }

    /// Applies an epoch and returns the net change of all workers.
    pub fn epoch(&mut self, info: EpochInfo, batches: &[Batch]) -> Net {
        self.epoch_batches(info, batches).iter().fold(Net::new(), |mut net, batch| {
            add(&mut net, batch);
            net
        })
    }

    /// Applies an epoch and returns what all workers emit.
    pub fn epoch_batches(&mut self, info: EpochInfo, batches: &[Batch]) -> Vec<Batch> {
        let workers = self.workers.len();
        let mut output = vec![];
        for (worker, operator) in self.workers.iter_mut().enumerate() {
            let own = batches.iter().map(|batch| share_of(batch, &self.keys, Share { worker, workers })).collect();
            operator.apply(&info, &mut [own], &mut output).unwrap();
            assert!(operator.stats().state_rows == 0 || operator.stats().state_bytes > 0);
        }
        output
    }

    /// Late rows of all workers.
    pub fn late_rows(&self) -> u64 {
        self.late_before + self.workers.iter().map(|worker| worker.stats().late_rows).sum::<u64>()
    }

    /// Rows of state of all workers.
    pub fn state_rows(&self) -> usize {
        self.workers.iter().map(|worker| worker.stats().state_rows).sum()
    }
}

fn share_of(batch: &Batch, keys: &[usize], share: Share) -> Batch {
    let columns: Vec<_> = keys.iter().map(|key| batch.column(*key).clone()).collect();
    let mut hashes = vec![];
    hash_rows(&columns, &mut hashes).unwrap();
    let group = |row: usize| hashes.get(row).map_or(0, |hash| key_group(*hash));
    let rows: Vec<u32> = (0..batch.num_rows()).filter(|row| share.owns(group(*row))).map(|row| row as u32).collect();
    let weights = batch.weights.as_ref().map(|weights| rows.iter().map(|row| weights.value(*row as usize)).collect());
    Batch { columns: take_record_batch(&batch.columns, &UInt32Array::from(rows)).unwrap(), weights }
}

/// A row as text.
pub fn text(rows: &RecordBatch, row: usize) -> String {
    let value = |column: &arrow::array::ArrayRef| {
        if column.is_null(row) { "NULL".to_owned() } else { array_value_to_string(column, row).unwrap() }
    };
    rows.columns().iter().map(value).collect::<Vec<_>>().join(",")
}

/// Adds a batch to net rows.
pub fn add(net: &mut Net, batch: &Batch) {
    for row in 0..batch.num_rows() {
        let key = text(&batch.columns, row);
        let weight = net.get(&key).copied().unwrap_or(0) + batch.weight(row);
        if weight == 0 {
            net.remove(&key)
        } else {
            net.insert(key, weight)
        };
    }
}

/// What turns one table into another.
pub fn difference(before: &Net, after: &Net) -> Net {
    let mut net = after.clone();
    for (row, weight) in before {
        let left = net.get(row).copied().unwrap_or(0) - weight;
        if left == 0 {
            net.remove(row)
        } else {
            net.insert(row.clone(), left)
        };
    }
    net
}

/// An epoch that only has a number.
pub fn info(epoch: u64) -> EpochInfo {
    EpochInfo {
        epoch,
        clock_ms: 0,
        previous_clock_ms: 0,
        watermark: i64::MIN,
        previous_watermark: i64::MIN,
        last: false,
    }
}
