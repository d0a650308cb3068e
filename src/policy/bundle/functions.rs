//! `[[function]]`: what may be called, and what a statement asks of it and its arguments.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tx::{
    Address, Chain, EffectKind,
    evm::{Function, Signature, Type, Value as Argument},
};

use super::{
    draft::Draft,
    names::Taken,
    selector::to,
    table::{Table, Value, suggestion},
    units,
};
use crate::{ArgumentCondition, ArgumentConditions, FunctionId, Integer, Policy, Selector, To};

/// What a statement says of functions.
type Functions = BTreeMap<FunctionId, ArgumentConditions>;

/// Reads `[[function]]`, after the accounts.
pub(super) fn functions(tables: Vec<Table<'_>>, draft: &mut Draft) {
    let mut taken = Taken::default();
    for mut table in tables {
        let name = table.new_name(&mut taken);
        let contracts = table
            .required("contract")
            .map(|value| value.each(|one| contract(one, &draft.policy)));
        let signature = table.required("signature");
        let parsed = signature
            .as_ref()
            .and_then(|signature| signature.map(Signature::parse));
        if let (Some(name), Some(written), Some(signature)) = (name, signature, parsed) {
            let function = Arc::new(Function { name, signature });
            for contract in contracts.unwrap_or_default() {
                let declared = draft
                    .policy
                    .functions
                    .declare(contract, Arc::clone(&function));
                if let Err(error) = declared {
                    written.error(error);
                    break;
                }
            }
        }
        table.finish();
    }
}

fn contract(value: &Value<'_>, policy: &Policy) -> Option<Address> {
    let contract = value.map(Address::parse_qualified)?;
    let chain = contract.chain();
    let accounts = policy.accounts.iter();
    let mut owners = accounts.filter(|(_, account)| account.addresses.contains(&contract));
    if !matches!(chain, Chain::Evm(_)) {
        value.error(format!("{chain} has no contracts"));
    } else if !policy.chains.contains_key(&chain) {
        value.error(format!("no [[chain]] describes {chain}"));
    } else if contract.as_bytes().iter().all(|byte| *byte == 0) {
        value.error("nothing is at the zero address");
    } else if let Some((name, _)) = owners.next() {
        value.error(format!(
            "it is an address of the own account {:?}; nothing own is called",
            name.as_str()
        ));
    } else {
        return Some(contract);
    }
    None
}

/// Reads `function` and `args` of a statement, whose effects were read.
pub(super) fn conditions(
    table: &mut Table<'_>,
    policy: &Policy,
    selector: &Selector,
) -> Option<Functions> {
    let named = table.optional("function");
    let args = table.optional("args");
    let Some(named) = named else {
        if let Some(args) = args {
            args.error_hint("no function is selected", "add function = \"...\"");
        }
        return None;
    };
    if selector.effects != Some(BTreeSet::from([EffectKind::Call])) {
        named.error_hint(
            "binds calls alone",
            "select effect = \"call\" and nothing else",
        );
    }
    let declared: BTreeSet<_> = policy.functions.iter().map(|(_, one)| &one.name).collect();
    let names = named.each(|one| one.known("function", declared.iter().copied()));
    let of_name = names.iter().flat_map(|name| policy.functions.named(name));
    let functions: Vec<(&Address, &Arc<Function>)> = of_name.collect();
    let conditions = match args {
        Some(args) => arguments(&args, &functions, policy),
        None => vec![ArgumentConditions::new(); functions.len()],
    };
    let ids = functions
        .into_iter()
        .map(|(contract, function)| FunctionId {
            contract: contract.clone(),
            signature: function.signature.canonical(),
        });
    Some(ids.zip(conditions).collect())
}

/// For each function what is said of its arguments.
fn arguments(
    args: &Value<'_>,
    functions: &[(&Address, &Arc<Function>)],
    policy: &Policy,
) -> Vec<ArgumentConditions> {
    let mut all = vec![ArgumentConditions::new(); functions.len()];
    let Some(table) = args.table() else {
        return all;
    };
    let entries = table.entries();
    if entries.is_empty() && !functions.is_empty() {
        args.error("names no argument; leave it out");
    }
    for (name, value) in entries {
        let mut types = BTreeSet::new();
        for ((contract, function), conditions) in functions.iter().zip(&mut all) {
            let leaves = function.signature.leaves();
            let place = leaves.iter().position(|(leaf, _)| leaf == name);
            let Some((place, (_, of))) = place.zip(place.and_then(|place| leaves.get(place)))
            else {
                let near = suggestion(name, leaves.iter().map(|(leaf, _)| leaf.as_str()));
                value.error_hint(
                    format!(
                        "function {:?} has no argument of this name",
                        function.name.as_str()
                    ),
                    format!("{near}; a field of a tuple is written \"tuple.field\""),
                );
                break;
            };
            types.insert((*of).clone());
            if types.len() > 1 {
                value.error("it is of different types in the functions that are selected");
                break;
            }
            let Some(condition) = condition(&value, of, (contract.chain(), policy)) else {
                break;
            };
            conditions.insert(place, condition);
        }
    }
    all
}

fn condition(
    value: &Value<'_>,
    of: &Type,
    (chain, policy): (Chain, &Policy),
) -> Option<ArgumentCondition> {
    match of {
        Type::Address => {
            let named = value.each(|one| destination(one, chain, policy));
            Some(ArgumentCondition::To(named))
        }
        Type::Uint(_) | Type::Int(_) if value.is_table() => within(value, of, policy),
        Type::Uint(_) | Type::Int(_) => {
            let texts = value.each(|one| integer(one, of, policy).map(|one| one.to_string()));
            Some(ArgumentCondition::Among(texts))
        }
        Type::Bool | Type::FixedBytes(_) | Type::Bytes | Type::String => {
            let text = |one: &Value<'_>| one.map(|text| Argument::plain(of, text));
            let texts = value.each(|one| text(one).map(|value| value.to_string()));
            Some(ArgumentCondition::Among(texts))
        }
        _ => {
            value.error_hint(
                format!("is of the type {of}, of which no condition can be"),
                "ask for people, or declare what has no such argument",
            );
            None
        }
    }
}

fn destination(value: &Value<'_>, chain: Chain, policy: &Policy) -> Option<To> {
    let to = to(value, policy)?;
    if let To::Address(address) = &to
        && address.chain() != chain
    {
        value.error(format!("the contract is on {chain}"));
        return None;
    }
    Some(to)
}

fn within(value: &Value<'_>, of: &Type, policy: &Policy) -> Option<ArgumentCondition> {
    let mut table = value.table()?;
    let mut bound = |key| table.optional(key).map(|one| integer(&one, of, policy));
    let (over, max) = (bound("over"), bound("max"));
    if over.is_none() && max.is_none() {
        table.error("needs one of max and over");
    }
    table.finish();
    let (over, max) = (over.flatten(), max.flatten());
    Some(ArgumentCondition::Within { over, max })
}

/// A plain integer of the type, or an amount of a declared asset in its base units.
fn integer(value: &Value<'_>, of: &Type, policy: &Policy) -> Option<Integer> {
    let text = value.text()?;
    let digits = match text.contains(' ') {
        true => {
            let (number, unit) = value.map(|text| units::quantity(text, "eth"))?;
            let name = value.named("asset", unit, policy.assets.keys())?;
            let unit = policy.assets.get(&name)?;
            let amount = value.map(|_| units::decimal(number, unit.decimals))?;
            amount.to_string()
        }
        false => text.to_owned(),
    };
    value.map(|_| Argument::parse(of, &digits))?;
    value.map(|_| digits.parse())
}
