//! What was decided, decided once more: by the same code, on the state of the time, from what was
//! recorded.

use std::collections::{BTreeSet, HashMap};

use api::journal::BodyOpening;
use journal::BundleStore;
use keys::verify::check_ecdsa;
use policy::{
    Attempt, AttemptId, Blob, BundleHash, BundleQuorum, Entry, NumberedDigest, Reason, ReasonCode,
    Record, Refused, Request, Signed, State, Verdict,
    bundle::{Trust, load},
    evaluate,
};
use sha2::{Digest, Sha256};
use tx::{Decoded, Name, Transaction};

/// Decides again, entry after entry.
pub struct Again<'a> {
    store: &'a BundleStore,
    /// The calls that were authorised for attempts that are not signed yet.
    calls: HashMap<AttemptId, Vec<NumberedDigest>>,
    bundles: BTreeSet<BundleHash>,
    /// How many authorisations came out the same.
    pub decided: u64,
    /// How many refusals came out the same.
    pub refused: u64,
    /// How many refusals could not be decided again: not all that was asked is recorded.
    pub refused_unseen: u64,
    /// How many signatures were verified.
    pub signatures: u64,
}

impl<'a> Again<'a> {
    /// With the bundles that governed.
    pub fn new(store: &'a BundleStore) -> Self {
        Self {
            store,
            calls: HashMap::new(),
            bundles: BTreeSet::new(),
            decided: 0,
            refused: 0,
            refused_unseen: 0,
            signatures: 0,
        }
    }

    /// The bundles that governed.
    pub fn bundles(&self) -> impl Iterator<Item = BundleHash> {
        self.bundles.iter().copied()
    }

    /// What is wrong with the entry that comes next on a state; what is no record at all is for the
    /// replay to name.
    pub fn before(&mut self, state: &State, opening: &BodyOpening) -> Option<String> {
        let record: Record = serde_json::from_str(&opening.body).ok()?;
        let apart = opening.apart.as_deref();
        let checked = check_apart(&record.entry, apart);
        let decided = checked.and_then(|()| match &record.entry {
            Entry::Attempt(attempt) => self.attempt(state, &record, attempt, apart),
            Entry::Call { attempt, calls } => {
                self.calls
                    .entry(*attempt)
                    .or_default()
                    .extend(calls.iter().cloned());
                Ok(())
            }
            Entry::Refused(refused) => self.refused(state, &record, refused),
            Entry::RefusedMany(many) => {
                self.refused_unseen = self.refused_unseen.saturating_add(many.count);
                Ok(())
            }
            Entry::Signed(signed) => self.signed(state, signed),
            Entry::PolicyProposed(proposed) => {
                let (hash, quorum) = (proposed.hash, Some(proposed.quorum));
                self.activated(state, hash, &proposed.signed_by, quorum)
            }
            Entry::PolicyActivated {
                hash, signed_by, ..
            } => {
                self.bundles.insert(*hash);
                self.activated(state, *hash, signed_by, None)
            }
            _ => Ok(()),
        });
        decided.err()
    }

    /// Evaluates the request again: the whole authorisation must come out as it was recorded.
    fn attempt(
        &mut self,
        state: &State,
        record: &Record,
        attempt: &Attempt,
        apart: Option<&str>,
    ) -> Result<(), String> {
        let id = AttemptId(state.entries());
        self.calls.insert(id, attempt.calls.clone());
        let text = match (&attempt.transaction, apart) {
            (Blob::Inline(text), _) => text,
            (Blob::Sha256(_), Some(text)) => text,
            (Blob::Sha256(_), None) => return Err("its transaction is not there".to_owned()),
        };
        let decoded = decoded(state, text)?
            .map_err(|refusal| format!("its transaction is not understood: {}", refusal.code()))?;
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
        let verdict = evaluate(state, record.time, &decoded, &request);
        match verdict.map_err(|error| format!("it cannot be decided again: {error}"))? {
            Verdict::Permit(permit) => {
                if permit.into_attempt() != *attempt {
                    return Err("decided again, another charge comes out".to_owned());
                }
                self.decided += 1;
                Ok(())
            }
            Verdict::Pending(_) => Err("decided again, it waits for people".to_owned()),
            Verdict::Refuse(refusal) => {
                let first = refusal.reasons.first().map(|reason| reason.detail.as_str());
                Err(format!(
                    "decided again, it is refused: {}",
                    first.unwrap_or_default()
                ))
            }
        }
    }

    /// Refuses the request again: the same must speak against it, or be awaited.
    fn refused(&mut self, state: &State, record: &Record, refused: &Refused) -> Result<(), String> {
        let governed = state.policy().map(|policy| policy.hash);
        let (Some(asked), Blob::Inline(text)) = (&refused.asked, &refused.transaction) else {
            self.refused_unseen += 1;
            return Ok(());
        };
        // It was not understood under an earlier bundle, and recorded under this one.
        if governed != Some(refused.policy) {
            self.refused_unseen += 1;
            return Ok(());
        }
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
        let by_form = |reason: &Reason| reason.code == ReasonCode::Transaction;
        let verdict = match decoded(state, text)? {
            Ok(decoded) => evaluate(state, record.time, &decoded, &request),
            Err(_) if refused.reasons.iter().all(by_form) && !refused.reasons.is_empty() => {
                self.refused += 1;
                return Ok(());
            }
            Err(refusal) => {
                return Err(format!(
                    "decided again, it is not understood: {}",
                    refusal.code()
                ));
            }
        };
        let verdict = verdict.map_err(|error| format!("it cannot be decided again: {error}"))?;
        let (reasons, needs) = match verdict {
            Verdict::Refuse(refusal) => (refusal.reasons, refusal.needs),
            Verdict::Pending(needs) => (Vec::new(), needs),
            // What is too long for the journal is refused by no rule.
            Verdict::Permit(_) if refused.reasons.iter().any(by_form) => {
                self.refused_unseen += 1;
                return Ok(());
            }
            Verdict::Permit(_) => return Err("decided again, it is permitted".to_owned()),
        };
        let needs = needs.into_iter().map(|need| need.statement).collect();
        if Refused::new(&request, refused.policy, reasons, needs) != *refused {
            return Err("decided again, it is refused for other reasons".to_owned());
        }
        self.refused += 1;
        Ok(())
    }

    /// Verifies every signature under the key that the log registered.
    fn signed(&mut self, state: &State, signed: &Signed) -> Result<(), String> {
        let calls = self.calls.remove(&signed.attempt).unwrap_or_default();
        for made in &signed.signatures {
            let number = made.call;
            let call = calls.iter().find(|call| call.call == number);
            let call = call.ok_or_else(|| format!("call {number} was not authorised for it"))?;
            let key = state.registration(&call.key);
            let mut public = [0; 33];
            key.and_then(|key| hex::decode_to_slice(&key.public, &mut public).ok())
                .ok_or_else(|| format!("no key {} was registered", call.key))?;
            let raw = [made.r.0, made.s.0].concat();
            check_ecdsa(&public, &call.digest.0, &raw)
                .map_err(|error| format!("call {number}: {error}"))?;
            self.signatures += 1;
        }
        match state.repeats(signed) {
            Ok(None) => Ok(()),
            Ok(Some(repeated)) => Err(repeated.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Counts the officers' signatures again.
    fn activated(
        &self,
        state: &State,
        hash: BundleHash,
        signed_by: &BTreeSet<Name>,
        said: Option<BundleQuorum>,
    ) -> Result<(), String> {
        let files = self.store.files(hash);
        let files = files.map_err(|error| format!("bundle {hash}: {error}"))?;
        let trust = match state.policy() {
            Some(running) => Trust::Running(running),
            None => Trust::Pinned(hash),
        };
        let bundle = load(&files, trust).map_err(|error| format!("bundle {hash}: {error}"))?;
        // What the recovery set signed has waited as that, or does not govern.
        let waited = state.proposed().filter(|one| one.hash == hash);
        let said = said.or(waited.map(|one| one.quorum)).unwrap_or_default();
        if bundle.quorum() != said {
            return Err(format!(
                "bundle {hash}: signed by the {:?}, not the {said:?}",
                bundle.quorum()
            ));
        }
        if bundle.signed_by() == signed_by {
            Ok(())
        } else {
            Err(format!("bundle {hash}: other people have signed it"))
        }
    }
}

/// A recorded transaction, as it is understood on a state.
fn decoded(state: &State, text: &str) -> Result<Result<Decoded, tx::Refusal>, String> {
    let transaction: Transaction = serde_json::from_str(text)
        .map_err(|error| format!("its transaction cannot be read: {error}"))?;
    let policy = state.policy().ok_or("no policy governs")?;
    let rules = policy.chain_rules(transaction.chain());
    Ok(tx::decode(&transaction, &state.registry(), rules))
}

/// Checks that the text kept apart is the one that the entry names.
fn check_apart(entry: &Entry, apart: Option<&str>) -> Result<(), String> {
    let named = match entry {
        Entry::Attempt(attempt) => Some(&attempt.transaction),
        Entry::Refused(refused) => Some(&refused.transaction),
        Entry::Signed(signed) => Some(&signed.raw),
        _ => None,
    };
    match (named, apart) {
        (_, None) => Ok(()),
        (Some(Blob::Sha256(hash)), Some(text)) if hex::encode(Sha256::digest(text)) == *hash => {
            Ok(())
        }
        _ => Err("the text beside it is not the one that it names".to_owned()),
    }
}
