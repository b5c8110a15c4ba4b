//! The stateful operators, one file each, and the stateless ones that are more than an expression.

pub mod aggregate;
pub mod assign_window;
pub mod calc;
pub mod clocked_window;
mod create;
pub mod join;
pub mod keyed_state;
pub mod limit;
pub mod lookup_join;
pub mod normalize;
pub mod online;
pub mod sample;
pub mod sort;
#[cfg(test)]
pub mod testing;
pub mod union;
pub mod unnest;
pub mod values;
pub mod window_aggregate;
pub mod window_join;
pub mod window_time;

pub use create::create;
pub(crate) use keyed_state::output_batch;
