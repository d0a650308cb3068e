//! What of a block stays in memory.

use std::sync::Arc;

use tx::Time;

use super::charge::Charge;
use crate::{AttemptId, code::Code};

/// That a charge says something of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link(u64);

impl Link {
    /// The lowest bits say which charge of its block it is of.
    const PLACE_BITS: u64 = 0x1f;

    /// Of the charge that is the `n`th of its block.
    pub(super) fn of(n: u8, hash: u64) -> Self {
        let n = u64::from(n) & Self::PLACE_BITS;
        Self((hash & !Self::PLACE_BITS) | n)
    }

    pub(super) fn hash(self) -> u64 {
        self.0 & !Self::PLACE_BITS
    }

    pub(super) fn place(self) -> u8 {
        (self.0 & Self::PLACE_BITS).to_le_bytes()[0]
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }

    pub(super) fn of_number(number: u64) -> Self {
        Self(number)
    }
}

/// A block, without what its charges say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) id: AttemptId,
    pub(super) at: Time,
    pub(super) charges: u8,
    pub(super) links: Vec<Link>,
    /// Which charges, by their numbers in the block, joined which sets.
    pub(super) joined: Vec<(u8, AttemptId)>,
}

impl Summary {
    pub(super) fn of(charges: &[Arc<Charge>], links: Vec<Link>) -> Self {
        let first = charges.first();
        let joined = (0..).zip(charges).filter(|(_, charge)| charge.joins());
        Self {
            id: first.map_or(AttemptId(0), |first| first.id),
            at: first.map_or(Time::default(), |first| first.at),
            charges: u8::try_from(charges.len()).unwrap_or(u8::MAX),
            links,
            joined: joined.map(|(n, charge)| (n, charge.set)).collect(),
        }
    }
}

/// `id of the first charge u64 | its time u64 | charges u8 | links u32, each: the first 59 bits of a
/// destination's hash, and the number of its charge | joined u32, each: number of the charge u8 | set u64`
impl Code for Summary {
    fn write(&self, to: &mut Vec<u8>) {
        self.id.write(to);
        self.at.write(to);
        self.charges.write(to);
        self.links.write(to);
        self.joined.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            id: Code::read(from)?,
            at: Code::read(from)?,
            charges: Code::read(from)?,
            links: Code::read(from)?,
            joined: Code::read(from)?,
        })
    }
}

impl Code for Link {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        u64::read(from).map(Self)
    }
}

impl Code for (u8, AttemptId) {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some((Code::read(from)?, Code::read(from)?))
    }
}
