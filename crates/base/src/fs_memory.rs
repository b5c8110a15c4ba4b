//! A file system in memory that forgets, tears and fails as a real one may.
//!
//! It keeps two versions of everything: what the processes see, and what would survive a power cut. A write
//! reaches the second only by [`File::sync`], a creation, rename or removal only by [`Fs::sync_dir`].
//! [`MemoryFs::crash`] returns a new file system as it might be found after the power came back;
//! [`MemoryFs::fail`] lets the k-th call of a kind fail; [`MemoryFs::halt_at`] stops the world at a call;
//! [`MemoryFs::set_room`] makes the disk small.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fs::{File, Fs, LockGuard, sync_error};

/// The kinds of call that can be counted and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// [`File::read_at`].
    Read,
    /// [`File::write_at`]; half of the bytes are written before it fails.
    Write,
    /// [`File::sync`]; after it failed, what was to be synced can no longer be made durable.
    Sync,
    /// [`File::set_len`].
    SetLength,
    /// [`Fs::open`].
    Open,
    /// [`Fs::create_dir_all`].
    CreateDirectory,
    /// [`Fs::rename`].
    Rename,
    /// [`Fs::remove_file`] and [`Fs::remove_dir_all`].
    Remove,
    /// [`Fs::sync_dir`].
    SyncDirectory,
}

/// Number of [`Call`] kinds.
const CALLS: usize = 9;

/// What a power cut does to writes and names that were never synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// All is lost: the least that a disk may keep.
    Lost,
    /// All is kept, as when only the process died.
    Kept,
    /// A pseudo-random part is kept: any subset of the sectors written and of the names. A sector itself does not
    /// tear: that much disks promise.
    Torn(u64),
}

/// An in-memory [`Fs`]; clones share the same files.
#[derive(Clone)]
pub struct MemoryFs(Arc<Mutex<State>>);

struct State {
    nodes: Vec<Node>,
    calls: [u64; CALLS],
    changes: u64,
    fault: Option<(Call, u64, io::ErrorKind)>,
    halt_at: u64,
    /// Bytes that all files and directories may take together.
    disk_bytes: u64,
    locks: Vec<usize>,
}

#[derive(Clone)]
enum Node {
    Directory { seen: Names, durable: Names },
    File { seen: Vec<u8>, durable: Vec<u8>, unsynced: Vec<Change> },
}

type Names = BTreeMap<String, usize>;

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

const ROOT: usize = 0;
const SECTOR_BYTES: usize = 512;
/// What a file or directory takes beside its content.
const NODE_BYTES: u64 = 256;

impl Default for MemoryFs {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryFs {
    /// An empty file system.
    pub fn new() -> Self {
        Self::of(vec![Node::directory()])
    }

    fn of(nodes: Vec<Node>) -> Self {
        let (halt_at, disk_bytes) = (u64::MAX, u64::MAX);
        let (calls, changes, fault, locks) = ([0; CALLS], 0, None, Vec::new());
        MemoryFs(Arc::new(Mutex::new(State { nodes, calls, changes, fault, halt_at, disk_bytes, locks })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls of that kind there were.
    pub fn calls(&self, call: Call) -> u64 {
        self.state().calls[call as usize]
    }

    /// How many calls there were that change something or make it durable (all but reads and opens).
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Lets the `nth` call of that kind from now on (1 is the next) fail, once.
    pub fn fail(&self, call: Call, nth: u64, error: io::ErrorKind) {
        let mut state = self.state();
        let at = state.calls[call as usize] + nth;
        state.fault = Some((call, at, error));
    }

    /// Lets the `nth` change from now on fail, and every call after it: the moment of a crash.
    pub fn halt_at(&self, nth: u64) {
        let mut state = self.state();
        state.halt_at = state.changes + nth;
    }

    /// Leaves so much room for more; `None` is all that one can want. Without room, files cannot grow and nothing can be
    /// created; of a write that does not fit, a part is written. What is removed makes room.
    pub fn set_room(&self, bytes: Option<u64>) {
        let mut state = self.state();
        state.disk_bytes = bytes.map_or(u64::MAX, |bytes| state.used_bytes(ROOT).saturating_add(bytes));
    }

    /// The files as they may be found after a crash at this moment. The handles of this one keep working on
    /// their own, forgotten world.
    pub fn crash(&self, unsynced: Unsynced) -> MemoryFs {
        let mut random = SplitMix(if let Unsynced::Torn(seed) = unsynced { seed } else { 0 });
        let nodes = self.state().nodes.clone();
        Self::of(nodes.into_iter().map(|node| node.after_crash(unsynced, &mut random)).collect())
    }

    /// Flips bits of a stored byte, as a failing disk would. `false` if there is no such byte.
    pub fn flip(&self, path: &Path, position: u64, mask: u8) -> bool {
        let mut state = self.state();
        let Ok(id) = state.find(path) else { return false };
        let Node::File { seen, durable, .. } = &mut state.nodes[id] else { return false };
        let Ok(at) = usize::try_from(position) else { return false };
        if let Some(byte) = durable.get_mut(at) {
            *byte ^= mask;
        }
        seen.get_mut(at).map(|byte| *byte ^= mask).is_some()
    }
}

impl Node {
    fn directory() -> Self {
        Node::Directory { seen: Names::new(), durable: Names::new() }
    }

    fn file() -> Self {
        Node::File { seen: Vec::new(), durable: Vec::new(), unsynced: Vec::new() }
    }

    fn after_crash(self, kept: Unsynced, random: &mut SplitMix) -> Node {
        match self {
            Node::Directory { seen, durable } => {
                let names = match kept {
                    Unsynced::Lost => durable,
                    Unsynced::Kept => seen,
                    Unsynced::Torn(_) => mixed_names(seen, durable, random),
                };
                Node::Directory { seen: names.clone(), durable: names }
            }
            Node::File { seen, mut durable, unsynced } => {
                match kept {
                    Unsynced::Lost => {}
                    Unsynced::Kept => durable = seen,
                    Unsynced::Torn(_) => unsynced.iter().for_each(|change| change.apply_torn(&mut durable, random)),
                }
                Node::File { seen: durable.clone(), durable, unsynced: Vec::new() }
            }
        }
    }
}

/// Every name is either as it was last synced or as it was last seen.
fn mixed_names(seen: Names, durable: Names, random: &mut SplitMix) -> Names {
    let mut names = durable.clone();
    names.extend(seen.clone());
    names.retain(|name, node| {
        let version = if random.next().is_multiple_of(2) { &seen } else { &durable };
        version.get(name).map(|id| *node = *id).is_some()
    });
    names
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(position, written) => overwrite(bytes, *position as usize, written),
            Change::Length(length) => bytes.resize(*length as usize, 0),
        }
    }

    /// Each sector of the file that a write touches reaches the disk whole or not, by itself.
    fn apply_torn(&self, bytes: &mut Vec<u8>, random: &mut SplitMix) {
        let Change::Write(position, written) = self else { return self.apply(bytes) };
        let first = SECTOR_BYTES - *position as usize % SECTOR_BYTES;
        let (head, tail) = written.split_at(first.min(written.len()));
        let sectors: Vec<_> = std::iter::once(head).chain(tail.chunks(SECTOR_BYTES)).collect();
        let (mode, prefix) = (random.next() % 4, random.below(sectors.len()));
        let mut at = *position as usize;
        for (index, sector) in sectors.into_iter().enumerate() {
            let kept = match mode {
                0 => false,
                1 => index < prefix,
                2 => random.next().is_multiple_of(2),
                _ => true,
            };
            if kept {
                overwrite(bytes, at, sector);
            }
            at += sector.len();
        }
    }
}

fn overwrite(bytes: &mut Vec<u8>, position: usize, written: &[u8]) {
    let end = position + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[position..end].copy_from_slice(written);
}

/// Sebastiano Vigna's SplitMix64: seeds decide everything.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % (bound as u64 + 1)) as usize
    }
}

fn names_of(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect()
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("`{}` does not exist", path.display()))
}

impl State {
    fn find(&self, path: &Path) -> io::Result<usize> {
        let mut id = ROOT;
        for name in names_of(path) {
            let Node::Directory { seen, .. } = &self.nodes[id] else { return Err(not_found(path)) };
            id = *seen.get(&name).ok_or_else(|| not_found(path))?;
        }
        Ok(id)
    }

    /// The parent's node and the last name.
    fn parent(&self, path: &Path) -> io::Result<(usize, String)> {
        let name = names_of(path).pop().ok_or_else(|| not_found(path))?;
        Ok((self.find(path.parent().unwrap_or(Path::new("")))?, name))
    }

    fn names(&mut self, id: usize) -> io::Result<&mut Names> {
        match &mut self.nodes[id] {
            Node::Directory { seen, .. } => Ok(seen),
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// What a node and all below it take.
    fn used_bytes(&self, id: usize) -> u64 {
        NODE_BYTES
            + match &self.nodes[id] {
                Node::File { seen, .. } => seen.len() as u64,
                Node::Directory { seen, .. } => seen.values().map(|id| self.used_bytes(*id)).sum(),
            }
    }

    /// Bytes that are left; none of the work is done where that is all that one can want.
    fn room_bytes(&self) -> u64 {
        match self.disk_bytes {
            u64::MAX => u64::MAX,
            bytes => bytes.saturating_sub(self.used_bytes(ROOT)),
        }
    }

    fn add(&mut self, parent: usize, name: String, node: Node) -> io::Result<usize> {
        if self.room_bytes() < NODE_BYTES {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let id = self.nodes.len();
        self.nodes.push(node);
        self.names(parent)?.insert(name, id);
        Ok(id)
    }

    /// Counts a call, and fails it if it is its turn.
    fn count(&mut self, call: Call) -> io::Result<()> {
        self.calls[call as usize] += 1;
        if !matches!(call, Call::Read | Call::Open) {
            self.changes += 1;
        }
        if self.changes >= self.halt_at {
            return Err(io::Error::other("the world has stopped"));
        }
        match self.fault {
            Some((which, at, error)) if which == call && at == self.calls[call as usize] => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Fs for MemoryFs {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        state.count(Call::Open)?;
        let id = match state.find(path) {
            Ok(id) => id,
            Err(_) if create => {
                let (parent, name) = state.parent(path)?;
                state.add(parent, name, Node::file())?
            }
            Err(error) => return Err(error),
        };
        match state.nodes[id] {
            Node::File { .. } => Ok(Arc::new(MemoryFile { fs: self.clone(), id })),
            Node::Directory { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.count(Call::CreateDirectory)?;
        let mut id = ROOT;
        for name in names_of(path) {
            let existing = state.names(id)?.get(&name).copied();
            id = match existing {
                Some(id) => id,
                None => state.add(id, name, Node::directory())?,
            };
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        let id = state.find(path)?;
        Ok(state.names(id)?.keys().cloned().collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().find(path).is_ok()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.count(Call::Rename)?;
        let (from_parent, from_name) = state.parent(from)?;
        let (to_parent, to_name) = state.parent(to)?;
        let id = state.names(from_parent)?.remove(&from_name).ok_or_else(|| not_found(from))?;
        state.names(to_parent)?.insert(to_name, id);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.count(Call::Remove)?;
        let (parent, name) = state.parent(path)?;
        state.names(parent)?.remove(&name).map(drop).ok_or_else(|| not_found(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.count(Call::SyncDirectory).map_err(sync_error)?;
        let id = state.find(path)?;
        match &mut state.nodes[id] {
            Node::Directory { seen, durable } => durable.clone_from(seen),
            Node::File { .. } => return Err(io::ErrorKind::NotADirectory.into()),
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        self.open(path, true)?;
        let mut state = self.state();
        let id = state.find(path)?;
        if state.locks.contains(&id) {
            return Ok(None);
        }
        state.locks.push(id);
        Ok(Some(Box::new(MemoryLock { fs: self.clone(), id })))
    }
}

struct MemoryLock {
    fs: MemoryFs,
    id: usize,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.fs.state().locks.retain(|id| *id != self.id);
    }
}

struct MemoryFile {
    fs: MemoryFs,
    id: usize,
}

impl MemoryFile {
    /// What can be done of a change, and how it is told.
    fn as_far_as_it_fits(&self, state: &State, change: Change) -> io::Result<(Change, io::Result<()>)> {
        let length = match &state.nodes[self.id] {
            Node::File { seen, .. } => seen.len() as u64,
            Node::Directory { .. } => 0,
        };
        let limit = length.saturating_add(state.room_bytes());
        match change {
            Change::Length(length) if length > limit => Err(io::ErrorKind::StorageFull.into()),
            Change::Write(position, _) if position > limit => Err(io::ErrorKind::StorageFull.into()),
            Change::Write(position, mut bytes) if position + bytes.len() as u64 > limit => {
                bytes.truncate((limit - position) as usize);
                Ok((Change::Write(position, bytes), Err(io::ErrorKind::StorageFull.into())))
            }
            change => Ok((change, Ok(()))),
        }
    }

    fn change(&self, call: Call, change: Change) -> io::Result<()> {
        let mut state = self.fs.state();
        let result = state.count(call);
        let (change, result) = match (change, result) {
            (Change::Write(position, bytes), Err(error)) => {
                (Change::Write(position, bytes[..bytes.len() / 2].to_vec()), Err(error))
            }
            (Change::Length(_), Err(error)) => return Err(error),
            (change, Ok(())) => self.as_far_as_it_fits(&state, change)?,
        };
        if let Node::File { seen, unsynced, .. } = &mut state.nodes[self.id] {
            change.apply(seen);
            unsynced.push(change);
        }
        result
    }
}

impl File for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.fs.state();
        state.count(Call::Read)?;
        let Node::File { seen, .. } = &state.nodes[self.id] else { return Ok(0) };
        let start = usize::try_from(position).unwrap_or(usize::MAX).min(seen.len());
        let read = buffer.len().min(seen.len() - start);
        buffer[..read].copy_from_slice(&seen[start..start + read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.change(Call::Write, Change::Write(position, bytes.to_vec()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.fs.state();
        let result = state.count(Call::Sync);
        if let Node::File { durable, unsynced, .. } = &mut state.nodes[self.id] {
            // After a failed sync Linux marks the pages clean: a later sync succeeds and writes nothing.
            let changes = std::mem::take(unsynced);
            if result.is_ok() {
                changes.iter().for_each(|change| change.apply(durable));
            }
        }
        result.map_err(sync_error)
    }

    fn len(&self) -> io::Result<u64> {
        match &self.fs.state().nodes[self.id] {
            Node::File { seen, .. } => Ok(seen.len() as u64),
            Node::Directory { .. } => Ok(0),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Call::SetLength, Change::Length(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(fs: &MemoryFs, path: &str) -> Option<Vec<u8>> {
        crate::fs::read(fs, Path::new(path)).ok()
    }

    #[test]
    fn only_what_was_synced_survives() {
        let fs = MemoryFs::new();
        fs.create_dir_all(Path::new("/d")).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        let file = fs.open(Path::new("/d/a"), true).unwrap();
        file.write_at(b"one", 0).unwrap();
        file.sync().unwrap();
        assert_eq!(content(&fs.crash(Unsynced::Lost), "/d/a"), None, "its name was not synced");
        fs.sync_dir(Path::new("/d")).unwrap();
        file.write_at(b"two", 3).unwrap();
        assert_eq!(content(&fs.crash(Unsynced::Lost), "/d/a").unwrap(), b"one");
        assert_eq!(content(&fs.crash(Unsynced::Kept), "/d/a").unwrap(), b"onetwo");
        fs.rename(Path::new("/d/a"), Path::new("/d/b")).unwrap();
        assert_eq!(content(&fs.crash(Unsynced::Lost), "/d/b"), None);
        assert_eq!(content(&fs, "/d/b").unwrap(), b"onetwo");
    }

    #[test]
    fn torn_crashes_differ_by_seed_and_keep_what_was_synced() {
        let fs = MemoryFs::new();
        let file = fs.open(Path::new("/a"), true).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        file.write_at(&[1; 2048], 0).unwrap();
        file.sync().unwrap();
        file.write_at(&[2; 2048], 2048).unwrap();
        let found: std::collections::BTreeSet<_> =
            (0..32).map(|seed| content(&fs.crash(Unsynced::Torn(seed)), "/a").unwrap()).collect();
        assert!(found.len() > 3);
        assert!(found.iter().all(|bytes| bytes[..2048] == [1; 2048]));
    }

    #[test]
    fn a_failed_sync_makes_nothing_durable_and_neither_does_the_next() {
        let fs = MemoryFs::new();
        let file = fs.open(Path::new("/a"), true).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        file.write_at(b"x", 0).unwrap();
        fs.fail(Call::Sync, 1, io::ErrorKind::Other);
        assert!(file.sync().is_err());
        assert!(file.sync().is_ok());
        assert_eq!(content(&fs.crash(Unsynced::Lost), "/a").unwrap(), b"");
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_goes_on_when_there_is_room() {
        let fs = MemoryFs::new();
        let file = fs.open(Path::new("/a"), true).unwrap();
        file.write_at(b"1234", 0).unwrap();
        fs.set_room(Some(3));
        assert_eq!(file.write_at(b"56789", 4).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(content(&fs, "/a").unwrap(), b"1234567");
        file.write_at(b"abc", 1).expect("what is there can be written over");
        assert!(file.set_len(8).is_err() && fs.open(Path::new("/b"), true).is_err());
        file.set_len(2).unwrap();
        file.write_at(b"bcdef", 2).expect("what was cut off has made room");
        fs.set_room(None);
        assert!(fs.open(Path::new("/b"), true).is_ok());
        fs.set_room(Some(0));
        fs.remove_file(Path::new("/b")).unwrap();
        assert!(fs.open(Path::new("/c"), true).is_ok());
    }

    #[test]
    fn a_failed_sync_is_never_told_as_a_full_disk() {
        let fs = MemoryFs::new();
        let file = fs.open(Path::new("/a"), true).unwrap();
        fs.fail(Call::Sync, 1, io::ErrorKind::StorageFull);
        assert_eq!(file.sync().unwrap_err().kind(), io::ErrorKind::Other);
        fs.fail(Call::SyncDirectory, 1, io::ErrorKind::StorageFull);
        assert_eq!(fs.sync_dir(Path::new("/")).unwrap_err().kind(), io::ErrorKind::Other);
    }

    #[test]
    fn a_lock_has_one_holder() {
        let fs = MemoryFs::new();
        let guard = fs.lock(Path::new("/lock")).unwrap();
        assert!(guard.is_some());
        assert!(fs.lock(Path::new("/lock")).unwrap().is_none());
        drop(guard);
        assert!(fs.lock(Path::new("/lock")).unwrap().is_some());
    }
}
