//! Work for later, by the monotonic clock. The owner drives it: nothing here runs by itself.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

type Job = Box<dyn FnOnce() + Send>;
type Alarm = Arc<dyn Fn(Duration) + Send + Sync>;

/// A timer that can be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId {
    at: Duration,
    number: u64,
}

/// Jobs ordered by the time when they are due. There are as many as there are requests that wait, group members and
/// open transactions; those have the limits.
#[derive(Default)]
pub struct Timers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    jobs: BTreeMap<TimerId, Job>,
    next_number: u64,
    alarm: Option<Alarm>,
}

impl Timers {
    /// No jobs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has `job` run at the monotonic time `at`, or as soon after it as [`run_due`](Self::run_due) is called.
    pub fn schedule(&self, at: Duration, job: Job) -> TimerId {
        let mut state = self.state.lock();
        let earliest = state.jobs.first_key_value().is_none_or(|(first, _)| at < first.at);
        let id = TimerId { at, number: state.next_number };
        state.next_number += 1;
        state.jobs.insert(id, job);
        let alarm = state.alarm.clone().filter(|_| earliest);
        drop(state);
        if let Some(alarm) = alarm {
            alarm(at);
        }
        id
    }

    /// Takes a job away; whether it was still there. One that runs right now is not.
    pub fn cancel(&self, id: TimerId) -> bool {
        // The job is dropped after the lock is given back: what it holds may schedule or cancel.
        let job = self.state.lock().jobs.remove(&id);
        job.is_some()
    }

    /// Runs, on the caller's thread and in order, what is due at `now`; gives the time of the next job.
    pub fn run_due(&self, now: Duration) -> Option<Duration> {
        loop {
            let job = match self.take_due(now) {
                Ok(job) => job,
                Err(next) => return next,
            };
            // One job's panic must not end the thread that drives all others.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a timer's job panicked");
            }
        }
    }

    /// The first job if it is due, or when it will be.
    fn take_due(&self, now: Duration) -> Result<Job, Option<Duration>> {
        let mut state = self.state.lock();
        let Some(first) = state.jobs.first_entry() else { return Err(None) };
        if first.key().at > now {
            return Err(Some(first.key().at));
        }
        Ok(first.remove())
    }

    /// Has `alarm` called with its time whenever a job comes in that is due before all others. It must be quick.
    pub fn on_earlier(&self, alarm: impl Fn(Duration) + Send + Sync + 'static) {
        self.state.lock().alarm = Some(Arc::new(alarm));
    }

    /// Number of jobs.
    pub fn len(&self) -> usize {
        self.state.lock().jobs.len()
    }

    /// Whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    type Notes = Arc<Mutex<Vec<u32>>>;

    /// Timers, and a job that notes its name.
    fn noted() -> (Arc<Timers>, Notes, impl Fn(u32) -> Job) {
        let notes = Notes::default();
        let inner = Arc::clone(&notes);
        let job = move |name| -> Job {
            let notes = Arc::clone(&inner);
            Box::new(move || notes.lock().push(name))
        };
        (Arc::new(Timers::new()), notes, job)
    }

    #[test]
    fn jobs_run_in_order_and_not_before_their_time() {
        let (timers, notes, job) = noted();
        timers.schedule(at(20), job(2));
        timers.schedule(at(10), job(1));
        timers.schedule(at(20), job(3));
        assert_eq!(timers.run_due(at(9)), Some(at(10)));
        assert_eq!(timers.run_due(at(10)), Some(at(20)));
        assert_eq!(*notes.lock(), [1]);
        assert_eq!(timers.run_due(at(50)), None);
        assert_eq!(*notes.lock(), [1, 2, 3]);
    }

    #[test]
    fn a_cancelled_job_does_not_run() {
        let (timers, notes, job) = noted();
        let id = timers.schedule(at(10), job(1));
        assert!(timers.cancel(id));
        assert!(!timers.cancel(id));
        assert_eq!(timers.run_due(at(10)), None);
        assert!(notes.lock().is_empty());
    }

    #[test]
    fn a_job_may_schedule_another_which_is_due_at_once() {
        let (timers, notes, job) = noted();
        let (again, next) = (Arc::clone(&timers), job(1));
        timers.schedule(at(1), Box::new(move || _ = again.schedule(at(2), next)));
        assert_eq!(timers.run_due(at(2)), None);
        assert_eq!(*notes.lock(), [1]);
    }

    #[test]
    fn the_alarm_tells_of_earlier_jobs_only() {
        let (timers, _, job) = noted();
        let alarms = Arc::new(Mutex::new(vec![]));
        let inner = Arc::clone(&alarms);
        timers.on_earlier(move |at| inner.lock().push(at));
        for ms in [20, 30, 10] {
            timers.schedule(at(ms), job(0));
        }
        assert_eq!(*alarms.lock(), [at(20), at(10)]);
    }

    #[test]
    fn a_panic_ends_its_job_only() {
        let (timers, notes, job) = noted();
        timers.schedule(at(1), Box::new(|| panic!("on purpose")));
        timers.schedule(at(1), job(1));
        assert_eq!(timers.run_due(at(1)), None);
        assert_eq!(*notes.lock(), [1]);
    }
}
