//! The registry of own keys and addresses: the only source of what is "ours".

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Address, Chain, Name, Own, PublicKey, Scheme};

/// What an account is for. Value moves between classes only along listed edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountClass {
    /// Pays customers.
    Hot,
    /// Receives from customers.
    Deposit,
    /// Is signed for elsewhere.
    Cold,
    /// Was ours and is never paid to again.
    Retired,
}

impl AccountClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Hot, Self::Deposit, Self::Cold, Self::Retired];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Deposit => "deposit",
            Self::Cold => "cold",
            Self::Retired => "retired",
        }
    }

    /// The class of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

/// A key that signs, as the journal registered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKey {
    /// Its name in the device.
    pub name: Name,
    /// Its public key.
    pub public: PublicKey,
    /// The account that it signs for.
    pub account: Name,
    /// That account's class.
    pub class: AccountClass,
    /// The chains on which the account is used.
    pub chains: Vec<Chain>,
}

/// An own address that is signed for elsewhere, such as a cold wallet's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    /// The address.
    pub address: Address,
    /// The account behind it.
    pub own: Own,
}

/// Finds the own account and key behind an address or script.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    keys: BTreeMap<Name, OwnKey>,
    by_address: HashMap<Address, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    own: Own,
    key: Option<Name>,
}

/// Two registrations that cannot both hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two keys of one name.
    #[error("key {key} is registered twice")]
    KeyTwice {
        /// The name.
        key: Name,
    },
    /// One address for two accounts or keys.
    #[error("address {address:?} is registered twice")]
    AddressTwice {
        /// The address.
        address: Address,
    },
}

impl Registry {
    /// Builds the index.
    ///
    /// # Errors
    /// [`RegistryError`] when a key or an address is registered twice.
    pub fn new(
        keys: impl IntoIterator<Item = OwnKey>,
        addresses: impl IntoIterator<Item = OwnAddress>,
    ) -> Result<Self, RegistryError> {
        let mut registry = Self::default();
        for key in keys {
            registry.add_key(key)?;
        }
        for OwnAddress { address, own } in addresses {
            registry.add_address(address, Entry { own, key: None })?;
        }
        Ok(registry)
    }

    fn add_key(&mut self, key: OwnKey) -> Result<(), RegistryError> {
        if self.keys.contains_key(&key.name) {
            return Err(RegistryError::KeyTwice { key: key.name });
        }
        let own = Own {
            account: key.account.clone(),
            class: key.class,
        };
        for address in key
            .chains
            .iter()
            .filter_map(|chain| key.public.address(*chain))
        {
            self.add_address(
                address,
                Entry {
                    own: own.clone(),
                    key: Some(key.name.clone()),
                },
            )?;
        }
        self.keys.insert(key.name.clone(), key);
        Ok(())
    }

    fn add_address(&mut self, address: Address, entry: Entry) -> Result<(), RegistryError> {
        match self.by_address.insert(address.clone(), entry) {
            None => Ok(()),
            Some(_) => Err(RegistryError::AddressTwice { address }),
        }
    }

    /// The own account behind an address.
    pub fn own(&self, address: &Address) -> Option<&Own> {
        self.by_address.get(address).map(|entry| &entry.own)
    }

    /// The key that signs for an address.
    pub fn key(&self, address: &Address) -> Option<&OwnKey> {
        let name = self.by_address.get(address)?.key.as_ref()?;
        self.keys.get(name)
    }

    /// Whether any key signs in this way.
    pub fn has_scheme(&self, scheme: Scheme) -> bool {
        self.keys.values().any(|key| key.public.scheme() == scheme)
    }

    /// The key of this name.
    pub fn key_by_name(&self, name: &Name) -> Option<&OwnKey> {
        self.keys.get(name)
    }

    /// Every key, by name.
    pub fn keys(&self) -> impl Iterator<Item = &OwnKey> {
        self.keys.values()
    }
}
