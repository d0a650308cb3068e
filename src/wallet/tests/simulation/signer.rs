//! A signer with the rules of the real one that a coordinator meets. It is durable: nothing that
//! happens to the coordinator makes it forget.

mod forms;
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use api::signing::{
    Key, KeyAddress, KeysAnswer, Need, Reason, Receipt, RequestAnswer, RequestStatus, SignAnswer,
    SignRequest,
};
use async_trait::async_trait;
use tx::{
    Chain, ChainRules, ConflictKey, Decoded, FeeTerms, IntentId, IntentPayload, Interval, Name,
    Registry, SignedTransaction, Time,
};
use wallet::signer::{SignOutcome, Signer};

use self::forms::{receipt, signature};
use super::{
    book::{Book, Made},
    random::Random,
};

/// What goes wrong with calls. Counted faults happen to the next calls and are then over.
#[derive(Clone, Debug, Default)]
pub struct SignerFaults {
    /// Nothing arrives, and the caller knows it.
    pub away: bool,
    /// The next answers are lost, behind the deed.
    pub lose: u32,
    /// The next calls arrive only when [`SimSigner::deliver_late`] is called; the caller knows
    /// nothing.
    pub late: u32,
    /// The next attempts are charged, and the device does not sign: the same request finishes them.
    pub device: u32,
    /// Requests with one of these intents are refused by the policy.
    pub refused: BTreeSet<IntentId>,
    /// Requests with one of these intents wait for people.
    pub pending: BTreeSet<IntentId>,
    /// Random faults, once in so many calls.
    pub every: u64,
    /// Lists and look-ups do not answer.
    pub deaf: bool,
}

/// One authorised request.
#[derive(Clone, Debug)]
struct Entry {
    request: SignRequest,
    fingerprint: [u8; 32],
    keys: BTreeSet<ConflictKey>,
    fee_terms: FeeTerms,
    receipt: Receipt,
    /// The answer, once it is signed.
    answer: Option<SignAnswer>,
}

#[derive(Clone, Debug)]
struct IntentState {
    payload: IntentPayload,
    anchors: BTreeSet<ConflictKey>,
}

#[derive(Debug)]
pub struct State {
    pub now: Time,
    pub faults: SignerFaults,
    /// Whether the policy lets an intent be attempted outside of its anchors.
    pub reissues: bool,
    /// Whether lane epochs are looked at: only a mutant turns that off.
    pub epochs: bool,
    /// Whether undeclared conflicts and re-issues are looked at: only a mutant turns that off.
    pub conflicts: bool,
    random: Random,
    registry: Registry,
    chain: Chain,
    /// Attempt numbers are journal indexes: not dense.
    journal: BTreeMap<u64, Entry>,
    next_index: u64,
    requests: BTreeMap<String, u64>,
    epoch: u64,
    next: u64,
    intents: BTreeMap<IntentId, IntentState>,
    late: VecDeque<SignRequest>,
    /// What a call broke that never may be.
    pub breaches: Vec<String>,
    pub calls: u64,
    pub refusals: u64,
}

/// The signer, as every coordinator of a world sees it.
#[derive(Clone, Debug)]
pub struct SimSigner {
    state: Arc<Mutex<State>>,
    pub book: Book,
}

enum Decision {
    Answer(Box<SignAnswer>),
    Refuse(Vec<Reason>),
    Pending(Vec<Need>),
    Contradiction(String),
    Unfinished,
}

impl SimSigner {
    pub fn new(chain: Chain, registry: Registry, book: Book, random: Random) -> Self {
        let state = State {
            now: Time::from_millis(0),
            faults: SignerFaults::default(),
            reissues: false,
            epochs: true,
            conflicts: true,
            random,
            registry,
            chain,
            journal: BTreeMap::new(),
            next_index: 5,
            requests: BTreeMap::new(),
            epoch: 0,
            next: 0,
            intents: BTreeMap::new(),
            late: VecDeque::new(),
            breaches: Vec::new(),
            calls: 0,
            refusals: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            book,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Calls that were on their way arrive now. Nobody hears what came of them.
    pub fn deliver_late(&self) -> usize {
        let mut state = self.lock();
        let late: Vec<_> = state.late.drain(..).collect();
        for request in &late {
            state.decide(request, &self.book);
        }
        late.len()
    }

    pub fn has_late(&self) -> bool {
        !self.lock().late.is_empty()
    }

    /// Whether it keeps its rules on epochs and conflicts: only a mutant does not.
    pub fn keeps(&self, rules: bool) {
        let mut state = self.lock();
        (state.epochs, state.conflicts) = (rules, rules);
    }

    pub fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    pub fn registry(&self) -> Registry {
        self.lock().registry.clone()
    }
}

impl State {
    /// Equal for equal journals and troubles.
    pub fn fingerprint(&self) -> String {
        let journal: Vec<_> = self
            .journal
            .iter()
            .map(|(index, entry)| {
                (
                    index,
                    hex::encode(entry.fingerprint),
                    entry.answer.is_some(),
                )
            })
            .collect();
        let (faults, late) = (&self.faults, &self.late);
        let lane = (self.epoch, self.next, self.refusals > 0);
        format!("{journal:?} {faults:?} {late:?} {lane:?}")
    }

    fn decide(&mut self, request: &SignRequest, book: &Book) -> Decision {
        let fingerprint = request.fingerprint().unwrap();
        if let Some(&index) = self.requests.get(&request.request_id) {
            let entry = &self.journal[&index];
            if entry.fingerprint != fingerprint {
                let id = &request.request_id;
                return Decision::Contradiction(format!(
                    "request {id} was made with another content"
                ));
            }
            if entry.answer.is_none() {
                self.finish(index, book);
            }
            return match &self.journal[&index].answer {
                Some(answer) => Decision::Answer(Box::new(answer.clone())),
                None => Decision::Unfinished,
            };
        }
        let rules = ChainRules::default();
        let decoded = match tx::decode(&request.transaction, &self.registry, rules) {
            Ok(decoded) => decoded,
            Err(refusal) => return Decision::Refuse(vec![reason(refusal.code(), refusal)]),
        };
        let reasons = self.reasons(request, &decoded);
        let contradicts = |reason: &Reason| reason.code == "intent-reused";
        if reasons.iter().any(contradicts) {
            return Decision::Contradiction(format!("{reasons:?}"));
        }
        let needs = self.needs(request);
        if !reasons.is_empty() {
            self.refusals += 1;
            return Decision::Refuse(reasons);
        }
        if !needs.is_empty() {
            return Decision::Pending(needs);
        }
        let index = self.commit(request, fingerprint, &decoded);
        if self.faults.device > 0 {
            self.faults.device -= 1;
            return Decision::Unfinished;
        }
        self.finish(index, book);
        let answer = self.journal[&index].answer.clone();
        Decision::Answer(Box::new(answer.unwrap()))
    }

    /// The charge: from here on the attempt exists.
    fn commit(&mut self, request: &SignRequest, fingerprint: [u8; 32], decoded: &Decoded) -> u64 {
        let index = self.next_index;
        self.next_index += 2;
        let keys = decoded.conflict_keys().clone();
        for key in &keys {
            if let ConflictKey::Nonce { nonce, .. } = key {
                self.next = self.next.max(nonce + 1);
            }
        }
        for intent in request.intents.iter().map(|signed| &signed.intent) {
            let state = self.intents.entry(intent.id.clone());
            let state = state.or_insert_with(|| IntentState {
                payload: intent.payload(),
                anchors: keys.clone(),
            });
            let shared: BTreeSet<_> = state.anchors.intersection(&keys).cloned().collect();
            state.anchors = if shared.is_empty() {
                keys.clone()
            } else {
                shared
            };
        }
        if self.epochs {
            self.epoch = request.lane_epoch;
        }
        self.requests.insert(request.request_id.clone(), index);
        let entry = Entry {
            request: request.clone(),
            fingerprint,
            keys,
            fee_terms: decoded.fee_terms(),
            receipt: receipt(index, request, decoded, self.now),
            answer: None,
        };
        self.journal.insert(index, entry);
        index
    }

    /// The signature over what was charged.
    fn finish(&mut self, index: u64, book: &Book) {
        let entry = self.journal.get_mut(&index).unwrap();
        let rules = ChainRules::default();
        let decoded = tx::decode(&entry.request.transaction, &self.registry, rules).unwrap();
        let made_of = tx::decode(&entry.request.transaction, &self.registry, rules).unwrap();
        let signatures: Vec<_> = decoded
            .signings()
            .iter()
            .map(|signing| signature(signing.digest))
            .collect();
        let signed = tx::assemble(decoded, &signatures).unwrap();
        book.add(Made::new(index, &entry.request, &made_of, &signed));
        entry.answer = Some(SignAnswer {
            request_id: entry.request.request_id.clone(),
            attempt: index,
            receipt: entry.receipt.clone(),
            transaction: signed,
        });
    }

    fn describe(index: u64, entry: &Entry) -> RequestAnswer {
        let signed = |answer: &SignAnswer| SignedTransaction::clone(&answer.transaction);
        RequestAnswer {
            request_id: entry.request.request_id.clone(),
            attempt: index,
            status: match entry.answer {
                Some(_) => RequestStatus::Signed,
                None => RequestStatus::Committed,
            },
            lane_epoch: entry.request.lane_epoch,
            conflict_keys: entry.keys.iter().cloned().collect(),
            transaction: entry.answer.as_ref().map(signed),
            receipt: Some(entry.receipt.clone()),
            unsigned: None,
        }
    }

    fn fault(&mut self) -> Fault {
        let faults = &mut self.faults;
        if faults.away {
            return Fault::Away;
        }
        if faults.late > 0 {
            faults.late -= 1;
            return Fault::Late;
        }
        if faults.lose > 0 {
            faults.lose -= 1;
            return Fault::Lose;
        }
        if !self.random.once_in(self.faults.every) {
            return Fault::None;
        }
        match self.random.below(5) {
            0 => Fault::Away,
            1 => Fault::Late,
            2 => Fault::Lose,
            3 => Fault::NeverArrives,
            _ => {
                self.faults.device += 1;
                Fault::None
            }
        }
    }
}

enum Fault {
    None,
    Away,
    Late,
    Lose,
    NeverArrives,
}

fn reason(code: &str, detail: impl std::fmt::Display) -> Reason {
    Reason {
        code: code.into(),
        statement: None,
        at: None,
        detail: detail.to_string(),
        remedy: "ask for something else".into(),
    }
}

#[async_trait]
impl Signer for SimSigner {
    async fn sign(&self, request: &SignRequest) -> SignOutcome {
        let mut state = self.lock();
        state.calls += 1;
        let unknown = |detail: &str| SignOutcome::Unknown {
            detail: detail.into(),
        };
        match state.fault() {
            Fault::Away => {
                return SignOutcome::NotNow {
                    sealed: false,
                    detail: "no connection".into(),
                };
            }
            Fault::NeverArrives => return unknown("no answer in time"),
            Fault::Late => {
                state.late.push_back(request.clone());
                return unknown("no answer in time");
            }
            Fault::Lose => {
                state.decide(request, &self.book);
                return unknown("the connection broke");
            }
            Fault::None => {}
        }
        match state.decide(request, &self.book) {
            Decision::Answer(answer) => {
                let verified = answer.verify(request);
                assert!(verified.is_ok(), "{verified:?}");
                SignOutcome::Signed(Arc::new(*answer))
            }
            Decision::Refuse(reasons) => SignOutcome::Refused {
                needs: state.needs(request),
                reasons,
            },
            Decision::Pending(needs) => SignOutcome::Pending { needs },
            Decision::Contradiction(detail) => SignOutcome::Contradiction { detail },
            Decision::Unfinished => unknown("the device gave no usable answer"),
        }
    }

    async fn keys(&self) -> Result<KeysAnswer, String> {
        let state = self.lock();
        if state.faults.away || state.faults.deaf {
            return Err("no connection".into());
        }
        let next = matches!(state.chain, Chain::Evm(_)).then_some(state.next);
        let mut answer = keys_answer(state.chain, &state.registry, state.epoch, next);
        answer.time = Interval {
            lo: state.now,
            hi: state.now,
        };
        Ok(answer)
    }

    async fn request(&self, id: &str) -> Result<Option<RequestAnswer>, String> {
        let state = self.lock();
        if state.faults.away || state.faults.deaf {
            return Err("no connection".into());
        }
        let index = state.requests.get(id);
        Ok(index.map(|index| State::describe(*index, &state.journal[index])))
    }

    async fn requests(&self, after: Option<u64>) -> Result<Vec<RequestAnswer>, String> {
        let state = self.lock();
        if state.faults.away || state.faults.deaf {
            return Err("no connection".into());
        }
        let from = after.map_or(0, |after| after + 1);
        let entries = state.journal.range(from..);
        Ok(entries
            .map(|(index, entry)| State::describe(*index, entry))
            .collect())
    }
}

/// What the signer says of its keys.
pub fn keys_answer(
    chain: Chain,
    registry: &Registry,
    lane_epoch: u64,
    next_sequence: Option<u64>,
) -> KeysAnswer {
    let key = |key: &tx::OwnKey| Key {
        name: key.name.clone(),
        account: key.account.clone(),
        class: key.class,
        public_key: key.public.to_string(),
        assurance: "software".into(),
        addresses: vec![KeyAddress {
            chain,
            address: key.public.address(chain).unwrap().to_string(),
            lane_epoch,
            next_sequence,
        }],
    };
    KeysAnswer {
        keys: registry.keys().map(key).collect(),
        limits: Vec::new(),
        epoch: 1,
        policy: "07".repeat(32),
        time: Interval {
            lo: Time::from_millis(0),
            hi: Time::from_millis(0),
        },
        journal: None,
        heartbeat: None,
        credited: None,
    }
}

/// Names without ceremony.
pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}
