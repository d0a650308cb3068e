//! Witnesses that the policy names: which of this process's checkpoints they have cosigned.
//!
//! Nothing of it is kept on the disk, and only checkpoints that this process made count: whatever state
//! a start finds, a fresh checkpoint of it has to be witnessed before anything is released. Of an older
//! copy, a clone or a fork no honest majority cosigns one.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use thiserror::Error;
use tlog::{
    checkpoint::SignedCheckpoint,
    cosignature::{CosignError, Quorum},
    note::{LineError, SignatureLine},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::{Instant, timeout_at},
};

/// How many checkpoints wait for cosignatures; the oldest gives way.
const KEPT: usize = 1024;
/// How many answers wait for witnesses at the same time.
const WAITING: usize = 4096;
/// While one checkpoint is at the witnesses and one more is made, a further one waits this long: it
/// would cost a call of the device, and those after it can share it.
const GAP: Duration = Duration::from_millis(5);
/// How many checkpoints without cosignatures show that the witnesses are slow, and the pause then.
const SLOW: usize = 32;
const GAP_SLOW: Duration = Duration::from_millis(50);

/// What the witnesses have said.
#[derive(Debug)]
pub struct Witnesses {
    made: Mutex<Made>,
    mark: watch::Sender<Mark>,
    waiting: Semaphore,
    overdue: AtomicBool,
}

/// This process's checkpoints, by size, with the cosignatures that have come.
#[derive(Debug, Default)]
struct Made {
    checkpoints: VecDeque<SignedCheckpoint>,
    last: Option<Instant>,
}

/// How much is witnessed, and by whose word.
#[derive(Clone, Debug, Default)]
struct Mark {
    size: u64,
    quorum: Option<Quorum>,
}

impl Mark {
    fn size_by(&self, quorum: &Quorum) -> u64 {
        let same = self.quorum.as_ref() == Some(quorum);
        if same { self.size } else { 0 }
    }
}

/// How a checkpoint stands after cosignatures have come.
#[derive(Debug)]
pub struct Counted {
    /// It, with all cosignatures.
    pub signed: SignedCheckpoint,
    /// How many witnesses have cosigned it.
    pub cosigned: usize,
}

/// Why cosignatures change nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CosignaturesError {
    /// No checkpoint of that size waits for them.
    #[error("no checkpoint of {size} entries waits for cosignatures")]
    NoCheckpoint {
        /// The size.
        size: u64,
    },
    /// A text is no line of a note.
    #[error("the line is no signature")]
    Line {
        /// Which, from 0.
        place: usize,
        /// Why.
        #[source]
        source: LineError,
    },
    /// A line names no witness of the policy.
    #[error("the policy names no such witness")]
    Stranger {
        /// Which, from 0.
        place: usize,
    },
    /// A line is not the witness's cosignature of this checkpoint.
    #[error("the line is no cosignature of this checkpoint")]
    Cosignature {
        /// Which, from 0.
        place: usize,
        /// Why.
        #[source]
        source: CosignError,
    },
}

impl CosignaturesError {
    /// Which line, if it is one.
    pub fn place(&self) -> Option<usize> {
        match self {
            Self::NoCheckpoint { .. } => None,
            Self::Line { place, .. }
            | Self::Stranger { place }
            | Self::Cosignature { place, .. } => Some(*place),
        }
    }
}

impl Witnesses {
    /// Before anything is witnessed.
    pub fn new() -> Self {
        Self {
            made: Mutex::default(),
            mark: watch::Sender::new(Mark::default()),
            waiting: Semaphore::new(WAITING),
            overdue: AtomicBool::new(false),
        }
    }

    /// Takes a checkpoint that this process made.
    pub fn add(&self, signed: SignedCheckpoint) {
        let mut made = self.made();
        if made.checkpoints.len() >= KEPT {
            made.checkpoints.pop_front();
        }
        made.checkpoints.push_back(signed);
        made.last = Some(Instant::now());
    }

    /// Waits until another checkpoint helps more than it costs.
    pub async fn until_paced(&self) {
        let mut mark = self.mark.subscribe();
        let size = mark.borrow_and_update().size;
        let (last, unwitnessed) = {
            let made = self.made();
            let above = |signed: &&SignedCheckpoint| signed.head().size > size;
            (made.last, made.checkpoints.iter().filter(above).count())
        };
        let gap = match unwitnessed {
            0 | 1 => return,
            count if count < SLOW => GAP,
            _ => GAP_SLOW,
        };
        if let Some(deadline) = last.and_then(|last| last.checked_add(gap)) {
            // Late or witnessed: another one may be made.
            let _which = timeout_at(deadline, mark.changed()).await;
        }
    }

    /// Counts cosignatures of one of this process's checkpoints: all of them, or none.
    ///
    /// # Errors
    /// [`CosignaturesError`]; nothing is changed.
    pub fn count(
        &self,
        quorum: &Quorum,
        size: u64,
        lines: &[String],
    ) -> Result<Counted, CosignaturesError> {
        let mut made = self.made();
        let waits = |signed: &&mut SignedCheckpoint| signed.head().size == size;
        let kept = made.checkpoints.iter_mut().find(waits);
        let kept = kept.ok_or(CosignaturesError::NoCheckpoint { size })?;
        let mut signed = kept.clone();
        for (place, line) in lines.iter().enumerate() {
            add(&mut signed, quorum, place, line)?;
        }
        *kept = signed.clone();
        let cosigned = quorum.tally(&signed).cosignatures().len();
        if quorum.witnessed(signed.clone()).is_ok() {
            made.checkpoints.retain(|other| other.head().size >= size);
            drop(made);
            self.raise(quorum, size);
        }
        Ok(Counted { signed, cosigned })
    }

    fn raise(&self, quorum: &Quorum, size: u64) {
        self.overdue.store(false, Ordering::Release);
        self.mark.send_if_modified(|mark| {
            let more = size > mark.size_by(quorum);
            if more {
                let quorum = Some(quorum.clone());
                *mark = Mark { size, quorum };
            }
            more
        });
    }

    /// How many entries these witnesses have cosigned since the start.
    pub fn witnessed(&self, quorum: &Quorum) -> u64 {
        self.mark.borrow().size_by(quorum)
    }

    /// The newest checkpoint that these witnesses have cosigned since the start, with their word.
    pub fn newest(&self, quorum: &Quorum) -> Option<SignedCheckpoint> {
        let size = self.witnessed(quorum);
        let made = self.made();
        let mut cosigned = made.checkpoints.iter();
        cosigned.find(|one| one.head().size == size).cloned()
    }

    /// Waits until the witnesses have cosigned an entry, until `deadline` at most.
    pub async fn until_witnessed(&self, quorum: &Quorum, entry: u64, deadline: Instant) -> bool {
        let mut mark = self.mark.subscribe();
        let covers = |mark: &Mark| mark.size_by(quorum) > entry;
        let found = timeout_at(deadline, mark.wait_for(covers)).await;
        matches!(found, Ok(Ok(_)))
    }

    /// A place among those who wait.
    pub fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.waiting.try_acquire().ok()
    }

    /// Notes that an answer was not released in time.
    pub fn set_overdue(&self) {
        self.overdue.store(true, Ordering::Release);
    }

    /// Why nothing would be released now, if so.
    pub fn trouble(&self, quorum: &Quorum) -> Option<String> {
        let (needed, named) = (quorum.needed(), quorum.witnesses().len());
        if self.witnessed(quorum) == 0 {
            return Some(format!(
                "{needed} of {named} witnesses have cosigned nothing since the start"
            ));
        }
        let overdue = self.overdue.load(Ordering::Acquire);
        overdue.then(|| format!("answers wait for {needed} of {named} witnesses"))
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Witnesses {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds the cosignature that a line is.
fn add(
    signed: &mut SignedCheckpoint,
    quorum: &Quorum,
    place: usize,
    line: &str,
) -> Result<(), CosignaturesError> {
    let line: SignatureLine = line
        .parse()
        .map_err(|source| CosignaturesError::Line { place, source })?;
    let mut witnesses = quorum.witnesses().iter();
    let key = witnesses
        .find(|key| key.is_named_by(&line))
        .ok_or(CosignaturesError::Stranger { place })?;
    signed
        .add_cosignature(key, &line)
        .map(drop)
        .map_err(|source| CosignaturesError::Cosignature { place, source })
}
