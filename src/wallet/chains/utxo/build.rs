//! Building attempts: payouts together, and replacements that pay more.

use std::{collections::BTreeSet, sync::Arc};

use api::signing::{BODY_MAX, SignRequest, SignedIntent};
use tx::{
    Amount, AssetKind, Chain, ConflictKey, FeeTerms, Time, Transaction,
    utxo::{Draft, DraftInput, DraftOutput, INPUTS_MAX, Outpoint, Refusal, dust, weight::Contents},
};

use super::{
    config::Config,
    follow::{depth, txid},
    keys::OwnKeys,
    selection::{self, Problem, Selection, SelectionError},
};
use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage, Purpose},
    change::Coin,
    lane::LaneView,
    view::outpoint,
    withdrawal::{Withdrawal, WithdrawalNumber},
};

/// Replaceable (BIP-125), no relative lock.
const SEQUENCE: u32 = 0xffff_fffd;
/// The bytes of a request that are left for what is not counted before.
const REQUEST_MARGIN: usize = 4_096;

/// What attempts are built from.
pub(super) struct Builder<'a> {
    pub(super) view: &'a LaneView,
    pub(super) keys: &'a OwnKeys,
    pub(super) config: &'a Config,
    /// Coins that are not to be used.
    pub(super) avoided: &'a BTreeSet<Outpoint>,
    /// What is paid for a vbyte now.
    pub(super) fee_rate_sat_vb: u64,
    pub(super) at: Time,
}

/// Why nothing is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BuildError {
    /// Too little can be spent now.
    Funds {
        /// What there is, for people.
        detail: String,
    },
    /// The fee is above what an intent allows, or the rate above the ceiling.
    Fee {
        /// What it would be, for people.
        detail: String,
    },
    /// The transaction is larger than the signer takes.
    Size,
    /// There is no such transaction.
    Unbuildable {
        /// Why, for people.
        detail: String,
    },
}

/// What binds the choice of coins.
struct Inputs<'a> {
    /// What the coins hold that must be spent.
    required: &'a [u64],
    /// The fee of what is replaced.
    replaced_fee: Option<u64>,
    inputs_max: usize,
}

/// A transaction whose coins are chosen.
struct Chosen<'a> {
    number: AttemptNumber,
    set: AttemptNumber,
    anchor: Option<ConflictKey>,
    members: &'a [&'a Withdrawal],
    coins: Vec<&'a Coin>,
    selection: Selection,
    replaces: Vec<u64>,
}

impl<'a> Builder<'a> {
    /// A new set that pays these withdrawals.
    pub(super) fn payout(&self, members: &[&Withdrawal]) -> Result<Attempt, BuildError> {
        let number = self.view.row.next_attempt;
        self.fitting(|inputs_max| {
            let coins = self.spendable();
            let inputs = Inputs {
                required: &[],
                replaced_fee: None,
                inputs_max,
            };
            let selection = self.select(members, &coins, &inputs)?;
            self.check_fee(members, selection.fee)?;
            let chosen = selection.coins.iter().filter_map(|at| coins.get(*at));
            self.attempt(Chosen {
                number,
                set: number,
                anchor: None,
                members,
                coins: chosen.copied().collect(),
                selection,
                replaces: Vec::new(),
            })
        })
    }

    /// A further attempt of a set, which spends what `older` spends and pays more for it.
    pub(super) fn replacement(&self, older: &Attempt) -> Result<Attempt, BuildError> {
        let members = older.pays.iter().map(|number| self.member(*number));
        let members: Vec<_> = members.collect::<Result<_, _>>()?;
        let required: Vec<&Coin> = older
            .keys
            .iter()
            .map(|key| self.coin(key))
            .collect::<Result<_, _>>()?;
        let signed = self.view.set(older.set).filter(|had| had.signed.is_some());
        let signed: Vec<&Attempt> = signed.collect();
        let replaced_fee = signed.iter().map(|had| fee(had)).max().unwrap_or_default();
        let raised = Builder {
            fee_rate_sat_vb: self.fee_rate_sat_vb.max(rate(older).saturating_add(1)),
            ..*self
        };
        raised.check_rate()?;
        let mut replaces: Vec<u64> = signed
            .iter()
            .filter_map(|had| Some(had.signed.as_ref()?.attempt))
            .collect();
        replaces.sort_unstable();
        raised.fitting(|inputs_max| {
            let coins = raised.spendable();
            let held: Vec<u64> = required.iter().map(|coin| coin.amount).collect();
            let inputs = Inputs {
                required: &held,
                replaced_fee: Some(replaced_fee),
                inputs_max,
            };
            let selection = raised.select(&members, &coins, &inputs)?;
            raised.check_fee(&members, selection.fee)?;
            let further = selection.coins.iter().filter_map(|at| coins.get(*at));
            raised.attempt(Chosen {
                number: self.view.row.next_attempt,
                set: older.set,
                anchor: Some(older.anchor.clone()),
                members: &members,
                coins: required.iter().chain(further).copied().collect(),
                selection,
                replaces: replaces.clone(),
            })
        })
    }

    /// The largest transaction of this kind that the signer takes: with fewer coins where many make
    /// it too large.
    fn fitting(
        &self,
        build: impl Fn(usize) -> Result<Attempt, BuildError>,
    ) -> Result<Attempt, BuildError> {
        let mut inputs_max = INPUTS_MAX;
        loop {
            match build(inputs_max) {
                Err(BuildError::Size) if inputs_max > 1 => {
                    inputs_max = inputs_max.div_euclid(2);
                }
                built => return built,
            }
        }
    }

    fn member(&self, number: WithdrawalNumber) -> Result<&'a Withdrawal, BuildError> {
        let known = self.view.withdrawals.get(&number);
        known.ok_or_else(|| unbuildable("a withdrawal of the set is not known"))
    }

    fn coin(&self, key: &ConflictKey) -> Result<&'a Coin, BuildError> {
        let coin = outpoint(key).and_then(|outpoint| self.view.coins.get(&outpoint));
        coin.ok_or_else(|| unbuildable("a coin of the set is spent"))
    }

    /// What may be spent, deep enough, in the order of the outpoints. Change of an attempt that is not
    /// final yet may not: were its block to leave the chain and another attempt of its set included,
    /// whatever spends the change could never be.
    fn spendable(&self) -> Vec<&'a Coin> {
        let Some(tip) = self.view.tip() else {
            return Vec::new();
        };
        let deep = self.config.coin_confirmations;
        let open: BTreeSet<String> = self.view.attempts.values().filter_map(txid).collect();
        let coins = self.view.spendable_coins();
        coins
            .filter(|coin| depth(tip, coin.height) >= deep)
            .filter(|coin| !self.avoided.contains(&coin.outpoint))
            .filter(|coin| !open.contains(&shown_txid(coin.outpoint)))
            .collect()
    }

    fn select(
        &self,
        members: &[&Withdrawal],
        coins: &[&Coin],
        inputs: &Inputs<'_>,
    ) -> Result<Selection, BuildError> {
        let amounts: Vec<u64> = coins.iter().map(|coin| coin.amount).collect();
        let mut outputs = Contents::default();
        let mut amount: u64 = 0;
        for member in members {
            outputs = outputs.with_output(member.intent.destination.as_bytes().len());
            let paid = member.amount().to_u64();
            let sum = paid.and_then(|paid| amount.checked_add(paid));
            amount = sum.ok_or_else(|| unbuildable("the amount is out of range"))?;
        }
        let problem = Problem {
            coins: &amounts,
            required: inputs.required,
            amount,
            outputs,
            fee_rate_sat_vb: self.fee_rate_sat_vb,
            long_term_fee_rate_sat_vb: self.config.fee_rate_long_term_sat_vb,
            replaced_fee: inputs.replaced_fee,
            costs: self.keys.costs(),
            inputs_max: inputs.inputs_max,
        };
        selection::select(&problem).map_err(|error| match error {
            SelectionError::Overflow => unbuildable("the amount is out of range"),
            short => BuildError::Funds {
                detail: short.to_string(),
            },
        })
    }

    fn check_rate(&self) -> Result<(), BuildError> {
        let (rate, ceiling) = (self.fee_rate_sat_vb, self.config.fee_rate_ceiling_sat_vb);
        if rate <= ceiling {
            return Ok(());
        }
        Err(BuildError::Fee {
            detail: format!("{rate} sat/vB are needed, and at most {ceiling} are paid"),
        })
    }

    /// The members share the fee equally, and none bears more than its intent allows. (The signer
    /// allows what they allow together, which is never less.)
    fn check_fee(&self, members: &[&Withdrawal], fee: u64) -> Result<(), BuildError> {
        let count = u64::try_from(members.len()).unwrap_or(u64::MAX).max(1);
        let share = Amount::from(fee.div_ceil(count));
        let least = members.iter().map(|member| member.intent.max_fee).min();
        match least {
            Some(least) if share > least => Err(BuildError::Fee {
                detail: format!("the fee would be {share} satoshi, and the intent allows {least}"),
            }),
            _ => Ok(()),
        }
    }

    fn attempt(&self, mut chosen: Chosen<'_>) -> Result<Attempt, BuildError> {
        // The order that nobody can tell anything from (BIP-69's, for inputs).
        chosen.coins.sort_by_key(|coin| coin.outpoint);
        // The order in which the signer's journal keeps intents: what is rebuilt from there after a
        // restore is then exactly what was asked.
        let mut members = chosen.members.to_vec();
        members.sort_by(|one, other| one.intent.id.cmp(&other.intent.id));
        let chosen = Chosen {
            members: &members,
            ..chosen
        };
        let row = &self.view.row;
        let chain = row.id.chain;
        let keys: BTreeSet<_> = chosen
            .coins
            .iter()
            .map(|coin| conflict_key(chain, coin.outpoint))
            .collect();
        let first = keys.first().cloned();
        let anchor = chosen.anchor.clone().or(first);
        let anchor = anchor.ok_or_else(|| unbuildable("it spends nothing"))?;
        let request = self.request(&chosen)?;
        let inputs = Contents::default().with_inputs(chosen.coins.len(), self.keys.costs());
        let contents = chosen.members.iter().fold(inputs, |contents, member| {
            contents.with_output(member.intent.destination.as_bytes().len())
        });
        let change = chosen.selection.change;
        let contents = change.map_or(contents, |_| {
            contents.with_output(self.keys.costs().script_length)
        });
        Ok(Attempt {
            number: chosen.number,
            set: chosen.set,
            purpose: Purpose::Payout,
            keys,
            anchor,
            pays: chosen.members.iter().map(|member| member.number).collect(),
            request: Arc::new(request),
            fee_terms: FeeTerms::Utxo {
                fee: chosen.selection.fee,
                vsize: contents.vsize(),
            },
            created_at: self.at,
            stage: AttemptStage::Reserved,
            signed: None,
        })
    }

    fn request(&self, chosen: &Chosen<'_>) -> Result<SignRequest, BuildError> {
        let row = &self.view.row;
        let chain = row.id.chain;
        let intents = chosen.members.iter().map(|member| SignedIntent {
            intent: member.intent.clone(),
            signatures: Vec::new(),
        });
        let request = SignRequest {
            request_id: row.id.request_id(chosen.number),
            lane_epoch: row.epoch,
            intents: intents.collect(),
            replaces: chosen.replaces.clone(),
            transaction: Transaction::Psbt {
                chain,
                psbt: self.psbt(chain, chosen)?,
            },
            proofs: Vec::new(),
        };
        let bytes = serde_json::to_vec(&request).map_err(|error| BuildError::Unbuildable {
            detail: format!("the request has no JSON form: {error}"),
        })?;
        if bytes.len().saturating_add(REQUEST_MARGIN) > BODY_MAX {
            return Err(BuildError::Size);
        }
        Ok(request)
    }

    fn psbt(&self, chain: Chain, chosen: &Chosen<'_>) -> Result<String, BuildError> {
        let inputs = chosen.coins.iter().map(|coin| DraftInput {
            outpoint: coin.outpoint,
            previous: coin.previous.to_vec(),
            sequence: SEQUENCE,
        });
        let paid = chosen.members.iter().map(|member| {
            let amount = member.amount().to_u64();
            Some(DraftOutput {
                address: member.intent.destination.clone(),
                amount: amount?,
            })
        });
        let change = chosen.selection.change.map(|amount| {
            let key = self.keys.change(chosen.set.0)?;
            Some(DraftOutput {
                address: key.address.clone(),
                amount,
            })
        });
        let outputs: Option<_> = paid.chain(change).collect();
        let draft = Draft {
            chain,
            lock_time: 0,
            inputs: inputs.collect(),
            outputs: outputs.ok_or_else(|| unbuildable("the amount is out of range"))?,
        };
        draft.psbt().map_err(|refusal| match refusal {
            Refusal::Size => BuildError::Size,
            refusal => BuildError::Unbuildable {
                detail: refusal.to_string(),
            },
        })
    }
}

/// Why a withdrawal is in no transaction of this lane, whatever coins there are.
pub(super) fn unpayable(
    view: &LaneView,
    keys: &OwnKeys,
    withdrawal: &Withdrawal,
) -> Option<String> {
    let intent = &withdrawal.intent;
    let chain = view.row.id.chain;
    let script = intent.destination.as_bytes();
    if intent.asset.chain != chain || intent.asset.kind != AssetKind::Native {
        return Some(format!("{} is not paid on {chain}", intent.asset));
    }
    if intent.tag.is_some() {
        return Some(format!("{chain} has no tags"));
    }
    if keys.by_script(script).is_some() {
        return Some("the destination is the hot wallet's own".into());
    }
    let Some(least) = dust(chain, script) else {
        return Some("the destination has no script that is paid".into());
    };
    match intent.amount.to_u64() {
        None => Some("the amount is more than there is".into()),
        Some(amount) if amount < least => {
            Some(format!("{amount} satoshi are dust; {least} are not"))
        }
        Some(_) => None,
    }
}

fn shown_txid(outpoint: Outpoint) -> String {
    let mut txid = outpoint.txid;
    txid.reverse();
    hex::encode(txid)
}

/// The conflict key of an outpoint.
pub(super) fn conflict_key(chain: Chain, outpoint: Outpoint) -> ConflictKey {
    ConflictKey::Outpoint {
        chain,
        txid: outpoint.txid,
        vout: outpoint.vout,
    }
}

fn fee(attempt: &Attempt) -> u64 {
    match attempt.fee_terms {
        FeeTerms::Utxo { fee, .. } => fee,
        _ => 0,
    }
}

/// What an attempt pays for a vbyte, rounded up.
fn rate(attempt: &Attempt) -> u64 {
    match attempt.fee_terms {
        FeeTerms::Utxo { fee, vsize } => fee.checked_div(vsize).map_or(0, |rate| {
            let exact = rate.saturating_mul(vsize) == fee;
            rate.saturating_add(u64::from(!exact))
        }),
        _ => 0,
    }
}

fn unbuildable(detail: &str) -> BuildError {
    BuildError::Unbuildable {
        detail: detail.into(),
    }
}
