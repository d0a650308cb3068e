//! What the signer made, read from the transaction in the request and from nothing else. The
//! simulated chains know a transaction by its bytes, and the checker who is paid by it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use api::signing::SignRequest;
use tx::{
    Address, Amount, Asset, ConflictKey, Decoded, EffectKind, Intent, IntentId, SignedTransaction,
    Transaction, utxo::Outpoint,
};

/// One signed transaction.
#[derive(Clone, Debug)]
pub struct Made {
    pub attempt: u64,
    pub request_id: String,
    pub txid: String,
    pub raw: String,
    pub intents: Vec<Intent>,
    /// What leaves: to others, by the transaction's own bytes.
    pub payments: Vec<(Asset, Address, Amount)>,
    pub keys: BTreeSet<ConflictKey>,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub enum Body {
    Evm(EvmBody),
    Coin(CoinBody),
}

#[derive(Clone, Debug)]
pub struct EvmBody {
    pub from: Address,
    pub nonce: u64,
    pub action: tx::evm::Action,
    pub max_fee: u64,
    pub tip: u64,
    pub gas_limit: u64,
}

#[derive(Clone, Debug)]
pub struct CoinBody {
    pub inputs: Vec<Outpoint>,
    pub outputs: Vec<(u64, Vec<u8>)>,
    pub fee: u64,
    pub vsize: u64,
    pub signals: bool,
}

/// Every transaction that was ever signed, by its bytes.
#[derive(Clone, Debug, Default)]
pub struct Book(Arc<Mutex<BTreeMap<String, Made>>>);

impl Book {
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Made>> {
        self.0.lock().unwrap()
    }

    pub fn add(&self, made: Made) {
        self.lock().insert(made.raw.clone(), made);
    }

    pub fn by_raw(&self, raw: &str) -> Option<Made> {
        let raw = raw.strip_prefix("0x").unwrap_or(raw);
        self.lock().get(raw).cloned()
    }

    pub fn by_txid(&self, txid: &str) -> Option<Made> {
        self.lock().values().find(|made| made.txid == txid).cloned()
    }

    pub fn of_intent(&self, intent: &IntentId) -> Vec<Made> {
        let pays = |made: &&Made| made.intents.iter().any(|paid| paid.id == *intent);
        self.lock().values().filter(pays).cloned().collect()
    }

    pub fn all(&self) -> Vec<Made> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_by_key(|made| made.attempt);
        all
    }
}

impl Made {
    pub fn new(
        attempt: u64,
        request: &SignRequest,
        decoded: &Decoded,
        signed: &SignedTransaction,
    ) -> Self {
        let outward = |effect: &&tx::Effect| effect.kind == EffectKind::Payment;
        let payments = decoded.effects().iter().filter(outward).map(|effect| {
            let to = effect.to.as_ref().unwrap().address.clone();
            (effect.asset.clone(), to, effect.amount)
        });
        Self {
            attempt,
            request_id: request.request_id.clone(),
            txid: signed.txid.clone(),
            raw: signed.raw.clone(),
            intents: request.intents.iter().map(|i| i.intent.clone()).collect(),
            payments: payments.collect(),
            keys: decoded.conflict_keys().clone(),
            body: Body::of(&request.transaction),
        }
    }

    pub fn evm(&self) -> &EvmBody {
        match &self.body {
            Body::Evm(body) => body,
            Body::Coin(_) => panic!("{} is of a UTXO chain", self.txid),
        }
    }

    pub fn coin(&self) -> &CoinBody {
        match &self.body {
            Body::Coin(body) => body,
            Body::Evm(_) => panic!("{} is of an EVM chain", self.txid),
        }
    }
}

impl Body {
    fn of(transaction: &Transaction) -> Self {
        match transaction {
            Transaction::Eip2718 {
                chain,
                from,
                payload,
            } => {
                let unsigned = tx::evm::Unsigned::parse(*chain, payload).unwrap();
                let terms = unsigned.terms();
                Self::Evm(EvmBody {
                    from: Address::parse(*chain, from).unwrap(),
                    nonce: terms.nonce,
                    action: unsigned.action().clone(),
                    max_fee: terms.fees.max_fee_per_gas().to_u64().unwrap(),
                    tip: terms.fees.max_priority_fee_per_gas().to_u64().unwrap(),
                    gas_limit: terms.gas_limit,
                })
            }
            Transaction::Psbt { chain, psbt } => {
                let view = tx::utxo::view(*chain, psbt).unwrap();
                let script = |output: &tx::utxo::ViewOutput| output.address.as_bytes().to_vec();
                Self::Coin(CoinBody {
                    inputs: view.inputs.iter().map(|input| input.outpoint).collect(),
                    outputs: view.outputs.iter().map(|o| (o.amount, script(o))).collect(),
                    fee: view.fee,
                    vsize: view.vsize,
                    signals: view.inputs.iter().any(|i| i.sequence == 0xffff_fffd),
                })
            }
            other => panic!("no such family: {other:?}"),
        }
    }
}
