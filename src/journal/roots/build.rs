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

use super::{Frozen, Place, RootError, Rooting};
use crate::map::{Map, MapError};

/// How many roots may be due and not computed. The writer waits then: what the entries between them
/// wrote is in memory.
const BEHIND_MAX: usize = 8;

/// Extends the map by what is frozen, batch by batch in order.
#[derive(Debug)]
pub(crate) struct Builder {
    /// Computed, and not in the log yet.
    ready: VecDeque<Built>,
    hand: Hand,
}

/// What was computed.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) root: StateRoot,
    /// The map with the rows; nothing where it was there when the journal was opened.
    pub(crate) map: Option<Arc<Map>>,
}

#[derive(Debug)]
enum Hand {
    Within(Arc<Map>),
    Beside(Beside),
}

/// A thread that ends with this.
#[derive(Debug)]
struct Beside {
    /// Gone while it ends.
    frozen: Option<Sender<Frozen>>,
    built: Receiver<Result<Built, RootError>>,
    behind: usize,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Builder {
    /// Goes on from a map. `ready` are the roots that follow from the log and are not in it.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn start(
        rooting: Rooting,
        map: Arc<Map>,
        ready: VecDeque<StateRoot>,
    ) -> io::Result<Self> {
        let hand = match rooting.place {
            Place::Within => Hand::Within(map),
            Place::Beside => Hand::Beside(Beside::start(map)?),
        };
        let ready = ready.into_iter().map(|root| Built { root, map: None });
        Ok(Self {
            ready: ready.collect(),
            hand,
        })
    }

    /// Takes what the entries wrote, which are durable.
    ///
    /// # Errors
    /// [`RootError`]: the writer stops, because it would come to hold ever more.
    pub(crate) fn give(&mut self, frozen: Frozen) -> Result<(), RootError> {
        match &mut self.hand {
            Hand::Within(map) => self.ready.push_back(extend(map, frozen, &|| false)?),
            Hand::Beside(beside) => {
                beside.give(frozen);
                while beside.behind > BEHIND_MAX
                    && let Some(built) = beside.wait()?
                {
                    self.ready.push_back(built);
                }
            }
        }
        Ok(())
    }

    /// What was computed since, `most` of it.
    ///
    /// # Errors
    /// As [`Builder::give`].
    pub(crate) fn built(&mut self, most: usize) -> Result<Vec<Built>, RootError> {
        if let Hand::Beside(beside) = &mut self.hand {
            while let Some(built) = beside.done()? {
                self.ready.push_back(built);
            }
        }
        let most = self.ready.len().min(most);
        Ok(self.ready.drain(..most).collect())
    }
}

/// What a merge left behind goes at once: until a snapshot names a run, nothing durable does.
fn extend(
    map: &mut Arc<Map>,
    frozen: Frozen,
    is_over: &dyn Fn() -> bool,
) -> Result<Built, RootError> {
    let (extended, root) = frozen.build(map, is_over)?;
    *map = Arc::new(extended);
    let removed = map.remove_others();
    removed.map_err(|error| RootError::Map(MapError::Disk(error)))?;
    Ok(Built {
        root,
        map: Some(Arc::clone(map)),
    })
}

impl Beside {
    fn start(mut map: Arc<Map>) -> io::Result<Self> {
        let (frozen, jobs) = mpsc::channel::<Frozen>();
        let (results, built) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("roots".into())
            .spawn(move || {
                let is_over = || ends.load(Ordering::Relaxed);
                while let Ok(frozen) = jobs.recv() {
                    let built = extend(&mut map, frozen, &is_over);
                    let failed = built.is_err();
                    if results.send(built).is_err() || failed {
                        return;
                    }
                }
            })?;
        Ok(Self {
            frozen: Some(frozen),
            built,
            behind: 0,
            is_over,
            thread: Some(thread),
        })
    }

    fn give(&mut self, frozen: Frozen) {
        // One that ended on an error has said so, and is asked for it before it is given more.
        if let Some(hand) = &self.frozen
            && hand.send(frozen).is_ok()
        {
            self.behind = self.behind.saturating_add(1);
        }
    }

    fn wait(&mut self) -> Result<Option<Built>, RootError> {
        self.count(self.built.recv().ok())
    }

    fn done(&mut self) -> Result<Option<Built>, RootError> {
        self.count(self.built.try_recv().ok())
    }

    fn count(
        &mut self,
        built: Option<Result<Built, RootError>>,
    ) -> Result<Option<Built>, RootError> {
        if built.is_some() {
            self.behind = self.behind.saturating_sub(1);
        }
        built.transpose()
    }
}

impl Drop for Beside {
    /// The folder is another's once the writer has ended. What is not computed will be, at the next
    /// opening.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.frozen = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has aborted the process already.
            let _ended = thread.join();
        }
    }
}
