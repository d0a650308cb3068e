//! Kinds of effect that nothing lets pass.

use std::collections::BTreeSet;

use tx::{Asset, Chain, EffectKind, Name};

use crate::{
    loose::{loose, without_functions},
    moves::allowing,
    question::{Ground, Leaves, Question},
};

/// The names of the allows by which an effect of this kind could pass, if some transaction had it, with
/// nobody but these people agreeing; none where no request is signed that has such an effect.
pub fn passing(ground: &Ground<'_>, kind: EffectKind, people: &BTreeSet<Name>) -> BTreeSet<Name> {
    let chains: BTreeSet<Chain> = ground.policy.chains.keys().copied().collect();
    let policy = without_functions(ground.policy);
    let policy = loose(&policy);
    let ground = &Ground {
        policy: &policy,
        ..*ground
    };
    let mut passing = BTreeSet::new();
    for chain in chains {
        let question = Question {
            leaves: Leaves::Payments {
                asset: Asset::native(chain),
                outside: None,
            },
            span_millis: 1,
            people: people.clone(),
            clients: None,
        };
        passing.extend(allowing(ground, &question, kind));
    }
    passing
}
