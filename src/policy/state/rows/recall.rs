//! Which rows a decision reads, so that they can be read before it.

use std::collections::BTreeSet;

use tx::{Decoded, EffectKind};

use super::{Row, RowKey};
use crate::Request;

impl RowKey {
    /// The keys of the rows that a decision on this request reads first. What is there names the others:
    /// [`Row::names`].
    pub fn named_by(decoded: &Decoded, request: &Request) -> BTreeSet<Self> {
        let effects = decoded.effects().iter();
        let payments = effects.filter(|effect| effect.kind == EffectKind::Payment);
        let destinations = payments.filter_map(|payment| payment.to.as_ref());
        let intents = request.intents.iter();
        let keys = decoded.conflict_keys().iter();
        [Self::Request(request.client.clone(), request.id.clone())]
            .into_iter()
            .chain(keys.cloned().map(Self::Consumed))
            .chain(intents.map(|signed| Self::Intent(signed.intent.id.clone())))
            .chain(destinations.map(|to| Self::Paid(to.address.clone())))
            .collect()
    }
}

impl Row {
    /// The keys of the rows that a decision reads because of this one: the request's latest attempt, and
    /// those that consume what it consumes. They name no further ones.
    pub fn names(&self) -> BTreeSet<RowKey> {
        let attempts = match self {
            Self::Request(_, _, latest) => std::slice::from_ref(latest),
            Self::Consumed(_, consumed) => &consumed.attempts,
            _ => &[],
        };
        attempts.iter().copied().map(RowKey::Attempt).collect()
    }
}
