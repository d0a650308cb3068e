//! One daemon a data folder.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// The file that is locked. It is never removed: a lock on a removed file would exclude nobody.
const LOCK_FILE: &str = "lock";

/// Proof of holding the exclusive lock (`flock(2)`) of a data folder, until dropped.
///
/// Two writers on one journal would both be consistent and would each know half of what was
/// spent. The lock holds between processes of one host, and between two owners in one process. It is shared with a
/// child that was forked without `exec`. On a network file system it is worth what the file system makes of it.
#[derive(Debug)]
pub struct Owner {
    path: PathBuf,
    folder: OwnedFd,
    /// Held for its lock.
    _lock: OwnedFd,
}

impl Owner {
    /// Locks `folder`, which must exist, without waiting.
    ///
    /// # Errors
    /// [`LockError::Held`] when somebody else holds the lock; [`LockError::Folder`] when the folder or
    /// its lock file cannot be opened.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let failed = |errno: Errno| LockError::Folder {
            folder: folder.to_owned(),
            source: errno.into(),
        };
        let flags = OFlags::CLOEXEC | OFlags::RDONLY | OFlags::DIRECTORY;
        let opened = rustix::fs::openat(CWD, folder, flags, Mode::empty()).map_err(failed)?;
        let flags = OFlags::CLOEXEC | OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
        let lock = rustix::fs::openat(&opened, LOCK_FILE, flags, Mode::RUSR | Mode::WUSR)
            .map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path: folder.to_owned(),
                folder: opened,
                _lock: lock,
            }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Held {
                folder: folder.to_owned(),
            }),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// The folder's path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder itself, whatever it is called by now.
    pub(crate) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// Why a data folder could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process, or another owner in this one, holds the folder.
    #[error("{} is in use by another signer", folder.display())]
    Held {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder or its lock file could not be opened or locked.
    #[error("could not lock {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}
