//! Ways to be wrong, for the simulation to find. There is no such switch outside of the crate's own
//! tests: this module is compiled into nothing else.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use policy::{Attempt, AttemptId, Entry, Policy, Record, State};
use tx::{Interval, Time};

use crate::segment::{AnchorRule, OpenOptions};

/// What is done wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A group counts as durable once it is written.
    NoFlush,
    /// A failed flush is tried again, and what the system then says is believed.
    FlushedAgain,
    /// Answers leave before the group is appended.
    ChargeAfterSign,
    /// The first half of a group is flushed, all of it is answered, then the rest is flushed.
    GroupInHalves,
    /// The anchor names a group before the group is durable.
    AnchorFirst,
    /// Heads that are known are not looked at when a log is opened.
    StaleHead,
    /// A charge is taken back when the calls fail.
    RefundOnFailure,
    /// Intents are checked and not kept.
    IntentUnbound,
    /// What is in the windows does not come back after a start.
    WindowForgets,
    /// A jump of the wall clock is believed.
    JumpGivesRoom,
    /// A request that is signed is signed again instead of answered again.
    ReplaySignsAgain,
    /// Signatures leave however old the charge is.
    LateRelease,
    /// Signatures leave whatever is frozen.
    FreezeIgnored,
    /// Signatures leave before witnesses know of them.
    Unwitnessed,
    /// A device is asked before witnesses know of the decision.
    SignedUnwitnessed,
}

thread_local! {
    static PRESENT: Cell<Option<Defect>> = const { Cell::new(None) };
    static FOLDED: RefCell<Vec<(Record, Option<Arc<Policy>>)>> = const { RefCell::new(Vec::new()) };
}

/// Whether this thread has the defect.
pub(crate) fn is(defect: Defect) -> bool {
    PRESENT.get() == Some(defect)
}

/// Gives this thread a defect, or none.
pub(crate) fn set(defect: Option<Defect>) {
    PRESENT.set(defect);
}

/// Remembers what a state was folded from, for a defect that folds it otherwise.
pub(crate) fn folded(index: u64, record: &Record, policy: Option<&Arc<Policy>>) {
    if is(Defect::RefundOnFailure) {
        FOLDED.with_borrow_mut(|folded| {
            folded.truncate(usize::try_from(index).unwrap());
            folded.push((record.clone(), policy.cloned()));
        });
    }
}

/// Lets the bundle of the last entry govern wherever it is folded again.
pub(crate) fn governs(policy: &Arc<Policy>) {
    FOLDED.with_borrow_mut(|folded| {
        if let Some((_, last)) = folded.last_mut() {
            *last = Some(Arc::clone(policy));
        }
    });
}

/// The state as if the attempt had moved nothing.
pub(crate) fn refunded(attempt: AttemptId) -> State {
    FOLDED.with_borrow_mut(|folded| {
        let mut state = State::new();
        for (index, (record, policy)) in (0..).zip(folded) {
            if let Entry::Attempt(charge) = &mut record.entry
                && AttemptId(index) == attempt
            {
                charge.facts.clear();
            }
            state.apply(index, record).unwrap();
            if let Some(policy) = policy {
                state.activate(Arc::clone(policy)).unwrap();
            }
        }
        state
    })
}

/// Whether it is held.
pub(crate) fn held(is_frozen: bool) -> bool {
    is_frozen && !is(Defect::FreezeIgnored)
}

/// What is kept of an attempt.
pub(crate) fn unbound(mut attempt: Attempt) -> Attempt {
    if is(Defect::IntentUnbound) {
        attempt.intents.clear();
    }
    attempt
}

/// What comes back of an entry.
pub(crate) fn forgotten(mut record: Record) -> Record {
    if let Entry::Attempt(attempt) = &mut record.entry
        && is(Defect::WindowForgets)
    {
        attempt.facts.clear();
    }
    record
}

/// What time it is taken for.
pub(crate) fn believed(mut now: Interval, wall_millis: u64) -> Interval {
    if is(Defect::JumpGivesRoom) {
        now.lo = now.lo.max(Time::from_millis(wall_millis));
        now.hi = now.hi.max(now.lo);
    }
    now
}

/// What a log is held to when it is opened.
/// Nor what a snapshot was made of.
pub(crate) fn forget_heads(options: &mut OpenOptions) {
    if is(Defect::StaleHead) {
        options.heads.clear();
    }
}

pub(crate) fn unknowing(options: OpenOptions) -> OpenOptions {
    if !is(Defect::StaleHead) {
        return options;
    }
    OpenOptions {
        heads: Vec::new(),
        anchor: AnchorRule::Waived,
        ..options
    }
}
