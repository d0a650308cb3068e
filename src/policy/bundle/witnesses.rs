//! Witnesses: whose cosignatures a checkpoint needs before what it covers is released.

use std::collections::BTreeSet;

use tlog::{
    cosignature::{Quorum, WitnessKey},
    note::KeyError,
};

use super::{
    auditor::AuditorKey,
    draft::Draft,
    table::{Table, Value},
};

/// The most witnesses: a checkpoint that all of them cosigned is still a short note.
const WITNESSES_MAX: usize = 16;
/// The most auditors.
const AUDITORS_MAX: usize = 16;

/// Reads `[witnesses]`.
pub(super) fn witnesses(mut table: Table<'_>, draft: &mut Draft) {
    let needed = table.optional("needed");
    if let Some(keys) = table.optional("auditors") {
        draft.policy.auditors = auditors(&keys);
    }
    if let Some(keys) = table.required("keys") {
        draft.policy.witnesses = quorum(&keys, needed.as_ref());
    }
    table.finish();
}

/// To whom bodies are encrypted: each of them lengthens everything that is kept.
fn auditors(keys: &Value<'_>) -> BTreeSet<AuditorKey> {
    let auditors = keys.each(Value::parsed);
    if auditors.len() > AUDITORS_MAX {
        keys.error(format!("there can be {AUDITORS_MAX} at the most"));
    }
    auditors
}

/// More than half of the witnesses, or as many as are said: two sets of fewer need not share one, and
/// then two histories could both be witnessed.
fn quorum(keys: &Value<'_>, needed: Option<&Value<'_>>) -> Option<Quorum> {
    let texts: BTreeSet<&str> = keys.each(|key| key.map(vkey));
    let witnesses: Vec<WitnessKey> = texts.iter().filter_map(|key| key.parse().ok()).collect();
    let there_are = witnesses.len();
    if there_are == 0 {
        return None;
    }
    if there_are > WITNESSES_MAX {
        keys.error(format!("there can be {WITNESSES_MAX} at the most"));
        return None;
    }
    let majority = Quorum::majority(witnesses.clone())
        .map_err(|error| keys.error(error))
        .ok()?;
    let Some(needed) = needed else {
        return Some(majority);
    };
    let number: usize = needed.number()?;
    if number < majority.needed() {
        needed.error(format!(
            "{number} of {there_are} is no majority: two checkpoints that contradict each other could both have that many"
        ));
        return None;
    }
    let quorum = Quorum::new(witnesses, number);
    quorum.map_err(|error| needed.error(error)).ok()
}

/// A witness's key, which has one spelling.
fn vkey(text: &str) -> Result<&str, KeyError> {
    text.parse::<WitnessKey>().map(|_| text)
}
