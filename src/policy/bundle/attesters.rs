//! Attesters, and what is taken of what they say: how many of them are needed, and how assets are valued.

use std::collections::BTreeMap;

use tx::{Amount, Name};

use super::{
    check::unit,
    draft::Draft,
    names::Taken,
    people::public_keys,
    table::{Table, Value},
    units,
};
use crate::{
    AttestationKind, AttestedNeed, Attester, Policy, Price, PriceRule, REFERENCE_DECIMALS,
    Selector, statement::PublicKeyLine,
};

/// The most attesters: what each said last of each asset stays in memory.
const ATTESTERS_MAX: usize = 64;

/// Reads `[[attester]]`.
pub(super) fn attesters(tables: Vec<Table<'_>>, draft: &mut Draft) {
    if let Some(table) = tables.get(ATTESTERS_MAX) {
        return table.error(format!("there can be {ATTESTERS_MAX} at the most"));
    }
    let (mut taken, mut owners) = (Taken::default(), BTreeMap::new());
    for mut table in tables {
        let name = table.new_name(&mut taken);
        let keys = table.required("keys").map(|keys| public_keys(&keys));
        let says = table.required("says").map(|says| says.each(Value::word));
        if let Some(name) = name {
            let keys = keys.unwrap_or_default();
            for key in &keys {
                let owner = owners.insert(key.key().to_owned(), name.clone());
                // One key for two attesters would let one of them be counted as two.
                if let Some(owner) = owner.filter(|owner| *owner != name) {
                    table.error(format!("has a key of {:?}", owner.as_str()));
                }
            }
            let attester = Attester {
                keys: keys.into_iter().map(PublicKeyLine::into_string).collect(),
                says: says.unwrap_or_default(),
            };
            let attesters = &mut draft.policy.attestations.attesters;
            attesters.insert(name, attester);
        }
        table.finish();
    }
}

/// Reads `[attested]` and `[[price]]`.
pub(super) fn prices(attested: Option<Table<'_>>, prices: Vec<Table<'_>>, draft: &mut Draft) {
    let policy = &mut draft.policy;
    for kind in AttestationKind::ALL {
        let there_are = count(policy, kind);
        if there_are > 0 {
            let majority = there_are.checked_div(2).unwrap_or(0).saturating_add(1);
            policy.attestations.needed.insert(kind, majority);
        }
    }
    if let Some(mut table) = attested {
        if let Some(currency) = table.optional("currency") {
            policy.attestations.currency = self::currency(&currency, policy);
        }
        for kind in AttestationKind::ALL {
            if let Some(value) = table.optional(kind.as_str()) {
                needed(&value, kind, policy);
            }
        }
        table.finish();
    }
    for table in prices {
        price(table, policy);
    }
}

fn count(policy: &Policy, kind: AttestationKind) -> u32 {
    let attesters = policy.attestations.attesters.values();
    let says = attesters.filter(|attester| attester.says.contains(&kind));
    u32::try_from(says.count()).unwrap_or(u32::MAX)
}

/// How many attesters a kind needs.
fn needed(value: &Value<'_>, kind: AttestationKind, policy: &mut Policy) {
    let there_are = count(policy, kind);
    let Some(wanted) = value.number::<u32>() else {
        return;
    };
    if wanted == 0 {
        value.error("must be at least 1: 0 attesters say everything");
    } else if wanted > there_are {
        value.error(format!(
            "is above the number of attesters who say that, {there_are}"
        ));
    } else if wanted.saturating_mul(2) <= there_are {
        value.warn(format!(
            "is no more than half of the {there_are} attesters who say that: two parts of them can say \
             different things, and either is taken"
        ));
    }
    policy.attestations.needed.insert(kind, wanted);
}

fn currency(value: &Value<'_>, policy: &Policy) -> Option<Name> {
    let currency: Name = value.parsed()?;
    if policy.assets.contains_key(&currency) {
        value.error("is the name of an asset: amounts of it could be taken for values");
    }
    Some(currency)
}

/// Reads `{ attested = "head", within = "10m" }`.
pub(super) fn need(value: &Value<'_>, policy: &Policy) -> Option<AttestedNeed> {
    let mut table = value.table()?;
    let attested = table.required("attested");
    let within = table.required("within");
    table.finish();
    let attested = attested?;
    let kind: AttestationKind = attested.word()?;
    if !AttestationKind::WITHIN.contains(&kind) {
        attested.error_hint(
            format!("no requirement can ask for {:?}", kind.as_str()),
            "ask for \"head\", \"reconciled\" or \"time\"",
        );
        return None;
    }
    if count(policy, kind) == 0 {
        attested.error_hint(
            "nobody attests that, so that nothing would meet it",
            format!("add an [[attester]] with says = {:?}", kind.as_str()),
        );
    }
    Some(AttestedNeed {
        attested: kind,
        within_millis: within?.map(units::window)?,
    })
}

/// Whether a limit is on what is outstanding, which somebody has to settle.
pub(super) fn outstanding(value: &Value<'_>, policy: &Policy) -> bool {
    let asks = value.truth().unwrap_or_default();
    if asks && count(policy, AttestationKind::Final) == 0 {
        value.error_hint(
            "nobody attests what is final, so that whatever was signed would be outstanding",
            "add an [[attester]] with says = [\"final\", \"dead\"]",
        );
    }
    asks
}

/// Reads one `[[price]]`.
fn price(mut table: Table<'_>, policy: &mut Policy) {
    let asset = table.required("asset");
    let asset = asset.and_then(|value| {
        let name = value.known("asset", policy.assets.keys())?;
        let unit = policy.assets.get(&name)?;
        if unit.decimals > PriceRule::DECIMALS_MAX {
            let most = PriceRule::DECIMALS_MAX;
            value.error(format!("has more than {most} decimal places"));
        }
        Some((unit.asset.clone(), unit.decimals))
    });
    let floor = table.required("floor");
    let floor = floor.and_then(|value| in_currency(&value, policy, str::parse::<Price>));
    let haircut = table.required("haircut");
    let haircut_bp = haircut.and_then(|value| value.map(haircut_bp));
    let max_age = table.required("max_age");
    let max_age_millis = max_age.and_then(|value| value.map(units::window));
    if count(policy, AttestationKind::Price) == 0 {
        table.error_hint(
            "nobody attests prices",
            "add an [[attester]] with says = \"price\"",
        );
    }
    if let (Some((asset, decimals)), Some(floor), Some(haircut_bp), Some(max_age_millis)) =
        (asset, floor, haircut_bp, max_age_millis)
    {
        let rule = PriceRule {
            decimals,
            haircut_bp,
            floor,
            max_age_millis,
        };
        let prices = &mut policy.attestations.prices;
        if prices.insert(asset.clone(), rule).is_some() {
            table.error(format!("{asset} is priced twice"));
        }
    }
    table.finish();
}

/// A number in the reference currency, such as `1500 usd`.
fn in_currency<T, E: std::fmt::Display>(
    value: &Value<'_>,
    policy: &Policy,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let (number, unit) = value.map(|text| units::quantity(text, "usd"))?;
    match &policy.attestations.currency {
        Some(currency) if currency.as_str() == unit => value.map(|_| read(number)),
        Some(currency) => {
            value.error(format!("is not in {currency}, the currency of [attested]"));
            None
        }
        None => {
            value.error_hint(
                "there is no currency that assets are valued in",
                format!("add [attested] with currency = {unit:?}"),
            );
            None
        }
    }
}

/// A haircut such as `10%` or `2.5%`, in hundredths of a percent.
fn haircut_bp(text: &str) -> Result<u32, String> {
    let refuse = || format!("{text:?} is no haircut from 0% to 1000%, such as \"10%\" or \"2.5%\"");
    let number = text.strip_suffix('%').ok_or_else(refuse)?;
    let number = units::decimal(number, 2).map_err(|_| refuse())?;
    let haircut = number
        .to_u64()
        .and_then(|number| u32::try_from(number).ok());
    haircut
        .filter(|haircut| *haircut <= PriceRule::HAIRCUT_BP_MAX)
        .ok_or_else(refuse)
}

/// A value in the reference currency, in its smallest part.
pub(super) fn value(value: &Value<'_>, policy: &Policy) -> Option<Amount> {
    in_currency(value, policy, |number| {
        units::decimal(number, REFERENCE_DECIMALS)
    })
}

/// Reports a statement about values that selects something without a price.
pub(super) fn priced(table: &Table<'_>, selector: &Selector, policy: &Policy) {
    let Some(assets) = &selector.assets else {
        table.error_hint(
            "measures values and names no asset, so that it could select some that have no price",
            "name the assets: asset = [\"…\"]",
        );
        return;
    };
    let prices = &policy.attestations.prices;
    for asset in assets.iter().filter(|asset| !prices.contains_key(asset)) {
        let name = unit(policy, asset);
        table.error_hint(
            format!("measures values of {name}, which has no price"),
            format!("add [[price]] with asset = {name:?}"),
        );
    }
}
