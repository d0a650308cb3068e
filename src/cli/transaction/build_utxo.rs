//! `tx build bitcoin`: a PSBT that spends P2WPKH and P2TR coins of a Bitcoin-like chain.

use std::collections::HashMap;
use std::path::Path;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tx::utxo::weight::CoinCosts;
use tx::utxo::{Draft, DraftInput, DraftOutput, Outpoint};
use tx::{Address, Chain, Transaction};

use super::Out;
use super::base_units::{native_units, parse};
use super::coins::{Coin, Payment, Selection};
use super::error::TransactionError;
use crate::rpc::{Node, NodeArgs};

/// How deep a coinbase must be before the next block may spend it (`COINBASE_MATURITY`).
const COINBASE_CONFIRMATIONS: u64 = 100;

/// Replaceable (BIP-125), no relative lock.
const SEQUENCE: u32 = 0xffff_fffd;

/// The digits after the point in Bitcoin Core's amounts.
const NODE_DECIMALS: usize = 8;

/// `strongroom tx build bitcoin`.
#[derive(Debug, Args)]
pub struct Build {
    #[command(flatten)]
    node: NodeArgs,
    /// The chain, as bitcoin:mainnet or litecoin:regtest.
    #[arg(long, alias = "network")]
    chain: Chain,
    /// A P2WPKH or P2TR address whose confirmed coins may be spent; several may be given.
    #[arg(long, required = true, value_name = "ADDRESS")]
    from: Vec<String>,
    /// Who is paid.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// How much: satoshi, or as 0.5btc or 0.5ltc.
    #[arg(long)]
    amount: String,
    /// Where the rest goes, if it is worth it.
    #[arg(long, value_name = "ADDRESS")]
    change: String,
    /// What to pay for a vbyte, in satoshi.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    fee_rate_sat_vb: u64,
    /// The most coins to spend; the largest are taken first.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
    max_inputs: u16,
    #[command(flatten)]
    out: Out,
}

/// What `scantxoutset` answers.
#[derive(Debug, Deserialize)]
struct Scan {
    success: bool,
    unspents: Vec<Unspent>,
}

#[derive(Debug, Deserialize)]
struct Unspent {
    txid: String,
    vout: u32,
    // As text: a float would round it.
    amount: Box<RawValue>,
    height: u64,
}

/// What `gettxout` answers for an output that nobody spends, in the mempool neither.
#[derive(Debug, Deserialize)]
struct Unclaimed {
    confirmations: u64,
    coinbase: bool,
}

#[derive(Debug, Deserialize)]
struct Validity {
    isvalid: bool,
}

impl Build {
    /// Where the transaction goes.
    pub fn out(&self) -> Option<&Path> {
        self.out.out.as_deref()
    }

    /// Asks the node and builds the transaction.
    ///
    /// # Errors
    /// What the node answers, what the signer would refuse in any case, and too few coins.
    pub fn transaction(&self) -> Result<Transaction, TransactionError> {
        let (to, change) = (
            self.address("--to", &self.to)?,
            self.address("--change", &self.change)?,
        );
        let from = self
            .from
            .iter()
            .map(|from| self.address("--from", from))
            .collect::<Result<Vec<_>, _>>()?;
        let payment = self.payment(&to, self.costs(&from, &change)?)?;
        let node = self.node.node().map_err(TransactionError::Rpc)?;
        self.check_chain(&node, &change)?;

        let selection = payment.select(scan(&node, &from)?, |coin| is_spendable(&node, coin))?;
        let mut outputs = vec![DraftOutput {
            address: to,
            amount: payment.amount,
        }];
        outputs.extend(selection.change.map(|amount| DraftOutput {
            address: change,
            amount,
        }));
        let inputs = inputs(&node, &selection)?;
        let draft = Draft {
            chain: self.chain,
            lock_time: 0,
            inputs,
            outputs,
        };
        let refused = |refusal| TransactionError::refused(tx::Refusal::Utxo(refusal));
        let psbt = draft.psbt().map_err(refused)?;
        check_amounts(
            &tx::utxo::view(self.chain, &psbt).map_err(refused)?,
            &selection,
        )?;
        Ok(Transaction::Psbt {
            chain: self.chain,
            psbt,
        })
    }

    /// The most that a coin costs which is spent, or comes back.
    fn costs(&self, from: &[Address], change: &Address) -> Result<CoinCosts, TransactionError> {
        let of = |address: &Address| {
            let costs = CoinCosts::of(self.chain, [address.as_bytes()]);
            costs.ok_or_else(|| TransactionError::NotSpent {
                address: address.clone(),
            })
        };
        of(change)?;
        for address in from {
            of(address)?;
        }
        let all = from.iter().chain([change]).map(Address::as_bytes);
        CoinCosts::of(self.chain, all).ok_or(TransactionError::FeeOverflow)
    }

    fn payment(&self, to: &Address, costs: CoinCosts) -> Result<Payment, TransactionError> {
        let amount = parse(&self.amount, native_units(self.chain))
            .map_err(TransactionError::amount("--amount"))?;
        Ok(Payment {
            costs,
            amount: amount.to_u64().ok_or(TransactionError::FeeOverflow)?,
            script_length: to.as_bytes().len(),
            fee_rate_sat_vb: self.fee_rate_sat_vb,
            max_inputs: usize::from(self.max_inputs),
        })
    }

    fn address(&self, option: &'static str, text: &str) -> Result<Address, TransactionError> {
        match self.chain {
            Chain::Evm(_) => Err(TransactionError::NotUtxo { chain: self.chain }),
            _ => Address::parse(self.chain, text).map_err(TransactionError::address(option)),
        }
    }

    /// Only a node of the chain reads its addresses.
    fn check_chain(&self, node: &Node, address: &Address) -> Result<(), TransactionError> {
        let validity: Validity = node
            .call("validateaddress", json!([address.to_string()]))
            .map_err(TransactionError::Rpc)?;
        if validity.isvalid {
            return Ok(());
        }
        Err(TransactionError::OtherChain {
            expected: self.chain,
            actual: "another chain".to_owned(),
        })
    }
}

/// The confirmed coins of the addresses, the largest first.
fn scan(node: &Node, from: &[Address]) -> Result<Vec<Coin>, TransactionError> {
    // By script, since an address could mean another script to another node.
    let scripts = from
        .iter()
        .map(|address| format!("raw({})", hex::encode(address.as_bytes())));
    let params = json!(["start", scripts.collect::<Vec<_>>()]);
    let scan: Scan = node
        .call_slow("scantxoutset", params)
        .map_err(TransactionError::Rpc)?;
    if !scan.success {
        return Err(TransactionError::ScanStopped);
    }
    let mut coins = scan
        .unspents
        .iter()
        .map(Unspent::coin)
        .collect::<Result<Vec<_>, _>>()?;
    coins.sort_by_key(|coin| (std::cmp::Reverse(coin.amount), coin.outpoint));
    Ok(coins)
}

impl Unspent {
    fn coin(&self) -> Result<Coin, TransactionError> {
        let text = format!("{}:{}", self.txid, self.vout);
        let contradicts = |what| TransactionError::CoinContradicts {
            outpoint: text.clone(),
            what,
        };
        let outpoint: Outpoint = text
            .parse()
            .map_err(|_| contradicts("it has no outpoint"))?;
        let amount = parse(
            &format!("{}coin", self.amount.get()),
            &[("coin", NODE_DECIMALS)],
        )
        .ok();
        let amount = amount
            .and_then(|amount| amount.to_u64())
            .ok_or_else(|| contradicts("it has no amount"))?;
        Ok(Coin {
            outpoint,
            amount,
            height: self.height,
        })
    }
}

fn shown_txid(coin: &Coin) -> String {
    let mut txid = coin.outpoint.txid;
    txid.reverse();
    hex::encode(txid)
}

fn is_spendable(node: &Node, coin: &Coin) -> Result<bool, TransactionError> {
    let params = json!([shown_txid(coin), coin.outpoint.vout, true]);
    let unclaimed: Option<Unclaimed> = node
        .call("gettxout", params)
        .map_err(TransactionError::Rpc)?;
    Ok(unclaimed
        .is_some_and(|output| !output.coinbase || output.confirmations >= COINBASE_CONFIRMATIONS))
}

/// The coins with the transactions that made them, without which no signer believes an amount.
fn inputs(node: &Node, selection: &Selection) -> Result<Vec<DraftInput>, TransactionError> {
    let mut fetched: HashMap<String, Vec<u8>> = HashMap::new();
    let mut inputs = Vec::with_capacity(selection.coins.len());
    for coin in &selection.coins {
        let txid = shown_txid(coin);
        let previous = match fetched.get(&txid) {
            Some(previous) => previous.clone(),
            None => previous(node, coin, &txid)?,
        };
        fetched.insert(txid, previous.clone());
        inputs.push(DraftInput {
            outpoint: coin.outpoint,
            previous,
            sequence: SEQUENCE,
        });
    }
    Ok(inputs)
}

fn previous(node: &Node, coin: &Coin, txid: &str) -> Result<Vec<u8>, TransactionError> {
    let block: String = node
        .call("getblockhash", json!([coin.height]))
        .map_err(TransactionError::Rpc)?;
    // With its block the node finds it without a transaction index.
    let raw: String = node
        .call("getrawtransaction", json!([txid, false, block]))
        .map_err(TransactionError::Rpc)?;
    let what = "its transaction is not hexadecimal";
    hex::decode(&raw).map_err(|_| TransactionError::CoinContradicts {
        outpoint: coin.outpoint.to_string(),
        what,
    })
}

/// The amounts that the previous transactions prove must be those the fee was computed from.
fn check_amounts(view: &tx::utxo::View, selection: &Selection) -> Result<(), TransactionError> {
    let pairs = view.inputs.iter().zip(&selection.coins);
    match pairs
        .into_iter()
        .find(|(input, coin)| input.amount != coin.amount)
    {
        Some((input, _)) => Err(TransactionError::CoinContradicts {
            outpoint: input.outpoint.to_string(),
            what: "its amount is another in its own transaction",
        }),
        None => Ok(()),
    }
}
