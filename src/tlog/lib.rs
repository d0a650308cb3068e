//! RFC 6962 Merkle trees: hashing, compact trees, inclusion and consistency proofs; and the C2SP formats
//! in which logs and witnesses speak of them: [`note`], [`checkpoint`], [`tile`], [`cosignature`],
//! [`witness`].
//!
//! Pure: no input or output, no clock, no randomness, no private key. Trees are named the way C2SP
//! tlog-tiles names them, by [`NodeId`] (level and index of a perfect subtree), so a store of tiles is
//! one more [`NodeSource`].
//!
//! ```
//! use strongroom_tlog::{MemoryTree, leaf_hash, inclusion_proof, verify_inclusion};
//!
//! let mut tree = MemoryTree::new();
//! for entry in [b"one".as_slice(), b"two", b"three"] {
//!     tree.append(leaf_hash(entry))?;
//! }
//! let head = tree.head();
//! let proof = inclusion_proof(&tree, 1, head.size)?;
//! verify_inclusion(leaf_hash(b"two"), 1, &head, &proof)?;
//! assert!(verify_inclusion(leaf_hash(b"owt"), 1, &head, &proof).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod checkpoint;
pub mod cosignature;
pub mod note;
pub mod tile;
pub mod witness;

mod compact;
mod hash;
mod node;
mod proof;
mod text;
mod verify;

pub use compact::{CompactTree, MAX_SIZE, PeaksError, TreeFull};
pub use hash::{HASH_BYTES, Hash, empty_root, leaf_hash, node_hash};
pub use node::{MemoryTree, MissingNode, NodeId, NodeSource};
pub use proof::{
    ProveError, consistency_nodes, consistency_proof, inclusion_nodes, inclusion_proof, root_at,
    root_nodes,
};
pub use verify::{ProofError, TreeHead, verify_consistency, verify_inclusion};
