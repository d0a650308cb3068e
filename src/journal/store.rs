//! The seam between the journal and where it is kept.

use std::{fmt, ops::Range, sync::Arc};

use thiserror::Error;
use tlog::{CompactTree, Hash, NodeSource, TreeHead};

/// One entry to append.
#[derive(Clone)]
pub struct NewEntry {
    /// The salt of its leaf.
    pub salt: [u8; 32],
    /// Its body, the JSON of a [`policy::Record`].
    pub body: Arc<[u8]>,
}

/// Entries that become durable together.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The entries, in order.
    pub entries: Vec<NewEntry>,
    /// Large texts that the entries name by SHA-256.
    pub blobs: Vec<Vec<u8>>,
}

/// An entry as it was stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The salt of its leaf.
    pub salt: [u8; 32],
    /// Its body.
    pub body: Vec<u8>,
}

/// Bodies and salts are confidential.
impl fmt::Debug for NewEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewEntry({} bytes)", self.body.len())
    }
}

/// Bodies and salts are confidential.
impl fmt::Debug for StoredEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredEntry({} bytes)", self.body.len())
    }
}

/// Why a store did not take a group. Whether the group is durable is not known, except for
/// [`StoreError::Moved`]; the writer stops for good.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another writer appended.
    #[error("the log has {found} entries, not {expected}: it has another writer")]
    Moved {
        /// What the writer expected.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// The disk is full.
    #[error("the disk is full")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else.
    #[error("the group was not stored")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a stored entry could not be read.
#[derive(Debug, Error)]
#[error("{what} cannot be read")]
pub struct ReadError {
    /// Which.
    pub what: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl ReadError {
    /// Whether its body was removed, after it was exported.
    pub fn is_pruned(&self) -> bool {
        let error = self.source.downcast_ref();
        matches!(error, Some(crate::segment::ReadError::Pruned { .. }))
    }
}

/// Where groups are appended.
pub trait Store: Send {
    /// Appends a group behind `expected` entries. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`].
    fn append(&mut self, expected: u64, group: Group) -> Result<(), StoreError>;

    /// Appends one last entry, from space kept for it, when the disk is full.
    ///
    /// # Errors
    /// [`StoreError`].
    fn append_final(&mut self, entry: NewEntry) -> Result<(), StoreError>;

    /// The tree over what is durable.
    fn tree(&self) -> CompactTree;

    /// Remembers how long the log is, so that a shorter one is found when it is opened.
    ///
    /// # Errors
    /// [`StoreError`]; the writer stops for good.
    fn anchor(&mut self) -> Result<(), StoreError>;

    /// Removes bodies and salts of entries before this one, as far as whole files of them can go. Their
    /// leaves stay, durably.
    ///
    /// # Errors
    /// [`StoreError`]; what is left takes space and nothing else.
    fn remove_before(&mut self, entry: u64) -> Result<(), StoreError>;
}

/// Where entries are read.
pub trait Bodies: Send + Sync {
    /// The log's id, for receipts.
    fn log_id(&self) -> [u8; 32];

    /// How many entries are durable: the state may be ahead by a group.
    fn durable(&self) -> u64;

    /// The entries before which bodies can go, oldest first.
    fn starts(&self) -> Vec<u64>;

    /// The entry at `index`.
    ///
    /// # Errors
    /// [`ReadError`] when there is none or it is damaged; [`ReadError::is_pruned`].
    fn entry(&self, index: u64) -> Result<StoredEntry, ReadError>;

    /// The text of this SHA-256.
    ///
    /// # Errors
    /// [`ReadError`] when there is none or it is damaged.
    fn blob(&self, sha256: [u8; 32]) -> Result<Vec<u8>, ReadError>;
}

/// The Merkle tree over what is durable, of which inclusion and consistency proofs are made at any size
/// up to that of its head: [`tlog::inclusion_proof`], [`tlog::consistency_proof`].
///
/// It holds commitments and hashes only: who may read it learns no body.
pub trait Tree: NodeSource<Error = ReadError> + Send + Sync {
    /// Size and root of what is durable.
    fn head(&self) -> TreeHead;

    /// The salted commitments of these entries, in order: 32 bytes of each leaf, behind its version.
    ///
    /// # Errors
    /// [`ReadError`] when there are fewer or they cannot be read.
    fn commitments(&self, range: Range<u64>) -> Result<Vec<Hash>, ReadError>;

    /// Makes durable what the leaves of these entries are made of, apart from their bodies, as far as the tree
    /// has it in its files, and reads it again from there.
    ///
    /// # Errors
    /// [`ReadError`] when it is not there.
    fn keep_leaves(&self, range: Range<u64>) -> Result<(), ReadError>;
}
