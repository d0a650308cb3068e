//! The store in SQLite.

/// The store in SQLite.
#[derive(Debug)]
pub struct SqliteStore;
