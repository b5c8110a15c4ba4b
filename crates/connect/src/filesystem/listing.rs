//! Which files a table has, and remembering that over restarts.
//!
//! A range names a file by its number, so the numbers must stay what they were: the list is written to an internal topic
//! before its first file is read, and a restart takes it from there. Files that appear later are added behind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use fleuve_base::{Env, Error, Result};
use fleuve_journal::{Log, Topic};
use fleuve_record::BatchBuilder;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::internal;
use crate::nearest::nearest;

/// Files of one table.
pub(super) const FILES_MAX: usize = 1_000_000;

/// Directories inside directories.
const DEPTH_MAX: usize = 32;

/// Files in one record of the stored list.
const FILES_PER_RECORD: usize = 1_000;

/// A file as it was when it was found; what is appended later is not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) modified_ms: i64,
}

/// What `path` names.
pub(super) struct Location {
    table: String,
    stated: String,
    path: PathBuf,
    pattern: Option<Regex>,
}

impl Location {
    pub(super) fn new(table: &str, stated: &str, pattern: Option<&str>) -> Result<Self> {
        let pattern = pattern.map(Regex::new).transpose().map_err(|error| {
            Error::input("E502", format!("table `{table}`: 'source.path.regex-pattern' is no regular expression"))
                .with_detail(error.to_string())
        })?;
        Ok(Location { table: table.to_owned(), stated: stated.to_owned(), path: local_path(table, stated)?, pattern })
    }

    /// The path itself, for a table that is one file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The files, in name order. A path that names nothing is an error; an empty directory is not.
    pub(super) fn find(&self) -> Result<Vec<FileEntry>> {
        let mut files = Vec::new();
        let unreadable = |error: std::io::Error| Error::io(format_args!("read `{}`", self.stated), &error);
        match std::fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => walk(&self.path, 0, &mut files).map_err(unreadable)?,
            Ok(metadata) => files.push(entry(&self.path, &metadata)),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unreadable(error)),
            Err(_) => self.glob(&mut files)?,
        }
        files.retain(|file| self.pattern.as_ref().is_none_or(|regex| regex.is_match(&file.path.to_string_lossy())));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        if files.len() > FILES_MAX {
            let message = format!("table `{}` has {} files; the limit is {FILES_MAX}", self.table, files.len());
            return Err(Error::new(fleuve_base::ErrorKind::Limit, "E506", message));
        }
        Ok(files)
    }

    fn glob(&self, files: &mut Vec<FileEntry>) -> Result<()> {
        let pattern = self.path.to_string_lossy();
        if !pattern.contains(['*', '?', '[']) {
            return Err(self.missing());
        }
        let paths = glob::glob(&pattern).map_err(|error| {
            Error::input("E502", format!("table `{}`: `{}` is no pattern: {error}", self.table, self.stated))
        })?;
        for path in paths.flatten().filter(|path| is_visible(path)) {
            match std::fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => files.push(entry(&path, &metadata)),
                _ => {}
            }
        }
        if files.is_empty() { Err(self.missing()) } else { Ok(()) }
    }

    fn missing(&self) -> Error {
        let error = Error::input("E506", format!("table `{}`: there is no `{}`", self.table, self.stated));
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Ok(entries) = std::fs::read_dir(parent) else {
            return error.with_hint(format!("there is no directory `{}` either", parent.display()));
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).take(LISTED_MAX);
        let mut names: Vec<String> = names.collect();
        names.sort();
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        error.with_hint(format!("in `{}`: {}", parent.display(), nearest(&name, names.iter().map(String::as_str))))
    }
}

/// Names that a message about a missing file looks at.
const LISTED_MAX: usize = 100;

/// A path, or the path of a `file://` URL.
pub(crate) fn local_path(table: &str, stated: &str) -> Result<PathBuf> {
    match stated.split_once("://") {
        None => Ok(PathBuf::from(stated.strip_prefix("file:").unwrap_or(stated))),
        Some(("file", path)) => Ok(PathBuf::from(path)),
        Some((scheme, _)) => {
            let message = format!("table `{table}`: files of `{scheme}://` cannot be reached from this build");
            Err(Error::unsupported("E506", message).with_hint("use a local path or a file:// URL"))
        }
    }
}

/// Hidden files, and those that begin with `_`, are not data.
fn is_visible(path: &Path) -> bool {
    path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with(['.', '_']))
}

fn walk(directory: &Path, depth: usize, files: &mut Vec<FileEntry>) -> std::io::Result<()> {
    for found in std::fs::read_dir(directory)? {
        let path = found?.path();
        if !is_visible(&path) || files.len() > FILES_MAX {
            continue;
        }
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            // It was removed after the directory was read.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if metadata.is_file() {
            files.push(entry(&path, &metadata));
        } else if metadata.is_dir() && depth < DEPTH_MAX {
            walk(&path, depth + 1, files)?;
        }
    }
    Ok(())
}

fn entry(path: &Path, metadata: &std::fs::Metadata) -> FileEntry {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified_ms = modified.unwrap_or(Duration::ZERO).as_millis();
    let modified_ms = i64::try_from(modified_ms).unwrap_or(i64::MAX);
    FileEntry { path: path.to_owned(), bytes: metadata.len(), modified_ms }
}

/// Where the list is kept; without a log it lasts as long as the process.
pub(super) struct ListStore {
    topic: Option<Arc<Topic>>,
    env: Env,
}

/// One record of the stored list. A list begins with `first`; what stands before that is of an earlier run.
#[derive(Serialize, Deserialize)]
struct Stored {
    first: bool,
    files: Vec<FileEntry>,
}

impl ListStore {
    pub(super) fn new(env: &Env, log: Option<&Arc<Log>>, name: &str) -> Result<Self> {
        let topic = log.map(|log| internal::topic(log, name)).transpose()?;
        Ok(ListStore { topic, env: env.clone() })
    }

    /// Adds files to the list, durably, or begins a new one.
    pub(super) fn add(&self, first: bool, files: &[FileEntry]) -> Result<()> {
        let Some(topic) = &self.topic else { return Ok(()) };
        let mut batch = BatchBuilder::new();
        let mut push = |stored: &Stored| {
            let text =
                serde_json::to_vec(stored).map_err(|error| Error::internal(format!("a list of files: {error}")))?;
            batch.append(self.env.clock.now_ms(), None, Some(&text), &[])
        };
        if first {
            push(&Stored { first, files: vec![] })?;
        }
        for files in files.chunks(FILES_PER_RECORD) {
            push(&Stored { first: false, files: files.to_vec() })?;
        }
        if batch.is_empty() {
            return Ok(());
        }
        topic.partition(0)?.append(batch.finish()?)?.ticket.wait()
    }

    /// The list of the latest run; empty if there is none.
    pub(super) fn load(&self) -> Result<Vec<FileEntry>> {
        let Some(topic) = &self.topic else { return Ok(vec![]) };
        let mut files = Vec::new();
        internal::for_each(topic, |record| {
            let stored: Stored = serde_json::from_slice(record.value.unwrap_or_default())
                .map_err(|error| Error::corrupt(format!("a stored list of files cannot be read: {error}")))?;
            if stored.first {
                files.clear();
            }
            files.extend(stored.files);
            Ok(())
        })?;
        Ok(files)
    }
}
