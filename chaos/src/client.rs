//! A small client of Kafka's protocol: one connection, one thread, no threads of its own.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use fleuve_wire::{ApiKey, ErrorCode, FrameReader, Request, Response, request, response};

mod groups;
mod read;
mod transactions;
mod write;

pub(crate) use groups::Member;
pub(crate) use read::{Fetched, Isolation};
pub(crate) use write::{Acks, Producer, batch};

/// How long an answer may take; longer than any wait that a request asks for.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// Bytes of the largest answer.
const ANSWER_BYTES_MAX: usize = 100 << 20;

/// Bytes that one read from the socket takes.
const READ_BYTES: usize = 64 << 10;

/// Why a request has not done what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The connection is gone: what was asked may have happened or not.
    Lost(String),
    /// The broker said no.
    Refused(ErrorCode),
    /// The broker said what makes no sense.
    Odd(String),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::Lost(why) => write!(f, "connection lost: {why}"),
            Problem::Refused(code) => write!(f, "refused: {code}"),
            Problem::Odd(what) => write!(f, "odd answer: {what}"),
        }
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Problem::Lost(error.to_string())
    }
}

pub(crate) type Outcome<T = ()> = Result<T, Problem>;

/// An error code as an outcome.
pub(crate) fn accepted(code: i16) -> Outcome {
    match ErrorCode(code) {
        ErrorCode::NONE => Ok(()),
        code => Err(Problem::Refused(code)),
    }
}

/// Takes the variant of the response that answers the request.
macro_rules! ask {
    ($connection:expr, $api:ident, $version:expr, $request:expr) => {
        match $connection.call($version, $request.into())? {
            ::fleuve_wire::Response::$api(response) => response,
            other => return Err($crate::client::odd(&other)),
        }
    };
}
pub(crate) use ask;

pub(crate) fn odd(response: &Response) -> Problem {
    Problem::Odd(format!("{response:?}"))
}

/// A connection to the broker. Requests may be sent ahead; answers come in their order.
pub(crate) struct Connection {
    stream: TcpStream,
    frames: FrameReader,
    sent: i32,
    waiting: VecDeque<(i32, ApiKey, i16)>,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        Ok(Connection { stream, frames: FrameReader::with_limit(ANSWER_BYTES_MAX), sent: 0, waiting: VecDeque::new() })
    }

    /// Sends a request; its answer is to be [received](Self::receive).
    pub(crate) fn send(&mut self, version: i16, request: &Request) -> Outcome {
        self.sent += 1;
        let frame = request::encode(version, self.sent, Some("chaos"), request)
            .map_err(|e| Problem::Odd(format!("cannot be sent: {e}")))?;
        self.waiting.push_back((self.sent, request.api_key(), version));
        Ok(self.stream.write_all(&frame.to_bytes())?)
    }

    /// The answer to the oldest request that has none.
    pub(crate) fn receive(&mut self) -> Outcome<Response> {
        let Some((id, api, version)) = self.waiting.pop_front() else {
            return Err(Problem::Odd("nothing was asked".to_owned()));
        };
        let frame = self.frame()?;
        let (answered, response) =
            response::decode(api, version, frame).map_err(|e| Problem::Odd(format!("{}: {e}", api.name())))?;
        match answered == id {
            true => Ok(response),
            false => Err(Problem::Odd(format!("request {id} was answered as {answered}"))),
        }
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn call(&mut self, version: i16, request: Request) -> Outcome<Response> {
        self.send(version, &request)?;
        self.receive()
    }

    fn frame(&mut self) -> Outcome<Bytes> {
        let mut buffer = [0; READ_BYTES];
        loop {
            if let Some(frame) = self.frames.next_frame().map_err(|e| Problem::Odd(e.to_string()))? {
                return Ok(frame);
            }
            match self.stream.read(&mut buffer)? {
                0 => return Err(Problem::Lost("closed by the broker".to_owned())),
                read => self.frames.spare().extend_from_slice(&buffer[..read]),
            }
        }
    }
}
