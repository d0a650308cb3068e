//! The transaction of a case: one that a coordinator would build, over coins that are made up.

use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount as Sat, OutPoint, ScriptBuf, Sequence, TxIn, TxOut, Txid, Witness, absolute::LockTime,
    transaction::Version,
};
use num_bigint::BigUint;
use policy::bundle::{self, QuantityError};
use policy::{Policy, SignedIntent, State};
use sha2::{Digest, Sha256};
use tx::evm::{Action, Fees, Terms, Unsigned};
use tx::utxo::{Draft, DraftInput, DraftOutput, INPUTS_MAX, Outpoint};
use tx::{Address, Amount, Asset, AssetKind, Chain, Intent, IntentId, Name, Time, Transaction};

use super::call::{self, UncalledError};
use super::file::{Approved, Called, Payment};

/// What a plain transfer takes, and what is set aside for one of a token, and for a call.
const NATIVE_GAS: u64 = 21_000;
const TOKEN_GAS: u64 = 65_000;
const CALL_GAS: u64 = 200_000;
/// The most gas of a transaction, and how many numbers of gas are tried for a fee.
const GAS_MAX: u64 = 30_000_000;
const GAS_TRIED: u64 = 100_000;
/// Virtual bytes of a transaction around its outputs with one input, and of an output, at the most.
const AROUND_VBYTES: u64 = 11 + 68;
const OUTPUT_VBYTES: u64 = 43;
/// An input that can be replaced (BIP-125).
const SEQUENCE: u32 = 0xffff_fffd;
/// What comes back where nothing is paid, in satoshi.
const CHANGE: u64 = 100_000;
/// How long an intent is good for.
const INTENT_MILLIS: u64 = 3_600_000;

/// Why there is no transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnbuiltError {
    /// An account that the bundle does not have, or one that cannot pay there.
    #[error("account {account} has no key that pays on {chain}")]
    Payer { account: Name, chain: Chain },
    /// The bundle has no such account.
    #[error("the bundle has no account {0}")]
    Account(Name),
    /// Nothing says on which chain it is.
    #[error("nothing is paid that says on which chain it is: give `chain`")]
    Chain,
    /// Payments on two chains.
    #[error("one transaction does not pay on both {0} and {1}")]
    Chains(Chain, Chain),
    /// What is called, or its arguments.
    #[error(transparent)]
    Call(UncalledError),
    /// An EVM transaction pays, calls or approves once.
    #[error("a transaction on {0} pays or calls once, or approves one spender")]
    Several(Chain),
    /// A Bitcoin-like transaction pays something.
    #[error("a transaction on {0} pays something")]
    Nothing(Chain),
    /// A token on a chain without tokens.
    #[error("{0} is not paid by a transaction that can be made here")]
    Asset(Asset),
    /// A number that is too large.
    #[error("{0:?} is too much")]
    TooMuch(String),
    /// An amount or rate.
    #[error(transparent)]
    Quantity(QuantityError),
    /// An address.
    #[error("{to:?} is no address on {chain}, and no own-account:<name> with one")]
    To { to: String, chain: Chain },
    /// No gas and rate come to a fee.
    #[error("no gas and rate that are tried come to a fee of {0}")]
    Fee(Amount),
    /// The id is none.
    #[error("{0:?} makes no id of an intent")]
    Id(String),
    /// What no codec takes.
    #[error("no signer understands this transaction: {}", .0.code())]
    Refused(tx::Refusal),
}

/// Who pays what, and how.
pub struct Order<'a> {
    /// What distinguishes it from the others of its case.
    pub id: String,
    pub account: &'a Name,
    pub key: Option<&'a Name>,
    pub pay: &'a [Payment],
    pub call: Option<&'a Called>,
    pub approve: Option<&'a Approved>,
    pub chain: Option<Chain>,
    pub fee_rate: Option<&'a str>,
    /// What its intents are named after and when they were issued, where that is not by its own id and time.
    pub issued: Option<(String, Time)>,
    /// What it costs at most, where that is not by the rate.
    pub fee: Option<Amount>,
    pub at: Time,
}

/// A transaction and the intents that it pays.
pub struct Made {
    pub transaction: Transaction,
    pub intents: Vec<SignedIntent>,
}

/// What one payment comes to.
struct Output {
    asset: Asset,
    amount: Amount,
    to: Address,
}

/// Makes the transaction of an order, as the next one of its account.
///
/// # Errors
/// [`UnbuiltError`].
pub fn make(policy: &Policy, state: &State, order: &Order<'_>) -> Result<Made, UnbuiltError> {
    let chain = chain(policy, order)?;
    let from = payer(policy, state, order, chain)?;
    let outputs = order
        .pay
        .iter()
        .map(|pay| output(policy, state, pay, chain));
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    let (transaction, fee) = match chain {
        Chain::Evm(_) => evm(policy, state, order, (chain, &from, &outputs))?,
        _ => utxo(order, (chain, &from, &outputs))?,
    };
    let mut intents = Vec::new();
    let own = (order.id.clone(), order.at);
    let (named, issued_at) = order.issued.as_ref().unwrap_or(&own);
    for (number, (pay, output)) in order.pay.iter().zip(outputs).enumerate() {
        if let Some(source) = &pay.source {
            let id = format!("{named}.{number}");
            let intent = Intent {
                id: IntentId {
                    source: source.clone(),
                    id: id.parse().map_err(|_| UnbuiltError::Id(id))?,
                },
                epoch: state.epoch(),
                asset: output.asset,
                amount: output.amount,
                destination: output.to,
                tag: pay.tag.clone(),
                max_fee: fee,
                expires: issued_at.after_millis(INTENT_MILLIS),
            };
            let signatures = Vec::new();
            intents.push(SignedIntent { intent, signatures });
        }
    }
    Ok(Made {
        transaction,
        intents,
    })
}

fn chain(policy: &Policy, order: &Order<'_>) -> Result<Chain, UnbuiltError> {
    let mut chain = order.chain;
    if let Some(called) = order.call {
        let (contract, _) = call::function(policy, called).map_err(UnbuiltError::Call)?;
        chain = Some(contract.chain());
    }
    let approved = order.approve.iter().map(|approved| &approved.amount);
    for amount in order.pay.iter().map(|pay| &pay.amount).chain(approved) {
        let (unit, _) = policy.amount(amount).map_err(UnbuiltError::Quantity)?;
        match chain {
            Some(chain) if chain != unit.asset.chain => {
                return Err(UnbuiltError::Chains(chain, unit.asset.chain));
            }
            _ => chain = Some(unit.asset.chain),
        }
    }
    chain.ok_or(UnbuiltError::Chain)
}

/// An address of an own account that signs on the chain.
fn payer(
    policy: &Policy,
    state: &State,
    order: &Order<'_>,
    chain: Chain,
) -> Result<Address, UnbuiltError> {
    let account = order.account;
    let known = policy.accounts.get(account);
    let known = known.ok_or_else(|| UnbuiltError::Account(account.clone()))?;
    let wanted = |key: &&Name| order.key.is_none_or(|wanted| wanted == *key);
    let key = known.keys.iter().find(wanted);
    let registry = state.registry();
    let key = key.and_then(|key| registry.key_by_name(key));
    let address = key.filter(|key| key.chains.contains(&chain));
    let address = address.and_then(|key| key.public.address(chain));
    address.ok_or_else(|| UnbuiltError::Payer {
        account: account.clone(),
        chain,
    })
}

fn output(
    policy: &Policy,
    state: &State,
    pay: &Payment,
    chain: Chain,
) -> Result<Output, UnbuiltError> {
    let (unit, amount) = policy.amount(&pay.amount).map_err(UnbuiltError::Quantity)?;
    let unknown = || UnbuiltError::To {
        to: pay.to.clone(),
        chain,
    };
    let to = match pay.to.strip_prefix("own-account:") {
        None => Address::parse(chain, &pay.to).map_err(|_| unknown())?,
        Some(account) => own(policy, state, account, chain).ok_or_else(unknown)?,
    };
    Ok(Output {
        asset: unit.asset.clone(),
        amount,
        to,
    })
}

/// An address of an own account, whoever signs for it.
fn own(policy: &Policy, state: &State, account: &str, chain: Chain) -> Option<Address> {
    let account = policy.accounts.get(&account.parse::<Name>().ok()?)?;
    let registry = state.registry();
    let keys = account
        .keys
        .iter()
        .filter_map(|key| registry.key_by_name(key));
    let mut keys = keys.filter_map(|key| key.public.address(chain));
    let elsewhere = account
        .addresses
        .iter()
        .find(|address| address.chain() == chain);
    keys.next().or_else(|| elsewhere.cloned())
}

fn evm(
    policy: &Policy,
    state: &State,
    order: &Order<'_>,
    (chain, from, outputs): (Chain, &Address, &[Output]),
) -> Result<(Transaction, Amount), UnbuiltError> {
    let refused = |refusal| UnbuiltError::Refused(tx::Refusal::Evm(refusal));
    let action = match (outputs, order.call, order.approve) {
        ([], None, None) => Action::cancellation(from.clone()),
        ([output], None, None) => transfer(output)?,
        ([], Some(called), None) => {
            let own = |account: &str| own(policy, state, account, chain);
            call::action(policy, called, own).map_err(UnbuiltError::Call)?
        }
        ([], None, Some(approved)) => approval(policy, approved, chain)?,
        _ => return Err(UnbuiltError::Several(chain)),
    };
    let gas_limit = match action {
        Action::Erc20 { .. } | Action::Approve { .. } => TOKEN_GAS,
        Action::Call { .. } => CALL_GAS,
        _ => NATIVE_GAS,
    };
    let rate = order.fee_rate.unwrap_or("20 gwei");
    let rate = bundle::fee_rate(rate, chain).map_err(UnbuiltError::Quantity)?;
    let (gas_limit, rate) = match order.fee {
        Some(fee) => gas_of(fee, gas_limit).ok_or(UnbuiltError::Fee(fee))?,
        None => (gas_limit, rate),
    };
    let terms = Terms {
        nonce: nonce(policy, state, from),
        gas_limit,
        fees: Fees::Eip1559 {
            max_fee_per_gas: rate,
            max_priority_fee_per_gas: rate,
        },
    };
    let unsigned = Unsigned::new(chain, terms, action).map_err(refused)?;
    let transaction = Transaction::Eip2718 {
        chain,
        from: from.to_string(),
        payload: unsigned.payload(),
    };
    Ok((transaction, unsigned.fee_max()))
}

/// Gas and a rate that come to exactly this fee, at the lowest rate of those that are tried.
fn gas_of(fee: Amount, least: u64) -> Option<(u64, Amount)> {
    if fee.is_zero() {
        return Some((least, fee));
    }
    let fee = BigUint::from_bytes_be(&fee.to_be_bytes());
    let round = (0..=7_u32).flat_map(|zeros| [1, 2, 5].map(|digit| digit * 10_u64.pow(zeros)));
    let tried = round.chain(least..least + GAS_TRIED);
    let exact = tried.filter(|gas| {
        let rest = &fee % *gas;
        (least..=GAS_MAX).contains(gas) && rest == BigUint::ZERO
    });
    let gas = exact.max()?;
    let rate = (fee / gas).to_string().parse().ok()?;
    Some((gas, rate))
}

fn transfer(output: &Output) -> Result<Action, UnbuiltError> {
    let to = output.to.clone();
    match &output.asset.kind {
        AssetKind::Native => Ok(Action::Native {
            to,
            value: output.amount,
        }),
        AssetKind::Erc20(token) => Ok(Action::Erc20 {
            token: token.clone(),
            to,
            amount: output.amount,
        }),
        _ => Err(UnbuiltError::Asset(output.asset.clone())),
    }
}

fn approval(policy: &Policy, approved: &Approved, chain: Chain) -> Result<Action, UnbuiltError> {
    let (unit, amount) = policy
        .amount(&approved.amount)
        .map_err(UnbuiltError::Quantity)?;
    let spender = Address::parse(chain, &approved.spender).map_err(|_| UnbuiltError::To {
        to: approved.spender.clone(),
        chain,
    })?;
    match &unit.asset.kind {
        AssetKind::Erc20(token) => Ok(Action::Approve {
            token: token.clone(),
            spender,
            amount,
        }),
        _ => Err(UnbuiltError::Asset(unit.asset.clone())),
    }
}

/// The next number of the sender's sequence.
fn nonce(policy: &Policy, state: &State, from: &Address) -> u64 {
    let registry = state.registry();
    let start = registry.key(from).and_then(|key| {
        let start = policy.sequences.get(&(key.name.clone(), from.chain()));
        start.map(|start| start.next)
    });
    state.next_sequence(from).or(start).unwrap_or_default()
}

fn utxo(
    order: &Order<'_>,
    (chain, from, outputs): (Chain, &Address, &[Output]),
) -> Result<(Transaction, Amount), UnbuiltError> {
    let rate = order.fee_rate.unwrap_or("10 sat/vb");
    let rate = bundle::fee_rate(rate, chain).map_err(UnbuiltError::Quantity)?;
    let vbytes = AROUND_VBYTES + OUTPUT_VBYTES * outputs.len() as u64;
    let too_much = |what: &Amount| UnbuiltError::TooMuch(what.to_string());
    let by_rate = || rate.checked_mul(vbytes.into());
    let fee = order.fee.or_else(by_rate);
    let fee = fee.ok_or_else(|| too_much(&rate))?;
    let drafts = paid(order, (chain, from, outputs))?;
    let mut amounts = drafts.iter().map(|draft| draft.amount);
    let sum = amounts.try_fold(
        fee.to_u64().ok_or_else(|| too_much(&fee))?,
        u64::checked_add,
    );
    let draft = Draft {
        chain,
        lock_time: 0,
        inputs: spent(order, from, sum.ok_or_else(|| too_much(&fee))?),
        outputs: drafts,
    };
    let refused = |refusal| UnbuiltError::Refused(tx::Refusal::Utxo(refusal));
    let psbt = draft.psbt().map_err(refused)?;
    Ok((Transaction::Psbt { chain, psbt }, fee))
}

/// What a Bitcoin-like transaction pays; change where nothing but a fee is meant.
fn paid(
    order: &Order<'_>,
    (chain, from, outputs): (Chain, &Address, &[Output]),
) -> Result<Vec<DraftOutput>, UnbuiltError> {
    if outputs.is_empty() {
        return match order.fee {
            Some(_) => Ok(vec![DraftOutput {
                address: from.clone(),
                amount: CHANGE,
            }]),
            None => Err(UnbuiltError::Nothing(chain)),
        };
    }
    let paid = outputs.iter().map(|output| {
        if output.asset.kind != AssetKind::Native {
            return Err(UnbuiltError::Asset(output.asset.clone()));
        }
        let amount = output.amount.to_u64();
        Ok(DraftOutput {
            address: output.to.clone(),
            amount: amount.ok_or_else(|| UnbuiltError::TooMuch(output.amount.to_string()))?,
        })
    });
    paid.collect()
}

/// Coins of this sum: many where a fee is given, of which a large transaction has the lowest rate.
fn spent(order: &Order<'_>, from: &Address, sum: u64) -> Vec<DraftInput> {
    let many = order.fee.is_some_and(|fee| !fee.is_zero()) && sum >= INPUTS_MAX as u64;
    let count = if many { INPUTS_MAX as u64 } else { 1 };
    let each = sum / count;
    let coins = (0..count).map(|number| match number {
        0 => coin(&order.id, from, sum - each * (count - 1)),
        _ => coin(&format!("{}/{number}", order.id), from, each),
    });
    let inputs = coins.map(|(outpoint, previous)| DraftInput {
        outpoint,
        previous,
        sequence: SEQUENCE,
    });
    inputs.collect()
}

/// A coin of this amount that nobody else spends, with the transaction that made it.
fn coin(id: &str, owner: &Address, amount: u64) -> (Outpoint, Vec<u8>) {
    let from: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    let made = bitcoin::Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array(from), 0),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Sat::from_sat(amount),
            script_pubkey: ScriptBuf::from_bytes(owner.as_bytes().to_vec()),
        }],
    };
    let outpoint = Outpoint {
        txid: made.compute_txid().to_byte_array(),
        vout: 0,
    };
    (outpoint, serialize(&made))
}
