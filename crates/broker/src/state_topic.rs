//! A compacted internal topic as a durable map: the last record of a key is its value, a tombstone removes it.

use std::sync::Arc;

use bytes::Bytes;
use fleuve_base::{Env, Result};
use fleuve_journal::{Cleanup, Log, OnDurable, Partition, Ticket, TopicConfig};
use fleuve_record::BatchBuilder;

/// A key with its new value; `None` removes it.
pub type Entry = (Bytes, Option<Bytes>);

/// Bytes read at once while loading.
const LOAD_BYTES: usize = 1 << 20;

/// Bytes of a segment of a state topic.
const SEGMENT_BYTES: u64 = 8 << 20;

/// A durable map in a topic of one partition.
///
/// It keeps nothing in memory: the owner loads the entries once, and then changes its own state when the callback of
/// [`append`](Self::append) says that the change is durable. Callbacks come in the order of the appends.
pub struct StateTopic {
    env: Env,
    partition: Arc<Partition>,
}

impl StateTopic {
    /// Opens the topic; creates it if it is not there. Whatever `config` says, it is compacted, and its segments are
    /// small, since the newest one never is.
    pub fn open(env: &Env, log: &Log, name: &str, config: TopicConfig) -> Result<Self> {
        let config = TopicConfig { cleanup: Cleanup::Compact, segment_bytes: SEGMENT_BYTES, ..config };
        let topic = match log.topic(name) {
            Ok(topic) if *topic.config() == config => topic,
            Ok(topic) => log.alter_topic(name, config, topic.settings().clone())?,
            Err(_) => log.create_topic(name, 1, config)?,
        };
        Ok(StateTopic { env: env.clone(), partition: Arc::clone(topic.partition(0)?) })
    }

    /// Offset after the last durable record.
    pub fn end_offset(&self) -> u64 {
        self.partition.high_watermark()
    }

    /// Gives all entries, oldest first; a key may come several times, and its last value counts.
    pub fn load(&self, mut each: impl FnMut(Bytes, Option<Bytes>) -> Result<()>) -> Result<()> {
        let mut offset = self.partition.log_start_offset();
        while offset < self.partition.high_watermark() {
            let fetched = self.partition.read(offset, LOAD_BYTES)?;
            for batch in fetched.batches() {
                let records = batch?.records()?;
                let slice = |bytes: &[u8]| records.payload().slice_ref(bytes);
                for record in &records {
                    let record = record?;
                    each(slice(record.key.unwrap_or_default()), record.value.map(slice))?;
                }
            }
            offset = fetched.next_offset;
        }
        Ok(())
    }

    /// Appends changes, all of them or none, and calls `done` once when that is decided. Never blocks.
    pub fn append(&self, entries: &[Entry], done: OnDurable) {
        match self.write(entries) {
            Ok(ticket) => ticket.on_durable(done),
            Err(error) => done(Err(error)),
        }
    }

    /// As [`append`](Self::append), but waits. For opening and closing only.
    pub fn append_and_wait(&self, entries: &[Entry]) -> Result<()> {
        self.write(entries)?.wait()
    }

    fn write(&self, entries: &[Entry]) -> Result<Ticket> {
        if entries.is_empty() {
            return Ok(self.partition.ticket());
        }
        let now_ms = self.env.clock.now_ms();
        let mut batch = BatchBuilder::new();
        for (key, value) in entries {
            batch.append(now_ms, Some(key), value.as_deref(), &[])?;
        }
        Ok(self.partition.append(batch.finish()?)?.ticket)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use fleuve_base::MemoryFs;
    use fleuve_base::fs_memory::Unsynced;
    use fleuve_journal::{CommitMode, LogOptions};
    use parking_lot::Mutex;

    use super::*;

    fn open(fs: &MemoryFs) -> (Arc<Log>, StateTopic) {
        let env = Env { fs: Arc::new(fs.clone()), ..Env::system() };
        let log = Log::open(env.clone(), Path::new("/data"), LogOptions { commit: CommitMode::Manual }).unwrap();
        let topic = StateTopic::open(&env, &log, "__state", TopicConfig::default()).unwrap();
        (log, topic)
    }

    fn entry(key: &str, value: Option<&str>) -> Entry {
        (Bytes::copy_from_slice(key.as_bytes()), value.map(|value| Bytes::copy_from_slice(value.as_bytes())))
    }

    fn loaded(topic: &StateTopic) -> BTreeMap<Bytes, Bytes> {
        let mut map = BTreeMap::new();
        let each = |key, value| {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
            Ok(())
        };
        topic.load(each).unwrap();
        map
    }

    #[test]
    fn the_last_value_counts_and_a_tombstone_removes() {
        let fs = MemoryFs::new();
        let (log, topic) = open(&fs);
        topic.append_and_wait(&[entry("a", Some("1")), entry("b", Some("2"))]).unwrap();
        topic.append_and_wait(&[entry("a", Some("3")), entry("b", None)]).unwrap();
        log.close().unwrap();
        let (_log, topic) = open(&fs);
        assert_eq!(loaded(&topic), BTreeMap::from([("a".into(), "3".into())]));
    }

    #[test]
    fn the_callback_comes_with_the_commit_and_not_before() {
        let (log, topic) = open(&MemoryFs::new());
        let told = Arc::new(Mutex::new(vec![]));
        for number in 0..2 {
            let told = Arc::clone(&told);
            topic.append(&[entry("a", None)], Box::new(move |outcome| told.lock().push((number, outcome.is_ok()))));
        }
        assert!(told.lock().is_empty());
        log.commit_now().unwrap();
        assert_eq!(*told.lock(), [(0, true), (1, true)]);
    }

    #[test]
    fn what_was_not_durable_is_gone_after_a_power_cut() {
        let fs = MemoryFs::new();
        let (log, topic) = open(&fs);
        topic.append_and_wait(&[entry("a", Some("1"))]).unwrap();
        topic.append(&[entry("a", Some("2"))], Box::new(|_| {}));
        let after = fs.crash(Unsynced::Lost);
        drop(log);
        let (_log, topic) = open(&after);
        assert_eq!(loaded(&topic)[&b"a"[..]], "1");
    }

    #[test]
    fn compaction_keeps_the_last_values() {
        let fs = MemoryFs::new();
        let (log, topic) = open(&fs);
        let large = "x".repeat(1 << 20);
        for round in 0..20 {
            let value = format!("{round}{large}");
            topic.append_and_wait(&[entry("a", Some(&value)), entry("b", Some("1")), entry("c", None)]).unwrap();
        }
        assert!(log.apply_compaction().unwrap().records > 0);
        let map = loaded(&topic);
        assert_eq!((map.len(), &map[&b"a"[..]][..2]), (2, &b"19"[..]));
        log.close().unwrap();
        let (_log, topic) = open(&fs);
        assert_eq!(loaded(&topic), map);
    }

    #[test]
    fn a_closed_log_refuses_and_the_callback_says_so() {
        let (log, topic) = open(&MemoryFs::new());
        log.close().unwrap();
        let told = Arc::new(Mutex::new(None));
        let inner = Arc::clone(&told);
        topic.append(&[entry("a", None)], Box::new(move |outcome| *inner.lock() = Some(outcome)));
        assert_eq!(told.lock().take().expect("an answer").unwrap_err().code(), "E711");
    }
}
