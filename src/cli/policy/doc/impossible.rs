//! What is never possible under a bundle, as far as its statements show by themselves.

use policy::{Allow, Policy, Statement, Verb};
use tx::{Asset, EffectKind, Name};

use super::sentences::noun;
use super::{Section, code, listed};

/// What no request can bring about. More follows from the statements together, which `policy prove` says.
pub fn section(policy: &Policy) -> Section {
    let mut lines = Vec::new();
    let unallowed = EffectKind::ALL.into_iter().filter(|kind| {
        let needs_allow = !matches!(kind, EffectKind::Change | EffectKind::Cancellation);
        needs_allow && !policy.allows.iter().any(|allow| selects(allow, *kind))
    });
    lines.extend(unallowed.map(|kind| format!("Never {}.", noun(kind))));
    let units = policy.assets.iter();
    let units =
        units.filter(|(_, unit)| !policy.allows.iter().any(|one| lets_out(one, &unit.asset)));
    lines.extend(units.map(|(name, _)| format!("{} never leaves.", code(name.as_str()))));
    for (name, account) in &policy.accounts {
        let name_shown = code(name.as_str());
        if account.keys.is_empty() {
            lines.push(format!("Nothing is signed for {name_shown} here."));
        } else if !policy
            .allows
            .iter()
            .any(|allow| pays_from(policy, allow, name))
        {
            lines.push(format!("Nothing leaves {name_shown} but to own accounts."));
        }
    }
    let asking = policy.clients.iter();
    let idle = asking.filter(|(_, client)| !client.verbs.contains(&Verb::Sign));
    let idle: Vec<String> = idle.map(|(name, _)| code(name.as_str())).collect();
    if !idle.is_empty() {
        lines.push(format!(
            "Nothing is ever signed for {}.",
            listed(idle, "or")
        ));
    }
    lines.push("Nothing is ever paid to a retired account.".to_owned());
    lines.push("No payment is signed that no intent says, and no intent is paid twice unless a statement here allows that.".to_owned());
    Section::listing(
        "What is never possible",
        "As far as single statements show; `strongroom policy prove` says what follows from all together.",
        lines,
    )
}

fn selects(allow: &Statement<Allow>, kind: EffectKind) -> bool {
    allow.selector.gives(kind)
}

/// Whether something outward is allowed.
fn is_outward(allow: &Statement<Allow>) -> bool {
    let kinds = EffectKind::ALL.into_iter();
    let mut outward = kinds.filter(|kind| kind.is_outward());
    outward.any(|kind| selects(allow, kind))
}

fn lets_out(allow: &Statement<Allow>, asset: &Asset) -> bool {
    let assets = allow.selector.assets.as_ref();
    is_outward(allow) && assets.is_none_or(|assets| assets.contains(asset))
}

fn pays_from(policy: &Policy, allow: &Statement<Allow>, name: &Name) -> bool {
    let class = policy.accounts.get(name).map(|account| account.class);
    let (accounts, classes) = (&allow.selector.accounts, &allow.selector.classes);
    is_outward(allow)
        && accounts
            .as_ref()
            .is_none_or(|accounts| accounts.contains(name))
        && classes
            .as_ref()
            .is_none_or(|classes| class.is_some_and(|class| classes.contains(&class)))
}
