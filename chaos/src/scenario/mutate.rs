//! R15: strangers send frames that are almost right, while others work. The broker stays up, those others notice nothing,
//! and its memory grows within bounds.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fleuve_wire::{ApiKey, Request, Source, request};

use super::{Plan, Scenario};
use crate::life::{Life, Workload, fresh};
use crate::process::Launch;
use crate::storage::Storage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "mutate",
    goal: "R15",
    what: "frames with changed bytes, on many connections, beside clients that work",
    cycles: 200_000,
    run,
};

/// Strangers.
const STRANGERS: u64 = 3;

/// Frames that one connection gets before the next is opened.
const CONNECTION_FRAMES: u64 = 24;

/// Changes of one frame at most; some have none.
const CHANGES_MAX: usize = 5;

/// Bytes that the broker's memory may grow.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// Of the APIs, those that made-up requests would do harm with that no mutation is needed for: they delete what others
/// work with, or create topics under all names.
const LEFT_OUT: [ApiKey; 3] = [ApiKey::Metadata, ApiKey::CreateTopics, ApiKey::CreateAcls];

fn run(plan: &Plan<'_>) -> Result<String, String> {
    let directory = fresh(&plan.options.directory, "mutate")?;
    let storage = Storage::Directory(directory.join("data"));
    let launch = Launch::new(&plan.options.binary, &storage, &directory);
    let mut life = Life::begin(launch, storage, plan.options.seed, &Workload::ALL)?;
    life.progress()?;
    let Some(server) = &life.server else { return Err("the broker is gone".to_owned()) };
    let (address, before) = (server.address, server.process.resident_bytes().unwrap_or(0));
    let sent = AtomicU64::new(0);
    let over = |sent: &AtomicU64| !plan.goes_on(sent.load(Ordering::Relaxed));
    let slowest = std::thread::scope(|scope| {
        for stranger in 0..STRANGERS {
            let seed = plan.options.seed * STRANGERS + stranger;
            let (sent, over) = (&sent, &over);
            scope.spawn(move || pester(address, seed, sent, over));
        }
        let mut slowest = Duration::ZERO;
        while !over(&sent) {
            let begun = Instant::now();
            if let Err(what) = life.progress() {
                // The strangers end when their count is full.
                sent.store(u64::MAX, Ordering::Relaxed);
                return Err(what);
            }
            slowest = slowest.max(begun.elapsed());
        }
        Ok(slowest)
    });
    let slowest = slowest.map_err(|what| life.failed(&what, &[]))?;
    let after = life.server.as_ref().and_then(|server| server.process.resident_bytes()).unwrap_or(u64::MAX);
    if after.saturating_sub(before) > GROWTH_BYTES_MAX {
        return Err(life.failed(&format!("its memory grew from {} to {} MiB", before >> 20, after >> 20), &[]));
    }
    let summary = life.finish()?;
    let _ = std::fs::remove_dir_all(&directory);
    Ok(format!(
        "{} frames, 0 anomalies in {} records of others, who got on within {} ms; memory {} MiB before, {} MiB after",
        sent.load(Ordering::Relaxed),
        summary.records,
        slowest.as_millis(),
        before >> 20,
        after >> 20
    ))
}

/// Sends frames until it is over.
fn pester(address: SocketAddr, seed: u64, sent: &AtomicU64, over: &impl Fn(&AtomicU64) -> bool) {
    let mut source = Source::new(seed);
    while !over(sent) {
        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(5)) else { continue };
        let _ = stream.set_nonblocking(true);
        let mut answer = [0; 4096];
        for _ in 0..CONNECTION_FRAMES {
            let frame = frame(&mut source);
            if stream.write_all(&frame).is_err() {
                break;
            }
            sent.fetch_add(1, Ordering::Relaxed);
            // What is answered does not matter; what is not read would only fill buffers.
            while matches!(stream.read(&mut answer), Ok(n) if n > 0) {}
        }
        source = Source::new(source.next_u64());
    }
}

/// A made-up request of any API and version, with some changes.
fn frame(source: &mut Source) -> Vec<u8> {
    let apis: Vec<ApiKey> = ApiKey::ALL.iter().copied().filter(|api| !LEFT_OUT.contains(api)).collect();
    let api = apis[source.below(apis.len())];
    let versions = api.versions();
    let version = versions.start() + source.below((versions.end() - versions.start() + 1) as usize) as i16;
    let mut made = Source::new(source.next_u64());
    let request = Request::arbitrary(api, version, &mut made);
    let encoded = request::encode(version, source.i32(), Some("stranger"), &request);
    let mut bytes = encoded.map(|frame| frame.to_bytes().to_vec()).unwrap_or_default();
    for _ in 0..source.below(CHANGES_MAX + 1) {
        change(&mut bytes, source);
    }
    // Mostly the length is right, so that what follows is looked at.
    if bytes.len() >= 4 && source.below(10) > 0 {
        let length = (bytes.len() - 4) as u32;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, source: &mut Source) {
    if bytes.len() < 9 {
        return bytes.extend_from_slice(&source.next_u64().to_be_bytes());
    }
    let at = 4 + source.below(bytes.len() - 8);
    match source.below(6) {
        0 => bytes[at] ^= 1 << source.below(8),
        1 => bytes[at] = source.i8() as u8,
        2 => bytes[at..at + 4].copy_from_slice(&source.i32().to_be_bytes()),
        3 => bytes[at..at + 2].copy_from_slice(&source.i16().to_be_bytes()),
        4 => bytes.truncate(at),
        _ => {
            let piece = bytes[at..].to_vec();
            bytes.extend_from_slice(&piece);
        }
    }
}
