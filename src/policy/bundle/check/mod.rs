//! What a bundle must bound before it may govern.

mod binding;
mod covers;
mod idle;
mod reference;
mod young;

use std::collections::BTreeSet;

use tx::{Asset, Chain, EffectKind, Name};

use self::covers::covers;
pub(crate) use self::covers::covers_as_written;
use super::{
    diagnostic::{Diagnostic, Place, Report},
    draft::Places,
    selector::chains,
};
use crate::{Allow, Group, Limit, Measure, Policy, Selector, Statement};

/// Reports every bound that is missing, and warns of statements that can never match, and of limits
/// that can never bind.
pub(super) fn check(policy: &Policy, places: &Places, report: &Report) {
    for allow in &policy.allows {
        unattended(policy, allow, report);
    }
    whole_assets(policy, report);
    fees(policy, places, report);
    idle::check(policy, report);
    binding::check(policy, report);
    young::check(policy, report);
    reference::check(policy, report);
}

/// An allow of outward effects that nobody attends is bounded by a window that neither new
/// destinations nor more clients can widen.
fn unattended(policy: &Policy, allow: &Statement<Allow>, report: &Report) {
    for kind in outward(allow) {
        for asset in allow.selector.assets.iter().flatten() {
            let part = part(&allow.selector, kind, asset);
            if policy
                .requires
                .iter()
                .any(|one| covers(&one.selector, &part, policy))
            {
                continue;
            }
            for measure in measures(kind) {
                let bounded = |limit: &&Statement<Limit>| {
                    limit.says.measure == *measure
                        && !limit.says.outstanding
                        && !limit.says.group.contains(&Group::Destination)
                        && !limit.says.group.contains(&Group::Client)
                        && covers(&limit.selector, &part, policy)
                };
                if !policy.limits.iter().any(|limit| bounded(&limit)) {
                    report.add(unbounded(policy, allow, (kind, asset), *measure));
                }
            }
        }
        if allow.selector.assets.is_none() {
            let message = format!(
                "allow {:?}: lets a {} leave in any asset, which no limit can bound",
                allow.name.as_str(),
                word(kind),
            );
            let hint = "name the assets: asset = [\"…\"]";
            report.add(Diagnostic::error(Place::from(&allow.at), message).hint(hint));
        }
    }
}

/// What bounds a kind of effect. A call may do what its amount does not show, and changes of
/// authority have no amount.
fn measures(kind: EffectKind) -> &'static [Measure] {
    match kind {
        EffectKind::Call => &[Measure::Amount, Measure::Count],
        EffectKind::Authority => &[Measure::Count],
        _ => &[Measure::Amount],
    }
}

fn unbounded(
    policy: &Policy,
    allow: &Statement<Allow>,
    (kind, asset): (EffectKind, &Asset),
    measure: Measure,
) -> Diagnostic {
    let (name, measure) = (
        unit(policy, asset),
        match measure {
            Measure::Amount => "amount",
            Measure::Count => "count",
            Measure::Reference => "value",
        },
    );
    let message = format!(
        "allow {:?}: nothing bounds the {measure} of {} {} that leaves without people",
        allow.name.as_str(),
        name,
        word(kind),
    );
    let hint = format!(
        "add a [[limit]] with measure = {measure:?} that selects at least all that this allow does \
         and is not grouped by destination or client, or a [[require]] that does{}",
        beside(policy),
    );
    Diagnostic::error(Place::from(&allow.at), message).hint(hint)
}

/// Of every asset, one limit bounds what leaves over all accounts, whoever asks or attends.
fn whole_assets(policy: &Policy, report: &Report) {
    let mut seen = BTreeSet::new();
    for allow in &policy.allows {
        for kind in outward(allow).filter(|kind| measures(*kind).contains(&Measure::Amount)) {
            for asset in allow.selector.assets.iter().flatten() {
                if seen.insert((kind, asset)) && !bounded_whole(policy, kind, asset) {
                    report.add(unbounded_whole(policy, allow, kind, asset));
                }
            }
        }
    }
}

fn bounded_whole(policy: &Policy, kind: EffectKind, asset: &Asset) -> bool {
    let all = part(&Selector::default(), kind, asset);
    policy.limits.iter().any(|limit| {
        limit.says.measure == Measure::Amount
            && limit.says.group.is_empty()
            && !limit.says.outstanding
            && covers(&limit.selector, &all, policy)
    })
}

fn unbounded_whole(
    policy: &Policy,
    allow: &Statement<Allow>,
    kind: EffectKind,
    asset: &Asset,
) -> Diagnostic {
    let (name, kind) = (unit(policy, asset), word(kind));
    let message = format!(
        "allow {:?}: no limit bounds {name} {kind} over all accounts together",
        allow.name.as_str(),
    );
    let hint = format!(
        "add a [[limit]] with measure = \"amount\", asset = {name:?}, effect = {kind:?}, window \
         and cap, and no other condition or group{}",
        beside(policy),
    );
    Diagnostic::error(Place::from(&allow.at), message).hint(hint)
}

/// Fees leave too: every chain on which they may be paid has a limit over all accounts. A
/// cancellation is allowed without a statement, so that on EVM chains a key is enough.
fn fees(policy: &Policy, places: &Places, report: &Report) {
    let mut seen = BTreeSet::new();
    for allow in policy
        .allows
        .iter()
        .filter(|allow| selects(allow, EffectKind::Fee))
    {
        let mut named = chains(&allow.selector);
        if named.is_empty() {
            named = policy.chains.keys().copied().collect();
        }
        for chain in named {
            if seen.insert(chain) && !bounded_whole(policy, EffectKind::Fee, &Asset::native(chain))
            {
                let at = Place::from(&allow.at);
                let about = format!("allow {:?}", allow.name.as_str());
                report.add(unbounded_fees(policy, at, &about, chain));
            }
        }
    }
    let keyed = policy
        .accounts
        .iter()
        .filter(|(_, account)| !account.keys.is_empty());
    for (name, account) in keyed {
        let evm = account
            .chains
            .iter()
            .filter(|chain| matches!(chain, Chain::Evm(_)));
        for chain in evm {
            let native = Asset::native(*chain);
            if seen.insert(*chain) && !bounded_whole(policy, EffectKind::Fee, &native) {
                let at = places.accounts.get(name).cloned();
                let at = at.unwrap_or_else(|| Place::file("accounts"));
                let about = format!("account {:?}", name.as_str());
                report.add(unbounded_fees(policy, at, &about, *chain));
            }
        }
    }
}

fn unbounded_fees(policy: &Policy, at: Place, about: &str, chain: Chain) -> Diagnostic {
    let native = unit(policy, &Asset::native(chain));
    let message = format!("{about}: no limit bounds the fees on {chain} over all accounts");
    let hint = format!(
        "add a [[limit]] with measure = \"amount\", asset = {native:?}, effect = \"fee\", window \
         and cap, and no other condition or group{}",
        beside(policy),
    );
    Diagnostic::error(at, message).hint(hint)
}

/// What whoever wrote a limit on what is outstanding may have overlooked.
fn beside(policy: &Policy) -> &'static str {
    match policy.limits.iter().any(|limit| limit.says.outstanding) {
        true => "; one with `outstanding` has room again as soon as what left is final",
        false => "",
    }
}

fn outward(allow: &Statement<Allow>) -> impl Iterator<Item = EffectKind> {
    let kinds = EffectKind::ALL.into_iter();
    kinds.filter(|kind| kind.is_outward() && selects(allow, *kind))
}

fn selects(allow: &Statement<Allow>, kind: EffectKind) -> bool {
    allow.selector.gives(kind)
}

/// The part of what is selected that is of one kind and asset.
fn part(selector: &Selector, kind: EffectKind, asset: &Asset) -> Selector {
    Selector {
        effects: Some(BTreeSet::from([kind])),
        assets: Some(BTreeSet::from([asset.clone()])),
        ..selector.clone()
    }
}

/// The name that amounts of the asset have, else the asset itself.
pub(super) fn unit(policy: &Policy, asset: &Asset) -> String {
    let mut assets = policy.assets.iter();
    let named = assets.find(|(_, unit)| unit.asset == *asset);
    named.map_or_else(
        || asset.to_string(),
        |(name, _): (&Name, _)| name.to_string(),
    )
}

fn word(kind: EffectKind) -> String {
    let word = serde_json::to_value(kind).ok();
    let word = word.as_ref().and_then(serde_json::Value::as_str);
    word.unwrap_or_default().to_owned()
}
