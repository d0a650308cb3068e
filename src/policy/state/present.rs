//! What the present policy and the registered keys say together.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tx::{Address, Name, Own, OwnAddress, OwnKey, PublicKey, Registry, RegistryError};

use crate::{KeyAlgorithm, KeyPurpose, KeyRegistration, Policy, select::Parties};

static NO_BOOKS: BTreeSet<Name> = BTreeSet::new();

/// The policy, and indexes that follow from it.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    pub(crate) policy: Arc<Policy>,
    pub(crate) registry: Arc<Registry>,
    books: HashMap<Address, BTreeSet<Name>>,
}

impl Present {
    pub(super) fn new(
        policy: Arc<Policy>,
        registrations: &BTreeMap<Name, KeyRegistration>,
    ) -> Result<Self, RegistryError> {
        let mut books: HashMap<Address, BTreeSet<Name>> = HashMap::new();
        for (name, book) in &policy.books {
            for address in &book.addresses {
                books
                    .entry(address.clone())
                    .or_default()
                    .insert(name.clone());
            }
        }
        Ok(Self {
            registry: Arc::new(registry(&policy, registrations)?),
            policy,
            books,
        })
    }

    /// The books that hold the address.
    pub(crate) fn books(&self, address: Option<&Address>) -> &BTreeSet<Name> {
        address
            .and_then(|address| self.books.get(address))
            .unwrap_or(&NO_BOOKS)
    }

    /// What the present policy says of an effect's parties.
    pub(crate) fn parties(&self, account: &Name, to: Option<&Address>) -> Parties<'_> {
        Parties {
            class: self
                .policy
                .accounts
                .get(account)
                .map(|account| account.class),
            books: self.books(to),
            own: to.and_then(|to| self.registry.own(to)),
        }
    }
}

/// Only what an account of the policy names is ours: a key that is registered and in no account
/// signs nothing.
fn registry(
    policy: &Policy,
    registrations: &BTreeMap<Name, KeyRegistration>,
) -> Result<Registry, RegistryError> {
    let mut keys = Vec::new();
    let mut addresses = Vec::new();
    for (name, account) in &policy.accounts {
        let registered = account.keys.iter().filter_map(|key| registrations.get(key));
        for key in registered {
            keys.extend(spend_key(key).map(|public| OwnKey {
                name: key.name.clone(),
                public,
                account: name.clone(),
                class: account.class,
                chains: account.chains.iter().copied().collect(),
            }));
        }
        addresses.extend(account.addresses.iter().map(|address| OwnAddress {
            address: address.clone(),
            own: Own {
                account: name.clone(),
                class: account.class,
            },
        }));
    }
    Registry::new(keys, addresses)
}

/// The public key of a registration that can sign transactions.
pub(super) fn spend_key(key: &KeyRegistration) -> Option<PublicKey> {
    let spends = key.purpose == KeyPurpose::Spend && key.algorithm == KeyAlgorithm::Secp256k1;
    spends.then(|| key.public.parse().ok()).flatten()
}
