//! Kinds of effect that nothing lets pass.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Asset, Chain, Effect, EffectKind, Name};

use crate::{
    loose::{loose, without_functions},
    moves::allowing,
    question::{Ground, Leaves, Question},
};

/// An effect that could pass, if some transaction had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    /// Who would ask.
    pub client: Name,
    /// Whose intent it would be; nobody's, where there is none.
    pub source: Option<Name>,
    /// The effect.
    pub effect: Effect,
    /// Of the hours that statements name, those that would be open.
    pub hours: BTreeSet<Name>,
}

/// The allows by which an effect of this kind could pass with nobody but these people agreeing, each with such an
/// effect; none where no request is signed that has one. Ages, signers, what is dead and functions are not looked at.
pub fn passing(
    ground: &Ground<'_>,
    kind: EffectKind,
    people: &BTreeSet<Name>,
) -> BTreeMap<Name, Passing> {
    let chains: BTreeSet<Chain> = ground.policy.chains.keys().copied().collect();
    let policy = without_functions(ground.policy);
    let policy = loose(&policy);
    let ground = &Ground {
        policy: &policy,
        ..*ground
    };
    let mut passing = BTreeMap::new();
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
        for (allow, example) in allowing(ground, &question, kind) {
            passing.entry(allow).or_insert(example);
        }
    }
    passing
}
