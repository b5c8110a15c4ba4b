//! Files, as the durable layers see them: positioned reads and writes, explicit syncs, atomic renames.
//!
//! The trait is small on purpose, so that a fault-injecting implementation can stand in for the operating
//! system and let the k-th call of any kind fail.

use std::fs::{OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// An open file. Reads and writes name their position; nothing is buffered.
pub trait File: Send + Sync {
    /// Reads at `position` until `buffer` is full or the file ends; returns the number of bytes read.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Reads up to `length` bytes at `position` into `buffer`, whose content they replace; fewer only where the file
    /// ends. The buffer's memory need not be cleared first, which is what makes this cheaper than [`File::read_at`].
    fn read_into(&self, buffer: &mut Vec<u8>, length: usize, position: u64) -> io::Result<()> {
        buffer.clear();
        buffer.resize(length, 0);
        let read = self.read_at(buffer, position)?;
        buffer.truncate(read);
        Ok(())
    }
    /// Writes all of `bytes` at `position`. After an error any prefix may have been written.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    /// Makes everything written so far survive a power cut (`fdatasync`). After an error nothing is known of what was
    /// written; so the error is never one of [`is_no_space`], which can be recovered from.
    fn sync(&self) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the length is 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// The operating system's handle, if it has one: what is sent from it need not be read first.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A file system.
pub trait Fs: Send + Sync {
    /// Opens for reading and writing; creates an empty file when `create` is set and there is none.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>>;
    /// Creates a directory and its parents.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Whether the path exists.
    fn exists(&self, path: &Path) -> bool;
    /// Replaces `to` by `from`, atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all that is in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in a directory survive a power cut. As with [`File::sync`], an error is
    /// never one of [`is_no_space`].
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Locks a file (created when there is none) against every other holder, until the guard is dropped or the
    /// process ends. `None`: someone else holds it. A file system that nobody else can reach needs no lock.
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        self.open(path, true).map(|_| Some(Box::new(()) as LockGuard))
    }
}

/// Holds a lock for as long as it lives.
pub type LockGuard = Box<dyn std::any::Any + Send + Sync>;

/// Whether a call failed because the disk, or someone's share of it, is full. Then it has had no effect but for a part
/// of the bytes that were to be written, and may succeed when there is room again.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The error of a sync: some file systems find out only then that the disk is full, and what they do with the bytes is
/// as uncertain as after any other failed sync.
pub(crate) fn sync_error(error: io::Error) -> io::Error {
    if is_no_space(&error) { io::Error::other(error) } else { error }
}

/// Reads a whole file.
pub fn read(fs: &dyn Fs, path: &Path) -> io::Result<Vec<u8>> {
    let file = fs.open(path, false)?;
    let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes a whole file so that after a crash either the old content or the new one is there: a temporary
/// file is written, synced and renamed, and then the directory is synced. After an error of [`is_no_space`] the old content
/// is there.
pub fn write_atomically(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let renamed = write_synced(fs, &temporary, bytes).and_then(|()| fs.rename(&temporary, path));
    if let Err(error) = renamed {
        // What was written of it takes room that may be needed.
        let _ = fs.remove_file(&temporary);
        return Err(error);
    }
    match path.parent() {
        Some(directory) => fs.sync_dir(directory),
        None => Ok(()),
    }
}

fn write_synced(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = fs.open(path, true)?;
    file.set_len(0)?;
    file.write_at(bytes, 0)?;
    file.sync()
}

/// The operating system's file system.
pub struct OsFs;

impl Fs for OsFs {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = std::fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::File::open(path)?.sync_all().map_err(sync_error)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Box::new(file))),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// How often a lock is tried. A process that is just being started by the last holder has its descriptors until it runs
/// another program, and with them the lock: that passes within milliseconds.
const LOCK_TRIES: u32 = 20;

/// The pause after a try.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

struct OsFile(std::fs::File);

impl File for OsFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    fn read_into(&self, buffer: &mut Vec<u8>, length: usize, position: u64) -> io::Result<()> {
        buffer.clear();
        buffer.reserve_exact(length);
        while buffer.len() < length {
            let at = position + buffer.len() as u64;
            match rustix::io::pread(&self.0, rustix::buffer::spare_capacity(buffer), at) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error == rustix::io::Errno::INTR => {}
                Err(error) => return Err(error.into()),
            }
        }
        buffer.truncate(length);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data().map_err(sync_error)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}
