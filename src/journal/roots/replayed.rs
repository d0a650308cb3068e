//! Roots in a fold: computed anew, and held against what the log says.

use std::{collections::VecDeque, sync::Arc};

use policy::{Entry, State, StateRoot};

use super::{Content, Frozen, Growth, Kept, RootError, Rooting, recall_for};
use crate::{
    charges::ChargeFiles,
    disk::{Disk, ScratchDisk},
    map::Map,
    segment::LogId,
};

/// Where a fold has the map that it makes, and the charges.
pub(crate) enum Home {
    /// In the journal's own folder, to go on with.
    Journal(Arc<dyn Disk>, LogId),
    /// In a folder of its own, as long as it is needed.
    Apart,
}

/// Which rows the state holds in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// Those that the map does not have.
    Lately,
    /// All: an audit asks for whatever there ever was.
    All,
}

/// The roots of the entries that were folded.
pub(crate) struct Replayed {
    home: Home,
    memory: Memory,
    growth: Growth,
    kept: Option<Kept>,
    charges: Option<ChargeFiles>,
    /// Computed, and not yet in the log.
    due: VecDeque<StateRoot>,
    /// The last that the log has, and its entry.
    newest: Option<(u64, StateRoot)>,
    /// That of the snapshot, as the log has it, and its entry.
    first: Option<(u64, StateRoot)>,
    /// How many entries the snapshot covers.
    skipped: Option<u64>,
    /// Whether an entry was passed over: what it wrote is not known, and no root behind it.
    lacks: bool,
}

/// What a writer goes on with.
pub(crate) struct Left {
    pub(crate) charges: ChargeFiles,
    pub(crate) growth: Growth,
    pub(crate) kept: Kept,
    /// Roots that follow from the log and are not in it.
    pub(crate) due: VecDeque<StateRoot>,
    /// The last root that the log has, and its entry.
    pub(crate) newest: Option<(u64, StateRoot)>,
    /// That of the snapshot, as the log has it, and its entry.
    pub(crate) first: Option<(u64, StateRoot)>,
}

/// Of what a log says, and what follows from its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    Same,
    Another,
    /// It cannot be computed, because an entry was passed over.
    Unknown,
}

impl Home {
    fn disk(&mut self) -> Result<(Arc<dyn Disk>, LogId), RootError> {
        if let Self::Journal(disk, log) = self {
            return Ok((Arc::clone(disk), *log));
        }
        let disk = ScratchDisk::new().map_err(RootError::Folder)?;
        let (disk, log): (Arc<dyn Disk>, _) = (Arc::new(disk), LogId::new([0; 32]));
        *self = Self::Journal(Arc::clone(&disk), log);
        Ok((disk, log))
    }
}

impl Replayed {
    pub(crate) fn new(home: Home, rooting: Rooting) -> Self {
        let memory = match &home {
            Home::Journal(..) => Memory::Lately,
            Home::Apart => Memory::All,
        };
        Self {
            home,
            memory,
            growth: Growth::new(rooting),
            kept: None,
            charges: None,
            due: VecDeque::new(),
            newest: None,
            first: None,
            skipped: None,
            lacks: false,
        }
    }

    /// As one before its first entry, in a folder of its own.
    pub(crate) fn kept_on(self, disk: Arc<dyn Disk>, log: LogId) -> Self {
        Self {
            home: Home::Journal(disk, log),
            memory: Memory::Lately,
            ..self
        }
    }

    /// Behind a snapshot.
    pub(crate) fn behind(
        home: Home,
        rooting: Rooting,
        (map, charges): (Arc<Map>, ChargeFiles),
        content: &Content,
    ) -> Self {
        Self {
            kept: Some(Kept::of(map, content)),
            charges: Some(charges),
            due: content.roots.iter().copied().collect(),
            skipped: Some(content.covers()),
            ..Self::new(home, rooting)
        }
    }

    /// Recalls what applying an entry reads.
    ///
    /// # Errors
    /// [`RootError`].
    pub(crate) fn recall(&self, state: &mut State, entry: &Entry) -> Result<(), RootError> {
        match &self.kept {
            Some(kept) => recall_for(kept.map(), state, entry).map_err(RootError::Recall),
            None => Ok(()),
        }
    }

    /// Takes what the entry at `index` wrote, which the state took last.
    ///
    /// # Errors
    /// [`RootError`].
    pub(crate) fn take(
        &mut self,
        state: &mut State,
        index: u64,
        entry: &Entry,
    ) -> Result<(), RootError> {
        if self.lacks {
            return Ok(());
        }
        let frozen = self.growth.take(state, index, entry);
        state.forget_recalled(|key| self.growth.holds(key));
        let Some(frozen) = frozen else {
            return Ok(());
        };
        let covers = frozen.covers;
        self.build(frozen)?;
        match self.memory {
            Memory::Lately => {
                if let Some(kept) = &self.kept {
                    self.growth.settle(state, covers, kept.map());
                }
                self.growth.forget(state, usize::MAX);
            }
            Memory::All => self.growth.frozen.clear(),
        }
        Ok(())
    }

    fn build(&mut self, frozen: Frozen) -> Result<(), RootError> {
        let mut kept = self.kept()?;
        let root = kept.extend(frozen, &|| false)?;
        self.kept = Some(kept);
        self.due.push_back(root);
        Ok(())
    }

    fn kept(&mut self) -> Result<Kept, RootError> {
        if let Some(kept) = self.kept.take() {
            return Ok(kept);
        }
        let (disk, log) = self.home.disk()?;
        Ok(Kept::new(disk, log))
    }

    /// Takes the blocks of charges that the state has closed.
    ///
    /// # Errors
    /// [`RootError`].
    pub(crate) fn keep_charges(&mut self, state: &mut State) -> Result<(), RootError> {
        if state.closed_blocks().next().is_none() {
            return Ok(());
        }
        let mut files = self.charge_files()?;
        let taken = files.take(state).map_err(RootError::Charges);
        self.charges = Some(files);
        taken
    }

    fn charge_files(&mut self) -> Result<ChargeFiles, RootError> {
        if let Some(files) = self.charges.take() {
            return Ok(files);
        }
        let (disk, log) = self.home.disk()?;
        let created = ChargeFiles::create(disk, log);
        created.map_err(|error| RootError::Charges(error.into()))
    }

    /// Holds the root of the log at `index` against the next one that follows from its entries.
    pub(crate) fn compare(&mut self, index: u64, said: &StateRoot) -> Compared {
        match self.due.pop_front() {
            Some(found) if found == *said => {
                self.newest = Some((index, found));
                if self.skipped == Some(found.covers) {
                    self.first = self.newest;
                }
                Compared::Same
            }
            None if self.lacks => Compared::Unknown,
            _ => Compared::Another,
        }
    }

    /// The root of the snapshot, as the log has it, and its entry.
    pub(crate) const fn first(&self) -> Option<(u64, StateRoot)> {
        self.first
    }

    /// The first root that is not in the log.
    pub(crate) fn due(&self) -> Option<StateRoot> {
        self.due.front().copied()
    }

    /// Counts an entry of which only the leaf is known.
    pub(crate) fn pass_over(&mut self) {
        self.lacks = true;
    }

    /// What a writer goes on with, beside the state.
    ///
    /// # Errors
    /// [`RootError`].
    pub(crate) fn left(mut self) -> Result<Left, RootError> {
        Ok(Left {
            charges: self.charge_files()?,
            kept: self.kept()?,
            growth: self.growth,
            due: self.due,
            newest: self.newest,
            first: self.first,
        })
    }
}
