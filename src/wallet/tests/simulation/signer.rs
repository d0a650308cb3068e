//! A signer with the rules of the real one that a coordinator meets. It is durable: nothing that
//! happens to the coordinator makes it forget.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use api::signing::{
    Key, KeyAddress, KeysAnswer, Need, Reason, Receipt, RequestAnswer, RequestStatus, SignAnswer,
    SignRequest,
};
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tx::{
    Chain, ChainRules, ConflictKey, Decoded, EcdsaSignature, EffectKind, FeeTerms, Intent,
    IntentId, IntentPayload, Interval, Name, Registry, SignedTransaction, Time,
};
use wallet::signer::{SignOutcome, Signer};

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
        let rules = ChainRules {
            locktime_height_max: 0,
        };
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

    fn reasons(&self, request: &SignRequest, decoded: &Decoded) -> Vec<Reason> {
        let mut reasons = Vec::new();
        self.check_lane(request, &mut reasons);
        self.check_intents(request, decoded, &mut reasons);
        if self.conflicts {
            self.check_conflicts(request, decoded, &mut reasons);
        }
        self.check_sequence(decoded, &mut reasons);
        let refused = |intent: &&Intent| self.faults.refused.contains(&intent.id);
        for intent in request.intents.iter().map(|i| &i.intent).filter(refused) {
            reasons.push(reason("limit", format!("limit reached for {}", intent.id)));
        }
        reasons
    }

    fn check_lane(&self, request: &SignRequest, reasons: &mut Vec<Reason>) {
        let (asked, present) = (request.lane_epoch, self.epoch);
        if self.epochs && asked != present && asked != present + 1 {
            let detail = format!("the lane has epoch {present}, not {asked}");
            reasons.push(reason("lane-epoch", detail));
        }
    }

    fn check_intents(&self, request: &SignRequest, decoded: &Decoded, reasons: &mut Vec<Reason>) {
        let mut payments: Vec<_> = decoded
            .effects()
            .iter()
            .filter(|effect| effect.kind == EffectKind::Payment)
            .map(|effect| {
                let to = effect.to.as_ref().unwrap().address.clone();
                (effect.asset.clone(), effect.amount, to)
            })
            .collect();
        let mut fees = tx::Amount::ZERO;
        for intent in request.intents.iter().map(|signed| &signed.intent) {
            let paid = (
                intent.asset.clone(),
                intent.amount,
                intent.destination.clone(),
            );
            match payments.iter().position(|payment| *payment == paid) {
                Some(at) => drop(payments.swap_remove(at)),
                None => reasons.push(reason(
                    "intent-mismatch",
                    format!("{} is not paid", intent.id),
                )),
            }
            let known = self.intents.get(&intent.id);
            if known.is_some_and(|known| known.payload != intent.payload()) {
                reasons.push(reason("intent-reused", format!("{} is another", intent.id)));
            }
            if self.now > intent.expires {
                reasons.push(reason("intent-closed", format!("{} expired", intent.id)));
            }
            fees = fees.checked_add(intent.max_fee).unwrap();
        }
        if !payments.is_empty() {
            reasons.push(reason(
                "intent-mismatch",
                format!("{payments:?} has no intent"),
            ));
        }
        let fee = decoded.effects().iter().find(|e| e.kind == EffectKind::Fee);
        if !request.intents.is_empty() && fee.is_some_and(|fee| fee.amount > fees) {
            reasons.push(reason(
                "intent-fee",
                "the fee is above what the intents allow",
            ));
        }
    }

    fn check_conflicts(&self, request: &SignRequest, decoded: &Decoded, reasons: &mut Vec<Reason>) {
        let keys = decoded.conflict_keys();
        for (index, entry) in &self.journal {
            if entry.keys.is_disjoint(keys) {
                continue;
            }
            if !request.replaces.contains(index) {
                let detail = format!("attempt {index} consumes what this consumes");
                reasons.push(reason("undeclared-conflict", detail));
            }
            if !replaceable(&entry.fee_terms, &decoded.fee_terms()) {
                let detail = format!("too little more than attempt {index} offers");
                reasons.push(reason("replacement-fee", detail));
            }
        }
        for intent in request.intents.iter().map(|signed| &signed.intent) {
            let known = self.intents.get(&intent.id);
            if known.is_some_and(|known| known.anchors.is_disjoint(keys)) && !self.reissues {
                let detail = format!("no statement allows a re-issue of {}", intent.id);
                reasons.push(reason("uncovered", detail));
            }
        }
    }

    fn check_sequence(&self, decoded: &Decoded, reasons: &mut Vec<Reason>) {
        for key in decoded.conflict_keys() {
            if let ConflictKey::Nonce { nonce, .. } = key
                && *nonce > self.next
            {
                let detail = format!("{nonce} leaves a gap after the next one, {}", self.next);
                reasons.push(reason("sequence", detail));
            }
        }
    }

    fn needs(&self, request: &SignRequest) -> Vec<Need> {
        let mut waiting = request.intents.iter().map(|signed| &signed.intent.id);
        if !waiting.any(|id| self.faults.pending.contains(id)) {
            return Vec::new();
        }
        vec![Need {
            statement: "large".into(),
            at: "policy.toml:7".into(),
            threshold: 2,
            people: vec!["ann".into(), "bob".into(), "eve".into()],
        }]
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
        let rules = ChainRules {
            locktime_height_max: 0,
        };
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

fn replaceable(old: &FeeTerms, new: &FeeTerms) -> bool {
    let tenth_more = |old: tx::Amount, new: tx::Amount| {
        let times = |amount: tx::Amount, by: u64| amount.checked_mul(by.into()).unwrap();
        times(new, 10) >= times(old, 11)
    };
    match (*old, *new) {
        (
            FeeTerms::Evm {
                max_fee_per_gas: old_fee,
                max_priority_fee_per_gas: old_tip,
                ..
            },
            FeeTerms::Evm {
                max_fee_per_gas: fee,
                max_priority_fee_per_gas: tip,
                ..
            },
        ) => tenth_more(old_fee, fee) && tenth_more(old_tip, tip),
        (FeeTerms::Utxo { fee: old, .. }, FeeTerms::Utxo { fee, vsize }) => fee >= old + vsize,
        _ => false,
    }
}

/// No signature, but one for each digest, and always the same.
fn signature(digest: [u8; 32]) -> EcdsaSignature {
    let part = |label: &[u8]| {
        let mut bytes: [u8; 32] = Sha256::new()
            .chain_update(label)
            .chain_update(digest)
            .finalize()
            .into();
        // Between 2^251 and 2^254: low, and never short.
        bytes[0] = (bytes[0] & 0x3f) | 0x08;
        bytes
    };
    EcdsaSignature {
        r: part(b"r"),
        s: part(b"s"),
        recovery_id: 0,
    }
}

/// As the real journal writes it: its lists are sorted.
fn receipt(index: u64, request: &SignRequest, decoded: &Decoded, now: Time) -> Receipt {
    let transaction = serde_json::to_string(&request.transaction).unwrap();
    let mut intents = request.intents.clone();
    intents.sort_by(|one, other| one.intent.cmp(&other.intent));
    let mut replaces = request.replaces.clone();
    replaces.sort_unstable();
    let body = serde_json::json!({
        "v": 1,
        "time": Interval { lo: now, hi: now },
        "entry": { "attempt": {
            "client": "walletd",
            "request": request.request_id,
            "request_hash": hex::encode(request.fingerprint().unwrap()),
            "lane": lane_of(decoded),
            "lane_epoch": request.lane_epoch,
            "transaction": { "inline": transaction },
            "chain": request.transaction.chain(),
            "account": decoded.account(),
            "keys": decoded.conflict_keys(),
            "intents": intents,
            "replaces": replaces,
            "proofs": [],
            "fee_terms": decoded.fee_terms(),
            "facts": [],
            "allowed_by": [],
            "policy": "07".repeat(32),
            "calls": [],
        }},
    });
    Receipt {
        version: 1,
        log: "ab".repeat(32),
        entry: index,
        salt: "5a".repeat(32),
        body: body.to_string(),
        inclusion: None,
    }
}

fn lane_of(decoded: &Decoded) -> String {
    let sender = decoded.conflict_keys().iter().find_map(|key| match key {
        ConflictKey::Nonce { account, .. } => Some(account.qualified()),
        _ => None,
    });
    sender.unwrap_or_else(|| format!("{}:{}", decoded.chain(), decoded.account()))
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
        policy: "07".repeat(32),
        time: Interval {
            lo: Time::from_millis(0),
            hi: Time::from_millis(0),
        },
    }
}

/// Names without ceremony.
pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}
