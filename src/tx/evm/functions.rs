//! Functions that a bundle declares, by contract and selector, and the contracts that it declares as tokens;
//! whatever else is called is refused.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use serde::{Serialize, Serializer};
use thiserror::Error;

use super::{
    Refusal,
    abi::{Signature, Value, ValueError, decode, encode},
    calldata,
};
use crate::{Address, Argument, Call, Chain, Name, Registry};

/// The longest calldata of a call, in bytes: what it says is kept as long as charges are.
pub const CALLDATA_BYTES_MAX: usize = 8 * 1024;

/// A function that a bundle declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// What the bundle calls it.
    pub name: Name,
    /// Its name and arguments.
    pub signature: Signature,
}

/// Declared functions, and the contracts that are tokens: of these, spenders may be approved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    of: BTreeMap<Address, BTreeMap<[u8; 4], Arc<Function>>>,
    tokens: BTreeSet<Address>,
}

/// Why a function cannot be declared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// It gives rights, moves what is not the sender's, or holds calls in it.
    #[error("its selector is that of {signature}, which is never signed as a call ({code})")]
    Known {
        /// The function that is known.
        signature: &'static str,
        /// The name by which it is refused.
        code: &'static str,
    },
    /// It is a transfer of a token, which is a payment.
    #[error("it is a transfer of a token, which is understood without a declaration, as a payment")]
    Transfer,
    /// The contract has another one of that selector.
    #[error("{contract} has a function of the same selector already, {other:?}")]
    Twice {
        /// The contract.
        contract: Address,
        /// What the other one is called.
        other: String,
    },
}

/// Why no call is made of texts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArgumentsError {
    /// One is missing.
    #[error("the argument {name:?} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// The function has no such argument.
    #[error("the function has no argument {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A text is no value of the argument's type.
    #[error("the argument {name:?}: {source}")]
    Value {
        /// Its name.
        name: String,
        /// Why.
        source: ValueError,
    },
}

/// What a call says: a declared function and a value for each argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallData {
    function: Arc<Function>,
    values: Vec<Value>,
}

impl Functions {
    /// No function, and no token.
    pub const NONE: &'static Self = &Self {
        of: BTreeMap::new(),
        tokens: BTreeSet::new(),
    };

    /// Declares a function of a contract.
    ///
    /// # Errors
    /// [`DeclareError`].
    pub fn declare(
        &mut self,
        contract: Address,
        function: Arc<Function>,
    ) -> Result<(), DeclareError> {
        let selector = function.signature.selector();
        calldata::check_declarable(selector)?;
        let of_contract = self.of.entry(contract.clone()).or_default();
        match of_contract.entry(selector) {
            Entry::Vacant(place) => {
                place.insert(function);
                Ok(())
            }
            Entry::Occupied(known) => Err(DeclareError::Twice {
                contract,
                other: known.get().name.to_string(),
            }),
        }
    }

    /// Declares a contract as a token.
    pub fn declare_token(&mut self, contract: Address) {
        self.tokens.insert(contract);
    }

    /// Whether a contract is declared as a token.
    pub fn is_token(&self, contract: &Address) -> bool {
        self.tokens.contains(contract)
    }

    /// The function of a contract with this selector.
    pub fn find(&self, contract: &Address, selector: [u8; 4]) -> Option<&Arc<Function>> {
        self.of.get(contract)?.get(&selector)
    }

    /// Every contract's functions.
    pub fn iter(&self) -> impl Iterator<Item = (&Address, &Arc<Function>)> {
        let each = |(contract, functions)| {
            let functions: &BTreeMap<_, _> = functions;
            functions.values().map(move |function| (contract, function))
        };
        self.of.iter().flat_map(each)
    }

    /// The contracts that have a function of this name.
    pub fn named<'f>(
        &'f self,
        name: &'f Name,
    ) -> impl Iterator<Item = (&'f Address, &'f Arc<Function>)> {
        self.iter()
            .filter(move |(_, function)| function.name == *name)
    }

    /// Whether no function is declared.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Reads calldata of a contract; nothing where it does not begin with the selector of a declared function.
    ///
    /// # Errors
    /// What is not the one encoding of the function's arguments.
    pub fn read(&self, contract: &Address, calldata: &[u8]) -> Option<Result<CallData, Refusal>> {
        let (selector, arguments) = calldata.split_first_chunk::<4>()?;
        let function = self.find(contract, *selector)?;
        Some(CallData::parse(function, arguments))
    }
}

impl CallData {
    fn parse(function: &Arc<Function>, arguments: &[u8]) -> Result<Self, Refusal> {
        let length = arguments.len().saturating_add(4);
        if length > CALLDATA_BYTES_MAX {
            let max = CALLDATA_BYTES_MAX;
            return Err(Refusal::CalldataSize { length, max });
        }
        let parameters = function.signature.parameters();
        let values = decode(parameters.iter().map(|one| &one.of), arguments);
        let values = values.map_err(|(place, fault)| {
            let named = parameters.get(place).map(|one| one.name.clone());
            Refusal::Argument {
                function: function.signature.canonical(),
                argument: named.unwrap_or_default(),
                fault,
            }
        })?;
        Ok(Self {
            function: Arc::clone(function),
            values,
        })
    }

    /// A call of a function, of the texts of its arguments with the fields of tuples in their place.
    ///
    /// # Errors
    /// [`ArgumentsError`].
    pub fn of_texts(
        function: &Arc<Function>,
        texts: &BTreeMap<String, String>,
    ) -> Result<Self, ArgumentsError> {
        let leaves = function.signature.leaves();
        let known = |name: &String| leaves.iter().any(|(leaf, _)| leaf == name);
        if let Some(name) = texts.keys().find(|name| !known(name)) {
            return Err(ArgumentsError::Unknown { name: name.clone() });
        }
        let value = |(name, of): &(String, &super::Type)| {
            let name = name.clone();
            match texts.get(&name) {
                None => Err(ArgumentsError::Missing { name }),
                Some(text) => {
                    Value::plain(of, text).map_err(|source| ArgumentsError::Value { name, source })
                }
            }
        };
        let values = leaves.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let values = Value::of_leaves(function.signature.parameters(), &mut values.into_iter());
        Ok(Self {
            function: Arc::clone(function),
            // There are as many as leaves.
            values: values.unwrap_or_default(),
        })
    }

    /// The function.
    pub fn function(&self) -> &Arc<Function> {
        &self.function
    }

    /// The values of the arguments, in their order.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The bytes: selector and arguments.
    pub fn encode(&self) -> Vec<u8> {
        let signature = &self.function.signature;
        let types = signature.parameters().iter().map(|one| &one.of);
        let arguments = encode(types, &self.values);
        [signature.selector().as_slice(), &arguments].concat()
    }

    /// The call in words, on a chain where the registry knows what is ours.
    pub fn described(&self, chain: Chain, registry: &Registry) -> Call {
        let signature = &self.function.signature;
        let mut values = Vec::new();
        for (value, parameter) in self.values.iter().zip(signature.parameters()) {
            value.leaves(&parameter.of, &mut values);
        }
        let named = signature.leaves().into_iter().zip(values);
        let arguments = named.map(|((name, _), value)| Argument {
            name,
            own: match value {
                Value::Address(bytes) => {
                    Address::evm(chain, *bytes).and_then(|address| registry.own(&address).cloned())
                }
                _ => None,
            },
            value: value.to_string(),
        });
        Call {
            function: self.function.name.clone(),
            signature: signature.canonical(),
            arguments: arguments.collect(),
        }
    }
}

impl Serialize for CallData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Whose an address is, is not known here.
        let described = self.described(Chain::Evm(0), &Registry::default());
        described.serialize(serializer)
    }
}
