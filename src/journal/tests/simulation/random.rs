//! Numbers that a seed decides, the salts of entries among them.

use std::cell::RefCell;

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

thread_local! {
    static SALTS: RefCell<Option<Random>> = const { RefCell::new(None) };
}

/// Draws this thread's salts from a seed from here on, so that a run's disk is the same to the bit.
pub fn seed_salts(seed: u64) {
    SALTS.set(Some(Random::new(seed)));
}

/// The next salt, where they are drawn from a seed.
pub fn salt() -> Option<[u8; 32]> {
    SALTS.with_borrow_mut(|salts| {
        let salts = salts.as_mut()?;
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&salts.number().to_be_bytes());
        }
        Some(bytes)
    })
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// A number from `start` on, below `end`.
    pub fn between(&mut self, start: u64, end: u64) -> u64 {
        start + self.below(end - start)
    }

    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True once in `every` times; never if that is 0.
    pub fn once_in(&mut self, every: u64) -> bool {
        every != 0 && self.below(every) == 0
    }
}
