//! Who may do what.

mod authorizer;

pub use authorizer::{Authorizer, Operation, Resource};
