//! Who extends the map while the journal is written.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
};

use policy::StateRoot;

use super::{Candidate, Frozen, Kept, Place, RootError, Rooting, Shelf, Snapshot};
use crate::{
    map::Map,
    segment::{DiskError, Folder},
};

/// How many roots may be due and not computed. The writer waits then: what the entries between them
/// wrote is in memory.
const BEHIND_MAX: usize = 8;

/// Of the thread: under full load it gets a third of what another thread gets.
const NICENESS: i32 = 5;

/// Extends the map by what is frozen, batch by batch in order, and writes snapshots.
#[derive(Debug)]
pub(crate) struct Builder {
    /// Done, and not taken yet.
    ready: VecDeque<Done>,
    hand: Hand,
    folder: Arc<Folder>,
}

/// What was done.
#[derive(Debug)]
pub(crate) enum Done {
    Built(Built),
    /// A snapshot is durable.
    Kept {
        /// The first block of charges that it needs.
        block: u64,
        /// The first entry that a start from it reads.
        read_from: u64,
    },
}

/// What was computed.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) root: StateRoot,
    /// The map with the rows, and what the next snapshot is of; nothing where both were there when the
    /// journal was opened.
    pub(crate) made: Option<(Arc<Map>, Option<Candidate>)>,
}

#[derive(Debug)]
enum Hand {
    Within(Box<(Kept, Shelf)>),
    Beside(Beside),
    Over,
}

/// What the thread is asked.
#[derive(Debug)]
enum Job {
    Extend(Box<Frozen>),
    Keep(u64, Vec<u8>),
}

/// A thread that ends with this.
#[derive(Debug)]
struct Beside {
    /// Gone while it ends.
    jobs: Option<Sender<Job>>,
    done: Receiver<Result<Done, RootError>>,
    behind: usize,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Builder {
    /// Goes on from what is kept. `ready` are the roots that follow from the log and are not in it.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn start(
        rooting: Rooting,
        kept: Kept,
        shelf: Shelf,
        ready: VecDeque<StateRoot>,
    ) -> io::Result<Self> {
        let folder = Arc::clone(&shelf.folder);
        let hand = match rooting.place {
            Place::Within => Hand::Within(Box::new((kept, shelf))),
            Place::Beside => Hand::Beside(Beside::start(kept, shelf)?),
        };
        let ready = ready.into_iter().map(|root| {
            let made = None;
            Done::Built(Built { root, made })
        });
        Ok(Self {
            ready: ready.collect(),
            hand,
            folder,
        })
    }

    /// Takes what the entries wrote, which are durable.
    ///
    /// # Errors
    /// [`RootError`]: the writer stops, because it would come to hold ever more.
    pub(crate) fn give(&mut self, frozen: Frozen) -> Result<(), RootError> {
        match &mut self.hand {
            Hand::Within(own) => {
                let (kept, _) = &mut **own;
                self.ready.push_back(extend(kept, frozen, &|| false)?);
            }
            Hand::Beside(beside) => {
                beside.give(frozen);
                while beside.behind > BEHIND_MAX
                    && let Some(done) = beside.wait()?
                {
                    self.ready.push_back(done);
                }
            }
            Hand::Over => {}
        }
        Ok(())
    }

    /// Writes the snapshot of the first `covers` entries, with a signed checkpoint that covers the entry of
    /// their root.
    pub(crate) fn keep(&mut self, covers: u64, note: Vec<u8>) {
        match &mut self.hand {
            Hand::Within(own) => {
                let (kept, shelf) = &mut **own;
                let kept_now = kept.keep(shelf, covers, &note);
                self.ready
                    .extend(kept_now.map(|(block, read_from)| Done::Kept { block, read_from }));
            }
            Hand::Beside(beside) => beside.send(Job::Keep(covers, note)),
            Hand::Over => {}
        }
    }

    /// Puts the snapshot aside: what it names is not as it was. Nothing is computed any more.
    ///
    /// # Errors
    /// [`DiskError`]: it is where it was.
    pub(crate) fn distrust(&mut self) -> Result<(), DiskError> {
        self.hand = Hand::Over;
        Snapshot::put_aside(&self.folder)
    }

    /// What was done since, `most` of it.
    ///
    /// # Errors
    /// As [`Builder::give`].
    pub(crate) fn done(&mut self, most: usize) -> Result<Vec<Done>, RootError> {
        if let Hand::Beside(beside) = &mut self.hand {
            while let Some(done) = beside.done()? {
                self.ready.push_back(done);
            }
        }
        let most = self.ready.len().min(most);
        Ok(self.ready.drain(..most).collect())
    }
}

fn extend(kept: &mut Kept, frozen: Frozen, is_over: &dyn Fn() -> bool) -> Result<Done, RootError> {
    let root = kept.extend(frozen, is_over)?;
    let made = Some((Arc::clone(kept.map()), kept.unkept()));
    Ok(Done::Built(Built { root, made }))
}

fn carry_out(
    kept: &mut Kept,
    shelf: &Shelf,
    job: Job,
    is_over: &dyn Fn() -> bool,
) -> Result<Option<Done>, RootError> {
    match job {
        Job::Extend(frozen) => extend(kept, *frozen, is_over).map(Some),
        Job::Keep(covers, note) => {
            let kept_now = kept.keep(shelf, covers, &note);
            Ok(kept_now.map(|(block, read_from)| Done::Kept { block, read_from }))
        }
    }
}

/// The thread takes what others leave, mostly: computing a root at once takes a processor for half a
/// second. Not less than that, or the writer would have to wait for it under full load.
fn yield_to_others() {
    // Linux takes this for the calling thread alone.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "state roots are computed at full priority");
    }
}

impl Beside {
    fn start(mut kept: Kept, shelf: Shelf) -> io::Result<Self> {
        let (jobs, asked) = mpsc::channel::<Job>();
        let (results, done) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("roots".into())
            .spawn(move || {
                yield_to_others();
                let is_over = || ends.load(Ordering::Relaxed);
                while let Ok(job) = asked.recv() {
                    let done = carry_out(&mut kept, &shelf, job, &is_over);
                    let failed = done.is_err();
                    let told = done
                        .transpose()
                        .is_none_or(|done| results.send(done).is_ok());
                    if failed || !told {
                        return;
                    }
                }
            })?;
        Ok(Self {
            jobs: Some(jobs),
            done,
            behind: 0,
            is_over,
            thread: Some(thread),
        })
    }

    fn give(&mut self, frozen: Frozen) {
        self.behind = self.behind.saturating_add(1);
        self.send(Job::Extend(Box::new(frozen)));
    }

    fn send(&self, job: Job) {
        // One that ended on an error has said so, and is asked for it before it is given more.
        if let Some(hand) = &self.jobs {
            let _ended = hand.send(job);
        }
    }

    fn wait(&mut self) -> Result<Option<Done>, RootError> {
        self.count(self.done.recv().ok())
    }

    fn done(&mut self) -> Result<Option<Done>, RootError> {
        self.count(self.done.try_recv().ok())
    }

    fn count(&mut self, done: Option<Result<Done, RootError>>) -> Result<Option<Done>, RootError> {
        if matches!(done, Some(Ok(Done::Built(_)))) {
            self.behind = self.behind.saturating_sub(1);
        }
        done.transpose()
    }
}

impl Drop for Beside {
    /// The folder is another's once the writer has ended. What is not computed will be, at the next
    /// opening.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has aborted the process already.
            let _ended = thread.join();
        }
    }
}
