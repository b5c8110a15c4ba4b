//! Where a tool works: at a Kafka broker, or in a data directory that nobody has open.

use fleuve_base::{Env, Error, Result};
use fleuve_connect::kafka::client::Client;

use crate::args::TargetArguments;
use crate::workspace::Workspace;

/// The file in a data directory in which a server says where it listens, a line for each address.
pub const LISTENERS_FILE: &str = "listeners";

/// Bytes of that file that are read.
const LISTENERS_BYTES_MAX: usize = 4 << 10;

/// A broker, or an open data directory.
pub enum Target {
    /// The broker that was named, or the one that has the data directory open.
    Broker(Box<Client>),
    /// The data directory.
    Data(Workspace),
}

impl Target {
    /// Finds out where to work; `create` makes a data directory that is not there.
    pub fn open(arguments: &TargetArguments, create: bool) -> Result<Self> {
        let env = Env::system();
        if let Some(bootstrap) = &arguments.bootstrap {
            return Ok(Target::Broker(Box::new(Client::connect(&env, bootstrap)?)));
        }
        let data = arguments.data.data.as_ref();
        let opened = if create { Workspace::open(data) } else { Workspace::open_existing(data) };
        match opened {
            Ok(workspace) => Ok(Target::Data(workspace)),
            // Another process has it: a server says where it can be asked.
            Err(error) if error.code() == "E701" => match listener(&Workspace::ephemeral(data)) {
                Some(address) => Ok(Target::Broker(Box::new(Client::connect(&env, &address)?))),
                None => Err(error.with_hint("a server that has it open is reached by --bootstrap HOST:PORT")),
            },
            Err(error) => Err(error),
        }
    }
}

/// The broker that a tool needs.
pub fn client(arguments: &TargetArguments) -> Result<Client> {
    match Target::open(arguments, false)? {
        Target::Broker(client) => Ok(*client),
        Target::Data(workspace) => {
            let message = format!("no broker serves the data directory `{}`", workspace.directory().display());
            workspace.close()?;
            Err(Error::input("E514", message)
                .with_hint("start one with `fleuve serve`, or name another with --bootstrap HOST:PORT"))
        }
    }
}

fn listener(workspace: &Workspace) -> Option<String> {
    let bytes = std::fs::read(workspace.directory().join(LISTENERS_FILE)).ok()?;
    let text = std::str::from_utf8(bytes.get(..bytes.len().min(LISTENERS_BYTES_MAX))?).ok()?;
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}
