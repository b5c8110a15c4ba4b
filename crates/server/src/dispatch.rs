//! From a frame to the broker: decodes, checks what may be asked here, and sees to it that there is an answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use fleuve_broker::{Principal, Responder, Session};
use fleuve_wire::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use fleuve_wire::messages::produce_response::ProduceResponse;
use fleuve_wire::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use fleuve_wire::{ApiKey, DecodeErrorKind, ErrorCode, Request, RequestHeader, RequestPrefix, Response, request};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::budget::Grant;
use crate::config::STRANGER_REQUEST_BYTES_MAX;
use crate::connection::{Answer, Answers};
use crate::ended::Ended;
use crate::login::{self, Login, Outcome};
use crate::quota::Bill;
use crate::shared::Shared;

/// The share of the free response memory that one fetch may ask for.
const FETCH_SHARE: usize = 8;

/// Bytes that a fetch may ask for however little is free, so that all go on.
const FETCH_BYTES_MIN: usize = 64 << 10;

/// Hands the requests of one connection to the broker.
pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
    answers: Arc<Answers>,
    session: Session,
    user: Arc<str>,
    login: Login,
}

/// What an answer repeats of its request.
#[derive(Clone, Copy)]
struct Asked {
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    arrived: Instant,
}

impl Asked {
    fn answer(self, response: Response) -> Answer {
        let Asked { api, version, correlation_id, arrived } = self;
        let (response, throttle) = (Some(response), Duration::ZERO);
        Answer { api, version, correlation_id, arrived, response, throttle, bare: false, last: false }
    }
}

impl Dispatcher {
    /// For a connection whose session is this.
    pub(crate) fn new(shared: Arc<Shared>, answers: Arc<Answers>, session: Session, login: Login) -> Self {
        let user = Arc::from(session.principal.name.as_str());
        Dispatcher { shared, answers, session, user, login }
    }

    /// Whether all may be asked.
    pub(crate) fn authenticated(&self) -> bool {
        self.login.done()
    }

    /// Whether the client has ever said who it is, where that is asked for.
    pub(crate) fn greeted(&self) -> bool {
        self.login.greeted()
    }

    /// Bytes of the largest request.
    pub(crate) fn request_bytes_max(&self) -> usize {
        let most = self.shared.limits.request_bytes;
        if self.authenticated() { most } else { most.min(STRANGER_REQUEST_BYTES_MAX) }
    }

    /// Whether the next frame is a message of a login, without a header.
    pub(crate) fn takes_bare_token(&self) -> bool {
        self.login.takes_bare_token()
    }

    /// Handles one frame; its answer comes through the outbox. Gives the pause for who used too much time.
    pub(crate) fn handle(&mut self, frame: Bytes, grant: Grant) -> Result<Duration, Ended> {
        let arrived = Instant::now();
        if self.takes_bare_token() {
            self.take_bare_token(frame, arrived);
            return Ok(Duration::ZERO);
        }
        let bytes = frame.len();
        let prefix = RequestPrefix::parse(&frame).map_err(Ended::Malformed)?;
        let correlation_id = prefix.correlation_id;
        let (header, request) = match request::decode(frame) {
            Ok(decoded) => decoded,
            Err(error) if matches!(error.kind, DecodeErrorKind::UnsupportedVersion(ApiKey::ApiVersions, _)) => {
                self.tell_versions(Asked { api: ApiKey::ApiVersions, version: 0, correlation_id, arrived });
                return Ok(Duration::ZERO);
            }
            Err(error) => return Err(Ended::Malformed(error)),
        };
        let asked = Asked { api: header.api_key, version: header.api_version, correlation_id, arrived };
        self.check_served(&header)?;
        self.shared.metrics.request(asked.api);
        match request {
            Request::SaslHandshake(request) => {
                let (response, agreed) = self.login.handshake(&self.shared.broker, asked.version, &request);
                let answer = asked.answer(response.into());
                self.answers.reserve().fill(Answer { last: !agreed, ..answer });
                Ok(Duration::ZERO)
            }
            Request::SaslAuthenticate(request) => {
                let (response, outcome) = self.login.authenticate(&request);
                self.logged_in(outcome, asked.answer(response.into()));
                Ok(Duration::ZERO)
            }
            request => self.pass_on(&header, request, asked, bytes, grant),
        }
    }

    /// Takes a message of a login that has no header, and answers it in the same way: with nothing, if it failed.
    fn take_bare_token(&mut self, token: Bytes, arrived: Instant) {
        self.shared.metrics.request(ApiKey::SaslAuthenticate);
        let asked = Asked { api: ApiKey::SaslAuthenticate, version: 0, correlation_id: 0, arrived };
        let (response, outcome) = self.login.authenticate(&SaslAuthenticateRequest { auth_bytes: token });
        let answer = Answer { bare: true, ..asked.answer(response.into()) };
        let silent = matches!(outcome, Outcome::Failed);
        self.logged_in(outcome, if silent { Answer { response: None, ..answer } } else { answer });
    }

    fn check_served(&self, header: &RequestHeader) -> Result<(), Ended> {
        let (asked, version) = (header.api_key, header.api_version);
        let own = if self.login.asked_for() { &login::APIS[..] } else { &[] };
        let mut served = self.shared.broker.apis().iter().chain(own);
        if !served.any(|(api, versions)| *api == asked && versions.contains(&version)) {
            return Err(Ended::NotServed(asked, version));
        }
        let before_login = matches!(asked, ApiKey::ApiVersions | ApiKey::SaslHandshake | ApiKey::SaslAuthenticate);
        if before_login || self.authenticated() { Ok(()) } else { Err(Ended::NotAuthenticated(asked)) }
    }

    /// A client that is newer than we are learns what there is, in the layout that every client reads.
    fn tell_versions(&self, asked: Asked) {
        self.shared.metrics.request(ApiKey::ApiVersions);
        let mut versions = self.shared.broker.api_versions();
        versions.error_code = ErrorCode::UNSUPPORTED_VERSION.into();
        add_login(&mut versions, self.login.asked_for());
        self.answers.reserve().fill(asked.answer(versions.into()));
    }

    fn logged_in(&mut self, outcome: Outcome, answer: Answer) {
        let reply = self.answers.reserve();
        match outcome {
            Outcome::Continues => reply.fill(answer),
            Outcome::Succeeded(principal) => {
                self.act_as(principal);
                reply.fill(answer);
            }
            Outcome::Failed => {
                self.shared.metrics.failed_logins.fetch_add(1, Ordering::Relaxed);
                let delay = self.shared.limits.failed_authentication_delay;
                tokio::spawn(async move {
                    sleep(delay).await;
                    reply.fill(Answer { last: true, ..answer });
                });
            }
        }
    }

    fn act_as(&mut self, principal: Principal) {
        self.user = Arc::from(principal.name.as_str());
        self.session.principal = principal;
    }

    fn pass_on(
        &self,
        header: &RequestHeader,
        mut request: Request,
        asked: Asked,
        bytes: usize,
        grant: Grant,
    ) -> Result<Duration, Ended> {
        self.bound(&mut request);
        let silent = matches!(&request, Request::Produce(produce) if produce.acks == 0);
        let reply = self.answers.reserve();
        let bill = Arc::new(self.bill(header, bytes, asked.arrived));
        let charged = Arc::clone(&bill);
        let logins = self.login.asked_for();
        let respond: Responder = Box::new(move |mut response| {
            let throttle = bill.settle(&mut response);
            if let Response::ApiVersions(versions) = &mut response {
                add_login(versions, logins);
            }
            let last = silent && has_error(&response);
            let mut answer = Answer { throttle, last, ..asked.answer(response) };
            if silent {
                answer.response = None;
            }
            drop(grant);
            reply.fill(answer);
        });
        let broker = &self.shared.broker;
        let handled = catch_unwind(AssertUnwindSafe(|| broker.handle(&self.session, header, request, respond)));
        handled.map_err(|_| {
            self.shared.metrics.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(api = asked.api.name(), version = asked.version, "handling a request panicked");
            Ended::Bug
        })?;
        Ok(charged.charge_time())
    }

    fn bill(&self, header: &RequestHeader, bytes: usize, arrived: Instant) -> Bill {
        let client_id = header.client_id.clone().unwrap_or_default();
        let (broker, user) = (Arc::clone(&self.shared.broker), Arc::clone(&self.user));
        Bill { broker, user, client_id, bytes, arrived, time: Mutex::default() }
    }

    /// A fetch may not ask for more than its share of what is free: many slow readers must not fill the memory.
    fn bound(&self, request: &mut Request) {
        if let Request::Fetch(fetch) = request {
            let share = (self.shared.responses.free() / FETCH_SHARE).max(FETCH_BYTES_MIN);
            fetch.max_bytes = fetch.max_bytes.min(i32::try_from(share).unwrap_or(i32::MAX));
        }
    }
}

/// The broker knows nothing of logins; a listener that has them says so.
fn add_login(versions: &mut ApiVersionsResponse, logins: bool) {
    if logins && versions.error_code != ErrorCode::INVALID_REQUEST.0 {
        versions.api_keys.extend(login::APIS.map(|(api, range)| ApiVersion {
            api_key: api.to_i16(),
            min_version: *range.start(),
            max_version: *range.end(),
        }));
    }
}

/// Whether anything of a produce request failed. Who asked for no acknowledgement learns it by a closed connection.
fn has_error(response: &Response) -> bool {
    let failed = |produce: &ProduceResponse| {
        let mut partitions = produce.responses.iter().flat_map(|topic| &topic.partition_responses);
        partitions.any(|partition| !ErrorCode(partition.error_code).is_none())
    };
    matches!(response, Response::Produce(produce) if failed(produce))
}
