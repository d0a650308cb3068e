//! Reading a receipt without the request: what a coordinator that lost its database learns from the
//! signer's journal.

use std::collections::BTreeSet;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tx::{Chain, ConflictKey, FeeTerms, Interval, Name, Transaction};

use super::{Blob, ReceiptError, digits, known, same};
use crate::signing::{Receipt, SignRequest, SignedIntent, Statement};

/// What a receipt says was asked for. It is the signer's own word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Recorded {
    /// The attempt: the index of the journal entry.
    pub attempt: u64,
    /// When it was decided.
    pub time: Interval,
    /// The client, as the signer knows it.
    pub client: Name,
    /// The client's id of the request.
    pub request_id: String,
    /// The lane: `eip155:1:0x…` for an EVM address, `<chain>:<account>` elsewhere.
    pub lane: String,
    /// The epoch of the lane's owner.
    pub lane_epoch: u64,
    /// The chain.
    pub chain: Chain,
    /// The account that is debited.
    pub account: Name,
    /// What it consumes.
    pub conflict_keys: BTreeSet<ConflictKey>,
    /// What it pays, in their own order and not that of the request.
    pub intents: Vec<SignedIntent>,
    /// The attempts that were declared as conflicting.
    pub replaces: Vec<u64>,
    /// What it offers for inclusion.
    pub fee_terms: FeeTerms,
    /// The transaction, unless it is large and named by its hash alone.
    pub transaction: Option<Transaction>,
    transaction_hash: [u8; 32],
    request_hash: [u8; 32],
    proofs: Vec<Statement>,
}

#[derive(Deserialize)]
struct Body {
    v: u8,
    time: Interval,
    entry: Entry,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    Attempt(Box<Attempt>),
}

/// The part of an attempt that was asked for. What else it holds was found by the signer.
#[derive(Deserialize)]
struct Attempt {
    client: Name,
    request: String,
    request_hash: String,
    lane: String,
    lane_epoch: u64,
    transaction: Blob,
    chain: Chain,
    account: Name,
    keys: BTreeSet<ConflictKey>,
    intents: Vec<SignedIntent>,
    replaces: Vec<u64>,
    proofs: Vec<Statement>,
    fee_terms: FeeTerms,
}

impl Receipt {
    /// Reads the body of an attempt's receipt.
    ///
    /// # Errors
    /// [`ReceiptError`] when it is no record of an attempt.
    pub fn record(&self) -> Result<Recorded, ReceiptError> {
        known(self.version)?;
        digits("log", &self.log)?;
        digits("salt", &self.salt)?;
        let body: Body = serde_json::from_str(&self.body).map_err(ReceiptError::Body)?;
        known(body.v)?;
        let Entry::Attempt(attempt) = body.entry;
        let (transaction, transaction_hash) = match &attempt.transaction {
            Blob::Inline(text) => (
                Some(serde_json::from_str(text).map_err(ReceiptError::Body)?),
                Sha256::digest(text).into(),
            ),
            Blob::Sha256(hash) => (None, digits("transaction", hash)?),
        };
        Ok(Recorded {
            attempt: self.entry,
            time: body.time,
            client: attempt.client,
            request_id: attempt.request,
            lane: attempt.lane,
            lane_epoch: attempt.lane_epoch,
            chain: attempt.chain,
            account: attempt.account,
            conflict_keys: attempt.keys,
            intents: attempt.intents,
            replaces: attempt.replaces,
            fee_terms: attempt.fee_terms,
            transaction,
            transaction_hash,
            request_hash: digits("request_hash", &attempt.request_hash)?,
            proofs: attempt.proofs,
        })
    }
}

impl Recorded {
    /// The request as it was made, with `apart` for the transaction that the receipt names by its
    /// hash. The record's lists are sorted: a request whose own were not is not found again, and
    /// then [`Recorded::is_exact`] is false for it.
    ///
    /// # Errors
    /// [`ReceiptError::Other`] when there is no transaction, or another than was signed.
    pub fn request(&self, apart: Option<&Transaction>) -> Result<SignRequest, ReceiptError> {
        let transaction = match (&self.transaction, apart) {
            (Some(transaction), _) => transaction.clone(),
            (None, Some(transaction)) => {
                let text = serde_json::to_string(transaction).map_err(ReceiptError::Request)?;
                let found = hex::encode(Sha256::digest(text));
                same("transaction", &found, &hex::encode(self.transaction_hash))?;
                transaction.clone()
            }
            (None, None) => {
                return Err(ReceiptError::Other {
                    field: "transaction",
                    found: "none".into(),
                });
            }
        };
        Ok(SignRequest {
            request_id: self.request_id.clone(),
            lane_epoch: self.lane_epoch,
            intents: self.intents.clone(),
            replaces: self.replaces.clone(),
            transaction,
            proofs: self.proofs.clone(),
        })
    }

    /// Whether `request` is exactly what was asked: asked again it gets the same answer.
    pub fn is_exact(&self, request: &SignRequest) -> bool {
        request
            .fingerprint()
            .is_ok_and(|fingerprint| fingerprint == self.request_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::tests::{attempt, good, receipt, request};

    #[test]
    fn a_receipt_says_what_was_asked() {
        let recorded = good().record().unwrap();
        assert_eq!(recorded.attempt, 12);
        assert_eq!(recorded.request_id, "payout-7");
        assert_eq!(recorded.lane, "ltc-hot");
        assert_eq!(recorded.lane_epoch, 3);
        let found = recorded.request(None).unwrap();
        assert_eq!(found, request());
        assert!(recorded.is_exact(&found));
    }

    #[test]
    fn a_transaction_kept_apart_is_taken_by_its_hash_alone() {
        let mut large = request();
        let psbt = "A".repeat(policy::Blob::INLINE_MAX);
        large.transaction = Transaction::Psbt {
            chain: large.transaction.chain(),
            psbt,
        };
        let entry = policy::Entry::Attempt(Box::new(attempt(&large)));
        let recorded = receipt(entry).record().unwrap();
        assert!(recorded.transaction.is_none());
        assert!(recorded.request(None).is_err());
        assert!(recorded.request(Some(&request().transaction)).is_err());
        let found = recorded.request(Some(&large.transaction)).unwrap();
        assert!(recorded.is_exact(&found));
    }

    #[test]
    fn lists_that_were_not_sorted_are_noticed() {
        let mut unsorted = request();
        unsorted.replaces = vec![9, 4];
        let mut recorded = attempt(&unsorted);
        recorded.replaces = vec![policy::AttemptId(4), policy::AttemptId(9)];
        let entry = policy::Entry::Attempt(Box::new(recorded));
        let recorded = receipt(entry).record().unwrap();
        let found = recorded.request(None).unwrap();
        assert_eq!(found.replaces, [4, 9]);
        assert!(!recorded.is_exact(&found));
    }

    #[test]
    fn what_is_no_attempt_is_refused() {
        let stopped = receipt(policy::Entry::Stopped {
            reason: "asked".into(),
        });
        assert!(matches!(stopped.record(), Err(ReceiptError::Body(_))));
    }
}
