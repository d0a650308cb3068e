//! A coordinator that is hostile: it asks for anything, over a network that loses, repeats and delays.

use std::collections::BTreeSet;

use policy::{AttemptId, Blob, BundleHash, Person, Policy, statement};
use ssh_key::{PrivateKey, private::Ed25519Keypair};
use tx::{ConflictKey, Time};

use super::{
    fixture::{Ask, ETH, SECOND, btc, eth, grouped, limit, name, own, policy},
    model::{Model, Wanted},
    random::Random,
};
use crate::SignCommand;

const OUTPOINTS: u64 = 5;
/// After so many requests the coordinator fights over other coins and intents.
const ROUNDS: u64 = 24;

/// What was asked so far.
pub struct Clients {
    pub asked: Vec<Asked>,
}

/// One request, however often it is sent.
#[derive(Clone)]
pub struct Asked {
    pub ask: Ask,
    pub wanted: Wanted,
}

/// The bundle with this sequence: limits are raised, lowered, renamed and left out.
pub fn bundle(sequence: u64) -> Policy {
    let mut count = limit("count", btc(), 6, 60 * SECOND);
    count.says.measure = policy::Measure::Count;
    let by = [policy::Group::Client, policy::Group::Account];
    let to = [policy::Group::Destination];
    let (title, cap) = [("btc", 10), ("btc-b", 8), ("btc", 12)][(sequence % 3) as usize];
    let mut limits = vec![
        limit(title, btc(), cap, 100 * SECOND),
        limit("eth", eth(), 10, 100 * SECOND),
        grouped(limit("to", btc(), 7, 30 * SECOND), &to),
        grouped(count, &by),
    ];
    if sequence.is_multiple_of(4) {
        limits.remove(2);
    }
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&sequence.to_be_bytes());
    let mut bundle = Policy {
        hash: BundleHash(hash),
        sequence,
        limits,
        ..policy()
    };
    let officers: BTreeSet<_> = OFFICERS.into_iter().map(name).collect();
    for (officer, key) in officers.iter().zip(officer_keys()) {
        let person = Person {
            keys: [key.public_key().to_openssh().unwrap()].into(),
            ..Person::default()
        };
        bundle.people.insert(officer.clone(), person);
    }
    bundle.governance.threshold = officers.len() as u32;
    bundle.governance.officers = officers;
    bundle
}

/// Who says that bodies may go.
const OFFICERS: [&str; 2] = ["ann", "ben"];

fn officer_keys() -> [PrivateKey; OFFICERS.len()] {
    [1, 2].map(|seed| PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32])))
}

/// A statement's text with the signatures of all officers.
pub fn sign_text(text: &str, namespace: &str) -> String {
    let one = |key: PrivateKey| statement::sign(text, namespace, &key).unwrap();
    officer_keys().map(one).concat()
}

impl Clients {
    pub fn new() -> Self {
        Self { asked: Vec::new() }
    }

    /// Thinks of another request; gives its number.
    pub fn invent(&mut self, random: &mut Random, model: &Model, now: u64) -> usize {
        let round = self.asked.len() as u64;
        let epoch = round / ROUNDS;
        let id = format!("r{round}");
        let fee = match random.once_in(10) {
            true => 1_000,
            false => 1_000 * (round + 1),
        };
        let mut ask = match random.below(16) {
            0 => Ask::keyless(&id, Time::from_millis(now + SECOND)),
            1..=3 => account(&id, random, model),
            _ => Ask::utxo(&id, outpoints(random, epoch), fee),
        };
        if random.once_in(5) {
            ask = ask.client("other");
        }
        for n in 0..random.between(1, 4) {
            ask = pay(ask, random, (epoch, n), &id);
        }
        for signed in &mut ask.request.intents {
            let invented = signed.intent.id.id.as_str().starts_with('r');
            if invented && random.once_in(4) {
                signed.intent.expires = Time::from_millis(now + 20 * SECOND);
            }
        }
        ask.request.hash.0[..8].copy_from_slice(&round.to_be_bytes());
        for signing in &mut ask.transaction.signings {
            signing.digest[..8].copy_from_slice(&round.to_be_bytes());
        }
        let ask = declare(ask, random, model);
        let intents = ask.request.intents.iter();
        let wanted = Wanted {
            intents: intents
                .clone()
                .map(|signed| signed.intent.id.clone())
                .collect(),
            expires: intents
                .map(|signed| signed.intent.expires.millis())
                .collect(),
        };
        self.asked.push(Asked { ask, wanted });
        self.asked.len() - 1
    }

    /// What the request with this hash wanted.
    pub fn wanted(&self, hash: &[u8; 32]) -> &Asked {
        let round = u64::from_be_bytes(hash[..8].try_into().unwrap());
        &self.asked[round as usize]
    }

    /// The request as the daemon understands it.
    pub fn command(&self, request: usize, basis: BundleHash) -> SignCommand {
        let Asked { ask, .. } = &self.asked[request];
        let transaction = ask.request.id.to_string();
        let mut asked = ask.request.clone();
        asked.transaction = Blob::of(&transaction);
        SignCommand {
            decoded: ask.transaction.clone().decoded(),
            basis,
            request: asked,
            transaction,
        }
    }
}

/// The star, its points, and everything between.
fn outpoints(random: &mut Random, epoch: u64) -> Vec<u32> {
    let all = (1 << OUTPOINTS) - 1;
    let bits = match random.below(8) {
        0 | 1 => all,
        2..=5 => 1 << random.below(OUTPOINTS),
        _ => random.between(1, all + 1),
    };
    let chosen = (0..OUTPOINTS).filter(|bit| bits & (1 << bit) != 0);
    chosen.map(|bit| (epoch * OUTPOINTS + bit) as u32).collect()
}

fn account(id: &str, random: &mut Random, model: &Model) -> Ask {
    let (account, key) = [("hot", "k1"), ("hot2", "k3")][random.index(2)];
    let at = |nonce| ConflictKey::Nonce {
        account: own(key, ETH),
        nonce,
    };
    let next = (0..)
        .find(|nonce| model.consumers(&at(*nonce)) == 0)
        .unwrap();
    let nonce = match random.below(8) {
        0 => next + 1,
        1..=3 => next.saturating_sub(1),
        _ => next,
    };
    let bids = model.consumers(&at(nonce)).min(20);
    Ask::evm(id, nonce, 100 << bids).from(account, key)
}

fn pay(ask: Ask, random: &mut Random, (epoch, n): (u64, u64), id: &str) -> Ask {
    if random.once_in(3) {
        // A known intent has its content by its number, or the hostile one that is tried for it.
        let known = random.below(4);
        let other = u64::from(random.once_in(6));
        let intent = format!("known-{epoch}-{known}");
        return ask.pay(&intent, 1 + known + other, (known % 3) as u8);
    }
    let (units, to) = (random.between(1, 7), random.below(3) as u8);
    ask.pay(&format!("{id}-{n}"), units, to)
}

fn declare(ask: Ask, random: &mut Random, model: &Model) -> Ask {
    let conflicting = model.conflicting(&ask.transaction.conflict_keys);
    match random.below(10) {
        0 => ask,
        1 => ask.replaces(conflicting).replaces([AttemptId(4)]),
        _ => ask.replaces(conflicting),
    }
}
