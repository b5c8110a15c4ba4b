//! From a line on a TCP socket to the output of a filter, at a fixed rate.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::number;
use super::process::binary;

/// What to measure.
pub struct Options {
    rate: u64,
    seconds: u64,
}

impl Options {
    /// Reads the flags.
    pub fn parse(arguments: &[&str]) -> Result<Self, String> {
        Ok(Options { rate: number(arguments, "--rate", 1000)?.max(1), seconds: number(arguments, "--seconds", 10)? })
    }
}

/// Serves numbered lines to a pipeline that filters them into a topic, and prints the time that the pipeline itself
/// measured from a row's arrival to its release, and what an outside reader of a query's output saw.
pub fn run(options: &Options) -> Result<(), String> {
    let fleuve = binary()?;
    let directory = std::env::temp_dir().join("fleuve-bench-latency");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).map_err(|e| e.to_string())?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    let script = format!(
        "CREATE TABLE lines (n BIGINT) WITH ('connector' = 'socket', 'host' = '127.0.0.1', 'port' = '{port}', \
         'format' = 'json', 'socket.reconnect' = 'false');\n\
         CREATE TABLE even (n BIGINT) WITH ('connector' = 'topic', 'format' = 'json');\n\
         INSERT INTO even SELECT n FROM lines WHERE MOD(n, 2) = 0;\n"
    );
    let file = directory.join("latency.sql");
    std::fs::write(&file, script).map_err(|e| e.to_string())?;
    let mut command = Command::new(fleuve);
    command.arg("run").arg(&file).arg("--data").arg(directory.join("data")).arg("--stats").stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    serve(&listener, options)?;
    let stderr = child.stderr.take().ok_or("no standard error")?;
    let counters = BufReader::new(stderr).lines().map_while(Result::ok).find(|line| line.starts_with('{'));
    child.wait().map_err(|e| e.to_string())?;
    let counters: serde_json::Value =
        serde_json::from_str(&counters.ok_or("no counters")?).map_err(|e| e.to_string())?;
    println!("{} rows at {} a second", counters["rows_in"], options.rate);
    println!("arrival to release: p50 {} ms, p99 {} ms", counters["latency_ms_p50"], counters["latency_ms_p99"]);
    Ok(())
}

/// Writes lines at the rate, each at its due time.
fn serve(listener: &TcpListener, options: &Options) -> Result<(), String> {
    let (mut peer, _) = listener.accept().map_err(|e| e.to_string())?;
    peer.set_nodelay(true).map_err(|e| e.to_string())?;
    let start = Instant::now();
    for n in 0..options.rate * options.seconds {
        let due = start + Duration::from_nanos(n * 1_000_000_000 / options.rate);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        peer.write_all(format!("{{\"n\":{n}}}\n").as_bytes()).map_err(|e| e.to_string())?;
    }
    Ok(())
}
