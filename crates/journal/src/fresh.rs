//! Which bytes of a segment are fresh: this process wrote them itself, checked, and not long ago.
//!
//! Fresh bytes are in the system's memory still, or have left it for the disk minutes ago: their checksums are not
//! computed once more before the kernel sends them to a consumer. Everything else is verified at every read.
//!
//! Nothing is kept per batch. Two positions move on with time: what lies behind the first is fresh, and what lies
//! behind the second will be after the next step.

use parking_lot::Mutex;

/// How often the positions move on. What is called fresh was written at most three times as long ago.
pub(crate) const STEP_MS: i64 = 5 * 60 * 1000;

/// The fresh end of a segment.
pub(crate) struct Fresh(Mutex<State>);

struct State {
    /// All from here on is fresh.
    from: u64,
    /// Where the segment ended when the last step was made.
    next: u64,
    /// When it was made.
    since_ms: i64,
}

impl Fresh {
    /// Of a segment of which this process writes what comes behind `position`.
    pub(crate) fn behind(position: u64, now_ms: i64) -> Self {
        Fresh(Mutex::new(State { from: position, next: position, since_ms: now_ms }))
    }

    /// The position from which on all bytes are fresh; the segment ends at `end` now.
    pub(crate) fn from(&self, end: u64, now_ms: i64) -> u64 {
        let mut state = self.0.lock();
        let passed_ms = now_ms.saturating_sub(state.since_ms);
        if passed_ms >= STEP_MS {
            // Nobody asked for a long time: what was written meanwhile may be old already.
            let from = if passed_ms < 2 * STEP_MS { state.next } else { end };
            *state = State { from, next: end, since_ms: now_ms };
        }
        state.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_never_fresh() {
        let fresh = Fresh::behind(700, 50);
        assert_eq!(fresh.from(700, 50), 700);
        assert_eq!(fresh.from(900, 50 + STEP_MS), 700);
        assert_eq!(fresh.from(900, 50 + 2 * STEP_MS), 900);
    }

    #[test]
    fn who_does_not_look_for_long_finds_nothing_fresh() {
        let fresh = Fresh::behind(0, 0);
        assert_eq!(fresh.from(500, 2 * STEP_MS), 500);
        assert_eq!(fresh.from(600, 2 * STEP_MS + 1), 500);
    }

    /// Against a list of who was written when: nothing old is fresh, and what was written in the last step is.
    #[test]
    fn fresh_is_young() {
        let (fresh, mut written, mut end) = (Fresh::behind(0, 0), vec![], 0);
        let mut random = 1_u64;
        let mut now_ms = 0;
        for _ in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now_ms += (random >> 40) as i64 % STEP_MS / 4;
            end += 1 + (random >> 33) % 100;
            written.push((end, now_ms));
            if random >> 62 == 0 {
                let from = fresh.from(end, now_ms);
                let oldest = written.iter().find(|(end, _)| *end > from).map_or(now_ms, |(_, at)| *at);
                assert!(now_ms - oldest <= 3 * STEP_MS, "{} ms old", now_ms - oldest);
            }
        }
        fresh.from(end, now_ms);
        assert!(fresh.from(end + 10, now_ms + 1) <= end, "what was just written is fresh");
    }
}
