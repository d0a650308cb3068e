//! What a pool and its links share: how the pool is, and who is told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, mpsc};

use super::event::{Counters, PoolEvent};

#[derive(Debug)]
pub(super) struct Report {
    pub(super) counters: Counters,
    healthy: AtomicBool,
    /// Told when a child is taken into service.
    back: Notify,
    /// Correlation numbers run through the pool's life: those of an old child never come again.
    correlation: AtomicU64,
    events: mpsc::Sender<PoolEvent>,
}

impl Report {
    pub(super) fn new(events: mpsc::Sender<PoolEvent>) -> Self {
        Self {
            counters: Counters::default(),
            healthy: AtomicBool::new(false),
            back: Notify::new(),
            correlation: AtomicU64::new(1),
            events,
        }
    }

    pub(super) fn correlation(&self) -> u64 {
        self.correlation.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }

    pub(super) fn healthy(&self) {
        self.healthy.store(true, Ordering::Release);
        self.back.notify_waiters();
    }

    /// Waits until a child is in service.
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

    pub(super) fn unhealthy(&self) {
        self.healthy.store(false, Ordering::Release);
    }

    /// Tells the owner, and waits until it takes it: not within a runtime.
    pub(super) fn tell_waiting(&self, event: PoolEvent) {
        if self.events.blocking_send(event).is_err() {
            self.counters.event_lost();
        }
    }

    /// Tells the owner. It lags by a whole channel only when it does nothing at all.
    pub(super) fn tell(&self, event: PoolEvent) {
        if self.events.try_send(event).is_err() {
            self.counters.event_lost();
        }
    }
}
