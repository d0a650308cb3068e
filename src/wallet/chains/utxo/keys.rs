//! The account's own keys, as far as they can be paid and spent from.

use std::{collections::HashMap, sync::Arc};

use api::signing::Key;
use thiserror::Error;
use tx::{Address, Name, utxo::weight::CoinCosts};

use crate::lane::{LaneId, Sender};

/// The keys of a lane's account, in the signer's order.
#[derive(Clone, Debug)]
pub struct OwnKeys {
    keys: Vec<OwnKey>,
    costs: CoinCosts,
    by_script: HashMap<Arc<[u8]>, usize>,
}

/// A key with its address on the lane's chain, P2WPKH or P2TR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKey {
    /// Its name at the signer.
    pub name: Name,
    /// Its address.
    pub address: Address,
    /// The address's script.
    pub script: Arc<[u8]>,
}

/// The signer has no key that a lane could use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeysError {
    /// It is not an account's lane.
    #[error("{lane} is no lane of an account")]
    NoAccount {
        /// The lane.
        lane: String,
    },
    /// The account has no address on the chain that is spent from here.
    #[error("the signer has no key with a P2WPKH or P2TR address for {lane}")]
    NoKey {
        /// The lane.
        lane: String,
    },
}

impl OwnKeys {
    /// The keys of a lane's account among those that the signer names.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn of(keys: &[Key], lane: &LaneId) -> Result<Self, KeysError> {
        let Sender::Account(account) = &lane.sender else {
            let lane = lane.to_string();
            return Err(KeysError::NoAccount { lane });
        };
        let of_account = keys.iter().filter(|key| key.account == *account);
        let named = of_account.flat_map(|key| {
            let addresses = key.addresses.iter();
            let on_chain = addresses.filter(|address| address.chain == lane.chain);
            let parsed = on_chain.filter_map(|had| Address::parse(lane.chain, &had.address).ok());
            parsed.map(|address| (key.name.clone(), address))
        });
        let keys = named.filter_map(|(name, address)| OwnKey::new(name, address));
        let keys: Vec<_> = keys.collect();
        let scripts = keys.iter().map(|key| &*key.script);
        let costs = CoinCosts::of(lane.chain, scripts).ok_or_else(|| KeysError::NoKey {
            lane: lane.to_string(),
        })?;
        let scripts = keys.iter().map(|key| Arc::clone(&key.script));
        Ok(Self {
            by_script: scripts.zip(0..).collect(),
            keys,
            costs,
        })
    }

    /// What the coins of these keys cost.
    pub fn costs(&self) -> CoinCosts {
        self.costs
    }

    /// The key that a script pays.
    pub fn by_script(&self, script: &[u8]) -> Option<&OwnKey> {
        self.keys.get(*self.by_script.get(script)?)
    }

    /// Where the change of a set goes: the keys after the first in turn, or the only one.
    pub fn change(&self, turn: u64) -> Option<&OwnKey> {
        let (first, others) = self.keys.split_first()?;
        let turn = usize::try_from(turn).unwrap_or_default();
        let turn = turn.checked_rem(others.len()).unwrap_or_default();
        Some(others.get(turn).unwrap_or(first))
    }
}

impl OwnKey {
    /// Only P2WPKH and P2TR are signed for.
    fn new(name: Name, address: Address) -> Option<Self> {
        let script: Arc<[u8]> = address.as_bytes().into();
        let is_spent = CoinCosts::of(address.chain(), [&*script]).is_some();
        is_spent.then_some(Self {
            name,
            address,
            script,
        })
    }
}
