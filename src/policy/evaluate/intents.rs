//! Intents: content fixed by first use, one to one with outward payments.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Amount, EffectKind, Intent};

use super::{Case, Findings, facts::Paid};
use crate::{ReasonCode, SignedIntent};

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

/// Every payment has its intent. A transfer to an own address may have one, so that people can approve it.
fn one_to_one(case: &Case<'_>, findings: &mut Findings<'_>) {
    let mut found: BTreeMap<Paid<'_>, Count> = BTreeMap::new();
    for effect in case.decoded.effects() {
        let Count {
            payments,
            transfers,
            ..
        } = found.entry(Paid::by_effect(effect)).or_default();
        match effect.kind {
            EffectKind::Payment => *payments = payments.saturating_add(1),
            EffectKind::OwnTransfer => *transfers = transfers.saturating_add(1),
            _ => {}
        }
    }
    for intent in intents(case) {
        let count = found.entry(Paid::by_intent(intent)).or_default();
        count.intents = count.intents.saturating_add(1);
    }
    for (paid, count) in found {
        let without = count.payments.saturating_sub(count.intents);
        let paid_at_most = count.payments.saturating_add(count.transfers);
        let unpaid = count.intents.saturating_sub(paid_at_most);
        if without > 0 {
            findings.refuse_built_in(
                ReasonCode::IntentMismatch,
                format!("no intent asks for {without} of: {paid}"),
                "bring the intent of every payment",
            );
        }
        if unpaid > 0 {
            findings.refuse_built_in(
                ReasonCode::IntentMismatch,
                format!("the transaction does not make {unpaid} of: {paid}"),
                "bring no intent but those that the transaction pays",
            );
        }
    }
}

/// How often something is paid and asked for.
#[derive(Default)]
struct Count {
    payments: u64,
    transfers: u64,
    intents: u64,
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
    if known.is_some_and(|known| known.is_closed(intent.expires)) {
        findings.refuse_built_in(
            ReasonCode::IntentClosed,
            format!("people rejected intent {id} for ever"),
            "do not pay it; what is to be paid after all is a new intent",
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
    let asks = known.is_some_and(|source| !source.signers.is_empty());
    if asks && case.signers.get(id).is_none_or(BTreeSet::is_empty) {
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
