//! What each kind of summary does with a row.

use arrow::array::{Array, ArrayRef};
use fleuve_base::Result;
use fleuve_sketch::distinct::{AmsF0, Bjkst, Hll};
use fleuve_sketch::hash::Item;
use fleuve_sketch::moment::AmsF2;

use super::items::Items;

/// A summary of the rows of one group.
pub(super) trait Summary: Send + Sized + 'static {
    /// A column in the form that [`Summary::add`] takes.
    fn read(column: &ArrayRef) -> Result<Items> {
        Items::of(column)
    }

    /// Another summary of nothing, like this one.
    fn empty(&self) -> Self;

    /// Adds a row, `weight` times. The weight is 1 unless the summary is one that can take rows back.
    fn add(&mut self, columns: &[Items], row: usize, weight: i64);

    /// Adds all rows, once each. No column has NULLs.
    fn add_all(&mut self, columns: &[Items]);

    /// Adds all that a stored summary has seen.
    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()>;

    /// Reads a stored summary.
    fn from_bytes(bytes: &[u8]) -> Result<Self>;

    /// The stored form.
    fn to_bytes(&self) -> Vec<u8>;

    /// Bytes of memory.
    fn bytes(&self) -> usize;
}

/// Calls `$visit` with the item of a row, whatever its type.
macro_rules! with_item {
    ($items:expr, $row:expr, $item:ident => $visit:expr) => {
        match $items {
            Items::Integers(values) => {
                let $item = &values.value($row);
                $visit
            }
            Items::Floats(values) => {
                let $item = &values.value($row);
                $visit
            }
            Items::Bytes(values) => {
                let $item = values.value($row);
                $visit
            }
            Items::Decimals(values) => {
                let $item = &values.value($row).to_le_bytes()[..];
                $visit
            }
        }
    };
}

/// How a summary of hashed items takes one that came several times.
trait Hashed {
    fn take<I: Item + ?Sized>(&mut self, item: &I, weight: i64);
    fn take_all<I: Item>(&mut self, items: &[I]);
}

/// Adds every row of a column to a summary of hashed items, numbers by the slice.
fn add_column<S: Hashed>(summary: &mut S, items: &Items) {
    match items {
        Items::Integers(values) => summary.take_all(values.values()),
        Items::Floats(values) => summary.take_all(values.values()),
        Items::Bytes(values) => (0..values.len()).for_each(|row| summary.take(values.value(row), 1)),
        Items::Decimals(values) => {
            values.values().iter().for_each(|value| summary.take(&value.to_le_bytes()[..], 1));
        }
    }
}

/// [`Summary`] of a type whose items are hashed.
macro_rules! hashed {
    ($($kind:ty: ($summary:ident, $item:ident, $weight:ident) => $take:expr, $merge_bytes:expr;)*) => {$(
        impl Hashed for $kind {
            #[inline]
            fn take<I: Item + ?Sized>(&mut self, $item: &I, $weight: i64) {
                let $summary = self;
                $take;
            }

            fn take_all<I: Item>(&mut self, items: &[I]) {
                self.update_all(items);
            }
        }

        impl Summary for $kind {
            fn empty(&self) -> Self {
                <$kind>::empty(self)
            }

            #[inline]
            fn add(&mut self, columns: &[Items], row: usize, weight: i64) {
                with_item!(&columns[0], row, item => self.take(item, weight));
            }

            fn add_all(&mut self, columns: &[Items]) {
                add_column(self, &columns[0]);
            }

            fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
                let merge: fn(&mut $kind, &[u8]) -> Result<()> = $merge_bytes;
                merge(self, bytes)
            }

            fn from_bytes(bytes: &[u8]) -> Result<Self> {
                <$kind>::from_bytes(bytes)
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
    AmsF0: (summary, item, _weight) => summary.update(item), AmsF0::merge_bytes;
    Bjkst: (summary, item, _weight) => summary.update(item), Bjkst::merge_bytes;
    Hll: (summary, item, _weight) => summary.update(item), |summary, bytes| summary.merge(&Hll::from_bytes(bytes)?);
    AmsF2: (summary, item, weight) => summary.update_weighted(item, weight), AmsF2::merge_bytes;
}
