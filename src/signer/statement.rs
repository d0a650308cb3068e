//! The files in which officers' statements come: a text, and the signatures under it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

/// The longest statement or file of signatures that is read.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// A statement or a file of signatures cannot be read.
#[derive(Debug, Error)]
#[error("{} cannot be read", path.display())]
pub struct UnreadStatement {
    /// Which.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// A statement, and all signatures under it.
///
/// # Errors
/// [`UnreadStatement`].
pub fn read(statement: &Path, signatures: &[PathBuf]) -> Result<(String, String), UnreadStatement> {
    let mut armour = String::new();
    for path in signatures {
        armour.push_str(&read_one(path)?);
        armour.push('\n');
    }
    Ok((read_one(statement)?, armour))
}

fn read_one(path: &Path) -> Result<String, UnreadStatement> {
    let failed = |source| UnreadStatement {
        path: path.into(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}
