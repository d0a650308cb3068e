//! The series of charges: every charge that can still be in a window, in the order of entries.
//!
//! Charges have places, from 0 on for ever. They are closed in blocks; closed ones are kept in memory
//! until somebody says that they can be read elsewhere ([`ChargeBlocks`]). In memory stay two words a
//! block, and which sets have several charges.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tlog::{CompactTree, Hash, leaf_hash};
use tx::Time;

use super::{
    block::{self, Block, CHARGES_MAX, FACTS_MAX},
    charge::Charge,
    left,
    parts::Point,
    summary::{Link, Summary},
};
use crate::{AttemptId, Limit, code::written};

/// Where closed blocks of charges are read.
pub trait ChargeBlocks: Send + Sync + fmt::Debug {
    /// The bytes of the block of this number, as they were closed.
    ///
    /// # Errors
    /// [`UnreadBlock`] when they cannot be read, or are not what they were: never other bytes.
    fn read(&self, block: u64) -> Result<Arc<[u8]>, UnreadBlock>;
}

/// Why a block was not read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct UnreadBlock {
    /// Why.
    pub reason: String,
}

/// Why charges are not known that a step hangs on. It is no absence: whoever decides stops.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChargesError {
    /// A block of the series was not read.
    #[error("block {block} of the charges cannot be read")]
    Unread {
        /// The block.
        block: u64,
        /// Why.
        source: UnreadBlock,
    },
    /// A row that says how an attempt stands was not read.
    #[error("a row of kind {kind} cannot be read")]
    Row {
        /// Its kind.
        kind: &'static str,
        /// Why.
        source: UnreadBlock,
    },
    /// A block is not the one that was closed.
    #[error("block {block} of the charges is not what it was")]
    Damaged {
        /// The block.
        block: u64,
    },
}

/// A block to which no charge is added any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedBlock {
    /// Its number, from 0.
    pub number: u64,
    /// What of it stays in memory, for [`crate::State::restore`].
    pub summary: Arc<[u8]>,
    /// Its charges.
    pub charges: Arc<[u8]>,
}

impl ClosedBlock {
    /// Its leaf in the tree over all blocks: RFC 6962's hash of
    /// `number u64 || SHA-256 of the charges 32 || summary`.
    pub fn leaf(&self) -> Hash {
        Self::leaf_of(
            self.number,
            &Sha256::digest(&self.charges).into(),
            &self.summary,
        )
    }

    /// The leaf of a block of which the charges are known by their hash.
    pub fn leaf_of(number: u64, charges: &[u8; 32], summary: &[u8]) -> Hash {
        leaf_hash(&[&number.to_be_bytes(), charges.as_slice(), summary].concat())
    }
}

/// Where a block begins.
#[derive(Clone, Copy, Debug)]
struct Start {
    place: u64,
    /// How many links stand before it.
    link: u64,
    id: AttemptId,
    at: Time,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// The number of the first block that is kept.
    base: u64,
    /// Of closed blocks from `base` on.
    starts: VecDeque<Start>,
    /// Over all blocks that were ever closed.
    tree: CompactTree,
    /// The last of the closed blocks: those that are in memory.
    held: VecDeque<ClosedBlock>,
    reader: Option<Arc<dyn ChargeBlocks>>,
    /// The place of the first charge that is in no block.
    open_place: u64,
    /// The number of its first link.
    open_link: u64,
    open: Vec<Arc<Charge>>,
    open_links: Vec<Link>,
    /// The newest charge of each set that has several.
    sets: HashMap<AttemptId, u64>,
    /// Up to where `sets` was looked through for those that are gone.
    swept: u64,
}

impl Series {
    /// The place of the next charge.
    pub(super) fn end(&self) -> u64 {
        self.open_place.saturating_add(self.open.len() as u64)
    }

    /// The charge that was added last.
    pub(super) fn newest(&self) -> Option<Arc<Charge>> {
        self.open.last().cloned()
    }

    /// The place of the first charge that is kept.
    pub(super) fn first(&self) -> u64 {
        self.starts
            .front()
            .map_or(self.open_place, |start| start.place)
    }

    /// Closes the block that takes no further charge.
    pub(super) fn make_room(&mut self) {
        let facts = self.open.iter().map(|charge| charge.facts.len());
        if self.open.len() >= CHARGES_MAX || facts.sum::<usize>() >= FACTS_MAX {
            self.close();
        }
    }

    /// The links of a charge that stands at this place, or will once there is room.
    pub(super) fn links_of(&self, place: u64, charge: &Charge) -> Vec<Link> {
        let first = match place >= self.open_place {
            true => self.open_place,
            false => self.start_of(place).map_or(place, |(_, start)| start.place),
        };
        // Less than CHARGES_MAX.
        let n = u8::try_from(place.saturating_sub(first)).unwrap_or(u8::MAX);
        let hashes = charge.destination_hashes();
        hashes.map(|hash| Link::of(n, hash)).collect()
    }

    /// Adds a charge with its links, when room was made.
    pub(super) fn push(&mut self, charge: Charge, links: Vec<Link>) {
        if charge.joins() {
            self.sets.insert(charge.set, self.end());
        }
        self.open_links.extend(links);
        self.open.push(Arc::new(charge));
    }

    fn close(&mut self) {
        let Some(first) = self.open.first() else {
            return;
        };
        let start = Start {
            place: self.open_place,
            link: self.open_link,
            id: first.id,
            at: first.at,
        };
        let charges = block::encode(self.open_place, &self.open).into();
        let summary = Summary::of(&self.open, std::mem::take(&mut self.open_links));
        self.open_link = start.link.saturating_add(summary.links.len() as u64);
        self.open_place = self.end();
        let block = ClosedBlock {
            number: self.tree.size(),
            summary: written(&summary).into(),
            charges,
        };
        // No journal has 2^63 blocks.
        let _full = self.tree.append(block.leaf());
        self.starts.push_back(start);
        self.held.push_back(block);
        self.open.clear();
    }

    /// None of the blocks from this number on, whose first charge is this.
    pub(super) fn begun(base: u64, first: Point) -> Self {
        Self {
            base,
            open_place: first.place,
            open_link: first.link,
            ..Self::default()
        }
    }

    /// Takes the next closed block, of which the charges are read when they are asked for.
    pub(super) fn take(&mut self, summary: &Summary) -> Point {
        let start = self.open();
        self.starts.push_back(Start {
            place: start.place,
            link: start.link,
            id: summary.id,
            at: summary.at,
        });
        for (n, set) in &summary.joined {
            let place = start.place.saturating_add(u64::from(*n));
            self.sets.insert(*set, place);
        }
        let links = summary.links.len() as u64;
        self.open_place = start.place.saturating_add(u64::from(summary.charges));
        self.open_link = start.link.saturating_add(links);
        start
    }

    /// Behind the closed blocks, takes the charges of the open one; whether they are such.
    #[must_use]
    pub(super) fn reopen(
        &mut self,
        tree: CompactTree,
        open: &[u8],
        reader: Arc<dyn ChargeBlocks>,
    ) -> bool {
        let charges = match open {
            [] => Some(Vec::new()),
            open => Block::of(open).and_then(|block| block.all(self.open_place)),
        };
        let Some(charges) = charges.filter(|all| block::encode(self.open_place, all) == open)
        else {
            return false;
        };
        self.tree = tree;
        self.reader = Some(reader);
        for charge in charges {
            let links = self.links_of(self.end(), &charge);
            self.push(Arc::unwrap_or_clone(charge), links);
        }
        true
    }

    /// The number of the first block that is kept.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// How many blocks were closed.
    pub(super) fn blocks(&self) -> u64 {
        self.base.saturating_add(self.starts.len() as u64)
    }

    pub(super) fn tree(&self) -> &CompactTree {
        &self.tree
    }

    /// Where the first block begins that is kept.
    pub(super) fn first_point(&self) -> Point {
        self.starts.front().map_or(self.open(), |start| Point {
            place: start.place,
            link: start.link,
        })
    }

    /// Where the open block begins.
    pub(super) fn open(&self) -> Point {
        Point {
            place: self.open_place,
            link: self.open_link,
        }
    }

    /// The bytes of the open block.
    pub(super) fn open_block(&self) -> Vec<u8> {
        block::encode(self.open_place, &self.open)
    }

    pub(super) fn open_links(&self) -> &[Link] {
        &self.open_links
    }

    /// The closed blocks that are in memory, oldest first.
    pub(super) fn held(&self) -> impl Iterator<Item = &ClosedBlock> {
        self.held.iter()
    }

    /// Lets go of the blocks before this number: they are read there.
    pub(super) fn release(&mut self, reader: Arc<dyn ChargeBlocks>, before: u64) {
        self.reader = Some(reader);
        let kept = |block: &mut ClosedBlock| block.number < before;
        while self.held.pop_front_if(kept).is_some() {}
    }

    /// Lets go of blocks of which no charge can be in a window any longer.
    pub(super) fn advance(&mut self, lo: Time) {
        while let Some(next) = self.second_at()
            && left(next, Limit::WINDOW_MILLIS_MAX, lo)
        {
            self.starts.pop_front();
            self.base = self.base.saturating_add(1);
            let base = self.base;
            while self
                .held
                .pop_front_if(|block| block.number < base)
                .is_some()
            {}
        }
        let first = self.first();
        if first.saturating_sub(self.swept) > (self.sets.len() as u64).max(1024) {
            self.sets.retain(|_, newest| *newest >= first);
            self.swept = first;
        }
    }

    /// When the first charge behind the first block was made: all of that block were made before it.
    fn second_at(&self) -> Option<Time> {
        match self.starts.len() {
            1 => self.open.first().map(|charge| charge.at),
            _ => self.starts.get(1).map(|start| start.at),
        }
    }

    /// Whether the charge's set has another one, now or since it was made.
    pub(super) fn is_shared(&self, charge: &Charge) -> bool {
        charge.joins() || self.newest_of(charge.set).is_some()
    }

    /// The last charge of a set that has several.
    pub(super) fn newest_of(&self, set: AttemptId) -> Option<u64> {
        let newest = self.sets.get(&set).copied();
        newest.filter(|newest| *newest >= self.first())
    }

    /// The last charge of a set that the series has.
    pub(super) fn last_of(&self, set: AttemptId) -> Result<Option<u64>, ChargesError> {
        match self.newest_of(set) {
            Some(newest) => Ok(Some(newest)),
            None => self.place_of(set),
        }
    }

    /// The charges of a set from this place on, newest first.
    pub(super) fn members(
        &self,
        set: AttemptId,
        from: u64,
    ) -> Result<Vec<(u64, Arc<Charge>)>, ChargesError> {
        let mut members = Vec::new();
        let mut next = self.last_of(set)?;
        while let Some(place) = next.filter(|place| *place >= from.max(self.first())) {
            let charge = self.charge(place)?;
            next = charge.previous;
            members.push((place, charge));
        }
        Ok(members)
    }

    /// Where an attempt's charge stands.
    fn place_of(&self, id: AttemptId) -> Result<Option<u64>, ChargesError> {
        if self.open.first().is_some_and(|first| first.id <= id) {
            let found = self.open.binary_search_by_key(&id, |charge| charge.id);
            let place = |n: usize| self.open_place.saturating_add(n as u64);
            return Ok(found.ok().map(place));
        }
        let behind = self.starts.partition_point(|start| start.id <= id);
        let Some((at, start)) = behind
            .checked_sub(1)
            .and_then(|at| Some((at, self.starts.get(at)?)))
        else {
            return Ok(None);
        };
        let charges = self.block_charges(at, start)?;
        let found = charges.binary_search_by_key(&id, |charge| charge.id);
        Ok(found.ok().map(|n| start.place.saturating_add(n as u64)))
    }

    /// The charge at a place that is kept.
    pub(super) fn charge(&self, place: u64) -> Result<Arc<Charge>, ChargesError> {
        if let Some(n) = place.checked_sub(self.open_place) {
            let n = usize::try_from(n).unwrap_or(usize::MAX);
            let block = self.tree.size();
            let charge = self.open.get(n).map(Arc::clone);
            return charge.ok_or(ChargesError::Damaged { block });
        }
        let (at, start) = self.start_of(place)?;
        let number = self.number(at);
        let bytes = self.read(number)?;
        let damaged = ChargesError::Damaged { block: number };
        let n = usize::try_from(place.saturating_sub(start.place)).unwrap_or(usize::MAX);
        let block = Block::of(&bytes).filter(|block| block.first() == (start.id, start.at));
        let charge = block.and_then(|block| block.charge(start.place, n));
        charge.map(Arc::new).ok_or(damaged)
    }

    /// The charges from a place on: as many as stand in its block; none at the end.
    pub(super) fn charges_from(&self, place: u64) -> Result<VecDeque<Arc<Charge>>, ChargesError> {
        let skip = |first: u64| usize::try_from(place.saturating_sub(first)).unwrap_or(usize::MAX);
        if place >= self.open_place {
            let open = self.open.iter().skip(skip(self.open_place));
            return Ok(open.cloned().collect());
        }
        let (at, start) = self.start_of(place)?;
        let charges = self.block_charges(at, start)?;
        Ok(charges.into_iter().skip(skip(start.place)).collect())
    }

    /// The place of the first charge that has not left a window at `lo`.
    pub(super) fn first_in(&self, window_millis: u64, lo: Time) -> Result<u64, ChargesError> {
        let gone = |at: Time| left(at, window_millis, lo);
        let behind = self.starts.partition_point(|start| gone(start.at));
        let mut place = match behind.checked_sub(1).and_then(|at| self.starts.get(at)) {
            Some(start) => start.place,
            None => self.first(),
        };
        // Within that block and, when all of it has left, the next one.
        loop {
            let charges = self.charges_from(place)?;
            let out = charges.partition_point(|charge| gone(charge.at));
            place = place.saturating_add(out as u64);
            if out < charges.len() || charges.is_empty() {
                return Ok(place);
            }
        }
    }

    /// How many links stand before the charge at this place.
    pub(super) fn link_of(&self, place: u64) -> Result<u64, ChargesError> {
        let (first, link) = match place >= self.open_place {
            true => (self.open_place, self.open_link),
            false => {
                let (_, start) = self.start_of(place)?;
                (start.place, start.link)
            }
        };
        let before = usize::try_from(place.saturating_sub(first)).unwrap_or(usize::MAX);
        let charges = self.charges_from(first)?;
        let links = charges.iter().take(before);
        let links = links.map(|charge| charge.destinations().len() as u64);
        Ok(links.fold(link, u64::saturating_add))
    }

    /// The place of a link's charge, which is the `n`th of its block.
    pub(super) fn place_of_link(&self, link: u64, n: u8) -> u64 {
        let behind = self.starts.partition_point(|start| start.link <= link);
        let first = match behind.checked_sub(1).and_then(|at| self.starts.get(at)) {
            Some(start) if link < self.open_link => start.place,
            _ => self.open_place,
        };
        first.saturating_add(u64::from(n))
    }

    fn start_of(&self, place: u64) -> Result<(usize, &Start), ChargesError> {
        let behind = self.starts.partition_point(|start| start.place <= place);
        let found = behind.checked_sub(1);
        let found = found.and_then(|at| Some((at, self.starts.get(at)?)));
        found.ok_or(ChargesError::Damaged { block: self.base })
    }

    fn number(&self, at: usize) -> u64 {
        self.base.saturating_add(at as u64)
    }

    fn block_charges(&self, at: usize, start: &Start) -> Result<Vec<Arc<Charge>>, ChargesError> {
        let number = self.number(at);
        let bytes = self.read(number)?;
        let block = Block::of(&bytes).filter(|block| block.first() == (start.id, start.at));
        let charges = block.and_then(|block| block.all(start.place));
        charges.ok_or(ChargesError::Damaged { block: number })
    }

    fn read(&self, block: u64) -> Result<Arc<[u8]>, ChargesError> {
        let held = self.held.front().map(|first| first.number);
        let at = held.and_then(|first| usize::try_from(block.checked_sub(first)?).ok());
        if let Some(held) = at.and_then(|at| self.held.get(at)) {
            return Ok(Arc::clone(&held.charges));
        }
        match &self.reader {
            Some(reader) => reader
                .read(block)
                .map_err(|source| ChargesError::Unread { block, source }),
            None => Err(ChargesError::Damaged { block }),
        }
    }
}
