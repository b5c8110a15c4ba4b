//! One connection: reads requests, has them handled in order, sends the answers in the same order.
//!
//! All of it is one task and one state machine. A request that can be answered at once is answered without leaving the
//! task; all answers to what one read brought in leave with one write. Nothing grows without bound: reading stops while
//! too many requests wait for answers or too many bytes wait for the peer, and goes on when those have left.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fleuve_wire::{ApiKey, EncodeError, EncodedFrame, RequestPrefix, Response, response};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, Sleep};

use crate::dispatch::Dispatcher;
use crate::ended::Ended;
use crate::outbox::{Collected, Outbox};
use crate::receiver::{Read, Receiver};
use crate::shared::Place;
use crate::stream::Stream;
use crate::transmitter::Transmitter;

/// How long a client that is told why its connection ends gets to close it itself. Some libraries look whether there is more to
/// read before they look at what they have read, and do not see an answer that has the end of the stream behind it.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes that are thrown away at once while a connection lingers.
const DISCARDED_BYTES: usize = 512;

/// The answers of a connection.
pub(crate) type Answers = Outbox<Answer>;

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The API that was asked.
    pub(crate) api: ApiKey,
    /// The version to answer in.
    pub(crate) version: i16,
    /// What the response repeats.
    pub(crate) correlation_id: i32,
    /// When the request had arrived.
    pub(crate) arrived: Instant,
    /// The answer; none where the client expects none.
    pub(crate) response: Option<Response>,
    /// How long the client has to be left alone, since it is over its quota.
    pub(crate) throttle: Duration,
    /// Whether the client expects the message of a login alone, without a header.
    pub(crate) bare: bool,
    /// Whether the connection ends with this answer.
    pub(crate) last: bool,
}

impl Answer {
    /// The frame to send; `None` where the client expects none.
    fn encode(&self) -> Result<Option<EncodedFrame>, EncodeError> {
        match &self.response {
            None => Ok(None),
            Some(Response::SaslAuthenticate(message)) if self.bare => EncodedFrame::bare(&message.auth_bytes).map(Some),
            Some(response) => response::encode(self.correlation_id, self.version, response).map(Some),
        }
    }
}

/// A connection whose stream is ready for requests.
pub(crate) struct Connection<S> {
    io: S,
    place: Place,
    dispatcher: Dispatcher,
    receiver: Receiver,
    transmitter: Transmitter,
    /// Requests that are handled and not answered.
    in_flight: usize,
    /// Whether a fetch has not been answered. Nothing is read behind it: its answer is large, and only when that is
    /// encoded does it count against the memory that the next one may ask for.
    fetching: bool,
    /// No more is read; when all is sent, it is over.
    closing: bool,
    /// The last answer told the client that it is over.
    told: bool,
    muted_until: Option<Instant>,
    opened: Instant,
    last_read: Instant,
    last_write: Instant,
    starved_since: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl<S: Stream> Connection<S> {
    /// A connection that has just been opened.
    pub(crate) fn new(io: S, place: Place, dispatcher: Dispatcher) -> Self {
        let now = Instant::now();
        let receiver = Receiver::new(&place.shared.requests, dispatcher.request_bytes_max());
        Connection {
            io,
            dispatcher,
            receiver,
            transmitter: Transmitter::default(),
            in_flight: 0,
            fetching: false,
            closing: false,
            told: false,
            muted_until: None,
            opened: now,
            last_read: now,
            last_write: now,
            starved_since: None,
            sleep: Box::pin(tokio::time::sleep_until(now + place.shared.limits.greeting)),
            place,
        }
    }

    /// Serves it until it ends.
    pub(crate) async fn serve(mut self) -> Ended {
        let ended = poll_fn(|cx| self.poll(cx)).await;
        if matches!(ended, Ended::Done) {
            if self.told {
                let _ = tokio::time::timeout(LINGER, self.await_end()).await;
            }
            // A close that the peer sees as such; it is no loss if it has gone.
            let _ =
                tokio::time::timeout(Duration::from_secs(1), poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)))
                    .await;
        }
        ended
    }

    /// Waits until the peer sends no more, and looks at nothing of what it does.
    async fn await_end(&mut self) {
        let mut discarded = [0; DISCARDED_BYTES];
        while self.io.read(&mut discarded).await.is_ok_and(|bytes| bytes > 0) {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        match self.advance(cx) {
            Ok(()) => Poll::Pending,
            Err(ended) => Poll::Ready(ended),
        }
    }

    /// Does all that can be done now.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        loop {
            let collected = self.collect(cx)?;
            let sent = self.transmit(cx)?;
            self.check_finished()?;
            let received = self.receive(cx)?;
            if !collected && !sent && !received && !self.deadline_passed(cx)? {
                return Ok(());
            }
        }
    }

    /// Encodes the answers that have their turn.
    fn collect(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut moved = false;
        while self.transmitter.bytes() < self.place.shared.limits.responses_bytes_per_connection {
            match self.place.answers.poll_collect(cx) {
                Poll::Pending => break,
                Poll::Ready(Collected::Lost) => return Err(Ended::Bug),
                Poll::Ready(Collected::Answer(answer)) => {
                    self.fetching &= answer.api != ApiKey::Fetch;
                    self.encode(&answer)?;
                }
            }
            self.in_flight -= 1;
            moved = true;
        }
        Ok(moved)
    }

    fn encode(&mut self, answer: &Answer) -> Result<(), Ended> {
        self.mute(answer.throttle);
        let shared = &self.place.shared;
        shared.metrics.answered(answer.api, answer.arrived.elapsed());
        self.closing |= answer.last;
        let Some(frame) = answer.encode().map_err(Ended::Unencodable)? else { return Ok(()) };
        self.told |= answer.last;
        let grant = shared.responses.take(frame.memory_bytes());
        if self.transmitter.is_empty() {
            // The peer has its time from now on, however long nothing was sent before.
            self.last_write = Instant::now();
        }
        self.transmitter.push(frame, grant);
        Ok(())
    }

    /// Reads nothing for a while: who is over his quota waits.
    fn mute(&mut self, pause: Duration) {
        if !pause.is_zero() {
            self.muted_until = self.muted_until.max(Some(Instant::now() + pause));
        }
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut moved = false;
        while !self.transmitter.is_empty() {
            match self.transmitter.poll_write(&mut self.io, cx) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(Ended::Io(error)),
                Poll::Ready(Ok(bytes)) => {
                    self.place.shared.metrics.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
                    self.last_write = Instant::now();
                    moved = true;
                }
            }
        }
        Ok(moved)
    }

    /// Whether everything that will be said has been said.
    fn check_finished(&mut self) -> Result<(), Ended> {
        self.closing |= self.place.shared.stopping();
        let done = self.closing && self.in_flight == 0 && self.transmitter.is_empty();
        if done { Err(Ended::Done) } else { Ok(()) }
    }

    /// Whether another request may be read.
    fn may_receive(&mut self) -> bool {
        let limits = &self.place.shared.limits;
        if self.muted_until.is_some_and(|until| until <= Instant::now()) {
            self.muted_until = None;
        }
        let at_once = if self.dispatcher.authenticated() { limits.requests_per_connection } else { 1 };
        !self.closing
            && self.muted_until.is_none()
            && self.in_flight < at_once
            && !self.fetching
            && self.transmitter.bytes() < limits.responses_bytes_per_connection
            && (self.transmitter.bytes() == 0 || self.place.shared.responses.free() > 0)
    }

    /// Handles the requests that are complete, then reads once.
    fn receive(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut moved = false;
        while self.may_receive() {
            let Some((frame, grant)) = self.receiver.next_frame().map_err(Ended::Malformed)? else {
                return Ok(self.read(cx)? || moved);
            };
            self.in_flight += 1;
            self.fetching = !self.dispatcher.takes_bare_token() && is_fetch(&frame);
            let pause = self.dispatcher.handle(frame, grant)?;
            self.mute(pause);
            self.receiver.set_limit(self.dispatcher.request_bytes_max());
            moved = true;
        }
        Ok(moved)
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let read = self.receiver.poll_read(&mut self.io, cx);
        self.starved_since = self.receiver.starved().then(|| self.starved_since.unwrap_or_else(Instant::now));
        match read {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(error)) => Err(Ended::Io(error)),
            Poll::Ready(Ok(Read::End)) if self.receiver.within_frame() => {
                Err(Ended::Io(io::ErrorKind::UnexpectedEof.into()))
            }
            Poll::Ready(Ok(Read::End)) => Err(Ended::Left),
            Poll::Ready(Ok(Read::Bytes(bytes))) => {
                self.place.shared.metrics.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
                self.last_read = Instant::now();
                Ok(true)
            }
        }
    }

    /// Sleeps until something is due; whether something now is.
    fn deadline_passed(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        loop {
            let (due, ended) = self.next_deadline();
            if due <= Instant::now() {
                return ended.map_or(Ok(true), Err);
            }
            // Deadlines mostly move on; the sleep is set again only when it is over or too late.
            if due < self.sleep.deadline() || self.sleep.is_elapsed() {
                self.sleep.as_mut().reset(due);
            }
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Ok(false);
            }
        }
    }

    /// What is due first, and how the connection ends by it, if it does.
    fn next_deadline(&self) -> (Instant, Option<Ended>) {
        let limits = &self.place.shared.limits;
        let idle_since = if self.in_flight > 0 { Instant::now() } else { self.last_read.max(self.last_write) };
        let mut first = (idle_since + limits.idle, Some(Ended::Idle));
        let mut consider = |due: Option<Instant>, ended: Option<Ended>| {
            if let Some(due) = due.filter(|due| *due < first.0) {
                first = (due, ended);
            }
        };
        let greeting = (!self.dispatcher.greeted()).then(|| self.opened + limits.greeting);
        consider(greeting, Some(Ended::TooSlow("to authenticate")));
        let unsent = (!self.transmitter.is_empty()).then(|| self.last_write + limits.write);
        consider(unsent, Some(Ended::TooSlow("to take its answers")));
        let starved = self.starved_since.map(|since| since + limits.memory_wait);
        consider(starved, Some(Ended::Starved));
        consider(self.muted_until, None);
        first
    }
}

fn is_fetch(frame: &Bytes) -> bool {
    RequestPrefix::parse(frame).is_ok_and(|prefix| prefix.api_key == ApiKey::Fetch.to_i16())
}
