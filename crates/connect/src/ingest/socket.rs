//! A TCP server that is dialled and sends lines.

use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use fleuve_base::{Error, ErrorKind, Result};

use super::feed::{Feeder, Lines};
use crate::options::Options;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before dialling again, doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

pub(super) struct SocketFeeder {
    options: Options,
    address: String,
    reconnect: bool,
}

impl SocketFeeder {
    pub(super) fn new(options: &Options) -> Result<Self> {
        let reconnect = options.flag("socket.reconnect");
        Ok(SocketFeeder { address: address(options)?, reconnect, options: options.clone() })
    }

    fn connect(&self) -> Result<TcpStream> {
        let unreachable = |error| {
            Error::new(ErrorKind::Io, "E510", format!("could not connect to {}: {error}", self.address))
                .with_hint("is the server running? Fleuve dials, it does not listen")
        };
        let addresses = self.address.to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
        let mut last = "the name has no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error.to_string(),
            }
        }
        Err(unreachable(last))
    }

    /// Reads until the server closes. A line that breaks off with an error is dropped, one at a clean end is kept.
    fn read(&self, mut stream: TcpStream, lines: &mut Lines) -> Result<()> {
        let interrupt = stream.try_clone().map_err(|error| Error::io("use a socket", &error))?;
        *lines.session.interrupt.lock() = Some(Box::new(move || {
            // It may have been closed by the other side by now.
            let _ = interrupt.shutdown(Shutdown::Both);
        }));
        while !lines.session.is_stopped() {
            match lines.read(&mut stream, |_| None) {
                Ok(0) => return if lines.session.is_stopped() { Ok(()) } else { lines.finish() },
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Io && error.code() == "E902" && self.reconnect => {
                    let lost = lines.forget();
                    tracing::warn!("{}: {error}; {lost} bytes of an unfinished line are dropped", self.address);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn address(options: &Options) -> Result<String> {
    if let Some(url) = options.stated("url") {
        let address = url.strip_prefix("socket://").or_else(|| url.strip_prefix("tcp://"));
        let address = address.map(|address| address.trim_end_matches('/'));
        return address.filter(|address| address.contains(':')).map(str::to_owned).ok_or_else(|| {
            Error::input("E502", format!("table `{}`: 'url' = '{url}' is not socket://host:port", options.table()))
        });
    }
    let host = options.stated("host").or_else(|| options.stated("hostname")).unwrap_or("localhost");
    let port = options.required("port")?;
    let valid = port.trim().parse::<u16>().is_ok_and(|port| port > 0);
    if !valid {
        let message = format!("table `{}`: 'port' = '{port}' is not a port", options.table());
        return Err(Error::input("E502", message).with_hint("a port is a number from 1 to 65535"));
    }
    Ok(format!("{host}:{}", port.trim()))
}

impl Feeder for SocketFeeder {
    fn name(&self) -> String {
        self.address.clone()
    }

    fn bounded(&self) -> bool {
        !self.reconnect
    }

    fn run(&mut self, lines: &mut Lines, resumed: bool, _last: Option<&str>) -> Result<()> {
        // A server that is not there at first is likely a mistake; later it may just be restarting.
        let (mut patient, mut pause) = (resumed, PAUSE_MIN);
        while !lines.session.is_stopped() {
            match self.connect() {
                Ok(stream) => {
                    (patient, pause) = (true, PAUSE_MIN);
                    lines.begin(&self.options);
                    self.read(stream, lines)?;
                    if !self.reconnect {
                        return Ok(());
                    }
                }
                Err(error) if !patient || !self.reconnect => return Err(error),
                Err(error) => tracing::warn!("{error}; next try in {pause:?}"),
            }
            if !lines.session.sleep(pause) {
                return Ok(());
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(())
    }
}
