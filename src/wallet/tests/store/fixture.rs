//! What the checks are made of.

use std::{collections::BTreeSet, sync::Arc};

use api::signing::{Receipt, SignAnswer, SignRequest, SignedIntent};
use tx::{
    Address, Amount, Asset, Chain, ConflictKey, FeeTerms, Intent, IntentId, Name,
    SignedTransaction, Time, Transaction, utxo::Outpoint,
};
use wallet::{
    attempt::{Attempt, AttemptNumber, AttemptStage, Purpose},
    change::{BlockRead, Change, Coin, Commit, Gate, Spend},
    evidence::{BlockRef, DeathCertificate, Inclusion, VoidCertificate},
    lane::{LaneId, LaneView, Sender},
    ledger::Account,
    limit::DailyLimit,
    store::{Accepted, Credit, NewLane, Store},
    view::ApplyError,
    withdrawal::{NewWithdrawal, Withdrawal, WithdrawalNumber},
};

/// A day in 2026, at 12:00.
pub const NOON: u64 = 20_000 * 86_400_000 + 43_200_000;

pub fn at(millis: u64) -> Time {
    Time::from_millis(NOON + millis)
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn evm() -> Chain {
    "eip155:31337".parse().unwrap()
}

pub fn utxo() -> Chain {
    "litecoin:regtest".parse().unwrap()
}

pub fn coin_of(chain: Chain) -> Asset {
    Asset::native(chain)
}

pub fn ann() -> Account {
    Account::Customer(name("ann"))
}

pub fn bob() -> Account {
    Account::Customer(name("bob"))
}

pub fn amount(units: u64) -> Amount {
    Amount::from(units)
}

pub fn id(key: &str) -> IntentId {
    IntentId {
        source: name("shop"),
        id: key.parse().unwrap(),
    }
}

pub fn intent(key: &str, chain: Chain, units: u64) -> Intent {
    let destination = match chain {
        Chain::Evm(_) => Address::evm(chain, [0x22; 20]),
        _ => Address::from_script(chain, &[&[0, 20], [0x22; 20].as_slice()].concat()),
    };
    Intent {
        id: id(key),
        epoch: 1,
        asset: coin_of(chain),
        amount: amount(units),
        destination: destination.unwrap(),
        tag: None,
        max_fee: amount(1_000),
        expires: at(86_400_000),
    }
}

pub fn asked(key: &str, account: Account, units: u64) -> NewWithdrawal {
    asked_on(evm(), key, account, units)
}

pub fn asked_on(chain: Chain, key: &str, account: Account, units: u64) -> NewWithdrawal {
    NewWithdrawal {
        client: name("shop"),
        account,
        intent: intent(key, chain, units),
    }
}

/// Books a deposit and sets a limit.
pub async fn endow(store: &impl Store, account: Account, units: u64) {
    for chain in [evm(), utxo()] {
        let credit = Credit {
            id: format!("{account}-{chain}")
                .replace('/', "-")
                .parse()
                .unwrap(),
            client: name("ops"),
            account: account.clone(),
            asset: coin_of(chain),
            amount: amount(units),
            memo: "for the test".into(),
        };
        store.credit(&credit, at(0)).await.unwrap();
    }
}

pub fn limits(total: u64, customer: u64) -> Vec<DailyLimit> {
    let limit = |chain| DailyLimit {
        asset: coin_of(chain),
        total: amount(total),
        customer: amount(customer),
    };
    vec![limit(evm()), limit(utxo())]
}

/// A store in which ann has much and may withdraw it.
pub async fn prepare(store: &impl Store) {
    store
        .set_limits(&limits(1_000_000_000, 1_000_000_000), at(0))
        .await
        .unwrap();
    endow(store, ann(), 1_000_000_000).await;
}

/// A withdrawal of ann's that was accepted.
pub async fn accepted(store: &impl Store, chain: Chain, key: &str, units: u64) -> Withdrawal {
    let new = asked_on(chain, key, ann(), units);
    let mut answers = store.accept(vec![new], at(0)).await.unwrap();
    match answers.remove(0) {
        Accepted::New(withdrawal) => withdrawal,
        other => panic!("{other:?}"),
    }
}

pub fn lane_id(chain: Chain) -> LaneId {
    let sender = match chain {
        Chain::Evm(_) => Sender::Address(Address::evm(chain, [0x11; 20]).unwrap()),
        _ => Sender::Account(name("hot")),
    };
    LaneId { chain, sender }
}

/// A lane that a worker holds: the store and what it knows to be durable.
pub struct Worker<'s, S> {
    pub store: &'s S,
    pub view: LaneView,
    pub now: u64,
}

impl<'s, S: Store> Worker<'s, S> {
    /// Takes the lane of a chain and opens it.
    pub async fn take(store: &'s S, chain: Chain) -> Self {
        Self::take_lane(store, lane_id(chain)).await
    }

    /// As [`Self::take`], of another account.
    pub async fn take_other(store: &'s S, chain: Chain, account: &str) -> Self {
        let sender = Sender::Account(name(account));
        Self::take_lane(store, LaneId { chain, sender }).await
    }

    async fn take_lane(store: &'s S, id: LaneId) -> Self {
        let lane = NewLane {
            id,
            account: name("hot"),
            signer_epoch: 4,
            next_nonce: 7,
        };
        store.ensure_lane(&lane, at(0)).await.unwrap();
        let taken = store.acquire(&lane.id, "one", at(0), at(1_000)).await;
        taken.unwrap().unwrap();
        let view = store.load(&lane.id).await.unwrap();
        let mut worker = Self {
            store,
            view,
            now: 1,
        };
        worker.commit(vec![Change::Gate(Gate::Open)], &[]).await;
        worker
    }

    pub fn commit_of(&self, changes: Vec<Change>) -> Commit {
        Commit {
            lane: self.view.row.id.clone(),
            lease: self.view.row.lease,
            at: at(self.now),
            changes,
        }
    }

    /// What the view makes of changes.
    pub fn apply(&self, changes: &[Change], queued: &[Withdrawal]) -> Result<LaneView, ApplyError> {
        let find = |number: WithdrawalNumber| {
            let mut queued = queued.iter();
            queued.find(|queued| queued.number == number).cloned()
        };
        let mut view = self.view.clone();
        let before = view.clone();
        let applied = view.apply(changes, find, at(self.now));
        if applied.is_err() {
            assert_eq!(view, before, "a refusal changes nothing");
        }
        applied.map(|()| view)
    }

    /// Commits changes that are legal, and compares the store with the view.
    pub async fn commit(&mut self, changes: Vec<Change>, queued: &[Withdrawal]) {
        let view = self.apply(&changes, queued).unwrap();
        self.store.commit(self.commit_of(changes)).await.unwrap();
        let loaded = self.store.load(&self.view.row.id).await.unwrap();
        assert_eq!(loaded, view);
        self.view = view;
        self.now += 1;
    }

    /// A new set's first attempt.
    pub fn payout(&self, keys: BTreeSet<ConflictKey>, pays: &[&Withdrawal]) -> Attempt {
        let number = self.view.row.next_attempt;
        let anchor = keys.first().unwrap().clone();
        self.attempt((number, anchor), keys, pays)
    }

    /// A new set's first attempt over the next nonce.
    pub fn payout_next(&self, pays: &[&Withdrawal]) -> Attempt {
        self.payout(BTreeSet::from([self.nonce(self.view.row.next_nonce)]), pays)
    }

    pub fn nonce(&self, nonce: u64) -> ConflictKey {
        match &self.view.row.id.sender {
            Sender::Address(account) => ConflictKey::Nonce {
                account: account.clone(),
                nonce,
            },
            Sender::Account(_) => panic!("no nonces here"),
        }
    }

    /// An attempt for a set.
    pub fn attempt(
        &self,
        (set, anchor): (AttemptNumber, ConflictKey),
        keys: BTreeSet<ConflictKey>,
        pays: &[&Withdrawal],
    ) -> Attempt {
        let row = &self.view.row;
        let number = row.next_attempt;
        let intents = pays.iter().map(|pays| SignedIntent {
            intent: pays.intent.clone(),
            signatures: Vec::new(),
        });
        let purpose = if pays.is_empty() {
            Purpose::Cancellation
        } else {
            Purpose::Payout
        };
        Attempt {
            number,
            set,
            purpose,
            keys,
            anchor,
            pays: pays.iter().map(|pays| pays.number).collect(),
            request: Arc::new(SignRequest {
                request_id: row.id.request_id(number),
                lane_epoch: row.epoch,
                intents: intents.collect(),
                replaces: Vec::new(),
                transaction: Transaction::Eip2718 {
                    chain: row.id.chain,
                    from: "0x1111111111111111111111111111111111111111".into(),
                    payload: format!("0x{:02x}", number.0),
                },
                proofs: Vec::new(),
            }),
            fee_terms: FeeTerms::Utxo {
                fee: 200,
                vsize: 110,
            },
            created_at: at(self.now),
            stage: AttemptStage::Reserved,
            signed: None,
        }
    }

    /// Reads a block that makes coins.
    pub async fn read_block(&mut self, height: u64, made: Vec<Coin>) {
        self.read(height, made, Vec::new()).await;
    }

    /// Reads a block.
    pub async fn read(&mut self, height: u64, made: Vec<Coin>, spent: Vec<Spend>) {
        let read = BlockRead {
            block: block(height),
            previous: block(height - 1).hash,
            made,
            spent,
        };
        self.commit(vec![Change::Block(Box::new(read))], &[]).await;
    }

    /// Assigns, signs and broadcasts.
    pub async fn send(&mut self, attempt: Attempt, queued: &[Withdrawal]) -> AttemptNumber {
        let number = attempt.number;
        let signed = signed(&attempt);
        let new = if attempt.set == attempt.number {
            Change::Assign(Box::new(attempt))
        } else {
            Change::Replace(Box::new(attempt))
        };
        self.commit(vec![new], queued).await;
        let sent = Change::Broadcast {
            attempt: number,
            at: at(self.now),
        };
        self.commit(vec![signed, sent], &[]).await;
        number
    }
}

pub fn answer(attempt: &Attempt) -> Arc<SignAnswer> {
    Arc::new(SignAnswer {
        request_id: attempt.request.request_id.clone(),
        attempt: attempt.number.0 + 100,
        transaction: SignedTransaction {
            raw: format!("{:04x}", attempt.number.0),
            txid: format!("{:064x}", attempt.number.0),
        },
        receipt: Receipt {
            version: 1,
            log: "00".repeat(32),
            entry: attempt.number.0 + 100,
            salt: "00".repeat(32),
            body: "{}".into(),
            inclusion: None,
        },
    })
}

pub fn signed(attempt: &Attempt) -> Change {
    Change::Signed {
        attempt: attempt.number,
        answer: answer(attempt),
    }
}

pub fn block(height: u64) -> BlockRef {
    BlockRef {
        height,
        hash: format!("{height:064x}"),
    }
}

pub fn inclusion(attempt: AttemptNumber, height: u64) -> Inclusion {
    Inclusion {
        block: block(height),
        txid: format!("{:064x}", attempt.0),
        fee: amount(21),
    }
}

pub fn included(attempt: AttemptNumber, height: u64) -> Change {
    Change::Included {
        attempt,
        inclusion: inclusion(attempt, height),
    }
}

pub fn finally(attempt: AttemptNumber, height: u64) -> Change {
    Change::Final {
        attempt,
        inclusion: inclusion(attempt, height),
        tip: block(height + 10),
    }
}

pub fn refused(attempt: AttemptNumber) -> Change {
    Change::Void {
        attempt,
        certificate: VoidCertificate::Refused { calls: 1 },
    }
}

pub fn dead(attempt: AttemptNumber, key: ConflictKey) -> Change {
    Change::Dead {
        attempt,
        certificate: DeathCertificate::Conflict {
            key,
            winner: inclusion(AttemptNumber(999), 50),
            tip: block(60),
        },
    }
}

pub fn coin(number: u8, height: u64, coinbase: bool) -> Coin {
    Coin {
        outpoint: Outpoint {
            txid: [number; 32],
            vout: u32::from(number % 3),
        },
        amount: 10_000,
        key: name("hot-1"),
        script: Arc::from([0, 20, number].as_slice()),
        previous: Arc::from([number; 60].as_slice()),
        height,
        coinbase,
    }
}

pub fn outpoint_key(coin: &Coin) -> ConflictKey {
    ConflictKey::Outpoint {
        chain: utxo(),
        txid: coin.outpoint.txid,
        vout: coin.outpoint.vout,
    }
}
