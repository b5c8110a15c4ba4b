//! What two threads may do to each other, played by one: a file system that calls back in the middle.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fleuve_base::{Env, File, Fs, MemoryFs};
use fleuve_journal::{Cleanup, CommitMode, Log, LogOptions, Partition, TopicConfig};
use fleuve_record::{BatchBuilder, EndMarker};

use crate::support::{DIR, TOPIC};

type Hook = Box<dyn FnOnce() + Send>;

/// When a hook is called; once.
#[derive(Clone, Copy, PartialEq)]
enum Moment {
    /// When a compaction begins to write a segment.
    Compacts,
    /// After bytes of a segment were read.
    HasRead,
}

#[derive(Clone, Default)]
struct Hooks(Arc<Mutex<Option<(Moment, Hook)>>>);

impl Hooks {
    fn set(&self, moment: Moment, hook: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some((moment, Box::new(hook)));
    }

    fn reach(&self, moment: Moment) {
        let due = self.0.lock().unwrap().take_if(|(when, _)| *when == moment);
        if let Some((_, hook)) = due {
            hook();
        }
    }
}

struct HookedFs(MemoryFs, Hooks);

struct HookedFile(Arc<dyn File>, Hooks);

impl Fs for HookedFs {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>> {
        if path.to_str().is_some_and(|path| path.ends_with(".log.tmp")) {
            self.1.reach(Moment::Compacts);
        }
        Ok(Arc::new(HookedFile(self.0.open(path, create)?, self.1.clone())))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.list(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.0.exists(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
}

impl File for HookedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let read = self.0.read_at(buffer, position);
        self.1.reach(Moment::HasRead);
        read
    }
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_at(bytes, position)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}

/// A log of one key: every second record was aborted.
fn filled() -> (Hooks, Arc<Log>, Arc<Partition>) {
    let hooks = Hooks::default();
    let env = Env { fs: Arc::new(HookedFs(MemoryFs::new(), hooks.clone())), ..Env::system() };
    let log = Log::open(env, Path::new(DIR), LogOptions { commit: CommitMode::Manual }).unwrap();
    let config = TopicConfig { cleanup: Cleanup::Compact, segment_bytes: 1 << 10, ..TopicConfig::default() };
    let partition = Arc::clone(log.create_topic(TOPIC, 1, config).unwrap().partition(0).unwrap());
    for number in 0..40 {
        let mut builder = BatchBuilder::new().producer(1, number, 0).transactional();
        builder.append(0, Some(b"key"), Some(b"value"), &[]).unwrap();
        partition.append(builder.finish().unwrap()).unwrap();
        let marker = EndMarker { commit: number % 2 == 0, coordinator_epoch: 0 };
        partition.append_marker(1, number + 1, marker, 0).unwrap();
    }
    log.commit_now().unwrap();
    (hooks, log, partition)
}

#[test]
fn a_pin_that_is_set_while_a_compaction_runs_keeps_its_records() {
    let (hooks, log, partition) = filled();
    let before = partition.read(0, 1 << 20).unwrap().bytes;
    let pinning = Arc::clone(&log);
    hooks.set(Moment::Compacts, move || pinning.pin(TOPIC, 0, 0, "late").unwrap());
    assert_eq!(partition.compact().unwrap().segments, 0);
    assert_eq!(partition.read(0, 1 << 20).unwrap().bytes, before);
    log.unpin(TOPIC, 0, "late").unwrap();
    assert!(partition.compact().unwrap().segments > 0);
}

#[test]
fn segments_that_retention_takes_while_a_compaction_runs_do_not_come_back() {
    let (hooks, log, partition) = filled();
    let deleting = Arc::clone(&partition);
    hooks.set(Moment::Compacts, move || assert_eq!(deleting.delete_before(30).unwrap(), 30));
    assert_eq!(partition.compact().unwrap().segments, 0);
    assert_eq!(partition.log_start_offset(), 30);
    assert_eq!(partition.read(29, 1).unwrap_err().code(), "E706");
    assert!(partition.compact().unwrap().segments > 0);
    drop(log);
}

#[test]
fn a_reader_that_a_compaction_overtakes_is_not_given_aborted_records() {
    let (hooks, log, partition) = filled();
    let compacting = Arc::clone(&partition);
    hooks.set(Moment::HasRead, move || assert!(compacting.compact().unwrap().segments > 0));
    let fetched = partition.read_committed(0, 1 << 20).unwrap();
    for batch in fetched.batches() {
        let header = *batch.unwrap().header();
        let (epoch, offset) = (header.producer_epoch, header.base_offset as u64);
        let told = fetched.aborted.iter().any(|a| (a.first_offset..=a.last_offset).contains(&offset));
        let control = header.base_sequence < 0;
        assert!(control || epoch % 2 == 0 || told, "the aborted record at {offset} was given");
    }
    drop(log);
}
