//! An exported log: tiles and checkpoint as any C2SP client reads them, what the entries say beside
//! them, a JSON object a line, and the bundles that governed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use api::journal::JournalBody;
use journal::{
    BundleStore,
    segment::{Leaf, Salt},
};
use tlog::Hash;

use super::error::AuditError;
use super::signed::digest;
use crate::files::FileError;

/// The newest signed checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// What the entries say.
pub const BODIES: &str = "bodies.ndjson";
/// The bundles that governed.
pub const BUNDLES: &str = "bundles";
/// The tiles.
pub const TILES: &str = "tile";
/// Held while a folder is written.
pub const LOCK: &str = "lock";
/// The longest line: an entry and a text that it names, both escaped.
const LINE_MAX_BYTES: u64 = 32 << 20;

/// The lines of a log's bodies.
pub struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    line: Vec<u8>,
    /// Where the last whole line that was read ends.
    end: u64,
}

/// A line that is no entry.
#[derive(Debug)]
pub enum BadLine {
    /// It is not ended: a copy that was cut off.
    Torn,
    /// It is no JSON of an entry, or longer than any.
    Form(String),
}

impl Lines {
    /// Those of a folder.
    ///
    /// # Errors
    /// Those of files.
    pub fn open(folder: &Path) -> Result<Self, AuditError> {
        let path = folder.join(BODIES);
        let file = File::open(&path).map_err(|source| {
            AuditError::File(FileError::Io {
                action: "read",
                path: path.clone(),
                source,
            })
        })?;
        Ok(Self {
            path,
            file: BufReader::new(file),
            line: Vec::new(),
            end: 0,
        })
    }

    /// Where the last whole line that was read ends, in bytes.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// The next entry.
    ///
    /// # Errors
    /// Those of files; a line that is none is no error, but what comes last.
    pub fn entry(&mut self) -> Result<Option<Result<JournalBody, BadLine>>, AuditError> {
        self.line.clear();
        let mut limited = Read::take(&mut self.file, LINE_MAX_BYTES);
        let read = limited.read_until(b'\n', &mut self.line);
        let read = read.map_err(|source: io::Error| {
            AuditError::File(FileError::Io {
                action: "read",
                path: self.path.clone(),
                source,
            })
        })?;
        let Some((b'\n', text)) = self.line.split_last() else {
            return Ok((read > 0).then_some(Err(BadLine::Torn)));
        };
        self.end += read as u64;
        let read = serde_json::from_slice::<JournalBody>(text);
        let written = read.and_then(|body| Ok((serde_json::to_vec(&body)?, body)));
        // One spelling for one entry, so that no byte of a copy can be changed unnoticed.
        Ok(Some(match written {
            Ok((again, body)) if again == text => Ok(body),
            Ok(_) => Err(BadLine::Form("it has another spelling".to_owned())),
            Err(error) => Err(BadLine::Form(error.to_string())),
        }))
    }
}

/// The leaf of an entry as it is said to be.
pub fn leaf(body: &JournalBody) -> Option<Leaf> {
    Some(Leaf::of(Hash::new(digest(&body.commitment)?)))
}

/// Whether what an entry is said to hold is what its leaf commits to; true for one that is not told.
pub fn opens(body: &JournalBody) -> bool {
    let Some(opening) = &body.opening else {
        return true;
    };
    let committed =
        digest(&opening.salt).map(|salt| Leaf::commit(&Salt::new(salt), opening.body.as_bytes()));
    committed.is_some() && committed == leaf(body)
}

/// The bundles of a folder.
pub fn bundles(folder: &Path) -> BundleStore {
    BundleStore::of(folder)
}

/// One entry of a folder.
///
/// # Errors
/// [`AuditError::NoEntry`], and those of files.
pub fn entry(folder: &Path, wanted: u64) -> Result<JournalBody, AuditError> {
    let mut lines = Lines::open(folder)?;
    while let Some(Ok(body)) = lines.entry()? {
        if body.entry == wanted {
            return Ok(body);
        }
    }
    Err(AuditError::NoEntry { entry: wanted })
}
