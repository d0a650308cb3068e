//! The disk with errors that say what was being done to which file.

use std::io;

use super::error::{DiskAction, DiskError};
use super::format::TEMPORARY_SUFFIX;
use crate::disk::{Disk, DiskFile};

/// The log's folder.
pub(super) struct Folder(Box<dyn Disk>);

impl Folder {
    pub(super) fn new(disk: Box<dyn Disk>) -> Self {
        Self(disk)
    }

    pub(super) fn list(&self) -> Result<Vec<String>, DiskError> {
        self.0
            .list()
            .map_err(failed(DiskAction::List, "the folder"))
    }

    pub(super) fn open(&self, name: &str) -> Result<NamedFile, DiskError> {
        let file = self.0.open(name).map_err(failed(DiskAction::Open, name))?;
        let name = name.to_owned();
        Ok(NamedFile { name, file })
    }

    /// Makes a durable file of that name and contents, whole or not at all, in place of any other.
    pub(super) fn put(&self, name: &str, contents: &[u8]) -> Result<NamedFile, DiskError> {
        let temporary = format!("{name}{TEMPORARY_SUFFIX}");
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
        let file = NamedFile {
            name: name.to_owned(),
            file,
        };
        if let Err(error) = file.write(contents, 0) {
            // What did fit would otherwise take the last space. The first error is the one that counts.
            drop(self.0.remove(&temporary));
            return Err(error);
        }
        file.sync()?;
        self.0
            .rename(&temporary, name)
            .map_err(failed(DiskAction::Rename, &temporary))?;
        self.sync()?;
        Ok(file)
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.0
            .remove(name)
            .map_err(failed(DiskAction::Remove, name))
    }

    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.0
            .sync_dir()
            .map_err(failed(DiskAction::SyncFolder, "the log"))
    }
}

/// An open file that knows its name.
pub(super) struct NamedFile {
    name: String,
    file: Box<dyn DiskFile>,
}

impl NamedFile {
    pub(super) fn size_bytes(&self) -> Result<u64, DiskError> {
        self.file
            .size_bytes()
            .map_err(self.failed(DiskAction::Open))
    }

    /// Reads `bytes` bytes over the contents of `buffer`.
    pub(super) fn read(
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

    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(self.failed(DiskAction::Write))
    }

    pub(super) fn truncate(&self, size_bytes: u64) -> Result<(), DiskError> {
        self.file
            .truncate(size_bytes)
            .map_err(self.failed(DiskAction::Truncate))
    }

    pub(super) fn sync(&self) -> Result<(), DiskError> {
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
