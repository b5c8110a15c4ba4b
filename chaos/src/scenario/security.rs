//! R18: what strangers can do on the first day. A listener that everybody can reach does not open without encryption and logins;
//! where logins are asked for, no request of any API is answered before one, and no large one is read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fleuve_wire::{ApiKey, Request, Source, request};

use super::{Plan, Scenario};
use crate::client::Connection;
use crate::life::fresh;
use crate::process::{Launch, tail};
use crate::storage::Storage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "security",
    goal: "R18",
    what: "listeners that must not open, and requests before a login (needs all of `fleuve serve`)",
    cycles: 1,
    run,
};

/// What is open before a login.
const OPEN: [ApiKey; 3] = [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate];

/// Listeners that let strangers in or passwords be seen.
const REFUSED: [&[&str]; 4] = [
    &["--kafka", "open=0.0.0.0:0"],
    &["--kafka", "open=[::]:0"],
    &["--http", "0.0.0.0:0"],
    &["--set", "listener.kafka.sasl=PLAIN"],
];

/// How long a broker may take to close a connection.
const CLOSE_LIMIT: Duration = Duration::from_secs(15);

/// The length of a frame that is not read before a login.
const LARGE_FRAME_BYTES: i32 = 20 << 10;

fn run(plan: &Plan<'_>) -> Result<String, String> {
    let directory = fresh(&plan.options.directory, "security")?;
    let storage = Storage::Directory(directory.join("data"));
    let launch = |arguments: &[&str]| Launch {
        arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        ..Launch::new(&plan.options.binary, &storage, &directory)
    };
    for arguments in REFUSED {
        let launch = launch(arguments);
        if launch.start(None)?.ready()?.is_some() {
            return Err(format!("it opens {arguments:?}"));
        }
        let told = tail(&launch.messages(), 10);
        if !told.contains("E603") {
            return Err(format!("{arguments:?}: it does not say why: {told}"));
        }
    }
    let guarded = launch(&["--http", "off", "--set", "listener.kafka.sasl=SCRAM-SHA-256"]);
    let server = guarded.start(None)?.ready()?;
    let server = server.ok_or_else(|| format!("it does not start: {}", tail(&guarded.messages(), 10)))?;
    if !server.address.ip().is_loopback() {
        return Err(format!("it listens on {}", server.address));
    }
    let asked = before_login(server.address, plan.options.seed)?;
    let _ = std::fs::remove_dir_all(&directory);
    Ok(format!("{} unsafe listeners refused; {asked} requests before a login, none answered", REFUSED.len()))
}

/// Sends a request of every API in every version on a connection of its own.
fn before_login(address: SocketAddr, seed: u64) -> Result<u64, String> {
    Connection::open(address).and_then(|mut connection| connection.apis()).map_err(|e| format!("ApiVersions: {e}"))?;
    let mut asked = 0;
    for api in ApiKey::ALL.iter().copied().filter(|api| !OPEN.contains(api)) {
        for version in api.versions() {
            let request = Request::arbitrary(api, version, &mut Source::new(seed + asked));
            let Ok(frame) = request::encode(version, 1, Some("stranger"), &request) else { continue };
            closed(address, &frame.to_bytes()).map_err(|error| format!("{} {version}: {error}", api.name()))?;
            asked += 1;
        }
    }
    let large = [&LARGE_FRAME_BYTES.to_be_bytes()[..], &[0; 64]].concat();
    closed(address, &large).map_err(|error| format!("a frame of {LARGE_FRAME_BYTES} bytes: {error}"))?;
    Ok(asked)
}

/// Whether the connection is closed without a word.
fn closed(address: SocketAddr, frame: &[u8]) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(CLOSE_LIMIT)).map_err(|e| e.to_string())?;
    stream.write_all(frame).map_err(|e| e.to_string())?;
    match stream.read(&mut [0; 64]) {
        Ok(0) => Ok(()),
        Ok(bytes) => Err(format!("{bytes} bytes of an answer")),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(format!("not closed: {error}")),
    }
}
