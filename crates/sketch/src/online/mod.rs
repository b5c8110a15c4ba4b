//! Online aggregation: estimates, each with its interval, while the data is still being read in random order.
//!
//! J. M. Hellerstein, P. J. Haas, H. J. Wang (1997), "Online aggregation"; P. J. Haas (1997), "Large-sample and
//! deterministic confidence intervals for online aggregation"; P. J. Haas, J. M. Hellerstein (1999), "Ripple joins for
//! online aggregation".
//!
//! What matters is the unit in which data is drawn. [`Rows`] are for rows that were drawn one by one. Where whole blocks
//! are drawn, rows of a block resemble each other, and [`Blocks`] takes the block as the unit. [`BlockPairs`] is for
//! a join of two tables of which blocks are drawn, [`Ripple`] such a join; [`Stride`] reads a table group by group at rates that
//! its user sets.

mod block_pairs;
mod blocks;
mod claim;
mod clusters;
mod drawn;
mod ripple;
mod rows;
mod stride;

pub use block_pairs::BlockPairs;
pub use blocks::{Blocks, BlocksRead};
pub use claim::{Bounds, Method, Scope};
pub use clusters::Part;
pub use drawn::{Chance, Drawn, DrawnFrom};
pub use ripple::Ripple;
pub use rows::Rows;
pub use stride::{Served, Stride};
