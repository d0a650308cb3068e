//! Which charges say something of a destination.
//!
//! There are as many destinations as payments: a total for each would be a second book of charges for
//! every limit that counts them apart. What is kept is twelve bytes a payment: a hash of the
//! destination and where the one before it with the same hash is, so that a destination's charges are
//! found, read and summed when they are asked for. Only those with many have totals.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
};

use sha2::{Digest as _, Sha256};
use tx::Address;

use super::summary::Link;
use crate::code::written;

/// A destination with more charges than this is counted like any other group.
pub(super) const SUMMED_MAX: usize = 32;
/// How many links share a chain, on average.
const CHAIN: usize = 4;
const CHUNK: usize = 1 << 14;

/// A link as it is kept: its number in two halves, and how many links before it the next of its chain
/// is, 0 for none.
type Kept = [u32; 3];

/// Chains of links, newest first, by hashes of destinations.
#[derive(Clone, Debug)]
pub(super) struct Destinations {
    /// The number of the first link of the first chunk.
    from: u64,
    /// Links before this one are of charges that have left every window.
    base: u64,
    chunks: VecDeque<Vec<Kept>>,
    /// The number behind the newest link of each chain, 0 for none.
    heads: Vec<u64>,
    /// Chains hang on it, answers do not: nobody chooses addresses that share a chain.
    keys: RandomState,
    /// Destinations that are counted, by hash, and the newest link of each.
    counted: HashMap<u64, u64>,
}

/// 59 bits of the SHA-256 of an address; the others are 0.
pub(crate) fn address_hash(address: &Address) -> u64 {
    let hash: [u8; 32] = Sha256::digest(written(address)).into();
    let (first, _) = hash.split_first_chunk().unwrap_or((&[0; 8], &[]));
    Link::of(0, u64::from_be_bytes(*first)).number()
}

impl Destinations {
    /// None, and the first link will have this number.
    pub(super) fn new(from: u64) -> Self {
        Self::counting(from, &[])
    }

    /// None, of which these will be counted.
    pub(super) fn counting(from: u64, counted: &[u64]) -> Self {
        Self {
            from,
            base: from,
            chunks: VecDeque::new(),
            heads: vec![0; 64],
            keys: RandomState::new(),
            counted: counted.iter().map(|hash| (*hash, from)).collect(),
        }
    }

    pub(super) fn end(&self) -> u64 {
        let full = self.chunks.len().saturating_sub(1).saturating_mul(CHUNK);
        let last = self.chunks.back().map_or(0, Vec::len);
        self.from.saturating_add(full.saturating_add(last) as u64)
    }

    /// Adds the next link.
    pub(super) fn push(&mut self, link: Link) {
        let number = self.end();
        if self.chunks.back().is_none_or(|chunk| chunk.len() >= CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
            self.grow();
        }
        let kept = self.chained(number, link);
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(kept);
        }
        if let Some(newest) = self.counted.get_mut(&link.hash()) {
            *newest = number;
        }
    }

    /// Puts a link at the head of its chain. One that is counted is looked for by nobody: it would only
    /// make the chain long for others.
    fn chained(&mut self, number: u64, link: Link) -> Kept {
        let word = link.number();
        // Two halves of it.
        let low = u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
        let high = u32::try_from(word >> 32).unwrap_or(0);
        if self.is_counted(link.hash()) {
            return [high, low, 0];
        }
        let bucket = self.bucket(link.hash());
        let behind = number.saturating_add(1);
        let head = self.heads.get_mut(bucket);
        let old = head.map_or(0, |head| std::mem::replace(head, behind));
        let back = match old {
            0 => 0,
            // A chain of which four thousand million links are out of the window ends.
            old => u32::try_from(behind.saturating_sub(old)).unwrap_or(0),
        };
        [high, low, back]
    }

    fn bucket(&self, hash: u64) -> usize {
        // As many heads as a power of two.
        let mask = (self.heads.len() as u64).saturating_sub(1);
        usize::try_from(self.keys.hash_one(hash) & mask).unwrap_or(0)
    }

    /// Makes the chains anew when they have become long.
    fn grow(&mut self) {
        let links = self.chunks.len().saturating_mul(CHUNK);
        if links <= self.heads.len().saturating_mul(CHAIN) {
            return;
        }
        let heads = links.div_ceil(CHAIN).saturating_mul(2).next_power_of_two();
        self.heads = vec![0; heads];
        let mut number = self.from;
        let mut chunks = std::mem::take(&mut self.chunks);
        for kept in chunks.iter_mut().flatten() {
            *kept = self.chained(number, link_of(kept));
            number = number.saturating_add(1);
        }
        self.chunks = chunks;
    }

    fn kept(&self, number: u64) -> Option<&Kept> {
        let at = usize::try_from(number.checked_sub(self.from)?).ok()?;
        let chunk = self.chunks.get(at.checked_div(CHUNK)?)?;
        chunk.get(at.checked_rem(CHUNK)?)
    }

    /// The links with this hash that are not before `from`, newest first: their numbers, and of
    /// which charge of its block each is.
    pub(super) fn links(&self, hash: u64, from: u64) -> impl Iterator<Item = (u64, u8)> {
        let from = from.max(self.base);
        let head = self.heads.get(self.bucket(hash)).copied();
        let mut next = head.and_then(|head| head.checked_sub(1));
        std::iter::from_fn(move || {
            loop {
                let number = next.filter(|number| *number >= from)?;
                let kept = self.kept(number)?;
                let [_, _, back] = kept;
                next = match back {
                    0 => None,
                    back => number.checked_sub(u64::from(*back)),
                };
                let link = link_of(kept);
                if link.hash() == hash {
                    return Some((number, link.place()));
                }
            }
        })
    }

    /// Whether a destination is counted.
    pub(super) fn is_counted(&self, hash: u64) -> bool {
        self.counted.contains_key(&hash)
    }

    /// Whether a destination that is not counted has so many charges that it should be.
    pub(super) fn is_full(&self, hash: u64) -> bool {
        !self.is_counted(hash)
            && self
                .links(hash, self.base)
                .nth(SUMMED_MAX.saturating_sub(1))
                .is_some()
    }

    /// Counts a destination from here on.
    pub(super) fn count(&mut self, hash: u64) {
        let newest = self.links(hash, self.base).next();
        if let Some((newest, _)) = newest {
            self.counted.insert(hash, newest);
        }
    }

    /// The destinations that are counted, in order.
    pub(super) fn counted(&self) -> Vec<u64> {
        let mut counted: Vec<u64> = self.counted.keys().copied().collect();
        counted.sort_unstable();
        counted
    }

    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Lets go of links before this one. A destination of which none is left is counted no longer.
    pub(super) fn advance(&mut self, base: u64) {
        let base = base.min(self.end());
        while self.base < base {
            let hash = self.kept(self.base).map(|kept| link_of(kept).hash());
            if let Some(hash) = hash
                && self.counted.get(&hash) == Some(&self.base)
            {
                self.counted.remove(&hash);
            }
            self.base = self.base.saturating_add(1);
        }
        let chunk = CHUNK as u64;
        while self.from.saturating_add(chunk) <= self.base {
            self.chunks.pop_front();
            self.from = self.from.saturating_add(chunk);
        }
    }
}

fn link_of(kept: &Kept) -> Link {
    let [high, low, _] = *kept;
    Link::of_number((u64::from(high) << 32) | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the `n`th destination: the lowest bits of a link are not its hash's.
    const fn hash(n: u64) -> u64 {
        n << 5
    }

    fn paid(destinations: impl IntoIterator<Item = u64>) -> Destinations {
        let mut paid = Destinations::new(0);
        for n in destinations {
            paid.push(Link::of(0, hash(n)));
        }
        paid
    }

    /// However many there are: what one is asked about walks one chain.
    #[test]
    fn chains_are_as_many_as_links_want_and_all_are_used() {
        let links = 3 * CHUNK;
        let paid = paid(0..links as u64);
        assert!(paid.heads.len() * CHAIN >= links, "{}", paid.heads.len());
        let used = paid.heads.iter().filter(|head| **head > 0).count();
        assert!(used > paid.heads.len() / 2, "{used}");
        for n in [0, CHUNK as u64, links as u64 - 1] {
            let found: Vec<_> = paid.links(hash(n), 0).collect();
            assert_eq!(found, [(n, 0)]);
        }
    }

    #[test]
    fn only_what_is_paid_often_is_counted() {
        let mut paid = paid([9, 8].into_iter().chain(vec![1; SUMMED_MAX - 1]));
        assert!(!paid.is_full(hash(1)));
        paid.push(Link::of(0, hash(1)));
        assert!(paid.is_full(hash(1)) && !paid.is_full(hash(9)));
        for n in [9, 1, 8] {
            paid.count(hash(n));
        }
        assert!(!paid.is_full(hash(1)));
        assert_eq!(paid.counted(), [hash(1), hash(8), hash(9)]);
    }

    #[test]
    fn what_is_counted_is_let_go_of_with_its_last_link() {
        let mut paid = paid([1, 2, 1, 3]);
        paid.count(hash(1));
        paid.advance(2);
        assert_eq!((paid.base(), paid.counted()), (2, vec![hash(1)]));
        assert_eq!(paid.links(hash(2), 0).next(), None);
        paid.advance(3);
        assert_eq!((paid.base(), paid.counted()), (3, vec![]));
        assert_eq!(paid.links(hash(3), 0).next(), Some((3, 0)));
    }
}
