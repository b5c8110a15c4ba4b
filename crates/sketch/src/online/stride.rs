//! Index Stride: groups are read side by side, each at the rate that its user sets.

use std::collections::{BTreeSet, HashMap};

use fleuve_base::{Error, ErrorKind, Result};

use super::claim::Scope;
use crate::index::{Entry, Shuffle, Tree};
use crate::random::split_mix;

/// Reads the rows of an index on the grouping columns, group after group in turn (Hellerstein, Haas, Wang 1997, section 3).
///
/// The first request opens a scan at the left edge of the index, finds the first key k1, and opens its scan [= k1]; the
/// next one opens [> k1] to find k2, and so on until [> kn] finds nothing. Each group gives a row when it is found. From
/// then on groups are served at rates relative to each other, by stride scheduling (C. A. Waldspurger, W. E. Weihl 1995):
/// after t rows a group of rate r out of R in sum has had t·r/R of them, give or take one for each group. So small groups
/// get their answer as early as large ones. The rows of a group come in random order, so that each estimates its group.
#[derive(Debug)]
pub struct Stride {
    groups: Vec<Group>,
    by_key: HashMap<Vec<u8>, usize>,
    groups_max: usize,
    found_all: bool,
    seed: u64,
    /// The groups that are served, by the time at which they are due.
    due: BTreeSet<(Time, usize)>,
    now: f64,
    changes: u64,
}

#[derive(Debug)]
struct Group {
    key: Vec<u8>,
    order: Shuffle,
    rate: f64,
    /// When it is due, in turns of a group of rate 1; not in the queue while the rate is 0 or the group is over.
    time: f64,
    stopped: bool,
}

/// A time that can be compared; none is negative or NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Time(u64);

/// A row that a group was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served<'t> {
    /// The group's number, from 0 in the order of keys.
    pub group: usize,
    /// The row.
    pub entry: Entry<'t>,
}

impl Stride {
    /// Of an index, for up to `groups_max` groups.
    pub fn new(tree: &Tree, groups_max: usize, seed: u64) -> Self {
        Stride {
            groups: vec![],
            by_key: HashMap::new(),
            groups_max,
            found_all: false,
            seed,
            due: BTreeSet::new(),
            now: 0.0,
            changes: tree.changes(),
        }
    }

    /// The next row; `None` if all groups are over, stopped, or have the rate 0.
    ///
    /// # Errors
    /// E904, if there are more groups than this may have; [`ErrorKind::Conflict`], if the index is not as it was.
    pub fn next<'t>(&mut self, tree: &'t Tree) -> Result<Option<Served<'t>>> {
        if tree.changes() != self.changes {
            let message = "an index was changed while its groups were read";
            return Err(Error::new(ErrorKind::Conflict, "E405", message));
        }
        if !self.found_all
            && let Some(group) = self.find(tree)?
        {
            return Ok(self.serve(tree, group));
        }
        let Some((_, group)) = self.due.pop_first() else { return Ok(None) };
        self.now = self.groups[group].time;
        Ok(self.serve(tree, group))
    }

    /// Opens a scan behind the last group that was found.
    fn find(&mut self, tree: &Tree) -> Result<Option<usize>> {
        let first = match self.groups.last() {
            None => tree.kth(0),
            Some(last) => tree.first_after(&last.key),
        };
        let Some(first) = first else {
            self.found_all = true;
            return Ok(None);
        };
        if self.groups.len() == self.groups_max {
            let message = format!("an index has more than {} groups to stride over", self.groups_max);
            return Err(Error::new(ErrorKind::Limit, "E904", message));
        }
        let ranks = tree.rank(first.key, 0)..tree.rank_through(first.key);
        let order = Shuffle::new(ranks, split_mix(&mut self.seed));
        let group = self.groups.len();
        self.groups.push(Group { key: first.key.to_vec(), order, rate: 1.0, time: self.now, stopped: false });
        self.by_key.insert(first.key.to_vec(), group);
        Ok(Some(group))
    }

    /// Gives a group, which is not in the queue, its next row, and puts it back unless that was the last.
    fn serve<'t>(&mut self, tree: &'t Tree, group: usize) -> Option<Served<'t>> {
        let served = &mut self.groups[group];
        let entry = served.order.next().and_then(|rank| tree.kth(rank))?;
        if served.rate > 0.0 {
            served.time += 1.0 / served.rate;
        }
        self.enqueue(group);
        Some(Served { group, entry })
    }

    fn enqueue(&mut self, group: usize) {
        let Group { order, rate, time, stopped, .. } = &self.groups[group];
        if !stopped && *rate > 0.0 && order.drawn() < order.size() {
            self.due.insert((Time(time.to_bits()), group));
        }
    }

    /// Sets the rate of a group relative to others, 1 at first; 0 lets it wait.
    ///
    /// # Errors
    /// E304, if no group of this key was found so far, or the rate is negative or not a number.
    pub fn set_rate(&mut self, key: &[u8], rate: f64) -> Result<()> {
        if !(rate >= 0.0 && rate.is_finite()) {
            return Err(Error::input("E304", format!("a group's rate is a number from 0 on, not {rate}")));
        }
        let group = self.known(key)?;
        let changed = &mut self.groups[group];
        self.due.remove(&(Time(changed.time.to_bits()), group));
        if rate > 0.0 {
            // What is left of its turn takes as much longer or shorter.
            let turns = if changed.rate > 0.0 { (changed.time - self.now).max(0.0) * changed.rate } else { 1.0 };
            changed.time = self.now + turns.min(1.0) / rate;
        }
        changed.rate = rate;
        self.enqueue(group);
        Ok(())
    }

    /// Stops a group for good: it has the answer that it needs.
    ///
    /// # Errors
    /// E304, if no group of this key was found so far.
    pub fn stop(&mut self, key: &[u8]) -> Result<()> {
        let group = self.known(key)?;
        self.groups[group].stopped = true;
        self.due.remove(&(Time(self.groups[group].time.to_bits()), group));
        Ok(())
    }

    fn known(&self, key: &[u8]) -> Result<usize> {
        let unknown =
            || Error::input("E304", "no group of this key has been found").with_hint("groups are found one by one");
        self.by_key.get(key).copied().ok_or_else(unknown)
    }

    /// Whether all groups were found.
    pub fn found_all(&self) -> bool {
        self.found_all
    }

    /// The number of groups found so far.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The key of a group that was found.
    pub fn key(&self, group: usize) -> Option<&[u8]> {
        self.groups.get(group).map(|group| &group.key[..])
    }

    /// How many rows of a group were given, and how many it has: what its estimates need.
    pub fn scope(&self, group: usize) -> Option<Scope> {
        let order = &self.groups.get(group)?.order;
        Some(Scope { seen: order.drawn(), population: order.size() })
    }

    /// Whether every group that is not stopped has given all its rows.
    pub fn is_finished(&self) -> bool {
        let over = |group: &Group| group.stopped || group.order.drawn() == group.order.size();
        self.found_all && self.groups.iter().all(over)
    }
}

#[cfg(test)]
#[path = "stride_tests.rs"]
mod tests;
