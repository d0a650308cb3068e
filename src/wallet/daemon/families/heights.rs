//! How far a chain is: looked at now and then, and told by what the lanes are answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{signing::SignAnswer, wallet::ChainReport};
use async_trait::async_trait;
use tx::Chain;

use crate::{
    lane::{self, SendOutcome},
    text::chain as causes,
};

/// How far the best chain goes, and how much of it is final, where the chain says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Height {
    pub(super) latest: u64,
    pub(super) finalized: Option<u64>,
}

/// What is known of how far a chain is.
///
/// What a lane was answered counts until the next look, or a payment would be final before anybody
/// can see how deep it is.
pub(super) struct Heights(Mutex<State>);

struct State {
    report: ChainReport,
    /// What lanes were answered since the look before the last.
    told: Option<Height>,
}

/// What nodes said of how far a chain is.
#[derive(Default)]
pub(super) struct Look {
    pub(super) latest: Vec<u64>,
    pub(super) finalized: Vec<u64>,
    pub(super) troubles: Vec<String>,
}

impl Heights {
    /// Of a chain of which nothing is known yet.
    pub(super) fn new(chain: Chain) -> Arc<Self> {
        let look = Look::default();
        Arc::new(Self(Mutex::new(State {
            report: look.report(chain),
            told: None,
        })))
    }

    pub(super) fn report(&self) -> ChainReport {
        self.state().report.clone()
    }

    /// Nodes are being asked: what was told before is older than what they say.
    pub(super) fn begin(&self) {
        self.state().told = None;
    }

    /// What they said.
    pub(super) fn end(&self, look: Look) {
        let mut state = self.state();
        state.report = look.report(state.report.chain);
        state.raise();
    }

    fn tell(&self, height: Height) {
        let mut state = self.state();
        let told = state.told.get_or_insert_default();
        told.latest = told.latest.max(height.latest);
        told.finalized = told.finalized.max(height.finalized);
        state.raise();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn raise(&mut self) {
        if let Some(told) = self.told {
            self.report.height = self.report.height.max(Some(told.latest));
            self.report.finalized = self.report.finalized.max(told.finalized);
        }
    }
}

impl Look {
    pub(super) fn fail(&mut self, node: &str, error: &dyn std::error::Error) {
        self.troubles.push(format!("{node}: {}", causes(error)));
    }

    /// As far as all nodes are that answered.
    fn report(self, chain: Chain) -> ChainReport {
        ChainReport {
            chain,
            height: self.latest.into_iter().min(),
            finalized: self.finalized.into_iter().min(),
            detail: (!self.troubles.is_empty()).then(|| self.troubles.join("; ")),
        }
    }
}

/// Answers a lane, and tells how far the chain is by its answers.
pub(super) struct Telling<O: lane::Observer> {
    observer: Arc<O>,
    heights: Arc<Heights>,
    height: fn(&O::Answer) -> Option<Height>,
}

impl<O: lane::Observer> Telling<O> {
    pub(super) fn new(
        observer: Arc<O>,
        heights: &Arc<Heights>,
        height: fn(&O::Answer) -> Option<Height>,
    ) -> Arc<Self> {
        let heights = Arc::clone(heights);
        Arc::new(Self {
            observer,
            heights,
            height,
        })
    }
}

#[async_trait]
impl<O: lane::Observer> lane::Observer for Telling<O> {
    type Question = O::Question;
    type Answer = O::Answer;

    async fn ask(&self, question: O::Question) -> O::Answer {
        let answer = self.observer.ask(question).await;
        // Before the lane hears it: what it makes final by it is that deep already.
        if let Some(height) = (self.height)(&answer) {
            self.heights.tell(height);
        }
        answer
    }

    async fn send(&self, answer: &SignAnswer) -> SendOutcome {
        self.observer.send(answer).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(u64);

    #[async_trait]
    impl lane::Observer for At {
        type Question = ();
        type Answer = u64;

        async fn ask(&self, (): ()) -> u64 {
            self.0
        }

        async fn send(&self, _: &SignAnswer) -> SendOutcome {
            SendOutcome::Taken
        }
    }

    fn look(latest: u64) -> Look {
        Look {
            latest: vec![latest, latest + 1],
            ..Look::default()
        }
    }

    async fn answered(heights: &Arc<Heights>, at: u64) {
        let height = |latest: &u64| {
            Some(Height {
                latest: *latest,
                finalized: latest.checked_sub(2),
            })
        };
        let telling = Telling::new(Arc::new(At(at)), heights, height);
        assert_eq!(lane::Observer::ask(&*telling, ()).await, at);
    }

    #[tokio::test]
    async fn what_a_lane_was_answered_is_known_at_once() {
        let heights = Heights::new("eip155:1".parse().unwrap());
        assert_eq!(heights.report().height, None);
        heights.begin();
        heights.end(look(7));
        assert_eq!(heights.report().height, Some(7));
        answered(&heights, 9).await;
        let report = heights.report();
        assert_eq!((report.height, report.finalized), (Some(9), Some(7)));
        // A look that was under way meanwhile saw less.
        heights.end(look(8));
        assert_eq!(heights.report().height, Some(9));
        // Another answer that is older does not take it back.
        answered(&heights, 5).await;
        assert_eq!(heights.report().height, Some(9));
        // The next look counts: a chain may become shorter.
        heights.begin();
        heights.end(look(4));
        let report = heights.report();
        assert_eq!((report.height, report.finalized), (Some(4), None));
    }
}
