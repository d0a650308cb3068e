//! Which lanes a chain has, and their lives: a lease, a view, a driver, and again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use api::signing::{Key, KeyAddress};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use tx::{Address, Chain, Name};

use super::{
    Family, Shared,
    clock::now,
    driver::{Driver, End, Parts},
    lease::{Lease, third},
    queue::{Place, Queue},
    status::LaneState,
    waiting,
};
use crate::{
    lane::{LaneId, LaneRow, Sender},
    store::{NewLane, StoreError},
    text::chain as causes,
};

/// How often it is looked for lanes that are not running.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How soon again while something stands in the way.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long after the start withdrawals are told why they wait.
const EXPLAIN_AFTER: Duration = Duration::from_secs(4);
/// How long a lane rests whose database is not sound.
const CORRUPT_PAUSE: Duration = Duration::from_secs(60);
/// The first pause before a view is loaded again, and the longest.
const RELOAD_PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(30));

/// The lanes of one chain.
pub(super) struct OfChain<F> {
    pub(super) chain: Chain,
    pub(super) accounts: Vec<Name>,
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Arc<Queue>,
    pub(super) family: Arc<F>,
    pub(super) node_calls: Arc<Semaphore>,
}

impl<F: Family> OfChain<F> {
    /// Finds lanes and lets them live, until the process stops and all have ended.
    pub(super) async fn run(self: Arc<Self>) {
        let mut stop = self.shared.stop.clone();
        let mut keys = self.shared.keys.clone();
        let mut living = JoinSet::new();
        let mut known = BTreeSet::new();
        let started = Instant::now();
        while !*stop.borrow() {
            self.explain(started).await;
            let pause = match self.find().await {
                Ok(rows) => {
                    for (id, account) in rows {
                        if known.insert(id.clone()) {
                            let life = Life {
                                of: Arc::clone(&self),
                                id,
                                account,
                            };
                            living.spawn(life.run());
                        }
                    }
                    LOOK_EVERY
                }
                Err(error) => {
                    tracing::warn!(chain = %self.chain, error = %causes(&error), "lanes cannot be looked for");
                    LOOK_AGAIN
                }
            };
            tokio::select! {
                _ = stop.changed() => {}
                _ = keys.changed() => {}
                () = tokio::time::sleep(pause) => {}
                // A lane ends before the process stops only by a fault that a release build does
                // not outlive.
                Some(Err(error)) = living.join_next(), if !living.is_empty() => {
                    tracing::error!(chain = %self.chain, %error, "a lane has ended");
                }
            }
        }
        while living.join_next().await.is_some() {}
    }

    /// Says why withdrawals wait, once it is longer than every start takes.
    async fn explain(&self, started: Instant) {
        if started.elapsed() < EXPLAIN_AFTER {
            return;
        }
        let explained = waiting::explain(&self.shared, self.chain, &self.queue).await;
        if let Err(error) = explained {
            tracing::warn!(chain = %self.chain, error = %causes(&error), "nobody is told why it waits");
        }
    }

    /// The lanes of the store, and of the signer's keys, of which the store learns.
    async fn find(&self) -> Result<Vec<(LaneId, Name)>, StoreError> {
        let rows = self.shared.store.lanes().await?;
        let ours =
            |row: &LaneRow| row.id.chain == self.chain && self.accounts.contains(&row.account);
        let mut found: Vec<_> = rows
            .into_iter()
            .filter(ours)
            .map(|row| (row.id, row.account))
            .collect();
        let keys = Arc::clone(&self.shared.keys.borrow());
        // What is remembered of an earlier start says nothing of how far a lane is at the signer.
        if keys.fresh {
            for lane in of_keys(self.chain, &self.accounts, &keys.keys) {
                if found.iter().any(|(id, _)| *id == lane.id) {
                    continue;
                }
                self.shared.store.ensure_lane(&lane, now()).await?;
                tracing::info!(lane = %lane.id, account = %lane.account, "a new lane");
                found.push((lane.id, lane.account));
            }
        }
        Ok(found)
    }
}

/// The lanes of a chain that these accounts' keys make.
pub(super) fn of_keys(chain: Chain, accounts: &[Name], keys: &[Key]) -> Vec<NewLane> {
    let ours = keys.iter().filter(|key| accounts.contains(&key.account));
    ours.flat_map(|key| {
        let on_chain = |address: &&KeyAddress| address.chain == chain;
        let addresses = key.addresses.iter().filter(on_chain);
        addresses.filter_map(|address| lane_of(key, address))
    })
    .collect()
}

fn lane_of(key: &Key, address: &KeyAddress) -> Option<NewLane> {
    let chain = address.chain;
    let sender = match chain {
        Chain::Evm(_) => Sender::Address(Address::parse(chain, &address.address).ok()?),
        _ => Sender::Account(key.account.clone()),
    };
    Some(NewLane {
        id: LaneId { chain, sender },
        account: key.account.clone(),
        signer_epoch: address.lane_epoch,
        next_nonce: address.next_sequence.unwrap_or(0),
    })
}

/// One lane, for as long as the process runs.
struct Life<F> {
    of: Arc<OfChain<F>>,
    id: LaneId,
    account: Name,
}

/// What follows when a lane is not held any more.
enum After {
    Stop,
    Pause(Duration),
}

impl<F: Family> Life<F> {
    async fn run(self) {
        let mut stop = self.of.shared.stop.clone();
        loop {
            let pause = match self.once().await {
                After::Stop => return,
                After::Pause(pause) => pause,
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn set(&self, state: LaneState) {
        self.of.shared.statuses.set(&self.id, &self.account, state);
    }

    /// Takes the lane and holds it as long as it can.
    async fn once(&self) -> After {
        let shared = &self.of.shared;
        match Lease::acquire(shared, &self.id).await {
            Ok(Some((lease, row))) => {
                tracing::info!(lane = %self.id, lease = row.lease, epoch = row.epoch, "the lane is taken");
                self.set(LaneState::Starting { detail: None });
                self.hold(lease).await
            }
            Ok(None) => {
                self.set(LaneState::Elsewhere);
                After::Pause(third(shared.lease))
            }
            Err(error) => self.hindered(&causes(&error), LOOK_AGAIN),
        }
    }

    fn hindered(&self, detail: &str, pause: Duration) -> After {
        tracing::warn!(lane = %self.id, error = detail, "the lane cannot work now");
        self.set(LaneState::Starting {
            detail: Some(detail.to_owned()),
        });
        After::Pause(pause)
    }

    /// Drives the lane, from one loading of its view to the next.
    async fn hold(&self, mut lease: Lease) -> After {
        let mut pause = RELOAD_PAUSE.0;
        loop {
            // What an earlier driver had of the queue goes back with its place.
            let place = self.of.queue.place(self.id.clone());
            let driver = match self.load(&place, &mut lease).await {
                Ok(driver) => driver,
                Err(Obstacle::Now(detail)) => return self.hindered(&detail, LOOK_AGAIN),
                Err(Obstacle::Corrupt(detail)) => return self.broken(detail),
            };
            let (end, committed) = driver.run().await;
            drop(place);
            if committed {
                pause = RELOAD_PAUSE.0;
            }
            match end {
                End::Stopped => {
                    self.release(&lease).await;
                    return After::Stop;
                }
                End::Adopted | End::NewKeys => {}
                // Taken anew it is closed, and compared before anything is begun.
                End::NewEpoch => return After::Pause(Duration::ZERO),
                End::Reload(what) => {
                    self.of.shared.metrics.reloads.increment();
                    tracing::warn!(lane = %self.id, what, "the view is loaded again");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(RELOAD_PAUSE.1);
                }
                End::Lost => {
                    tracing::warn!(lane = %self.id, lease = lease.number, "the lane's lease is lost");
                    return After::Pause(LOOK_AGAIN);
                }
                End::Corrupt(detail) => return self.broken(detail),
            }
            if !lease.holds() {
                return After::Pause(LOOK_AGAIN);
            }
        }
    }

    fn broken(&self, detail: String) -> After {
        tracing::error!(lane = %self.id, detail, "the lane cannot work");
        self.set(LaneState::Broken { detail });
        After::Pause(CORRUPT_PAUSE)
    }

    async fn load<'a>(
        &'a self,
        place: &'a Place,
        lease: &'a mut Lease,
    ) -> Result<Driver<'a, F::Lane, F::Observer>, Obstacle> {
        let shared = &self.of.shared;
        let view = shared
            .store
            .load(&self.id)
            .await
            .map_err(|error| match error {
                StoreError::Corrupt { .. } => Obstacle::Corrupt(causes(&error)),
                other => Obstacle::Now(causes(&other)),
            })?;
        let keys = self.of.shared.keys.borrow().of(&self.account);
        let observer = self.of.family.observer(&view.row);
        let observer = observer.map_err(Obstacle::Now)?;
        let lane = self
            .of
            .family
            .lane(view, &keys.keys)
            .map_err(Obstacle::Now)?;
        let parts = Parts {
            shared,
            place,
            lease,
            observer,
            node_calls: Arc::clone(&self.of.node_calls),
            keys,
        };
        Ok(Driver::new(lane, parts))
    }

    /// Lets the lease end, so that the next to come need not wait for it.
    async fn release(&self, lease: &Lease) {
        let store = &self.of.shared.store;
        if let Err(error) = store.renew(&self.id, lease.number, now()).await {
            tracing::warn!(lane = %self.id, error = %causes(&error), "the lease ends by itself");
        }
    }
}

/// Why a lane cannot be driven.
enum Obstacle {
    Now(String),
    Corrupt(String),
}
