//! Bundles as folders: reading one, and keeping those that governed.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use policy::{
    BundleHash, Policy,
    bundle::{Trust, byte_limit, load},
};
use thiserror::Error;

use crate::{BundleError, Bundles};

/// Why a bundle's folder cannot be read or kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file or folder cannot be read or written.
    #[error("{path} cannot be {action}")]
    Io {
        /// Which.
        path: PathBuf,
        /// `read` or `written`.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file that no bundle has, or larger than it may be.
    #[error("{path} is no file of a bundle, or too large for one")]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// A file's name is not UTF-8.
    #[error("a file in {folder} has a name that is not UTF-8")]
    Name {
        /// The folder.
        folder: PathBuf,
    },
}

/// Reads the files of a bundle: those in the folder, in `books` and in `roots`, by their paths with
/// `/`.
///
/// # Errors
/// [`FolderError`]; a file that no bundle has is an error, not passed over: what is not signed does not lie beside what
/// is, where it could be taken for it.
pub fn read_folder(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, FolderError> {
    let mut files = BTreeMap::new();
    read_into(folder, "", &mut files)?;
    for sub in ["books", "roots"] {
        let path = folder.join(sub);
        if path.is_dir() {
            read_into(&path, &format!("{sub}/"), &mut files)?;
        }
    }
    Ok(files)
}

fn read_into(
    folder: &Path,
    prefix: &str,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), FolderError> {
    let failed = |source| FolderError::Io {
        path: folder.into(),
        action: "read",
        source,
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|_| FolderError::Name {
            folder: folder.into(),
        })?;
        if entry.path().is_dir() {
            if prefix.is_empty() && matches!(name.as_str(), "books" | "roots") {
                continue;
            }
            return Err(FolderError::Foreign { path: entry.path() });
        }
        let path = format!("{prefix}{name}");
        files.insert(path.clone(), read_file(&entry.path(), &path)?);
    }
    Ok(())
}

/// One file, never more of it than its bound.
fn read_file(path: &Path, name: &str) -> Result<Vec<u8>, FolderError> {
    let foreign = || FolderError::Foreign { path: path.into() };
    let failed = |source| FolderError::Io {
        path: path.into(),
        action: "read",
        source,
    };
    let limit = byte_limit(name)
        .and_then(|limit| u64::try_from(limit).ok())
        .ok_or_else(foreign)?;
    // What is no file at all, such as a pipe, is not waited for; what is too large is not read.
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() || metadata.len() > limit {
        return Err(foreign());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(foreign());
    }
    Ok(bytes)
}

/// The bundles that governed, each in a folder named by its hash.
#[derive(Clone, Debug)]
pub struct BundleStore {
    folder: PathBuf,
    /// The first one that governed.
    first: Option<BundleHash>,
}

impl BundleStore {
    /// The bundles of a data folder.
    pub fn of(data: &Path) -> Self {
        Self {
            folder: data.join("bundles"),
            first: None,
        }
    }

    /// Of which this one must have been the first.
    #[must_use]
    pub fn pinned(self, first: BundleHash) -> Self {
        Self {
            first: Some(first),
            ..self
        }
    }

    /// Keeps a bundle, durably, before the journal names it.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn keep(
        &self,
        hash: BundleHash,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<(), FolderError> {
        let folder = self.kept(hash);
        let failed = |source| FolderError::Io {
            path: folder.clone(),
            action: "written",
            source,
        };
        // One that is there and differs is of no use to anyone.
        if !read_folder(&folder).is_ok_and(|kept| kept == *files) {
            self.write(hash, files).map_err(failed)?;
        }
        // Even when it was there: an earlier sync may have failed.
        self.sync_folders().map_err(failed)
    }

    /// The files of a bundle that was kept.
    ///
    /// # Errors
    /// [`FolderError`]; [`FolderError::Io`] when there is none of this hash.
    pub fn files(&self, hash: BundleHash) -> Result<BTreeMap<String, Vec<u8>>, FolderError> {
        read_folder(&self.kept(hash))
    }

    fn write(&self, hash: BundleHash, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        let (folder, draft) = (self.kept(hash), self.folder.join(format!("{hash}.tmp")));
        for old in [&draft, &folder] {
            if old.exists() {
                fs::remove_dir_all(old)?;
            }
        }
        write_all(&draft, files)?;
        fs::rename(&draft, &folder)
    }

    /// The bundles' folder, and the data folder that names it.
    fn sync_folders(&self) -> io::Result<()> {
        sync(&self.folder)?;
        self.folder.parent().map_or(Ok(()), sync)
    }

    fn kept(&self, hash: BundleHash) -> PathBuf {
        self.folder.join(hash.to_string())
    }
}

impl Bundles for BundleStore {
    fn load(&self, hash: BundleHash) -> Result<Arc<Policy>, BundleError> {
        let failed = |reason: String| BundleError { hash, reason };
        let files = self
            .files(hash)
            .map_err(|error| failed(error.to_string()))?;
        // By its hash alone: its signatures were counted when it was activated.
        let bundle =
            load(&files, Trust::Activated(hash)).map_err(|error| failed(error.to_string()))?;
        Ok(Arc::new(bundle.into_policy()))
    }

    fn first(&self) -> Option<BundleHash> {
        self.first
    }
}

fn write_all(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for sub in ["", "books", "roots"] {
        fs::create_dir_all(folder.join(sub))?;
    }
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes)?;
        sync(&path)?;
    }
    for sub in ["books", "roots", ""] {
        sync(&folder.join(sub))?;
    }
    Ok(())
}

fn sync(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_bundle_has_and_refuses_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("books")).unwrap();
        fs::write(path.join("policy.toml"), "a").unwrap();
        fs::write(path.join("books/customers.txt"), "b").unwrap();
        let files = read_folder(path).unwrap();
        assert_eq!(
            files.keys().collect::<Vec<_>>(),
            ["books/customers.txt", "policy.toml"]
        );
        for foreign in ["notes", "README.md", "books/README.md", "roots/notes.toml"] {
            if foreign.starts_with("roots") {
                fs::create_dir(path.join("roots")).unwrap();
            }
            fs::write(path.join(foreign), "d").unwrap();
            assert!(
                matches!(read_folder(path), Err(FolderError::Foreign { .. })),
                "{foreign}"
            );
            fs::remove_file(path.join(foreign)).unwrap();
        }
        fs::create_dir(path.join("deep")).unwrap();
        assert!(matches!(
            read_folder(path),
            Err(FolderError::Foreign { .. })
        ));
    }

    #[test]
    fn a_kept_bundle_is_there_once() {
        let data = tempfile::tempdir().unwrap();
        let store = BundleStore::of(data.path());
        let files = BTreeMap::from([("books/a.txt".to_owned(), b"x".to_vec())]);
        let hash = BundleHash([7; 32]);
        store.keep(hash, &files).unwrap();
        store.keep(hash, &files).unwrap();
        assert_eq!(read_folder(&store.kept(hash)).unwrap(), files);
        assert_eq!(
            fs::read_dir(data.path().join("bundles")).unwrap().count(),
            1
        );
    }
}
