//! Verifying a receipt: that it is of the decision about the very request that was sent, or of the statement.

mod record;

pub use self::record::Recorded;

use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tlog::leaf_hash;
use tx::{Chain, Effect, Interval, Name};

use crate::signing::{Receipt, SignAnswer, SignRequest, Statement};

/// The version of receipts and of journal bodies that is known here.
const VERSION: u8 = 1;
/// What a leaf's commitment begins with.
const LABEL: &[u8] = b"strongroom-entry-v1";
/// What a leaf begins with.
const LEAF_VERSION: u8 = 0x01;

/// What a verified receipt says was decided.
///
/// The receipt is the signer's own word until a proof of inclusion under a checkpoint stands beside
/// it; [`Decision::leaf`] is what such a proof must be of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// The attempt: the index of the journal entry.
    pub attempt: u64,
    /// The leaf of the entry, without RFC 6962's own prefix.
    pub leaf: [u8; 33],
    /// The hash of the leaf (RFC 6962 §2.1), where a path of inclusion begins.
    pub leaf_hash: tlog::Hash,
    /// When it was decided.
    pub time: Interval,
    /// The client, as the signer knows it.
    pub client: Name,
    /// The chain.
    pub chain: Chain,
    /// The account that is debited.
    pub account: Name,
    /// The statements that allowed it.
    pub allowed_by: Vec<Name>,
    /// The bundle that allowed it, 64 hexadecimal digits.
    pub policy: String,
    /// What is charged.
    pub effects: Vec<Effect>,
    /// What was given to the device to sign, 64 hexadecimal digits each.
    pub digests: Vec<String>,
}

/// Why a receipt does not prove the decision about a request.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// A version that is not known here.
    #[error("the receipt is of version {found}; version {VERSION} is known here")]
    Version {
        /// The version.
        found: u8,
    },
    /// A field is not hexadecimal of its length.
    #[error("the receipt's {field} is not 64 hexadecimal digits")]
    Form {
        /// The field.
        field: &'static str,
    },
    /// The body is no record of an attempt.
    #[error("the receipt's body is no record of an attempt")]
    Body(#[source] serde_json::Error),
    /// It is about something else than what was sent.
    #[error("the receipt is of another {field}: {found}")]
    Other {
        /// What differs.
        field: &'static str,
        /// What the receipt says.
        found: String,
    },
    /// The request has no JSON form, which cannot be.
    #[error("the request cannot be written")]
    Request(#[source] serde_json::Error),
}

/// The part of a journal body that is looked at. What else it holds is the journal's.
#[derive(Deserialize)]
struct Body {
    v: u8,
    time: Interval,
    entry: Entry,
}

/// The part of a body with a statement.
#[derive(Deserialize)]
struct Stated {
    v: u8,
    entry: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    Attempt(Box<Attempt>),
}

#[derive(Deserialize)]
struct Attempt {
    client: Name,
    request: String,
    request_hash: String,
    lane_epoch: u64,
    transaction: Blob,
    chain: Chain,
    account: Name,
    facts: Vec<Fact>,
    allowed_by: Vec<Name>,
    policy: String,
    calls: Vec<Call>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Blob {
    Inline(String),
    Sha256(String),
}

#[derive(Deserialize)]
struct Fact {
    effect: Effect,
}

#[derive(Deserialize)]
struct Call {
    digest: String,
}

impl SignAnswer {
    /// Checks that the answer is to this request, and its receipt of this attempt.
    ///
    /// # Errors
    /// [`ReceiptError`] names what differs.
    pub fn verify(&self, request: &SignRequest) -> Result<Decision, ReceiptError> {
        same("request", &self.request_id, &request.request_id)?;
        same(
            "attempt",
            &self.receipt.entry.to_string(),
            &self.attempt.to_string(),
        )?;
        self.receipt.verify(request)
    }
}

/// What a statement is called in every entry that holds one.
const STATEMENT: &str = "statement";

/// What the signatures under it are called there, and one that stands alone.
const SIGNATURES: [&str; 2] = ["signatures", "signature"];

/// What stands in an entry beside a statement: the text itself, under its name.
fn beside<'a>(value: &'a Value, statement: &str) -> Option<&'a Map<String, Value>> {
    let Value::Object(fields) = value else {
        return None;
    };
    match fields.get(STATEMENT).and_then(Value::as_str) == Some(statement) {
        true => Some(fields),
        false => fields.values().find_map(|value| beside(value, statement)),
    }
}

impl Receipt {
    /// Reads the body, and checks that it records an entry with this very statement under these very signatures:
    /// others say the same. A proof of inclusion is not looked at.
    ///
    /// # Errors
    /// [`ReceiptError`] names what differs.
    pub fn verify_statement(&self, said: &Statement) -> Result<(), ReceiptError> {
        known(self.version)?;
        digits("log", &self.log)?;
        digits("salt", &self.salt)?;
        let stated: Stated = serde_json::from_str(&self.body).map_err(ReceiptError::Body)?;
        known(stated.v)?;
        let fields = beside(&stated.entry, &said.statement);
        let fields = fields.ok_or_else(|| other(STATEMENT, &self.body))?;
        let found = SIGNATURES
            .iter()
            .find_map(|name| fields.get(*name)?.as_str());
        match found.unwrap_or_default() {
            found if found == said.signatures.concat() => Ok(()),
            found => Err(other("signature", found)),
        }
    }

    /// The journal's leaf for the entry: `0x01 ‖ SHA-256("strongroom-entry-v1" ‖ salt ‖ body)`.
    ///
    /// # Errors
    /// [`ReceiptError::Form`] when the salt is none.
    pub fn leaf(&self) -> Result<[u8; 33], ReceiptError> {
        let salt = digits("salt", &self.salt)?;
        let commitment = Sha256::new()
            .chain_update(LABEL)
            .chain_update(salt)
            .chain_update(&self.body)
            .finalize();
        let mut leaf = [LEAF_VERSION; 33];
        if let Some(rest) = leaf.last_chunk_mut::<32>() {
            rest.copy_from_slice(&commitment);
        }
        Ok(leaf)
    }

    /// Reads the body, and checks that it records an attempt for this request: its id, its
    /// fingerprint, its lane's epoch and its transaction. A proof of inclusion is not looked at.
    ///
    /// # Errors
    /// [`ReceiptError`] names what differs.
    pub fn verify(&self, request: &SignRequest) -> Result<Decision, ReceiptError> {
        known(self.version)?;
        digits("log", &self.log)?;
        let leaf = self.leaf()?;
        let body: Body = serde_json::from_str(&self.body).map_err(ReceiptError::Body)?;
        known(body.v)?;
        let Entry::Attempt(attempt) = body.entry;
        let fingerprint = request.fingerprint().map_err(ReceiptError::Request)?;
        same("request", &attempt.request, &request.request_id)?;
        same("request", &attempt.request_hash, &hex::encode(fingerprint))?;
        same(
            "lane epoch",
            &attempt.lane_epoch.to_string(),
            &request.lane_epoch.to_string(),
        )?;
        same(
            "chain",
            &attempt.chain.to_string(),
            &request.transaction.chain().to_string(),
        )?;
        let sent = serde_json::to_string(&request.transaction).map_err(ReceiptError::Request)?;
        match &attempt.transaction {
            Blob::Inline(text) => same("transaction", text, &sent)?,
            Blob::Sha256(hash) => same("transaction", hash, &hex::encode(Sha256::digest(&sent)))?,
        }
        Ok(Decision {
            attempt: self.entry,
            leaf,
            leaf_hash: leaf_hash(&leaf),
            time: body.time,
            client: attempt.client,
            chain: attempt.chain,
            account: attempt.account,
            allowed_by: attempt.allowed_by,
            policy: attempt.policy,
            effects: attempt.facts.into_iter().map(|fact| fact.effect).collect(),
            digests: attempt.calls.into_iter().map(|call| call.digest).collect(),
        })
    }
}

fn known(version: u8) -> Result<(), ReceiptError> {
    if version == VERSION {
        Ok(())
    } else {
        Err(ReceiptError::Version { found: version })
    }
}

fn digits(field: &'static str, text: &str) -> Result<[u8; 32], ReceiptError> {
    let mut bytes = [0; 32];
    // The journal writes lower case without a prefix; another spelling was not written by it.
    let canonical = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) if canonical => Ok(bytes),
        _ => Err(ReceiptError::Form { field }),
    }
}

fn same(field: &'static str, found: &str, sent: &str) -> Result<(), ReceiptError> {
    if found == sent {
        return Ok(());
    }
    Err(other(field, found))
}

fn other(field: &'static str, found: &str) -> ReceiptError {
    // It comes from outside, and goes to a terminal.
    let found = found.escape_debug().take(100).collect();
    ReceiptError::Other { field, found }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use policy::{
        AttemptId, BundleHash, Classes, Digest as PolicyDigest, Entry as JournalEntry,
        KeyAlgorithm, NumberedDigest, Record, SignedBy,
    };
    use tx::{AccountClass, Asset, FeeTerms, Time, Transaction, ValidUntil};

    use super::*;

    /// As the journal's own test has it, computed with `sha256sum`.
    const KNOWN_LEAF: &str = "0129653c363730ff0f655cfca60b491f0557af31fad34a130894d9c25a33f8f893";
    const KNOWN_HASH: &str = "a58e51a8438dc6b94fbdd7a989323a0491a89cc70c2fdb72a754869debe1ec34";

    pub(super) fn request() -> SignRequest {
        SignRequest {
            request_id: "payout-7".into(),
            lane_epoch: 3,
            intents: Vec::new(),
            replaces: Vec::new(),
            transaction: Transaction::Psbt {
                chain: "litecoin:regtest".parse().unwrap(),
                psbt: "cHNidP8=".into(),
            },
            proofs: Vec::new(),
        }
    }

    pub(super) fn attempt(request: &SignRequest) -> policy::Attempt {
        let chain = request.transaction.chain();
        policy::Attempt {
            client: "walletd".parse().unwrap(),
            request: request.request_id.parse().unwrap(),
            request_hash: policy::RequestHash(request.fingerprint().unwrap()),
            lane: "ltc-hot".into(),
            lane_epoch: request.lane_epoch,
            transaction: policy::Blob::of(&serde_json::to_string(&request.transaction).unwrap()),
            chain,
            account: "ltc-hot".parse().unwrap(),
            keys: BTreeSet::new(),
            set: None,
            resumes: None,
            intents: Vec::new(),
            replaces: Vec::<AttemptId>::new(),
            proofs: Vec::new(),
            facts: vec![policy::Fact {
                effect: tx::Effect {
                    kind: tx::EffectKind::Fee,
                    account: "ltc-hot".parse().unwrap(),
                    asset: Asset::native(chain),
                    amount: 250u64.into(),
                    to: None,
                    tag: None,
                    call: None,
                },
                client: "walletd".parse().unwrap(),
                source: None,
                intent: None,
                signed_by: SignedBy::default(),
                classes: Classes {
                    account: AccountClass::Hot,
                    books: BTreeSet::new(),
                    books_cooling: BTreeSet::new(),
                    arguments: BTreeMap::new(),
                    first_paid: None,
                    hours: BTreeSet::new(),
                    hours_surely: BTreeSet::new(),
                },
                reference: None,
                dead: BTreeSet::new(),
            }],
            fee_terms: FeeTerms::Utxo {
                fee: 250,
                vsize: 110,
            },
            valid_until: ValidUntil::Unbounded,
            allowed_by: BTreeSet::from(["ltc-fees".parse().unwrap()]),
            met: BTreeMap::new(),
            carried: BTreeSet::new(),
            policy: BundleHash([7; 32]),
            calls: vec![NumberedDigest {
                call: 1,
                key: "ltc-hot-1".parse().unwrap(),
                algorithm: KeyAlgorithm::Secp256k1,
                digest: PolicyDigest([9; 32]),
            }],
        }
    }

    pub(super) fn receipt(entry: JournalEntry) -> Receipt {
        let now = Time::from_millis(1_700_000_000_000);
        let record = Record {
            v: 1,
            time: Interval { lo: now, hi: now },
            entry,
        };
        Receipt {
            version: 1,
            log: "ab".repeat(32),
            entry: 12,
            salt: "5a".repeat(32),
            body: serde_json::to_string(&record).unwrap(),
            inclusion: None,
        }
    }

    pub(super) fn good() -> Receipt {
        receipt(JournalEntry::Attempt(Box::new(attempt(&request()))))
    }

    #[test]
    fn the_leaf_is_the_journals() {
        let mut receipt = good();
        receipt.body = "{\"kind\":\"known\"}".into();
        let leaf = receipt.leaf().unwrap();
        assert_eq!(hex::encode(leaf), KNOWN_LEAF);
        assert_eq!(leaf_hash(&leaf).to_string(), KNOWN_HASH);
    }

    #[test]
    fn a_receipt_of_the_request_says_what_was_decided() {
        let decision = good().verify(&request()).unwrap();
        assert_eq!(decision.attempt, 12);
        assert_eq!(decision.allowed_by, ["ltc-fees".parse().unwrap()]);
        assert_eq!(decision.policy, "07".repeat(32));
        assert_eq!(decision.digests, ["09".repeat(32)]);
        assert_eq!(decision.effects.len(), 1);
    }

    #[test]
    fn a_transaction_kept_by_hash_is_compared_by_hash() {
        let mut large = request();
        let psbt = "A".repeat(policy::Blob::INLINE_MAX);
        large.transaction = Transaction::Psbt {
            chain: large.transaction.chain(),
            psbt,
        };
        let receipt = receipt(JournalEntry::Attempt(Box::new(attempt(&large))));
        assert!(receipt.body.len() < policy::Blob::INLINE_MAX);
        assert!(receipt.verify(&large).is_ok());
    }

    #[test]
    fn a_receipt_of_anything_else_is_refused() {
        let other = |change: &dyn Fn(&mut SignRequest)| {
            let mut changed = request();
            change(&mut changed);
            match good().verify(&changed) {
                Err(ReceiptError::Other { field, .. }) => field,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(other(&|r| r.request_id = "payout-8".into()), "request");
        assert_eq!(other(&|r| r.lane_epoch = 4), "request");
        assert_eq!(other(&|r| r.replaces = vec![1]), "request");

        let mut lying = attempt(&request());
        lying.lane_epoch = 4;
        let lying = receipt(JournalEntry::Attempt(Box::new(lying))).verify(&request());
        assert!(matches!(
            lying,
            Err(ReceiptError::Other {
                field: "lane epoch",
                ..
            })
        ));
        let mut lying = attempt(&request());
        lying.transaction = policy::Blob::of("{}");
        let lying = receipt(JournalEntry::Attempt(Box::new(lying))).verify(&request());
        assert!(matches!(
            lying,
            Err(ReceiptError::Other {
                field: "transaction",
                ..
            })
        ));
    }

    /// Under names of their own in the entry, whatever the entry is.
    #[test]
    fn a_receipt_of_a_statement_has_its_text_and_its_signatures() {
        let said = Statement {
            statement: "strongroom-freeze-v1\nscope everything\n".into(),
            signatures: vec!["of ann".into(), " and ben".into()],
        };
        let by = policy::Resumed {
            hash: PolicyDigest([1; 32]),
            statement: said.statement.clone(),
            signatures: "of ann and ben".into(),
            signed_by: ["ann".parse().unwrap()].into(),
        };
        let frozen = policy::FrozenBy {
            scope: policy::FreezeScope::All,
            by,
        };
        let good = receipt(JournalEntry::FrozenBy(Box::new(frozen)));
        good.verify_statement(&said).unwrap();
        let another = Statement {
            statement: "of ann and ben".into(),
            ..said.clone()
        };
        let refused = |said: &Statement| match good.verify_statement(said) {
            Err(ReceiptError::Other { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&another), "statement");
        for signatures in [&["of ann"][..], &[], &["of ben", " and ann"]] {
            let by_others = Statement {
                signatures: signatures.iter().map(ToString::to_string).collect(),
                ..said.clone()
            };
            assert_eq!(refused(&by_others), "signature");
        }
        let mut torn = good.clone();
        torn.body.pop();
        let torn = torn.verify_statement(&said);
        assert!(matches!(torn, Err(ReceiptError::Body(_))));
        let mut later = good;
        later.version = 2;
        let later = later.verify_statement(&said);
        assert!(matches!(later, Err(ReceiptError::Version { found: 2 })));
    }

    #[test]
    fn what_is_no_receipt_is_refused() {
        let stopped = receipt(JournalEntry::Stopped {
            reason: "asked".into(),
        });
        assert!(matches!(
            stopped.verify(&request()),
            Err(ReceiptError::Body(_))
        ));
        let version = Receipt {
            version: 2,
            ..good()
        };
        assert!(matches!(
            version.verify(&request()),
            Err(ReceiptError::Version { found: 2 })
        ));
        for salt in [
            "",
            "5a",
            &"5A".repeat(32),
            &format!("0x{}", "5a".repeat(31)),
        ] {
            let salted = Receipt {
                salt: salt.into(),
                ..good()
            };
            let refused = salted.verify(&request());
            assert!(
                matches!(refused, Err(ReceiptError::Form { field: "salt" })),
                "{salt}"
            );
        }
    }

    #[test]
    fn an_answer_names_one_attempt() {
        let mut answer = SignAnswer {
            request_id: "payout-7".into(),
            attempt: 12,
            transaction: tx::SignedTransaction {
                raw: "00".into(),
                txid: "00".into(),
            },
            receipt: good(),
        };
        assert!(answer.verify(&request()).is_ok());
        answer.attempt = 13;
        assert!(matches!(
            answer.verify(&request()),
            Err(ReceiptError::Other {
                field: "attempt",
                ..
            })
        ));
    }
}
