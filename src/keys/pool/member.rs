//! One token of a pool: its child, whether it is to be asked, and what is told of it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    PoolEvent, Told,
    breaker::{Breaker, BreakerState, Probe},
    link::Link,
    report::Report,
};
use crate::{
    protocol::{Failure, Text},
    sentinel::Sentinel,
};

/// Which token of a pool: the first is the one that keys are generated on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(pub u8);

impl MemberId {
    /// The token that keys are generated on, and the only one of most pools.
    pub const FIRST: Self = Self(0);

    /// Its place among them.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How a token of the pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberStatus {
    /// Which.
    pub member: MemberId,
    /// Whether its child is logged in and answers.
    pub attached: bool,
    /// Its circuit breaker.
    pub breaker: BreakerState,
    /// Signatures of it that were verified and released, since the pool was made.
    pub signatures: u64,
}

impl MemberStatus {
    /// Whether it is asked.
    pub fn healthy(&self) -> bool {
        self.attached && self.breaker == BreakerState::Closed
    }
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) report: Arc<Report>,
    /// Looks at the signatures of this token alone: those of others would hide what it does wrong.
    pub(super) sentinel: Sentinel,
    state: Mutex<State>,
    /// Children are taken into service one after the other: one that is gone never takes the place of the
    /// next.
    pub(super) attaching: tokio::sync::Mutex<()>,
    /// Calls that were given to it and not answered.
    in_flight: AtomicUsize,
    /// Whether the breaker remembers a failure, so that a signature need not take the lock to end the row.
    failed: AtomicBool,
    signatures: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// A lost one stays here until the next is attached.
    link: Option<Arc<Link>>,
    /// The serial number of the token behind it.
    serial: Option<Text<16>>,
    breaker: Breaker,
}

/// A member that can be asked, and how much speaks against it: least first.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) member: Arc<Member>,
    pub(super) link: Arc<Link>,
    pub(super) against: (bool, usize),
}

/// Calls that a member has, until it is dropped.
#[derive(Debug)]
pub(super) struct Load {
    member: Arc<Member>,
    calls: usize,
}

impl Drop for Load {
    fn drop(&mut self) {
        let in_flight = &self.member.in_flight;
        in_flight.fetch_sub(self.calls, Ordering::Relaxed);
    }
}

impl Member {
    pub(super) fn new(id: MemberId, report: Arc<Report>) -> Self {
        Self {
            id,
            report,
            sentinel: Sentinel::default(),
            state: Mutex::default(),
            attaching: tokio::sync::Mutex::default(),
            in_flight: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            signatures: AtomicU64::new(0),
        }
    }

    /// What it can be asked by, if it can.
    pub(super) fn offer(self: &Arc<Self>) -> Option<Offer> {
        let link = self.link()?;
        let suspect =
            self.failed.load(Ordering::Relaxed) && self.lock().breaker.is_suspect(Instant::now());
        Some(Offer {
            member: Arc::clone(self),
            link,
            against: (suspect, self.in_flight.load(Ordering::Relaxed)),
        })
    }

    /// Its child, while it is to be asked.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        let usable = self.report.is_usable(self.id);
        usable.then(|| self.lock().link.clone()).flatten()
    }

    /// Takes note of calls that it is given.
    pub(super) fn load(self: &Arc<Self>, calls: usize) -> Load {
        self.in_flight.fetch_add(calls, Ordering::Relaxed);
        Load {
            member: Arc::clone(self),
            calls,
        }
    }

    /// Takes a child into service; the one before is given back.
    pub(super) fn install(&self, link: Arc<Link>, serial: Text<16>) -> Option<Arc<Link>> {
        let mut state = self.lock();
        state.serial = Some(serial);
        let old = state.link.replace(link);
        self.refresh(&state);
        old
    }

    /// Its child, and the serial number of the token that this said.
    pub(super) fn installed(&self) -> Option<(Arc<Link>, Text<16>)> {
        let state = self.lock();
        state.link.clone().zip(state.serial.clone())
    }

    /// Takes its child out of service.
    pub(super) fn remove(&self) -> Option<Arc<Link>> {
        let mut state = self.lock();
        let old = state.link.take();
        self.refresh(&state);
        old
    }

    /// A child of it was closed, and whether that counts as a failure.
    pub(super) fn closed(&self, failure: bool) {
        self.change(|breaker| breaker.child_ended(failure, Instant::now()));
    }

    /// A call failed for a reason that is the device's.
    pub(super) fn failed(&self) {
        self.change(|breaker| breaker.failed(Instant::now()));
    }

    /// A call failed.
    pub(super) fn failed_by(&self, failure: &Failure) {
        // Where the device is gone its child ends, and that counts.
        if failure.is_of_device() && *failure != Failure::DeviceGone {
            self.failed();
        }
    }

    /// A signature of it was verified and is released.
    pub(super) fn signed(&self) {
        self.signatures.fetch_add(1, Ordering::Relaxed);
        if self.failed.load(Ordering::Relaxed) {
            self.change(Breaker::signed);
        }
    }

    /// Whether the breaker's one probe is to be made now.
    pub(super) fn take_probe(&self, now: Instant) -> bool {
        let failed = self.failed.load(Ordering::Relaxed);
        failed && self.lock().breaker.take_probe(now)
    }

    /// How it went.
    pub(super) fn probed(&self, probe: Probe) {
        self.change(|breaker| breaker.probed(probe, Instant::now()));
    }

    /// Tells the owner what is the token's, and no child's.
    pub(super) fn tell(&self, event: PoolEvent) {
        self.tell_of(0, event);
    }

    /// Tells the owner of a child.
    pub(super) fn tell_of(&self, generation: u32, event: PoolEvent) {
        self.report.tell(Told {
            member: self.id,
            generation,
            event,
        });
    }

    pub(super) fn status(&self) -> MemberStatus {
        let state = self.lock();
        MemberStatus {
            member: self.id,
            attached: state.link.as_ref().is_some_and(|link| link.is_open()),
            breaker: state.breaker.state(Instant::now()),
            signatures: self.signatures.load(Ordering::Relaxed),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Breaker)) {
        let mut state = self.lock();
        let was = state.breaker.is_closed();
        change(&mut state.breaker);
        let failed = !state.breaker.is_spotless();
        self.failed.store(failed, Ordering::Relaxed);
        self.refresh(&state);
        match (was, state.breaker.is_closed()) {
            (true, false) => self.tell(PoolEvent::BreakerOpened),
            (false, true) => self.tell(PoolEvent::BreakerClosed),
            _ => {}
        }
    }

    /// Says whether it is to be asked, as it is at the end of each change, whichever comes last.
    fn refresh(&self, state: &State) {
        let open = state.link.as_ref().is_some_and(|link| link.is_open());
        let usable = open && state.breaker.is_closed();
        self.report.set_usable(self.id, usable);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BreakerState {
    /// How long at least it takes until the token is asked again.
    pub fn left(self) -> Duration {
        match self {
            Self::Open { left } => left,
            Self::Closed | Self::HalfOpen => Duration::ZERO,
        }
    }
}
