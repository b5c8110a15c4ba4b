//! The rows of a sample, and the chances by which they are in it.
//!
//! Rows of equal content share their key and so their fate: they are one cluster. Of a sample of a fixed size one row more is
//! there than it has, and the key of that one is the threshold: given it, the others are in the sample each by itself, those
//! with a key below it. Draws through an index are each a cluster of one row.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use fleuve_base::Result;
use fleuve_plan::SampleUnit;
use fleuve_sketch::online::{Chance, DrawnFrom};

use super::super::keyed_state::arrow_error;
use super::super::sample::unit;

/// See the module.
#[derive(Debug)]
pub struct Sample {
    unit: SampleUnit,
    /// By key.
    clusters: HashMap<i64, Cluster>,
    /// Rows that came.
    rows: u64,
    population: Option<u64>,
    /// The threshold, once it is known that rows were passed over.
    threshold: Option<i64>,
    from: DrawnFrom,
}

#[derive(Debug, Clone, Copy)]
struct Cluster {
    rows: u64,
    weight: f64,
}

impl Sample {
    /// Without rows yet.
    pub fn new(unit: SampleUnit) -> Self {
        let (clusters, from) = (HashMap::new(), DrawnFrom::new(None));
        Sample { unit, clusters, rows: 0, population: None, threshold: None, from }
    }

    /// Takes note of rows, and returns the cluster of each.
    ///
    /// # Errors
    /// Internal, if weights are no numbers.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<Vec<i64>> {
        let rows = batch.num_rows() as i64;
        let numbers = |column: usize| batch.column(column).as_primitive::<Int64Type>();
        let (key, population, weight) = match self.unit {
            SampleUnit::Bernoulli { key, .. } => (Some(key), None, None),
            SampleUnit::Smallest { key, population, weight, .. } => (Some(key), Some(population), weight),
            SampleUnit::Draws { population, .. } => (None, Some(population), None),
        };
        if let Some(population) = population.filter(|_| rows > 0) {
            self.population = Some(numbers(population).value(0).max(0) as u64);
        }
        let keys: Vec<i64> = match key {
            Some(key) => numbers(key).values().to_vec(),
            None => (self.rows as i64..self.rows as i64 + rows).collect(),
        };
        let weights = weight.map(|weight| cast(batch.column(weight), &DataType::Float64)).transpose();
        let weights = weights.map_err(|e| arrow_error("read weights", &e))?;
        let weights: Option<&Float64Array> = weights.as_ref().map(|weights| weights.as_primitive::<Float64Type>());
        for (row, key) in keys.iter().enumerate() {
            let weight = weights.filter(|weights| weights.is_valid(row)).map_or(1.0, |weights| weights.value(row));
            self.clusters.entry(*key).or_insert(Cluster { rows: 0, weight }).rows += 1;
        }
        self.rows += rows as u64;
        Ok(keys)
    }

    /// All rows have come.
    pub fn close(&mut self) {
        let size = match self.unit {
            SampleUnit::Smallest { rows, .. } => rows,
            SampleUnit::Bernoulli { .. } | SampleUnit::Draws { .. } => u64::MAX,
        };
        // The order of the keys is that of their bits.
        let greatest = self.clusters.keys().copied().max_by_key(|key| *key as u64);
        self.threshold = greatest.filter(|_| self.rows > size);
        let fixed = !matches!(self.unit, SampleUnit::Bernoulli { .. });
        let population = if fixed { Some(self.population.unwrap_or(0)) } else { None };
        let mut from = DrawnFrom::new(population);
        let mut keys: Vec<i64> = self.clusters.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            if let Some((rows, chance)) = self.cluster(key) {
                from.add(rows, chance);
            }
        }
        self.from = from;
    }

    /// The rows of a cluster, and its chance; none if it is the threshold's.
    pub fn cluster(&self, key: i64) -> Option<(u64, Chance)> {
        let Cluster { rows, weight } = *self.clusters.get(&key)?;
        let chance = match (self.unit, self.threshold) {
            (SampleUnit::Bernoulli { probability, .. }, _) => Chance::Once(probability),
            (SampleUnit::Smallest { .. }, Some(threshold)) if key == threshold => return None,
            (SampleUnit::Smallest { weight: None, .. }, Some(threshold)) => Chance::Once(unit(threshold as u64)),
            (SampleUnit::Smallest { .. }, Some(threshold)) => {
                Chance::Once(-(-weight * f64::from_bits(threshold as u64)).exp_m1())
            }
            (SampleUnit::Smallest { .. }, None) => Chance::Once(1.0),
            (SampleUnit::Draws { replacement, .. }, _) => {
                let share = self.rows as f64 / (self.population.unwrap_or(0) as f64).max(1.0);
                if replacement { Chance::Repeated(share) } else { Chance::Once(share.min(1.0)) }
            }
        };
        Some((rows, chance))
    }

    /// What estimates need to know of it.
    pub fn from(&self) -> &DrawnFrom {
        &self.from
    }

    /// The share of the rows that is in it.
    pub fn fraction(&self) -> Option<f64> {
        match (self.unit, self.from.population()) {
            (SampleUnit::Bernoulli { probability, .. }, _) => Some(probability),
            (_, Some(0)) => Some(1.0),
            (_, population) => population.map(|all| self.from.rows() as f64 / all as f64),
        }
    }
}
