//! A server over a log in memory, and a client that speaks frames.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleuve_base::{Env, MemoryFs};
use fleuve_broker::{Broker, BrokerConfig};
use fleuve_journal::{Log, LogOptions};
use fleuve_server::{Bound, Limits, ListenerConfig, Server, ServerConfig};
use fleuve_wire::messages::api_versions_request::ApiVersionsRequest;
use fleuve_wire::messages::metadata_request::MetadataRequest;
use fleuve_wire::{ApiKey, Request, Response, request, response};

/// No test waits longer for a byte: a hang is a failure that says where.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub struct World {
    server: Option<Server>,
    pub broker: Arc<Broker>,
    addresses: Vec<SocketAddr>,
}

impl World {
    /// One listener without TLS and login.
    pub fn plain() -> Self {
        Self::with_limits(Limits::default())
    }

    /// The same with other limits.
    pub fn with_limits(limits: Limits) -> Self {
        let listeners = vec![ListenerConfig::plain("kafka", "127.0.0.1:0")];
        Self::new(ServerConfig { listeners, limits, ..config() })
    }

    /// As configured.
    pub fn new(config: ServerConfig) -> Self {
        Self::over(Env { fs: Arc::new(MemoryFs::new()), ..Env::system() }, "/data".as_ref(), config)
    }

    /// One listener without TLS and login, over a log in this directory.
    pub fn on_disk(directory: &Path, limits: Limits) -> Self {
        let listeners = vec![ListenerConfig::plain("kafka", "127.0.0.1:0")];
        Self::over(Env::system(), directory, ServerConfig { listeners, limits, ..config() })
    }

    fn over(env: Env, directory: &Path, config: ServerConfig) -> Self {
        let log = Log::open(env.clone(), directory, LogOptions::default()).expect("a log");
        let broker = Broker::open(env, log, BrokerConfig::default()).expect("a broker");
        let bound = Bound::open(&config).expect("free ports");
        let addresses = bound.addresses().into_iter().map(|(_, address)| address).collect();
        World { server: Some(bound.serve(Arc::clone(&broker))), broker, addresses }
    }

    /// The address of a listener, in the order of the configuration; HTTP is the last.
    pub fn address(&self, listener: usize) -> SocketAddr {
        self.addresses[listener]
    }

    /// A connection to the first listener.
    pub fn connect(&self) -> Client<TcpStream> {
        Client::new(self.socket())
    }

    /// The same without a client around it.
    pub fn socket(&self) -> TcpStream {
        socket(self.address(0))
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> u64 {
        let page = self.server.as_ref().expect("it runs").metrics();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    /// Waits until a metric has the value.
    pub fn wait_for_metric(&self, name: &str, value: u64) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.metric(name) != value {
            assert!(std::time::Instant::now() < deadline, "{name} is {}, not {value}", self.metric(name));
            std::thread::yield_now();
        }
    }

    /// Stops the server, with so much time.
    pub fn stop(&mut self, within: Duration) {
        self.server.take().expect("it runs").stop(within);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_secs(5));
        }
        self.broker.log().close().expect("the log closes");
    }
}

/// A server without listeners and HTTP.
pub fn config() -> ServerConfig {
    ServerConfig { listeners: vec![], http: None, ..ServerConfig::default() }
}

/// A connection that loses patience.
pub fn socket(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// Speaks frames over a stream.
pub struct Client<S> {
    pub stream: S,
    next: i32,
}

impl<S: Read + Write> Client<S> {
    pub fn new(stream: S) -> Self {
        Client { stream, next: 1 }
    }

    /// Sends a request; its correlation id.
    pub fn send(&mut self, version: i16, request: impl Into<Request>) -> i32 {
        let (id, frame) = self.frame(version, request);
        self.stream.write_all(&frame).expect("is sent");
        id
    }

    /// The bytes of a request, not sent.
    pub fn frame(&mut self, version: i16, request: impl Into<Request>) -> (i32, Bytes) {
        let id = self.next;
        self.next += 1;
        (id, request::encode(version, id, Some("test"), &request.into()).expect("can be expressed").to_bytes())
    }

    /// The next response, which must answer this.
    pub fn receive(&mut self, api: ApiKey, version: i16, id: i32) -> Response {
        let (found, response) = response::decode(api, version, self.receive_frame()).expect("is a response");
        assert_eq!(found, id, "answers come in the order of the requests");
        response
    }

    /// The next frame, without its length.
    pub fn receive_frame(&mut self) -> Bytes {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("a length");
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).expect("a frame");
        frame.into()
    }

    /// Asks and awaits the answer.
    pub fn ask(&mut self, version: i16, request: impl Into<Request>) -> Response {
        let request = request.into();
        let api = request.api_key();
        let id = self.send(version, request);
        self.receive(api, version, id)
    }

    /// Whether the server has ended the connection (and said nothing more).
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// A conversation that must work.
    pub fn assert_served(&mut self) {
        assert!(matches!(self.ask(3, versions()), Response::ApiVersions(found) if found.error_code == 0));
    }
}

/// What clients ask first.
pub fn versions() -> ApiVersionsRequest {
    let (name, version) = ("test".to_owned(), "1".to_owned());
    ApiVersionsRequest { client_software_name: name, client_software_version: version, ..Default::default() }
}

/// All topics.
pub fn metadata() -> MetadataRequest {
    MetadataRequest { topics: None, ..Default::default() }
}
