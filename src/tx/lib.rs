//! Transactions: decoding to effects, conflict keys, digests and assembly, per chain.
