//! Keys of older epochs: what they hold leaves for one own address, and for nowhere else.

use std::collections::BTreeSet;

use tx::{Address, Effect, EffectKind, Name};

use super::{Case, Findings, facts::described};
use crate::ReasonCode;

/// What was signed with such a key and lost is not known. Once its coins have left, all of that is
/// dead.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    let chain = case.decoded.chain();
    let signings = case.decoded.signings().iter();
    let drained: BTreeSet<(&Name, &Address)> = signings
        .filter_map(|signing| {
            let to = case.state.drain_of(&signing.key, chain)?;
            Some((&signing.key, to))
        })
        .collect();
    for (key, to) in drained {
        let effects = case.decoded.effects().iter();
        for effect in effects.filter(|effect| !is_drain(case, effect, (key, to))) {
            findings.refuse_built_in(
                ReasonCode::DrainOnly,
                format!("key {key} is of an older epoch: {}", described(effect)),
                format!("pay everything but the fee to {to}, which is to be an own address"),
            );
        }
    }
}

fn is_drain(case: &Case<'_>, effect: &Effect, (key, to): (&Name, &Address)) -> bool {
    if effect.kind == EffectKind::Fee {
        return true;
    }
    let moves = matches!(effect.kind, EffectKind::OwnTransfer | EffectKind::Change);
    let own = effect.to.as_ref().filter(|effect| effect.own.is_some());
    let itself = case
        .present
        .registry
        .key(to)
        .is_some_and(|of| of.name == *key);
    moves && !itself && own.is_some_and(|own| own.address == *to)
}
