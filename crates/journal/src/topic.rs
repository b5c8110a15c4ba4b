//! Topics: a name, an id, settings, and partitions.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use fleuve_base::fs::{self, Fs};
use fleuve_base::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::checkpoint::CheckpointFile;
use crate::codes;
use crate::options::TopicConfig;
use crate::partition::Partition;
use crate::recovery::{self, RecoveryReport};
use crate::segment::{PartitionId, Segment, SegmentHome};
use crate::shared::Shared;

/// Partitions of one topic.
pub const PARTITIONS_MAX: u32 = 4096;

/// Settings that the log keeps for those above it, and does not know.
pub type Settings = BTreeMap<String, String>;

/// Bytes of all names and values of a topic's [`Settings`].
pub const SETTINGS_BYTES_MAX: usize = 64 << 10;

const FILE_NAME: &str = "topic.json";
const VERSION: u32 = 1;

/// What the topic's file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopicMetadata {
    version: u32,
    pub(crate) name: String,
    /// 32 hexadecimal digits.
    id: String,
    pub(crate) partitions: u32,
    pub(crate) config: TopicConfig,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    settings: Settings,
}

impl TopicMetadata {
    pub(crate) fn new(name: &str, id: u128, partitions: u32, config: TopicConfig, settings: Settings) -> Self {
        TopicMetadata {
            version: VERSION,
            name: name.to_owned(),
            id: format!("{id:032x}"),
            partitions,
            config,
            settings,
        }
    }

    /// A line of JSON, and a line with its CRC32C in hexadecimal.
    fn encode(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_string(self).map_err(|e| Error::internal(format!("topic metadata: {e}")))?;
        Ok(format!("{json}\n{:08x}\n", fleuve_record::crc32c(json.as_bytes())).into_bytes())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (json, crc) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split_once('\n')?;
        let whole = crc == format!("{:08x}", fleuve_record::crc32c(json.as_bytes()));
        whole.then(|| serde_json::from_str(json).ok()).flatten().filter(|topic: &Self| topic.version == VERSION)
    }

    fn id(&self) -> Option<u128> {
        u128::from_str_radix(&self.id, 16).ok()
    }
}

/// A topic as it was when it was asked for. Its partitions are live; a change of its settings or of their number
/// makes a new `Topic`, which [`Log::topic`](crate::Log::topic) gives from then on.
#[derive(Debug)]
pub struct Topic {
    name: String,
    id: u128,
    config: TopicConfig,
    settings: Settings,
    partitions: Vec<Arc<Partition>>,
}

impl Topic {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A random id (UUID version 4): a topic that is deleted and created again has another one.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// What the log itself goes by.
    pub fn config(&self) -> &TopicConfig {
        &self.config
    }

    /// What those above the log have stored with the topic.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All partitions, by number.
    pub fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    /// One partition.
    pub fn partition(&self, number: u32) -> Result<&Arc<Partition>> {
        let found = usize::try_from(number).ok().and_then(|number| self.partitions.get(number));
        found.ok_or_else(|| codes::unknown_partition(&self.name, number, self.partitions.len()))
    }

    /// What its file is to say with so many partitions.
    pub(crate) fn metadata(&self, partitions: u32) -> TopicMetadata {
        TopicMetadata::new(&self.name, self.id, partitions, self.config, self.settings.clone())
    }

    /// The same topic with other settings.
    pub(crate) fn altered(&self, config: TopicConfig, settings: Settings) -> Topic {
        self.partitions.iter().for_each(|partition| *partition.config.write() = config);
        Topic { name: self.name.clone(), id: self.id, config, settings, partitions: self.partitions.clone() }
    }

    /// The same topic with more partitions.
    pub(crate) fn extended(&self, more: Vec<Arc<Partition>>) -> Topic {
        let partitions = self.partitions.iter().cloned().chain(more).collect();
        Topic { partitions, ..self.altered(self.config, self.settings.clone()) }
    }
}

/// Checks the size of settings.
pub(crate) fn check_settings(settings: &Settings) -> Result<()> {
    let bytes: usize = settings.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes <= SETTINGS_BYTES_MAX {
        return Ok(());
    }
    Err(codes::limit(format!("settings of {bytes} bytes are over the limit of {SETTINGS_BYTES_MAX}")))
}

/// Writes all files of an empty topic and syncs them and their names.
pub(crate) fn create_files(fs: &Arc<dyn Fs>, directory: &Path, topic: &TopicMetadata) -> Result<()> {
    let io = |e| Error::io(format_args!("create the topic `{}` in `{}`", topic.name, directory.display()), &e);
    fs.create_dir_all(directory).map_err(io)?;
    for number in 0..topic.partitions {
        create_partition(fs, directory, &topic.name, number).map_err(io)?;
    }
    // Last, and with it the directory is synced: a directory without this file is no topic.
    write_metadata(&**fs, directory, topic)
}

/// Replaces what the topic's file says.
pub(crate) fn write_metadata(fs: &dyn Fs, directory: &Path, topic: &TopicMetadata) -> Result<()> {
    let path = directory.join(FILE_NAME);
    let written = fs::write_atomically(fs, &path, &topic.encode()?);
    written.map_err(|e| Error::io(format_args!("write `{}`", path.display()), &e))
}

/// Writes all files of partitions that a topic is about to get, and syncs them and their names. An interrupted
/// attempt may have left some of them behind (crash point C10); a partition with records is not overwritten.
pub(crate) fn create_more(fs: &Arc<dyn Fs>, directory: &Path, name: &str, numbers: Range<u32>) -> Result<()> {
    let io = |e| Error::io(format_args!("add partitions to the topic `{name}` in `{}`", directory.display()), &e);
    for number in numbers {
        let path = directory.join(number.to_string());
        if holds_records(&**fs, &path).map_err(io)? {
            return Err(Error::corrupt(format!(
                "`{}` holds records of a partition that the topic has not",
                path.display()
            ))
            .with_hint("move the directory away, then try again"));
        }
        create_partition(fs, directory, name, number).map_err(io)?;
    }
    fs.sync_dir(directory).map_err(io)
}

fn holds_records(fs: &dyn Fs, partition: &Path) -> io::Result<bool> {
    if !fs.exists(partition) {
        return Ok(false);
    }
    for name in fs.list(partition)?.iter().filter(|name| name.ends_with(".log")) {
        if !fs.open(&partition.join(name), false)?.is_empty()? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn create_partition(fs: &Arc<dyn Fs>, topic: &Path, name: &str, number: u32) -> io::Result<()> {
    let home = home(fs, topic, name, number, 0);
    fs.create_dir_all(&home.directory)?;
    let (checkpoint, _) = CheckpointFile::open(&**fs, &home.directory)?;
    checkpoint.update(|_| {})?;
    checkpoint.sync()?;
    Segment::create(&home, 0).map(drop)
}

fn home(fs: &Arc<dyn Fs>, topic: &Path, name: &str, number: u32, opened_ms: i64) -> SegmentHome {
    let id = Arc::new(PartitionId { topic: name.to_owned(), partition: number });
    SegmentHome { fs: Arc::clone(fs), directory: topic.join(number.to_string()), id, opened_ms }
}

/// Opens a topic and recovers its partitions.
pub(crate) fn open(shared: &Arc<Shared>, directory: &Path, report: &mut RecoveryReport) -> Result<Topic> {
    let path = directory.join(FILE_NAME);
    let bytes =
        fs::read(&*shared.env.fs, &path).map_err(|e| Error::io(format_args!("read `{}`", path.display()), &e))?;
    let damaged = || {
        Error::corrupt(format!("the topic metadata in `{}` is damaged", path.display()))
            .with_hint("restore the file from a backup; the records beside it are untouched")
    };
    let topic = TopicMetadata::decode(&bytes).ok_or_else(damaged)?;
    let id = topic.id().ok_or_else(damaged)?;
    let partitions = open_partitions(shared, directory, &topic, 0..topic.partitions, report)?;
    Ok(Topic { name: topic.name, id, config: topic.config, settings: topic.settings, partitions })
}

/// Opens and recovers some partitions.
pub(crate) fn open_partitions(
    shared: &Arc<Shared>,
    directory: &Path,
    topic: &TopicMetadata,
    numbers: Range<u32>,
    report: &mut RecoveryReport,
) -> Result<Vec<Arc<Partition>>> {
    let open_partition = |number| {
        let home = home(&shared.env.fs, directory, &topic.name, number, shared.now_ms());
        recovery::open(shared, home, topic.config, report).map(Arc::new)
    };
    numbers.map(open_partition).collect()
}
