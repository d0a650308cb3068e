//! Lanes that break a rule on purpose, to see that the checker sees it.

use std::{marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use tx::{Address, Asset, Chain, Registry, Time};
use wallet::{
    lane::{Effect, Event, Lane, LaneView, SendOutcome},
    store::NewLane,
};

use super::{
    book::Book,
    family::{Answer, AnyObserver, Family, Question},
    random::Random,
};

/// What a mutant does otherwise.
pub trait Mutation<F: Family>: Default + Send + 'static {
    /// What it takes an event for.
    fn event(&mut self, event: Event<Answer<F>>) -> Event<Answer<F>> {
        event
    }

    /// What it does instead.
    fn effects(&mut self, effects: Vec<Effect<Question<F>>>) -> Vec<Effect<Question<F>>> {
        effects
    }
}

/// A family whose lanes are mutants.
pub struct Mutant<F, M>(PhantomData<fn() -> (F, M)>);

/// A lane that is a mutant.
pub struct MutantLane<F: Family, M> {
    lane: F::Lane,
    mutation: M,
}

impl<F: Family, M: Mutation<F>> Lane for MutantLane<F, M> {
    type Question = Question<F>;
    type Answer = Answer<F>;

    fn view(&self) -> &LaneView {
        self.lane.view()
    }

    fn handle(&mut self, event: Event<Answer<F>>, now: Time) -> Vec<Effect<Question<F>>> {
        let event = self.mutation.event(event);
        let effects = self.lane.handle(event, now);
        self.mutation.effects(effects)
    }
}

/// An observer of the family, for its mutant.
struct Same<F: Family>(Arc<dyn AnyObserver<F>>);

#[async_trait]
impl<F: Family> wallet::lane::Observer for Same<F> {
    type Question = Question<F>;
    type Answer = Answer<F>;

    async fn ask(&self, question: Question<F>) -> Answer<F> {
        self.0.ask(question).await
    }

    async fn send(&self, answer: &api::signing::SignAnswer) -> SendOutcome {
        self.0.send(answer).await
    }
}

impl<F: Family, M: Mutation<F>> Family for Mutant<F, M> {
    type Lane = MutantLane<F, M>;
    type Chain = F::Chain;
    type Node = F::Node;
    type Settings = F::Settings;

    const CHAIN: Chain = F::CHAIN;
    const BLOCK_MILLIS: u64 = F::BLOCK_MILLIS;
    const DEPOSIT: u64 = F::DEPOSIT;

    fn registry() -> Registry {
        F::registry()
    }

    fn assets() -> Vec<Asset> {
        F::assets()
    }

    fn destination(number: u64) -> Address {
        F::destination(number)
    }

    fn chain(book: Book) -> F::Chain {
        F::chain(book)
    }

    fn node(chain: &F::Chain, name: &str, random: Random) -> F::Node {
        F::node(chain, name, random)
    }

    fn settings() -> F::Settings {
        F::settings()
    }

    fn new_lane(signer_epoch: u64, next_nonce: u64) -> NewLane {
        F::new_lane(signer_epoch, next_nonce)
    }

    fn lane(settings: &F::Settings, registry: &Registry, view: LaneView) -> Self::Lane {
        MutantLane {
            lane: F::lane(settings, registry, view),
            mutation: M::default(),
        }
    }

    fn observer(settings: &F::Settings, nodes: &[F::Node]) -> Arc<dyn AnyObserver<Self>> {
        Arc::new(Same::<F>(F::observer(settings, nodes)))
    }
}
