//! The disk the journal stands on: a seam wide enough for a simulated disk and no wider.
//!
//! One flat folder of files. Nothing here retries, buffers or caches: what a call returned is what
//! the operating system said, and only [`DiskFile::sync_data`] and [`Disk::sync_dir`] make anything durable.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};

use crate::lock::Owner;

/// One folder of files. Names are plain file names, without separators.
pub trait Disk: Send + Sync {
    /// The names of all files, in no order.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file for reading and writing, which must not exist.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`]; others as the operating system reports them.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`]; others as the operating system reports them.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Renames a file, atomically taking the place of any file named `to`.
    /// Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// As the operating system reports them.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// As the operating system reports them.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// As the operating system reports them; what was not synced then is unknown.
    fn sync_dir(&self) -> io::Result<()>;
}

impl<D: Disk + ?Sized> Disk for Arc<D> {
    fn list(&self) -> io::Result<Vec<String>> {
        (**self).list()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        (**self).create(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        (**self).open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        (**self).rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        (**self).remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        (**self).sync_dir()
    }
}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// The file's length in bytes.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn size_bytes(&self) -> io::Result<u64>;

    /// Fills `buffer` from the byte at `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before; others as the operating system reports them.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` from the byte at `offset` on, which lengthens the file when it ends before.
    ///
    /// # Errors
    /// As the operating system reports them; any part of `bytes` may have been written then.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file to `size_bytes`.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn truncate(&self, size_bytes: u64) -> io::Result<()>;

    /// Makes all that was written durable, with as much metadata as reading it back needs.
    ///
    /// # Errors
    /// As the operating system reports them. What was written since the last success is then
    /// unknown, and a second call proves nothing: Linux drops the error once it was reported.
    fn sync_data(&self) -> io::Result<()>;
}

/// The folder of a data folder's [`Owner`], by the system calls of `openat(2)`'s kind: renaming
/// the folder or planting a symbolic link in it leads nowhere.
#[derive(Debug)]
pub struct FsDisk {
    owner: Owner,
}

impl FsDisk {
    /// Takes the lock along: who has a disk, owns the folder.
    pub const fn new(owner: Owner) -> Self {
        Self { owner }
    }

    fn open_with(&self, name: &str, flags: OFlags) -> io::Result<Box<dyn DiskFile>> {
        let flags = flags | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let file: OwnedFd = rustix::fs::openat(self.owner.folder(), name, flags, mode)?;
        Ok(Box::new(FsFile(File::from(file))))
    }
}

impl Disk for FsDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self.owner.folder())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open_with(name, OFlags::CREATE | OFlags::EXCL)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open_with(name, OFlags::empty())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let folder = self.owner.folder();
        Ok(rustix::fs::renameat(folder, from, folder, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            self.owner.folder(),
            name,
            AtFlags::empty(),
        )?)
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.owner.folder())?)
    }
}

struct FsFile(File);

impl DiskFile for FsFile {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        self.0.set_len(size_bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// A folder among the system's temporary ones, which nobody else may enter and which is gone with this.
#[derive(Debug)]
pub(crate) struct ScratchDisk {
    disk: FsDisk,
    path: PathBuf,
}

impl ScratchDisk {
    pub(crate) fn new() -> io::Result<Self> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|error| io::Error::other(error.to_string()))?;
        let path = std::env::temp_dir().join(format!("strongroom-{}", hex::encode(name)));
        DirBuilder::new().mode(0o700).create(&path)?;
        let owner = Owner::acquire(&path).map_err(io::Error::other)?;
        let disk = FsDisk::new(owner);
        Ok(Self { disk, path })
    }
}

impl Drop for ScratchDisk {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, folder = %self.path.display(), "a temporary folder is left over");
        }
    }
}

impl Disk for ScratchDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    /// Nothing here has to last.
    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}
