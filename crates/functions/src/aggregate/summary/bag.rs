//! Cuckoo filters: of the values of rows that stay, or of rows that may be taken back, as often as they came.
//!
//! The rows of an epoch are taken in the order of their places, so that batches do not show.

use std::cmp::Reverse;

use fleuve_base::{Error, Result};
use fleuve_sketch::membership::{Cuckoo, CuckooPlace};

use super::constants::Constants;
use super::items::{Items, with_item};
use super::kinds::{Ordered, Summary};
use super::sorted::take_over;

/// A cuckoo filter, and whether values are in it as often as they came.
#[derive(Debug)]
pub(super) struct Bag {
    filter: Cuckoo,
    /// Rows may be taken back. If not, a value is in the filter once.
    counts: bool,
}

impl Bag {
    /// Without values.
    pub(super) fn new(constants: &Constants<'_>) -> Result<Self> {
        let filter = Cuckoo::new(constants.seed(), constants.count("items").unwrap_or(1))?;
        Ok(Bag { filter, counts: constants.retracts })
    }
}

impl Summary for Bag {
    fn empty(&self) -> Self {
        Bag { filter: self.filter.empty(), counts: self.counts }
    }

    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let merge = if self.counts { Cuckoo::merge } else { Cuckoo::union };
        take_over(&mut self.filter, Cuckoo::from_bytes(bytes)?, Cuckoo::is_empty, merge)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Ok(Bag { filter: Cuckoo::from_bytes(bytes)?, counts: false })
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.filter.to_bytes()
    }

    fn bytes(&self) -> usize {
        self.filter.bytes()
    }
}

impl Ordered for Bag {
    type Item = (CuckooPlace, Reverse<i64>);

    fn item(&self, items: &Items, row: usize, weight: i64) -> Self::Item {
        (with_item!(items, row, item => self.filter.place_of(item)), Reverse(weight))
    }

    /// What comes and goes within one epoch needs no room.
    fn add_sorted(&mut self, items: &mut dyn Iterator<Item = Self::Item>) -> Result<()> {
        let mut items = items.peekable();
        while let Some((place, Reverse(mut weight))) = items.next() {
            while let Some((_, Reverse(more))) = items.next_if(|(next, _)| *next == place) {
                weight += more;
            }
            if !self.counts {
                weight = i64::from(!self.filter.contains_at(place));
            }
            (0..weight).try_for_each(|_| self.filter.insert_at(place))?;
            if !(weight..0).all(|_| self.filter.remove_at(place)) {
                return Err(Error::internal("a row is taken back that never came to a cuckoo filter"));
            }
        }
        Ok(())
    }
}
