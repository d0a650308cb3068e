//! Payments to many customers as a signer decides and records them: what long journals and wide windows
//! are made of.

use std::{path::Path, sync::Arc, time::Duration};

use ::journal::{BundleError, BundleStore, Bundles, SignCommand};
use policy::{Attempt, AttemptId, Blob, BundleHash, Entry, Policy, Record, Request, Signed, State};
use serde::{Deserialize, Serialize};
use strongroom_softhsm_tests::{
    ask,
    evm::Draft,
    random::Random,
    records,
    world::{World, address_on},
};
use tx::{Address, Asset, ConflictKey, Decoded, Interval, Transaction};

use crate::path;

/// The longest window, and over how long payments are made: a little less, so that none has left.
const WINDOW: Duration = Duration::from_hours(30 * 24);
pub const SPAN: Duration = Duration::from_hours(30 * 24 - 1);
/// How many customers are paid.
pub const CUSTOMERS: u64 = 1_000_000;

/// A real journal of one payment, of which others are made.
#[derive(Serialize, Deserialize)]
pub struct Known {
    /// The entries before the payment.
    pub before: Vec<Record>,
    attempt: Attempt,
    signed: Signed,
    time: Interval,
    sender: String,
}

impl Known {
    /// Of a signer that pays once.
    pub fn of(world: &World) -> Self {
        let daemon = world.start();
        let mut client = world.walletd();
        let sender = address_on(&client.key("lane-0"), path::CHAIN);
        let transaction = Draft::transfer(0, path::CUSTOMER, 1).from(&sender);
        let asset = Asset::native(path::CHAIN);
        let intent = ask::intent("pay-0", &asset, 1, path::CUSTOMER);
        client.sign(&ask::request("pay-0", transaction, vec![intent]));
        daemon.stop();
        let mut before = records::read(&world.data());
        let first = before
            .iter()
            .position(|record| matches!(record.entry, Entry::Attempt(_)))
            .expect("an attempt");
        let after = before.split_off(first);
        let signed = after.iter().find_map(|record| match &record.entry {
            Entry::Signed(signed) => Some(Signed::clone(signed)),
            _ => None,
        });
        let time = after[0].time;
        let Entry::Attempt(attempt) = after.into_iter().next().expect("an attempt").entry else {
            unreachable!("it was looked for");
        };
        Self {
            before,
            attempt: *attempt,
            signed: signed.expect("signatures"),
            time,
            sender,
        }
    }
}

/// Payments to customers, each of an intent of its own.
pub struct Payments {
    pub known: Known,
    pub policy: Arc<Policy>,
}

impl Payments {
    /// Under the bundle that governed, changed: its limits of a day look back thirty, and it does not
    /// know the customers in advance.
    pub fn new(known: Known, data: &Path) -> Self {
        let activated = known
            .before
            .iter()
            .rev()
            .find_map(|record| match record.entry {
                Entry::PolicyActivated { hash, .. } => Some(hash),
                _ => None,
            });
        let bundles = BundleStore::of(data);
        let loaded = bundles
            .load(activated.expect("a bundle"))
            .expect("the bundle");
        let mut policy = Policy::clone(&loaded);
        for limit in &mut policy.limits {
            if limit.says.window_millis == 24 * 3_600 * 1_000 {
                limit.says.window_millis = WINDOW.as_millis() as u64;
            }
        }
        for allow in &mut policy.allows {
            allow.selector.to = None;
        }
        for chain in policy.chains.values_mut() {
            chain.max_ahead = u64::MAX;
        }
        let policy = Arc::new(policy);
        Self { known, policy }
    }

    /// The state before the first payment.
    pub fn begun(&self) -> State {
        let mut state = State::new();
        for (index, record) in (0..).zip(&self.known.before) {
            state.apply(index, record).expect("an entry");
            if let Entry::PolicyActivated { .. } = record.entry {
                state
                    .activate(Arc::clone(&self.policy))
                    .expect("the policy");
            }
        }
        state
    }

    /// So long after the first one.
    pub fn time(&self, millis: u64) -> Interval {
        Interval {
            lo: self.known.time.lo.after_millis(millis),
            hi: self.known.time.hi.after_millis(millis),
        }
    }

    /// When the `n`th of `count` is made.
    pub fn millis(n: u64, count: u64) -> u64 {
        let share = u128::from(n) * SPAN.as_millis() / u128::from(count.max(1));
        share as u64
    }

    /// To whom the `n`th payment goes.
    pub fn customer(n: u64) -> Address {
        let number = Random(n + 1).below(CUSTOMERS);
        let mut bytes = [0x51; 20];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Address::evm(path::CHAIN, bytes).expect("an address")
    }

    /// The `n`th, as it is recorded behind the entries of `state`.
    pub fn attempt(&self, state: &State, n: u64) -> Attempt {
        let mut attempt = self.known.attempt.clone();
        attempt.request = format!("pay-{n}").parse().expect("an id");
        attempt.request_hash.0[..8].copy_from_slice(&n.to_be_bytes());
        let keys = attempt.keys.into_iter().map(|key| match key {
            ConflictKey::Nonce { account, .. } => ConflictKey::Nonce { account, nonce: n },
            other => other,
        });
        attempt.keys = keys.collect();
        let customer = Self::customer(n);
        if let Some(paid) = attempt.intents.first_mut() {
            paid.intent.id.id = format!("pay-{n}").parse().expect("an id");
            paid.intent.destination = customer.clone();
        }
        let intent = attempt.intents.first().map(|paid| &paid.intent.id);
        for fact in &mut attempt.facts {
            fact.intent = fact.intent.as_ref().and(intent).cloned();
            if let Some(to) = &mut fact.effect.to {
                to.address = customer.clone();
            }
        }
        for (call, number) in attempt.calls.iter_mut().zip(state.next_call()..) {
            call.call = number;
        }
        attempt
    }

    /// What is recorded of the signatures of an attempt.
    pub fn signed(&self, id: AttemptId, attempt: &Attempt) -> Signed {
        let mut signed = self.known.signed.clone();
        signed.attempt = id;
        for (call, signature) in attempt.calls.iter().zip(&mut signed.signatures) {
            signature.call = call.call;
        }
        signed
    }

    /// Lets a state make the `n`th payment, so long after the first.
    pub fn pay(&self, state: &mut State, n: u64, millis: u64) {
        let attempt = self.attempt(state, n);
        let record = Record {
            v: 1,
            time: self.time(millis),
            entry: Entry::Attempt(Box::new(attempt)),
        };
        state.apply(state.entries(), &record).expect("a payment");
    }

    /// What is asked for the payment `id` with this nonce, and its transaction as the state understands it.
    pub fn asked(&self, state: &State, id: u64, nonce: u64, to: &Address) -> (Decoded, Request) {
        let transaction: Transaction =
            Draft::transfer(nonce, &to.to_string(), 1).from(&self.known.sender);
        let rules = self.policy.chain_rules(transaction.chain());
        let decoded = tx::decode(&transaction, &state.registry(), rules).expect("a transaction");
        let attempt = &self.known.attempt;
        let mut request = Request {
            client: attempt.client.clone(),
            id: format!("pay-{id}").parse().expect("an id"),
            hash: attempt.request_hash,
            lane_epoch: attempt.lane_epoch,
            intents: attempt.intents.clone(),
            replaces: Vec::new(),
            transaction: attempt.transaction.clone(),
            proofs: Vec::new(),
        };
        request.hash.0[..8].copy_from_slice(&id.to_be_bytes());
        for paid in &mut request.intents {
            paid.intent.id.id = format!("pay-{id}").parse().expect("an id");
            paid.intent.destination = to.clone();
        }
        (decoded, request)
    }

    /// As [`Payments::asked`], for the journal.
    pub fn command(&self, state: &State, id: u64, nonce: u64, to: &Address) -> SignCommand {
        let (decoded, request) = self.asked(state, id, nonce, to);
        let transaction = match &request.transaction {
            Blob::Inline(text) => text.clone(),
            Blob::Sha256(_) => panic!("a transfer stands in its entry"),
        };
        SignCommand {
            decoded,
            basis: self.policy.hash,
            request,
            transaction,
        }
    }
}

impl Bundles for Payments {
    fn load(&self, hash: BundleHash) -> Result<Arc<Policy>, BundleError> {
        if hash == self.policy.hash {
            return Ok(Arc::clone(&self.policy));
        }
        let reason = "there is one only".to_owned();
        Err(BundleError { hash, reason })
    }
}
