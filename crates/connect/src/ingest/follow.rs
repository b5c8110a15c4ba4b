//! A file that grows, like `tail -F`: over truncation and over rotation to another file of the same name.
//!
//! With the last line of each read the file's number (inode) and position are stored, so a restart goes on behind it.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use fleuve_base::{Error, Result};

use super::feed::{Feeder, Lines};
use crate::filesystem::local_path;
use crate::options::Options;

pub(super) struct FollowFeeder {
    options: Options,
    path: PathBuf,
    interval: Duration,
}

/// The file that is open, and the position up to which its lines are stored.
struct Open {
    file: File,
    inode: u64,
    /// Position of the next byte to read.
    position: u64,
}

impl FollowFeeder {
    pub(super) fn new(options: &Options) -> Result<Self> {
        for other in ["source.monitor-interval", "scan.replay.time", "source.path.regex-pattern"] {
            if options.stated(other).is_some() {
                let message = format!("table `{}`: 'scan.follow' does not go with '{other}'", options.table());
                return Err(Error::input("E502", message).with_hint("a followed file is read as it grows"));
            }
        }
        if !matches!(options.format(), Some("json" | "csv" | "raw")) {
            let message = format!("table `{}`: only files of lines can be followed", options.table());
            return Err(Error::input("E504", message).with_hint("the format must be json, csv or raw"));
        }
        let path = local_path(options.table(), options.required("path")?)?;
        let interval = options.duration("scan.follow.interval")?.unwrap_or(Duration::from_millis(50));
        Ok(FollowFeeder { options: options.clone(), path, interval })
    }

    /// Opens the file; none if there is none at the moment.
    fn open(&self) -> Result<Option<Open>> {
        match File::open(&self.path) {
            Ok(file) => {
                let inode = file.metadata().map_err(|error| self.failed(&error))?.ino();
                Ok(Some(Open { file, inode, position: 0 }))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        Error::io(format_args!("follow `{}`", self.path.display()), error)
    }

    fn seek(&self, open: &mut Open, position: u64) -> Result<()> {
        open.position = position;
        open.file.seek(SeekFrom::Start(position)).map(drop).map_err(|error| self.failed(&error))
    }

    /// Reads what has been added.
    fn read_on(&self, open: &mut Open, lines: &mut Lines) -> Result<()> {
        let length = open.file.metadata().map_err(|error| self.failed(&error))?.len();
        if length < open.position {
            lines.forget();
            lines.begin(&self.options);
            self.seek(open, 0)?;
        }
        loop {
            let (inode, position) = (open.inode, open.position);
            let place = |whole: usize| Some(format!("{inode} {}", position + whole as u64));
            let read = lines.read(&mut open.file, place)?;
            open.position += read as u64;
            if read == 0 || lines.session.is_stopped() {
                return Ok(());
            }
        }
    }

    /// Whether the name stands for another file by now.
    fn is_rotated(&self, open: &Open) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|now| now.ino() != open.inode)
    }
}

/// The stored place: a file's number and a position in it.
fn parse(place: &str) -> Option<(u64, u64)> {
    let (inode, position) = place.split_once(' ')?;
    Some((inode.parse().ok()?, position.parse().ok()?))
}

impl Feeder for FollowFeeder {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn bounded(&self) -> bool {
        false
    }

    fn run(&mut self, lines: &mut Lines, _resumed: bool, last: Option<&str>) -> Result<()> {
        let mut open = self.open()?;
        match (&mut open, last.and_then(parse)) {
            // A file that is shorter now has been cut, and begins anew when it is read.
            (Some(open), Some((inode, position))) if open.inode == inode => self.seek(open, position)?,
            _ => lines.begin(&self.options),
        }
        loop {
            if let Some(current) = &mut open {
                let rotated = self.is_rotated(current);
                // What was still written to the old file comes first.
                self.read_on(current, lines)?;
                if rotated {
                    lines.finish()?;
                    open = None;
                }
            }
            if open.is_none() {
                open = self.open()?;
                if open.is_some() {
                    lines.begin(&self.options);
                    continue;
                }
            }
            if !lines.session.sleep(self.interval) {
                return Ok(());
            }
        }
    }
}
