//! What each kind of summary does with a row.

use arrow::array::{Array, ArrayRef};
use fleuve_base::Result;
use fleuve_sketch::distinct::{AmsF0, Bjkst, Hll, THETA_LG_K_DEFAULT, Theta, ThetaSet};
use fleuve_sketch::frequency::{CountMin, CountSketch};
use fleuve_sketch::hash::Item;
use fleuve_sketch::membership::Bloom;
use fleuve_sketch::moment::AmsF2;
use fleuve_sketch::statistics::{Moments, Pairs};

use super::items::{Items, with_item};

/// A summary of the rows of one group.
pub(super) trait Summary: Send + Sized + std::fmt::Debug + 'static {
    /// A column in the form that rows are taken from.
    fn read(column: &ArrayRef) -> Result<Items> {
        Items::of(column)
    }

    /// Another summary of nothing, like this one.
    fn empty(&self) -> Self;

    /// Adds all that a stored summary of the same shape has seen.
    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()>;

    /// Reads a stored summary.
    fn from_bytes(bytes: &[u8]) -> Result<Self>;

    /// The stored form; what is read from it goes on as this summary does.
    fn to_bytes(&self) -> Vec<u8>;

    /// Bytes of memory.
    fn bytes(&self) -> usize;
}

/// A summary to which the order of rows does not matter.
pub(super) trait Unordered: Summary {
    /// Adds a row, `weight` times. The weight is 1 unless the summary is one that can take rows back.
    fn add(&mut self, columns: &[Items], row: usize, weight: i64) -> Result<()>;

    /// Adds all rows, once each. No column has NULLs.
    fn add_all(&mut self, columns: &[Items]) -> Result<()>;
}

/// A summary to which it matters: items are put in order before they are added.
pub(super) trait Ordered: Summary {
    /// What waits for the end of its epoch.
    type Item: Ord + Send + std::fmt::Debug;

    /// The item of a row that came `weight` times. The weight is 1 unless the summary is one that can take rows back.
    fn item(&self, items: &Items, row: usize, weight: i64) -> Self::Item;

    /// Adds items, which are in order.
    fn add_sorted(&mut self, items: &mut dyn Iterator<Item = Self::Item>) -> Result<()>;
}

/// How a summary of hashed items takes one that came several times.
trait Hashed {
    fn take<I: Item + ?Sized>(&mut self, item: &I, weight: i64) -> Result<()>;
    fn take_all<I: Item>(&mut self, items: &[I]) -> Result<()>;
}

/// Adds every row of a column to a summary of hashed items, numbers by the slice.
fn add_column<S: Hashed>(summary: &mut S, items: &Items) -> Result<()> {
    match items {
        Items::Integers(values) => summary.take_all(values.values()),
        Items::Floats(values) => summary.take_all(values.values()),
        Items::Bytes(values) => (0..values.len()).try_for_each(|row| summary.take(values.value(row), 1)),
        Items::Decimals(values) => {
            values.values().iter().try_for_each(|value| summary.take(&value.to_le_bytes()[..], 1))
        }
    }
}

/// [`Hashed`], [`Unordered`] and [`Summary`] of a type: how it takes an item that came so many times, how it takes many, how it is read.
macro_rules! hashed {
    ($($kind:ty: |$summary:ident, $item:ident, $weight:ident| $take:expr; |$items:ident| $take_all:expr; $read:expr, $merge:expr;)*) => {$(
        impl Hashed for $kind {
            #[inline]
            fn take<I: Item + ?Sized>(&mut self, $item: &I, $weight: i64) -> Result<()> {
                let $summary = self;
                $take
            }

            fn take_all<I: Item>(&mut self, $items: &[I]) -> Result<()> {
                let $summary = self;
                $take_all
            }
        }

        impl Unordered for $kind {
            #[inline]
            fn add(&mut self, columns: &[Items], row: usize, weight: i64) -> Result<()> {
                with_item!(&columns[0], row, item => self.take(item, weight))
            }

            fn add_all(&mut self, columns: &[Items]) -> Result<()> {
                add_column(self, &columns[0])
            }
        }

        impl Summary for $kind {
            fn empty(&self) -> Self {
                <$kind>::empty(self)
            }

            fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
                let merge: fn(&mut $kind, &[u8]) -> Result<()> = $merge;
                merge(self, bytes)
            }

            fn from_bytes(bytes: &[u8]) -> Result<Self> {
                $read(bytes)
            }

            fn to_bytes(&self) -> Vec<u8> {
                <$kind>::to_bytes(self)
            }

            fn bytes(&self) -> usize {
                <$kind>::bytes(self)
            }
        }
    )*};
}

hashed! {
    AmsF0: |own, item, _weight| { own.update(item); Ok(()) }; |items| { own.update_all(items); Ok(()) }; AmsF0::from_bytes, AmsF0::merge_bytes;
    Bjkst: |own, item, _weight| { own.update(item); Ok(()) }; |items| { own.update_all(items); Ok(()) }; Bjkst::from_bytes, Bjkst::merge_bytes;
    Hll: |own, item, _weight| { own.update(item); Ok(()) }; |items| { own.update_all(items); Ok(()) }; Hll::from_bytes, |own, bytes| own.merge(&Hll::from_bytes(bytes)?);
    Theta: |own, item, _weight| { own.update(item); Ok(()) }; |items| { own.update_all(items); Ok(()) }; read_theta, |own, bytes| { own.merge_set(&ThetaSet::from_bytes(bytes)?); Ok(()) };
    AmsF2: |own, item, weight| { own.update_weighted(item, weight); Ok(()) }; |items| { own.update_all(items); Ok(()) }; AmsF2::from_bytes, AmsF2::merge_bytes;
    CountMin: |own, item, _weight| own.update(item); |items| own.update_all(items); CountMin::from_bytes, |own, bytes| own.merge(&CountMin::from_bytes(bytes)?);
    CountSketch: |own, item, weight| { own.update_weighted(item, weight); Ok(()) }; |items| { own.update_all(items); Ok(()) };
        CountSketch::from_bytes, |own, bytes| own.merge(&CountSketch::from_bytes(bytes)?);
}

/// A stored set says nothing of the size that it may grow to: that is the default.
fn read_theta(bytes: &[u8]) -> Result<Theta> {
    let mut theta = Theta::new(THETA_LG_K_DEFAULT)?;
    theta.merge_set(&ThetaSet::from_bytes(bytes)?);
    Ok(theta)
}

impl Summary for Bloom {
    fn empty(&self) -> Self {
        Bloom::empty(self)
    }

    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.merge(&Bloom::from_bytes(bytes)?)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Bloom::from_bytes(bytes)
    }

    fn to_bytes(&self) -> Vec<u8> {
        Bloom::to_bytes(self)
    }

    fn bytes(&self) -> usize {
        Bloom::bytes(self)
    }
}

impl Unordered for Bloom {
    fn add(&mut self, columns: &[Items], row: usize, _weight: i64) -> Result<()> {
        match &columns[0] {
            Items::Integers(values) => self.insert_i64(values.value(row)),
            Items::Floats(values) => self.insert_f64(values.value(row)),
            Items::Bytes(values) => self.insert_bytes(values.value(row)),
            Items::Decimals(values) => self.insert_bytes(&values.value(row).to_le_bytes()),
        }
        Ok(())
    }

    fn add_all(&mut self, columns: &[Items]) -> Result<()> {
        if let Items::Integers(values) = &columns[0] {
            self.insert_i64s(values.values());
            return Ok(());
        }
        (0..columns[0].len()).try_for_each(|row| self.add(columns, row, 1))
    }
}

impl Summary for Moments {
    fn read(column: &ArrayRef) -> Result<Items> {
        if column.data_type().is_integer() { Items::of(column) } else { Items::floats(column) }
    }

    fn empty(&self) -> Self {
        Moments::default()
    }

    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.merge(&Moments::from_bytes(bytes)?);
        Ok(())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Moments::from_bytes(bytes)
    }

    fn to_bytes(&self) -> Vec<u8> {
        Moments::to_bytes(self)
    }

    fn bytes(&self) -> usize {
        Moments::bytes(self)
    }
}

/// The dependent column comes first, as in SQL's `REGR_SLOPE(y, x)`.
impl Summary for Pairs {
    fn read(column: &ArrayRef) -> Result<Items> {
        Items::floats(column)
    }

    fn empty(&self) -> Self {
        Pairs::default()
    }

    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.merge(&Pairs::from_bytes(bytes)?);
        Ok(())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Pairs::from_bytes(bytes)
    }

    fn to_bytes(&self) -> Vec<u8> {
        Pairs::to_bytes(self)
    }

    fn bytes(&self) -> usize {
        Pairs::bytes(self)
    }
}

impl Unordered for Moments {
    #[inline]
    fn add(&mut self, columns: &[Items], row: usize, weight: i64) -> Result<()> {
        match &columns[0] {
            Items::Integers(values) => self.add_integer(values.value(row), weight),
            column => self.add(column.float(row), weight),
        }
        Ok(())
    }

    fn add_all(&mut self, columns: &[Items]) -> Result<()> {
        match &columns[0] {
            Items::Floats(values) => self.add_slice(values.values()),
            Items::Integers(values) => values.values().iter().for_each(|value| self.add_integer(*value, 1)),
            Items::Bytes(_) | Items::Decimals(_) => {}
        }
        Ok(())
    }
}

impl Unordered for Pairs {
    #[inline]
    fn add(&mut self, columns: &[Items], row: usize, weight: i64) -> Result<()> {
        self.add(columns[1].float(row), columns[0].float(row), weight);
        Ok(())
    }

    fn add_all(&mut self, columns: &[Items]) -> Result<()> {
        if let [Items::Floats(y), Items::Floats(x)] = columns {
            self.add_slices(x.values(), y.values());
        }
        Ok(())
    }
}
