//! JSON-RPC to chain nodes, which are not trusted.
