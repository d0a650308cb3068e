//! Roots in a fold: computed anew, and held against what the log says.

use std::{collections::VecDeque, sync::Arc};

use policy::{Entry, State, StateRoot};

use super::{Frozen, Growth, RootError, Rooting, recall_for};
use crate::{
    charges::ChargeFiles,
    disk::{Disk, ScratchDisk},
    map::{Map, MapError},
    replay::Parts,
    segment::LogId,
};

/// Where a fold has the map that it makes, and the charges.
pub(crate) enum Home {
    /// In the journal's own folder, to go on with.
    Journal(Arc<dyn Disk>, LogId),
    /// In a folder of its own, as long as it is needed.
    Apart,
}

/// The roots of the entries that were folded.
pub(crate) struct Replayed {
    home: Home,
    growth: Growth,
    map: Option<Map>,
    charges: Option<ChargeFiles>,
    /// Computed, and not yet in the log.
    due: VecDeque<StateRoot>,
    /// Whether an entry was passed over: what it wrote is not known, and no root behind it.
    lacks: bool,
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
        Self {
            home,
            growth: Growth::new(rooting),
            map: None,
            charges: None,
            due: VecDeque::new(),
            lacks: false,
        }
    }

    /// Recalls what applying an entry reads.
    ///
    /// # Errors
    /// [`RootError`].
    pub(crate) fn recall(&self, state: &mut State, entry: &Entry) -> Result<(), RootError> {
        match &self.map {
            Some(map) => recall_for(map, state, entry).map_err(RootError::Recall),
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
        // An audit asks for whatever there ever was.
        if let Home::Journal(..) = self.home {
            self.growth.settle(state, covers);
            self.growth.forget(state, usize::MAX);
        } else {
            self.growth.frozen.clear();
        }
        Ok(())
    }

    fn build(&mut self, frozen: Frozen) -> Result<(), RootError> {
        let before = match self.map.take() {
            Some(map) => map,
            None => self.empty()?,
        };
        let (map, root) = frozen.build(&before, &|| false)?;
        let removed = map.remove_others();
        removed.map_err(|error| RootError::Map(MapError::Disk(error)))?;
        self.map = Some(map);
        self.due.push_back(root);
        Ok(())
    }

    fn empty(&mut self) -> Result<Map, RootError> {
        let (disk, log) = self.home.disk()?;
        Ok(Map::new(disk, log))
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

    /// Holds a root of the log against the next one that follows from its entries.
    pub(crate) fn compare(&mut self, said: &StateRoot) -> Compared {
        match self.due.pop_front() {
            Some(found) if found == *said => Compared::Same,
            None if self.lacks => Compared::Unknown,
            _ => Compared::Another,
        }
    }

    /// Counts an entry of which only the leaf is known.
    pub(crate) fn pass_over(&mut self) {
        self.lacks = true;
    }

    /// What a writer goes on with, beside the state.
    ///
    /// # Errors
    /// [`RootError`].
    pub(crate) fn into_parts(mut self, state: State) -> Result<Parts, RootError> {
        let charges = self.charge_files()?;
        let map = match self.map.take() {
            Some(map) => map,
            None => self.empty()?,
        };
        Ok(Parts {
            state,
            charges,
            growth: self.growth,
            map,
            due: self.due,
        })
    }
}
