//! Runs a lane: executes what it asks for, in an order of its own, and can end it at any point.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use tx::Time;
use wallet::{
    attempt::AttemptNumber,
    change::{Change, Commit},
    lane::{Effect, Event, Lane, LaneRow},
    points::{Deed, Side},
    store::StoreError,
    withdrawal::WithdrawalNumber,
};

use super::{
    family::{Answer, AnyObserver, Family, Question},
    world::World,
};

/// How long a lease lasts, in milliseconds.
pub const LEASE_MILLIS: u64 = 60_000;
/// So many steps without time passing are a lane that spins.
const STEPS_MAX: u64 = 2_000;

/// The coordinator's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killed;

/// The points of a world, and at which of them the process ends.
#[derive(Clone, Debug, Default)]
pub struct Points {
    pub passed: u64,
    pub log: Vec<(Deed, Side)>,
    pub kill_at: BTreeSet<u64>,
    /// Ends at a point once in so many times.
    pub kill_every: u64,
    pub kills: u64,
    /// Whether the state at each point is noted.
    pub watched: bool,
    pub states: Vec<[u8; 32]>,
}

/// What is done next when there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// What was asked for first, and it is heard at once.
    First,
    /// Any; what came of it is heard later, in any order.
    Any,
}

/// A coordinator's process, with all that it forgets when it ends.
pub struct Process<F: Family> {
    pub lane: F::Lane,
    pub row: LaneRow,
    observer: Arc<dyn AnyObserver<F>>,
    owner: String,
    until: Time,
    asked: VecDeque<Effect<Question<F>>>,
    heard: Vec<Event<Answer<F>>>,
    want: usize,
    held: BTreeSet<WithdrawalNumber>,
    wake: Option<Time>,
    /// The state of the world in which there was nothing to be paid.
    looked: Option<u64>,
    steps: u64,
    stepped_at: Time,
}

impl<F: Family> Process<F> {
    /// Takes the lane, loads what is durable, and begins. `None` while another has the lane.
    pub async fn start(world: &mut World<F>, owner: &str) -> Result<Option<Self>, Killed> {
        let until = world.now.after_millis(LEASE_MILLIS);
        world.point(Deed::Commit, Side::Before).await?;
        let id = world.lane_id();
        let acquired = world.store().acquire(&id, owner, world.now, until).await;
        world.point(Deed::Commit, Side::After).await?;
        let Some(row) = acquired.unwrap() else {
            return Ok(None);
        };
        let view = world.store().load(&id).await.unwrap();
        assert_eq!(view.row, row, "what was acquired is what is loaded");
        let mut process = Self {
            lane: F::lane(&world.settings, &world.sim.registry(), view),
            row,
            observer: F::observer(&world.settings, &world.nodes),
            owner: owner.into(),
            until,
            asked: VecDeque::new(),
            heard: Vec::new(),
            want: 0,
            held: BTreeSet::new(),
            wake: None,
            looked: None,
            steps: 0,
            stepped_at: world.now,
        };
        process.handle(world, Event::Started);
        Ok(Some(process))
    }

    fn handle(&mut self, world: &mut World<F>, event: Event<Answer<F>>) {
        if world.trace {
            println!("{} {} <- {}", world.now, self.owner, short(&event));
        }
        for effect in self.lane.handle(event, world.now) {
            if world.trace {
                println!("{} {} -> {}", world.now, self.owner, short(&effect));
            }
            match effect {
                Effect::Want(count) => self.want = count,
                Effect::Return(numbers) => {
                    self.looked = None;
                    for number in &numbers {
                        self.held.remove(number);
                    }
                }
                Effect::Wake(at) => self.wake = Some(at),
                other => self.asked.push_back(other),
            }
        }
    }

    /// One thing happens. False when nothing is left to be done before time passes.
    pub async fn step(&mut self, world: &mut World<F>) -> Result<bool, Killed> {
        self.count_step(world);
        let hear = match world.order {
            Order::First => !self.heard.is_empty(),
            Order::Any => {
                let all = self.heard.len() + self.asked.len();
                all > 0 && world.random.index(all) < self.heard.len()
            }
        };
        if hear {
            let at = match world.order {
                Order::First => 0,
                Order::Any => world.random.index(self.heard.len()),
            };
            let event = self.heard.remove(at);
            let committed = self.hear_committed(&event);
            self.handle(world, event);
            if let Some(why) = self.lane.lost() {
                world.refused_commits.push(format!("lost: {why}"));
                self.reload(world).await;
                self.handle(world, Event::Started);
            }
            if committed {
                self.compare_view(world).await;
            }
            return Ok(true);
        }
        if !self.asked.is_empty() {
            let at = match world.order {
                Order::First => 0,
                Order::Any => world.random.index(self.asked.len()),
            };
            let effect = self.asked.remove(at).unwrap();
            let event = self.execute(world, effect).await?;
            self.heard.extend(event);
            return Ok(true);
        }
        if self.queue(world).await {
            return Ok(true);
        }
        if self.wake.is_some_and(|wake| wake <= world.now) {
            self.wake = None;
            self.handle(world, Event::Tick);
            return Ok(true);
        }
        self.renew(world).await?;
        Ok(false)
    }

    /// What an assignment took is not held any more: if it comes back it is new.
    fn hear_committed(&mut self, event: &Event<Answer<F>>) -> bool {
        let Event::Committed(changes) = event else {
            return false;
        };
        for change in changes {
            if let Change::Assign(attempt) = change {
                for number in &attempt.pays {
                    self.held.remove(number);
                }
            }
        }
        true
    }

    fn count_step(&mut self, world: &mut World<F>) {
        if self.stepped_at < world.now {
            self.stepped_at = world.now;
            self.steps = 0;
        }
        self.steps += 1;
        if self.steps == STEPS_MAX {
            let asked = short(&self.asked);
            world.breach(format!("the lane spins: {asked}"));
            world.horizon = 0;
        }
    }

    /// When it wants to be woken.
    pub fn wakes_at(&self) -> Option<Time> {
        self.wake
    }

    async fn renew(&mut self, world: &mut World<F>) -> Result<(), Killed> {
        if world.now.after_millis(LEASE_MILLIS / 2) < self.until {
            return Ok(());
        }
        let until = world.now.after_millis(LEASE_MILLIS);
        let (lane, lease) = (&self.row.id, self.row.lease);
        match world.store().renew(lane, lease, until).await {
            Ok(()) => self.until = until,
            // A person or another owner has it: this process has nothing to do any more.
            Err(StoreError::Fenced { .. }) => return Err(Killed),
            Err(_) => {}
        }
        Ok(())
    }

    async fn queue(&mut self, world: &mut World<F>) -> bool {
        if self.want == 0 || self.looked == Some(world.writes) {
            return false;
        }
        let chain = self.row.id.chain;
        let approved = world
            .store()
            .approved(chain, world.now, None, 100)
            .await
            .unwrap();
        let mut new = approved;
        new.retain(|withdrawal| !self.held.contains(&withdrawal.number));
        new.truncate(self.want);
        if new.is_empty() {
            self.looked = Some(world.writes);
            return false;
        }
        self.want -= new.len();
        self.held
            .extend(new.iter().map(|withdrawal| withdrawal.number));
        self.handle(world, Event::Queued(new));
        true
    }

    async fn execute(
        &mut self,
        world: &mut World<F>,
        effect: Effect<Question<F>>,
    ) -> Result<Option<Event<Answer<F>>>, Killed> {
        Ok(match effect {
            Effect::Commit(changes) => Some(self.commit(world, changes).await?),
            Effect::Sign(number, request) => {
                world.watch_sign(&self.row.id, number, &request).await;
                world.point(Deed::Sign, Side::Before).await?;
                let outcome = world.signer.sign(&request).await;
                world.watch_signed();
                world.point(Deed::Sign, Side::After).await?;
                Some(Event::Signer(number, outcome))
            }
            Effect::Send(number, answer) => {
                world.watch_send(&self.row.id, number, &answer).await;
                world.point(Deed::Send, Side::Before).await?;
                let outcome = self.observer.send(&answer).await;
                world.point(Deed::Send, Side::After).await?;
                Some(Event::Sent(number, outcome))
            }
            Effect::Ask(question) => Some(Event::Answered(self.observer.ask(question).await)),
            Effect::Inquire(number) => Some(self.inquire(world, number).await),
            Effect::Compare => {
                let compared = world.compare(self.lane.view()).await;
                Some(Event::Compared(compared))
            }
            Effect::Want(_) | Effect::Return(_) | Effect::Wake(_) => None,
        })
    }

    async fn inquire(&self, world: &World<F>, number: AttemptNumber) -> Event<Answer<F>> {
        let id = self.row.id.request_id(number);
        let known = world.signer.request(&id).await;
        Event::Inquired(number, known.map(|known| known.map(Box::new)))
    }

    async fn commit(
        &mut self,
        world: &mut World<F>,
        changes: Vec<Change>,
    ) -> Result<Event<Answer<F>>, Killed> {
        world.watch_commit(&changes, self.lane.view());
        world.point(Deed::Commit, Side::Before).await?;
        let commit = Commit {
            lane: self.row.id.clone(),
            lease: self.row.lease,
            at: world.now,
            changes: changes.clone(),
        };
        if world.store_fails() {
            return Ok(Event::CommitFailed);
        }
        let committed = world.store().commit(commit).await;
        world.dirty = true;
        world.writes += 1;
        world.point(Deed::Commit, Side::After).await?;
        match committed {
            // The store has numbered what was adopted: the view is loaded again.
            Ok(())
                if changes
                    .iter()
                    .any(|change| matches!(change, Change::Adopt(_))) =>
            {
                self.reload(world).await;
                Ok(Event::Started)
            }
            Ok(()) => Ok(Event::Committed(changes)),
            Err(StoreError::Unavailable { .. }) => Ok(Event::CommitFailed),
            // Another owns the lane: this process has nothing to do any more.
            Err(error @ StoreError::Fenced { .. }) => {
                world.refused_commits.push(error.to_string());
                Err(Killed)
            }
            // Something else changed under it, such as a release: the view is loaded again.
            Err(error) => {
                world.refused_commits.push(error.to_string());
                self.reload(world).await;
                Ok(Event::Started)
            }
        }
    }

    /// What the lane knows is what is durable, unless another owns it by now.
    async fn compare_view(&self, world: &mut World<F>) {
        let view = world.store().load(&self.row.id).await.unwrap();
        if view.row.lease != self.row.lease {
            return;
        }
        if &view != self.lane.view() {
            let known = self.lane.view();
            world.breach(format!("durable is {view:#?}\nthe lane knows {known:#?}"));
        }
        world.watch_view(&view);
    }

    /// Begins anew with what is durable, under the same lease.
    async fn reload(&mut self, world: &mut World<F>) {
        let view = world.store().load(&self.row.id).await.unwrap();
        self.lane = F::lane(&world.settings, &world.sim.registry(), view);
        self.asked.clear();
        self.heard.clear();
        self.held.clear();
        (self.want, self.wake) = (0, None);
    }
}

fn short(what: &impl std::fmt::Debug) -> String {
    let text = format!("{what:?}");
    let mut short: String = text.chars().take(400).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
