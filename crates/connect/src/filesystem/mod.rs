//! Files: one, a directory's, or those of a pattern; read once, watched for new ones, or replayed at a chosen speed.
//!
//! All files together are one split. A range is a file's number and positions in it: bytes for text (of the decompressed
//! stream, if the file is compressed), row groups for Parquet.

mod buffers;
mod chunks;
mod cut;
mod decoder;
mod files;
mod listing;
mod parquet;
mod replay;

pub(crate) use listing::local_path;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleuve_base::{Env, Error, Result};
use fleuve_flow::connectors::Reader;
use fleuve_flow::source::{Chunk, Claim, Decoder, Range, Scan, Source, Waker};
use fleuve_journal::Log;
use fleuve_plan::SourceSpec;
use parking_lot::Mutex;

use crate::alarm::Alarm;
use crate::decode::{Assemble, Layout};
use crate::internal;
use crate::options::Options;
use chunks::{Cursor, End, Stream};
use cut::Cut;
use decoder::LineDecoder;
use files::{Compression, Files};
use listing::{ListStore, Location};
use parquet::ParquetDecoder;
use replay::Replay;

/// Bytes of a chunk, unless the engine wants fewer: they and what becomes of them stay in the second-level cache.
const CHUNK_BYTES: u64 = 512 << 10;

/// Bytes of the smallest chunk that is worth its overhead.
const CHUNK_BYTES_MIN: u64 = 16 << 10;

/// Metadata columns of a row from a file, under Flink's names.
const METADATA: &[&str] = &["file.path", "file.name", "file.size", "file.modification-time", crate::decode::WEIGHT];

/// A `filesystem` table that is being read.
pub(crate) struct FileSource {
    env: Env,
    shape: Arc<Shape>,
    location: Location,
    store: ListStore,
    monitor: Option<Duration>,
    alarm: Alarm,
    state: Mutex<State>,
    again: Mutex<Option<Stream>>,
}

/// What the source and its decoders share.
pub(crate) struct Shape {
    files: Files,
    layout: Layout,
    kind: Kind,
}

/// What a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Bytes of a text.
    Lines(Cut),
    /// A row group.
    Parquet,
}

#[derive(Default)]
struct State {
    /// The list of files is known: found anew, or taken from the store.
    listed: bool,
    cursor: Cursor,
    replay: Option<Replay>,
    /// When to look for new files, by the monotonic clock.
    look_at: Duration,
}

impl FileSource {
    pub(crate) fn open(
        env: &Env,
        log: Option<&Arc<Log>>,
        reader: &Reader<'_>,
        options: &Options,
        spec: &SourceSpec,
        scan: Scan,
    ) -> Result<Self> {
        let location =
            Location::new(&spec.table, options.required("path")?, options.stated("source.path.regex-pattern"))?;
        location.find()?;
        let shape = Shape {
            files: Files::new(&spec.table, Compression::of(options.text("source.compression"))),
            kind: kind_of(options)?,
            layout: Layout::new(options, &spec.physical, scan)?,
        };
        let replay = options.stated("scan.replay.time").map(|time| Replay::new(options, &shape, time)).transpose()?;
        Assemble::new(&spec.table, shape.layout.scan(), METADATA)?;
        Ok(FileSource {
            env: env.clone(),
            shape: Arc::new(shape),
            location,
            store: ListStore::new(env, log, &internal::name(internal::FILES, reader))?,
            monitor: options.duration("source.monitor-interval")?,
            alarm: Alarm::new(env.clone()),
            state: Mutex::new(State { replay, ..State::default() }),
            again: Mutex::default(),
        })
    }

    fn files(&self) -> &Files {
        &self.shape.files
    }

    /// Finds the files, for a run that begins.
    fn list(&self, state: &mut State) -> Result<()> {
        if !state.listed {
            let files = self.location.find()?;
            self.store.add(true, &files)?;
            self.files().set(files);
            self.listed(state)?;
        }
        Ok(())
    }

    /// Takes the list from the store, for a run that goes on.
    fn load(&self, state: &mut State) -> Result<()> {
        if !state.listed {
            self.files().set(self.store.load()?);
            self.listed(state)?;
        }
        Ok(())
    }

    fn listed(&self, state: &mut State) -> Result<()> {
        state.listed = true;
        if let Some(interval) = self.monitor {
            state.look_at = self.env.clock.monotonic() + interval;
        }
        match &mut state.replay {
            Some(replay) => replay.index(&self.shape),
            None => Ok(()),
        }
    }

    /// Adds files that have appeared, if it is time to look; whether there are any.
    fn look_for_more(&self, state: &mut State) -> Result<bool> {
        let Some(interval) = self.monitor else { return Ok(false) };
        let now = self.env.clock.monotonic();
        if now >= state.look_at {
            state.look_at = now + interval;
            if self.add_new()? {
                return Ok(true);
            }
        }
        self.alarm.wake_at(state.look_at)?;
        Ok(false)
    }

    /// Adds files that have appeared; whether there are any.
    fn add_new(&self) -> Result<bool> {
        let known = self.files().all();
        let known: std::collections::HashSet<_> = known.iter().map(|file| file.path.as_path()).collect();
        let mut found = self.location.find()?;
        found.retain(|file| !known.contains(file.path.as_path()));
        if found.is_empty() {
            return Ok(false);
        }
        self.store.add(false, &found)?;
        self.files().extend(found);
        Ok(true)
    }

    /// The end that the next chunk is to have; none if rows have to wait.
    fn end(&self, state: &mut State, bytes_max: usize) -> Result<Option<End>> {
        let Some(replay) = &mut state.replay else {
            return Ok(Some(End::About((bytes_max as u64).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES))));
        };
        let (now, cursor) = (self.env.clock.monotonic(), &state.cursor);
        match replay.due(now, cursor.item, cursor.position, (bytes_max as u64).min(CHUNK_BYTES)) {
            Ok(end) => Ok(Some(End::Exactly(end))),
            Err(moment) => {
                self.alarm.wake_at(moment)?;
                Ok(None)
            }
        }
    }

    /// The next chunk of the files that are known; `Pending` if it is not due, `Finished` if there is none.
    fn next(&self, state: &mut State, bytes_max: usize) -> Result<Next> {
        while (state.cursor.item as usize) < self.files().count() {
            let chunk = match self.shape.kind {
                Kind::Parquet => self.shape.next_row_group(&mut state.cursor)?.map(|range| (range, None)),
                Kind::Lines(cut) if !self.at_end(&state.cursor)? => match self.end(state, bytes_max)? {
                    Some(end) => state.cursor.next(self.files(), cut, end)?,
                    None => return Ok(Next::Later),
                },
                Kind::Lines(_) => None,
            };
            match chunk {
                Some((range, bytes)) => return Ok(Next::Chunk(range, bytes)),
                None => state.cursor.next_file(),
            }
        }
        Ok(Next::None)
    }

    /// Whether a plain file has been handed out whole (of a compressed one only reading tells).
    fn at_end(&self, cursor: &Cursor) -> Result<bool> {
        let file = self.files().get(cursor.item)?;
        Ok(!self.files().is_compressed(&file) && cursor.position >= file.bytes)
    }

    fn chunk(&self, range: Range, bytes: Option<Bytes>) -> Result<Chunk> {
        let bytes = match (bytes, self.shape.kind) {
            (None, Kind::Lines(_)) => Some(self.files().read(range)?),
            (bytes, _) => bytes,
        };
        Ok(Chunk { range, bytes })
    }
}

/// Whether a table's files are exactly those that a reader has listed, as they were then.
pub(crate) fn are_as_listed(
    env: &Env,
    log: &Arc<Log>,
    reader: &Reader<'_>,
    options: &Options,
    spec: &SourceSpec,
) -> Result<bool> {
    let path = options.required("path")?;
    let location = Location::new(&spec.table, path, options.stated("source.path.regex-pattern"))?;
    let mut listed = ListStore::new(env, Some(log), &internal::name(internal::FILES, reader))?.load()?;
    // Files that appeared later are listed behind the others.
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(location.find()? == listed)
}

enum Next {
    Chunk(Range, Option<Bytes>),
    Later,
    None,
}

fn kind_of(options: &Options) -> Result<Kind> {
    Ok(match options.format() {
        Some("parquet") => Kind::Parquet,
        Some("csv") => match crate::decode::csv_options(options)? {
            csv if csv.quote.is_none() => Kind::Lines(Cut::Newline),
            csv => Kind::Lines(Cut::Quoted { quote: csv.quote.unwrap_or(b'"'), escape: csv.escape }),
        },
        _ => Kind::Lines(Cut::Newline),
    })
}

impl Source for FileSource {
    fn bounded(&self) -> bool {
        self.monitor.is_none()
    }

    /// The middle of a compressed file is found from its beginning only.
    fn seekable(&self) -> Result<bool> {
        self.list(&mut self.state.lock())?;
        Ok(!self.files().all().iter().any(|file| self.files().is_compressed(file)))
    }

    fn splits(&self) -> Vec<String> {
        vec![self.location.path().display().to_string()]
    }

    fn claim(&self, bytes_max: usize) -> Result<Claim> {
        let mut state = self.state.lock();
        self.list(&mut state)?;
        loop {
            match self.next(&mut state, bytes_max)? {
                Next::Chunk(range, bytes) => {
                    drop(state);
                    return self.chunk(range, bytes).map(Claim::Chunk);
                }
                Next::Later => return Ok(Claim::Pending),
                Next::None if self.look_for_more(&mut state)? => {}
                Next::None if self.monitor.is_some() => return Ok(Claim::Pending),
                Next::None => return Ok(Claim::Finished),
            }
        }
    }

    fn reclaim(&self, range: Range) -> Result<Chunk> {
        self.load(&mut self.state.lock())?;
        let compressed = self.files().is_compressed(&*self.files().get(range.item)?);
        let bytes = match self.shape.kind {
            Kind::Lines(_) if compressed => Some(Stream::read(&mut self.again.lock(), self.files(), range)?),
            _ => None,
        };
        self.chunk(range, bytes)
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        let Some(last) = last.iter().max_by_key(|range| (range.item, range.end)) else { return Ok(()) };
        let mut state = self.state.lock();
        self.load(&mut state)?;
        if self.files().count() <= last.item as usize {
            return Err(Error::corrupt(format!("file number {} is not in the stored list of files", last.item)));
        }
        state.cursor = Cursor::at(last.item, last.end);
        Ok(())
    }

    fn reopen(&self) -> Result<()> {
        let state = self.state.lock();
        // Without a list the files are found when the first chunk is asked for; a replay's files are known from its start.
        if state.listed && state.replay.is_none() { self.add_new().map(drop) } else { Ok(()) }
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(match self.shape.kind {
            Kind::Lines(_) => Box::new(LineDecoder::new(self.shape.clone())?),
            Kind::Parquet => Box::new(ParquetDecoder::new(self.shape.clone())?),
        })
    }

    fn subscribe(&self, waker: Waker) {
        self.alarm.subscribe(waker);
    }

    fn extent(&self, range: Range) -> Result<u64> {
        match self.shape.kind {
            Kind::Parquet => self.shape.row_group_rows(range),
            _ => Ok(range.end.saturating_sub(range.start)),
        }
    }

    fn progress(&self) -> Option<(u64, u64)> {
        let state = self.state.lock();
        if self.monitor.is_some() || !state.listed || self.shape.kind == Kind::Parquet {
            return None;
        }
        let files = self.files().all();
        let all = files.iter().map(|file| file.bytes).sum();
        let before: u64 = files.iter().take(state.cursor.item as usize).map(|file| file.bytes).sum();
        // A position in a compressed file says little about how much of the file has been read; never more than all.
        let here = files.get(state.cursor.item as usize).map_or(0, |file| state.cursor.position.min(file.bytes));
        Some((before + here, all))
    }
}

#[cfg(test)]
mod tests;
