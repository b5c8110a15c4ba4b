//! A B+-tree whose inner structure can be seen: ranges and ranks, random draws, and a histogram level by level.
//!
//! [`Tree`] holds pairs of a key and a row number in pages of a fixed size (`docs/internals/index-pages.md`), and every
//! inner page knows how many rows lie below each of its children. Keys are bytes that compare as their values do
//! ([`key`]). [`olken`] draws at random from it, [`Shuffle`] draws without replacement, and [`Tree::level`] reads the
//! histogram that its inner pages are.
//!
//! ```
//! use fleuve_sketch::index::{Tree, key};
//!
//! let mut tree = Tree::new();
//! for row in 0..1_000u64 {
//!     tree.insert(&key::of_i64(row as i64 % 100 - 50), row)?;
//! }
//! let least: Vec<u64> = tree.entries(0..3).map(|entry| entry.row).collect();
//! assert_eq!(least, [0, 100, 200]);
//! assert_eq!(tree.rank_through(&key::of_i64(-1)), 500);
//! # Ok::<(), fleuve_base::Error>(())
//! ```

mod histogram;
pub mod key;
pub mod olken;
mod page;
mod range;
mod shuffle;
mod tree;
mod tree_stored;

pub use histogram::Bucket;
pub use page::{KEY_BYTES_MAX, PAGE_BYTES};
pub use range::{Entries, Entry};
pub use shuffle::Shuffle;
pub use tree::Tree;
