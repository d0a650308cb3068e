//! The approved withdrawals of a chain, each handed to one lane at a time.
//!
//! What is handed out is remembered here and nowhere else: a withdrawal is durable, and a process
//! that dies has handed nothing out. That two lanes never pay one withdrawal does not hang on this;
//! the store's constraint holds it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tx::{Chain, Time};

use super::{Shared, clock::now, keys::Keys};
use crate::{
    lane::LaneId,
    store::{Store, StoreError},
    text::chain as causes,
    withdrawal::{Waiting, WaitingReason, Withdrawal, WithdrawalNumber},
};

/// How many withdrawals are read at once.
const PAGE: u32 = 256;
/// How long it takes at most until a withdrawal whose time has come is seen.
const RESCAN: Duration = Duration::from_millis(500);

/// The approved withdrawals of one chain.
pub(super) struct Queue {
    chain: Chain,
    store: Arc<dyn Store>,
    keys: watch::Receiver<Arc<Keys>>,
    /// How many withdrawals a lane has at once that it has not begun to pay.
    hand_max: usize,
    state: Mutex<State>,
    hungry: Notify,
}

#[derive(Default)]
struct State {
    /// Read and not handed out, in their order.
    waiting: VecDeque<Withdrawal>,
    /// Where each withdrawal is that was read.
    held: HashMap<WithdrawalNumber, Holder>,
    lanes: BTreeMap<LaneId, Hand>,
    /// Where reading goes on.
    after: Option<WithdrawalNumber>,
    /// How many readings were begun.
    readings: u64,
}

#[derive(Clone, PartialEq, Eq)]
enum Holder {
    Queue,
    Lane(LaneId),
    /// Nobody any more, but a reading that was begun no later than this may still bring it.
    Nobody {
        reading: u64,
    },
}

/// What a lane has, and wants.
#[derive(Default)]
struct Hand {
    /// Given and not taken yet.
    given: Vec<Withdrawal>,
    /// Given and neither begun nor returned.
    count: usize,
    wanted: usize,
    notify: Arc<Notify>,
}

/// A lane's place at the queue. Dropped, all that it has goes back.
pub(super) struct Place {
    queue: Arc<Queue>,
    lane: LaneId,
    notify: Arc<Notify>,
}

impl Queue {
    pub(super) fn new(chain: Chain, shared: &Shared, hand_max: usize) -> Arc<Self> {
        Arc::new(Self {
            chain,
            store: Arc::clone(&shared.store),
            keys: shared.keys.clone(),
            hand_max,
            state: Mutex::default(),
            hungry: Notify::new(),
        })
    }

    /// A lane's place.
    pub(super) fn place(self: &Arc<Self>, lane: LaneId) -> Place {
        let hand = Hand::default();
        let notify = Arc::clone(&hand.notify);
        self.state().lanes.insert(lane.clone(), hand);
        Place {
            queue: Arc::clone(self),
            lane,
            notify,
        }
    }

    /// A withdrawal was approved.
    pub(super) fn approved(&self) {
        self.hungry.notify_one();
    }

    /// Whether a withdrawal is in a lane's hands.
    pub(super) fn is_with_a_lane(&self, number: WithdrawalNumber) -> bool {
        let state = self.state();
        matches!(state.held.get(&number), Some(Holder::Lane(_)))
    }

    /// How many withdrawals were read and not begun.
    pub(super) fn length(&self) -> usize {
        let state = self.state();
        let is_held = |holder: &&Holder| !matches!(holder, Holder::Nobody { .. });
        state.held.values().filter(is_held).count()
    }

    /// Hands out what the store has, for ever.
    pub(super) async fn feed(self: Arc<Self>) {
        let mut rescanned = Instant::now();
        loop {
            // The time out is for withdrawals whose own time comes, of which nobody tells.
            let _told = tokio::time::timeout(RESCAN, self.hungry.notified()).await;
            if rescanned.elapsed() >= RESCAN {
                rescanned = Instant::now();
                self.state().after = None;
            }
            while self.state().is_wanting(self.hand_max) {
                match self.read().await {
                    Ok(Read::More) => {}
                    Ok(Read::All) => break,
                    Err(error) => {
                        tracing::warn!(chain = %self.chain, error = %causes(&error), "the queue cannot be read");
                        tokio::time::sleep(RESCAN).await;
                    }
                }
            }
        }
    }

    async fn read(&self) -> Result<Read, StoreError> {
        let (after, reading) = {
            let mut state = self.state();
            state.hand_out(self.hand_max);
            if !state.waiting.is_empty() || !state.is_wanting(self.hand_max) {
                return Ok(Read::All);
            }
            state.readings = state.readings.saturating_add(1);
            (state.after, state.readings)
        };
        let page = self.store.approved(self.chain, now(), after, PAGE).await?;
        let whole = u32::try_from(page.len()).is_ok_and(|length| length < PAGE);
        let last = page.last().map(|last| last.number);
        let page = self.without_past(page).await?;
        let mut state = self.state();
        state.after = last.or(after);
        for withdrawal in page {
            state.add(withdrawal);
        }
        state.forget_before(reading);
        state.hand_out(self.hand_max);
        Ok(if whole { Read::All } else { Read::More })
    }

    /// Those of the signer's epoch. What was asked for in an older one may have been paid by what the
    /// signer lost: nobody pays it again, until a person has looked at the chain.
    async fn without_past(&self, page: Vec<Withdrawal>) -> Result<Vec<Withdrawal>, StoreError> {
        let epoch = self.keys.borrow().epoch;
        let (past, present): (Vec<_>, Vec<_>) = page
            .into_iter()
            .partition(|withdrawal| withdrawal.intent.epoch < epoch);
        if past.is_empty() {
            return Ok(present);
        }
        let at = now();
        let numbers: Vec<_> = past.iter().map(|withdrawal| withdrawal.number).collect();
        let waiting = Waiting {
            reason: WaitingReason::Epoch,
            detail: format!(
                "the signer is in epoch {epoch}, and it was asked for before: it may have been paid"
            ),
            reasons: Vec::new(),
            needs: Vec::new(),
            since: at,
        };
        let never = Time::from_millis(u64::MAX);
        self.store.wait(&numbers, Some(&waiting), never, at).await?;
        Ok(present)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the store may have more.
enum Read {
    More,
    All,
}

impl State {
    fn add(&mut self, withdrawal: Withdrawal) {
        let number = withdrawal.number;
        if self.held.contains_key(&number) {
            return;
        }
        self.held.insert(number, Holder::Queue);
        self.waiting.push_back(withdrawal);
    }

    /// Forgets those who were nobody's when this reading was begun: no later one brings them.
    fn forget_before(&mut self, begun: u64) {
        self.held
            .retain(|_, holder| !matches!(holder, Holder::Nobody { reading } if *reading < begun));
    }

    fn is_wanting(&self, hand_max: usize) -> bool {
        self.lanes.values().any(|hand| hand.room(hand_max) > 0)
    }

    /// One to each lane that wants, in turn, so that none is left with little at the end.
    fn hand_out(&mut self, hand_max: usize) {
        loop {
            let mut handed = false;
            for (lane, hand) in &mut self.lanes {
                if hand.room(hand_max) == 0 {
                    continue;
                }
                let Some(withdrawal) = self.waiting.pop_front() else {
                    return;
                };
                self.held
                    .insert(withdrawal.number, Holder::Lane(lane.clone()));
                hand.give(withdrawal);
                handed = true;
            }
            if !handed {
                return;
            }
        }
    }

    /// Withdrawals that are not the lane's any more.
    fn drop_from(&mut self, lane: &LaneId, numbers: impl IntoIterator<Item = WithdrawalNumber>) {
        let mut dropped = 0usize;
        for number in numbers {
            if self.held.get(&number) == Some(&Holder::Lane(lane.clone())) {
                let reading = self.readings;
                self.held.insert(number, Holder::Nobody { reading });
                dropped = dropped.saturating_add(1);
            }
        }
        if let Some(hand) = self.lanes.get_mut(lane) {
            hand.count = hand.count.saturating_sub(dropped);
        }
    }
}

impl Hand {
    fn room(&self, hand_max: usize) -> usize {
        self.wanted.min(hand_max.saturating_sub(self.count))
    }

    fn give(&mut self, withdrawal: Withdrawal) {
        self.given.push(withdrawal);
        self.count = self.count.saturating_add(1);
        self.wanted = self.wanted.saturating_sub(1);
        self.notify.notify_one();
    }
}

impl Place {
    /// The lane wants so many, besides those it took.
    pub(super) fn want(&self, count: usize) {
        let mut state = self.queue.state();
        if let Some(hand) = state.lanes.get_mut(&self.lane) {
            hand.wanted = count.saturating_sub(hand.given.len());
        }
        state.hand_out(self.queue.hand_max);
        if state.is_wanting(self.queue.hand_max) {
            self.queue.hungry.notify_one();
        }
    }

    /// Resolves when something was given.
    pub(super) async fn given(&self) {
        self.notify.notified().await;
    }

    /// What was given.
    pub(super) fn take(&self) -> Vec<Withdrawal> {
        let mut state = self.queue.state();
        let hand = state.lanes.get_mut(&self.lane);
        hand.map(|hand| std::mem::take(&mut hand.given))
            .unwrap_or_default()
    }

    /// The lane has begun to pay these.
    pub(super) fn begun(&self, numbers: &[WithdrawalNumber]) {
        let mut state = self.queue.state();
        state.drop_from(&self.lane, numbers.iter().copied());
        state.hand_out(self.queue.hand_max);
        if state.is_wanting(self.queue.hand_max) {
            self.queue.hungry.notify_one();
        }
    }

    /// The lane does not pay these: what becomes of them stands in the store.
    pub(super) fn returned(&self, numbers: &[WithdrawalNumber]) {
        self.begun(numbers);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.lanes.remove(&self.lane);
        let theirs = Holder::Lane(self.lane.clone());
        state.held.retain(|_, holder| *holder != theirs);
        // They are read again.
        state.after = None;
        drop(state);
        self.queue.hungry.notify_one();
    }
}
