//! One step of a group: what it is told (the time, settings, random numbers) and what comes out of it (answers,
//! changed records, a moment to be woken at).
//!
//! A group is a state machine that is driven by steps alone: it reads no clock, answers nobody and writes nothing
//! by itself. Its driver sends the answers when the changes of the step, and of those before it, are durable.

use std::collections::BTreeSet;
use std::time::Duration;

use fleuve_base::Random;
use fleuve_wire::ErrorCode;

use super::classic::{Joined, Synced};
use super::config::GroupConfig;
use super::record::Key;

/// Names a request that waits for its answer.
pub(crate) type Token = u64;

/// What a waiting request is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To JoinGroup.
    Join(Joined),
    /// To SyncGroup.
    Sync(Synced),
}

/// The moment and surroundings of one step, and what it brings about.
pub(crate) struct Step<'a> {
    /// Monotonic time: timeouts are reckoned by it.
    pub now: Duration,
    /// Milliseconds since 1970: what is stored.
    pub now_ms: i64,
    /// The broker's settings.
    pub config: &'a GroupConfig,
    /// For member ids.
    pub random: &'a dyn Random,
    /// Who is told what.
    pub answers: Vec<(Token, Answer)>,
    /// Keys whose record must be written anew, or deleted where the group holds nothing under it any more.
    pub dirty: BTreeSet<Key>,
    /// When to call the group's `tick`, at the latest. Too early is harmless.
    pub wake: Option<Duration>,
}

impl<'a> Step<'a> {
    /// A step at this moment that has brought about nothing yet.
    pub fn new(now: Duration, now_ms: i64, config: &'a GroupConfig, random: &'a dyn Random) -> Self {
        Step { now, now_ms, config, random, answers: Vec::new(), dirty: BTreeSet::new(), wake: None }
    }

    /// Answers a JoinGroup.
    pub fn join(&mut self, token: Token, joined: Joined) {
        self.answers.push((token, Answer::Join(joined)));
    }

    /// Refuses a JoinGroup.
    pub fn refuse_join(&mut self, token: Token, member_id: &str, error: ErrorCode) {
        self.join(token, Joined::refused(member_id, error));
    }

    /// Answers a SyncGroup.
    pub fn sync(&mut self, token: Token, synced: Synced) {
        self.answers.push((token, Answer::Sync(synced)));
    }

    /// Notes that a record must be written.
    pub fn change(&mut self, key: Key) {
        self.dirty.insert(key);
    }

    /// The moment that lies `after` from now; the group is woken then.
    pub fn deadline(&mut self, after: Duration) -> Duration {
        let at = self.now.saturating_add(after);
        self.wake_at(at);
        at
    }

    /// Has the group woken at `at` or before.
    pub fn wake_at(&mut self, at: Duration) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }

    /// A new member's id: the client's name and a random UUID (version 4, RFC 9562).
    pub fn member_id(&self, name: &str) -> String {
        if name.is_empty() { self.uuid() } else { format!("{name}-{}", self.uuid()) }
    }

    fn uuid(&self) -> String {
        let (high, low) = (self.random.next_u64(), self.random.next_u64());
        let (high, low) = (high & !0xf000 | 0x4000, low & !(0b11 << 62) | 0b10 << 62);
        let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
        format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
    }
}

/// Numbers that count up, for tests.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Counting(std::sync::atomic::AtomicU64);

#[cfg(test)]
impl Random for Counting {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}
