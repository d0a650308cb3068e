//! A small signer: it remembers what it authorised, and refuses what signerd refuses.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::signing::{Need, Reason, Receipt, RequestAnswer, RequestStatus, SignAnswer, SignRequest};
use tx::{
    Amount, ConflictKey, IntentId, SignedTransaction, Transaction,
    utxo::{View, stripped, view},
};
use wallet::signer::SignOutcome;

#[derive(Default)]
pub struct Signer {
    pub epoch: u64,
    pub signed: BTreeMap<String, Authorised>,
    /// How the next calls go, in order; then well.
    pub script: Vec<Mood>,
    /// Intents that it refuses.
    pub refuses: BTreeSet<IntentId>,
}

pub struct Authorised {
    pub request: SignRequest,
    pub keys: BTreeSet<ConflictKey>,
    pub fee: u64,
    pub answer: Arc<SignAnswer>,
}

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// The request does not arrive, and nobody knows.
    Lost,
    /// It is signed, and the answer does not arrive.
    AnswerLost,
    Refuses,
    Pending,
    Sealed,
    Contradicts,
}

impl Signer {
    pub fn sign(&mut self, request: &SignRequest) -> SignOutcome {
        let mood = (!self.script.is_empty()).then(|| self.script.remove(0));
        match mood {
            Some(Mood::Lost) => unknown(),
            Some(Mood::AnswerLost) => {
                let _ = self.decide(request);
                unknown()
            }
            Some(Mood::Refuses) => refused("limit"),
            Some(Mood::Pending) => SignOutcome::Pending {
                needs: vec![Need {
                    statement: "two-people".into(),
                    at: "rules.toml:3".into(),
                    threshold: 2,
                    people: vec!["ann".into(), "bob".into()],
                    attested: None,
                }],
            },
            Some(Mood::Sealed) => SignOutcome::NotNow {
                sealed: true,
                detail: "sealed".into(),
            },
            Some(Mood::Contradicts) => SignOutcome::Contradiction {
                detail: "another content".into(),
            },
            None => self.decide(request),
        }
    }

    fn decide(&mut self, request: &SignRequest) -> SignOutcome {
        if let Some(known) = self.signed.get(&request.request_id) {
            assert_eq!(known.request, *request, "one id, one content");
            return SignOutcome::Signed(Arc::clone(&known.answer));
        }
        if request.lane_epoch < self.epoch || request.lane_epoch > self.epoch + 1 {
            return refused("lane-epoch");
        }
        // The journal sorts both: only what was sorted is rebuilt from it exactly.
        let intents = &request.intents;
        assert!(intents.is_sorted_by(|one, next| one.intent.id < next.intent.id));
        assert!(request.replaces.is_sorted_by(|one, next| one < next));
        let Transaction::Psbt { chain, psbt } = &request.transaction else {
            return refused("transaction");
        };
        let view = view(*chain, psbt).unwrap();
        let keys: BTreeSet<_> = view
            .inputs
            .iter()
            .map(|input| ConflictKey::Outpoint {
                chain: *chain,
                txid: input.outpoint.txid,
                vout: input.outpoint.vout,
            })
            .collect();
        if let Some(code) = self.objection(request, &view, &keys) {
            return refused(code);
        }
        self.epoch = request.lane_epoch;
        let attempt = 100 + self.signed.len() as u64;
        let answer = Arc::new(answer(request, &view, attempt));
        self.signed.insert(
            request.request_id.clone(),
            Authorised {
                request: request.clone(),
                keys,
                fee: view.fee,
                answer: Arc::clone(&answer),
            },
        );
        SignOutcome::Signed(answer)
    }

    fn objection(
        &self,
        request: &SignRequest,
        view: &View,
        keys: &BTreeSet<ConflictKey>,
    ) -> Option<&'static str> {
        let most = request.intents.iter().map(|signed| signed.intent.max_fee);
        let most = most.reduce(|a, b| a.checked_add(b).unwrap()).unwrap();
        if Amount::from(view.fee) > most {
            return Some("intent-fee");
        }
        let ids = request.intents.iter().map(|signed| &signed.intent.id);
        if ids.clone().any(|id| self.refuses.contains(id)) {
            return Some("denied");
        }
        for known in self.signed.values() {
            if !known.keys.is_disjoint(keys) {
                if !request.replaces.contains(&known.answer.attempt) {
                    return Some("undeclared-conflict");
                }
                if view.fee < known.fee + view.vsize {
                    return Some("replacement-fee");
                }
            }
        }
        for id in ids {
            let of = self.signed.values().filter(|known| {
                let intents = known.request.intents.iter();
                intents.clone().any(|signed| signed.intent.id == *id)
            });
            let shared = of.map(|known| known.keys.clone()).reduce(|a, b| &a & &b);
            if shared.is_some_and(|shared| shared.is_disjoint(keys)) {
                return Some("uncovered");
            }
        }
        None
    }

    pub fn request(&self, id: &str) -> Option<Box<RequestAnswer>> {
        let known = self.signed.get(id)?;
        Some(Box::new(RequestAnswer {
            request_id: id.into(),
            attempt: known.answer.attempt,
            status: RequestStatus::Signed,
            lane_epoch: known.request.lane_epoch,
            conflict_keys: known.keys.iter().cloned().collect(),
            transaction: Some(known.answer.transaction.clone()),
            receipt: None,
            unsigned: None,
        }))
    }
}

fn answer(request: &SignRequest, view: &View, attempt: u64) -> SignAnswer {
    // Signatures are no part of the id, and this chain checks none.
    let raw = view.unsigned_bytes();
    let mut txid = stripped(&raw).unwrap().txid;
    txid.reverse();
    SignAnswer {
        request_id: request.request_id.clone(),
        attempt,
        transaction: SignedTransaction {
            raw: hex::encode(raw),
            txid: hex::encode(txid),
        },
        receipt: Receipt {
            version: 1,
            log: "00".repeat(32),
            entry: attempt,
            salt: "00".repeat(32),
            body: "{}".into(),
            inclusion: None,
        },
    }
}

fn refused(code: &str) -> SignOutcome {
    SignOutcome::Refused {
        reasons: vec![Reason {
            code: code.into(),
            statement: None,
            at: None,
            detail: "no".into(),
            remedy: "none".into(),
        }],
        needs: Vec::new(),
    }
}

fn unknown() -> SignOutcome {
    SignOutcome::Unknown {
        detail: "time-out".into(),
    }
}
