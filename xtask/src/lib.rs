//! The tasks, as a library so that `tidy` is also a test.

pub mod bench;
pub mod e2e;
pub mod files;
pub mod guide;
pub mod metrics;
pub mod nexmark;
pub mod tidy;
pub mod torture;
