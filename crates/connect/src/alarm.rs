//! Wakes the workers when something is due: paced sources have nobody else to call them.

use std::sync::Arc;
use std::time::Duration;

use fleuve_base::{Env, Error, Result};
use fleuve_flow::source::Waker;
use parking_lot::{Condvar, Mutex};

/// One waiting thread, started when it is first needed and ended with the alarm.
pub(crate) struct Alarm {
    shared: Arc<Shared>,
}

struct Shared {
    env: Env,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    wakers: Vec<Waker>,
    /// When to wake, by the monotonic clock.
    due: Option<Duration>,
    running: bool,
    stopped: bool,
}

impl Alarm {
    pub(crate) fn new(env: Env) -> Self {
        Alarm { shared: Arc::new(Shared { env, state: Mutex::default(), changed: Condvar::new() }) }
    }

    /// Registers what to call.
    pub(crate) fn subscribe(&self, waker: Waker) {
        self.shared.state.lock().wakers.push(waker);
    }

    /// Wakes everyone at once.
    pub(crate) fn ring(&self) {
        self.shared.ring();
    }

    /// Wakes everyone at a moment of the monotonic clock, or at an earlier one that was asked for before.
    pub(crate) fn wake_at(&self, moment: Duration) -> Result<()> {
        let mut state = self.shared.state.lock();
        if state.running && state.due.is_some_and(|due| due <= moment) {
            return Ok(());
        }
        state.due = Some(moment);
        if !state.running {
            let shared = self.shared.clone();
            std::thread::Builder::new()
                .name("fleuve-alarm".to_owned())
                .spawn(move || shared.run())
                .map_err(|error| Error::io("start a thread", &error))?;
            state.running = true;
        }
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.shared.state.lock().stopped = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let mut state = self.state.lock();
            if state.stopped {
                return;
            }
            let now = self.env.clock.monotonic();
            match state.due {
                None => self.changed.wait(&mut state),
                Some(due) if due > now => {
                    self.changed.wait_for(&mut state, due - now);
                }
                Some(_) => {
                    state.due = None;
                    drop(state);
                    self.ring();
                }
            }
        }
    }

    /// Calls the wakers without holding the lock, since they may come back with a new moment.
    fn ring(&self) {
        let wakers = self.state.lock().wakers.clone();
        wakers.iter().for_each(|waker| waker());
    }
}
