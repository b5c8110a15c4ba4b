//! R12: readers that ask for much and take nothing, or a little at a time, while writers and a quick reader go on. The broker's
//! memory stays within bounds, and the quick reader gets all.

use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fleuve_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use fleuve_wire::{Request, request};
use std::io::Write;

use super::{Plan, Scenario};
use crate::client::{Acks, Connection, Isolation, Producer, batch};
use crate::history::{Batch, Place};
use crate::life::fresh;
use crate::process::{Launch, Server};
use crate::storage::Storage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "slow",
    goal: "R12",
    what: "a thousand readers that take nothing or little, beside quick ones",
    cycles: 1_000,
    run,
};

/// Bytes that the broker's memory may grow.
const GROWTH_BYTES_MAX: u64 = 256 << 20;

/// Bytes that lie in the topic.
const LOG_BYTES: usize = 64 << 20;

/// Records of one batch: some tens of kilobytes.
const BATCH_RECORDS: u32 = 100;

/// Bytes that each reader asks for, in each of its requests.
const WANTED_BYTES: i32 = 50 << 20;

/// Requests that each reader sends ahead.
const REQUESTS: i32 = 4;

/// How long readers are slow.
const TIME: Duration = Duration::from_secs(15);

const TOPIC: &str = "slow";

fn run(plan: &Plan<'_>) -> Result<String, String> {
    let directory = fresh(&plan.options.directory, "slow")?;
    let storage = Storage::Directory(directory.join("data"));
    let launch = Launch::new(&plan.options.binary, &storage, &directory);
    let server = launch.start(None)?.ready()?.ok_or("the broker does not start")?;
    let told = slowly(&server, plan.cycles)?;
    let _ = std::fs::remove_dir_all(&directory);
    Ok(told)
}

fn slowly(server: &Server, readers: u64) -> Result<String, String> {
    let text = |problem: crate::client::Problem| problem.to_string();
    let mut connection = Connection::open(server.address).map_err(text)?;
    connection.create_topic(TOPIC, 1, &[]).map_err(text)?;
    let (mut number, mut bytes) = (0, 0);
    while bytes < LOG_BYTES {
        bytes += write(&mut connection, &mut number).map_err(text)?;
    }
    let alone = read_all(&mut connection).map_err(text)?;
    let before = server.process.peak_resident_bytes().ok_or("its memory cannot be seen")?;
    let mut streams = (0..readers).map(|_| stalled(server)).collect::<Result<Vec<_>, _>>()?;
    let over = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        let drip = scope.spawn(|| drip(&mut streams, &over));
        let begun = Instant::now();
        let mut beside = Duration::ZERO;
        let mut work = || -> Result<(), crate::client::Problem> {
            while begun.elapsed() < TIME {
                write(&mut connection, &mut number)?;
                beside = beside.max(read_all(&mut connection)?);
            }
            Ok(())
        };
        let worked = work().map_err(text);
        over.store(true, Ordering::Relaxed);
        drip.join().map_err(|_| "the slow readers panicked".to_owned())?;
        worked.map(|()| beside)
    })?;
    let growth = server.process.peak_resident_bytes().unwrap_or(u64::MAX).saturating_sub(before);
    if growth > GROWTH_BYTES_MAX {
        return Err(format!("its memory grew by {} MiB", growth >> 20));
    }
    Ok(format!(
        "{readers} slow readers asked for {} MiB each; memory grew by {} MiB at most; a quick one read {} MiB in {:.1} s alone, in {:.1} s \
         at worst beside them",
        (WANTED_BYTES * REQUESTS) >> 20,
        growth >> 20,
        bytes >> 20,
        alone.as_secs_f64(),
        beside.as_secs_f64()
    ))
}

fn write(connection: &mut Connection, number: &mut u64) -> Result<usize, crate::client::Problem> {
    let place = Place { topic: 0, partition: 0 };
    let sent = Batch { writer: 1, place, first: *number, count: BATCH_RECORDS, transaction: None };
    *number += u64::from(BATCH_RECORDS);
    let records = batch(&sent, Producer::PLAIN, -1);
    let bytes = records.len();
    connection.produce(TOPIC, 0, records, Acks::All, None)?;
    connection.produced()?;
    Ok(bytes)
}

/// Reads the topic from its beginning to its end; how long that took.
fn read_all(connection: &mut Connection) -> Result<Duration, crate::client::Problem> {
    let begun = Instant::now();
    let end = connection.end_offset(TOPIC, 0, Isolation::Uncommitted)?;
    let mut next = 0;
    while next < end {
        next = connection.fetch(TOPIC, 0, next, Isolation::Uncommitted, 100)?.next;
    }
    Ok(begun.elapsed())
}

/// A reader that has asked and takes nothing.
fn stalled(server: &Server) -> Result<TcpStream, String> {
    let mut stream = TcpStream::connect(server.address).map_err(|e| e.to_string())?;
    let partition = FetchPartition { partition_max_bytes: WANTED_BYTES, ..FetchPartition::default() };
    let topic = FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let fetch = FetchRequest {
        replica_id: -1,
        max_bytes: WANTED_BYTES,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    let fetch = Request::from(fetch);
    for id in 0..REQUESTS {
        let frame = request::encode(11, id, Some("slow"), &fetch).map_err(|e| e.to_string())?;
        stream.write_all(&frame.to_bytes()).map_err(|e| e.to_string())?;
    }
    stream.set_nonblocking(true).map_err(|e| e.to_string())?;
    Ok(stream)
}

/// Every second reader takes a kilobyte a second, the others nothing.
fn drip(streams: &mut [TcpStream], over: &AtomicBool) {
    let mut buffer = [0; 1024];
    while !over.load(Ordering::Relaxed) {
        for stream in streams.iter_mut().step_by(2) {
            // A connection that the broker has given up yields nothing.
            let _ = stream.read(&mut buffer);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
