//! Witnesses that the policy names: which of this process's checkpoints they have cosigned.
//!
//! Nothing of it is kept on the disk, and only checkpoints that this process made count: whatever state
//! a start finds, a fresh checkpoint of it has to be witnessed before anything is released. Of an older
//! copy, a clone or a fork no honest majority cosigns one.
//!
//! Witnesses need not cosign the same checkpoint: what a majority has seen is the longest beginning for which
//! each of it speaks ([`CosignedSizes`]).

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
    cosignature::{CosignError, CosignedSizes, Quorum, Timestamp, WitnessKey},
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
    sizes: watch::Sender<CosignedSizes>,
    waiting: Semaphore,
    overdue: AtomicBool,
}

/// This process's checkpoints, by size, with the cosignatures that have come.
#[derive(Debug, Default)]
struct Made {
    checkpoints: VecDeque<Cosigned>,
    last: Option<Instant>,
}

/// A checkpoint, with those whose cosignatures it carries.
#[derive(Clone, Debug)]
struct Cosigned {
    signed: SignedCheckpoint,
    by: Vec<WitnessKey>,
}

impl Cosigned {
    fn size(&self) -> u64 {
        self.signed.head().size
    }

    /// How many of these witnesses have cosigned it.
    fn count(&self, quorum: &Quorum) -> usize {
        let named = |key: &&WitnessKey| quorum.witnesses().contains(key);
        self.by.iter().filter(named).count()
    }
}

/// How a checkpoint stands after cosignatures have come.
#[derive(Debug)]
pub struct Counted {
    /// It, with all cosignatures.
    pub signed: SignedCheckpoint,
    /// How many witnesses have cosigned it.
    pub cosigned: usize,
    /// Who cosigned it just now, and when, as they say.
    pub times: Vec<(WitnessKey, Timestamp)>,
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
            sizes: watch::Sender::new(CosignedSizes::default()),
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
        let by = Vec::new();
        made.checkpoints.push_back(Cosigned { signed, by });
        made.last = Some(Instant::now());
    }

    /// Waits until another checkpoint helps more than it costs.
    pub async fn until_paced(&self, quorum: &Quorum) {
        let mut sizes = self.sizes.subscribe();
        let size = sizes.borrow_and_update().size_by(quorum);
        let (last, unwitnessed) = {
            let made = self.made();
            let above = |one: &&Cosigned| one.size() > size;
            (made.last, made.checkpoints.iter().filter(above).count())
        };
        let gap = match unwitnessed {
            0 | 1 => return,
            count if count < SLOW => GAP,
            _ => GAP_SLOW,
        };
        if let Some(deadline) = last.and_then(|last| last.checked_add(gap)) {
            // Late or witnessed: another one may be made.
            let _which = timeout_at(deadline, sizes.changed()).await;
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
        let kept = made.checkpoints.iter_mut().find(|one| one.size() == size);
        let kept = kept.ok_or(CosignaturesError::NoCheckpoint { size })?;
        let mut cosigned = kept.clone();
        let mut times = Vec::new();
        for (place, line) in lines.iter().enumerate() {
            let (key, time) = add(&mut cosigned.signed, quorum, place, line)?;
            times.push((key.clone(), time));
            if !cosigned.by.contains(key) {
                cosigned.by.push(key.clone());
            }
        }
        *kept = cosigned.clone();
        let counted = Counted {
            cosigned: cosigned.count(quorum),
            signed: cosigned.signed,
            times,
        };
        if counted.cosigned >= quorum.needed() {
            made.checkpoints.retain(|other| other.size() >= size);
        }
        drop(made);
        self.raise(quorum, &cosigned.by, size);
        Ok(counted)
    }

    fn raise(&self, quorum: &Quorum, by: &[WitnessKey], size: u64) {
        self.sizes.send_if_modified(|sizes| {
            let before = sizes.size_by(quorum);
            // Nobody counts whom the policy does not name.
            sizes.keep(quorum);
            for key in by {
                sizes.raise(key, size);
            }
            let more = sizes.size_by(quorum) > before;
            if more {
                self.overdue.store(false, Ordering::Release);
            }
            more
        });
    }

    /// How many entries these witnesses have cosigned since the start.
    pub fn witnessed(&self, quorum: &Quorum) -> u64 {
        self.sizes.borrow().size_by(quorum)
    }

    /// The newest checkpoint that enough of these witnesses have cosigned since the start, with their word.
    pub fn newest(&self, quorum: &Quorum) -> Option<SignedCheckpoint> {
        let made = self.made();
        let enough = |one: &&Cosigned| one.count(quorum) >= quorum.needed();
        let newest = made.checkpoints.iter().rev().find(enough);
        newest.map(|one| one.signed.clone())
    }

    /// Waits until the witnesses have cosigned an entry, until `deadline` at most.
    pub async fn until_witnessed(&self, quorum: &Quorum, entry: u64, deadline: Instant) -> bool {
        let mut sizes = self.sizes.subscribe();
        let covers = |sizes: &CosignedSizes| sizes.size_by(quorum) > entry;
        let found = timeout_at(deadline, sizes.wait_for(covers)).await;
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

/// Adds the cosignature that a line is; gives whose, and when it says that it was made.
fn add<'a>(
    signed: &mut SignedCheckpoint,
    quorum: &'a Quorum,
    place: usize,
    line: &str,
) -> Result<(&'a WitnessKey, Timestamp), CosignaturesError> {
    let line: SignatureLine = line
        .parse()
        .map_err(|source| CosignaturesError::Line { place, source })?;
    let mut witnesses = quorum.witnesses().iter();
    let key = witnesses
        .find(|key| key.is_named_by(&line))
        .ok_or(CosignaturesError::Stranger { place })?;
    signed
        .add_cosignature(key, &line)
        .map(|cosignature| (key, cosignature.time()))
        .map_err(|source| CosignaturesError::Cosignature { place, source })
}
