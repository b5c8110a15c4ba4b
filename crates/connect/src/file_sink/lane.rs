//! One worker's files.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleuve_base::{Error, Result};
use fleuve_flow::batch::Batch;
use fleuve_flow::sink::Lane;
use parking_lot::Mutex;

use super::commit::{Acknowledgement, Committer, HiddenFile};
use super::part::{Finished, PartFile};
use super::{Shape, in_parallel};
use crate::encode::RowEncoder;

/// Bytes gathered for all files of a lane before all of them are written.
const GATHERED_BYTES_MAX: usize = 64 << 20;

/// Files of a lane that are open at a time; one more, and all are ended.
const OPEN_FILES_MAX: usize = 4_096;

pub(super) struct FileLane {
    shape: Arc<Shape>,
    committer: Arc<Mutex<Committer>>,
    lane: usize,
    encoder: Option<RowEncoder>,
    /// The open files, by the directory of their partition.
    open: BTreeMap<String, PartFile>,
    finished: Vec<Finished>,
    gathered: usize,
    /// Files begun by this lane, for their names.
    begun: u64,
}

impl FileLane {
    pub(super) fn new(shape: Arc<Shape>, committer: Arc<Mutex<Committer>>, lane: usize) -> Self {
        FileLane {
            shape,
            committer,
            lane,
            encoder: None,
            open: BTreeMap::new(),
            finished: vec![],
            gathered: 0,
            begun: 0,
        }
    }

    fn file(&mut self, directory: &str, epoch: u64) -> Result<PartFile> {
        if let Some(file) = self.open.remove(directory) {
            return Ok(file);
        }
        if self.open.len() >= OPEN_FILES_MAX {
            self.finish_all()?;
        }
        let (shape, lane, number) = (&self.shape, self.lane, self.begun);
        self.begun += 1;
        let hidden = shape.directory.join(format!("{}{lane}-{epoch}-{number}.inprogress", shape.hidden));
        let name = format!("part-{:016x}-{lane}-{epoch}-{number}.{}", shape.mark, shape.encoding.extension());
        let name = if directory.is_empty() { name } else { format!("{directory}/{name}") };
        PartFile::create(&shape.env, &shape.encoding, hidden, name)
    }

    fn write_part(&mut self, directory: String, rows: &Batch, epoch: u64) -> Result<()> {
        let mut file = self.file(&directory, epoch)?;
        let before = file.gathered();
        let after = file.write(self.encoder.as_ref(), rows)?;
        self.gathered = (self.gathered + after).saturating_sub(before);
        if file.bytes() >= self.shape.file_bytes {
            self.gathered = self.gathered.saturating_sub(file.gathered());
            self.finished.push(file.finish()?);
        } else {
            self.open.insert(directory, file);
        }
        if self.gathered > GATHERED_BYTES_MAX {
            self.open.values_mut().try_for_each(PartFile::flush)?;
            self.gathered = 0;
        }
        Ok(())
    }

    fn finish_all(&mut self) -> Result<()> {
        for file in std::mem::take(&mut self.open).into_values() {
            self.finished.push(file.finish()?);
        }
        self.gathered = 0;
        Ok(())
    }
}

impl Lane for FileLane {
    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        if self.encoder.is_none() {
            self.encoder = self.shape.encoding.rows()?;
        }
        for batch in crate::changelog::deletions_first(batches) {
            for part in self.shape.partitioning.split(&batch)? {
                self.write_part(part.directory, &part.rows, epoch)?;
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, _epoch: u64) -> Result<String> {
        self.finish_all()?;
        let finished = std::mem::take(&mut self.finished);
        let env = &self.shape.env;
        if !finished.is_empty() {
            in_parallel(&finished, |file| file.sync(env))?;
            let directory = &self.shape.directory;
            env.fs
                .sync_dir(directory)
                .map_err(|error| Error::io(format_args!("sync `{}`", directory.display()), &error))?;
        }
        let hidden = |file: Finished| HiddenFile {
            temporary: file.temporary.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            name: file.name,
        };
        let mut acknowledgement =
            Acknowledgement { files: finished.into_iter().map(hidden).collect(), ..Acknowledgement::default() };
        // The first lane also keeps what the sink itself has to remember.
        if self.lane == 0 {
            self.committer.lock().remember(&mut acknowledgement);
        }
        acknowledgement.to_text()
    }
}
