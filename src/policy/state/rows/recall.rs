//! Which rows a decision reads, so that they can be read before it.

use std::collections::BTreeSet;

use tx::Decoded;

use super::{Row, RowKey};
use crate::Request;

impl RowKey {
    /// The keys of the rows that a decision on this request reads first. What is there names the others:
    /// [`Row::names`].
    pub fn named_by(decoded: &Decoded, request: &Request) -> BTreeSet<Self> {
        let destinations = decoded.effects().iter();
        let destinations = destinations.filter_map(|effect| effect.to.as_ref());
        let strangers = destinations.filter(|to| to.own.is_none());
        let intents = request.intents.iter();
        // A re-issue is to the intent's destination, whatever the transaction pays.
        let paid = request.intents.iter();
        let paid = paid.map(|signed| signed.intent.destination.clone());
        let keys = decoded.conflict_keys().iter();
        [Self::Request(request.client.clone(), request.id.clone())]
            .into_iter()
            .chain(keys.cloned().map(Self::Consumed))
            .chain(intents.map(|signed| Self::Intent(signed.intent.id.clone())))
            .chain(strangers.map(|to| Self::Paid(to.address.clone())))
            .chain(paid.map(Self::Paid))
            .collect()
    }
}

impl Row {
    /// The keys of the rows that a decision reads because of this one: the request's latest attempt, those that
    /// consume what it consumes, and those of an intent, which may be dead, with what was said of them. They
    /// name no further ones.
    pub fn names(&self) -> BTreeSet<RowKey> {
        let attempts = match self {
            Self::Request(_, _, latest) => std::slice::from_ref(latest),
            Self::Consumed(_, consumed) => &consumed.attempts,
            Self::Intent(_, intent) => {
                let attempts = intent.attempts().iter();
                return attempts
                    .flat_map(|id| [RowKey::Attempt(*id), RowKey::Fate(*id)])
                    .collect();
            }
            _ => &[],
        };
        attempts.iter().copied().map(RowKey::Attempt).collect()
    }
}
