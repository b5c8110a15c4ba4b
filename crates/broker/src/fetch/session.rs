//! Incremental fetch sessions (KIP-227): the broker remembers what a consumer wants and what it was told, so that
//! request and answer name only what has changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fleuve_base::Random;
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::fetch_request::FetchRequest;
use fleuve_wire::messages::fetch_response::PartitionData;
use parking_lot::Mutex;

use super::entries::{Entries, SESSION_PARTITIONS_MAX, is_news};
use super::wanted::{TopicName, Wanted};

/// From this version of Fetch on there are sessions.
const SESSIONS_FROM_VERSION: i16 = 7;

/// From this version on topics are named by id; one session has only one kind of names.
const TOPIC_IDS_FROM_VERSION: i16 = 13;

/// A session that was not used for so long may be replaced by any other; one that is so old, by a larger one.
const EVICTION_AGE: Duration = Duration::from_secs(120);

/// The epoch of a request that wants no session, and of one that wants a new one.
const FINAL_EPOCH: i32 = -1;
const INITIAL_EPOCH: i32 = 0;

/// How an answer relates to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// It tells everything, and nothing is remembered.
    Sessionless,
    /// It tells everything, and begins a session if there is room.
    New {
        /// Whether the session's topics are named by id.
        by_id: bool,
    },
    /// It tells what has changed for the session of that id.
    Incremental(i32),
}

/// All sessions.
pub(crate) struct FetchSessions {
    sessions: Mutex<HashMap<i32, Session>>,
    sessions_max: usize,
}

struct Session {
    connection: u64,
    epoch: i32,
    by_id: bool,
    created: Duration,
    used: Duration,
    entries: Entries,
}

impl FetchSessions {
    /// Room for that many sessions.
    pub(crate) fn new(sessions_max: usize) -> Self {
        FetchSessions { sessions: Mutex::default(), sessions_max }
    }

    /// What the request wants, with all that its session remembers.
    pub(super) fn begin(
        &self,
        connection: u64,
        now: Duration,
        version: i16,
        request: FetchRequest,
    ) -> Result<(Context, Vec<Wanted>), ErrorCode> {
        match request.session_epoch {
            _ if version < SESSIONS_FROM_VERSION => Ok((Context::Sessionless, Wanted::of(request.topics).collect())),
            FINAL_EPOCH => Ok((Context::Sessionless, self.begin_full(connection, request))),
            INITIAL_EPOCH => {
                let by_id = version >= TOPIC_IDS_FROM_VERSION;
                Ok((Context::New { by_id }, self.begin_full(connection, request)))
            }
            _ => self.go_on(connection, now, version, request),
        }
    }

    /// A request that names all that it wants; the session that it names ends.
    fn begin_full(&self, connection: u64, request: FetchRequest) -> Vec<Wanted> {
        let mut sessions = self.sessions.lock();
        if sessions.get(&request.session_id).is_some_and(|session| session.connection == connection) {
            sessions.remove(&request.session_id);
        }
        drop(sessions);
        Wanted::of(request.topics).collect()
    }

    /// A request that names only what has changed.
    fn go_on(
        &self,
        connection: u64,
        now: Duration,
        version: i16,
        request: FetchRequest,
    ) -> Result<(Context, Vec<Wanted>), ErrorCode> {
        let (id, epoch) = (request.session_id, request.session_epoch);
        let mut sessions = self.sessions.lock();
        let found = sessions.get_mut(&id).filter(|session| session.connection == connection);
        let session = found.ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.epoch != epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        if session.by_id != (version >= TOPIC_IDS_FROM_VERSION) {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        session.update(request);
        (session.epoch, session.used) = (next_epoch(epoch), now);
        let wanted = session.entries.wanted();
        if wanted.is_empty() {
            sessions.remove(&id);
            return Ok((Context::Sessionless, wanted));
        }
        Ok((Context::Incremental(id), wanted))
    }

    /// Begins a session of what was wanted and told, if there is room; gives its id, or 0.
    pub(super) fn create(
        &self,
        (connection, by_id): (u64, bool),
        now: Duration,
        random: &dyn Random,
        told: &[(Wanted, PartitionData)],
    ) -> i32 {
        let mut sessions = self.sessions.lock();
        let fits = (1..=SESSION_PARTITIONS_MAX).contains(&told.len());
        if !fits || !make_room(&mut sessions, self.sessions_max, now, told.len()) {
            return 0;
        }
        let mut entries = Entries::default();
        told.iter().for_each(|(wanted, data)| entries.begin(wanted.clone(), data));
        let epoch = next_epoch(INITIAL_EPOCH);
        let id = unused_id(&sessions, random);
        sessions.insert(id, Session { connection, epoch, by_id, created: now, used: now, entries });
        id
    }

    /// Keeps of the answers those that tell something new, and remembers what they tell.
    pub(super) fn retain_news(&self, id: i32, answers: &mut Vec<(Wanted, PartitionData)>) {
        let mut sessions = self.sessions.lock();
        match sessions.get_mut(&id) {
            Some(session) => answers.retain(|(wanted, data)| session.entries.tell(wanted, data)),
            // Evicted meanwhile; the consumer learns it by its next request.
            None => answers.retain(|(_, data)| is_news(data)),
        }
    }

    /// Forgets the sessions of a connection.
    pub(crate) fn disconnected(&self, connection: u64) {
        self.sessions.lock().retain(|_, session| session.connection != connection);
    }
}

impl Session {
    fn update(&mut self, request: FetchRequest) {
        for topic in request.forgotten_topics_data {
            let name = Arc::new(TopicName { name: topic.topic, id: topic.topic_id });
            topic.partitions.iter().for_each(|partition| self.entries.forget(&name, *partition));
        }
        Wanted::of(request.topics).for_each(|wanted| self.entries.want(wanted));
    }
}

fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

fn unused_id(sessions: &HashMap<i32, Session>, random: &dyn Random) -> i32 {
    loop {
        let id = (random.next_u64() & 0x7fff_ffff) as i32;
        if id != 0 && !sessions.contains_key(&id) {
            return id;
        }
    }
}

/// Whether there is room for a session of that many partitions, perhaps after another one was removed: the least
/// recently used one if it is idle, or the smallest of the old ones if the new one is larger.
fn make_room(sessions: &mut HashMap<i32, Session>, sessions_max: usize, now: Duration, partitions: usize) -> bool {
    if sessions.len() < sessions_max {
        return true;
    }
    let is_old = |since: Duration| now.saturating_sub(since) > EVICTION_AGE;
    let idle = sessions.iter().min_by_key(|(_, session)| session.used).filter(|(_, session)| is_old(session.used));
    let smallest = || {
        let old = sessions.iter().filter(|(_, session)| is_old(session.created));
        old.min_by_key(|(_, session)| session.entries.len()).filter(|(_, session)| session.entries.len() < partitions)
    };
    let evicted = idle.or_else(smallest).map(|(id, _)| *id);
    evicted.is_some_and(|id| sessions.remove(&id).is_some())
}
