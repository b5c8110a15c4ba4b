//! Apache Kafka on one node, from Maven Central: what the programs are measured by.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::broker::{self, Broker};
use super::project::{self, KAFKA};
use super::run;

/// The broker's memory; these programs need little.
const HEAP: &str = "-Xmx512m";

/// What it is started with.
#[derive(Default)]
pub struct Setup<'a> {
    /// Options of the Java machine.
    pub machine: &'a [&'a str],
    /// Further lines of `server.properties`.
    pub properties: &'a str,
    /// Further listeners by name, and their ports on loopback.
    pub listeners: &'a [(&'a str, u16)],
    /// Users that there are from the beginning, as Kafka's tool for formatting takes them.
    pub users: &'a [String],
}

/// Starts it over an empty directory.
pub fn start() -> Result<Broker, String> {
    start_with(&[HEAP], "")
}

/// Starts it with options of the Java machine, and further lines of `server.properties`.
pub fn start_with(machine: &[&str], properties: &str) -> Result<Broker, String> {
    start_in(&broker::fresh("kafka")?, &Setup { machine, properties, ..Setup::default() })
}

/// Starts it in a directory.
pub fn start_in(home: &Path, setup: &Setup<'_>) -> Result<Broker, String> {
    let libs = project::install(&KAFKA)?.join("libs");
    let (port, controller) = (free_port()?, free_port()?);
    let properties = home.join("server.properties");
    let written = fs::write(&properties, settings(home, port, controller, setup))
        .and_then(|()| fs::write(home.join("log4j2.properties"), LOGGING));
    written.map_err(|e| format!("{}: {e}", home.display()))?;
    format(java(&libs, home, setup.machine), &properties, setup.users)?;
    let log = home.join("stderr.log");
    let mut command = java(&libs, home, setup.machine);
    let begun = Instant::now();
    let mut process = broker::spawn(command.arg("kafka.Kafka").arg(&properties), &home.join("stdout.log"), &log)?;
    let bootstrap = format!("127.0.0.1:{port}");
    match broker::wait_for(&mut process, || TcpStream::connect(&bootstrap).ok()) {
        Some(_) => Ok(Broker::started(bootstrap, process, log, begun)),
        None => {
            let _ = process.kill();
            Err(format!("Kafka does not listen:\n{}\n{}", run::tail(&home.join("stdout.log")), run::tail(&log)))
        }
    }
}

fn format(mut command: Command, properties: &Path, users: &[String]) -> Result<(), String> {
    command.args(["kafka.tools.StorageTool", "format", "-t", "Zmx1ZXZlLWUyZS1rYWZrYQ", "-c"]).arg(properties);
    for user in users {
        command.args(["--add-scram", user]);
    }
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(e) => Err(format!("java: {e}")),
    }
}

fn java(libs: &Path, home: &Path, machine: &[&str]) -> Command {
    let mut command = Command::new("java");
    let logging = format!("-Dlog4j2.configurationFile={}", home.join("log4j2.properties").display());
    command.args(machine).args([&logging, "-cp"]).arg(format!("{}/*", libs.display()));
    command
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16, String> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    port.map(|address| address.port()).map_err(|e| format!("no port is free: {e}"))
}

/// Only errors are worth reading here.
const LOGGING: &str = "status=ERROR
appender.c.type=Console
appender.c.name=C
appender.c.target=SYSTEM_ERR
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=WARN
rootLogger.appenderRef.c.ref=C
";

fn settings(home: &Path, port: u16, controller: u16, setup: &Setup<'_>) -> String {
    let further: String = setup.listeners.iter().map(|(name, port)| format!(",{name}://127.0.0.1:{port}")).collect();
    let own = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{further}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{further}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
",
        home.join("data").display()
    );
    own + setup.properties
}
