//! The heartbeat: which checkpoint the next one may answer, when it is due, and who is told so.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::governance::{HeartbeatDue, HeartbeatStatus};
use journal::Journal;
use policy::{Heartbeat, Lapse, State};
use tlog::checkpoint::SignedCheckpoint;
use tx::{Interval, Time};

/// How old the newest checkpoint of a signer that does nothing may become, so that a heartbeat has one to
/// answer: in milliseconds of `lo`.
const FRESH_MILLIS: u64 = 10 * 60 * 1000;
/// How often is looked whether it has.
const LOOK: Duration = Duration::from_secs(15);

/// What the daemon knows of it beside the journal.
#[derive(Debug, Default)]
pub struct Heartbeats {
    /// Signed checkpoints that a heartbeat may answer, by their sizes.
    signed: Mutex<BTreeMap<u64, Arc<SignedCheckpoint>>>,
    /// The time for which somebody was warned.
    warned: Mutex<Option<Time>>,
}

impl Heartbeats {
    /// Takes a checkpoint that was signed, and lets go of those that no heartbeat may answer any longer.
    pub fn offer(&self, state: &State, signed: &Arc<SignedCheckpoint>) {
        let mut kept = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(signed.head().size, Arc::clone(signed));
        kept.retain(|_, one| answers(state, one));
    }

    /// The text of the checkpoint that the next heartbeat may answer.
    fn offered(&self, state: &State, newest: Option<Arc<SignedCheckpoint>>) -> Option<String> {
        let kept = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answerable = state.heartbeat()?.answerable();
        let one = answerable.find_map(|one| kept.get(&one.size).cloned());
        let one = one.or(newest).filter(|one| answers(state, one));
        one.map(|one| one.to_string())
    }

    /// How the heartbeat stands, where the bundle asks for one.
    pub fn status(
        &self,
        state: &State,
        now: Interval,
        newest: Option<Arc<SignedCheckpoint>>,
    ) -> Option<HeartbeatStatus> {
        let (rule, _) = state.heartbeat_due()?;
        let heard = state.heartbeat().and_then(|known| known.heard);
        Some(HeartbeatStatus {
            people: rule.people.iter().map(ToString::to_string).collect(),
            threshold: rule.threshold,
            due: due(state, now)?,
            entry: heard.map(|heard| heard.entry),
            checkpoint: self.offered(state, newest),
        })
    }

    /// Says in the log, once, that less than a quarter of the time is left.
    pub fn warn(&self, journal: &Journal) {
        let now = journal.now();
        let state = journal.state();
        let Some((Heartbeat { within_millis, .. }, Lapse { since, due })) = state.heartbeat_due()
        else {
            return;
        };
        let quarter = within_millis.checked_div(4).unwrap_or(0);
        if now.hi.after_millis(quarter) <= due {
            return;
        }
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.replace(due) != Some(due) {
            let left_secs = left_secs(now, due);
            tracing::warn!(%since, %due, left_secs, "a heartbeat is due: everything freezes without it");
        }
    }
}

/// Whether a heartbeat may answer the checkpoint.
fn answers(state: &State, signed: &SignedCheckpoint) -> bool {
    let head = signed.head();
    let mut all = state
        .heartbeat()
        .into_iter()
        .flat_map(|known| known.answerable());
    all.any(|one| one.size == head.size && one.root.0 == *head.root.as_bytes())
}

/// When the heartbeat is due, where the bundle asks for one.
pub fn due(state: &State, now: Interval) -> Option<HeartbeatDue> {
    let (rule, Lapse { since, due }) = state.heartbeat_due()?;
    Some(HeartbeatDue {
        within_secs: rule.within_millis.checked_div(1000).unwrap_or(0),
        since,
        due,
        overdue: state.overdue(now).is_some(),
    })
}

/// How many seconds are left, 0 where it is overdue.
pub fn left_secs(now: Interval, due: Time) -> u64 {
    due.millis_since(now.hi).checked_div(1000).unwrap_or(0)
}

/// Waits until a heartbeat would find no fresh checkpoint to answer.
pub async fn until_stale(journal: &Journal) {
    loop {
        tokio::time::sleep(LOOK).await;
        let lo = journal.now().lo;
        let newest = {
            let state = journal.state();
            let asked = state.heartbeat_due().and(state.heartbeat());
            asked.map(|known| known.last_answerable().unwrap_or_default())
        };
        if newest.is_some_and(|newest| lo.millis_since(newest) >= FRESH_MILLIS) {
            return;
        }
    }
}
