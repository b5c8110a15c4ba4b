//! Bugs on purpose, to see that they are found. A harness that has never failed proves nothing.
//!
//! Only a build with `--cfg canary` has them, and only that whose name is in `FLEUVE_CANARY` is awake; everywhere else
//! [`canary`] is `false` when the compiler looks. `cargo xtask torture canaries` makes such a build and demands that the
//! torture finds each.

use std::sync::OnceLock;

/// The bugs that there are, with what must find each.
///
/// | name | what it does |
/// |---|---|
/// | `skip_fsync` | acknowledges without a sync |
/// | `ack_early` | acknowledges, and lets read, before the sync |
/// | `swallow_eio` | takes a failed sync for one that has worked |
/// | `tail_off_by_one` | recovery takes a batch that ends where the file ends for a torn one |
/// | `ignore_crc` | believes bytes without their checksum |
/// | `double_append` | appends a batch again that a producer sends again |
/// | `forget_fencing` | lets an old epoch of a producer write |
/// | `forget_aborted` | does not tell readers which transactions were aborted |
pub const CANARIES: [&str; 8] = [
    "skip_fsync",
    "ack_early",
    "swallow_eio",
    "tail_off_by_one",
    "ignore_crc",
    "double_append",
    "forget_fencing",
    "forget_aborted",
];

/// Whether this bug is awake.
pub fn canary(name: &str) -> bool {
    static AWAKE: OnceLock<Option<String>> = OnceLock::new();
    debug_assert!(CANARIES.contains(&name), "a canary has to be listed");
    cfg!(canary) && AWAKE.get_or_init(|| std::env::var("FLEUVE_CANARY").ok()).as_deref() == Some(name)
}
