//! What a witness keeps of a log for auditors, opened: from the witness itself, or a copy of its folder.

use std::io;
use std::path::{Path, PathBuf};

use api::journal::{BundleFile, JournalBody};
use policy::BundleHash;
use sha2::{Digest as _, Sha256};
use tlog::checkpoint::SignedCheckpoint;
use tokio::runtime::Runtime;

use super::error::AuditError;
use super::export::Source;
use super::signed::LogKeys;
use crate::bodies::{Chunk, ChunkFormError, Identities, IdentityError, Kept, OpenError, Range};
use crate::client;
use crate::failure::Exit;
use crate::files::{self, FileError};
use crate::witness::{Answered, Link, LinkError, Place};

/// The name of the index in a copy of a witness's folder.
const INDEX: &str = "index";
/// The largest index that is read.
const INDEX_MAX_BYTES: usize = 256 << 20;
/// The largest chunk that is read.
const CHUNK_MAX_BYTES: usize = 1 << 30;

/// Why what a witness keeps cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// The auditor's key cannot be read.
    #[error(transparent)]
    Identity(IdentityError),
    /// The address, or the roots, cannot be used.
    #[error("{0}")]
    Place(String),
    /// The witness does not answer.
    #[error("the witness does not answer")]
    Link(#[source] LinkError),
    /// The witness answers something else.
    #[error("of the witness: {said}")]
    Answer {
        /// What it said.
        said: String,
    },
    /// It keeps none of the log.
    #[error("nothing is kept of {origin} there")]
    None {
        /// The log.
        origin: String,
    },
    /// The index is none.
    #[error("line {line} of the index is none")]
    Index {
        /// The line, from 1.
        line: usize,
    },
    /// Entries are not kept, or their chunk is not there.
    #[error("the chunk of entries {range} is missing")]
    Missing {
        /// Which.
        range: Range,
    },
    /// A chunk is shorter than what was kept.
    #[error("the chunk of entries {range} is cut off: {found} of {bytes} bytes are there")]
    Truncated {
        /// Which.
        range: Range,
        /// How many bytes are there.
        found: u64,
        /// How many were kept.
        bytes: u64,
    },
    /// A chunk is not what was kept, or was never one.
    #[error("the chunk of entries {range} was changed, or was encrypted wrongly")]
    Changed {
        /// Which.
        range: Range,
    },
    /// A chunk is that of other entries.
    #[error("in the place of entries {range} stands the chunk of {found} of {origin}")]
    Swapped {
        /// Which it should be.
        range: Range,
        /// Which it is.
        found: Range,
        /// Of which log.
        origin: String,
    },
    /// What was decrypted is no chunk.
    #[error("what was decrypted of entries {range} is no chunk")]
    Form {
        /// Which.
        range: Range,
        /// Why not.
        #[source]
        source: ChunkFormError,
    },
    /// It is encrypted to others.
    #[error("the chunk of entries {range} is encrypted to others than this identity")]
    Others {
        /// Which.
        range: Range,
    },
    /// No checkpoint ends where entries that are there do.
    #[error("no checkpoint in the chunks is of as many entries as are there, {end}, or fewer")]
    NoCheckpoint {
        /// How many entries are there.
        end: u64,
    },
}

impl ChunkError {
    /// Its stable name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity",
            Self::Place(_) => "witness-place",
            Self::Link(_) => "witness-unreachable",
            Self::Answer { .. } => "witness-answer",
            Self::None { .. } => "no-chunks",
            Self::Index { .. } => "chunk-index",
            Self::Missing { .. } => "chunk-missing",
            Self::Truncated { .. } => "chunk-truncated",
            Self::Changed { .. } => "chunk-changed",
            Self::Swapped { .. } => "chunk-swapped",
            Self::Form { .. } => "chunk-form",
            Self::Others { .. } => "chunk-identity",
            Self::NoCheckpoint { .. } => "chunk-checkpoint",
        }
    }

    /// How the command ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Identity(_) | Self::Place(_) => Exit::Usage,
            Self::Link(_) | Self::Answer { .. } => Exit::Unreachable,
            _ => Exit::Refused,
        }
    }

    /// What to do.
    pub fn next(&self) -> &'static str {
        match self {
            Self::Identity(_) => {
                "An identity is a line AGE-SECRET-KEY-1… in a file of mode 0600, as `strongroom audit keygen` writes it."
            }
            Self::Place(_) => {
                "Give https:// and --ca, http:// on this machine, or a copy of the witness's folder."
            }
            Self::Link(_) | Self::Answer { .. } => {
                "Look at the witness, or take another one: run the same command again, and it goes on where it ended."
            }
            Self::None { .. } => "Check the log's key, and that this witness keeps bodies.",
            Self::Others { .. } => {
                "Check which of your identities the policy named when these entries were brought to the witness."
            }
            Self::NoCheckpoint { .. } => {
                "Take another witness: this one was not brought all entries of any checkpoint."
            }
            _ => {
                "Keep it as evidence, and go on from another witness with the same command and folder."
            }
        }
    }
}

impl From<ChunkError> for AuditError {
    fn from(error: ChunkError) -> Self {
        Self::Chunk(Box::new(error))
    }
}

/// Where the chunks are.
enum Store {
    Witness {
        link: Box<Link>,
        path: String,
        runtime: Runtime,
    },
    Folder(PathBuf),
}

/// The chunks of a log, opened one after the other.
pub struct Chunks<'a> {
    store: Store,
    keys: &'a LogKeys,
    identities: &'a Identities,
    index: Vec<Kept>,
    /// The last one that was opened.
    opened: Option<Chunk>,
}

impl<'a> Chunks<'a> {
    /// Those at a URL, or in a folder. Its index has no gap.
    ///
    /// # Errors
    /// [`ChunkError`], and those of files.
    pub fn of(
        from: &str,
        roots: Option<&[u8]>,
        keys: &'a LogKeys,
        identities: &'a Identities,
    ) -> Result<Self, AuditError> {
        let log = hex::encode(Sha256::digest(keys.origin().as_str()));
        let store = if from.contains("://") {
            let place = Place::new(from, roots, None).map_err(ChunkError::Place)?;
            Store::Witness {
                link: Box::new(Link::to(place)),
                path: format!("/bodies/{log}"),
                runtime: client::runtime()?,
            }
        } else {
            let whole = Path::new(from).join(log);
            let is_whole = whole.join(INDEX).exists();
            Store::Folder(if is_whole { whole } else { from.into() })
        };
        let mut chunks = Self {
            store,
            keys,
            identities,
            index: Vec::new(),
            opened: None,
        };
        chunks.read_index()?;
        Ok(chunks)
    }

    /// How many entries are there.
    pub fn end(&self) -> u64 {
        self.index.last().map_or(0, |last| last.range.to())
    }

    fn read_index(&mut self) -> Result<(), AuditError> {
        let bytes = self.fetch(INDEX, "", INDEX_MAX_BYTES)?;
        let origin = self.keys.origin().to_string();
        let bytes = bytes.ok_or_else(|| ChunkError::None {
            origin: origin.clone(),
        })?;
        let text = String::from_utf8_lossy(&bytes);
        for (line, text) in (1..).zip(text.lines()) {
            let kept: Kept = text.parse().map_err(|_| ChunkError::Index { line })?;
            let (end, from) = (self.end(), kept.range.from());
            if let Ok(range) = Range::new(end, from) {
                return Err(ChunkError::Missing { range }.into());
            }
            if from < end {
                return Err(ChunkError::Index { line }.into());
            }
            self.index.push(kept);
        }
        if self.index.is_empty() {
            return Err(ChunkError::None { origin }.into());
        }
        Ok(())
    }

    /// A file of the store by its name there; `None` when it is not there.
    fn fetch(
        &mut self,
        file: &str,
        resource: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, AuditError> {
        let (link, path, runtime) = match &mut self.store {
            Store::Folder(folder) => return read(&folder.join(file), limit),
            Store::Witness {
                link,
                path,
                runtime,
            } => (link, path, runtime),
        };
        let path = format!("{path}{resource}");
        let answered = runtime.block_on(link.get_large(&path, limit));
        let answered: Answered = answered.map_err(ChunkError::Link)?;
        match answered.status {
            200 => Ok(Some(answered.body.to_vec())),
            404 => Ok(None),
            _ => Err(ChunkError::Answer {
                said: answered.said(),
            }
            .into()),
        }
    }

    /// Opens a chunk, unless it is the one that is open.
    fn open(&mut self, kept: &Kept) -> Result<&Chunk, AuditError> {
        let open = self.opened.take().filter(|one| one.range == kept.range);
        let chunk = match open {
            Some(chunk) => chunk,
            None => self.fetch_chunk(kept)?,
        };
        Ok(self.opened.insert(chunk))
    }

    fn fetch_chunk(&mut self, kept: &Kept) -> Result<Chunk, AuditError> {
        let range = kept.range;
        // Also what is longer than it should be, to see what it is.
        let sealed = self.fetch(&range.file_name(), &format!("/{range}"), CHUNK_MAX_BYTES)?;
        let sealed = sealed.ok_or(ChunkError::Missing { range })?;
        let plain = self.identities.open(&sealed);
        let plain = plain.map_err(|error| why(kept, &sealed, error))?;
        let chunk = Chunk::parse(&plain).map_err(|source| ChunkError::Form { range, source })?;
        if chunk.range != range || chunk.origin != self.keys.origin().as_str() {
            let (found, origin) = (chunk.range, client::plain(&chunk.origin));
            return Err(ChunkError::Swapped {
                range,
                found,
                origin,
            }
            .into());
        }
        Ok(chunk)
    }

    /// The chunk of an entry.
    fn chunk_of(&mut self, entry: u64) -> Result<&Chunk, AuditError> {
        let at = self.index.partition_point(|kept| kept.range.to() <= entry);
        let kept = self.index.get(at).cloned();
        let kept = kept.ok_or(AuditError::NoEntry { entry })?;
        self.open(&kept)
    }

    /// The checkpoint that a chunk came with.
    fn checkpoint(&mut self, kept: &Kept) -> Result<SignedCheckpoint, AuditError> {
        let keys = self.keys;
        let chunk = self.open(kept)?;
        let what = format!("the checkpoint with entries {}", kept.range);
        keys.open(&chunk.checkpoint, &what)
    }

    /// The longest checkpoint of which all entries are there. Later chunks came with later ones.
    ///
    /// # Errors
    /// [`ChunkError`], [`AuditError::Unsigned`].
    pub fn newest(&mut self) -> Result<SignedCheckpoint, AuditError> {
        let (end, mut newest) = (self.end(), None);
        // The last of them came with one that ends where it does, mostly.
        let (mut low, mut high, mut at) = (0, self.index.len(), self.index.len());
        while low < high {
            at = at.saturating_sub(1).max(low);
            let Some(kept) = self.index.get(at).cloned() else {
                break;
            };
            let found = self.checkpoint(&kept)?;
            if found.head().size <= end {
                (newest, low) = (Some(found), at + 1);
            } else {
                high = at;
            }
            at = low.midpoint(high) + 1;
        }
        newest.ok_or_else(|| ChunkError::NoCheckpoint { end }.into())
    }
}

/// Why a chunk was not opened, as far as the index tells.
fn why(kept: &Kept, sealed: &[u8], error: OpenError) -> ChunkError {
    let (range, bytes, found) = (kept.range, kept.bytes, sealed.len() as u64);
    if found < bytes {
        return ChunkError::Truncated {
            range,
            found,
            bytes,
        };
    }
    match error {
        OpenError::Others if Kept::of(range, sealed) == *kept => ChunkError::Others { range },
        _ => ChunkError::Changed { range },
    }
}

fn read(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, AuditError> {
    match files::read(path, limit as u64) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Source for Chunks<'_> {
    fn page(&mut self, from: u64) -> Result<Vec<JournalBody>, AuditError> {
        let chunk = self.chunk_of(from)?;
        let bodies = chunk.bodies.iter().filter(|body| body.entry >= from);
        Ok(bodies.cloned().collect())
    }

    fn bundle(&mut self, entry: u64, hash: BundleHash) -> Result<Vec<BundleFile>, AuditError> {
        let chunk = self.chunk_of(entry)?;
        let mut bundles = chunk.bundles.iter();
        let named = bundles.find(|bundle| bundle.bundle == hash.to_string());
        let range = chunk.range;
        let named = named.ok_or(AuditError::NoBundle { hash, range })?;
        Ok(named.files.clone())
    }
}
