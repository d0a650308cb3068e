//! Policies, requests and histories with all of the language in them: tags, calls and their arguments, values by
//! attested prices, a book that is loaded apart, what attesters must have said, and re-issues of what is dead.

use strongroom_policy::{
    Addresses, ArgumentCondition, AttestationKind, AttestedNeed, Book, BookApart, BundleHash,
    Digest, Entry, FunctionId, Integer, Measure, Person, Policy, Selector, To,
    book::{BookError, Shelf, file_hash},
    statement::{Attestation, BookUpdate, Fate, Seen},
};
use tx::{Amount, Argument, Call, EffectKind};

use crate::{
    books::{file, signed as signed_book},
    finality::try_say,
    fixture::{
        Ask, BTC, ETH, SECOND, Signer, btc, effects, eth, name, policy, statement, stranger,
    },
    hostile::{Done, Hostile},
    prices::{self, priced},
    rules::signer_key,
};

const COOLING: u64 = 10 * SECOND;
const STAKE: &str = "stake(address,uint256)";
/// Who signs the book that is loaded apart, by the seeds of their keys.
const KEEPERS: [(u8, &str); 2] = [(21, "kim"), (22, "lee")];
/// One unit of the currency in the smallest part of values.
const VALUE: u64 = 100_000_000;

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }

    pub fn in_100(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn stake() -> FunctionId {
    FunctionId {
        contract: stranger(ETH, 100),
        signature: STAKE.into(),
    }
}

/// Conditions that the plain generator has not; `dead` where the statement is no limit.
pub fn broaden(selector: &mut Selector, dice: &mut Dice, of_limit: bool) {
    if dice.in_100(12) {
        let tags = ["7", "8"].into_iter().take(1 + dice.below(2) as usize);
        selector.tags = Some(tags.map(str::to_owned).collect());
    }
    if dice.in_100(12) {
        let owner = match dice.below(3) {
            0 => To::Book(name("b0")),
            1 => To::Address(stranger(ETH, 1)),
            _ => To::Address(stranger(ETH, 2)),
        };
        let max: Option<Integer> = dice.below(6).to_string().parse().ok();
        let mut conditions = Vec::new();
        if dice.in_100(60) {
            conditions.push((0, ArgumentCondition::To([owner].into())));
        }
        if dice.in_100(60) {
            conditions.push((1, ArgumentCondition::Within { over: None, max }));
        }
        selector.functions = Some([(stake(), conditions.into_iter().collect())].into());
        if let Some(effects) = &mut selector.effects {
            effects.insert(EffectKind::Call);
        }
    }
    if !of_limit && dice.in_100(8) {
        selector.dead = Some(dice.in_100(50));
        if let Some(effects) = &mut selector.effects {
            effects.insert(EffectKind::Reissue);
        }
    }
}

/// The policy with more of the language in it, which replaces that of [`begun`].
pub fn broad(mut policy: Policy, seed: u64) -> Policy {
    let mut dice = Dice(seed);
    for allow in &mut policy.allows {
        if allow.name == name("everything") {
            let kinds = allow.selector.effects.get_or_insert_default();
            kinds.insert(EffectKind::Call);
        } else {
            broaden(&mut allow.selector, &mut dice, false);
        }
    }
    for deny in &mut policy.denies {
        broaden(&mut deny.selector, &mut dice, false);
    }
    for require in &mut policy.requires {
        broaden(&mut require.selector, &mut dice, false);
    }
    for limit in &mut policy.limits {
        broaden(&mut limit.selector, &mut dice, true);
        if dice.in_100(30) {
            let cap = limit.says.cap.to_u64().unwrap();
            limit.says.measure = Measure::Reference;
            limit.says.cap = Amount::from(cap * 2 * VALUE);
        }
    }
    if dice.in_100(30) {
        let mut selector = effects(&[EffectKind::Payment]);
        broaden(&mut selector, &mut dice, false);
        let need = AttestedNeed {
            attested: AttestationKind::Head,
            within_millis: (1 + dice.below(200)) * SECOND,
        };
        policy.requires_attested = vec![statement("fresh", selector, need)];
    }
    surrounded(policy, 2)
}

/// The policy with attesters and officers, and the book that is loaded apart.
pub fn surrounded(mut policy: Policy, sequence: u64) -> Policy {
    for (seed, keeper) in KEEPERS {
        let person = Person {
            keys: [signer_key(seed)].into(),
            ..Person::default()
        };
        policy.people.insert(name(keeper), person);
    }
    policy.attestations = priced().attestations;
    let kinds = [
        AttestationKind::Price,
        AttestationKind::Final,
        AttestationKind::Dead,
        AttestationKind::Head,
    ];
    for attester in policy.attestations.attesters.values_mut() {
        attester.says = kinds.into();
    }
    policy.attestations.needed = kinds.map(|kind| (kind, 2)).into();
    let apart = BookApart {
        chain: BTC,
        threshold: 2,
        signers: KEEPERS.map(|(_, keeper)| name(keeper)).into(),
        cooling_millis: COOLING,
    };
    let book = Book {
        addresses: Addresses::default(),
        apart: Some(apart),
    };
    policy.books.insert(name("b1"), book);
    policy.sequence = sequence;
    policy.hash = BundleHash([u8::try_from(sequence % 251).unwrap(); 32]);
    policy
}

/// A signer that knows prices and how high the chains are, and a book that is loaded apart: one address is in it, one
/// was taken out and one is cooling.
pub fn begun() -> Signer {
    thread_local! {
        static BEGUN: Signer = {
            let mut signer = Signer::new(surrounded(policy(), 1));
            prices_said(&mut signer, ["2", "3"]);
            heads_said(&mut signer, 7);
            load(&mut signer, &[0, 1]);
            signer.pass(COOLING);
            cool(&mut signer);
            load(&mut signer, &[0, 2]);
            signer
        };
    }
    BEGUN.with(Clone::clone)
}

/// [`begun`], under another policy.
pub fn under(policy: Policy) -> Signer {
    let mut signer = begun();
    activate(&mut signer, policy);
    signer
}

/// As [`Signer::activate`]; what the files of books say is there again.
pub fn activate(signer: &mut Signer, policy: Policy) {
    signer.activate(policy);
    shelve(signer);
}

/// Two attesters say what the coins are worth.
pub fn prices_said(signer: &mut Signer, [bitcoin, ether]: [&str; 2]) {
    for who in ["w1", "w2"] {
        prices::say(signer, who, &btc(), bitcoin);
        prices::say(signer, who, &eth(), ether);
    }
}

pub fn heads_said(signer: &mut Signer, height: u64) {
    for who in ["w1", "w2"] {
        for chain in [BTC, ETH] {
            let seen = Seen::Head { chain, height };
            is_said(signer, who, seen);
        }
    }
}

fn is_said(signer: &mut Signer, who: &str, seen: Seen) -> bool {
    let attestation = Attestation {
        fleet: name("main"),
        number: signer.state.entries(),
        attester: name(who),
        at: signer.now.lo,
        seen,
    };
    try_say(signer, &attestation).is_ok()
}

/// Two attesters say that an attempt is dead, as far as they are believed.
pub fn died(signer: &mut Signer, done: &Done) {
    for who in ["w1", "w2"] {
        let seen = Seen::Fate {
            attempt: done.id,
            request: done.attempt.request_hash,
            transaction: format!("{:064x}", done.id.0).parse().unwrap(),
            fate: Fate::Dead,
        };
        is_said(signer, who, seen);
    }
}

/// The next content of the book that is loaded apart.
pub fn load(signer: &mut Signer, strangers: &[u8]) {
    let file = file(strangers);
    let known = signer.state.book(&name("b1"));
    let update = BookUpdate {
        fleet: name("main"),
        replaces: known.map_or(0, |book| book.sequence),
        book: name("b1"),
        chain: BTC,
        addresses: strangers.len() as u64,
        file: file_hash(&file),
    };
    let mut loaded = signed_book(&update, &KEEPERS);
    loaded.not_before = signer.now.lo.after_millis(COOLING);
    signer.push(Entry::BookLoaded(Box::new(loaded)));
    shelve(signer);
}

/// Says that what was loaded has cooled, where it has.
pub fn cool(signer: &mut Signer) {
    for (book, sequence) in signer.state.cooled(signer.now.lo) {
        signer.push(Entry::BookCooled { book, sequence });
    }
}

/// The file of this hash, of those that tests load; encoding addresses is most of what it would cost.
fn loaded(hash: Digest) -> Result<Vec<u8>, NoFile> {
    thread_local! {
        static FILES: Vec<(Digest, Vec<u8>)> = {
            let files = (1..16_u8).map(|bits| {
                let strangers: Vec<u8> = (0..4).filter(|bit| bits & (1 << bit) != 0).collect();
                let file = file(&strangers);
                (file_hash(&file), file)
            });
            files.collect()
        };
    }
    FILES.with(|files| {
        let found = files.iter().find(|(known, _)| *known == hash);
        found.map(|(_, file)| file.clone()).ok_or(NoFile)
    })
}

#[derive(Debug)]
struct NoFile;

impl From<BookError> for NoFile {
    fn from(_: BookError) -> Self {
        Self
    }
}

pub fn shelve(signer: &mut Signer) {
    let Some(book) = signer.state.book(&name("b1")) else {
        return;
    };
    let shelf = Shelf::fill(book, loaded).unwrap();
    signer.state.shelve(name("b1"), shelf.into());
}

/// The request with a tag on each payment of an odd number of units, and a call where the bits say so.
pub fn broadly(mut ask: Ask, bits: u64) -> Ask {
    let is_tagged = |amount: Amount| amount.to_u64().is_some_and(|units| units % 2 == 1);
    for effect in &mut ask.transaction.effects {
        if effect.kind == EffectKind::Payment && is_tagged(effect.amount) {
            effect.tag = Some("7".into());
        }
    }
    for signed in &mut ask.request.intents {
        if is_tagged(signed.intent.amount) {
            signed.intent.tag = Some("7".into());
        }
    }
    if bits & 3 != 0 || ask.transaction.chain != ETH {
        return ask;
    }
    let argument = |name: &str, value: String| Argument {
        name: name.into(),
        value,
        own: None,
    };
    let owner = stranger(ETH, u8::try_from((bits >> 2) % 3).unwrap());
    let arguments = vec![
        argument("owner", owner.to_string()),
        argument("amount", ((bits >> 4) % 8).to_string()),
    ];
    let mut ask = ask.effect(EffectKind::Call, 1, Some((stranger(ETH, 100), None)));
    ask.transaction.effects[0].call = Some(Box::new(Call {
        function: name("stake"),
        signature: STAKE.into(),
        arguments,
    }));
    ask
}

/// What happens between two requests: attesters speak, the book changes and cools.
pub fn meanwhile(hostile: &mut Hostile, dice: &mut Dice) {
    match dice.below(6) {
        0 => {
            let price = (1 + dice.below(9)).to_string();
            prices_said(&mut hostile.signer, [&price, "2.5"]);
        }
        1 => heads_said(&mut hostile.signer, 7),
        2 => {
            let bits = 1 + dice.below(15);
            let strangers: Vec<u8> = (0..4).filter(|bit| bits & (1 << bit) != 0).collect();
            load(&mut hostile.signer, &strangers);
        }
        3 => cool(&mut hostile.signer),
        4 if !hostile.done.is_empty() => {
            let place = dice.below(hostile.done.len() as u64) as usize;
            let done = hostile.done[place].clone();
            died(&mut hostile.signer, &done);
        }
        _ => {}
    }
}
