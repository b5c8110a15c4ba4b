//! The stored form of KLL sketches: that of Apache DataSketches.
//!
//! | bytes | content |
//! |---|---|
//! | 0 | the header in 4-byte words: 2 for none or one item, else 5 |
//! | 1 | the serial version: 2 for one item, else 1 |
//! | 2 | 15, the family KLL |
//! | 3 | flags: 1 empty, 2 level 0 is sorted, 4 one item |
//! | 4 | 2: k; 1: the least capacity of a level, 8; 1: unused |
//! | 8 | 8: the number of all items; 2: the smallest k; 1: levels; 1: unused (from 5 words on) |
//! | 20 | 4 a level: where its items begin, if all levels were full |
//! | then | the least and the greatest item; the items, level by level |
//!
//! The seed of the coins is not part of it: [`Kll::from_bytes`] is told it.

use super::kll::{KLL_K, Kll, LEAST_CAPACITY, LEVELS_MAX, Quantity};
use crate::codec::Reader;
use fleuve_base::Result;

const WHAT: &str = "stored KLL sketch";
const FAMILY: u8 = 15;
const EMPTY: u8 = 1;
const SORTED: u8 = 2;
const SINGLE: u8 = 4;

impl<T: Quantity> Kll<T> {
    /// The stored form of Apache DataSketches.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (words, version, flags) = match self.total {
            0 => (2, 1, EMPTY),
            1 => (2, 2, SINGLE),
            _ => (5, 1, 0),
        };
        let mut bytes = vec![words, version, FAMILY, flags];
        bytes.extend(self.k.to_le_bytes());
        bytes.extend([LEAST_CAPACITY, 0]);
        if self.total > 1 {
            bytes.extend(self.total.to_le_bytes());
            bytes.extend(self.k_min.to_le_bytes());
            bytes.extend([self.levels.len() as u8, 0]);
            let mut offset = self.capacity - self.held;
            for level in &self.levels {
                bytes.extend((offset as u32).to_le_bytes());
                offset += level.len();
            }
            bytes.extend(self.least.to_stored());
            bytes.extend(self.greatest.to_stored());
        }
        self.levels.iter().flatten().for_each(|item| bytes.extend(item.to_stored()));
        bytes
    }

    /// Reads the stored form of Apache DataSketches; the seed is that of the coins from now on.
    ///
    /// # Errors
    /// If the bytes are not such a form.
    pub fn from_bytes(bytes: &[u8], seed: u64) -> Result<Self> {
        let mut reader = Reader::new(bytes, WHAT);
        let [words, version, family, flags] = reader.array::<4>()?;
        reader.demand(family == FAMILY, "they are of another family")?;
        let k = reader.u16()?;
        let [least_capacity, _] = reader.array::<2>()?;
        reader.demand(KLL_K.contains(&k) && least_capacity == LEAST_CAPACITY, "a parameter is out of range")?;
        let mut summary = Kll::new(k, seed)?;
        match (words, version, flags & (EMPTY | SINGLE)) {
            (2, 1, EMPTY) => (),
            (2, 2, SINGLE) => {
                let item = read_item(&mut reader)?;
                summary.update(item);
            }
            (5, 1, 0) => summary.read_levels(&mut reader, flags & SORTED != 0)?,
            _ => return Err(reader.damaged("their version is unknown")),
        }
        reader.finish()?;
        Ok(summary)
    }

    fn read_levels(&mut self, reader: &mut Reader<'_>, sorted: bool) -> Result<()> {
        self.total = reader.u64()?;
        self.k_min = reader.u16()?;
        let [levels, _] = reader.array::<2>()?;
        let levels = usize::from(levels);
        reader.demand((1..=LEVELS_MAX).contains(&levels), "there are too many levels")?;
        reader.demand(KLL_K.contains(&self.k_min) && self.k_min <= self.k, "a parameter is out of range")?;
        let mut offsets =
            (0..levels).map(|_| reader.u32().map(|offset| offset as usize)).collect::<Result<Vec<_>>>()?;
        self.levels = vec![Vec::new(); levels];
        self.count_again();
        offsets.push(self.capacity);
        self.least = read_item(reader)?;
        self.greatest = read_item(reader)?;
        for level in 0..levels {
            let count = offsets[level + 1].checked_sub(offsets[level]);
            let count = count.ok_or_else(|| reader.damaged("a level ends before it begins"))?;
            // Above the first level, and there too if it says so, items have to be in order.
            self.levels[level] = self.read_level(reader, count, level > 0 || sorted)?;
        }
        self.count_again();
        let total = self.levels.iter().enumerate().map(|(level, items)| (items.len() as u128) << level).sum::<u128>();
        reader.demand(total == u128::from(self.total) && total <= 1 << 62, "the items do not add up")
    }

    fn read_level(&self, reader: &mut Reader<'_>, count: usize, sorted: bool) -> Result<Vec<T>> {
        let mut stored = Reader::new(reader.take(count * 8)?, WHAT);
        let items = (0..count).map(|_| read_item::<T>(&mut stored)).collect::<Result<Vec<_>>>()?;
        let inside = items.iter().all(|item| self.least.order(item).is_le() && item.order(&self.greatest).is_le());
        reader.demand(inside, "an item is outside the bounds")?;
        reader.demand(
            !sorted || items.windows(2).all(|pair| pair[0].order(&pair[1]).is_le()),
            "a level is not in order",
        )?;
        Ok(items)
    }
}

fn read_item<T: Quantity>(reader: &mut Reader<'_>) -> Result<T> {
    let item = T::from_stored(reader.array()?);
    reader.demand(item.is_ordered(), "an item is NaN")?;
    Ok(item)
}

#[cfg(test)]
mod tests {
    use super::Kll;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_stored_is_read(items in prop::collection::vec(-1e9f64..1e9, 0..900), more in prop::collection::vec(0f64..1.0, 0..99)) {
            let mut summary = Kll::new(20, 5).unwrap();
            summary.update_all(&items);
            let mut read = Kll::from_bytes(&summary.to_bytes(), 5).unwrap();
            prop_assert_eq!(read.to_bytes(), summary.to_bytes());
            summary.update_all(&more);
            read.update_all(&more);
            prop_assert_eq!(read.to_bytes(), summary.to_bytes(), "a restart changes nothing");
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, items in 0i64..400, at: usize, byte: u8) {
            let _ = Kll::<f64>::from_bytes(&bytes, 0);
            let mut summary = Kll::new(8, 5).unwrap();
            summary.update_all(&(0..items).collect::<Vec<_>>());
            let mut bytes = summary.to_bytes();
            let place = at % bytes.len();
            prop_assert!(Kll::<i64>::from_bytes(&bytes[..place], 0).is_err());
            bytes[place] = byte;
            if let Ok(mut read) = Kll::<i64>::from_bytes(&bytes, 0) {
                read.update_all(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
                read.merge(&summary).unwrap();
                read.quantile(0.3).unwrap();
            }
        }
    }
}
