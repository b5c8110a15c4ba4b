//! DeleteTopics, by name or by id.

use fleuve_wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use fleuve_wire::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use fleuve_wire::{ErrorCode, Uuid};

use super::{TopicKey, is_internal};
use crate::broker::Broker;
use crate::failure::{Failure, Outcome};
use crate::security::{Operation, Resource};
use crate::session::Session;

impl Broker {
    pub(crate) fn delete_topics(&self, session: &Session, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
        let by_name =
            request.topic_names.into_iter().map(|name| DeleteTopicState { name: Some(name), topic_id: Uuid::NIL });
        let asked = request.topics.into_iter().chain(by_name);
        let responses = asked.map(|topic| self.delete_asked(session, topic)).collect();
        DeleteTopicsResponse { responses, ..Default::default() }
    }

    fn delete_asked(&self, session: &Session, mut asked: DeleteTopicState) -> DeletableTopicResult {
        let deleted = self.delete_topic(session, &mut asked);
        let (code, message) = deleted.err().map_or((ErrorCode::NONE, None), |failure| (failure.code, failure.message));
        DeletableTopicResult {
            name: asked.name,
            topic_id: asked.topic_id,
            error_code: code.0,
            error_message: message.or_else(|| code.is_err().then(|| code.name().to_owned())),
        }
    }

    /// Deletes the topic, and fills in its name and id as far as the session may know them.
    fn delete_topic(&self, session: &Session, asked: &mut DeleteTopicState) -> Outcome<()> {
        if asked.name.is_some() && !asked.topic_id.is_nil() {
            return Err(Failure::new(ErrorCode::INVALID_REQUEST, "You may not specify both topic name and topic id."));
        }
        if asked.name.is_none() && asked.topic_id.is_nil() {
            return Err(Failure::new(ErrorCode::INVALID_REQUEST, "Neither topic name nor id were specified."));
        }
        let found = self.topic(asked.name.as_deref().map_or(TopicKey::Id(asked.topic_id), TopicKey::Name));
        let name = match (&asked.name, &found) {
            (Some(name), _) => name.clone(),
            (None, Ok(topic)) => topic.name().to_owned(),
            (None, Err(code)) => return Err((*code).into()),
        };
        if !self.allows(session, Operation::Describe, Resource::Topic(&name)) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into());
        }
        let topic = found?;
        (asked.name, asked.topic_id) = (Some(name.clone()), Uuid::from_u128(topic.id()));
        if !self.allows(session, Operation::Delete, Resource::Topic(&name)) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into());
        }
        if is_internal(&name) {
            return Err(Failure::new(ErrorCode::INVALID_TOPIC_EXCEPTION, format!("The topic {name} is internal.")));
        }
        self.log.delete_topic(&name)?;
        self.groups.topic_deleted(&name);
        Ok(())
    }
}
