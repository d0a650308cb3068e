//! Files that are written whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Explained};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner only (0600).
    Secret,
    /// Everybody (0644).
    Public,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Secret => 0o600,
            Self::Public => 0o644,
        }
    }
}

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something stands where a new file should be.
    #[error("{} exists", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Others can read or write what must be its owner's only.
    #[error("{} is open to others (mode {mode:o})", path.display())]
    Exposed {
        /// Which file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is larger than anything of its kind.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
}

impl FileError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

impl Explained for FileError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Io { .. } => "file",
            Self::Exists { .. } => "file-exists",
            Self::Exposed { .. } => "file-exposed",
            Self::TooLarge { .. } => "file-too-large",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn next(&self) -> String {
        match self {
            Self::Io { .. } => {
                "Check the path, its permissions and the room on the disk.".to_owned()
            }
            Self::Exists { .. } => {
                "Nothing was overwritten. Name another place, or move it away.".to_owned()
            }
            Self::Exposed { path, .. } => {
                format!(
                    "Consider what it holds known to others, then run `chmod go= {}`.",
                    path.display()
                )
            }
            Self::TooLarge { .. } => "Check that this is the file you mean.".to_owned(),
        }
    }
}

/// Makes a new file. It appears whole, and never in the place of another.
///
/// # Errors
/// [`FileError::Exists`] when there is one, [`FileError::Io`] otherwise.
pub fn create(path: &Path, bytes: &[u8], access: Access) -> Result<(), FileError> {
    let staged = Staged::write(path, bytes, access)?;
    // Unlike a rename, a link does not replace.
    fs::hard_link(&staged.path, path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists {
            path: path.to_owned(),
        },
        _ => FileError::Io {
            action: "create",
            path: path.to_owned(),
            source,
        },
    })?;
    drop(staged);
    sync_folder(path)
}

/// Replaces a file, or makes it. A crash leaves the old one or the new one.
///
/// # Errors
/// [`FileError::Io`].
pub fn replace(path: &Path, bytes: &[u8], access: Access) -> Result<(), FileError> {
    let staged = Staged::write(path, bytes, access)?;
    fs::rename(&staged.path, path).map_err(FileError::io("replace", path))?;
    sync_folder(path)
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`FileError::TooLarge`], [`FileError::Io`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(FileError::io("read", path))?;
    let length = file.metadata().map_err(FileError::io("read", path))?.len();
    if length > limit {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    io::Read::read_to_end(&mut io::Read::take(file, limit + 1), &mut bytes)
        .map_err(FileError::io("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// Makes a folder only its owner can enter (0700), with its parents, if it is not there.
///
/// # Errors
/// [`FileError::Io`].
pub fn private_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(FileError::io("create the folder", path))
}

/// Checks that nobody but the owner has any access.
///
/// # Errors
/// [`FileError::Exposed`], [`FileError::Io`].
pub fn check_private(path: &Path) -> Result<(), FileError> {
    let mode = fs::metadata(path)
        .map_err(FileError::io("look at", path))?
        .mode()
        & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// Moves a prepared folder to its place, which must be free or an empty folder.
///
/// # Errors
/// [`FileError::Exists`], [`FileError::Io`].
pub fn place_folder(prepared: &Path, path: &Path) -> Result<(), FileError> {
    fs::rename(prepared, path).map_err(|source| match source.kind() {
        io::ErrorKind::DirectoryNotEmpty
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::NotADirectory => FileError::Exists {
            path: path.to_owned(),
        },
        _ => FileError::Io {
            action: "create",
            path: path.to_owned(),
            source,
        },
    })?;
    sync_folder(path)
}

/// One process at a time in a folder, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Waits for the folder's lock file and takes it. The system frees it when the process ends.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn take(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join("lock");
        let mut options = OpenOptions::new();
        options
            .create(true)
            .truncate(false)
            .write(true)
            .mode(Access::Secret.mode());
        let file = options.open(&path).map_err(FileError::io("open", &path))?;
        file.lock().map_err(FileError::io("lock", &path))?;
        Ok(Self { _file: file })
    }
}

/// A temporary file beside its target, removed unless it was renamed.
struct Staged {
    path: PathBuf,
}

impl Staged {
    fn write(target: &Path, bytes: &[u8], access: Access) -> Result<Self, FileError> {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{}.tmp", std::process::id()));
        let staged = Self {
            path: target.with_file_name(name),
        };
        let mut options = OpenOptions::new();
        // A left-over of a process that had this number and died is of no use to anyone, and writing
        // into it would keep its permissions.
        let _ = fs::remove_file(&staged.path);
        options.create_new(true).write(true).mode(access.mode());
        let mut file = options
            .open(&staged.path)
            .map_err(FileError::io("write", target))?;
        file.write_all(bytes)
            .map_err(FileError::io("write", target))?;
        file.sync_all().map_err(FileError::io("write", target))?;
        Ok(staged)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}

fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(FileError::io("make durable", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn create_does_not_replace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, b"one", Access::Secret).unwrap();
        assert!(matches!(
            create(&path, b"two", Access::Secret),
            Err(FileError::Exists { .. })
        ));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn replace_replaces_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        replace(&path, b"one", Access::Public).unwrap();
        replace(&path, b"two", Access::Public).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn reads_no_more_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        fs::write(&path, [0; 11]).unwrap();
        assert!(matches!(
            read(&path, 10),
            Err(FileError::TooLarge { limit: 10, .. })
        ));
        assert_eq!(read(&path, 11).unwrap().len(), 11);
    }
}
