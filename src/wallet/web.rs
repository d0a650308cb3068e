//! The API: REST over mTLS, for the clients that the configuration names.
//!
//! A request walks [`Web`] (certificate, client, rate) → [`routes`] → a verb, whose first argument
//! is the grant that it needs. What cannot be done is a problem, whatever it is.

mod caller;
mod fault;
mod feed;
mod host;
mod input;
mod lanes;
mod ledger;
mod names;
mod routes;
mod wire;
mod withdraw;
mod withdrawals;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use api::wallet::{ChainReport, SignerReport};
use async_trait::async_trait;
use serde::Deserialize;
use tx::{Address, Amount, Asset, Chain, Intent, Name, Time};

pub use self::{
    host::{Counters, Web},
    routes::ROUTES,
};
use crate::{signer::Verdict, store::Store};

/// What the API is made of.
pub struct App {
    /// What is durable.
    pub store: Arc<dyn Store>,
    /// Who pays.
    pub engine: Arc<dyn Engine>,
    /// Who may ask, by their names.
    pub clients: BTreeMap<Name, Client>,
    /// The chains on which is paid.
    pub chains: BTreeSet<Chain>,
    /// The time.
    pub clock: Arc<dyn Fn() -> Time + Send + Sync>,
}

/// Who may ask, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The URI in the certificate's subject alternative name.
    pub uri: String,
    /// The source of the withdrawals that it asks for.
    pub source: Name,
    /// What it may. What is not granted is denied.
    pub grants: BTreeSet<Grant>,
}

/// What a client may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Ask for withdrawals, and cancel them.
    Withdraw,
    /// See withdrawals and events of its own source, accounts and the coordinator's state.
    Read,
    /// See those of every source; approve and reject what waits for a person; open lanes; say
    /// what came of a payment that its token did not log.
    Decide,
    /// Book deposits.
    Credit,
}

/// What the API asks of those who run the lanes.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// A withdrawal of this chain was approved: it can be paid.
    fn approved(&self, chain: Chain);

    /// Whether an address is one of the signer's.
    fn is_own(&self, address: &Address) -> bool;

    /// The signer's epoch, as it was told last: the first while nothing was told.
    fn epoch(&self) -> u64;

    /// What is known of the signer.
    fn signer(&self) -> SignerReport;

    /// What is known of the chains.
    fn chains(&self) -> Vec<ChainReport>;

    /// What a payment would cost now.
    ///
    /// # Errors
    /// Why that is not known, for people.
    async fn fee(
        &self,
        asset: &Asset,
        amount: Amount,
        destination: &Address,
    ) -> Result<FeeQuote, String>;

    /// What the signer's policy would say of a payment now.
    async fn verdict(&self, payment: &Intent) -> Verdict;
}

/// What a payment would cost, in base units of the chain's native asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeQuote {
    /// Most likely.
    pub fee: Amount,
    /// The highest fee of one attempt with which it is likely paid soon.
    pub max_fee: Amount,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("clients", &self.clients)
            .field("chains", &self.chains)
            .finish_non_exhaustive()
    }
}
