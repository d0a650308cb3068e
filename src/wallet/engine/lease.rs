//! A lane's lease: until when this process may act for it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Shared, clock::now};
use crate::{
    lane::{LaneId, LaneRow},
    store::StoreError,
};

/// A lease, and until when it holds by this machine's monotonic clock: read before the store was
/// asked, so that it never ends later here than there.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) number: u64,
    length: Duration,
    ends: Instant,
    renewed: Instant,
}

impl Lease {
    /// Takes a lane, if nobody else has it.
    pub(super) async fn acquire(
        shared: &Shared,
        lane: &LaneId,
    ) -> Result<Option<(Self, LaneRow)>, StoreError> {
        let begun = Instant::now();
        let (at, length) = (now(), shared.lease);
        let until = at.after_millis(millis(length));
        let owner = shared.owner.name();
        let row = shared.store.acquire(lane, owner, at, until).await?;
        Ok(row.map(|row| {
            let lease = Self {
                number: row.lease,
                length,
                ends: after(begun, length),
                renewed: begun,
            };
            (lease, row)
        }))
    }

    /// Whether it still holds.
    pub(super) fn holds(&self) -> bool {
        Instant::now() < self.ends
    }

    /// When it ends.
    pub(super) fn ends(&self) -> Instant {
        self.ends
    }

    /// When it should be renewed: after a third of it, and then soon again until it was.
    pub(super) fn renew_at(&self) -> Instant {
        after(self.renewed, third(self.length))
    }

    /// It is being renewed; if that fails it is tried again after a twelfth.
    pub(super) fn trying(&mut self) {
        let third = third(self.length);
        let pause = third.saturating_sub(third.checked_div(4).unwrap_or_default());
        self.renewed = Instant::now().checked_sub(pause).unwrap_or(self.renewed);
    }

    /// It was renewed by a call that was begun then.
    pub(super) fn renewed(&mut self, begun: Instant) {
        self.ends = after(begun, self.length);
        self.renewed = begun;
    }

    /// How long it is.
    pub(super) fn length(&self) -> Duration {
        self.length
    }
}

/// A third of a lease: what is renewed so often survives that it fails once or twice.
pub(super) fn third(length: Duration) -> Duration {
    length.checked_div(3).unwrap_or_default()
}

/// Milliseconds of a duration.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn after(instant: Instant, duration: Duration) -> Instant {
    instant.checked_add(duration).unwrap_or(instant)
}
