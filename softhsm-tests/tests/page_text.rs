//! The approval page's own rendering of the text, held byte for byte against the signer's.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Command, Stdio},
};

use api::intents::{IntentAnswer, IntentNeed, IntentUnit};
use bitcoin::{ScriptBuf, WPubkeyHash, hashes::Hash as _};
use policy::{
    AssetUnit, Book, Need, Passkeys, Policy, Rejection, Require, Selector, Statement,
    approval::{Approval, Known, Says},
    bundle::{self, Trust},
};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    bundle::Bundle, coins::address_of, program::repository, random::Random,
};
use tx::{Address, Amount, Asset, Chain, Intent, IntentId, Interval, Name, Network, Time};

/// A question to the page's code, and the signer's own text.
struct Question {
    answer: IntentAnswer,
    says: Says,
    text: String,
}

/// The bundle of the tests, read as the signer does.
fn tests_policy() -> Policy {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(
        &root,
        "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let place = folder.path().join("bundle");
    let hash = Bundle::of_tests(&root).write(&place, 1, &["ann", "ben"]);
    let files: BTreeMap<_, _> = journal::read_folder(&place).unwrap();
    bundle::load(&files, Trust::Pinned(hash))
        .unwrap()
        .into_policy()
}

fn some<T: Clone>(random: &mut Random, of: &[T]) -> T {
    let place = random.below(of.len() as u64);
    of[usize::try_from(place).unwrap()].clone()
}

/// A text of so many of these characters at the most.
fn word(random: &mut Random, alphabet: &[u8], most: u64) -> String {
    let length = 1 + random.below(most);
    let letters: Vec<u8> = (0..length).map(|_| some(random, alphabet)).collect();
    String::from_utf8(letters).unwrap()
}

fn name(random: &mut Random) -> Name {
    let text = word(random, b"abcxyz0189._-", 64);
    text.parse().unwrap()
}

fn names(random: &mut Random, most: u64) -> BTreeSet<Name> {
    (0..random.below(most + 1)).map(|_| name(random)).collect()
}

/// Any number of bits is as likely as any other.
fn amount(random: &mut Random) -> Amount {
    let mut bytes = [0; 32];
    let from = usize::try_from(random.below(32)).unwrap();
    for byte in &mut bytes[from..] {
        *byte = u8::try_from(random.below(256)).unwrap();
    }
    Amount::from_be_bytes(bytes)
}

fn twenty(random: &mut Random) -> [u8; 20] {
    std::array::from_fn(|_| u8::try_from(random.below(256)).unwrap())
}

fn place(random: &mut Random) -> (Asset, Address) {
    let evm = [
        Chain::Evm(1),
        Chain::Evm(31_337),
        Chain::Evm(u64::from(u32::MAX)),
    ];
    let utxo = [
        Chain::Bitcoin(Network::Mainnet),
        Chain::Bitcoin(Network::Regtest),
        Chain::Litecoin(Network::Mainnet),
    ];
    match random.below(3) {
        0 => {
            let chain = some(random, &utxo);
            let hash = WPubkeyHash::from_byte_array(twenty(random));
            let address = address_of(chain, &ScriptBuf::new_p2wpkh(&hash));
            (
                Asset::native(chain),
                Address::parse(chain, &address).unwrap(),
            )
        }
        1 => {
            let chain = some(random, &evm);
            let contract = Address::evm(chain, twenty(random)).unwrap();
            (
                Asset::erc20(contract),
                Address::evm(chain, twenty(random)).unwrap(),
            )
        }
        _ => {
            let chain = some(random, &evm);
            (
                Asset::native(chain),
                Address::evm(chain, twenty(random)).unwrap(),
            )
        }
    }
}

fn time(random: &mut Random) -> Time {
    // Up to the year 4000 or so; whole seconds are the usual case.
    let millis = random.below(64_000_000_000_000);
    Time::from_millis(if random.below(2) == 0 {
        millis
    } else {
        millis / 1_000 * 1_000
    })
}

fn intent(random: &mut Random) -> Intent {
    let (asset, destination) = place(random);
    let graphic: Vec<u8> = (0x21..=0x7e).collect();
    let tagged = random.below(2) == 0;
    Intent {
        id: IntentId {
            source: name(random),
            id: word(random, b"abcXYZ019._:-", 128).parse().unwrap(),
        },
        epoch: random.below(1 << 53),
        asset,
        amount: amount(random),
        destination,
        tag: tagged.then(|| word(random, &graphic, 64)),
        max_fee: amount(random),
        expires: time(random),
    }
}

fn need(random: &mut Random) -> Need {
    let mut people = names(random, 8);
    people.insert(name(random));
    Need {
        delay_millis: random.below(90 * 86_400) * 1_000,
        valid_millis: (60 + random.below(7 * 86_400)) * 1_000,
        rejection: some(random, &[Rejection::Blocks, Rejection::Final]),
        passkeys: some(random, &[Passkeys::Refused, Passkeys::Count]),
        ..Need::of(
            u32::try_from(1 + random.below(u64::from(u32::MAX))).unwrap(),
            people,
        )
    }
}

/// A policy that has the need, and calls the intent's asset and destination by any number of names.
fn policy(random: &mut Random, of_tests: &Policy, intent: &Intent, need: &Need) -> Policy {
    let mut policy = of_tests.clone();
    policy.fleet = name(random);
    policy.assets = names(random, 3)
        .into_iter()
        .map(|name| {
            let decimals = u8::try_from(random.below(256)).unwrap();
            let asset = intent.asset.clone();
            (name, AssetUnit { asset, decimals })
        })
        .collect();
    let book = Book {
        apart: None,
        addresses: [intent.destination.clone()].into(),
    };
    let named = names(random, 3).into_iter();
    policy.books.extend(named.map(|name| (name, book.clone())));
    let account = policy.accounts.values().next().unwrap().clone();
    for name in names(random, 2) {
        let mut account = account.clone();
        account.addresses.insert(intent.destination.clone());
        policy.accounts.insert(name, account);
    }
    policy.requires = vec![Statement {
        name: "big".parse().unwrap(),
        at: policy.requires[0].at.clone(),
        selector: Selector::default(),
        says: Require { need: need.clone() },
    }];
    policy
}

fn texts<'a>(names: impl IntoIterator<Item = &'a Name>) -> Vec<String> {
    names.into_iter().map(ToString::to_string).collect()
}

fn question(random: &mut Random, of_tests: &Policy) -> Question {
    let (intent, need) = (intent(random), need(random));
    let policy = policy(random, of_tests, &intent, &need);
    let rejected = random.below(3) * random.below(1 << 50);
    let now = time(random);
    let longest = now.after_millis(need.valid_millis);
    let text = |says| {
        let approval = Approval {
            says,
            intent: intent.payload(),
            need: need.fingerprint(),
            rejected_before: rejected,
            expires: longest.min(intent.expires),
        };
        approval.text(&policy, &intent).unwrap()
    };
    let (approve, reject) = (text(Says::Approve), text(Says::Reject));
    let says = some(random, &[Says::Approve, Says::Reject]);
    let known = Known::of(&policy, &intent);
    let unit = |(name, decimals): (&Name, u8)| IntentUnit {
        name: name.to_string(),
        decimals,
    };
    let answer = IntentAnswer {
        payload: intent.payload(),
        client: "walletd".into(),
        entry: 7,
        requesters: vec![],
        rejected,
        closed_by: None,
        units: known.units.into_iter().map(unit).collect(),
        in_books: texts(known.books),
        own_accounts: texts(known.accounts),
        needs: vec![IntentNeed {
            fingerprint: need.fingerprint().to_string(),
            asked_by: vec!["require big".into()],
            threshold: need.threshold,
            people: texts(&need.people),
            delay_secs: need.delay_millis / 1_000,
            valid_secs: need.valid_millis / 1_000,
            rejection: need.rejection.as_str().into(),
            passkeys: need.passkeys.as_str().into(),
            decided: vec![],
            counted: vec![],
            enough_from: None,
            approve: approve.clone(),
            reject: reject.clone(),
        }],
        receipt: None,
        policy: policy.hash.to_string(),
        fleet: policy.fleet.to_string(),
        approval_page: None,
        time: Interval { lo: now, hi: now },
        intent,
    };
    let text = match says {
        Says::Approve => approve,
        Says::Reject => reject,
    };
    Question { answer, says, text }
}

/// What the page's code says of each.
fn rendered(questions: &[Value]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let asked = folder.path().join("questions");
    let lines: Vec<String> = questions.iter().map(ToString::to_string).collect();
    std::fs::write(&asked, lines.join("\n")).unwrap();
    let output = Command::new("node")
        .arg(repository("softhsm-tests/page/texts.mjs"))
        .stdin(Stdio::from(std::fs::File::open(&asked).unwrap()))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said.len(), questions.len());
    said
}

fn asked(question: &Question) -> Value {
    let answer = serde_json::to_value(&question.answer).unwrap();
    let need = answer["needs"][0].clone();
    json!({"answer": answer, "need": need, "says": question.says})
}

#[test]
fn the_page_renders_what_the_signer_does_to_the_byte() {
    let (mut random, of_tests) = (Random(17), tests_policy());
    let questions: Vec<Question> = (0..5_000)
        .map(|_| question(&mut random, &of_tests))
        .collect();
    let values: Vec<Value> = questions.iter().map(asked).collect();
    for (question, said) in questions.iter().zip(rendered(&values)) {
        assert_eq!(said, json!({"text": question.text}));
    }
}

#[test]
fn the_page_refuses_what_does_not_hold_together() {
    let (mut random, of_tests) = (Random(18), tests_policy());
    let mut changed = Vec::new();
    for _ in 0..200 {
        let value = asked(&question(&mut random, &of_tests));
        for path in [
            "/answer/payload",
            "/answer/fleet",
            "/answer/rejected",
            "/answer/units",
            "/answer/in_books",
            "/answer/own_accounts",
            "/answer/intent/source",
            "/answer/intent/id",
            "/answer/intent/epoch",
            "/answer/intent/amount",
            "/answer/intent/destination",
            "/answer/intent/max_fee",
            "/answer/intent/expires",
            "/answer/intent/asset",
            "/answer/intent/tag",
            "/need/fingerprint",
            "/need/threshold",
            "/need/people",
            "/need/delay_secs",
            "/need/valid_secs",
            "/need/rejection",
            "/need/passkeys",
        ] {
            let mut value = value.clone();
            let Some(part) = value.pointer_mut(path) else {
                continue;
            };
            *part = match part.take() {
                Value::Number(number) => json!(number.as_u64().unwrap() ^ 1),
                Value::Array(mut list) => {
                    list.reverse();
                    list.pop();
                    // One that is not there, where there was none to take away.
                    if list.is_empty() {
                        list.push(json!("unheard-of"));
                    }
                    Value::Array(list)
                }
                Value::String(text) => match text.as_str() {
                    "blocks" => json!("final"),
                    "final" => json!("blocks"),
                    "count" => json!("refused"),
                    "refused" => json!("count"),
                    _ => json!(swapped(&text)),
                },
                other => panic!("{path}: {other}"),
            };
            changed.push((path, value));
        }
    }
    assert!(changed.len() > 3_500);
    let values: Vec<Value> = changed.iter().map(|(_, value)| value.clone()).collect();
    for ((path, value), said) in changed.iter().zip(rendered(&values)) {
        assert!(said["refused"].is_string(), "{path}: {value}: {said}");
    }
}

/// The text with its last letter or digit another one.
fn swapped(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let last = bytes
        .iter_mut()
        .rev()
        .find(|byte| byte.is_ascii_alphanumeric());
    match last {
        Some(byte) => *byte = if *byte == b'7' { b'8' } else { b'7' },
        None => bytes.push(b'7'),
    }
    String::from_utf8(bytes).unwrap()
}
