//! Opening on two threads: one reads, verifies and decodes while the caller's takes what was decoded.

use std::error::Error;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::error::{DiskAction, DiskError, OpenError};

/// Entries and bytes after which decoded entries are handed over.
const BATCH_ENTRIES: usize = 256;
const BATCH_BYTES: usize = 1024 * 1024;

/// Batches that wait at most.
const BATCHES: usize = 4;

/// The caller takes no more: it has refused an entry.
#[derive(Debug, thiserror::Error)]
#[error("no more entries are taken")]
pub(super) struct Gone;

/// Gets every verified entry, by index and body, in order.
pub(super) type Each<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), Gone>;

/// A decoded entry, or why it is none.
type Decoded<T, E> = (u64, Result<T, E>);

/// Decoded entries on their way.
struct Batches<T, E> {
    open: Vec<Decoded<T, E>>,
    open_bytes: usize,
    sender: SyncSender<Vec<Decoded<T, E>>>,
}

impl<T, E> Batches<T, E> {
    fn push(&mut self, entry: Decoded<T, E>, bytes: usize) -> Result<(), Gone> {
        self.open.push(entry);
        self.open_bytes = self.open_bytes.saturating_add(bytes);
        if self.open.len() < BATCH_ENTRIES && self.open_bytes < BATCH_BYTES {
            return Ok(());
        }
        self.send()
    }

    fn send(&mut self) -> Result<(), Gone> {
        self.open_bytes = 0;
        let batch = std::mem::take(&mut self.open);
        self.sender.send(batch).map_err(|_gone| Gone)
    }
}

/// Lets `read` hand on entries on a thread of its own, which also decodes them, and takes them on this one.
///
/// # Errors
/// That of the first entry that is not decoded or not taken; else that of `read`.
pub(super) fn pipelined<T: Send, E: Error + Send + 'static, V: Send>(
    read: impl FnOnce(Each<'_>) -> Result<V, OpenError<Gone>> + Send,
    decode: impl Fn(&[u8]) -> Result<T, E> + Send,
    take: impl FnMut(u64, T) -> Result<(), E>,
) -> Result<V, OpenError<E>> {
    let (sender, batches) = sync_channel(BATCHES);
    let mut out = Batches {
        open: Vec::new(),
        open_bytes: 0,
        sender,
    };
    let reading = move || {
        let outcome = read(&mut |index, body| out.push((index, decode(body)), body.len()));
        // What came before a fault is taken first: an entry that is refused is the earlier fault.
        let _last = out.send();
        outcome
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("journal-read".into());
        let reader = thread.spawn_scoped(scope, reading).map_err(no_thread)?;
        let taken = take_all(batches, take);
        let outcome = match reader.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        taken?;
        outcome.map_err(|error| match error {
            OpenError::Sealed { source } => OpenError::Sealed { source },
            OpenError::Disk { source } => OpenError::Disk { source },
            // Nothing was refused, so that nobody is gone.
            OpenError::Fold { .. } => no_thread(io::ErrorKind::BrokenPipe.into()),
        })
    })
}

fn take_all<T, E: Error + 'static>(
    batches: Receiver<Vec<Decoded<T, E>>>,
    mut take: impl FnMut(u64, T) -> Result<(), E>,
) -> Result<(), OpenError<E>> {
    for (index, decoded) in batches.into_iter().flatten() {
        decoded
            .and_then(|entry| take(index, entry))
            .map_err(|source| OpenError::Fold { index, source })?;
    }
    Ok(())
}

fn no_thread<E: Error + 'static>(source: io::Error) -> OpenError<E> {
    let source = DiskError {
        action: DiskAction::Read,
        name: "the segments".to_owned(),
        source,
    };
    OpenError::Disk { source }
}
