//! RFC 6962 Merkle trees: hashing, compact ranges, inclusion and consistency proofs.
