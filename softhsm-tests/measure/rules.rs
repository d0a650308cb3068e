//! What a bundle as large as a large exchange's takes: to load, and to decide by.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::journal::read_folder;
use bitcoin::ScriptBuf;
use policy::{
    Blob, Book, BookState, BookStep, Entry, Policy, Record, Request, RequestHash, SignedIntent,
    State, Verdict,
    book::{BookError, BookFile, Shelf},
    bundle::{self, Trust},
    evaluate,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use strongroom_softhsm_tests::{
    ask,
    bundle::Bundle,
    coins::{self, Previous},
    records,
    world::World,
};
use tx::{Address, Asset, Chain, Decoded, Interval, Name, Network};

use crate::{
    figure::{Figure, rounded},
    machine, raw,
};

/// The figures that there are.
pub const FIGURES: [&str; 3] = ["policy_eval_us", "policy_load_s", "book_update_s"];

/// The large book's name.
const PAYEES: &str = "payees";
const CHAIN: Chain = Chain::Litecoin(Network::Regtest);
/// The large book, and the one that it is compared with.
const ADDRESSES: u32 = 1_000_000;
const ADDRESSES_FEW: u32 = 1_000;
/// Statements that are no limits, and limits.
const STATEMENTS: usize = 100;
const LIMITS: usize = 50;
/// How many decisions are measured, after as many that are not.
const DECISIONS: usize = 20_000;
const LOADS: usize = 3;

/// Measures both.
pub fn measure() -> Vec<Figure> {
    let world = World::with(large);
    let daemon = world.start();
    let own = coins::script(&world.walletd().key("coin-1").public_key.to_string());
    daemon.stop();
    let history = records::read(&world.data());
    let mut loads: Vec<Loaded> = (0..LOADS).map(|_| load(&world, &history)).collect();
    let mut seconds: Vec<f64> = loads.iter().map(|one| one.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let Loaded { state, policy, .. } = loads.pop().expect("a load");
    drop(loads);
    let few = with_few(&policy);
    let (small, _) = begun(&history, &few);
    let now = history.last().expect("entries").time;
    let asked = asked(&state, &policy, &own);
    // In turn, so that what else the machine does meets both.
    let (mut large, mut little) = (Vec::new(), Vec::new());
    for turn in 0..2 * DECISIONS {
        let (slow, quick) = (decided(&state, now, &asked), decided(&small, now, &asked));
        if turn >= DECISIONS {
            large.push(slow);
            little.push(quick);
        }
    }
    large.sort_by(f64::total_cmp);
    little.sort_by(f64::total_cmp);
    let (decoded, _) = &asked;
    let detail = json!({
        "machine": machine::description(), "effects": decoded.effects().len(),
        "statements": statements(&policy), "limits": policy.limits.len(), "book": ADDRESSES,
        "baseline": format!("the same with a book of {ADDRESSES_FEW}"),
        "p99_us": rounded(raw::percentile(&large, 99)),
    });
    let loaded = json!({
        "machine": machine::description(), "book": ADDRESSES,
        "what": "read, hash, parse, check and index; the median of three",
        "baseline": "reading the files and hashing them", "loads_s": seconds,
    });
    let figure = |figure, value, unit, baseline, detail| Figure {
        figure,
        value,
        unit,
        baseline,
        detail,
    };
    let (value, baseline) = (raw::percentile(&large, 50), raw::percentile(&little, 50));
    vec![
        figure(FIGURES[0], rounded(value), "us", rounded(baseline), detail),
        figure(
            FIGURES[1],
            rounded(seconds[LOADS / 2]),
            "s",
            rounded(read_and_hashed(&world)),
            loaded,
        ),
        updated(),
    ]
}

/// What an update of a large book takes that changes ten addresses, and filling its shelf at a start: beside the
/// writer, which only takes what was read.
fn updated() -> Figure {
    let lines = |from: u32| {
        let mut lines: Vec<String> = (from..from + ADDRESSES)
            .map(|n| format!("{}\n", customer(n)))
            .collect();
        lines.sort();
        lines.concat().into_bytes()
    };
    let (old, new) = (lines(0), lines(10));
    let hash = |bytes: &[u8]| policy::book::file_hash(bytes);
    let book = |base, file, steps: &[u64]| BookState {
        chain: CHAIN,
        sequence: 2,
        file,
        addresses: ADDRESSES.into(),
        entry: 0,
        base: Some(base),
        steps: steps.iter().map(|n| step(*n, file)).collect(),
    };
    let read = |_| Ok::<_, BookError>(old.clone());
    let began = Instant::now();
    let shelf = Shelf::fill(&book(hash(&old), hash(&old), &[]), read).expect("a book");
    let filled = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let newest = BookFile::parse(CHAIN, &new).expect("a book");
    let turned = shelf.turned(&book(hash(&old), hash(&new), &[2]), newest, (&old, &new));
    std::hint::black_box(turned.expect("a book"));
    Figure {
        figure: FIGURES[2],
        value: rounded(began.elapsed().as_secs_f64()),
        unit: "s",
        baseline: rounded(filled),
        detail: json!({
            "machine": machine::description(), "book": ADDRESSES, "changed": 20,
            "baseline": "filling the shelf of such a book at a start",
        }),
    }
}

fn step(sequence: u64, file: policy::Digest) -> BookStep {
    BookStep {
        sequence,
        entry: 0,
        file,
        not_before: tx::Time::default(),
        vetoed: false,
    }
}

/// The tests' bundle with a large book, and as many statements as a large exchange has.
fn large(bundle: &mut Bundle) {
    let lines: String = (0..ADDRESSES)
        .map(|n| format!("{}\n", customer(n)))
        .collect();
    bundle.set("books/payees.txt", &lines);
    let mut text = format!(
        "[[book]]\nname = \"payees\"\nchain = \"{CHAIN}\"\nfile = \"books/payees.txt\"\n\n\
         [[allow]]\nname = \"pay-payees\"\neffect = \"payment\"\nsource = \"payouts\"\n\
         account = \"coin-hot\"\nasset = \"ltc\"\nto = \"book:payees\"\n"
    );
    let others: usize = ["allow", "deny", "require", "evacuate"]
        .iter()
        .map(|table| bundle.count(&format!("[[{table}]]")))
        .sum();
    for n in 0..STATEMENTS - 1 - others {
        let name = format!("rule-{n}");
        text.push_str(&match n % 3 {
            0 => format!(
                "\n[[deny]]\nname = {name:?}\neffect = \"payment\"\nasset = \"ltc\"\n\
                 to = \"book:payees\"\namount_over = \"{} ltc\"\n",
                100 + n
            ),
            1 => format!(
                "\n[[require]]\nname = {name:?}\neffect = \"payment\"\naccount = \"coin-hot\"\n\
                 asset = \"ltc\"\namount_over = \"{} ltc\"\n\
                 need = {{ threshold = 2, people = [\"ann\", \"ben\", \"cem\"] }}\n",
                10 + n
            ),
            _ => format!(
                "\n[[allow]]\nname = {name:?}\neffect = \"payment\"\nsource = \"payouts\"\n\
                 account = \"coin-hot\"\nasset = \"ltc\"\nto = \"book:payees\"\namount_max = \"{} ltc\"\n",
                1 + n
            ),
        });
    }
    for n in 0..LIMITS - bundle.count("[[limit]]") {
        let group = ["", "group = [\"destination\"]\n", "group = [\"account\"]\n"][n % 3];
        let effect = ["payment", "fee"][n % 2];
        text.push_str(&format!(
            "\n[[limit]]\nname = \"bound-{n}\"\neffect = {effect:?}\nasset = \"ltc\"\n\
             measure = \"amount\"\nwindow = \"{}h\"\ncap = \"{} ltc\"\n{group}",
            1 + n,
            1_000 + n
        ));
    }
    bundle.set("payees.toml", &text);
}

/// The `n`th address of the book, in an order that is not that of the file.
fn customer(n: u32) -> Address {
    Address::from_script(CHAIN, script(n).as_bytes()).expect("an address")
}

fn script(n: u32) -> ScriptBuf {
    let mut program = [0x51; 20];
    program[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b1).to_be_bytes());
    ScriptBuf::from_bytes([&[0x00, 0x14], program.as_slice()].concat())
}

fn statements(policy: &Policy) -> usize {
    let Policy {
        allows,
        denies,
        requires,
        evacuates,
        ..
    } = policy;
    allows.len() + denies.len() + requires.len() + evacuates.len()
}

struct Loaded {
    state: State,
    policy: Arc<Policy>,
    seconds: f64,
}

/// As a start does it: from the folder to a state that it governs.
fn load(world: &World, history: &[Record]) -> Loaded {
    let began = Instant::now();
    let files = read_folder(&world.policy()).expect("the bundle");
    let hash = history.iter().find_map(|record| match record.entry {
        Entry::PolicyActivated { hash, .. } => Some(hash),
        _ => None,
    });
    let trust = Trust::Activated(hash.expect("a bundle"));
    let policy = bundle::load(&files, trust).expect("the bundle");
    let policy = Arc::new(policy.into_policy());
    let read = began.elapsed();
    let (state, indexed) = begun(history, &policy);
    Loaded {
        state,
        policy,
        seconds: (read + indexed).as_secs_f64(),
    }
}

/// The state behind these entries, and how long its policy took to be activated.
fn begun(history: &[Record], policy: &Arc<Policy>) -> (State, Duration) {
    let (mut state, mut indexed) = (State::new(), Duration::ZERO);
    for (index, record) in (0..).zip(history) {
        state.apply(index, record).expect("an entry");
        if let Entry::PolicyActivated { .. } = record.entry {
            let began = Instant::now();
            state.activate(Arc::clone(policy)).expect("the policy");
            indexed = began.elapsed();
        }
    }
    (state, indexed)
}

/// What nobody can do without: the bytes, once read and once hashed.
fn read_and_hashed(world: &World) -> f64 {
    let began = Instant::now();
    let files = read_folder(&world.policy()).expect("the bundle");
    for bytes in files.values() {
        std::hint::black_box(Sha256::digest(bytes));
    }
    began.elapsed().as_secs_f64()
}

/// The same policy with another book of the same name.
fn with_few(policy: &Policy) -> Arc<Policy> {
    let mut policy = policy.clone();
    let addresses = (0..ADDRESSES_FEW).map(customer).collect();
    let payees: Name = PAYEES.parse().expect("a name");
    let apart = None;
    policy.books.insert(payees, Book { addresses, apart });
    Arc::new(policy)
}

/// Two payments to addresses of the book, and a fee.
fn asked(state: &State, policy: &Policy, own: &ScriptBuf) -> (Decoded, Request) {
    let (asset, paid) = (Asset::native(CHAIN), [(3, 50_000_u64), (900, 70_000)]);
    let intents = paid.map(|(n, sat)| {
        let to = customer(n).to_string();
        ask::intent(&format!("pay-{n}"), &asset, sat.into(), &to)
    });
    let outputs = paid.map(|(n, sat)| (sat, script(n)));
    let coin = Previous::invented(1, 121_000, own);
    let transaction = coins::on(CHAIN, &coins::psbt(&[coin], &outputs));
    let rules = policy.chain_rules(CHAIN);
    let decoded = tx::decode(&transaction, &state.registry(), rules).expect("a transaction");
    let signed = |intent| SignedIntent {
        intent,
        signatures: Vec::new(),
    };
    let request = Request {
        client: "walletd".parse().expect("a name"),
        id: "pay".parse().expect("an id"),
        hash: RequestHash([0; 32]),
        lane_epoch: 0,
        intents: intents.into_iter().map(signed).collect(),
        replaces: Vec::new(),
        transaction: Blob::Inline(String::new()),
        proofs: Vec::new(),
    };
    (decoded, request)
}

/// Microseconds of one decision.
fn decided(state: &State, now: Interval, (decoded, request): &(Decoded, Request)) -> f64 {
    let began = Instant::now();
    let verdict = evaluate(state, now, decoded, request).expect("a verdict");
    let micros = began.elapsed().as_secs_f64() * 1e6;
    assert!(matches!(verdict, Verdict::Permit(_)), "{verdict:?}");
    micros
}
