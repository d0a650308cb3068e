//! Intents: content fixed by first use, one to one with outward payments.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Amount, EffectKind, Intent};

use super::{Case, Findings, facts::Paid};
use crate::{ReasonCode, SignedIntent, statement};

pub(super) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    one_to_one(case, findings);
    twice(case, findings);
    for signed in &case.request.intents {
        content(case, signed, findings);
        source(case, signed, findings);
    }
    fee(case, findings);
}

fn intents<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Intent> + use<'a> {
    case.request.intents.iter().map(|signed| &signed.intent)
}

fn one_to_one(case: &Case<'_>, findings: &mut Findings<'_>) {
    let payments = case.decoded.effects().iter();
    let payments = payments.filter(|effect| effect.kind == EffectKind::Payment);
    // Payments less intents, for each content.
    let mut surplus: BTreeMap<Paid<'_>, i64> = BTreeMap::new();
    for effect in payments {
        let count = surplus.entry(Paid::by_effect(effect)).or_default();
        *count = count.saturating_add(1);
    }
    for intent in intents(case) {
        let count = surplus.entry(Paid::by_intent(intent)).or_default();
        *count = count.saturating_sub(1);
    }
    for (paid, count) in surplus.iter().filter(|(_, count)| **count != 0) {
        let (detail, remedy) = if *count > 0 {
            (
                format!("no intent asks for {count} of: {paid}"),
                "bring the intent of every payment",
            )
        } else {
            let count = count.unsigned_abs();
            (
                format!("the transaction does not make {count} of: {paid}"),
                "bring no intent but those that the transaction pays",
            )
        };
        findings.refuse_built_in(ReasonCode::IntentMismatch, detail, remedy);
    }
}

/// One intent beside itself would pay its content twice in one transaction.
fn twice(case: &Case<'_>, findings: &mut Findings<'_>) {
    let mut seen = BTreeSet::new();
    for intent in intents(case).filter(|intent| !seen.insert(&intent.id)) {
        findings.refuse_built_in(
            ReasonCode::IntentReused,
            format!("intent {} stands in the request more than once", intent.id),
            "bring each intent once",
        );
    }
}

fn content(case: &Case<'_>, signed: &SignedIntent, findings: &mut Findings<'_>) {
    let intent = &signed.intent;
    let id = &intent.id;
    let known = case.intents.get(id);
    if known.is_some_and(|known| known.payload() != intent.payload()) {
        findings.refuse_built_in(
            ReasonCode::IntentReused,
            format!("intent {id} was used before with other content"),
            "ask for what was asked first, or use a new id",
        );
    }
    let epoch = case.state.epoch();
    if intent.epoch != epoch {
        findings.refuse_built_in(
            ReasonCode::IntentEpoch,
            format!(
                "intent {id} was issued in epoch {}, not {epoch}",
                intent.epoch
            ),
            format!("find out whether it was paid; if not, issue a new intent in epoch {epoch}"),
        );
    }
    if case.hi > intent.expires {
        findings.refuse_built_in(
            ReasonCode::IntentClosed,
            format!("intent {id} expired at {}", intent.expires),
            "issue a new intent",
        );
    }
}

fn source(case: &Case<'_>, signed: &SignedIntent, findings: &mut Findings<'_>) {
    let id = &signed.intent.id;
    let (name, client) = (&id.source, &case.request.client);
    let known = case.policy.sources.get(name);
    if !known.is_some_and(|source| source.clients.contains(client)) {
        findings.refuse_built_in(
            ReasonCode::IntentSource,
            format!("client {client} may not bring intents of source {name}"),
            format!("list {client} among the clients of source {name}"),
        );
    }
    if known.is_some() && !statement::intent_signed(case.policy, signed) {
        findings.refuse_built_in(
            ReasonCode::IntentUnsigned,
            format!("intent {id} is not signed by a signer of source {name}"),
            format!("bring the signature of a signer of source {name}"),
        );
    }
}

/// An attempt that pays intents costs at most what they allow together.
fn fee(case: &Case<'_>, findings: &mut Findings<'_>) {
    if case.request.intents.is_empty() {
        return;
    }
    let fees = case.decoded.effects().iter();
    let fees = fees.filter(|effect| effect.kind == EffectKind::Fee);
    let fee = sum(fees.map(|effect| effect.amount));
    let most = sum(intents(case).map(|intent| intent.max_fee));
    let (Some(fee), Some(most)) = (fee, most) else {
        return findings.refuse_built_in(
            ReasonCode::Overflow,
            "fees, or the highest fees of the intents, sum up to 2^256 or more",
            "bring intents with a smaller highest fee",
        );
    };
    if fee > most {
        findings.refuse_built_in(
            ReasonCode::IntentFee,
            format!("the fee of {fee} is above the {most} that the intents allow together"),
            "offer a lower fee",
        );
    }
}

fn sum(mut amounts: impl Iterator<Item = Amount>) -> Option<Amount> {
    amounts.try_fold(Amount::ZERO, Amount::checked_add)
}
