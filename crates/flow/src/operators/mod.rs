//! The stateful operators, one file each.
