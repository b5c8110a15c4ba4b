//! Fetch: whole batches as they are stored, now or as soon as there are enough of them.

mod entries;
mod read;
mod session;
mod wait;
mod wanted;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use fleuve_journal::Topic;
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::fetch_request::FetchRequest;
use fleuve_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};

use self::read::{Limits, Readout, Target};
use self::session::Context;
pub(crate) use self::session::FetchSessions;
use self::wait::Waiter;
pub(crate) use self::wait::WaitingFetches;
use self::wanted::{TopicName, Wanted};
use self::watched::Watched;
use crate::broker::{Broker, Responder};
use crate::list_offsets::READ_COMMITTED;
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{TopicKey, partition};

type FoundTopic = Result<Arc<Topic>, ErrorCode>;

/// A fetch that is being answered.
struct Fetch {
    broker: Arc<Broker>,
    connection: u64,
    context: Context,
    targets: Vec<Target>,
    min_bytes: usize,
    limits: Limits,
    max_wait: Duration,
}

impl Broker {
    /// Answers at once if there is enough, an error, or no time to wait; else from a timer.
    pub(crate) fn fetch(self: &Arc<Self>, session: &Session, version: i16, request: FetchRequest, respond: Responder) {
        let limits = Limits {
            max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).min(self.config.fetch_max_bytes as usize),
            committed: request.isolation_level == READ_COMMITTED,
            files: session.takes_files,
        };
        let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(limits.max_bytes);
        let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        let now = self.env.clock.monotonic();
        match self.fetch_sessions.begin(session.connection, now, version, request) {
            Ok((context, wanted)) => {
                let targets = self.targets(session, wanted);
                let (broker, connection) = (Arc::clone(self), session.connection);
                Waiter::start(Fetch { broker, connection, context, targets, min_bytes, limits, max_wait }, respond);
            }
            Err(code) => respond(FetchResponse { error_code: code.0, ..Default::default() }.into()),
        }
    }

    /// Finds the partitions; those of one topic follow one another, and it is looked up once.
    fn targets(&self, session: &Session, wanted: Vec<Wanted>) -> Vec<Target> {
        let mut last: Option<(Arc<TopicName>, FoundTopic)> = None;
        let target = |wanted: Wanted| {
            let topic = match last.take() {
                Some((name, topic)) if Arc::ptr_eq(&name, &wanted.topic) => topic,
                _ => self.fetchable_topic(session, wanted.topic.key()),
            };
            let number = wanted.partition;
            let found = topic.clone().and_then(|topic| partition(&topic, number).cloned());
            last = Some((Arc::clone(&wanted.topic), topic));
            Target { wanted, found }
        };
        wanted.into_iter().map(target).collect()
    }

    fn fetchable_topic(&self, session: &Session, key: TopicKey<'_>) -> FoundTopic {
        let allowed = |name| self.allows(session, Operation::Read, Resource::Topic(name));
        if matches!(key, TopicKey::Name(name) if !allowed(name)) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        let topic = self.topic(key)?;
        if matches!(key, TopicKey::Id(_)) && !allowed(topic.name()) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        Ok(topic)
    }
}

impl Fetch {
    fn read(&self) -> Readout {
        read::read(&self.targets, self.limits)
    }

    fn may_wait(&self) -> bool {
        !self.max_wait.is_zero() && self.min_bytes > 0
    }

    /// Whether one record may be too little.
    fn wants_many_bytes(&self) -> bool {
        self.min_bytes > 1
    }

    fn is_enough(&self, readout: &Readout) -> bool {
        readout.failed || readout.bytes >= self.min_bytes
    }

    /// The partitions that may bring more.
    fn watched(&self) -> Vec<Watched> {
        let found = self.targets.iter().filter_map(|target| Some((target.found.as_ref().ok()?, target.wanted.offset)));
        found.map(|(partition, offset)| Watched::new(partition, offset)).collect()
    }

    fn answer(&self, readout: Readout) -> FetchResponse {
        let wanted = self.targets.iter().map(|target| target.wanted.clone());
        let mut answers: Vec<_> = wanted.zip(readout.partitions).collect();
        let (sessions, env) = (&self.broker.fetch_sessions, &self.broker.env);
        let id = match self.context {
            Context::Sessionless => 0,
            Context::New { by_id } => {
                sessions.create((self.connection, by_id), env.clock.monotonic(), &*env.random, &answers)
            }
            Context::Incremental(id) => {
                sessions.retain_news(id, &mut answers);
                id
            }
        };
        response(id, answers)
    }
}

/// The response; partitions of one topic that follow one another stand under it.
fn response(session_id: i32, answers: Vec<(Wanted, PartitionData)>) -> FetchResponse {
    let mut responses: Vec<FetchableTopicResponse> = vec![];
    for (Wanted { topic, .. }, data) in answers {
        match responses.last_mut() {
            Some(last) if last.topic_id == topic.id && last.topic == topic.name => last.partitions.push(data),
            _ => responses.push(FetchableTopicResponse {
                topic: topic.name.clone(),
                topic_id: topic.id,
                partitions: vec![data],
            }),
        }
    }
    FetchResponse { session_id, responses, ..Default::default() }
}
