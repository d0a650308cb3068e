//! Calls that are made up: of each function that either bundle declares, by arguments at the edges of what
//! statements of either say.

use std::collections::{BTreeMap, BTreeSet};

use policy::{ArgumentCondition, FunctionId, Policy, To};
use tx::evm::{Function, Type, Value};
use tx::{Address, Name};

use super::super::offline;
use super::probes::selectors;

/// A call of a contract.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    pub function: Name,
    pub contract: Address,
    pub args: BTreeMap<String, String>,
}

/// All that are made of two bundles; first those by which every condition of a statement is met.
pub fn of(policies: [&Policy; 2]) -> BTreeSet<Call> {
    let mut found = BTreeSet::new();
    for policy in policies {
        for (contract, function) in policy.functions.iter() {
            let making = Making {
                policies,
                contract,
                function,
            };
            found.extend(making.all().into_iter().map(|args| Call {
                function: function.name.clone(),
                contract: contract.clone(),
                args,
            }));
        }
    }
    found
}

struct Making<'a> {
    policies: [&'a Policy; 2],
    contract: &'a Address,
    function: &'a Function,
}

impl Making<'_> {
    fn all(&self) -> BTreeSet<BTreeMap<String, String>> {
        let leaves = self.function.signature.leaves();
        let id = FunctionId {
            contract: self.contract.clone(),
            signature: self.function.signature.canonical(),
        };
        let plain: BTreeMap<String, String> = leaves
            .iter()
            .map(|(name, of)| (name.clone(), self.usual(of, true)))
            .collect();
        let mut bases = BTreeSet::from([plain.clone()]);
        let mut named: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        let all = self.policies.into_iter().flat_map(selectors);
        let asked = all.filter_map(|selector| selector.functions.as_ref()?.get(&id));
        for conditions in asked {
            let mut base = plain.clone();
            for (place, condition) in conditions {
                let Some((name, of)) = leaves.get(*place) else {
                    continue;
                };
                let texts = self.texts(condition, of);
                base.extend(texts.first().map(|text| (name.clone(), text.clone())));
                named.entry(*place).or_default().extend(texts);
            }
            bases.insert(base);
        }
        let mut found = bases.clone();
        for base in &bases {
            for (place, (name, of)) in leaves.iter().enumerate() {
                let others = named.get(&place).cloned().unwrap_or_default();
                for text in others.into_iter().chain([self.usual(of, true)]) {
                    let mut changed = base.clone();
                    changed.insert(name.clone(), text);
                    found.insert(changed);
                }
            }
        }
        found
    }

    /// Texts at the edges of a condition, one that meets it first.
    fn texts(&self, condition: &ArgumentCondition, of: &Type) -> Vec<String> {
        match condition {
            ArgumentCondition::Among(texts) => {
                let plain = |text: &String| match Value::parse(of, text) {
                    Ok(Value::String(text)) => text,
                    _ => text.clone(),
                };
                texts.iter().map(plain).collect()
            }
            ArgumentCondition::Within { over, max } => {
                let above = over.map(|over| over.above());
                let beyond = max.map(|max| max.above());
                let edges = [*max, above, *over, beyond];
                let edges = edges.into_iter().flatten();
                edges.map(|edge| edge.to_string()).collect()
            }
            ArgumentCondition::To(to) => to.iter().flat_map(|to| self.destinations(to)).collect(),
        }
    }

    fn destinations(&self, to: &To) -> Vec<String> {
        let mut found = Vec::new();
        for policy in self.policies {
            let accounts = policy.accounts.iter();
            match to {
                To::Address(address) => found.push(address.to_string()),
                To::OwnAccount(account) => found.push(format!("own-account:{account}")),
                To::OwnClass(class) => {
                    let of_class = accounts.filter(|(_, account)| account.class == *class);
                    found.extend(of_class.map(|(name, _)| format!("own-account:{name}")));
                }
                To::Book(book) => {
                    let addresses = policy.books.get(book).map(|book| &book.addresses);
                    let mut of_chain = addresses.into_iter().flatten();
                    let one = of_chain.find(|one| one.chain() == self.contract.chain());
                    found.extend(one.map(Address::to_string));
                }
            }
        }
        found
    }

    /// A value that nothing names; a text stands in quotes where it is in a list.
    fn usual(&self, of: &Type, is_alone: bool) -> String {
        let inner = |of: &Type| self.usual(of, false);
        match of {
            Type::Address => {
                let stranger = offline::made_up_address("stranger", self.contract.chain());
                stranger.map_or_else(String::new, |stranger| stranger.to_string())
            }
            Type::Bool => "false".to_owned(),
            Type::FixedBytes(count) => format!("0x{}", "00".repeat(*count)),
            Type::Bytes => "0x".to_owned(),
            Type::String if is_alone => String::new(),
            Type::String => "\"\"".to_owned(),
            Type::List(_) => "[]".to_owned(),
            Type::Array(of, count) => format!("[{}]", vec![inner(of); *count].join(", ")),
            Type::Tuple(fields) => {
                let each: Vec<String> = fields.iter().map(|field| inner(&field.of)).collect();
                format!("({})", each.join(", "))
            }
            _ => "0".to_owned(),
        }
    }
}
