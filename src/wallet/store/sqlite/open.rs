//! Opening a database: what it is, and how it is used.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Executor, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    error::{self, corrupt},
    sql::{self, Values, values},
    writer::Writer,
};
use crate::store::StoreError;

/// The version of the tables.
const VERSION: &str = "1";
/// Whose database it is.
const PROGRAM: &str = "walletd";
/// The most prepared statements of a connection: every text there is, in each size.
const STATEMENTS_MAX: usize = 512;

/// How a database is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What a commit outlives.
    pub durability: Durability,
    /// How long a transaction waits for another process to end its own, in milliseconds.
    pub busy_millis: u64,
    /// The most connections that read. They are made when they are wanted.
    pub readers: u32,
    /// The most pages of 4 KiB that the file may have, if it is bounded: as a disk that is full.
    pub pages_max: Option<u32>,
}

/// What a commit outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power: it is flushed.
    Power,
    /// The end of the process only: nothing is flushed. For simulations, which open a store in a
    /// temporary folder (a tmpfs is best), drop it wherever they like and open it again.
    Process,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Power,
            busy_millis: 5_000,
            readers: 4,
            pages_max: None,
        }
    }
}

/// An open database.
pub(super) struct Opened {
    pub(super) id: String,
    pub(super) writer: Writer,
    pub(super) readers: SqlitePool,
}

pub(super) async fn open(path: &Path, options: &Options) -> Result<Opened, StoreError> {
    let connect = connecting(path, options);
    let mut conn = connect.connect().await.map_err(error::of)?;
    let id = identify(&mut conn).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(options.readers)
        .acquire_timeout(Duration::from_millis(options.busy_millis))
        .test_before_acquire(false)
        .connect_lazy_with(
            connect
                .clone()
                .create_if_missing(false)
                .pragma("query_only", "ON"),
        );
    Ok(Opened {
        id,
        writer: Writer::new(connect.create_if_missing(false), conn),
        readers,
    })
}

fn connecting(path: &Path, options: &Options) -> SqliteConnectOptions {
    let synchronous = match options.durability {
        Durability::Power => SqliteSynchronous::Full,
        Durability::Process => SqliteSynchronous::Off,
    };
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(Duration::from_millis(options.busy_millis))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENTS_MAX)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging();
    match options.pages_max {
        Some(pages) => connect.pragma("max_page_count", pages.to_string()),
        None => connect,
    }
}

/// Makes the tables in a new database, and refuses what is not this program's. Its id.
async fn identify(conn: &mut SqliteConnection) -> Result<String, StoreError> {
    if let Some(id) = read_meta(conn).await? {
        return Ok(id);
    }
    sql::run(conn, "BEGIN IMMEDIATE", Values::new()).await?;
    let made = make(conn).await;
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = sql::run(conn, end, Values::new()).await;
    let id = made?;
    ended?;
    Ok(id)
}

/// The id of a database that has the tables; `None` if it is empty.
async fn read_meta(conn: &mut SqliteConnection) -> Result<Option<String>, StoreError> {
    let text = "SELECT name FROM sqlite_master LIMIT 1";
    if sql::read(conn, text, Values::new()).await?.is_empty() {
        return Ok(None);
    }
    let text = "SELECT (SELECT value FROM meta WHERE name = 'program'), \
                (SELECT value FROM meta WHERE name = 'version'), \
                (SELECT value FROM meta WHERE name = 'id')";
    let found = sql::read(conn, text, Values::new()).await?;
    let row = found.first().ok_or_else(|| corrupt("no row"))?;
    match (
        row.text_or_none(0)?,
        row.text_or_none(1)?,
        row.text_or_none(2)?,
    ) {
        (Some(PROGRAM), Some(VERSION), Some(id)) => Ok(Some(id.to_owned())),
        (Some(PROGRAM), ..) => Err(corrupt("its tables are of another version")),
        _ => Err(corrupt("it is another program's")),
    }
}

async fn make(conn: &mut SqliteConnection) -> Result<String, StoreError> {
    // Another process may have made it just before.
    if let Some(id) = read_meta(conn).await? {
        return Ok(id);
    }
    for text in [
        include_str!("../schema.sql"),
        include_str!("../triggers.sql"),
    ] {
        let made = conn.execute(sqlx::raw_sql(text)).await;
        made.map_err(error::of)?;
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| error::unavailable("there are no random bytes"))?;
    let id = hex::encode(id);
    let rows = vec![
        values!["program", PROGRAM],
        values!["version", VERSION],
        values!["id", id.as_str()],
    ];
    sql::run_many(conn, "INSERT INTO meta (name, value) VALUES", rows, "").await?;
    Ok(id)
}
