//! Groups: who reads together, who reads what, and how far they have come.
//!
//! [`Groups`] holds all groups of a broker. Each is a state machine under its own lock, driven by [steps](step): by
//! requests and by timers. A step changes memory, its records go to `__consumer_offsets`, and what it answers waits in
//! the group's [outbox] until they are durable. Two protocols bring members together: the [classic] one and that of
//! KIP-848 ([consumer]). [Offsets](offsets) are the same for both.
//!
//! The other files answer requests: `membership` (JoinGroup and its kin), `balanced` (ConsumerGroupHeartbeat),
//! `commit`, `fetch`, `transactional`, `admin`.

mod admin;
mod balanced;
mod classic;
mod commit;
pub mod config;
mod consumer;
mod dispatch;
mod fetch;
mod fields;
mod group;
mod lag;
mod membership;
#[cfg(test)]
mod model_tests;
mod offsets;
mod outbox;
mod record;
mod step;
mod store;
mod transactional;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fleuve_base::{Env, Error, Result};
use fleuve_journal::Log;
use fleuve_wire::ErrorCode;
use parking_lot::{Mutex, MutexGuard, RwLock};

pub use self::config::GroupConfig;
pub use self::lag::GroupLag;
pub(crate) use self::transactional::{StagedOffset, Staging};

use self::config::{GROUPS_MAX, NAME_BYTES_MAX};
use self::group::{Group, GroupState};
use self::outbox::Delivery;
use self::step::{Step, Token};
use crate::state_topic::StateTopic;
use crate::timers::Timers;

/// The topic that holds groups and offsets.
pub const GROUPS_TOPIC: &str = "__consumer_offsets";

/// How often offsets are looked through for those that are too old.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// All groups of a broker.
pub struct Groups {
    env: Env,
    log: Arc<Log>,
    timers: Arc<Timers>,
    config: GroupConfig,
    store: StateTopic,
    groups: RwLock<HashMap<String, Arc<Group>>>,
    /// The groups in which a producer's transaction holds offsets ready.
    transactions: Mutex<HashMap<i64, BTreeSet<String>>>,
    tokens: AtomicU64,
    /// Counts what may have changed the topics.
    topics_version: AtomicU64,
    closed: AtomicBool,
    /// Whether the next look for offsets that are too old is scheduled.
    expiring: AtomicBool,
}

impl Groups {
    /// The settings.
    pub fn config(&self) -> &GroupConfig {
        &self.config
    }

    /// Runs a step of a group, and gives its result when all that it relies on is durable. Without the group, and
    /// without leave to `create` it, the result is `GROUP_ID_NOT_FOUND`.
    fn step<T: Send + 'static>(
        self: &Arc<Self>,
        name: &str,
        create: bool,
        f: impl FnOnce(&mut GroupState, &mut Step<'_>) -> T,
        done: impl FnOnce(Result<T, ErrorCode>) + Send + 'static,
    ) {
        loop {
            let group = match self.find(name, create) {
                Ok(group) => group,
                Err(error) => return done(Err(error)),
            };
            let mut state = group.state.lock();
            if !state.dead {
                let mut step = self.new_step();
                let result = f(&mut state, &mut step);
                let own: Delivery = Box::new(move |outcome| done(outcome.map(|()| result).map_err(|_| UNSTORED)));
                return self.finish(&group, state, step, Some(own));
            }
        }
    }

    /// Runs a step whose result tells of nothing that must be durable, and gives it at once.
    fn step_now<T>(
        self: &Arc<Self>,
        name: &str,
        f: impl FnOnce(&mut GroupState, &mut Step<'_>) -> T,
    ) -> Result<T, ErrorCode> {
        self.step_or_create(name, false, f)
    }

    /// The same, and makes the group if it may.
    fn step_or_create<T>(
        self: &Arc<Self>,
        name: &str,
        create: bool,
        f: impl FnOnce(&mut GroupState, &mut Step<'_>) -> T,
    ) -> Result<T, ErrorCode> {
        loop {
            let group = self.find(name, create)?;
            let mut state = group.state.lock();
            if !state.dead {
                let mut step = self.new_step();
                let result = f(&mut state, &mut step);
                self.finish(&group, state, step, None);
                return Ok(result);
            }
        }
    }

    fn find(self: &Arc<Self>, name: &str, create: bool) -> Result<Arc<Group>, ErrorCode> {
        if self.closed.load(Ordering::Acquire) {
            return Err(UNSTORED);
        }
        if let Some(group) = self.groups.read().get(name) {
            return Ok(Arc::clone(group));
        }
        if !create {
            return Err(ErrorCode::GROUP_ID_NOT_FOUND);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        let mut groups = self.groups.write();
        if groups.len() >= GROUPS_MAX && !groups.contains_key(name) {
            return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
        }
        let group = Arc::clone(groups.entry(name.to_owned()).or_insert_with(|| Arc::new(Group::new(name))));
        drop(groups);
        self.schedule_expiry();
        Ok(group)
    }

    /// All groups, by name.
    fn all(&self) -> Vec<Arc<Group>> {
        let mut groups: Vec<Arc<Group>> = self.groups.read().values().cloned().collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        groups
    }

    fn new_step(&self) -> Step<'_> {
        let clock = &self.env.clock;
        Step::new(clock.monotonic(), clock.now_ms(), &self.config, &*self.env.random)
    }

    fn next_token(&self) -> Token {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends a step: has its changes stored and its answers wait for them, and the group woken when it wants to be.
    fn finish(
        self: &Arc<Self>,
        group: &Arc<Group>,
        mut state: MutexGuard<'_, GroupState>,
        step: Step<'_>,
        own: Option<Delivery>,
    ) {
        let Step { answers, mut dirty, wake, .. } = step;
        group.outbox.begin(&mut dirty);
        self.write(group, &state, dirty);
        if state.dead {
            self.groups.write().remove(&group.name);
        }
        let answers =
            answers.into_iter().filter_map(|(token, answer)| {
                let waiter = state.waiting.remove(&token)?;
                Some(Box::new(move |outcome: Result<()>| waiter(outcome.map(|()| answer).map_err(|_| UNSTORED)))
                    as Delivery)
            });
        group.outbox.put(answers.chain(own).collect());
        if let Some(at) = wake {
            self.wake_at(group, &mut state, at);
        }
        drop(state);
        group.outbox.end();
    }

    fn wake_at(self: &Arc<Self>, group: &Arc<Group>, state: &mut GroupState, at: Duration) {
        match state.alarm {
            Some((earlier, _)) if earlier <= at => return,
            Some((_, later)) => _ = self.timers.cancel(later),
            None => {}
        }
        let (groups, woken) = (Arc::downgrade(self), Arc::downgrade(group));
        let tick = move || {
            if let (Some(groups), Some(group)) = (groups.upgrade(), woken.upgrade()) {
                groups.tick(&group);
            }
        };
        state.alarm = Some((at, self.timers.schedule(at, Box::new(tick))));
    }

    fn tick(self: &Arc<Self>, group: &Arc<Group>) {
        let mut state = group.state.lock();
        state.alarm = None;
        if !state.dead && !self.closed.load(Ordering::Acquire) {
            let mut step = self.new_step();
            state.tick(&mut step);
            self.finish(group, state, step, None);
        }
    }

    /// Has offsets looked through from time to time, as long as there are groups.
    fn schedule_expiry(self: &Arc<Self>) {
        if self.expiring.swap(true, Ordering::AcqRel) {
            return;
        }
        let groups = Arc::downgrade(self);
        let expire = move || {
            if let Some(groups) = groups.upgrade() {
                groups.expiring.store(false, Ordering::Release);
                groups.expire_offsets();
                if !groups.groups.read().is_empty() {
                    groups.schedule_expiry();
                }
            }
        };
        self.timers.schedule(self.env.clock.monotonic().saturating_add(EXPIRY_INTERVAL), Box::new(expire));
    }

    /// Removes offsets that are too old, and groups that hold nothing any more.
    fn expire_offsets(self: &Arc<Self>) {
        for group in self.all() {
            let mut state = group.state.lock();
            if state.dead {
                continue;
            }
            let mut step = self.new_step();
            state.expire_offsets(&mut step);
            if state.is_idle() {
                self.bury(&mut state, &mut step);
            }
            self.finish(&group, state, step, None);
        }
    }

    /// Removes a group without members: its record goes, and its name is free.
    ///
    /// A group of that name that comes next has an outbox of its own, but the topic puts its records behind these.
    fn bury(&self, state: &mut GroupState, step: &mut Step<'_>) {
        step.change(record::Key::Group);
        state.dead = true;
        if let Some((_, timer)) = state.alarm.take() {
            self.timers.cancel(timer);
        }
    }

    /// A topic has come, grown, or changed otherwise: consumer groups look at their topics again.
    pub fn topics_changed(&self) {
        self.topics_version.fetch_add(1, Ordering::Relaxed);
    }

    /// A topic is gone, and with it all offsets in it.
    pub fn topic_deleted(self: &Arc<Self>, topic: &str) {
        self.topics_changed();
        for group in self.all() {
            let mut state = group.state.lock();
            let mut step = self.new_step();
            let gone: Vec<_> = state.offsets.partitions().filter(|at| at.topic == topic).cloned().collect();
            gone.iter().for_each(|at| state.offsets.remove(&mut step, at));
            self.finish(&group, state, step, None);
        }
    }

    /// Refuses all who wait, and whoever comes from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let error = Error::internal("the broker stops");
        for group in self.all() {
            let waiting = std::mem::take(&mut group.state.lock().waiting);
            waiting.into_values().for_each(|waiter| waiter(Err(UNSTORED)));
            group.outbox.close(&error);
        }
    }
}

/// What clients are told when the log does not take a change: they look for the coordinator, and come again.
const UNSTORED: ErrorCode = ErrorCode::COORDINATOR_NOT_AVAILABLE;
