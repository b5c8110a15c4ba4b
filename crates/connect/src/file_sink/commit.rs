//! From hidden files to visible ones, and to partitions that are marked complete.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use fleuve_base::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::partition::Partitioning;
use super::{Shape, in_parallel};
use crate::options::Options;

/// What a lane hands over with a snapshot, as JSON text.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Acknowledgement {
    /// The files that become visible when the snapshot is valid.
    pub(super) files: Vec<HiddenFile>,
    /// Partitions that hold files and are not complete yet, with their times (ms).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) pending: BTreeMap<String, i64>,
    /// The greatest time of a partition so far (ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) latest_ms: Option<i64>,
}

/// A synced file that is still hidden.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HiddenFile {
    /// Its name in the table's directory.
    pub(super) temporary: String,
    /// The name that it gets, with the partition's directory.
    pub(super) name: String,
}

impl Acknowledgement {
    /// The text; empty if there is nothing to remember.
    pub(super) fn to_text(&self) -> Result<String> {
        if *self == Acknowledgement::default() {
            return Ok(String::new());
        }
        serde_json::to_string(self).map_err(|error| Error::internal(format!("an acknowledgement of files: {error}")))
    }

    fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| Error::corrupt(format!("a stored acknowledgement of files cannot be read: {error}")))
    }
}

/// When a partition is marked complete.
pub(super) struct PartitionCommit {
    success_file: Option<String>,
    delay_ms: i64,
    /// A partition's time, made of its columns; without it partitions go by the clock.
    pattern: Option<String>,
    names: Vec<String>,
}

impl PartitionCommit {
    pub(super) fn new(options: &Options, partitioning: &Partitioning) -> Result<Self> {
        let file = options.text("sink.partition-commit.success-file.name").unwrap_or("_SUCCESS");
        let wanted = options.stated("sink.partition-commit.policy.kind").is_some() && !partitioning.names().is_empty();
        let pattern = match options.text("sink.partition-commit.trigger") {
            Some("partition-time") if wanted => {
                Some(options.required("partition.time-extractor.timestamp-pattern")?.to_owned())
            }
            _ => None,
        };
        let delay = options.duration("sink.partition-commit.delay")?.unwrap_or(Duration::ZERO);
        Ok(PartitionCommit {
            success_file: wanted.then(|| file.to_owned()),
            delay_ms: i64::try_from(delay.as_millis()).unwrap_or(i64::MAX),
            pattern,
            names: partitioning.names().to_vec(),
        })
    }

    /// The time of a partition, in ms; the clock's if there is no pattern.
    fn time_of(&self, directory: &str, now_ms: i64) -> Result<i64> {
        let Some(pattern) = &self.pattern else { return Ok(now_ms) };
        let mut text = pattern.clone();
        // Longer names first: `$dtx` is not `$dt` and an x.
        let values = Partitioning::values(directory);
        let mut columns: Vec<_> = self.names.iter().zip(&values).collect();
        columns.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        columns.iter().for_each(|(name, value)| text = text.replace(&format!("${name}"), value));
        let parsed = cast(&StringArray::from(vec![text.as_str()]), &DataType::Timestamp(TimeUnit::Millisecond, None));
        let parsed = parsed.ok().filter(|times| times.is_valid(0));
        let time = parsed.map(|times| times.as_primitive::<TimestampMillisecondType>().value(0));
        time.ok_or_else(|| {
            Error::input("E502", format!("the partition `{directory}` gives the time '{text}', which cannot be read"))
                .with_hint("'partition.time-extractor.timestamp-pattern' must give 'YYYY-MM-DD HH:MM:SS'")
        })
    }
}

/// Makes files visible; one for all lanes.
pub(super) struct Committer {
    shape: Arc<Shape>,
    policy: PartitionCommit,
    /// Directories that this process has created or seen, so that they are synced into their parents once.
    known: BTreeSet<PathBuf>,
    pending: BTreeMap<String, i64>,
    latest_ms: Option<i64>,
}

impl Committer {
    pub(super) fn new(shape: Arc<Shape>, policy: PartitionCommit) -> Self {
        Committer { shape, policy, known: BTreeSet::new(), pending: BTreeMap::new(), latest_ms: None }
    }

    /// Adds what has to survive a restart.
    pub(super) fn remember(&self, acknowledgement: &mut Acknowledgement) {
        acknowledgement.pending.clone_from(&self.pending);
        acknowledgement.latest_ms = self.latest_ms;
    }

    /// Renames the files that the acknowledgements list; those that are renamed already stay.
    pub(super) fn commit(&mut self, texts: &[String]) -> Result<()> {
        let mut directories = BTreeSet::new();
        for text in texts {
            let acknowledgement = Acknowledgement::parse(text)?;
            self.latest_ms = self.latest_ms.max(acknowledgement.latest_ms);
            self.pending.extend(acknowledgement.pending);
            for file in &acknowledgement.files {
                self.reveal(file, &mut directories)?;
            }
        }
        self.sync(&directories)?;
        self.mark_complete()
    }

    fn reveal(&mut self, file: &HiddenFile, directories: &mut BTreeSet<PathBuf>) -> Result<()> {
        let root = &self.shape.directory;
        let (from, to) = (root.join(&file.temporary), root.join(&file.name));
        if let Some((partition, _)) = file.name.rsplit_once('/') {
            self.create_directory(partition, directories)?;
            self.note_partition(partition)?;
        }
        directories.insert(parent(&to));
        let fs = &self.shape.env.fs;
        match fs.rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs.exists(&to) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = format!("the file `{}` was written and is not there any more", from.display());
                Err(Error::new(ErrorKind::Conflict, "E507", message)
                    .with_hint("files that begin with `.part-` belong to a running pipeline: leave them alone"))
            }
            Err(error) => Err(Error::io(format_args!("rename `{}`", from.display()), &error)),
            Ok(()) => Ok(()),
        }
    }

    /// Creates a partition's directory; new ones have to be synced into their parents.
    fn create_directory(&mut self, partition: &str, directories: &mut BTreeSet<PathBuf>) -> Result<()> {
        let path = self.shape.directory.join(partition);
        if !self.known.insert(path.clone()) {
            return Ok(());
        }
        let fs = &self.shape.env.fs;
        fs.create_dir_all(&path).map_err(|error| Error::io(format_args!("create `{}`", path.display()), &error))?;
        for above in path.ancestors().skip(1) {
            directories.insert(above.to_owned());
            if above == self.shape.directory {
                break;
            }
        }
        Ok(())
    }

    fn sync(&self, directories: &BTreeSet<PathBuf>) -> Result<()> {
        let fs = &self.shape.env.fs;
        let directories: Vec<_> = directories.iter().collect();
        in_parallel(&directories, |path| {
            fs.sync_dir(path).map_err(|error| Error::io(format_args!("sync `{}`", path.display()), &error))
        })
    }

    fn note_partition(&mut self, directory: &str) -> Result<()> {
        if self.policy.success_file.is_some() && !self.pending.contains_key(directory) {
            let time = self.policy.time_of(directory, self.shape.env.clock.now_ms())?;
            self.pending.insert(directory.to_owned(), time);
            self.latest_ms = self.latest_ms.max(Some(time));
        }
        Ok(())
    }

    /// Puts the success file into the partitions that the clock, or the times of later ones, have passed.
    fn mark_complete(&mut self) -> Result<()> {
        let Some(success) = &self.policy.success_file else { return Ok(()) };
        let clock = self.policy.pattern.is_none().then(|| self.shape.env.clock.now_ms());
        let Some(now) = clock.or(self.latest_ms) else { return Ok(()) };
        let complete = |time: &i64| time.saturating_add(self.policy.delay_ms) <= now;
        let ready: Vec<String> =
            self.pending.iter().filter(|(_, time)| complete(time)).map(|(name, _)| name.clone()).collect();
        let (root, fs) = (&self.shape.directory, &self.shape.env.fs);
        in_parallel(&ready, |partition| {
            let path = root.join(partition);
            let created = fs.open(&path.join(success), true).and_then(|_| fs.sync_dir(&path));
            created.map_err(|error| Error::io(format_args!("mark `{}` complete", path.display()), &error))
        })?;
        ready.iter().for_each(|partition| {
            self.pending.remove(partition);
        });
        Ok(())
    }

    /// Removes this sink's hidden files that no snapshot lists: their rows will be written again.
    pub(super) fn remove_leftovers(&self) -> Result<()> {
        let (directory, fs) = (&self.shape.directory, &self.shape.env.fs);
        let io = |error| Error::io(format_args!("clean up `{}`", directory.display()), &error);
        let names = fs.list(directory).map_err(io)?;
        let leftover = |name: &&String| name.starts_with(&self.shape.hidden) && name.ends_with(".inprogress");
        names.iter().filter(leftover).try_for_each(|name| fs.remove_file(&directory.join(name))).map_err(io)
    }
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
