//! What of the charges is not in closed blocks, as bytes: the open block, where each limit stands, and
//! its totals. With the blocks it is all that windows are counted from, so that nobody counts again.
//!
//! # Formats 1 and 2, integers big-endian, items as in rows
//! ```text
//! version u8 | blocks u64 | peaks of the tree over them [32]
//! | the first block that is kept u64 | its first place u64 | its first link u64
//! | place of the first charge of the open block u64 | its first link u64 | bytes of the open block [u8]
//! | ?bundle that the rest is counted for 32
//! | windows, in the order of limits: [place u64 | link u64 | totals, by group: [group | carries u64, amount]]
//! | ?first link of a destination u64 | destinations that have totals, by hash: [u64]
//! | of format 2, which a bundle with limits on what is outstanding has: sets that are, or will be: [set u64]
//! group: [0 ?address, 1 client text, 2 ?source text, 3 account text]
//! ```

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tlog::{CompactTree, Hash};

use super::{
    ChargeBlocks, Counts, GroupKey, Wide, Window, Windows,
    destinations::Destinations,
    series::Series,
    summary::{Link, Summary},
};
use crate::{
    AttemptId, BundleHash, Digest, Limit, Policy,
    code::{Code, read_slice, read_whole, write_slice},
};

const HASH_LABEL: &str = "strongroom-charge-state-v1\n";
const VERSION: u8 = 1;
/// Where limits are on what is outstanding.
const OUTSTANDING: u8 = 2;

/// What of the charges is not in closed blocks, after some entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeState {
    blocks: u64,
    peaks: Vec<[u8; 32]>,
    base: u64,
    first: Point,
    open: Point,
    open_block: Vec<u8>,
    counted_for: Option<[u8; 32]>,
    windows: Vec<WindowState>,
    first_link: Option<u64>,
    counted: Vec<u64>,
    /// Sets that limits on what is outstanding look at, where there are such limits.
    sets: Option<Vec<AttemptId>>,
}

/// What limits held, of a bundle that is to govern first.
#[derive(Clone, Debug)]
pub(super) struct Restored {
    pub(super) bundle: BundleHash,
    pub(super) windows: Vec<WindowState>,
    pub(super) sets: Option<Vec<AttemptId>>,
}

impl Restored {
    pub(super) fn is_of(&self, policy: &Policy) -> bool {
        let asks = policy.limits.iter().any(|limit| limit.says.outstanding);
        self.bundle == policy.hash
            && self.windows.len() == policy.limits.len()
            && self.sets.is_some() == asks
    }
}

/// A charge and its first link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) place: u64,
    pub(super) link: u64,
}

/// What a limit holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WindowState {
    first: Point,
    totals: Vec<(GroupKey, Wide)>,
}

/// The closed blocks that a state has: in memory what they are about, elsewhere their charges.
#[derive(Debug)]
pub struct KeptBlocks<I> {
    /// The summaries of the blocks from [`ChargeState::base`] on, verified by the tree.
    pub summaries: I,
    /// Where the charges are read.
    pub reader: Arc<dyn ChargeBlocks>,
}

/// Why bytes are no charge state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChargeStateError {
    /// They are of another version than 1 and 2.
    #[error("the charge state has version {found}, not 1 or 2")]
    Version {
        /// The version.
        found: u8,
    },
    /// They are none, or another spelling of one.
    #[error("the bytes are no charge state")]
    Form,
    /// The blocks are not those that it was made with.
    #[error("the blocks of charges are not those of the charge state")]
    Blocks,
}

impl ChargeState {
    /// Its bytes: equal states have equal bytes, others have others.
    pub fn encode(&self) -> Vec<u8> {
        let version = self.sets.as_ref().map_or(VERSION, |_| OUTSTANDING);
        let mut bytes = vec![version];
        self.write(&mut bytes);
        if let Some(sets) = &self.sets {
            sets.write(&mut bytes);
        }
        bytes
    }

    /// Reads the bytes that [`ChargeState::encode`] gives, and no others.
    ///
    /// # Errors
    /// [`ChargeStateError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ChargeStateError> {
        let state = match bytes.split_first() {
            Some((&VERSION, fields)) => read_whole(fields),
            Some((&OUTSTANDING, fields)) => Self::with_sets(fields),
            Some((&found, _)) => return Err(ChargeStateError::Version { found }),
            None => None,
        };
        let state = state.ok_or(ChargeStateError::Form)?;
        match state.is_sorted() && state.tree().is_some() {
            true => Ok(state),
            false => Err(ChargeStateError::Form),
        }
    }

    fn with_sets(mut fields: &[u8]) -> Option<Self> {
        let mut state = Self::read(&mut fields)?;
        state.sets = Some(read_whole(fields)?);
        Some(state)
    }

    /// SHA-256("strongroom-charge-state-v1\n" || bytes). It binds every charge of the history.
    pub fn hash(&self) -> Digest {
        let hash = Sha256::new().chain_update(HASH_LABEL);
        Digest(hash.chain_update(self.encode()).finalize().into())
    }

    /// The number of the first block that is still needed.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// How many blocks were closed.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Whether what limits hold is in it.
    pub(crate) fn is_counted(&self) -> bool {
        self.counted_for.is_some()
    }

    /// The tree over the leaves of all blocks; `None` of a number of peaks that no tree has.
    pub fn tree(&self) -> Option<CompactTree> {
        let peaks = self.peaks.iter().copied().map(Hash::new);
        CompactTree::from_peaks(self.blocks, peaks.collect()).ok()
    }

    fn is_sorted(&self) -> bool {
        let by_group =
            |totals: &[(GroupKey, Wide)]| totals.is_sorted_by(|(one, _), (next, _)| one < next);
        let mut sets = self.sets.iter();
        self.counted.is_sorted_by(|one, next| one < next)
            && sets.all(|sets| sets.is_sorted_by(|one, next| one < next))
            && self.windows.iter().all(|window| by_group(&window.totals))
    }
}

impl Windows {
    /// All but the closed blocks, counted for the policy that governs, if any shall.
    pub(crate) fn parts(&self, policy: Option<BundleHash>) -> ChargeState {
        let series = &self.series;
        let counted = || self.counts.windows.iter().map(Window::parts).collect();
        let outstanding = &self.counts.outstanding;
        let sets = || outstanding.longest().map(|_| outstanding.sets());
        let (counted_for, windows, sets) = match (&self.restored, policy) {
            (Some(restored), _) => {
                let Restored {
                    bundle,
                    windows,
                    sets,
                } = restored.clone();
                (Some(bundle), windows, sets)
            }
            (None, Some(policy)) => (Some(policy), counted(), sets()),
            (None, None) => (None, Vec::new(), None),
        };
        let destinations = self.counts.destinations.as_ref();
        let destinations = destinations.filter(|_| counted_for.is_some());
        let peaks = series.tree().peaks().iter();
        ChargeState {
            blocks: series.tree().size(),
            peaks: peaks.map(|peak| *peak.as_bytes()).collect(),
            base: series.base(),
            first: series.first_point(),
            open: series.open(),
            open_block: series.open_block(),
            counted_for: counted_for.map(|bundle| bundle.0),
            windows,
            first_link: destinations.map(Destinations::base),
            counted: destinations.map(Destinations::counted).unwrap_or_default(),
            sets,
        }
    }

    /// The windows of these parts.
    pub(crate) fn of_parts<S: AsRef<[u8]>>(
        parts: ChargeState,
        kept: KeptBlocks<impl IntoIterator<Item = S>>,
    ) -> Result<Self, ChargeStateError> {
        let tree = parts.tree().ok_or(ChargeStateError::Blocks)?;
        let mut destinations = None;
        let mut series = Series::begun(parts.base, parts.first);
        for summary in kept.summaries {
            let summary: Summary = read_whole(summary.as_ref()).ok_or(ChargeStateError::Blocks)?;
            let start = series.take(&summary);
            relink(&mut destinations, &parts, start.link, &summary.links);
        }
        let fits = series.open() == parts.open;
        let has_all = series.blocks() == tree.size();
        if !(fits && has_all && series.reopen(tree, &parts.open_block, kept.reader)) {
            return Err(ChargeStateError::Blocks);
        }
        relink(
            &mut destinations,
            &parts,
            parts.open.link,
            series.open_links(),
        );
        if let (Some(destinations), Some(first)) = (&mut destinations, parts.first_link) {
            destinations.advance(first);
        }
        Ok(Self {
            series,
            counts: Counts {
                destinations,
                ..Counts::default()
            },
            restored: parts.counted_for.map(|bundle| Restored {
                bundle: BundleHash(bundle),
                windows: parts.windows,
                sets: parts.sets,
            }),
        })
    }
}

/// Takes the links of a block into the chains, unless all of them are before the first that counts.
fn relink(chains: &mut Option<Destinations>, parts: &ChargeState, start: u64, links: &[Link]) {
    let end = start.saturating_add(links.len() as u64);
    if let Some(first) = parts.first_link
        && end >= first
    {
        let counting = || Destinations::counting(start, &parts.counted);
        let chains = chains.get_or_insert_with(counting);
        links.iter().for_each(|link| chains.push(*link));
    }
}

impl Window {
    /// The window of a limit as it was.
    pub(super) fn of_parts(limit: &Limit, parts: WindowState) -> Self {
        Self {
            place: parts.first.place,
            link: parts.first.link,
            groups: parts.totals.into_iter().collect(),
            ..Self::new(limit)
        }
    }

    fn parts(&self) -> WindowState {
        let totals = self.groups.iter();
        let mut totals: Vec<_> = totals
            .map(|(group, total)| (group.clone(), *total))
            .collect();
        totals.sort();
        let first = Point {
            place: self.place,
            link: self.link,
        };
        WindowState { first, totals }
    }
}

impl Code for ChargeState {
    fn write(&self, to: &mut Vec<u8>) {
        self.blocks.write(to);
        self.peaks.write(to);
        self.base.write(to);
        self.first.write(to);
        self.open.write(to);
        write_slice(&self.open_block, to);
        self.counted_for.write(to);
        self.windows.write(to);
        self.first_link.write(to);
        self.counted.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            blocks: Code::read(from)?,
            peaks: Code::read(from)?,
            base: Code::read(from)?,
            first: Code::read(from)?,
            open: Code::read(from)?,
            open_block: read_slice(from)?.to_vec(),
            counted_for: Code::read(from)?,
            windows: Code::read(from)?,
            first_link: Code::read(from)?,
            counted: Code::read(from)?,
            sets: None,
        })
    }
}

impl Code for Point {
    fn write(&self, to: &mut Vec<u8>) {
        self.place.write(to);
        self.link.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            place: Code::read(from)?,
            link: Code::read(from)?,
        })
    }
}

impl Code for WindowState {
    fn write(&self, to: &mut Vec<u8>) {
        self.first.write(to);
        self.totals.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            first: Code::read(from)?,
            totals: Code::read(from)?,
        })
    }
}

impl Code for (GroupKey, Wide) {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some((Code::read(from)?, Code::read(from)?))
    }
}

#[cfg(test)]
mod tests {
    use tx::Amount;

    use super::*;

    fn state(groups: &[GroupKey], counted: &[u64], sets: &[u64]) -> ChargeState {
        let total = Wide::default().plus(Amount::ONE);
        let totals = groups.iter().map(|group| (group.clone(), total)).collect();
        let start = Point { place: 0, link: 0 };
        let first = start;
        ChargeState {
            blocks: 0,
            peaks: Vec::new(),
            base: 0,
            first: start,
            open: start,
            open_block: Vec::new(),
            counted_for: Some([1; 32]),
            windows: vec![WindowState { first, totals }],
            first_link: Some(0),
            counted: counted.to_vec(),
            sets: Some(sets.iter().copied().map(AttemptId).collect()),
        }
    }

    /// Another order would be another spelling, and another hash, of the same.
    #[test]
    fn what_is_out_of_order_or_there_twice_is_no_charge_state() {
        let [a, b] = ["a", "b"].map(|name| GroupKey::client(name.parse().unwrap()));
        let decoded = |state: &ChargeState| ChargeState::decode(&state.encode());
        let ordered = [a.clone(), b.clone()];
        let fine = state(&ordered, &[3, 7], &[5, 9]);
        assert_eq!(decoded(&fine), Ok(fine));
        for wrong in [
            state(&ordered, &[7, 3], &[5, 9]),
            state(&ordered, &[3, 3], &[5, 9]),
            state(&ordered, &[3, 7], &[9, 5]),
            state(&ordered, &[3, 7], &[5, 5]),
            state(&[b, a.clone()], &[3, 7], &[5, 9]),
            state(&[a.clone(), a], &[3, 7], &[5, 9]),
        ] {
            assert_eq!(decoded(&wrong), Err(ChargeStateError::Form), "{wrong:?}");
        }
    }
}
