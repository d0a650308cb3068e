//! Conflicts with earlier attempts, and sequences.

use tx::{Address, Amount, FeeTerms};

use super::{Case, Findings, grants::sequences};
use crate::{AttemptId, AttemptState, ReasonCode};

/// How many attempts may consume one key, or pay one intent. They are remembered together and read
/// together, for ever: a client that adds one a minute must not make that ever slower, or impossible.
const ATTEMPTS_MAX: usize = 1_000;

pub(super) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    if case.attempts >= ATTEMPTS_MAX {
        findings.refuse_built_in(
            ReasonCode::TooManyAttempts,
            format!(
                "{} attempts consume the same, or pay the same intent",
                case.attempts
            ),
            "consume something else, and find out why none of them confirms",
        );
    }
    for (attempt, old) in &case.conflicting {
        declared(case, *attempt, findings);
        replaces(case, *attempt, old, findings);
    }
    for (account, number) in sequences(case) {
        sequence(case, account, number, findings);
    }
}

/// A client that does not know of a conflict has lost count of what it asked for.
fn declared(case: &Case<'_>, attempt: AttemptId, findings: &mut Findings<'_>) {
    if !case.request.replaces.contains(&attempt) {
        findings.refuse_built_in(
            ReasonCode::UndeclaredConflict,
            format!("attempt {attempt} consumes what this transaction consumes"),
            format!("list attempt {attempt} in `replaces`, or consume something else"),
        );
    }
}

/// A replacement that nodes would not take in place of what it replaces is a second chance for
/// whoever chooses which of the two is seen.
fn replaces(case: &Case<'_>, attempt: AttemptId, old: &AttemptState, findings: &mut Findings<'_>) {
    let terms = case.decoded.fee_terms();
    match replaceable(&old.fee_terms(), &terms) {
        Some(Ok(())) => {}
        Some(Err(least)) => findings.refuse_built_in(
            ReasonCode::ReplacementFee,
            format!("it replaces attempt {attempt} and offers too little more"),
            format!("offer at least {least}"),
        ),
        None => findings.refuse_built_in(
            ReasonCode::Overflow,
            format!("what it would take to replace attempt {attempt} is 2^256 or more"),
            "consume something else",
        ),
    }
}

/// Whether nodes take `new` for `old`, else the least that they take; `None` on overflow.
fn replaceable(old: &FeeTerms, new: &FeeTerms) -> Option<Result<(), String>> {
    match (*old, *new) {
        (
            FeeTerms::Evm {
                max_fee_per_gas: old_fee,
                max_priority_fee_per_gas: old_tip,
                ..
            },
            FeeTerms::Evm {
                max_fee_per_gas: fee,
                max_priority_fee_per_gas: tip,
                ..
            },
        ) => {
            let (fee_ok, tip_ok) = (a_tenth_more(old_fee, fee)?, a_tenth_more(old_tip, tip)?);
            let least = || {
                format!("110 % of a fee cap of {old_fee} wei and a tip of {old_tip} wei per gas")
            };
            Some(if fee_ok && tip_ok {
                Ok(())
            } else {
                Err(least())
            })
        }
        // BIP-125, rule 4: the incremental relay fee of 1 sat/vB for the new transaction's size.
        (FeeTerms::Utxo { fee: old, .. }, FeeTerms::Utxo { fee, vsize }) => {
            let least = old.checked_add(vsize)?;
            let refuse = || {
                Err(format!(
                    "a fee of {least}, which is {old} and 1 for each vbyte"
                ))
            };
            Some(if fee >= least { Ok(()) } else { refuse() })
        }
        _ => Some(Err("a fee of the same kind".to_owned())),
    }
}

/// new ≥ ⌈1.1 × old⌉, as geth and others ask for both caps.
fn a_tenth_more(old: Amount, new: Amount) -> Option<bool> {
    let least = old.checked_mul(Amount::from(11_u64))?;
    // A new value whose tenfold does not fit is above any least that does.
    Some(
        new.checked_mul(Amount::from(10_u64))
            .is_none_or(|offered| offered >= least),
    )
}

/// The next new sequence is exactly one above the highest signed one, so that nothing is signed
/// beyond a hole that the coordinator could fill later, and not too far beyond the final one.
fn sequence(case: &Case<'_>, account: &Address, number: u64, findings: &mut Findings<'_>) {
    let mut refuse = |detail: String, remedy: String| {
        findings.refuse_built_in(ReasonCode::Sequence, detail, remedy);
    };
    let key = case.present.registry.key(account);
    let start = key.and_then(|key| {
        let which = (key.name.clone(), account.chain());
        case.policy.sequences.get(&which)
    });
    let Some(start) = start else {
        return refuse(
            format!("no start is declared for the sequence of {account}"),
            format!("declare the next and the final sequence of {account}"),
        );
    };
    let least = key.and_then(|key| case.state.least_sequence(&key.name, account.chain()));
    let first = start.next.max(least.unwrap_or(0));
    let signed = case.state.next_sequence(account).unwrap_or(0);
    let next = signed.max(first);
    if number > next {
        refuse(
            format!("sequence {number} of {account} leaves a gap after the next one, {next}"),
            format!("use sequence {next}"),
        );
    }
    if number < first {
        refuse(
            format!("sequence {number} of {account} is before its start at {first}"),
            format!("use sequence {next}"),
        );
    }
    let settings = case.policy.chains.get(&account.chain());
    let max_ahead = settings.map_or(0, |settings| settings.max_ahead);
    let attested = case.state.attested_final(account).unwrap_or(0);
    let finalized = start.finalized.max(attested);
    let end = finalized.saturating_add(max_ahead);
    if number >= end {
        refuse(
            format!("sequence {number} of {account} is {max_ahead} or more beyond the final one"),
            format!("wait until sequence {finalized} is known to be final"),
        );
    }
}
