//! R16: batches that are small and become large. The broker looks over the records of a batch before it stores it, and
//! refuses what is over its cap or holds more than it says, in any topic. It stays up, and its memory within bounds.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fleuve_record::{Batch, BatchBuilder, Codec, HEADER_BYTES, crc_of};

use super::{Plan, Scenario};
use crate::client::{Acks, Connection, Problem};
use crate::life::fresh;
use crate::process::Launch;
use crate::storage::Storage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "bombs",
    goal: "R16",
    what: "compressed batches that become a thousand times larger",
    cycles: 10,
    run,
};

/// Bytes that the broker's memory may grow while it looks at them.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// Bytes of the largest of the honest batches that bombs are made of.
const CONTENT_BYTES: usize = 30 << 20;

/// Bytes of a record.
const RECORD_BYTES: usize = 1 << 20;

/// Where the length and the checksum stand in a batch.
const LENGTH_AT: usize = 8;
const CRC_AT: usize = 17;

/// Bytes of the header of snappy's stream form, which stands there once.
const XERIAL_HEADER_BYTES: usize = 16;

/// Settings of a topic.
type Configs = &'static [(&'static str, &'static str)];

/// A plain topic, and one whose records must have keys.
const TOPICS: [(&str, Configs); 2] = [("plain", &[]), ("keyed", &[("cleanup.policy", "compact")])];

fn run(plan: &Plan<'_>) -> Result<String, String> {
    let directory = fresh(&plan.options.directory, "bombs")?;
    let storage = Storage::Directory(directory.join("data"));
    let launch = Launch::new(&plan.options.binary, &storage, &directory);
    let server = launch.start(None)?.ready()?.ok_or("the broker does not start")?;
    let mut connection = Connection::open(server.address).map_err(|e| e.to_string())?;
    for (topic, configs) in TOPICS {
        connection.create_topic(topic, 1, configs).map_err(|e| e.to_string())?;
    }
    let before = server.process.peak_resident_bytes().ok_or("its memory cannot be seen")?;
    let (mut sent, mut refused, mut taken, mut slowest) = (0, 0, 0, Duration::ZERO);
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        for times in 1..=plan.cycles as usize {
            let bomb = bomb(codec, CONTENT_BYTES / times.min(3), times)?;
            for (topic, _) in TOPICS {
                sent += 1;
                let begun = Instant::now();
                let outcome = produce(&mut connection, topic, bomb.clone());
                slowest = slowest.max(begun.elapsed());
                match outcome {
                    Err(Problem::Refused(_)) => refused += 1,
                    Ok(()) if times == 1 => taken += 1,
                    Ok(()) => return Err(format!("{codec:?}: {times} times what the batch says was taken")),
                    Err(problem) => return Err(format!("{codec:?}, {times} times: {problem}")),
                }
            }
        }
    }
    let growth = server.process.peak_resident_bytes().unwrap_or(u64::MAX).saturating_sub(before);
    if growth > GROWTH_BYTES_MAX {
        return Err(format!("its memory grew by {} MiB", growth >> 20));
    }
    let _ = std::fs::remove_dir_all(&directory);
    Ok(format!(
        "{sent} bombs, {refused} refused, {taken} were what they say and taken; memory grew by {} MiB at most; the slowest answer took \
         {} ms",
        growth >> 20,
        slowest.as_millis()
    ))
}

fn produce(connection: &mut Connection, topic: &str, batch: Bytes) -> Result<(), Problem> {
    connection.produce(topic, 0, batch, Acks::All, None)?;
    connection.produced().map(|_| ())
}

/// A batch whose payload is that of an honest one several times: three of the codecs read pieces one after the other.
fn bomb(codec: Codec, bytes: usize, times: usize) -> Result<Bytes, String> {
    let honest = honest(codec, bytes)?;
    let payload = &honest.as_bytes()[HEADER_BYTES..];
    let again = if codec == Codec::Snappy { &payload[XERIAL_HEADER_BYTES..] } else { payload };
    let mut bomb = honest.as_bytes().to_vec();
    (1..times).for_each(|_| bomb.extend_from_slice(again));
    let length = (bomb.len() - LENGTH_AT - 4) as i32;
    bomb[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    let crc = crc_of(&bomb).ok_or("a batch has a checksum")?;
    bomb[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    Ok(Bytes::from(bomb))
}

fn honest(codec: Codec, bytes: usize) -> Result<Batch, String> {
    let mut builder = BatchBuilder::new().codec(codec);
    let zeros = vec![0; RECORD_BYTES];
    let now_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis() as i64);
    for _ in 0..bytes / RECORD_BYTES {
        builder.append(now_ms, Some(b"key"), Some(&zeros), &[]).map_err(|e| e.to_string())?;
    }
    builder.finish().map_err(|e| e.to_string())
}
