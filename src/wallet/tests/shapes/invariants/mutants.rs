//! Lanes that break an invariant each.

use std::sync::Arc;

use api::signing::SignAnswer;
use wallet::{
    attempt::AttemptNumber,
    change::Change,
    lane::{Effect, Event},
    signer::SignOutcome,
};

use crate::simulation::{
    family::{Answer, Family, Question},
    mutant::Mutation,
};

type Effects<F> = Vec<Effect<Question<F>>>;

/// Asks the signer before the attempt is durable.
#[derive(Default)]
pub(super) struct AsksFirst;

impl<F: Family> Mutation<F> for AsksFirst {
    fn effects(&mut self, effects: Effects<F>) -> Effects<F> {
        let mut mutated = Vec::new();
        for effect in effects {
            if let Effect::Commit(changes) = &effect {
                for change in changes {
                    if let Change::Assign(attempt) | Change::Replace(attempt) = change {
                        mutated.push(Effect::Sign(attempt.number, attempt.request.clone()));
                    }
                }
            }
            mutated.push(effect);
        }
        mutated
    }
}

/// Sends signed bytes before they are durable.
#[derive(Default)]
pub(super) struct SendsFirst(Option<(AttemptNumber, Arc<SignAnswer>)>);

impl<F: Family> Mutation<F> for SendsFirst {
    fn event(&mut self, event: Event<Answer<F>>) -> Event<Answer<F>> {
        if let Event::Signer(number, SignOutcome::Signed(answer)) = &event {
            self.0 = Some((*number, answer.clone()));
        }
        event
    }

    fn effects(&mut self, mut effects: Effects<F>) -> Effects<F> {
        if let Some((number, answer)) = self.0.take() {
            effects.insert(0, Effect::Send(number, answer));
        }
        effects
    }
}

/// Sends other bytes than those stored.
#[derive(Default)]
pub(super) struct SendsOthers;

impl<F: Family> Mutation<F> for SendsOthers {
    fn effects(&mut self, effects: Effects<F>) -> Effects<F> {
        let other = |answer: Arc<SignAnswer>| {
            let mut answer = SignAnswer::clone(&answer);
            answer.transaction.raw.push_str("00");
            Arc::new(answer)
        };
        let mutate = |effect| match effect {
            Effect::Send(number, answer) => Effect::Send(number, other(answer)),
            effect => effect,
        };
        effects.into_iter().map(mutate).collect()
    }
}

/// Takes a call without an answer for a refusal.
#[derive(Default)]
pub(super) struct TakesSilenceForNo;

impl<F: Family> Mutation<F> for TakesSilenceForNo {
    fn event(&mut self, event: Event<Answer<F>>) -> Event<Answer<F>> {
        match event {
            Event::Signer(number, SignOutcome::Unknown { .. }) => {
                let outcome = SignOutcome::Refused {
                    reasons: Vec::new(),
                    needs: Vec::new(),
                };
                Event::Signer(number, outcome)
            }
            event => event,
        }
    }
}

/// Settles what is included and not final.
#[derive(Default)]
pub(super) struct SettlesEarly;

impl<F: Family> Mutation<F> for SettlesEarly {
    fn effects(&mut self, effects: Effects<F>) -> Effects<F> {
        let mutate = |effect| match effect {
            Effect::Commit(mut changes) => {
                let early = changes.iter().find_map(|change| match change {
                    Change::Included { attempt, inclusion } => Some(Change::Final {
                        attempt: *attempt,
                        tip: inclusion.block.clone(),
                        inclusion: inclusion.clone(),
                    }),
                    _ => None,
                });
                changes.extend(early);
                Effect::Commit(changes)
            }
            effect => effect,
        };
        effects.into_iter().map(mutate).collect()
    }
}

/// Does not believe the signer's journal.
#[derive(Default)]
pub(super) struct BelievesItself;

impl<F: Family> Mutation<F> for BelievesItself {
    fn event(&mut self, event: Event<Answer<F>>) -> Event<Answer<F>> {
        match event {
            Event::Compared(Ok(mut comparison)) => {
                comparison.unknown.clear();
                Event::Compared(Ok(comparison))
            }
            event => event,
        }
    }
}
