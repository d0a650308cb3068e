//! What really happened, from an exported log: every entry in its order, under a bundle that is supposed to
//! have governed.
//!
//! That the log is the signer's is for `strongroom audit verify` to say, which knows its key.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::Bundles;
use policy::{
    Blob, Entry, EvaluateError, Policy, Reason, ReasonCode, Record, Request, Supposed, evaluate,
};
use sha2::{Digest, Sha256};
use tx::{Interval, Name, Transaction};

use super::decided::Decided;
use super::error::PolicyError;
use crate::audit::folder::{Lines, bundles, opens};

/// A request that was decided, as it was recorded.
pub struct Recorded {
    /// Its entry.
    pub entry: u64,
    /// When it was decided.
    pub time: Interval,
    /// What was asked.
    pub request: Request,
    /// The transaction.
    pub transaction: Transaction,
    /// What was decided.
    pub decided: Decided,
}

/// An exported log, read under a supposed bundle.
pub struct History {
    folder: PathBuf,
    lines: Lines,
    supposed: Supposed,
    /// The time of the last entry.
    pub last: Option<Interval>,
    /// How many entries say nothing here: a freeze held them, or they were pruned.
    pub withheld: u64,
    /// How many requests cannot be decided again: not all that was asked is recorded.
    pub unseen: u64,
    /// How many cannot, as the log does not say what these books hold that are loaded apart.
    pub unsure: Unsure,
}

/// Requests of which it is not sure how they would be decided.
#[derive(Debug, Default)]
pub struct Unsure {
    /// How many.
    pub requests: u64,
    /// The books loaded apart of which nothing is known.
    pub books: BTreeSet<Name>,
}

/// What an entry is, before it is applied.
pub struct Step {
    /// What it records.
    pub record: Record,
    /// The request that it decides, where all of that is recorded.
    pub asked: Option<Recorded>,
}

impl History {
    /// Opens a folder of `audit export`.
    ///
    /// # Errors
    /// [`PolicyError::Audit`].
    pub fn open(folder: &Path, policy: Arc<Policy>) -> Result<Self, PolicyError> {
        Ok(Self {
            folder: folder.to_owned(),
            lines: Lines::open(folder).map_err(PolicyError::Audit)?,
            supposed: Supposed::new(policy),
            last: None,
            withheld: 0,
            unseen: 0,
            unsure: Unsure::default(),
        })
    }

    /// What follows from the entries that were applied.
    pub fn supposed(&self) -> &Supposed {
        &self.supposed
    }

    /// The next entry that says something; nothing at the end.
    ///
    /// # Errors
    /// [`PolicyError::Audit`]; [`PolicyError::Journal`] where an entry is not what its leaf commits to.
    pub fn read(&mut self) -> Result<Option<Step>, PolicyError> {
        loop {
            let Some(line) = self.lines.entry().map_err(PolicyError::Audit)? else {
                return Ok(None);
            };
            let entry = self.supposed.state().entries();
            let wrong = |what: &str| PolicyError::Journal {
                folder: self.folder.clone(),
                entry,
                what: what.to_owned(),
            };
            let body = line.map_err(|_| wrong("its line is none"))?;
            if body.entry != entry {
                return Err(wrong("it is missing"));
            }
            if !opens(&body) {
                return Err(wrong("it is not what its leaf commits to"));
            }
            let Some(opening) = &body.opening else {
                self.withheld += 1;
                self.supposed.pass_over();
                continue;
            };
            let record: Record = serde_json::from_str(&opening.body)
                .map_err(|error| wrong(&format!("it is no record: {error}")))?;
            if let Entry::Attempt(attempt) = &record.entry {
                self.supposed.recall(attempt);
            }
            let asked = self.asked(entry, &record, opening.apart.as_deref());
            return Ok(Some(Step { record, asked }));
        }
    }

    /// Applies an entry that was read.
    ///
    /// # Errors
    /// [`PolicyError::State`]: the bundle cannot govern with the keys of this log.
    pub fn apply(&mut self, record: &Record) -> Result<(), PolicyError> {
        self.last = Some(record.time);
        self.supposed.apply(record).map_err(PolicyError::State)?;
        if let Entry::PolicyActivated { hash, .. } = &record.entry
            && let Ok(running) = bundles(&self.folder).load(*hash)
        {
            self.supposed.governed_by(&running);
        }
        Ok(())
    }

    /// What the supposed bundle decides on a request, as things stood then; nothing, and counted, where the log does
    /// not say enough of books that are loaded apart.
    ///
    /// # Errors
    /// [`PolicyError::Evaluate`].
    pub fn decide(&mut self, asked: &Recorded) -> Result<Option<Decided>, PolicyError> {
        let decided = asked.under(&self.supposed);
        match decided.map_err(PolicyError::Evaluate)? {
            Ok(decided) => Ok(Some(decided)),
            Err(books) => {
                self.unsure.requests += 1;
                self.unsure.books.extend(books);
                Ok(None)
            }
        }
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// As [`History::read`] and [`History::apply`].
    pub fn finish(mut self) -> Result<Self, PolicyError> {
        while let Some(step) = self.read()? {
            self.apply(&step.record)?;
        }
        Ok(self)
    }

    fn asked(&mut self, entry: u64, record: &Record, apart: Option<&str>) -> Option<Recorded> {
        let (request, decided) = match &record.entry {
            Entry::Attempt(attempt) => {
                let request = Request {
                    client: attempt.client.clone(),
                    id: attempt.request.clone(),
                    hash: attempt.request_hash,
                    lane_epoch: attempt.lane_epoch,
                    intents: attempt.intents.clone(),
                    replaces: attempt.replaces.clone(),
                    transaction: attempt.transaction.clone(),
                    proofs: attempt.proofs.clone(),
                };
                (request, Decided::permitted(attempt.allowed_by.clone()))
            }
            Entry::Refused(refused) => {
                let Some(asked) = &refused.asked else {
                    self.unseen += 1;
                    return None;
                };
                let request = Request {
                    client: refused.client.clone(),
                    id: refused.request.clone(),
                    hash: refused.request_hash,
                    lane_epoch: asked.lane_epoch,
                    intents: asked.intents.clone(),
                    replaces: asked.replaces.clone(),
                    transaction: refused.transaction.clone(),
                    proofs: asked.proofs.clone(),
                };
                let decided = Decided::not_permitted(&refused.reasons, refused.needs.clone());
                (request, decided)
            }
            Entry::RefusedMany(many) => {
                self.unseen = self.unseen.saturating_add(many.count);
                return None;
            }
            _ => return None,
        };
        let Some(transaction) = transaction(&request.transaction, apart) else {
            self.unseen += 1;
            return None;
        };
        Some(Recorded {
            entry,
            time: record.time,
            request,
            transaction,
            decided,
        })
    }
}

fn transaction(blob: &Blob, apart: Option<&str>) -> Option<Transaction> {
    let text = match (blob, apart) {
        (Blob::Inline(text), _) => text,
        (Blob::Sha256(hash), Some(text)) if hex::encode(Sha256::digest(text)) == *hash => text,
        (Blob::Sha256(_), _) => return None,
    };
    serde_json::from_str(text).ok()
}

impl Recorded {
    /// What the supposed bundle decides on it, as things stood then; or the books of which it would have to be
    /// known what they hold.
    fn under(&self, supposed: &Supposed) -> Result<Result<Decided, BTreeSet<Name>>, EvaluateError> {
        let state = supposed.state();
        let Some(policy) = state.policy() else {
            return Ok(Ok(Decided::not_permitted(&[], [].into())));
        };
        let rules = policy.chain_rules(self.transaction.chain());
        let decoded = match tx::decode(&self.transaction, &state.registry(), rules) {
            Ok(decoded) => decoded,
            Err(refusal) => return Ok(Ok(not_understood(&refusal))),
        };
        let unsure = state.unsure_of(&decoded);
        if !unsure.is_empty() {
            return Ok(Err(unsure));
        }
        let verdict = evaluate(state, self.time, &decoded, &self.request)?;
        Ok(Ok(Decided::of(verdict)))
    }
}

fn not_understood(refusal: &tx::Refusal) -> Decided {
    let reason = Reason {
        code: ReasonCode::Transaction,
        statement: None,
        at: None,
        detail: format!("{}: {refusal}", refusal.code()),
        remedy: String::new(),
    };
    Decided::not_permitted(&[reason], [].into())
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entry, id, client) = (self.entry, &self.request.id, &self.request.client);
        write!(
            f,
            "entry {entry}, request {id} of {client} at {}",
            self.time.lo
        )
    }
}
