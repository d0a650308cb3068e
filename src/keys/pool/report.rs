//! What a pool and its links share: which of its tokens are to be asked, and who is told.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, mpsc};

use super::{
    MemberId,
    event::{Counters, Told},
};

#[derive(Debug)]
pub(super) struct Report {
    pub(super) counters: Counters,
    /// A bit for each member that is to be asked.
    usable: AtomicU64,
    /// Told when a member can be asked again.
    back: Notify,
    /// Correlation numbers run through the pool's life: those of an old child never come again.
    correlation: AtomicU64,
    events: mpsc::Sender<Told>,
}

impl Report {
    pub(super) fn new(events: mpsc::Sender<Told>) -> Self {
        Self {
            counters: Counters::default(),
            usable: AtomicU64::new(0),
            back: Notify::new(),
            correlation: AtomicU64::new(1),
            events,
        }
    }

    pub(super) fn correlation(&self) -> u64 {
        self.correlation.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether any member is to be asked.
    pub(super) fn is_healthy(&self) -> bool {
        self.usable.load(Ordering::Acquire) != 0
    }

    pub(super) fn is_usable(&self, member: MemberId) -> bool {
        self.usable.load(Ordering::Acquire) & bit(member) != 0
    }

    pub(super) fn set_usable(&self, member: MemberId, usable: bool) {
        if usable {
            self.usable.fetch_or(bit(member), Ordering::Release);
            self.back.notify_waiters();
        } else {
            self.usable.fetch_and(!bit(member), Ordering::Release);
        }
    }

    /// Waits until any member is to be asked.
    pub(super) async fn until_healthy(&self) {
        loop {
            let back = self.back.notified();
            // After the wait is registered, so that a child that comes between is not missed.
            if self.is_healthy() {
                return;
            }
            back.await;
        }
    }

    /// Tells the owner, and waits until it takes it: not within a runtime.
    pub(super) fn tell_waiting(&self, told: Told) {
        if self.events.blocking_send(told).is_err() {
            self.counters.event_lost();
        }
    }

    /// Tells the owner. It lags by a whole channel only when it does nothing at all.
    pub(super) fn tell(&self, told: Told) {
        if self.events.try_send(told).is_err() {
            self.counters.event_lost();
        }
    }
}

fn bit(member: MemberId) -> u64 {
    1u64.checked_shl(u32::from(member.0)).unwrap_or(0)
}
