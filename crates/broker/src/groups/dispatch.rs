//! The way of a request about groups to the one that answers it.

use std::sync::Arc;

use fleuve_wire::{Request, RequestHeader};

use crate::broker::{Broker, Responder};
use crate::session::Session;

impl Broker {
    /// Answers a request about groups.
    pub(crate) fn handle_groups(
        self: &Arc<Self>,
        session: &Session,
        header: &RequestHeader,
        request: Request,
        respond: Responder,
    ) {
        let (version, client_id) = (header.api_version, header.client_id.as_deref());
        match request {
            Request::FindCoordinator(request) => respond(self.find_coordinator(session, version, request).into()),
            Request::JoinGroup(request) => self.join_group(session, version, client_id, request, respond),
            Request::SyncGroup(request) => self.sync_group(session, version, request, respond),
            Request::Heartbeat(request) => respond(self.heartbeat(session, &request).into()),
            Request::LeaveGroup(request) => self.leave_group(session, version, request, respond),
            Request::OffsetCommit(request) => self.offset_commit(session, version, request, respond),
            Request::OffsetFetch(request) => self.offset_fetch(session, version, request, respond),
            Request::OffsetDelete(request) => self.offset_delete(session, request, respond),
            Request::ListGroups(request) => respond(self.list_groups(session, &request).into()),
            Request::DescribeGroups(request) => respond(self.describe_groups(session, version, request).into()),
            Request::DeleteGroups(request) => self.delete_groups(session, request, respond),
            Request::ConsumerGroupHeartbeat(request) => {
                self.consumer_group_heartbeat(session, version, client_id, request, respond);
            }
            Request::ConsumerGroupDescribe(request) => {
                respond(self.consumer_group_describe(session, request).into());
            }
            other => tracing::error!(api = other.api_key().name(), "a request came that is not about groups"),
        }
    }
}
