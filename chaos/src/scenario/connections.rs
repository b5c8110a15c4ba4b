//! R13: ten thousand connections, most of them idle; a thousand that work; some that say half a word; a few hundred a second that
//! come and go. All that ask are answered, an idle one costs little memory, and when all are gone their descriptors are, too.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{Plan, Scenario};
use crate::client::{Acks, Connection, Outcome, Producer, batch};
use crate::dice::Dice;
use crate::history::{Batch, Place};
use crate::life::fresh;
use crate::process::{Launch, Server};
use crate::storage::Storage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "connections",
    goal: "R13",
    what: "10,000 connections: idle, working, half-open, coming and going",
    cycles: 10_000,
    run,
};

/// Bytes of memory that an idle connection may cost.
const IDLE_BYTES_MAX: u64 = 20 << 10;

/// Of the connections, a tenth works, and a tenth stops in the middle of its first request.
const SHARE: u64 = 10;

/// Requests with which latency is measured.
const REQUESTS: u64 = 2_000;

/// Connections that come and go.
const CHURN: u64 = 2_000;

/// How long the broker may take to let go of what has been closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(20);

/// Descriptors more than before that are no connections: segments that were opened since.
const OTHER_DESCRIPTORS: usize = 32;

const TOPIC: &str = "connections";

fn run(plan: &Plan<'_>) -> Result<String, String> {
    let directory = fresh(&plan.options.directory, "connections")?;
    let storage = Storage::Directory(directory.join("data"));
    let launch = Launch::new(&plan.options.binary, &storage, &directory);
    let server = launch.start(None)?.ready()?.ok_or("the broker does not start")?;
    let told = crowd(&server, plan.cycles).map_err(|error| format!("{error}; is `ulimit -n` high enough?"))?;
    let _ = std::fs::remove_dir_all(&directory);
    Ok(told)
}

fn crowd(server: &Server, count: u64) -> Result<String, String> {
    let mut dice = Dice::new(count);
    let mut number = 0;
    let mut one = open(server.address)?;
    one.create_topic(TOPIC, 1, &[]).map_err(|e| e.to_string())?;
    let alone = latency(std::slice::from_mut(&mut one), &mut number, &mut dice)?;
    let (memory, descriptors) = measured(server)?;
    let idle = (0..count - 2 * count / SHARE).map(|_| open(server.address)).collect::<Result<Vec<_>, _>>()?;
    let (full, _) = measured(server)?;
    let each = full.saturating_sub(memory) / idle.len().max(1) as u64;
    let mut active = (0..count / SHARE).map(|_| open(server.address)).collect::<Result<Vec<_>, _>>()?;
    let half = (0..count / SHARE).map(|_| half_open(server.address)).collect::<Result<Vec<_>, _>>()?;
    let crowded = latency(&mut active, &mut number, &mut dice)?;
    (0..CHURN).try_for_each(|_| open(server.address).map(drop))?;
    drop((idle, active, half, one));
    let begun = Instant::now();
    while measured(server)?.1 > descriptors + OTHER_DESCRIPTORS {
        if begun.elapsed() > CLOSE_LIMIT {
            return Err(format!("{} descriptors are open, {descriptors} were", measured(server)?.1));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    if each > IDLE_BYTES_MAX {
        return Err(format!("an idle connection costs {each} bytes"));
    }
    Ok(format!(
        "{count} connections and {CHURN} that came and went, all answered; an idle one costs {each} bytes; produce p99 {:.1} ms alone, \
         {:.1} ms among them",
        alone.as_secs_f64() * 1e3,
        crowded.as_secs_f64() * 1e3
    ))
}

fn measured(server: &Server) -> Result<(u64, usize), String> {
    let memory = server.process.resident_bytes().ok_or("its memory cannot be seen")?;
    Ok((memory, server.process.descriptors().ok_or("its descriptors cannot be seen")?))
}

/// A connection that has asked once, as every client does.
fn open(address: SocketAddr) -> Result<Connection, String> {
    let ask = || -> Outcome<Connection> {
        let mut connection = Connection::open(address)?;
        connection.apis()?;
        Ok(connection)
    };
    ask().map_err(|problem| problem.to_string())
}

fn half_open(address: SocketAddr) -> Result<TcpStream, String> {
    let mut stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
    stream.write_all(&[0, 0]).map_err(|e| e.to_string())?;
    Ok(stream)
}

/// The 99th percentile of produce over any of the connections.
fn latency(connections: &mut [Connection], number: &mut u64, dice: &mut Dice) -> Result<Duration, String> {
    let mut all = vec![];
    for _ in 0..REQUESTS {
        let place = Place { topic: 0, partition: 0 };
        let sent = Batch { writer: 1, place, first: *number, count: 1, transaction: None };
        *number += 1;
        let connection = &mut connections[dice.below(connections.len() as u64) as usize];
        let begun = Instant::now();
        connection.produce(TOPIC, 0, batch(&sent, Producer::PLAIN, -1), Acks::All, None).map_err(|e| e.to_string())?;
        connection.produced().map_err(|e| e.to_string())?;
        all.push(begun.elapsed());
    }
    all.sort_unstable();
    Ok(all[all.len() * 99 / 100])
}
