//! The baseline of what is stored: one row and one durable commit at a time, by the same library on
//! the same disk.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sqlx::{
    Connection, Executor, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(commits(file.path()))
}

async fn commits(path: &Path) -> f64 {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .expect("a database");
    let table = "CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL)";
    connection.execute(table).await.expect("a table");
    let (began, mut count) = (Instant::now(), 0u32);
    while began.elapsed() < DURATION {
        sqlx::query("INSERT INTO rows (body) VALUES (?1)")
            .bind("a row of the length that an event has, more or less")
            .execute(&mut connection)
            .await
            .expect("a row");
        count += 1;
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    connection.close().await.expect("the end");
    rate
}
