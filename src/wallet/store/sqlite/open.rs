//! Opening a database: what it is, and how it is used.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{
    error::{self, corrupt},
    sql::{self, values},
};
use crate::store::StoreError;

/// The version of the tables.
const VERSION: &str = "4";
/// Whose database it is.
const PROGRAM: &str = "walletd";
/// The most prepared statements of a connection: more than there are texts.
const STATEMENTS_MAX: usize = 128;

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

/// Where a database is, and how it is used.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: PathBuf,
    options: Options,
}

impl Place {
    pub(super) fn new(path: &Path, options: &Options) -> Self {
        Self {
            path: path.to_owned(),
            options: *options,
        }
    }

    /// Whether a commit waits for the disk.
    pub(super) fn flushes(&self) -> bool {
        self.options.durability == Durability::Power
    }

    /// How long is waited for others.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_millis(self.options.busy_millis)
    }

    /// Opens the database, and makes it if there is none: the writer's connection, and the
    /// database's id.
    pub(super) fn open(&self) -> Result<(Connection, String), StoreError> {
        let conn = self.connect(OpenFlags::SQLITE_OPEN_CREATE)?;
        let id = identify(&conn)?;
        Ok((conn, id))
    }

    /// A connection that writes, to a database that was opened before.
    pub(super) fn writer(&self) -> Result<Connection, StoreError> {
        self.connect(OpenFlags::empty())
    }

    /// A connection that only reads.
    pub(super) fn reader(&self) -> Result<Connection, StoreError> {
        let conn = self.writer()?;
        let only = conn.execute_batch("PRAGMA query_only = ON");
        only.map_err(error::of)?;
        Ok(conn)
    }

    fn connect(&self, more: OpenFlags) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let conn = Connection::open_with_flags(&self.path, flags).map_err(error::of)?;
        conn.busy_timeout(self.patience()).map_err(error::of)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        let synchronous = match self.options.durability {
            Durability::Power => "FULL",
            Durability::Process => "OFF",
        };
        let mut pragmas = format!(
            "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; \
             PRAGMA foreign_keys = ON; PRAGMA journal_mode = WAL; \
             PRAGMA synchronous = {synchronous}; PRAGMA journal_size_limit = 67108864;"
        );
        if let Some(pages) = self.options.pages_max {
            pragmas.push_str(&format!("PRAGMA max_page_count = {pages};"));
        }
        conn.execute_batch(&pragmas).map_err(error::of)?;
        Ok(conn)
    }
}

/// Makes the tables in a new database, and refuses what is not this program's. Its id.
fn identify(conn: &Connection) -> Result<String, StoreError> {
    if let Some(id) = read_meta(conn)? {
        return Ok(id);
    }
    sql::run(conn, "BEGIN IMMEDIATE", &[])?;
    let made = make(conn);
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = sql::run(conn, end, &[]);
    let id = made?;
    ended?;
    Ok(id)
}

/// The id of a database that has the tables; `None` if it is empty.
fn read_meta(conn: &Connection) -> Result<Option<String>, StoreError> {
    let text = "SELECT name FROM sqlite_master LIMIT 1";
    if sql::read_one(conn, text, &[], |_| Ok(()))?.is_none() {
        return Ok(None);
    }
    let text = "SELECT (SELECT value FROM meta WHERE name = 'program'), \
                (SELECT value FROM meta WHERE name = 'version'), \
                (SELECT value FROM meta WHERE name = 'id')";
    let id = sql::read_one(conn, text, &[], |row| {
        match (
            row.text_or_none(0)?,
            row.text_or_none(1)?,
            row.text_or_none(2)?,
        ) {
            (Some(PROGRAM), Some(VERSION), Some(id)) => Ok(id.to_owned()),
            (Some(PROGRAM), ..) => Err(corrupt("its tables are of another version")),
            _ => Err(corrupt("it is another program's")),
        }
    })?;
    id.map(Some).ok_or_else(|| corrupt("no row"))
}

fn make(conn: &Connection) -> Result<String, StoreError> {
    // Another process may have made it just before.
    if let Some(id) = read_meta(conn)? {
        return Ok(id);
    }
    for text in [
        include_str!("../schema.sql"),
        include_str!("../triggers.sql"),
    ] {
        conn.execute_batch(text).map_err(error::of)?;
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| error::unavailable("there are no random bytes"))?;
    let id = hex::encode(id);
    let text = "INSERT INTO meta (name, value) VALUES ($1, $2)";
    for (name, value) in [("program", PROGRAM), ("version", VERSION), ("id", &id)] {
        sql::run_one(conn, text, &values![name, value])?;
    }
    Ok(id)
}
