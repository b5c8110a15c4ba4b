//! Has this item come before? Never a wrong no.
//!
//! | type | wrong yes | memory | can forget items |
//! |---|---|---|---|
//! | [`Bloom`] | the probability that was asked for, up to the number of items it was made for | 1.44·log2(1/p) bits an item | no |
//! | [`Cuckoo`] | at most 1/8,000 | 2 bytes a place, up to 95 % of them used | yes |

mod bloom;
mod cuckoo;

pub use bloom::{BLOOM_BYTES_MAX, BLOOM_HASHES_MAX, Bloom};
pub use cuckoo::{CUCKOO_ITEMS_MAX, Cuckoo, CuckooPlace};
