//! A small Kafka client, for the command line's tools: blocking, one request at a time, against any broker.
//!
//! It speaks `fleuve_wire`, agrees with each broker on versions, and sends every request where it belongs: to a
//! partition's leader, a group's coordinator, the controller. It is not for pipelines: it neither pipelines requests nor
//! joins groups.

mod admin;
mod connection;
mod consume;
mod groups;
mod produce;
mod security;
mod topics;

pub use admin::ConfigEntry;
pub use connection::{Connection, TIMEOUT};
pub use consume::{Consumed, Records};
pub use groups::{Group, GroupMember, GroupOffset};
pub(crate) use produce::partition_of;
pub use produce::{Produced, Producer, codec};
pub use security::{Acl, AclFilter, ScramUser};
pub use topics::{NewTopic, PartitionInfo, TopicInfo};

use std::collections::BTreeMap;

use fleuve_base::{Env, Error, ErrorKind, Result};
use fleuve_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use fleuve_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use fleuve_wire::messages::metadata_response::MetadataResponse;
use fleuve_wire::{ErrorCode, Request, Response};

/// The response of one API, out of the enum of all.
macro_rules! answer {
    ($response:expr, $api:ident) => {
        match $response {
            fleuve_wire::Response::$api(answer) => Ok(answer),
            other => {
                Err(fleuve_base::Error::internal(format!("asked {} and got {:?}", stringify!($api), other.api_key())))
            }
        }
    };
}
pub(crate) use answer;

/// How often a request is sent again while a broker says that it will soon know better, and how long after.
const ATTEMPTS_MAX: usize = 20;
const BACKOFF: std::time::Duration = std::time::Duration::from_millis(100);

/// A cluster, as seen from its bootstrap addresses.
pub struct Client {
    env: Env,
    bootstrap: Vec<String>,
    /// Connections by the broker's id; −1 is whichever bootstrap address answered.
    connections: BTreeMap<i32, Connection>,
    /// `host:port` by the broker's id.
    brokers: BTreeMap<i32, String>,
    controller: i32,
}

/// The connection to a bootstrap address.
const ANY: i32 = -1;

impl Client {
    /// Connects to the first address that answers; addresses are `host:port`, separated by commas.
    ///
    /// # Errors
    /// `E514` if none answers.
    pub fn connect(env: &Env, bootstrap: &str) -> Result<Self> {
        let bootstrap = bootstrap.split(',').map(|address| with_port(address.trim())).collect();
        let (connections, brokers) = Default::default();
        let mut client = Client { env: env.clone(), bootstrap, connections, brokers, controller: ANY };
        client.metadata(Some(&[]))?;
        Ok(client)
    }

    /// The clock and the rest of the world.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The brokers by id.
    pub fn brokers(&self) -> &BTreeMap<i32, String> {
        &self.brokers
    }

    /// Asks any broker about these topics, or about all.
    pub fn metadata(&mut self, topics: Option<&[&str]>) -> Result<MetadataResponse> {
        let topic = |name: &&str| MetadataRequestTopic { name: Some((*name).to_owned()), ..Default::default() };
        let topics = topics.map(|names| names.iter().map(topic).collect());
        let request = MetadataRequest { topics, allow_auto_topic_creation: false, ..Default::default() };
        let metadata = answer!(self.ask(ANY, &request.into())?, Metadata)?;
        self.brokers = metadata.brokers.iter().map(|b| (b.node_id, format!("{}:{}", b.host, b.port))).collect();
        self.controller = metadata.controller_id;
        Ok(metadata)
    }

    /// Sends a request to a broker and waits for its answer.
    pub fn ask(&mut self, broker: i32, request: &Request) -> Result<Response> {
        let answered = self.connection(broker)?.ask(request);
        if answered.is_err() {
            self.connections.remove(&broker);
        }
        answered
    }

    /// Sends a request to the controller.
    pub fn ask_controller(&mut self, request: &Request) -> Result<Response> {
        let controller = if self.brokers.contains_key(&self.controller) { self.controller } else { ANY };
        self.ask(controller, request)
    }

    /// The broker that coordinates a group; waits until there is one.
    pub fn coordinator(&mut self, group: &str) -> Result<i32> {
        let request: Request = FindCoordinatorRequest { key: group.to_owned(), ..Default::default() }.into();
        let found = self.again(|client| {
            let found = answer!(client.ask(ANY, &request)?, FindCoordinator)?;
            Ok((ErrorCode(found.error_code), found))
        })?;
        check("FindCoordinator", &format!("group `{group}`"), found.error_code, found.error_message.as_deref())?;
        self.brokers.insert(found.node_id, format!("{}:{}", found.host, found.port));
        Ok(found.node_id)
    }

    /// Asks again while the answer is an error that passes.
    pub(crate) fn again<T>(&mut self, mut ask: impl FnMut(&mut Self) -> Result<(ErrorCode, T)>) -> Result<T> {
        let mut attempt = 0;
        loop {
            let (code, answer) = ask(self)?;
            attempt += 1;
            if !code.is_retriable() || attempt >= ATTEMPTS_MAX {
                return Ok(answer);
            }
            std::thread::sleep(BACKOFF);
        }
    }

    fn connection(&mut self, broker: i32) -> Result<&mut Connection> {
        if !self.connections.contains_key(&broker) {
            let connection = self.dial(broker)?;
            self.connections.insert(broker, connection);
        }
        self.connections.get_mut(&broker).ok_or_else(|| Error::internal("the connection was made a line above"))
    }

    fn dial(&self, broker: i32) -> Result<Connection> {
        if broker != ANY {
            let address = self.brokers.get(&broker).ok_or_else(|| unknown_broker(broker))?;
            return Connection::open(address).map_err(|error| {
                error.with_hint("the broker advertises this address; it must be reachable from here")
            });
        }
        let mut last = None;
        for address in &self.bootstrap {
            match Connection::open(address) {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::input("E514", "no address of a broker is given")))
    }
}

fn unknown_broker(broker: i32) -> Error {
    Error::new(ErrorKind::Io, "E514", format!("the cluster names broker {broker} and does not say where it is"))
}

fn with_port(address: &str) -> String {
    match address.rsplit_once(':') {
        Some((_, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => address.to_owned(),
        _ => format!("{address}:9092"),
    }
}

/// An error of Kafka's as one of ours; `what` is what it is about.
///
/// # Errors
/// `E515` unless the code says that there is none.
pub fn check(request: &str, what: &str, code: i16, message: Option<&str>) -> Result<()> {
    let code = ErrorCode(code);
    if code.is_none() {
        return Ok(());
    }
    let text = message.map_or_else(|| code.name().to_owned(), |message| format!("{message} ({})", code.name()));
    Err(Error::new(ErrorKind::Conflict, "E515", format!("{request} of {what}: {text}")).with_hint(hint(code)))
}

fn hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => "`fleuve topic list` shows the topics that there are",
        ErrorCode::TOPIC_ALREADY_EXISTS => "choose another name, or delete the topic first",
        ErrorCode::GROUP_ID_NOT_FOUND => "`fleuve group list` shows the groups that there are",
        ErrorCode::NON_EMPTY_GROUP => "stop the group's members first",
        ErrorCode::TOPIC_AUTHORIZATION_FAILED
        | ErrorCode::GROUP_AUTHORIZATION_FAILED
        | ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
            "the user lacks a permission: `fleuve acl list` shows which there are"
        }
        _ => "this is the broker's answer; its log may say more",
    }
}
