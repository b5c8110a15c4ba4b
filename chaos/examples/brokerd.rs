//! The broker alone, without SQL and settings: what `fleuve serve --data DIR --kafka HOST:PORT` does with Kafka's
//! clients, in a program that builds in a minute. For fast torture, and for canaries, of which each is a build.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleuve_base::{Env, Result};
use fleuve_broker::{Broker, BrokerConfig};
use fleuve_journal::{Log, LogOptions};
use fleuve_server::{Bound, ListenerConfig, ServerConfig};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|word| word == name).and_then(|at| arguments.get(at + 1));
    let data = value("--data").map_or_else(|| PathBuf::from("fleuve-data"), PathBuf::from);
    let kafka = value("--kafka").map_or("127.0.0.1:0", String::as_str);
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    if let Err(error) = serve(&data, kafka) {
        eprintln!("error[{}]: {error}", error.code());
        std::process::exit(1);
    }
}

fn serve(data: &std::path::Path, kafka: &str) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|e| fleuve_base::Error::io("handle signals", &e))?;
    }
    let listeners = vec![ListenerConfig::plain("kafka", kafka)];
    let bound = Bound::open(&ServerConfig { listeners, http: None, ..ServerConfig::default() })?;
    let env = Env::system();
    let log = Log::open(env.clone(), data, LogOptions::default())?;
    for (partition, damage) in &log.recovery().damage {
        tracing::error!(%partition, ?damage, "acknowledged records are damaged; all others are served");
    }
    let broker = Broker::open(env, Arc::clone(&log), BrokerConfig::default())?;
    let addresses = bound.addresses();
    let server = bound.serve(broker);
    addresses.iter().for_each(|(name, address)| println!("{name} listening on {address}"));
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
    }
    server.stop(Duration::from_secs(3));
    log.close()
}
