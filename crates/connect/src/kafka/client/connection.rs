//! One connection to one broker: frames out and in, and the versions on which both sides agree.

use std::collections::BTreeMap;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use fleuve_base::{Error, ErrorKind, Result};
use fleuve_wire::messages::api_versions_request::ApiVersionsRequest;
use fleuve_wire::messages::api_versions_response::ApiVersionsResponse;
use fleuve_wire::{
    ApiKey, DecodeError, EncodeError, ErrorCode, FrameReader, Request, Response, limits, request, response,
};

use super::answer;

/// How long a broker may take to accept a connection, and to answer beyond what a request itself asks it to wait.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 << 10;

/// What this client calls itself.
const CLIENT_ID: &str = "fleuve";

/// The version of ApiVersions that is tried first; a broker that lacks it says which it has.
const API_VERSIONS_FIRST: i16 = 3;

/// A connection on which a request at a time is asked and answered.
pub struct Connection {
    address: String,
    stream: TcpStream,
    frames: FrameReader,
    buffer: Vec<u8>,
    versions: BTreeMap<i16, (i16, i16)>,
    correlation_id: i32,
}

impl Connection {
    /// Connects and agrees on versions.
    ///
    /// # Errors
    /// `E514` if nobody answers at this address, or not in Kafka's protocol.
    pub fn open(address: &str) -> Result<Self> {
        let failed = |error: &std::io::Error| unreachable_broker(address, error);
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
        for target in address.to_socket_addrs().map_err(|error| failed(&error))? {
            match TcpStream::connect_timeout(&target, TIMEOUT) {
                Ok(stream) => return Self::over(address, stream),
                Err(error) => last = error,
            }
        }
        Err(failed(&last))
    }

    fn over(address: &str, stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true).map_err(|error| unreachable_broker(address, &error))?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(|error| unreachable_broker(address, &error))?;
        let mut connection = Connection {
            address: address.to_owned(),
            stream,
            frames: FrameReader::with_limit(limits::FRAME_BYTES_MAX),
            buffer: vec![0; READ_BYTES],
            versions: BTreeMap::new(),
            correlation_id: 0,
        };
        connection.agree()?;
        Ok(connection)
    }

    /// Learns which versions the broker has.
    fn agree(&mut self) -> Result<()> {
        let mut version = API_VERSIONS_FIRST;
        for _ in 0..2 {
            let request = ApiVersionsRequest {
                client_software_name: CLIENT_ID.to_owned(),
                client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
                ..Default::default()
            };
            let answer = self.api_versions(version, &request.into())?;
            let ranges = answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version)));
            self.versions = ranges.collect();
            match ErrorCode(answer.error_code) {
                ErrorCode::NONE => return Ok(()),
                // Refused in version 0, with the versions that would be answered.
                ErrorCode::UNSUPPORTED_VERSION => {
                    let known = self.versions.get(&ApiKey::ApiVersions.to_i16()).map_or(0, |(_, max)| *max);
                    version = known.clamp(0, API_VERSIONS_FIRST - 1);
                }
                code => return Err(self.wrong(format!("it refuses ApiVersions: {code}"))),
            }
        }
        Err(self.wrong("it takes no version of ApiVersions".to_owned()))
    }

    fn api_versions(&mut self, version: i16, request: &Request) -> Result<ApiVersionsResponse> {
        let frame = self.exchange(version, request)?;
        let decoded = response::decode(ApiKey::ApiVersions, version, frame.clone());
        // The refusal of a version is in version 0.
        let refused = || response::decode(ApiKey::ApiVersions, 0, frame);
        let (_, answer) = decoded.or_else(|_| refused()).map_err(|error| self.undecodable(&error))?;
        answer!(answer, ApiVersions)
    }

    /// Sends a request in the newest version that both sides know, and waits for the answer.
    ///
    /// # Errors
    /// `E514` if the connection breaks, `E515` if the broker lacks the API.
    pub fn ask(&mut self, request: &Request) -> Result<Response> {
        let api = request.api_key();
        let version = self.version(api)?;
        let frame = self.exchange(version, request)?;
        let (_, answer) = response::decode(api, version, frame).map_err(|error| self.undecodable(&error))?;
        Ok(answer)
    }

    /// The version in which an API is asked here.
    fn version(&self, api: ApiKey) -> Result<i16> {
        let ours = api.versions();
        let newest = newest_used(api).min(*ours.end());
        let theirs = self.versions.get(&api.to_i16());
        let common = theirs.map(|(min, max)| (*min.max(ours.start()), newest.min(*max)));
        common.filter(|(min, max)| min <= max).map(|(_, max)| max).ok_or_else(|| {
            let message = format!("the broker at {} does not offer {}", self.address, api.name());
            Error::unsupported("E515", message).with_detail(match theirs {
                Some((min, max)) => {
                    format!("it has versions {min} to {max}, and {} to {newest} are known here", ours.start())
                }
                None => "it is not among the requests that it answers".to_owned(),
            })
        })
    }

    fn exchange(&mut self, version: i16, request: &Request) -> Result<Bytes> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = request::encode(version, self.correlation_id, Some(CLIENT_ID), request)
            .map_err(|error: EncodeError| Error::internal(format!("{}: {error}", request.api_key().name())))?;
        let chunks = frame.into_memory().map_err(|error| Error::io("read a request", &error))?;
        self.send(&chunks)?;
        loop {
            if let Some(frame) = self.frames.next_frame().map_err(|error| self.undecodable(&error))? {
                let answered = response::correlation_id(&frame).map_err(|error| self.undecodable(&error))?;
                if answered == self.correlation_id {
                    return Ok(frame);
                }
                return Err(self.wrong(format!("it answers request {answered} instead of {}", self.correlation_id)));
            }
            self.receive()?;
        }
    }

    fn send(&mut self, chunks: &[Bytes]) -> Result<()> {
        let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            let written =
                self.stream.write_vectored(rest).map_err(|error| unreachable_broker(&self.address, &error))?;
            if written == 0 {
                return Err(self.wrong("it closed the connection".to_owned()));
            }
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        match self.stream.read(&mut self.buffer) {
            Ok(0) => Err(self.wrong("it closed the connection".to_owned())),
            Ok(count) => {
                self.frames.spare().extend_from_slice(&self.buffer[..count]);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(unreachable_broker(&self.address, &error)),
        }
    }

    fn wrong(&self, what: String) -> Error {
        Error::new(ErrorKind::Io, "E514", format!("the broker at {} does not do as Kafka does: {what}", self.address))
            .with_hint("is it a Kafka broker, and without TLS?")
    }

    fn undecodable(&self, error: &DecodeError) -> Error {
        self.wrong(format!("its answer cannot be read: {error}"))
    }
}

fn unreachable_broker(address: &str, error: &std::io::Error) -> Error {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    let what = match error.kind() {
        TimedOut | WouldBlock => format!("no answer within {} s", TIMEOUT.as_secs()),
        _ => error.to_string(),
    };
    Error::new(ErrorKind::Io, "E514", format!("no Kafka broker can be reached at {address}: {what}"))
        .with_hint("`fleuve serve` starts one; --bootstrap HOST:PORT names another")
}

/// The newest version that this client uses: those before topics are named by ids, and one group is asked at a time.
fn newest_used(api: ApiKey) -> i16 {
    match api {
        ApiKey::Produce | ApiKey::Fetch | ApiKey::Metadata => 12,
        ApiKey::OffsetCommit => 9,
        ApiKey::OffsetFetch => 7,
        ApiKey::FindCoordinator => 3,
        ApiKey::DeleteTopics => 5,
        _ => i16::MAX,
    }
}
