//! The transaction of a case: one that a coordinator would build, over coins that are made up.

use std::collections::BTreeSet;

use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount as Sat, OutPoint, ScriptBuf, Sequence, TxIn, TxOut, Txid, Witness, absolute::LockTime,
    transaction::Version,
};
use num_bigint::BigUint;
use policy::bundle::{self, QuantityError};
use policy::{AttemptId, Policy, SignedIntent, State};
use sha2::{Digest, Sha256};
use tx::evm::{Action, Fees, Terms, Unsigned};
use tx::utxo::{Draft, DraftInput, DraftOutput, INPUTS_MAX, Outpoint};
use tx::{
    Address, Amount, Asset, AssetKind, Chain, ConflictKey, EffectKind, FeeTerms, Intent, IntentId,
    Name, Time, Transaction,
};

use super::call::{self, UncalledError};
use super::file::{Approved, Called, Payment};

/// What a plain transfer takes, and what is set aside for one of a token, and for a call.
const NATIVE_GAS: u64 = 21_000;
const TOKEN_GAS: u64 = 65_000;
const CALL_GAS: u64 = 200_000;
/// The most gas of a transaction, and how many numbers of gas are tried for a fee.
const GAS_MAX: u64 = 30_000_000;
const GAS_TRIED: u64 = 100_000;
/// Virtual bytes of a transaction around inputs and outputs, of an input, and of an output, at the most.
const AROUND_VBYTES: u64 = 11;
const INPUT_VBYTES: u64 = 68;
const OUTPUT_VBYTES: u64 = 43;
/// An input that can be replaced (BIP-125).
const SEQUENCE: u32 = 0xffff_fffd;
/// What comes back where nothing is paid, in satoshi.
const CHANGE: u64 = 100_000;
/// What is too little for an output of its own, in satoshi.
const DUST: u64 = 1_000;
/// The highest fee of an intent, in fees of the attempt that it is made for: room for replacements.
const FEES_MAX: u64 = 10;
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
    /// A transaction that is given says the rest by itself.
    #[error("with `transaction`, only `pay` with the `source` of each intent says more")]
    Given,
    /// Another account pays.
    #[error("the transaction is of account {0}")]
    GivenAccount(Name),
    /// What is replaced is on another chain.
    #[error("what it replaces is on another chain, or of another key")]
    Replaced,
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
    /// The very transaction, in place of one that is made.
    pub transaction: Option<&'a Transaction>,
    pub replaces: Option<Replacement<'a>>,
    pub chain: Option<Chain>,
    pub fee_rate: Option<&'a str>,
    /// What its intents are named after and when they were issued, where that is not by its own id and time.
    pub issued: Option<(String, Time)>,
    /// What it costs at most, where that is not by the rate.
    pub fee: Option<Amount>,
    pub at: Time,
}

/// What is to be replaced.
#[derive(Clone)]
pub struct Replacement<'a> {
    pub of: &'a Signed,
    /// Every attempt that consumes what it consumes, itself included.
    pub attempts: Vec<AttemptId>,
    /// What the one of these offers that offers most.
    pub most: FeeTerms,
}

/// A transaction that was signed before.
pub struct Signed {
    pub attempt: AttemptId,
    pub keys: BTreeSet<ConflictKey>,
    pub terms: FeeTerms,
    pub intents: Vec<SignedIntent>,
    pub coins: Vec<Coin>,
}

/// A coin that is spent.
#[derive(Clone)]
pub struct Coin {
    input: DraftInput,
    amount: u64,
}

/// A transaction and the intents that it pays.
pub struct Made {
    pub transaction: Transaction,
    pub intents: Vec<SignedIntent>,
    /// What it spends, on a Bitcoin-like chain.
    pub coins: Vec<Coin>,
}

/// A transaction, and its fee at the most.
struct Built {
    transaction: Transaction,
    fee: Amount,
    coins: Vec<Coin>,
}

impl<'a> Order<'a> {
    /// A cancellation, or the payment of nothing.
    pub const fn new(id: String, account: &'a Name, at: Time) -> Self {
        Self {
            id,
            account,
            at,
            key: None,
            pay: &[],
            call: None,
            approve: None,
            transaction: None,
            replaces: None,
            chain: None,
            fee_rate: None,
            issued: None,
            fee: None,
        }
    }

    /// What it replaces.
    fn replaced(&self) -> Option<&'a Signed> {
        self.replaces.as_ref().map(|replaces| replaces.of)
    }
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
    let from = || payer(policy, state, order, chain);
    let from = order
        .transaction
        .map_or_else(|| from().map(Ok), |given| Ok(Err(given)))?;
    let outputs = order
        .pay
        .iter()
        .map(|pay| output(policy, state, pay, chain));
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    let built = match (from, chain) {
        (Err(given), _) => as_given(policy, state, order, given)?,
        (Ok(from), Chain::Evm(_)) => evm(policy, state, order, (chain, &from, &outputs))?,
        (Ok(from), _) => utxo(order, (chain, &from, &outputs))?,
    };
    Ok(Made {
        intents: intents(state, order, outputs, built.fee)?,
        transaction: built.transaction,
        coins: built.coins,
    })
}

/// The transaction that the order gives, understood as a signer understands it.
fn as_given(
    policy: &Policy,
    state: &State,
    order: &Order<'_>,
    given: &Transaction,
) -> Result<Built, UnbuiltError> {
    let says_more = order.call.is_some() || order.approve.is_some() || order.chain.is_some();
    let says_more = says_more || order.key.is_some() || order.fee_rate.is_some();
    if says_more || order.pay.iter().any(|pay| pay.source.is_none()) {
        return Err(UnbuiltError::Given);
    }
    let rules = policy.chain_rules(given.chain());
    let decoded = tx::decode(given, &state.registry(), rules).map_err(UnbuiltError::Refused)?;
    if decoded.account() != order.account {
        return Err(UnbuiltError::GivenAccount(decoded.account().clone()));
    }
    let mut effects = decoded.effects().iter();
    let fee = effects.find(|effect| effect.kind == EffectKind::Fee);
    Ok(Built {
        transaction: given.clone(),
        fee: fee.map_or(Amount::default(), |fee| fee.amount),
        coins: Vec::new(),
    })
}

/// The intents of what is paid: those of what it replaces, where they ask for the same.
fn intents(
    state: &State,
    order: &Order<'_>,
    outputs: Vec<Output>,
    fee: Amount,
) -> Result<Vec<SignedIntent>, UnbuiltError> {
    let mut before = order
        .replaced()
        .map_or_else(Vec::new, |signed| signed.intents.clone());
    let mut intents = Vec::new();
    let own = (order.id.clone(), order.at);
    let (named, issued_at) = order.issued.as_ref().unwrap_or(&own);
    for (number, (pay, output)) in order.pay.iter().zip(outputs).enumerate() {
        let Some(source) = &pay.source else { continue };
        let same = |signed: &SignedIntent| {
            let Intent { id, tag, .. } = &signed.intent;
            (&id.source, tag) == (source, &pay.tag) && output.is_of(&signed.intent)
        };
        if let Some(same) = before.iter().position(same) {
            intents.push(before.swap_remove(same));
            continue;
        }
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
            max_fee: fee.checked_mul(FEES_MAX.into()).unwrap_or(fee),
            expires: issued_at.after_millis(INTENT_MILLIS),
        };
        let signatures = Vec::new();
        intents.push(SignedIntent { intent, signatures });
    }
    Ok(intents)
}

impl Output {
    fn is_of(&self, intent: &Intent) -> bool {
        (&self.asset, self.amount, &self.to) == (&intent.asset, intent.amount, &intent.destination)
    }
}

fn chain(policy: &Policy, order: &Order<'_>) -> Result<Chain, UnbuiltError> {
    let mut chain = order.transaction.map(Transaction::chain).or(order.chain);
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
) -> Result<Built, UnbuiltError> {
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
    let least = order.replaces.as_ref().map(a_tenth_more).transpose()?;
    let rate = match (order.fee_rate, least) {
        (None, Some(least)) => least,
        (said, _) => {
            let said = said.unwrap_or("20 gwei");
            bundle::fee_rate(said, chain).map_err(UnbuiltError::Quantity)?
        }
    };
    let (gas_limit, rate) = match order.fee {
        Some(fee) => gas_of(fee, gas_limit).ok_or(UnbuiltError::Fee(fee))?,
        None => (gas_limit, rate),
    };
    let terms = Terms {
        nonce: match order.replaced() {
            Some(signed) => nonce_of(signed, from)?,
            None => nonce(policy, state, from),
        },
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
    Ok(Built {
        transaction,
        fee: unsigned.fee_max(),
        coins: Vec::new(),
    })
}

/// The least that replaces it, a unit of gas.
fn a_tenth_more(replaces: &Replacement<'_>) -> Result<Amount, UnbuiltError> {
    let FeeTerms::Evm {
        max_fee_per_gas: rate,
        ..
    } = replaces.most
    else {
        return Err(UnbuiltError::Replaced);
    };
    let more = (BigUint::from_bytes_be(&rate.to_be_bytes()) * 11_u32 + 9_u32) / 10_u32;
    let more = more.to_string().parse();
    more.map_err(|_| UnbuiltError::TooMuch(rate.to_string()))
}

fn nonce_of(signed: &Signed, from: &Address) -> Result<u64, UnbuiltError> {
    let mut nonces = signed.keys.iter().filter_map(|key| match key {
        ConflictKey::Nonce { account, nonce } if account == from => Some(*nonce),
        _ => None,
    });
    nonces.next().ok_or(UnbuiltError::Replaced)
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
) -> Result<Built, UnbuiltError> {
    let too_much = |what: &Amount| UnbuiltError::TooMuch(what.to_string());
    let mut drafts = paid(order, (chain, from, outputs))?;
    let fee = utxo_fee(order, chain, drafts.len())?;
    let mut amounts = drafts.iter().map(|draft| draft.amount);
    let sum = amounts.try_fold(
        fee.to_u64().ok_or_else(|| too_much(&fee))?,
        u64::checked_add,
    );
    let sum = sum.ok_or_else(|| too_much(&fee))?;
    let coins = match order.replaced() {
        None => spent(order, from, sum),
        Some(signed) => again(order, from, (sum, signed))?,
    };
    let spent: u64 = coins.iter().map(|coin| coin.amount).sum();
    let rest = spent.saturating_sub(sum);
    if rest >= DUST {
        drafts.push(DraftOutput {
            address: from.clone(),
            amount: rest,
        });
    }
    let draft = Draft {
        chain,
        lock_time: 0,
        inputs: coins.iter().map(|coin| coin.input.clone()).collect(),
        outputs: drafts,
    };
    let refused = |refusal| UnbuiltError::Refused(tx::Refusal::Utxo(refusal));
    let psbt = draft.psbt().map_err(refused)?;
    Ok(Built {
        transaction: Transaction::Psbt { chain, psbt },
        fee,
        coins,
    })
}

/// The fee that is asked for, by the rate, or the least that replaces what is replaced.
fn utxo_fee(order: &Order<'_>, chain: Chain, outputs: usize) -> Result<Amount, UnbuiltError> {
    let rate = order.fee_rate.unwrap_or("10 sat/vb");
    let rate = bundle::fee_rate(rate, chain).map_err(UnbuiltError::Quantity)?;
    let vbytes = |inputs: u64, outputs: usize| {
        AROUND_VBYTES + INPUT_VBYTES * inputs + OUTPUT_VBYTES * outputs as u64
    };
    let fee = match (order.fee, &order.replaces) {
        (Some(fee), _) => Some(fee),
        (None, None) => rate.checked_mul(vbytes(1, outputs).into()),
        (None, Some(replaces)) => {
            let FeeTerms::Utxo { fee: before, .. } = replaces.most else {
                return Err(UnbuiltError::Replaced);
            };
            // One coin more and change, at the most.
            let vbytes = vbytes(replaces.of.coins.len() as u64 + 1, outputs + 1);
            let least = Amount::from(before.saturating_add(vbytes));
            match order.fee_rate {
                None => Some(least),
                Some(_) => rate.checked_mul(vbytes.into()),
            }
        }
    };
    fee.ok_or_else(|| UnbuiltError::TooMuch(rate.to_string()))
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
fn spent(order: &Order<'_>, from: &Address, sum: u64) -> Vec<Coin> {
    let many = order.fee.is_some_and(|fee| !fee.is_zero()) && sum >= INPUTS_MAX as u64;
    let count = if many { INPUTS_MAX as u64 } else { 1 };
    let each = sum / count;
    let coins = (0..count).map(|number| match number {
        0 => coin(&order.id, from, sum - each * (count - 1)),
        _ => coin(&format!("{}/{number}", order.id), from, each),
    });
    coins.collect()
}

/// The coins of what is replaced, and one more where they are less than this sum.
fn again(
    order: &Order<'_>,
    from: &Address,
    (sum, signed): (u64, &Signed),
) -> Result<Vec<Coin>, UnbuiltError> {
    if signed.coins.is_empty() {
        return Err(UnbuiltError::Replaced);
    }
    let mut coins = signed.coins.clone();
    let there: u64 = coins.iter().map(|coin| coin.amount).sum();
    if there < sum {
        coins.push(coin(&order.id, from, sum - there));
    }
    Ok(coins)
}

/// A coin of this amount that nobody else spends, with the transaction that made it.
fn coin(id: &str, owner: &Address, amount: u64) -> Coin {
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
    Coin {
        input: DraftInput {
            outpoint,
            previous: serialize(&made),
            sequence: SEQUENCE,
        },
        amount,
    }
}
