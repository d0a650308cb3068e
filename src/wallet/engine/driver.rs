//! Executes the effects of one lane, from a view until the view is loaded again or the lane given up.

mod outstanding;

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use api::signing::{SignAnswer, SignRequest};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tx::Time;

use self::outstanding::{Came, Outstanding};
use super::{
    Shared,
    clock::now,
    keys::Keys,
    lease::{Lease, millis},
    queue::Place,
};
use crate::{
    attempt::AttemptNumber,
    chains::common::{self, Backoff},
    change::{Change, Commit},
    lane::{Effect, Event, Lane, LaneId, Observer, SendOutcome},
    points::{self, Deed, Side},
    signer::SignOutcome,
    store::StoreError,
    text::chain,
    withdrawal::WithdrawalNumber,
};

/// A lane is asked at least so often, whatever it asked for.
const TICK_MAX: Duration = Duration::from_secs(15);
/// And by the time alone at most so often.
const TICK_MIN: Duration = Duration::from_millis(5);
/// How long a stop waits for what is out.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// Why a lane is not driven any further.
#[derive(Debug)]
pub(super) enum End {
    /// The process stops, and nothing is out.
    Stopped,
    /// The view is not what the store holds: it is to be loaded again.
    Reload(String),
    /// As after [`End::Reload`], because the store knows more than the lane could.
    Adopted,
    /// The signer has other keys for the account.
    NewKeys,
    /// The signer is in another epoch: what was compared with it says nothing any more.
    NewEpoch,
    /// The lease has ended, or another has the lane.
    Lost,
    /// The database is not sound.
    Corrupt(String),
}

/// One lane at work.
pub(super) struct Driver<'a, L: Lane, O> {
    parts: Parts<'a, O>,
    id: LaneId,
    lane: L,
    out: Outstanding<L::Answer>,
    store_backoff: Backoff,
    tick_at: Instant,
    renewing: bool,
    stopping_until: Option<Instant>,
    committed: bool,
}

/// What a driver is made of besides its lane.
pub(super) struct Parts<'a, O> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) place: &'a Place,
    pub(super) lease: &'a mut Lease,
    pub(super) observer: Arc<O>,
    pub(super) node_calls: Arc<Semaphore>,
    /// The keys with which the lane was made.
    pub(super) keys: Keys,
}

/// What happens next.
enum Next<A> {
    Came(Came<A>),
    Given,
    Keys,
    Time,
    Stop,
}

impl<'a, L, O> Driver<'a, L, O>
where
    L: Lane<Question = O::Question, Answer = O::Answer>,
    O: Observer,
{
    pub(super) fn new(lane: L, parts: Parts<'a, O>) -> Self {
        Self {
            id: lane.view().row.id.clone(),
            parts,
            lane,
            out: Outstanding::default(),
            store_backoff: Backoff::STORE,
            tick_at: Instant::now(),
            renewing: false,
            stopping_until: None,
            committed: false,
        }
    }

    /// Drives the lane until it ends; also says whether anything was committed.
    pub(super) async fn run(mut self) -> (End, bool) {
        let mut stop = self.parts.shared.stop.clone();
        let mut keys = self.parts.shared.keys.clone();
        self.publish();
        let mut flow = self.handle(Event::Started);
        loop {
            if let ControlFlow::Break(end) = flow {
                return (end, self.committed);
            }
            let next = self.next(&mut stop, &mut keys).await;
            flow = match next {
                Next::Came(came) => self.came(came),
                Next::Given => self.given(),
                Next::Keys => self.keys(),
                Next::Time => self.time(),
                Next::Stop => self.stop(),
            };
        }
    }

    /// Waits for what happens next.
    async fn next(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        keys: &mut watch::Receiver<Arc<Keys>>,
    ) -> Next<L::Answer> {
        let is_stopping = self.stopping_until.is_some();
        let until = self.next_time();
        tokio::select! {
            biased;
            Some(came) = self.out.next() => Next::Came(came),
            () = stopped(stop), if !is_stopping => Next::Stop,
            () = self.parts.place.given(), if !is_stopping => Next::Given,
            Ok(()) = keys.changed(), if !is_stopping => Next::Keys,
            () = tokio::time::sleep_until(until) => Next::Time,
        }
    }

    fn next_time(&self) -> Instant {
        let renew_at = if self.renewing {
            self.parts.lease.ends()
        } else {
            self.parts.lease.renew_at()
        };
        let at = self.parts.lease.ends().min(renew_at);
        match self.stopping_until {
            Some(stop) => at.min(stop),
            None => at.min(self.tick_at),
        }
    }

    fn came(&mut self, came: Came<L::Answer>) -> ControlFlow<End> {
        match came {
            Came::Event(event) => self.handle(event),
            Came::Signer(number, outcome, calling) => {
                let flow = self.handle(Event::Signer(number, outcome));
                drop(calling);
                flow?;
                self.is_done()
            }
            Came::Committed { changes, result } => self.committed(changes, result),
            Came::CommitAgain => {
                self.out.commit_ended();
                self.handle(Event::CommitFailed)
            }
            Came::Renewed { begun, result } => self.renewed(begun, result),
        }
    }

    fn given(&mut self) -> ControlFlow<End> {
        let given = self.parts.place.take();
        if given.is_empty() {
            return ControlFlow::Continue(());
        }
        self.handle(Event::Queued(given))
    }

    /// A lane is made anew for other keys of its account, and taken anew in another epoch.
    fn keys(&self) -> ControlFlow<End> {
        let known = Arc::clone(&self.parts.shared.keys.borrow());
        let theirs = known.of(&self.lane.view().row.account);
        if theirs.fresh && theirs.epoch != self.parts.keys.epoch {
            return ControlFlow::Break(End::NewEpoch);
        }
        if theirs.is_same(&self.parts.keys) {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(End::NewKeys)
    }

    fn time(&mut self) -> ControlFlow<End> {
        let instant = Instant::now();
        if !self.parts.lease.holds() {
            return ControlFlow::Break(End::Lost);
        }
        if self.stopping_until.is_some_and(|until| until <= instant) {
            return ControlFlow::Break(End::Stopped);
        }
        if !self.renewing && self.parts.lease.renew_at() <= instant {
            self.renew();
        }
        if self.stopping_until.is_none() && self.tick_at <= instant {
            self.tick_at = later(instant, TICK_MAX);
            return self.handle(Event::Tick);
        }
        ControlFlow::Continue(())
    }

    /// The lane takes what happened, and what it wants done is begun.
    fn handle(&mut self, event: Event<L::Answer>) -> ControlFlow<End> {
        let at = now();
        let effects = self.lane.handle(event, at);
        if let Some(what) = self.lane.lost() {
            return ControlFlow::Break(End::Reload(what.to_owned()));
        }
        for effect in effects {
            // After a pause, of this process or its machine, the lane may be another's.
            if !self.parts.lease.holds() {
                return ControlFlow::Break(End::Lost);
            }
            if self.stopping_until.is_some() {
                self.begin_while_stopping(effect, at);
            } else {
                self.begin(effect, at);
            }
        }
        self.is_done()
    }

    /// Stopping, nothing is begun but what makes durable that the signer signed.
    fn begin_while_stopping(&mut self, effect: Effect<L::Question>, at: Time) {
        let is_learnt = |change: &Change| matches!(change, Change::Signed { .. });
        if let Effect::Commit(changes) = effect
            && changes.iter().any(is_learnt)
        {
            self.commit(changes, at);
        }
    }

    fn begin(&mut self, effect: Effect<L::Question>, at: Time) {
        match effect {
            Effect::Commit(changes) => self.commit(changes, at),
            Effect::Sign(number, request) => self.sign(number, request),
            Effect::Inquire(number) => self.inquire(number),
            Effect::Send(number, answer) => self.send(number, answer),
            Effect::Ask(question) => self.ask(question),
            Effect::Compare => self.compare(),
            Effect::Want(count) => self.parts.place.want(count),
            Effect::Return(numbers) => self.parts.place.returned(&numbers),
            Effect::Wake(time) => self.wake(time, at),
        }
    }

    fn commit(&mut self, changes: Vec<Change>, at: Time) {
        let commit = Commit {
            lane: self.id.clone(),
            lease: self.parts.lease.number,
            at,
            changes,
        };
        let shared = Arc::clone(self.parts.shared);
        self.out.commit_began();
        self.out.begin(async move {
            let changes = commit.changes.clone();
            let begun = Instant::now();
            let result = shared.store.commit(commit).await;
            shared.metrics.committed(begun.elapsed(), &result);
            Came::Committed { changes, result }
        });
    }

    fn committed(
        &mut self,
        changes: Vec<Change>,
        result: Result<(), StoreError>,
    ) -> ControlFlow<End> {
        match result {
            Ok(()) => {
                self.out.commit_ended();
                self.committed = true;
                self.store_backoff.reset();
                let begun = begun_by(&changes);
                if !begun.is_empty() {
                    self.parts.place.begun(&begun);
                }
                let adopted = |change: &Change| matches!(change, Change::Adopt(_));
                if changes.iter().any(adopted) {
                    return ControlFlow::Break(End::Adopted);
                }
                let flow = self.handle(Event::Committed(changes));
                self.publish();
                flow
            }
            Err(StoreError::Fenced { .. }) => ControlFlow::Break(End::Lost),
            Err(StoreError::Conflict { what }) => ControlFlow::Break(End::Reload(what)),
            Err(StoreError::Corrupt { what }) => ControlFlow::Break(End::Corrupt(what)),
            Err(error) => {
                tracing::warn!(lane = %self.id, error = %chain(&error), "a commit is made again later");
                self.commit_again_later()
            }
        }
    }

    /// The commit counts as out until the lane is told that it failed.
    fn commit_again_later(&mut self) -> ControlFlow<End> {
        if self.stopping_until.is_some() {
            self.out.commit_ended();
            return self.is_done();
        }
        let at = now();
        let pause = self.store_backoff.fail(at).millis_since(at);
        self.out.begin(async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            Came::CommitAgain
        });
        ControlFlow::Continue(())
    }

    fn sign(&mut self, number: AttemptNumber, request: Arc<SignRequest>) {
        let shared = Arc::clone(self.parts.shared);
        let calling = self.out.calling();
        self.out.begin(async move {
            let _place = shared.signer_calls.acquire().await;
            points::pass(Deed::Sign, Side::Before);
            let outcome = shared.signer.sign(&request).await;
            points::pass(Deed::Sign, Side::After);
            shared.metrics.signed(&outcome);
            log_outcome(&request.request_id, &outcome);
            if common::is_of_another_epoch(&outcome) {
                shared.keys_old.notify_one();
            }
            Came::Signer(number, outcome, calling)
        });
    }

    fn inquire(&mut self, number: AttemptNumber) {
        let shared = Arc::clone(self.parts.shared);
        let id = self.id.request_id(number);
        self.out.begin(async move {
            let found = shared.signer.request(&id).await;
            Came::Event(Event::Inquired(
                number,
                found.map(|found| found.map(Box::new)),
            ))
        });
    }

    fn send(&mut self, number: AttemptNumber, answer: Arc<SignAnswer>) {
        let shared = Arc::clone(self.parts.shared);
        let (observer, calls) = (
            Arc::clone(&self.parts.observer),
            Arc::clone(&self.parts.node_calls),
        );
        self.out.begin(async move {
            if let Err(detail) = shared.signer.prove(&answer).await {
                tracing::warn!(
                    entry = answer.receipt.entry,
                    detail,
                    "not sent: not proved yet"
                );
                return Came::Event(Event::Sent(number, SendOutcome::Unknown { detail }));
            }
            let _place = calls.acquire().await;
            points::pass(Deed::Send, Side::Before);
            let outcome = observer.send(&answer).await;
            points::pass(Deed::Send, Side::After);
            shared.metrics.sent(&outcome);
            Came::Event(Event::Sent(number, outcome))
        });
    }

    fn ask(&mut self, question: L::Question) {
        let (observer, calls) = (
            Arc::clone(&self.parts.observer),
            Arc::clone(&self.parts.node_calls),
        );
        self.out.begin(async move {
            let _place = calls.acquire().await;
            Came::Event(Event::Answered(observer.ask(question).await))
        });
    }

    fn compare(&mut self) {
        let shared = Arc::clone(self.parts.shared);
        let row = &self.lane.view().row;
        let (id, account, after) = (self.id.clone(), row.account.clone(), row.compared_to);
        self.out.begin(async move {
            let compared = shared.journal.compare(id, account, after).await;
            Came::Event(Event::Compared(compared))
        });
    }

    fn wake(&mut self, time: Time, at: Time) {
        let pause = Duration::from_millis(time.millis_since(at)).max(TICK_MIN);
        self.tick_at = self.tick_at.min(later(Instant::now(), pause));
    }

    fn renew(&mut self) {
        self.renewing = true;
        self.parts.lease.trying();
        let shared = Arc::clone(self.parts.shared);
        let (id, number, length) = (
            self.id.clone(),
            self.parts.lease.number,
            self.parts.lease.length(),
        );
        self.out.begin(async move {
            let begun = Instant::now();
            let until = now().after_millis(millis(length));
            let result = shared.store.renew(&id, number, until).await;
            Came::Renewed { begun, result }
        });
    }

    fn renewed(&mut self, begun: Instant, result: Result<(), StoreError>) -> ControlFlow<End> {
        self.renewing = false;
        match result {
            Ok(()) => {
                self.parts.lease.renewed(begun);
                ControlFlow::Continue(())
            }
            Err(StoreError::Fenced { .. }) => ControlFlow::Break(End::Lost),
            Err(error) => {
                tracing::warn!(lane = %self.id, error = %chain(&error), "a lease is not renewed yet");
                ControlFlow::Continue(())
            }
        }
    }

    fn stop(&mut self) -> ControlFlow<End> {
        self.stopping_until = Some(later(Instant::now(), STOP_PATIENCE));
        self.is_done()
    }

    /// Whether a lane that stops has nothing out any more.
    fn is_done(&self) -> ControlFlow<End> {
        if self.stopping_until.is_some() && self.out.is_quiet() {
            return ControlFlow::Break(End::Stopped);
        }
        ControlFlow::Continue(())
    }

    fn publish(&self) {
        let gate = &self.lane.view().row.gate;
        if self.parts.shared.statuses.gate(&self.id, gate) {
            tracing::info!(lane = %self.id, gate = ?gate, "the lane's gate");
        }
    }
}

/// The withdrawals that an attempt is durable for now.
fn begun_by(changes: &[Change]) -> Vec<WithdrawalNumber> {
    let mut begun = Vec::new();
    for change in changes {
        if let Change::Assign(attempt) = change {
            begun.extend_from_slice(&attempt.pays);
        }
    }
    begun
}

fn log_outcome(request: &str, outcome: &SignOutcome) {
    match outcome {
        SignOutcome::Unknown { detail } => {
            tracing::warn!(request, detail, "what the signer did is not known");
        }
        SignOutcome::Contradiction { detail } => {
            tracing::error!(request, detail, "the signer contradicts the store");
        }
        SignOutcome::NotNow { detail, .. } => {
            tracing::warn!(request, detail, "the signer does not sign now");
        }
        _ => {}
    }
}

/// Resolves when the process is told to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Without a sender there is nobody left who could tell.
    let _told = stop.wait_for(|stop| *stop).await;
}

fn later(instant: Instant, duration: Duration) -> Instant {
    instant.checked_add(duration).unwrap_or(instant)
}
