//! Where the broker keeps its data: a directory, or a disk whose power can be cut.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;

/// Bytes of a disk.
const DISK_BYTES: u64 = 1 << 30;

/// Where images of disks lie: in memory, since what they hold must not outlast anything.
const MEMORY: &str = "/dev/shm";

/// A place for data.
pub(crate) enum Storage {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A file system of its own.
    Disk(Disk),
}

impl Storage {
    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        match self {
            Storage::Directory(path) => path.clone(),
            Storage::Disk(disk) => disk.mount.join("data"),
        }
    }
}

/// An ext4 file system in an image that lies in memory. What has not been synced is in the kernel's cache and not in
/// the image: a copy of the image is what a disk holds after a power cut.
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// Makes an empty disk, mounted below `directory`.
    pub(crate) fn create(directory: &Path) -> Result<Self, String> {
        Self::of(directory, DISK_BYTES)
    }

    /// One of another size.
    pub(crate) fn of(directory: &Path, bytes: u64) -> Result<Self, String> {
        let name =
            format!("fleuve-chaos-{}-{}.img", std::process::id(), directory.display().to_string().replace('/', "-"));
        let disk = Disk { image: Path::new(MEMORY).join(name), mount: directory.join("disk") };
        std::fs::create_dir_all(&disk.mount).map_err(|e| e.to_string())?;
        let file = std::fs::File::create(&disk.image).map_err(|e| e.to_string())?;
        file.set_len(bytes).map_err(|e| e.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-E", "lazy_itable_init=0"]).arg(&disk.image))?;
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount))
    }

    /// Copies the image as it is now; the copy becomes the disk with [`replug`](Self::replug).
    pub(crate) fn cut(&self) -> Result<(), String> {
        run(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(self.copy()))
    }

    /// Takes what [`cut`](Self::cut) has kept as the disk. Nobody may use the old one any more.
    pub(crate) fn replug(&self) -> Result<(), String> {
        self.unmount()?;
        std::fs::rename(self.copy(), &self.image).map_err(|e| e.to_string())?;
        self.mount()
    }

    fn unmount(&self) -> Result<(), String> {
        // A process that was killed a moment ago may still hold it.
        (0..100)
            .find_map(|_| {
                let done = run(Command::new("umount").arg(&self.mount));
                if done.is_err() {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                done.ok()
            })
            .ok_or_else(|| format!("{} cannot be unmounted", self.mount.display()))
    }

    fn copy(&self) -> PathBuf {
        self.image.with_extension("cut")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.unmount();
        let _ = std::fs::remove_file(&self.image);
        let _ = std::fs::remove_file(self.copy());
    }
}
