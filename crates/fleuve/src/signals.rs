//! Ctrl-C and SIGTERM: the first asks for a clean stop, the second does not wait for it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit status of a program that a second Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Catches the signals from now on.
pub fn install() {
    let stop = STOP.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the second signal finds the flag set by the first. Registration fails only for signals
        // that cannot be caught, which these can.
        let _ = flag::register_conditional_shutdown(signal, INTERRUPTED, stop.clone());
        let _ = flag::register(signal, stop.clone());
    }
}

/// Whether a clean stop has been asked for.
pub fn stop_requested() -> bool {
    STOP.get().is_some_and(|stop| stop.load(Ordering::Relaxed))
}
