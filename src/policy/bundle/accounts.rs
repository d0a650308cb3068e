//! Chains, assets, accounts, sequences and edges: what is ours.

use std::collections::{BTreeMap, BTreeSet};

use tx::{AccountClass, Address, Asset, AssetKind, Chain, Name};

use super::{
    diagnostic::{Diagnostic, Place, Report},
    draft::Draft,
    names::Taken,
    table::{Table, Value},
};
use crate::{Account, AssetUnit, ChainSettings, Policy, SequenceStart};

/// 2^256 has 78 digits: with more decimal places no amount of one unit would fit.
const DECIMALS_MAX: u8 = 77;

/// Reads `[[chain]]`.
pub(super) fn chains(tables: Vec<Table<'_>>, draft: &mut Draft) {
    for mut table in tables {
        let chain: Option<Chain> = table.required("chain").and_then(|chain| chain.parsed());
        let locktime = table.optional("locktime_height_max");
        let ahead = table.optional("max_ahead");
        if let Some(chain) = chain {
            let settings = match chain {
                Chain::Evm(_) => ChainSettings {
                    locktime_height_max: none(
                        locktime.as_ref(),
                        "transactions of EVM chains have no lock time",
                    ),
                    max_ahead: max_ahead(&table, ahead.as_ref()),
                },
                _ => ChainSettings {
                    locktime_height_max: locktime.and_then(|height| height.number()).unwrap_or(0),
                    max_ahead: none(ahead.as_ref(), "accounts of this chain have no sequence"),
                },
            };
            if draft.policy.chains.insert(chain, settings).is_some() {
                table.error(format!("{chain} is described twice"));
            }
        }
        table.finish();
    }
}

/// A setting that has no meaning here and must not be there, lest someone relies on it.
fn none<T: Default>(value: Option<&Value<'_>>, why: &str) -> T {
    if let Some(value) = value {
        value.error(why);
    }
    T::default()
}

fn max_ahead(table: &Table<'_>, value: Option<&Value<'_>>) -> u64 {
    let Some(value) = value else {
        table.error("max_ahead is missing: how many nonces may be signed beyond the final one");
        return 0;
    };
    let ahead = value.number();
    if ahead == Some(0) {
        value.error("must be at least 1: with 0 nothing can be signed");
    }
    ahead.unwrap_or(0)
}

/// Reads `[[asset]]`.
pub(super) fn assets(tables: Vec<Table<'_>>, draft: &mut Draft) {
    let mut taken = Taken::default();
    for mut table in tables {
        let name = table.new_name(&mut taken);
        let text = table.required("asset");
        let decimals = table.required("decimals");
        let asset: Option<Asset> = text.as_ref().and_then(Value::parsed);
        let places: Option<u8> = decimals.as_ref().and_then(Value::number);
        if let (Some(value), Some(asset)) = (&text, &asset) {
            described(value, asset.chain, &draft.policy);
            let mut others = draft.policy.assets.iter();
            if let Some((other, _)) = others.find(|(_, unit)| unit.asset == *asset) {
                value.error(format!("is {:?} already", other.as_str()));
            }
        }
        if let (Some(value), Some(asset), Some(places)) = (&decimals, &asset, places) {
            check_decimals(value, asset, places);
        }
        if let (Some(name), Some(asset), Some(decimals)) = (name, asset, places) {
            if let AssetKind::Erc20(token) = &asset.kind {
                draft.policy.functions.declare_token(token.clone());
            }
            let unit = AssetUnit { asset, decimals };
            draft.policy.assets.insert(name, unit);
        }
        table.finish();
    }
}

/// A wrong number of places moves every limit by powers of ten: where it is known, it is checked.
fn check_decimals(value: &Value<'_>, asset: &Asset, places: u8) {
    let known = match (&asset.kind, asset.chain) {
        (AssetKind::Native, Chain::Evm(_)) => 18,
        (AssetKind::Native, _) => 8,
        _ if places > DECIMALS_MAX => return value.error(format!("is above {DECIMALS_MAX}")),
        _ => return,
    };
    if places != known {
        value.error(format!("{asset} has {known} decimal places"));
    }
}

fn described(value: &Value<'_>, chain: Chain, policy: &Policy) {
    if !policy.chains.contains_key(&chain) {
        let message = format!("no [[chain]] describes {chain}");
        value.error_hint(message, format!("add [[chain]] with chain = \"{chain}\""));
    }
}

/// Reads `[[account]]`.
pub(super) fn accounts(tables: Vec<Table<'_>>, draft: &mut Draft) {
    let (mut taken, mut owners) = (Taken::default(), BTreeMap::new());
    for mut table in tables {
        let name = table.new_name(&mut taken);
        let class = table.required("class").and_then(|class| class.word());
        let chains = table.required("chains");
        let chains = chains.map(|chains| chains.each(|one| account_chain(one, &draft.policy)));
        let keys = table.optional("keys");
        let keys = keys.map(|keys| keys.each(|key| key_of(key, name.as_ref(), draft)));
        let addresses = table.optional("addresses").map(|addresses| {
            addresses.each(|one| own_address(one, chains.as_ref(), name.as_ref(), &mut owners))
        });
        if keys.is_none() && addresses.is_none() {
            table.error("needs keys that sign for it, or addresses that are signed for elsewhere");
        }
        // Also where a part was wrong and reported: what names the account is not wrong for it.
        if let Some(name) = name {
            let account = Account {
                class: class.unwrap_or(AccountClass::Retired),
                chains: chains.unwrap_or_default(),
                keys: keys.unwrap_or_default(),
                addresses: addresses.unwrap_or_default(),
            };
            draft.places.accounts.insert(name.clone(), table.place());
            draft.policy.accounts.insert(name, account);
        }
        table.finish();
    }
}

fn account_chain(value: &Value<'_>, policy: &Policy) -> Option<Chain> {
    let chain = value.parsed()?;
    described(value, chain, policy);
    Some(chain)
}

fn key_of(value: &Value<'_>, account: Option<&Name>, draft: &mut Draft) -> Option<Name> {
    let (key, account): (Name, _) = (value.parsed()?, account?.clone());
    let owner = draft
        .key_accounts
        .entry(key.clone())
        .or_insert(account.clone());
    if *owner != account {
        value.error(format!("is a key of account {:?}", owner.as_str()));
        return None;
    }
    Some(key)
}

fn own_address(
    value: &Value<'_>,
    chains: Option<&BTreeSet<Chain>>,
    account: Option<&Name>,
    owners: &mut BTreeMap<Address, Name>,
) -> Option<Address> {
    let (address, account) = (value.map(Address::parse_qualified)?, account?.clone());
    if chains.is_some_and(|chains| !chains.contains(&address.chain())) {
        value.error(format!(
            "{} is none of the account's chains",
            address.chain()
        ));
    }
    let owner = owners.entry(address.clone()).or_insert(account.clone());
    if *owner != account {
        value.error(format!("is an address of account {:?}", owner.as_str()));
        return None;
    }
    Some(address)
}

/// Reads `[[sequence]]`, and misses those that are not there.
pub(super) fn sequences(tables: Vec<Table<'_>>, draft: &mut Draft, report: &Report) {
    for mut table in tables {
        let key = table.required("key");
        let chain = table.required("chain");
        let next = table.required("next").and_then(|next| next.number());
        let finalized = table.required("finalized");
        let start = finalized.and_then(|value| {
            let (next, finalized): (u64, u64) = (next?, value.number()?);
            if finalized > next {
                value.error("is above next: what was never signed cannot be final");
            }
            Some(SequenceStart { next, finalized })
        });
        if let (Some(key), Some(chain), Some(start)) = (key, chain, start)
            && let Some(lane) = lane(&key, &chain, draft)
            && draft.policy.sequences.insert(lane, start).is_some()
        {
            table.error("the key has a start on this chain already");
        }
        table.finish();
    }
    missing_sequences(draft, report);
}

fn lane(key: &Value<'_>, chain: &Value<'_>, draft: &Draft) -> Option<(Name, Chain)> {
    let name = key.known("key", draft.key_accounts.keys())?;
    let on: Chain = chain.parsed()?;
    let account = draft.key_accounts.get(&name)?;
    let account = draft.policy.accounts.get(account)?;
    if !account.chains.contains(&on) {
        chain.error(format!(
            "the account of {:?} is not used on {on}",
            name.as_str()
        ));
    } else if !matches!(on, Chain::Evm(_)) {
        chain.error("accounts of this chain have no sequence");
    }
    Some((name, on))
}

fn missing_sequences(draft: &Draft, report: &Report) {
    for (name, account) in &draft.policy.accounts {
        let chains = account.chains.iter();
        for chain in chains.filter(|chain| matches!(chain, Chain::Evm(_))) {
            let started = |key: &&Name| {
                let lane = ((*key).clone(), *chain);
                draft.policy.sequences.contains_key(&lane)
            };
            for key in account.keys.iter().filter(|key| !started(key)) {
                let place = draft.places.accounts.get(name).cloned();
                let place = place.unwrap_or_else(|| Place::file("accounts"));
                let message = format!(
                    "account {:?}: no [[sequence]] says where key {:?} starts on {chain}",
                    name.as_str(),
                    key.as_str(),
                );
                let hint = format!(
                    "for a new key: [[sequence]] with key = {:?}, chain = \"{chain}\", next = 0, \
                     finalized = 0",
                    key.as_str(),
                );
                report.add(Diagnostic::error(place, message).hint(hint));
            }
        }
    }
}

/// Reads `[[edge]]`.
pub(super) fn edges(tables: Vec<Table<'_>>, draft: &mut Draft) {
    for mut table in tables {
        let from = table.required("from").and_then(|from| from.word());
        let to = table.required("to").map(|to| to.each(target));
        if let (Some(from), Some(to)) = (from, to) {
            for to in to {
                if !draft.policy.edges.insert((from, to)) {
                    table.error("this edge is listed twice");
                }
            }
        }
        table.finish();
    }
}

fn target(value: &Value<'_>) -> Option<AccountClass> {
    let class = value.word()?;
    if class == AccountClass::Retired {
        value.error("retired accounts are never paid to");
    }
    Some(class)
}
