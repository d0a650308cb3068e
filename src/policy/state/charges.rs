//! The charges that can still be in a window, as they are kept: closed blocks, and the rest.

use std::sync::Arc;

use super::State;
use crate::{ChargeBlocks, ChargeState, ClosedBlock};

impl State {
    /// The blocks of charges that were closed and not released, oldest first.
    pub fn closed_blocks(&self) -> impl Iterator<Item = &ClosedBlock> {
        self.windows.closed_blocks()
    }

    /// The number of the first block that is still needed.
    pub fn first_block(&self) -> u64 {
        self.windows.first_block()
    }

    /// Lets go of the closed blocks before this number, which are read there from now on. A state that
    /// releases none is whole in memory.
    pub fn release_blocks(&mut self, reader: Arc<dyn ChargeBlocks>, before: u64) {
        self.windows.release(reader, before);
    }

    /// What of the charges is in no closed block: to be asked at once after an entry was applied, because
    /// [`State::advance`] moves it on. Behind an entry that says which policy governs, nothing is counted
    /// in it, whether or not that policy governs already.
    pub fn charge_state(&self) -> ChargeState {
        let policy = self.policy().filter(|_| !self.turned);
        self.windows.parts(policy.map(|policy| policy.hash))
    }
}
