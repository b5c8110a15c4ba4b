//! The data directory: one process at a time, and a format that the process knows.
//!
//! ```text
//! DIR/lock      locked while a log is open; holds the process id      DIR/topics/<topic>/topic.json
//! DIR/format    "fleuve log 1"                                        DIR/topics/<topic>/<partition>/…
//! ```

use std::io;
use std::path::Path;

use fleuve_base::fs::{self, Fs, LockGuard};
use fleuve_base::{Error, Result};

use crate::codes;

/// What the `format` file holds.
pub(crate) const FORMAT: &str = "fleuve log 1";

/// Name of the directory of topics.
pub(crate) const TOPICS: &str = "topics";

/// Takes the directory's lock and checks, or writes, its format version.
pub(crate) fn open(fs: &dyn Fs, directory: &Path) -> Result<LockGuard> {
    let io = |e| Error::io(format_args!("open the data directory `{}`", directory.display()), &e);
    fs.create_dir_all(directory).map_err(io)?;
    let guard = lock(fs, directory)?;
    match fs::read(fs, &directory.join("format")) {
        Ok(found) => check_format(directory, &found)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => write_format(fs, directory).map_err(io)?,
        Err(error) => return Err(io(error)),
    }
    fs.create_dir_all(&directory.join(TOPICS)).map_err(io)?;
    fs.sync_dir(directory).map_err(io)?;
    Ok(guard)
}

fn lock(fs: &dyn Fs, directory: &Path) -> Result<LockGuard> {
    let path = directory.join("lock");
    let io = |e| Error::io(format_args!("lock `{}`", path.display()), &e);
    let Some(guard) = fs.lock(&path).map_err(io)? else {
        let holder = fs::read(fs, &path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let holder = holder.filter(|pid| !pid.is_empty()).map(|pid| format!("process {}", pid.trim()));
        return Err(codes::locked(&directory.display().to_string(), holder.as_deref().unwrap_or("another process")));
    };
    let file = fs.open(&path, true).map_err(io)?;
    file.set_len(0).map_err(io)?;
    file.write_at(format!("{}\n", std::process::id()).as_bytes(), 0).map_err(io)?;
    Ok(guard)
}

fn check_format(directory: &Path, found: &[u8]) -> Result<()> {
    let found = String::from_utf8_lossy(found);
    if found.trim_end() == FORMAT {
        return Ok(());
    }
    Err(codes::unknown_format(&directory.display().to_string(), found.trim_end()))
}

fn write_format(fs: &dyn Fs, directory: &Path) -> io::Result<()> {
    fs::write_atomically(fs, &directory.join("format"), format!("{FORMAT}\n").as_bytes())?;
    // The directory itself must survive, too, not only what is in it.
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs.sync_dir(parent),
        _ => Ok(()),
    }
}
