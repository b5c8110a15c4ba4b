//! The log: all topics of one data directory.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use fleuve_base::fs::LockGuard;
use fleuve_base::{Env, Error, Histogram, Result};
use parking_lot::{Mutex, RwLock};

use crate::codes;
use crate::commit::{self, Committer};
use crate::directory;
use crate::options::LogOptions;
use crate::partition::Partition;
use crate::recovery::RecoveryReport;
use crate::retention::RetentionReport;
use crate::shared::Shared;
use crate::topic::{self, Topic};

/// Topics of one log.
pub const TOPICS_MAX: usize = 10_000;

/// Directories of topics being created or deleted have this in their names, which no topic's name can.
pub(crate) const UNFINISHED: char = '~';

/// The topics by both of their names.
#[derive(Default)]
pub(crate) struct Topics {
    pub(crate) by_name: BTreeMap<String, Arc<Topic>>,
    by_id: HashMap<u128, Arc<Topic>>,
}

impl Topics {
    /// Adds a topic, or puts it in the place of an older state of it.
    pub(crate) fn insert(&mut self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        self.by_id.insert(topic.id(), Arc::clone(&topic));
        self.by_name.insert(topic.name().to_owned(), Arc::clone(&topic));
        topic
    }

    pub(crate) fn remove(&mut self, topic: &Topic) {
        self.by_id.remove(&topic.id());
        self.by_name.remove(topic.name());
    }
}

/// An open log. It holds the data directory's lock until it is closed or dropped.
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    pub(crate) topics_directory: PathBuf,
    pub(crate) topics: RwLock<Topics>,
    /// One creation, change or deletion at a time.
    pub(crate) administration: Mutex<()>,
    committers: Mutex<Vec<JoinHandle<()>>>,
    recovery: RecoveryReport,
    lock: Mutex<Option<LockGuard>>,
}

impl Log {
    /// Opens or creates the log in `directory`, and recovers what the last process left behind.
    ///
    /// Errors: `E701` if another process has it open, `E702` if another version wrote it, `E901` if a topic's
    /// metadata is damaged. Damaged records do not keep the log from opening: see [`Log::recovery`].
    pub fn open(env: Env, directory: &Path, options: LogOptions) -> Result<Arc<Log>> {
        let lock = directory::open(&*env.fs, directory)?;
        let shared = Arc::new(Shared::new(env, Committer::new(options.commit)));
        let topics_directory = directory.join(directory::TOPICS);
        let mut recovery = RecoveryReport::default();
        let topics = open_topics(&shared, &topics_directory, &mut recovery)?;
        let committers = commit::start(&shared)?;
        Ok(Arc::new(Log {
            shared,
            topics_directory,
            topics: RwLock::new(topics),
            administration: Mutex::default(),
            committers: Mutex::new(committers),
            recovery,
            lock: Mutex::new(Some(lock)),
        }))
    }

    /// What opening found: tails that were cut, damage, bytes read.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// Why the log accepts no more records, once a write or sync has failed.
    pub fn failure(&self) -> Option<Error> {
        self.shared.health.check_failure().err()
    }

    /// Whether the last write found no room on the disk. Records are refused with `E905` then; as soon as there is room
    /// they are accepted again.
    pub fn is_full(&self) -> bool {
        self.shared.health.is_full()
    }

    /// How long the disk took for each sync that made records durable.
    pub fn sync_times(&self) -> &Histogram {
        &self.shared.syncs
    }

    /// Where the topics lie.
    pub fn directory(&self) -> &Path {
        &self.topics_directory
    }

    /// All topics, by name.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.topics.read().by_name.values().cloned().collect()
    }

    /// The topic of that name, or `E705`.
    pub fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        self.topics.read().by_name.get(name).cloned().ok_or_else(|| codes::unknown_topic(name))
    }

    /// The topic of that id, or `E705`.
    pub fn topic_by_id(&self, id: u128) -> Result<Arc<Topic>> {
        self.topics.read().by_id.get(&id).cloned().ok_or_else(|| codes::unknown_topic_id(id))
    }

    /// Keeps the records of a partition from `offset` on until the pin is moved or taken away. Pins are not
    /// stored: whoever needs one sets it again after a restart, before retention runs.
    pub fn pin(&self, topic: &str, partition: u32, offset: u64, name: &str) -> Result<()> {
        self.topic(topic)?.partition(partition)?.pin(offset, name)
    }

    /// Takes a pin away, if it is there.
    pub fn unpin(&self, topic: &str, partition: u32, name: &str) -> Result<()> {
        self.topic(topic)?.partition(partition)?.unpin(name);
        Ok(())
    }

    /// Removes all segments that their topic's settings no longer keep. The owner calls this now and then. An error of
    /// one partition does not keep the others waiting; the first one is told.
    pub fn apply_retention(&self) -> Result<RetentionReport> {
        let (mut total, mut outcome) = (RetentionReport::default(), Ok(()));
        for partition in self.topics().iter().flat_map(|topic| topic.partitions()) {
            match partition.apply_retention() {
                Ok(report) => total.add(report),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome.map(|()| total)
    }

    /// Commits all that was appended until now, with the help of this thread.
    pub fn commit_now(&self) -> Result<()> {
        self.shared.committer.commit_all(&self.shared)
    }

    /// Stops cleanly: commits all that was appended, writes indexes and snapshots, so that the next start
    /// reads no records, and gives the directory's lock back. Appends fail from now on; reads go on.
    pub fn close(&self) -> Result<()> {
        if !self.shared.health.close() {
            return Ok(());
        }
        let partitions: Vec<_> = self.topics().iter().flat_map(|topic| topic.partitions().to_vec()).collect();
        let finish = || commit::for_each(self.shared.committer.mode(), &partitions, Partition::finish);
        let finished = self.stop_committer().and_then(|()| finish());
        let told = codes::closed();
        partitions.iter().for_each(|partition| partition.fail_tickets(&told));
        self.lock.lock().take();
        finished
    }

    fn stop_committer(&self) -> Result<()> {
        self.shared.committer.stop();
        for thread in self.committers.lock().drain(..) {
            thread.join().map_err(|_| Error::internal("the journal's commit thread panicked"))?;
        }
        self.commit_now()
    }
}

impl Drop for Log {
    /// Without [`Log::close`] this is as a killed process: the next start recovers.
    fn drop(&mut self) {
        if self.shared.health.close() {
            // A poisoned log has told its error to everyone who waited.
            let _ = self.stop_committer();
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("directory", &self.topics_directory).finish_non_exhaustive()
    }
}

/// Opens all topics, and removes those whose creation or deletion was interrupted (crash point C9).
fn open_topics(shared: &Arc<Shared>, directory: &Path, report: &mut RecoveryReport) -> Result<Topics> {
    let fs = &shared.env.fs;
    let io = |e| Error::io(format_args!("open the topics in `{}`", directory.display()), &e);
    let mut topics = Topics::default();
    for name in fs.list(directory).map_err(io)? {
        let path = directory.join(&name);
        if name.contains(UNFINISHED) {
            fs.remove_dir_all(&path).map_err(io)?;
        } else {
            topics.insert(topic::open(shared, &path, report)?);
        }
    }
    Ok(topics)
}

impl Partition {
    /// The partition's part of a clean stop.
    fn finish(&self) -> Result<()> {
        let mut appender = self.appender.lock();
        let segment = self.active();
        if self.read_only.is_some() || appender.clean {
            return Ok(());
        }
        let file = segment.file().map_err(|e| segment.io("open", &e))?;
        file.sync().map_err(|e| segment.io("sync", &e))?;
        let index = segment.write_index().map_err(|e| segment.io("write the index of", &e));
        match index.and_then(|()| self.write_snapshot(&mut appender)) {
            Ok(()) => {}
            Err(error) if error.is_no_space() => {
                tracing::warn!(partition = %self.id(), %error, "the next start has to read the newest records");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.note_durable(&segment, appender.end_offset, appender.position)?;
        self.checkpoint.sync().map_err(|e| segment.io("sync the checkpoint beside", &e))?;
        appender.clean = true;
        Ok(())
    }
}
