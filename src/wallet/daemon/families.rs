//! The chains of the configuration, with their nodes.

mod evm;
mod heights;
mod utxo;

use std::{sync::Arc, time::Duration};

use tx::{Chain, Name};

use self::{evm::EvmFamily, utxo::UtxoFamily};
use super::DaemonError;
use crate::{
    config::{ChainConfig, Config},
    engine::Engine,
};

/// How often it is looked how far a chain is.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The chains, not yet at work.
pub(super) struct Families(Vec<(Vec<Name>, Family)>);

enum Family {
    Evm(Arc<EvmFamily>),
    Utxo(Arc<UtxoFamily>),
}

impl Families {
    /// The chains of the configuration. Nothing is connected yet.
    pub(super) fn new(config: &Config) -> Result<Self, DaemonError> {
        let family = |config: &ChainConfig| {
            let family = match config.chain {
                Chain::Evm(id) => EvmFamily::new(config, id).map(|it| Family::Evm(Arc::new(it))),
                _ => UtxoFamily::new(config).map(|it| Family::Utxo(Arc::new(it))),
            };
            let chain = config.chain;
            let family = family.map_err(|what| DaemonError::Chain { chain, what })?;
            Ok((config.accounts.clone(), family))
        };
        let families = config.chains.iter().map(family);
        Ok(Self(families.collect::<Result<_, _>>()?))
    }

    /// Puts their lanes to work.
    pub(super) fn add_to(self, engine: &mut Engine) {
        for (accounts, family) in self.0 {
            match family {
                Family::Evm(family) => {
                    tokio::spawn(Arc::clone(&family).watch());
                    engine.add(family.chain(), accounts, family);
                }
                Family::Utxo(family) => {
                    tokio::spawn(Arc::clone(&family).watch());
                    engine.add(family.chain(), accounts, family);
                }
            }
        }
    }
}
