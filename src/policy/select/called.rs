//! Calls, as statements look at them.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Address, Argument, Call, Name};

use super::{Books, Held, Reading, Recorded};
use crate::{
    ArgumentBooks, ArgumentCondition, ArgumentConditions, FunctionId, Integer, state::Present,
};

static NO_BOOKS: BTreeSet<Name> = BTreeSet::new();

/// A call of a request, or one that was charged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called<'a> {
    pub(crate) call: &'a Call,
    /// The books that held addresses among the arguments, by the arguments' names.
    pub(crate) books: &'a BTreeMap<String, ArgumentBooks>,
    /// By what the addresses are looked at; what was recorded of them, where that is nothing.
    pub(crate) present: Option<&'a Present>,
}

impl Called<'_> {
    /// Whether it is of one of the functions, by arguments that meet what is asked of that one's.
    pub(super) fn is_among(
        &self,
        functions: &BTreeMap<FunctionId, ArgumentConditions>,
        contract: &Address,
        reading: Reading,
    ) -> bool {
        let held = match reading {
            Reading::Gives => Held::Surely,
            Reading::Takes => Held::Maybe,
        };
        let is_it =
            |id: &FunctionId| id.contract == *contract && id.signature == self.call.signature;
        functions.iter().any(|(id, conditions)| {
            is_it(id)
                && conditions.iter().all(|(place, condition)| {
                    let argument = self.call.arguments.get(*place);
                    argument.is_some_and(|argument| self.meets(argument, condition, contract, held))
                })
        })
    }

    fn meets(
        &self,
        argument: &Argument,
        condition: &ArgumentCondition,
        contract: &Address,
        held: Held,
    ) -> bool {
        match condition {
            ArgumentCondition::Among(texts) => texts.contains(&argument.value),
            ArgumentCondition::Within { over, max } => {
                Integer::within(&argument.value, *over, *max)
            }
            ArgumentCondition::To(to) => {
                let Ok(address) = Address::parse(contract.chain(), &argument.value) else {
                    return false;
                };
                let recorded = self.books.get(&argument.name);
                let books = Books {
                    recorded: Recorded {
                        all: recorded.map_or(&NO_BOOKS, |held| &held.books),
                        cooling: recorded.map_or(&NO_BOOKS, |held| &held.cooling),
                    },
                    present: self
                        .present
                        .map(|present| (&*present.policy, present.books(Some(&address)))),
                };
                let own = match self.present {
                    Some(present) => present.registry.own(&address),
                    None => argument.own.as_ref(),
                };
                to.iter().any(|to| to.is_at(&address, (books, own), held))
            }
        }
    }
}
