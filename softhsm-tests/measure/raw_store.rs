//! The baseline of what is stored: one row and one durable commit at a time, by the same library on
//! the same disk.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;

/// How long is measured.
const DURATION: Duration = Duration::from_secs(2);

/// Commits a second of one row each, in a new database in this folder.
///
/// # Panics
/// When the database cannot be written.
pub fn commits_per_second(folder: &Path) -> f64 {
    let file = tempfile::Builder::new()
        .suffix(".sqlite")
        .tempfile_in(folder)
        .expect("a file");
    let connection = Connection::open(file.path()).expect("a database");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL)",
        )
        .expect("a table");
    let text = "INSERT INTO rows (body) VALUES (?1)";
    let mut insert = connection.prepare(text).expect("a statement");
    let (began, mut count) = (Instant::now(), 0u32);
    while began.elapsed() < DURATION {
        insert
            .execute(["a row of the length that an event has, more or less"])
            .expect("a row");
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}
