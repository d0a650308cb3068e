//! Building attempts.

use std::{collections::BTreeSet, sync::Arc};

use api::signing::{SignRequest, SignedIntent};
use tx::{
    Address, Amount, AssetKind, ConflictKey, FeeTerms, Intent, Time, Transaction,
    evm::{Action, Refusal, Terms, Unsigned},
};

use super::fees::Caps;
use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage, Purpose},
    lane::{LaneRow, LaneView},
    withdrawal::WithdrawalNumber,
};

/// What an attempt is made of.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) number: AttemptNumber,
    pub(super) set: AttemptNumber,
    pub(super) nonce: u64,
    pub(super) gas_limit: u64,
    pub(super) caps: Caps,
    /// The withdrawal that it pays; a cancellation pays none.
    pub(super) pays: Option<(WithdrawalNumber, Intent)>,
    /// The journal indexes of what it replaces.
    pub(super) replaces: Vec<u64>,
    pub(super) at: Time,
}

/// What an attempt takes from the address if it is included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// The value and the highest fee, in wei.
    pub(super) native: Amount,
    /// What it takes of a token.
    pub(super) token: Option<(Address, Amount)>,
}

impl Plan {
    /// The attempt, reserved.
    pub(super) fn attempt(self, row: &LaneRow, sender: &Address) -> Result<Attempt, Refusal> {
        let action = match &self.pays {
            Some((_, intent)) => action(intent),
            None => Action::cancellation(sender.clone()),
        };
        let terms = Terms {
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            fees: self.caps.fees(),
        };
        let unsigned = Unsigned::new(row.id.chain, terms, action)?;
        let anchor = ConflictKey::Nonce {
            account: sender.clone(),
            nonce: self.nonce,
        };
        let purpose = match self.pays {
            Some(_) => Purpose::Payout,
            None => Purpose::Cancellation,
        };
        // As the signer's journal keeps them: what is rebuilt from there is then exactly what was asked.
        let mut replaces = self.replaces;
        replaces.sort_unstable();
        replaces.dedup();
        let (pays, intents) = self.pays.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        let request = SignRequest {
            request_id: row.id.request_id(self.number),
            lane_epoch: row.epoch,
            intents: intents.into_iter().map(unsigned_intent).collect(),
            replaces,
            transaction: Transaction::Eip2718 {
                chain: row.id.chain,
                from: sender.to_string(),
                payload: unsigned.payload(),
            },
            proofs: Vec::new(),
        };
        Ok(Attempt {
            number: self.number,
            set: self.set,
            purpose,
            keys: BTreeSet::from([anchor.clone()]),
            anchor,
            pays,
            request: Arc::new(request),
            fee_terms: FeeTerms::Evm {
                max_fee_per_gas: self.caps.max_fee.into(),
                max_priority_fee_per_gas: self.caps.priority_fee.into(),
                gas_limit: self.gas_limit,
            },
            created_at: self.at,
            stage: AttemptStage::Reserved,
            signed: None,
        })
    }
}

fn unsigned_intent(intent: Intent) -> SignedIntent {
    SignedIntent {
        intent,
        signatures: Vec::new(),
    }
}

/// What pays an intent.
pub(super) fn action(intent: &Intent) -> Action {
    let to = intent.destination.clone();
    match &intent.asset.kind {
        AssetKind::Erc20(token) => Action::Erc20 {
            token: token.clone(),
            to,
            amount: intent.amount,
        },
        _ => Action::Native {
            to,
            value: intent.amount,
        },
    }
}

/// The token that an intent pays in.
pub(super) fn token(intent: &Intent) -> Option<&Address> {
    match &intent.asset.kind {
        AssetKind::Erc20(token) => Some(token),
        _ => None,
    }
}

/// The gas limit of an attempt.
pub(super) fn gas_limit(terms: &FeeTerms) -> u64 {
    match terms {
        FeeTerms::Evm { gas_limit, .. } => *gas_limit,
        _ => 0,
    }
}

impl Cost {
    /// What paying an intent takes, with this fee at most.
    pub(super) fn of(intent: Option<&Intent>, fee: Amount) -> Self {
        let Some(intent) = intent else {
            return Self {
                native: fee,
                token: None,
            };
        };
        match token(intent) {
            Some(token) => Self {
                native: fee,
                token: Some((token.clone(), intent.amount)),
            },
            None => Self {
                native: fee.checked_add(intent.amount).unwrap_or(Amount::MAX),
                token: None,
            },
        }
    }

    /// What an attempt takes.
    pub(super) fn of_attempt(view: &LaneView, attempt: &Attempt) -> Self {
        let paid = attempt.pays.first();
        let paid = paid.and_then(|number| view.withdrawals.get(number));
        let fee = fee_max(&attempt.fee_terms);
        Self::of(paid.map(|withdrawal| &withdrawal.intent), fee)
    }
}

/// The most that inclusion costs.
pub(super) fn fee_max(terms: &FeeTerms) -> Amount {
    match terms {
        FeeTerms::Evm {
            max_fee_per_gas,
            gas_limit,
            ..
        } => max_fee_per_gas
            .checked_mul((*gas_limit).into())
            .unwrap_or(Amount::MAX),
        _ => Amount::MAX,
    }
}
