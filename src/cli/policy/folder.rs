//! A bundle's folder, read into memory within a bundle's bounds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use policy::bundle;

use super::error::PolicyError;
use crate::files;

/// The folders that a bundle has.
const FOLDERS: [&str; 2] = ["books", "roots"];

/// Reads every file. What no bundle has is there without its content, so that it is reported.
///
/// # Errors
/// [`PolicyError::Folder`], [`PolicyError::File`].
pub fn read(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, PolicyError> {
    let mut files = BTreeMap::new();
    for (name, is_folder) in entries(folder)? {
        if !is_folder {
            add(&mut files, folder, name)?;
        } else if FOLDERS.contains(&name.as_str()) {
            for (inner, is_folder) in entries(&folder.join(&name))? {
                let end = if is_folder { "/" } else { "" };
                add(&mut files, folder, format!("{name}/{inner}{end}"))?;
            }
        } else {
            add(&mut files, folder, format!("{name}/"))?;
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<(String, bool)>, PolicyError> {
    let failed = |source| PolicyError::Folder {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Through links: what counts is what the files hold.
        let is_folder = fs::metadata(entry.path()).map_err(failed)?.is_dir();
        found.push((entry.file_name().to_string_lossy().into_owned(), is_folder));
    }
    Ok(found)
}

fn add(
    files: &mut BTreeMap<String, Vec<u8>>,
    folder: &Path,
    path: String,
) -> Result<(), PolicyError> {
    let bytes = match bundle::byte_limit(&path) {
        Some(limit) => files::read(&folder.join(&path), limit as u64).map_err(PolicyError::File)?,
        None => Vec::new(),
    };
    files.insert(path, bytes);
    Ok(())
}
