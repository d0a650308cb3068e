//! The disk with errors that say what was being done to which file.

use std::{io, sync::Arc};

use super::error::{DiskAction, DiskError};
use super::format::TEMPORARY_SUFFIX;
use crate::disk::{Disk, DiskFile};

/// The journal's folder.
pub(crate) struct Folder(Arc<dyn Disk>);

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Folder")
    }
}

impl Folder {
    pub(crate) fn new(disk: impl Into<Arc<dyn Disk>>) -> Self {
        Self(disk.into())
    }

    pub(crate) fn list(&self) -> Result<Vec<String>, DiskError> {
        self.0
            .list()
            .map_err(failed(DiskAction::List, "the folder"))
    }

    pub(crate) fn open(&self, name: &str) -> Result<NamedFile, DiskError> {
        let file = self.0.open(name).map_err(failed(DiskAction::Open, name))?;
        let name = name.to_owned();
        Ok(NamedFile { name, file })
    }

    /// Opens a file whose contents need not last, made when it is not there.
    pub(crate) fn open_or_create(&self, name: &str) -> Result<NamedFile, DiskError> {
        match self.0.create(name) {
            Ok(file) => Ok(NamedFile {
                name: name.to_owned(),
                file,
            }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.open(name),
            Err(error) => Err(failed(DiskAction::Create, name)(error)),
        }
    }

    /// Makes a durable file of that name and contents, whole or not at all, in place of any other.
    pub(crate) fn put(&self, name: &str, contents: &[u8]) -> Result<NamedFile, DiskError> {
        let file = self.begin(name)?;
        if let Err(error) = file.write(contents, 0) {
            // What did fit would otherwise take the last space. The first error is the one that counts.
            drop(self.0.remove(&temporary(name)));
            return Err(error);
        }
        file.sync()?;
        self.name(name)?;
        Ok(file)
    }

    /// Begins a file that has its name only once [`Folder::name`] gave it.
    pub(crate) fn begin(&self, name: &str) -> Result<NamedFile, DiskError> {
        let temporary = temporary(name);
        match self.0.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(DiskAction::Remove, &temporary)(error));
            }
            _ => {}
        }
        let file = self
            .0
            .create(&temporary)
            .map_err(failed(DiskAction::Create, &temporary))?;
        let name = name.to_owned();
        Ok(NamedFile { name, file })
    }

    /// Gives a file that was begun and synced its name, durably, in place of any other.
    pub(crate) fn name(&self, name: &str) -> Result<(), DiskError> {
        let temporary = temporary(name);
        self.0
            .rename(&temporary, name)
            .map_err(failed(DiskAction::Rename, &temporary))?;
        self.sync()
    }

    /// Renames a file, durably.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.0
            .rename(from, to)
            .map_err(failed(DiskAction::Rename, from))?;
        self.sync()
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.0
            .remove(name)
            .map_err(failed(DiskAction::Remove, name))
    }

    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.0
            .sync_dir()
            .map_err(failed(DiskAction::SyncFolder, "the log"))
    }
}

fn temporary(name: &str) -> String {
    format!("{name}{TEMPORARY_SUFFIX}")
}

/// An open file that knows its name.
pub(crate) struct NamedFile {
    name: String,
    file: Box<dyn DiskFile>,
}

impl NamedFile {
    pub(crate) fn size_bytes(&self) -> Result<u64, DiskError> {
        self.file
            .size_bytes()
            .map_err(self.failed(DiskAction::Open))
    }

    /// Reads `bytes` bytes over the contents of `buffer`.
    pub(crate) fn read(
        &self,
        buffer: &mut Vec<u8>,
        bytes: usize,
        offset: u64,
    ) -> Result<(), DiskError> {
        buffer.resize(bytes, 0);
        self.file
            .read_exact_at(buffer, offset)
            .map_err(self.failed(DiskAction::Read))
    }

    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(self.failed(DiskAction::Write))
    }

    pub(crate) fn truncate(&self, size_bytes: u64) -> Result<(), DiskError> {
        self.file
            .truncate(size_bytes)
            .map_err(self.failed(DiskAction::Truncate))
    }

    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(self.failed(DiskAction::Sync))
    }

    fn failed(&self, action: DiskAction) -> impl FnOnce(io::Error) -> DiskError + use<'_> {
        failed(action, &self.name)
    }
}

fn failed(action: DiskAction, name: &str) -> impl FnOnce(io::Error) -> DiskError + use<'_> {
    move |source| DiskError {
        action,
        name: name.to_owned(),
        source,
    }
}
