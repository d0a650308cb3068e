//! The folder of a keystore: whose it is, what is in it, and how files come and go.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fstat, fsync, mkdirat,
        openat, renameat_with, statat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};

use super::{
    error::{Fault, KeystoreError},
    hex::Hex,
};

/// The longest file that is read, in bytes. Ours have about 900.
const FILE_MAX_BYTES: u64 = 16 * 1024;
/// The most names that are looked at in one folder.
const NAMES_MAX: usize = 4096;

/// An open folder that belongs to this process's user and that nobody else may write to. Files are
/// opened below it by name, so that a folder put in its place later is never seen.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// [`Fault`] when it is none, is a link, is another user's, or may be written by others.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(CWD, path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => Fault::Kind { wanted: "folder" },
            errno => unreadable(errno),
        })?;
        let stat = fstat(&folder).map_err(unreadable)?;
        check_owner(&stat)?;
        check_mode(&stat, 0o022, "nobody else may write to it")?;
        Ok(Self(folder))
    }

    /// Makes the folder, or takes one that is empty.
    pub(super) fn create(path: &Path) -> Result<Self, Fault> {
        match mkdirat(CWD, path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(unreadable(errno)),
        }
        let folder = Self::open(path)?;
        if !folder.names()?.is_empty() {
            return Err(Fault::NotEmpty);
        }
        Ok(folder)
    }

    /// The names of what is in it, those with a point in front left out, in order.
    pub(super) fn names(&self) -> Result<Vec<String>, Fault> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            if names.len() >= NAMES_MAX {
                return Err(Fault::Unreadable(io::ErrorKind::OutOfMemory));
            }
            names.push(name);
        }
        names.sort();
        Ok(names)
    }

    /// Whether there is something of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        !matches!(
            statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW),
            Err(Errno::NOENT)
        )
    }

    /// Reads a file; `None` when there is none.
    ///
    /// # Errors
    /// [`Fault`] when it is no regular file, another user's, open to others, or too long.
    pub(super) fn read(&self, name: &str) -> Result<Option<String>, Fault> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(Fault::Kind { wanted: "file" }),
            Err(errno) => return Err(unreadable(errno)),
        };
        let stat = fstat(&file).map_err(unreadable)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Fault::Kind { wanted: "file" });
        }
        check_owner(&stat)?;
        check_mode(&stat, 0o7177, "it must be 0600 or 0400")?;
        let mut text = String::new();
        let unread = |error: io::Error| Fault::Unreadable(error.kind());
        let read = File::from(file)
            .take(FILE_MAX_BYTES.saturating_add(1))
            .read_to_string(&mut text)
            .map_err(unread)?;
        if u64::try_from(read).unwrap_or(u64::MAX) > FILE_MAX_BYTES {
            let max = FILE_MAX_BYTES;
            return Err(Fault::TooLong { max });
        }
        Ok(Some(text))
    }

    /// Writes a new file, whole or not at all, and through to the disk.
    ///
    /// # Errors
    /// [`KeystoreError::KeyExists`] when there is one of this name; it stays as it is.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), KeystoreError> {
        let prepared = format!(".{name}.{}", Hex::<8>::random()?);
        let written = self.prepare(&prepared, text).and_then(|()| {
            renameat_with(&self.0, &prepared, &self.0, name, RenameFlags::NOREPLACE).map_err(
                |errno| match errno {
                    Errno::EXIST => KeystoreError::KeyExists,
                    errno => KeystoreError::Write(errno.into()),
                },
            )
        });
        if let Err(error) = written {
            // What failed first matters more; names with a point in front are nobody's key.
            let _ = unlinkat(&self.0, &prepared, AtFlags::empty());
            return Err(error);
        }
        fsync(&self.0).map_err(|errno| {
            let _ = unlinkat(&self.0, name, AtFlags::empty());
            KeystoreError::Sync(errno.into())
        })
    }

    fn prepare(&self, name: &str, text: &str) -> Result<(), KeystoreError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| KeystoreError::Write(errno.into()))?;
        let mut file = File::from(file);
        file.write_all(text.as_bytes())
            .map_err(KeystoreError::Write)?;
        fsync(file.as_fd()).map_err(|errno| KeystoreError::Sync(errno.into()))
    }

    /// Removes a file.
    pub(super) fn remove(&self, name: &str) -> Result<(), KeystoreError> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) => fsync(&self.0).map_err(|errno| KeystoreError::Sync(errno.into())),
            Err(Errno::NOENT) => Err(KeystoreError::KeyUnknown),
            Err(errno) => Err(KeystoreError::Write(errno.into())),
        }
    }
}

fn unreadable(errno: Errno) -> Fault {
    Fault::Unreadable(io::Error::from(errno).kind())
}

fn check_owner(stat: &Stat) -> Result<(), Fault> {
    let (found, wanted) = (stat.st_uid, geteuid().as_raw());
    (found == wanted)
        .then_some(())
        .ok_or(Fault::Owner { found, wanted })
}

fn check_mode(stat: &Stat, refused: u32, wanted: &'static str) -> Result<(), Fault> {
    let found = stat.st_mode & 0o7777;
    (found & refused == 0)
        .then_some(())
        .ok_or(Fault::Mode { found, wanted })
}
