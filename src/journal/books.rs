//! The files of books that are loaded apart from the bundle, kept by their hashes.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

use policy::{
    Digest,
    book::{BYTES_MAX, BookError, file_hash},
};
use thiserror::Error;

/// Why a book's file is not there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BookFileError {
    /// It cannot be read or written.
    #[error("{path} cannot be {action}")]
    Io {
        /// Which.
        path: PathBuf,
        /// `read` or `written`.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It is no book, or another one.
    #[error("the file is not the book that it should be")]
    Book(#[source] BookError),
}

impl From<BookError> for BookFileError {
    fn from(error: BookError) -> Self {
        Self::Book(error)
    }
}

/// The files of books, each named by its hash. One that is no longer read by the signer stays for auditors.
#[derive(Clone, Debug)]
pub struct BookStore {
    folder: PathBuf,
}

impl BookStore {
    /// The books of a data folder.
    pub fn of(data: &Path) -> Self {
        Self {
            folder: data.join("books"),
        }
    }

    /// Keeps a file, durably, before the journal names it.
    ///
    /// # Errors
    /// [`BookFileError::Io`].
    pub fn keep(&self, bytes: &[u8]) -> Result<Digest, BookFileError> {
        let hash = file_hash(bytes);
        let path = self.path(hash);
        self.write(&path, bytes)
            .map_err(|source| BookFileError::Io {
                path,
                action: "written",
                source,
            })?;
        Ok(hash)
    }

    /// The bytes of a file that was kept. Whether they are still those of its hash is for the caller to see.
    ///
    /// # Errors
    /// [`BookFileError::Io`], also where there is none.
    pub fn file(&self, hash: Digest) -> Result<Vec<u8>, BookFileError> {
        read_book(&self.path(hash))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let draft = path.with_extension("tmp");
        fs::write(&draft, bytes)?;
        sync(&draft)?;
        fs::rename(&draft, path)?;
        sync(&self.folder)?;
        self.folder.parent().map_or(Ok(()), sync)
    }

    fn path(&self, hash: Digest) -> PathBuf {
        self.folder.join(format!("{hash}.txt"))
    }
}

/// The bytes of a book's file, never more than one has.
///
/// # Errors
/// [`BookFileError`].
pub fn read_book(path: &Path) -> Result<Vec<u8>, BookFileError> {
    let failed = |source| BookFileError::Io {
        path: path.into(),
        action: "read",
        source,
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(BYTES_MAX.saturating_add(1) as u64)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    match bytes.len() <= BYTES_MAX {
        true => Ok(bytes),
        false => Err(BookError::TooLong.into()),
    }
}

fn sync(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_is_there_whole_and_under_its_hash() {
        let data = tempfile::tempdir().unwrap();
        let store = BookStore::of(data.path());
        let hash = store.keep(b"a\n").unwrap();
        assert_eq!(store.keep(b"a\n").unwrap(), hash);
        assert_eq!(store.file(hash).unwrap(), b"a\n");
        let other = file_hash(b"b\n");
        assert!(matches!(store.file(other), Err(BookFileError::Io { .. })));
        assert_eq!(fs::read_dir(data.path().join("books")).unwrap().count(), 1);
    }
}
