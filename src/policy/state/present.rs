//! What the present policy and the registered keys say together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tx::{Address, Name, Own, OwnAddress, OwnKey, PublicKey, Registry, RegistryError};

use self::listed::ListedBooks;
use crate::{
    KeyAlgorithm, KeyPurpose, KeyRegistration, Policy,
    select::{Books as Held, Parties, People, Recorded},
};

mod listed;

/// The policy, and indexes that follow from it.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    pub(crate) policy: Arc<Policy>,
    pub(crate) registry: Arc<Registry>,
    books: Arc<ListedBooks>,
}

impl Present {
    pub(super) fn new(
        policy: Arc<Policy>,
        registrations: &BTreeMap<Name, KeyRegistration>,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            registry: Arc::new(registry(&policy, registrations)?),
            books: Arc::new(ListedBooks::of(&policy.books)),
            policy,
        })
    }

    /// Whether there would be one.
    pub(super) fn check(
        policy: &Policy,
        registrations: &BTreeMap<Name, KeyRegistration>,
    ) -> Result<(), RegistryError> {
        registry(policy, registrations).map(drop)
    }

    /// The same policy with these keys.
    pub(super) fn with_keys(
        &self,
        registrations: &BTreeMap<Name, KeyRegistration>,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            registry: Arc::new(registry(&self.policy, registrations)?),
            ..self.clone()
        })
    }

    /// The books that the bundle lists by itself and that hold the address.
    pub(crate) fn books(&self, address: Option<&Address>) -> &BTreeSet<Name> {
        self.books.with(address)
    }

    /// What the present policy says of the parties of an effect that was recorded so.
    pub(crate) fn parties<'a>(
        &'a self,
        account: &Name,
        to: Option<&Address>,
        recorded: Recorded<'a>,
    ) -> Parties<'a> {
        Parties {
            class: self
                .policy
                .accounts
                .get(account)
                .map(|account| account.class),
            books: Held {
                recorded,
                present: Some((&self.policy, self.books(to))),
            },
            own: to.and_then(|to| self.registry.own(to)),
            people: People::Present(&self.policy),
        }
    }
}

/// Only what an account of the policy names is ours: a key that is registered and in no account
/// signs nothing.
fn registry(
    policy: &Policy,
    registrations: &BTreeMap<Name, KeyRegistration>,
) -> Result<Registry, RegistryError> {
    of_keys(policy, |key| registrations.get(key).and_then(spend_key))
}

impl Policy {
    /// What is ours by the accounts of this policy and these keys, as far as their names stand in it.
    ///
    /// # Errors
    /// [`RegistryError`] where two of it cannot both hold.
    pub fn registry(&self, keys: &BTreeMap<Name, PublicKey>) -> Result<Registry, RegistryError> {
        of_keys(self, |key| keys.get(key).copied())
    }
}

fn of_keys(
    policy: &Policy,
    public: impl Fn(&Name) -> Option<PublicKey>,
) -> Result<Registry, RegistryError> {
    let mut keys = Vec::new();
    let mut addresses = Vec::new();
    for (name, account) in &policy.accounts {
        for key in &account.keys {
            keys.extend(public(key).map(|public| OwnKey {
                name: key.clone(),
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
    let public: PublicKey = key.public.parse().ok()?;
    let spends =
        key.purpose == KeyPurpose::Spend && key.algorithm == KeyAlgorithm::from(public.scheme());
    spends.then_some(public)
}
