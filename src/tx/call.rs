//! Calls: what a transaction asks of a contract, in words that a person reads and a statement compares.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Name, Own};

/// A call of a declared function, every argument of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// What the bundle calls the function.
    pub function: Name,
    /// Its canonical signature, such as `deposit(bytes,address,uint256)`.
    pub signature: String,
    /// The arguments in their order, with the fields of tuples in their place.
    pub arguments: Vec<Argument>,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// Its name, as the bundle declares it; `order.owner` of a field of a tuple.
    pub name: String,
    /// Its value in the one text that it has ([`crate::evm::Value`]).
    pub value: String,
    /// Whose address it is, when it is one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Own>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.function, self.signature)?;
        for (number, argument) in self.arguments.iter().enumerate() {
            let word = if number == 0 { " with" } else { "," };
            write!(f, "{word} {} = {}", argument.name, argument.value)?;
            if let Some(own) = &argument.own {
                write!(f, " (own account {})", own.account)?;
            }
        }
        Ok(())
    }
}
