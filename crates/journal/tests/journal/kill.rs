//! A process that writes is killed 200 times; no record that it called durable is ever lost.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fleuve_base::{Env, Random, SystemRandom};
use fleuve_journal::{CommitMode, Log, LogOptions, Partition, TopicConfig};
use fleuve_record::BatchBuilder;

use crate::support::{batch, batch_of, read_from, value};

const KILLS: usize = 200;
const DIRECTORY: &str = "FLEUVE_JOURNAL_KILL_DIRECTORY";
const LANE: i64 = 11;
const KEYS: u64 = 10;

/// The child: writes until it is killed, and prints what is durable. Does nothing when run as a plain test.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let log = Log::open(Env::system(), Path::new(&directory), LogOptions::default()).unwrap();
    let config = TopicConfig { segment_bytes: 16 << 10, ..TopicConfig::default() };
    let topic = log.topic("t").or_else(|_| log.create_topic("t", 3, config)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| write_records(topic.partition(0).unwrap()));
        scope.spawn(|| write_epochs(topic.partition(1).unwrap()));
        scope.spawn(|| write_keyed(topic.partition(2).unwrap()));
    });
}

/// The record of offset n has the value n and the key n mod KEYS; now and then all but the last of each go.
fn write_keyed(partition: &Arc<Partition>) {
    for offset in partition.log_end_offset().. {
        let mut builder = BatchBuilder::new();
        let value = format!("{offset:200}");
        builder.append(0, Some(&(offset % KEYS).to_be_bytes()), Some(value.as_bytes()), &[]).unwrap();
        partition.append(builder.finish().unwrap()).unwrap().ticket.wait().unwrap();
        say(&format!("keyed {}", offset + 1));
        if offset % 50 == 0 {
            partition.compact().unwrap();
        }
    }
}

fn write_records(partition: &Arc<Partition>) {
    loop {
        let next = partition.log_end_offset();
        for start in [next, next + 5] {
            partition.append(batch_of(start, start + 5)).unwrap();
        }
        partition.ticket().wait().unwrap();
        say(&format!("records {}", next + 10));
        trim(partition, next);
    }
}

/// Keeps the log short, and segments being removed part of what is killed.
fn trim(partition: &Partition, next: u64) {
    if next.is_multiple_of(500) {
        partition.truncate_before(next.saturating_sub(2000)).unwrap();
    }
}

fn write_epochs(partition: &Arc<Partition>) {
    for epoch in partition.last_epoch(LANE).map_or(0, |last| last + 1).. {
        let parts = (0..3).map(|part| batch(&[format!("{epoch}.{part}").as_bytes()])).collect();
        partition.append_epoch(LANE, epoch, parts).unwrap().unwrap().ticket.wait().unwrap();
        say(&format!("epoch {epoch}"));
        trim(partition, epoch * 3);
    }
}

fn say(line: &str) {
    // One write per line, past the test harness: a killed process leaves whole lines.
    let mut out = std::io::stderr().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn no_durable_record_is_lost_in_200_kills() {
    let directory = tempfile::tempdir().unwrap();
    let mut promised = Promised::default();
    for kill in 0..KILLS {
        let mut child = start(directory.path());
        let listener = listen(&mut child);
        std::thread::sleep(Duration::from_millis(1 + SystemRandom.next_u64() % 40));
        child.kill().unwrap();
        child.wait().unwrap();
        promised.hear(listener.join().unwrap());
        promised.check(directory.path(), kill);
    }
    assert!(
        promised.records > 100 && promised.epochs > 100 && promised.keyed > 100,
        "the child hardly wrote: {promised:?}"
    );
}

fn start(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn listen(child: &mut Child) -> std::thread::JoinHandle<Vec<String>> {
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    std::thread::spawn(move || lines.map_while(Result::ok).collect())
}

#[derive(Debug, Default)]
struct Promised {
    records: u64,
    epochs: u64,
    keyed: u64,
    checked: u64,
}

impl Promised {
    fn hear(&mut self, lines: Vec<String>) {
        for line in lines {
            match line.split_once(' ') {
                Some(("records", end)) => self.records = end.parse().unwrap(),
                Some(("epoch", epoch)) => self.epochs = epoch.parse::<u64>().unwrap() + 1,
                Some(("keyed", end)) => self.keyed = end.parse().unwrap(),
                _ => panic!("the child failed: {line}"),
            }
        }
    }

    fn check(&mut self, directory: &Path, kill: usize) {
        let log = Log::open(Env::system(), directory, LogOptions { commit: CommitMode::Manual }).unwrap();
        assert!(log.recovery().damage.is_empty(), "kill {kill}: {:?}", log.recovery().damage);
        let Ok(topic) = log.topic("t") else { return assert_eq!(self.records, 0) };
        let (records, epochs) = (topic.partition(0).unwrap(), topic.partition(1).unwrap());
        assert!(records.high_watermark() >= self.records, "kill {kill}: {self:?} but {records:?}");
        let start = records.log_start_offset().max(self.checked);
        let found = read_from(records, start).unwrap();
        assert!(found.iter().map(|(offset, _)| *offset).eq(start..records.high_watermark()), "kill {kill}");
        assert!(found.iter().all(|(offset, bytes)| *bytes == value(*offset)), "kill {kill}");
        self.checked = records.high_watermark();
        self.check_epochs(epochs, kill);
        self.check_keyed(topic.partition(2).unwrap(), kill);
    }

    fn check_keyed(&self, partition: &Partition, kill: usize) {
        let end = partition.high_watermark();
        assert!(end >= self.keyed, "kill {kill}: {partition:?}, but {self:?}");
        let found = read_from(partition, 0).unwrap();
        for (offset, bytes) in &found {
            assert_eq!(bytes, format!("{offset:200}").as_bytes(), "kill {kill}");
        }
        for last in end.saturating_sub(KEYS)..end {
            assert!(found.iter().any(|(offset, _)| *offset == last), "kill {kill}: {last} of {end} is gone");
        }
    }

    fn check_epochs(&self, partition: &Partition, kill: usize) {
        let whole = partition.last_epoch(LANE).map_or(0, |last| last + 1);
        assert!(whole >= self.epochs, "kill {kill}: {whole} epochs, but {self:?}");
        assert_eq!(partition.high_watermark(), whole * 3, "kill {kill}: epochs are whole and once");
        let start = partition.log_start_offset().max(self.epochs.saturating_sub(100) * 3);
        for (offset, bytes) in read_from(partition, start).unwrap() {
            assert_eq!(bytes, format!("{}.{}", offset / 3, offset % 3).as_bytes(), "kill {kill}");
        }
    }
}
