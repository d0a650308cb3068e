//! What witnesses keep for auditors: ranges of a log's entries, each encrypted to the auditors that the
//! policy names. A relay makes them, a witness keeps them without being able to read them, an auditor
//! opens them.

mod chunk;
mod cipher;
mod place;

pub use self::chunk::{BundleOf, Chunk, ChunkFormError, activates};
pub use self::cipher::{Identities, IdentityError, OpenError, Recipients, keygen};
pub use self::place::{Kept, Range};

/// The entries after which a chunk ends at the latest: those of one tile.
pub const CHUNK_ENTRIES: u64 = 256;
