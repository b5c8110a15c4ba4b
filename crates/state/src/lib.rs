//! Keyed state: hashing, key groups, tables from keys to dense group numbers, and multisets of rows.

pub mod columns;
pub mod consolidate;
pub mod deferred;
pub mod hash;
pub mod key_table;
pub mod multimap;
