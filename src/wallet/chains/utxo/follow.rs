//! What blocks mean for a lane: save, match, confirm.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tx::{
    Amount, FeeTerms, Transaction,
    utxo::{self, Outpoint},
};

use super::{config::Config, keys::OwnKeys};
use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage},
    change::{BlockRead, Change, Coin, Gate, Spend},
    evidence::{BlockRef, DeathCertificate, Inclusion},
    lane::LaneView,
    nodes::{CoinBlock, CoinTransaction},
    view::outpoint,
};

/// What was made of blocks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Matched {
    /// The changes, block by block.
    pub(super) changes: Vec<Change>,
    /// What stands in the way of the next block.
    pub(super) stopped: Option<Stopped>,
}

/// Why a block is not saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// A transaction of an attempt is in it whose bytes are not durable here yet: the signer gives
    /// them again.
    Unsigned(AttemptNumber),
    /// It spends an own coin by a transaction that is none of ours, as far as is known here.
    Foreign {
        /// The changes that the block would make, and the halt.
        changes: Vec<Change>,
        /// What, for people.
        detail: String,
    },
    /// The node's bytes of a transaction are not those of its id.
    Garbage {
        /// What, for people.
        detail: String,
    },
}

/// Reads blocks, each on the one before, the first on the last one saved.
pub(super) struct Reader<'a> {
    view: &'a LaneView,
    keys: &'a OwnKeys,
    /// Attempts that may be included, by their transaction's id.
    attempts: BTreeMap<String, &'a Attempt>,
    /// Own coins that the blocks so far made.
    made: BTreeSet<Outpoint>,
    /// Own coins that they spent.
    spent: BTreeSet<Outpoint>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(view: &'a LaneView, keys: &'a OwnKeys) -> Self {
        let live = view.attempts.values().filter(|attempt| attempt.is_live());
        let attempts = live.filter_map(|attempt| Some((txid(attempt)?, attempt)));
        Self {
            view,
            keys,
            attempts: attempts.collect(),
            made: BTreeSet::new(),
            spent: BTreeSet::new(),
        }
    }

    pub(super) fn read(mut self, blocks: &[CoinBlock]) -> Matched {
        let mut matched = Matched::default();
        for block in blocks {
            match self.block(block) {
                Ok(changes) => matched.changes.extend(changes),
                Err(stopped) => {
                    matched.stopped = Some(stopped);
                    break;
                }
            }
        }
        matched
    }

    fn block(&mut self, block: &CoinBlock) -> Result<Vec<Change>, Stopped> {
        let mut read = BlockRead {
            block: block.block.clone(),
            previous: block.previous.clone(),
            made: Vec::new(),
            spent: Vec::new(),
        };
        let mut included = Vec::new();
        let mut foreign = None;
        for transaction in &block.transactions {
            let made = self.made_by(transaction, block.block.height)?;
            self.made.extend(made.iter().map(|coin| coin.outpoint));
            read.made.extend(made);
            let spends = self.spent_by(transaction);
            let attempt = self.attempts.get(&transaction.txid).copied();
            if let Some(attempt) = attempt {
                included.push(inclusion(attempt, &block.block, transaction)?);
            } else if let Some(spend) = spends.first() {
                foreign.get_or_insert_with(|| stranger(spend, &block.block));
            }
            self.spent.extend(spends.iter().map(|spend| spend.outpoint));
            read.spent.extend(spends);
        }
        let mut changes = vec![Change::Block(Box::new(read))];
        changes.extend(included);
        match foreign {
            Some(detail) => Err(halted(changes, detail)),
            None => Ok(changes),
        }
    }

    /// Own coins of a transaction.
    fn made_by(&self, transaction: &CoinTransaction, height: u64) -> Result<Vec<Coin>, Stopped> {
        let own = (0..).zip(&transaction.outputs);
        let own = own.filter_map(|(vout, (amount, script))| {
            let key = self.keys.by_script(script)?;
            Some((vout, *amount, key))
        });
        let own: Vec<_> = own.collect();
        if own.is_empty() {
            return Ok(Vec::new());
        }
        let (txid, previous) = stripped(transaction)?;
        let coins = own.into_iter().map(|(vout, amount, key)| Coin {
            outpoint: Outpoint { txid, vout },
            amount,
            key: key.name.clone(),
            script: Arc::clone(&key.script),
            previous: Arc::clone(&previous),
            height,
            coinbase: transaction.coinbase,
        });
        Ok(coins.collect())
    }

    fn spent_by(&self, transaction: &CoinTransaction) -> Vec<Spend> {
        let inputs = transaction.inputs.iter();
        let own = inputs.filter(|input| self.has(input));
        let spends = own.map(|input| Spend {
            outpoint: *input,
            txid: transaction.txid.clone(),
        });
        spends.collect()
    }

    fn has(&self, outpoint: &Outpoint) -> bool {
        let had = self.view.coins.contains_key(outpoint) || self.made.contains(outpoint);
        had && !self.spent.contains(outpoint)
    }
}

/// The transaction's id of an attempt, signed or not: signatures are no part of it.
pub(super) fn txid(attempt: &Attempt) -> Option<String> {
    if let Some(signed) = &attempt.signed {
        return Some(signed.transaction.txid.clone());
    }
    let Transaction::Psbt { chain, psbt } = &attempt.request.transaction else {
        return None;
    };
    let view = utxo::view(*chain, psbt).ok()?;
    let mut txid = utxo::stripped(&view.unsigned_bytes())?.txid;
    txid.reverse();
    Some(hex::encode(txid))
}

fn inclusion(
    attempt: &Attempt,
    block: &BlockRef,
    transaction: &CoinTransaction,
) -> Result<Change, Stopped> {
    if attempt.signed.is_none() {
        return Err(Stopped::Unsigned(attempt.number));
    }
    Ok(Change::Included {
        attempt: attempt.number,
        inclusion: Inclusion {
            block: block.clone(),
            txid: transaction.txid.clone(),
            fee: fee(attempt),
        },
    })
}

fn fee(attempt: &Attempt) -> Amount {
    match attempt.fee_terms {
        FeeTerms::Utxo { fee, .. } => Amount::from(fee),
        _ => Amount::ZERO,
    }
}

fn stripped(transaction: &CoinTransaction) -> Result<([u8; 32], Arc<[u8]>), Stopped> {
    let garbage = || Stopped::Garbage {
        detail: format!(
            "the bytes of transaction {} are not its own",
            transaction.txid
        ),
    };
    let stripped = utxo::stripped(&transaction.raw).ok_or_else(garbage)?;
    let mut shown = stripped.txid;
    shown.reverse();
    if hex::encode(shown) != transaction.txid {
        return Err(garbage());
    }
    Ok((stripped.txid, stripped.bytes.into()))
}

fn stranger(spend: &Spend, block: &BlockRef) -> String {
    let Spend { outpoint, txid } = spend;
    let height = block.height;
    format!("{outpoint} was spent at height {height} by {txid}, which this lane did not make")
}

fn halted(mut changes: Vec<Change>, detail: String) -> Stopped {
    changes.push(Change::Gate(Gate::Halted {
        detail: detail.clone(),
    }));
    Stopped::Foreign { changes, detail }
}

/// What it means that the blocks above one left the chain.
pub(super) fn rewind(view: &LaneView, to: &BlockRef) -> Vec<Change> {
    let mut changes = vec![Change::Rewind { to: to.clone() }];
    let mut excluded = BTreeSet::new();
    for attempt in view.attempts.values() {
        if let AttemptStage::Included(inclusion) = &attempt.stage
            && inclusion.block.height > to.height
        {
            excluded.insert(inclusion.txid.as_str());
            changes.push(Change::Excluded {
                attempt: attempt.number,
            });
        }
    }
    // A payment that counted as final is not in the chain any more: its coins must not be spent for
    // another.
    let left = view.spent.values();
    let left = left.filter(|(_, height, _)| *height > to.height);
    let mut settled = left.filter(|(_, _, txid)| !excluded.contains(txid.as_str()));
    if let Some((_, height, txid)) = settled.next() {
        let detail =
            format!("{txid}, which counted as final, left the chain with the block at {height}");
        changes.push(Change::Gate(Gate::Halted { detail }));
    }
    changes
}

/// No known block is on the chain any more.
pub(super) fn uprooted() -> Vec<Change> {
    let detail = "the chain has changed deeper than is remembered here".into();
    vec![Change::Gate(Gate::Halted { detail })]
}

/// What is final and what is dead by what is known of the chain.
pub(super) fn settle(view: &LaneView, config: &Config) -> Vec<Change> {
    let Some(tip) = view.tip() else {
        return Vec::new();
    };
    let attempts = view.attempts.values();
    let settled = attempts.filter_map(|attempt| match &attempt.stage {
        AttemptStage::Included(inclusion) => confirmed(view, config, attempt, inclusion, tip),
        _ if attempt.is_live() => conflict(view, attempt, tip),
        _ => None,
    });
    settled.collect()
}

fn confirmed(
    view: &LaneView,
    config: &Config,
    attempt: &Attempt,
    inclusion: &Inclusion,
    tip: &BlockRef,
) -> Option<Change> {
    let block = &inclusion.block;
    let oldest = view.blocks.front()?.height;
    // What is older than all that is kept was among them, and has not left since.
    let stands = block.height < oldest || view.blocks.contains(block);
    let needed = config.confirmations_of(paid(view, attempt));
    (stands && depth(tip, block.height) >= needed).then(|| Change::Final {
        attempt: attempt.number,
        inclusion: inclusion.clone(),
        tip: tip.clone(),
    })
}

/// An attempt is dead once a transaction that is none of its set has spent a coin of it, for good.
fn conflict(view: &LaneView, attempt: &Attempt, tip: &BlockRef) -> Option<Change> {
    let own: Vec<_> = view.set(attempt.set).filter_map(txid).collect();
    attempt.keys.iter().find_map(|key| {
        let (_, height, txid) = view.spent.get(&outpoint(key)?)?;
        let block = view.blocks.iter().find(|block| block.height == *height)?;
        let deep = depth(tip, *height) >= FOREIGN_DEPTH;
        (deep && !own.contains(txid)).then(|| Change::Dead {
            attempt: attempt.number,
            certificate: DeathCertificate::Conflict {
                key: key.clone(),
                winner: Inclusion {
                    block: block.clone(),
                    txid: txid.clone(),
                    fee: Amount::ZERO,
                },
                tip: tip.clone(),
            },
        })
    })
}

/// How deep a stranger's transaction must be before an attempt is dead by it: as deep as a coinbase.
const FOREIGN_DEPTH: u64 = 100;

/// The confirmations of a height, its own block included.
pub(super) fn depth(tip: &BlockRef, height: u64) -> u64 {
    match tip.height.checked_sub(height) {
        Some(above) => above.saturating_add(1),
        None => 0,
    }
}

/// What an attempt pays in all, in satoshi; of what was found in the signer's journal it is not known,
/// and taken to be much.
fn paid(view: &LaneView, attempt: &Attempt) -> u64 {
    let amounts = attempt.pays.iter().map(|number| {
        let withdrawal = view.withdrawals.get(number);
        withdrawal.and_then(|withdrawal| withdrawal.amount().to_u64())
    });
    amounts
        .reduce(|sum, amount| sum?.checked_add(amount?))
        .flatten()
        .unwrap_or(u64::MAX)
}
