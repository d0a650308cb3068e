//! Withdrawals and their transactions, as people read them.

use std::fmt;

use api::wallet::{Attempt, Deciding, Place, Waiting, Withdrawal};
use tx::Name;

use crate::client::{need_text, plain, reason_text};
use crate::sign::effect_text;

/// A withdrawal in one line.
pub fn line(withdrawal: &Withdrawal) -> String {
    let waits = withdrawal.waiting.as_ref().map(|waiting| {
        let reason = named(&waiting.reason);
        format!(" (waits: {reason})")
    });
    format!(
        "{}/{} {} {} of {} to {}{}",
        withdrawal.source,
        withdrawal.id,
        withdrawal.stage.name(),
        withdrawal.amount,
        withdrawal.asset,
        plain(&withdrawal.destination),
        waits.unwrap_or_default()
    )
}

/// A withdrawal with what is known of it.
pub fn withdrawal(f: &mut fmt::Formatter<'_>, it: &Withdrawal, remark: &str) -> fmt::Result {
    writeln!(f, "withdrawal {}/{}{remark}", it.source, it.id)?;
    writeln!(f, "  stage       {}", it.stage.name())?;
    let account = it.account.as_ref().map_or("not known", Name::as_str);
    writeln!(f, "  pays        {} of {}", it.amount, it.asset)?;
    writeln!(f, "  from        {account}, asked for by {}", it.client)?;
    writeln!(f, "  to          {}", plain(&it.destination))?;
    if let Some(tag) = &it.tag {
        writeln!(f, "  tag         {}", plain(tag))?;
    }
    writeln!(f, "  fee at most {}", it.max_fee)?;
    writeln!(f, "  expires     {}", it.expires)?;
    if let Some(lane) = &it.lane {
        writeln!(f, "  lane        {}", plain(lane))?;
    }
    for line in it.waiting.iter().flat_map(waiting) {
        writeln!(f, "  {line}")?;
    }
    writeln!(f, "  changed     {}", it.changed_at)
}

/// Why a withdrawal waits, with what the signer says, in lines.
pub fn waiting(waiting: &Waiting) -> Vec<String> {
    let reason = named(&waiting.reason);
    let mut lines = vec![format!("waits: {reason}: {}", plain(&waiting.detail))];
    let reasons = waiting.reasons.iter().map(reason_text);
    let needs = waiting.needs.iter().map(need_text);
    lines.extend(reasons.chain(needs).map(|text| format!("  {text}")));
    lines
}

/// What the signer decided, in lines.
pub fn decision(decision: &Deciding) -> Vec<String> {
    let effects = decision.effects.iter();
    let mut lines: Vec<_> = effects
        .map(|effect| format!("  understood  {}", effect_text(effect)))
        .collect();
    let allowed: Vec<_> = decision.allowed_by.iter().map(Name::as_str).collect();
    let entry = decision.entry;
    lines.push(format!(
        "  allowed by  {} (entry {entry})",
        allowed.join(", ")
    ));
    lines
}

/// Where a transaction is.
pub fn place(place: &Place) -> String {
    let deep = match place.confirmations {
        Some(1) => ", 1 confirmation".to_owned(),
        Some(deep) => format!(", {deep} confirmations"),
        None => String::new(),
    };
    format!("in block {}{deep}, fee {}", place.height, place.fee)
}

/// An attempt with what is known of it.
pub fn attempt(f: &mut fmt::Formatter<'_>, it: &Attempt) -> fmt::Result {
    let (purpose, stage) = (named(&it.purpose), named(&it.stage));
    writeln!(f, "{purpose} {} of {}: {stage}", it.number, plain(&it.lane))?;
    writeln!(f, "  consumes    {}", it.anchor)?;
    if let Some(fee) = it.max_fee {
        writeln!(f, "  fee at most {fee}")?;
    }
    if let Some(txid) = &it.txid {
        writeln!(f, "  transaction {}", plain(txid))?;
    }
    for line in it.decision.iter().flat_map(decision) {
        writeln!(f, "{line}")?;
    }
    if let Some(at) = &it.place {
        writeln!(f, "  {}", place(at))?;
    }
    if let Some(proof) = &it.proof {
        writeln!(f, "  never, by   {}", plain(&proof.kind))?;
    }
    Ok(())
}

/// The stable name of one of a few.
fn named(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    let name = value.as_ref().and_then(|value| value.as_str());
    name.unwrap_or_default().to_owned()
}
