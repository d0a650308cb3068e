//! Connections that read, beside the writer: a few, made when they are wanted, and kept.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::{
    error::{self, unavailable},
    open::Place,
    writer::lost,
};
use crate::store::StoreError;

/// The readers of a database.
#[derive(Debug)]
pub(super) struct Readers {
    place: Place,
    most: u32,
    turns: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(place: Place, most: u32) -> Self {
        let turns = usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            place,
            most,
            turns: Arc::new(Semaphore::new(turns)),
            idle: Arc::default(),
        }
    }

    /// Reads one state of the database on a thread that may wait for the disk.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turns = Arc::clone(&self.turns).acquire_owned();
        let turn = match timeout(self.place.patience(), turns).await {
            Ok(turn) => turn.map_err(|_| unavailable("it is being closed"))?,
            Err(_) => return Err(unavailable("every connection is in use")),
        };
        let (place, idle) = (self.place.clone(), Arc::clone(&self.idle));
        let work = spawn_blocking(move || {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let conn = kept.map_or_else(|| place.reader(), Ok)?;
            let found = in_one_state(&conn, read);
            if found.is_ok() {
                let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.push(conn);
            } else {
                drop(conn);
            }
            // Who closes waits for all turns: by now the connection is kept or gone.
            drop(turn);
            found
        });
        work.await.map_err(|_| lost())?
    }

    /// Waits for those that read, and closes the connections.
    pub(super) async fn close(&self) {
        if let Ok(all) = self.turns.acquire_many(self.most).await {
            all.forget();
        }
        self.turns.close();
        let idle = Arc::clone(&self.idle);
        let closing = spawn_blocking(move || {
            idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
        // It has no end but this one.
        let _ = closing.await;
    }
}

/// What several statements read stood together.
fn in_one_state<T>(
    conn: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // Its end, when it is dropped, gives the state up.
    let state = conn.unchecked_transaction().map_err(error::of)?;
    read(&state)
}
