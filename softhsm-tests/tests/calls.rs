//! Contracts that are called on a real EVM node, by keys in SoftHSM, as a bundle declares it.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::U256;
use api::signing::SignRequest;
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    anvil::{Anvil, quantity},
    ask::{intent, request, units},
    evm::{Draft, ETHER, approve_call, token_call},
    records,
    world::{Client, World},
};
use tx::{
    EffectKind,
    evm::{CallData, Function, Functions, Signature, Value as Argument},
};

use crate::support::{CUSTOMER, EVM, STRANGER, TOKEN, artefact, eth, raw, sender};

/// Where account 0 deploys its first contract, which is `Calls` here.
pub const CALLS: &str = TOKEN;
const STAKE: &str = "stake(bytes key, address owner, uint256 amount)";
/// What the bundle allows to be staked for.
const KEY: &str = "0x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0011";

/// Up to 2 eth at once and 3 a day for customers, in at most three calls.
pub fn bundle() -> String {
    format!(
        r#"
[[function]]
name = "stake"
contract = "{EVM}:{CALLS}"
signature = "{STAKE}"

[[allow]]
name = "stake"
effect = "call"
account = "eth-hot"
asset = "eth"
function = "stake"
args.key = "{KEY}"
args.owner = "book:customers"
args.amount = {{ over = "0", max = "2 eth" }}

[[limit]]
name = "stakes-day"
effect = "call"
asset = "eth"
measure = "amount"
window = "24h"
cap = "3 eth"

[[limit]]
name = "stakes-count"
effect = "call"
asset = "eth"
measure = "count"
window = "24h"
cap = "3"

[[limit]]
name = "customers-stakes"
effect = "call"
function = "stake"
args.owner = "book:customers"
asset = "eth"
measure = "amount"
window = "24h"
cap = "2.5 eth"
"#
    )
}

fn world() -> World {
    World::with(|made| made.append("statements.toml", &bundle()))
}

fn function(name: &str, signature: &str) -> Arc<Function> {
    let function = Arc::new(Function {
        name: name.parse().unwrap(),
        signature: Signature::parse(signature).unwrap(),
    });
    let contract = tx::Address::parse(EVM, CALLS).unwrap();
    // It may be declared.
    let mut functions = Functions::default();
    functions.declare(contract, Arc::clone(&function)).unwrap();
    function
}

fn calldata(signature: &str, arguments: &[(&str, &str)]) -> Vec<u8> {
    let texts = arguments.iter();
    let texts = texts.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let texts: BTreeMap<String, String> = texts.collect();
    let made = CallData::of_texts(&function("it", signature), &texts);
    made.unwrap().encode()
}

pub fn stake(owner: &str, amount: u128) -> Vec<u8> {
    let amount = amount.to_string();
    calldata(
        STAKE,
        &[("key", KEY), ("owner", owner), ("amount", &amount)],
    )
}

/// A request that sends something with calldata to the contract, and pays nobody's intent.
pub fn calls(id: &str, from: &str, (nonce, value, data): (u64, u128, Vec<u8>)) -> SignRequest {
    let draft = Draft {
        gas: 200_000,
        data,
        ..Draft::transfer(nonce, CALLS, value)
    };
    request(id, draft.from(from), Vec::new())
}

pub fn deploy(anvil: &Anvil) {
    let artefact = artefact("Calls");
    assert_eq!(anvil.deploy(artefact["bytecode"].as_str().unwrap()), CALLS);
}

pub fn staked(anvil: &Anvil, owner: &str) -> U256 {
    let word = format!("{:0>64}", &owner[2..].to_lowercase());
    anvil.view(CALLS, &format!("0x98807d84{word}"))
}

/// The statements that refuse a request.
fn refused_by(client: &mut Client, request: &SignRequest) -> Vec<String> {
    let refused = client.refused(request);
    let spoke = refused.reasons.into_iter().map(|one| one.statement);
    spoke.flatten().collect()
}

#[test]
fn a_declared_call_is_signed_mined_and_told_in_the_journal_and_another_argument_is_refused() {
    let world = world();
    let anvil = Anvil::start(world.folder());
    deploy(&anvil);
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    anvil.fund(&from, U256::from(10 * ETHER));

    let answer = client.sign(&calls("stake-1", &from, (0, ETHER, stake(CUSTOMER, ETHER))));
    let receipt = anvil.send(&raw(&answer)).unwrap();
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    assert_eq!(staked(&anvil, CUSTOMER), U256::from(ETHER));
    assert_eq!(receipt["logs"][0]["address"], CALLS.to_lowercase());
    let log = receipt["logs"][0]["data"].as_str().unwrap();
    assert!(log.contains(&KEY[2..]), "{log}");
    assert_eq!(client.used("stakes-day"), units(ETHER));
    assert_eq!(client.used("stakes-count"), units(1));

    // Another owner, amount or key; an owner in whom only the padding is another.
    let other_key = KEY.replace("0011", "0012");
    let mut other = vec![
        stake(STRANGER, ETHER),
        stake(CUSTOMER, 3 * ETHER),
        stake(CUSTOMER, 0),
        calldata(
            STAKE,
            &[("key", &other_key), ("owner", CUSTOMER), ("amount", "1")],
        ),
    ];
    for (number, data) in other.drain(..).enumerate() {
        let id = format!("other-{number}");
        let refused = client.refused(&calls(&id, &from, (1, ETHER, data)));
        let codes: Vec<_> = refused.reasons.iter().map(|one| &one.code).collect();
        assert_eq!(codes, ["uncovered"], "{number}: {refused:?}");
        assert!(refused.detail.contains("stake(bytes,address,uint256)"));
    }
    // It is no intent's: nobody can bring one for it.
    let mut paying = calls("paying", &from, (1, ETHER, stake(CUSTOMER, ETHER)));
    let paid = intent("paying", &eth(), ETHER, CALLS);
    paying.intents = request("paying", paying.transaction.clone(), vec![paid]).intents;
    let refused = client.refused(&paying);
    assert_eq!(refused.reasons[0].code, "intent-mismatch", "{refused:?}");

    // Over the limit on what is sent, then the one on stakes for customers, also after a restart.
    let over = |id: &str, wei| calls(id, &from, (1, wei, stake(CUSTOMER, wei)));
    let spoke = refused_by(&mut client, &over("over", 2 * ETHER));
    assert_eq!(spoke, ["customers-stakes"]);
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let attempts = records::attempts(&records);
    let facts = &attempts.last().unwrap().1.facts;
    let call = facts
        .iter()
        .find(|fact| fact.effect.kind == EffectKind::Call);
    let fact = call.unwrap();
    let call = fact.effect.call.as_ref().unwrap();
    assert_eq!(
        call.to_string(),
        format!(
            "stake stake(bytes,address,uint256) with key = {KEY}, owner = {CUSTOMER}, amount = {ETHER}"
        )
    );
    let held = &fact.classes.arguments["owner"].books;
    assert!(held.iter().any(|book| book.as_str() == "customers"));
    let _daemon = world.relaunch().ready();
    let mut client = world.walletd();
    assert_eq!(client.used("customers-stakes"), units(ETHER));
    let spoke = refused_by(&mut client, &over("over-customers", ETHER * 8 / 5));
    assert_eq!(spoke, ["customers-stakes"]);
    let answer = client.sign(&over("stake-2", ETHER));
    let receipt = anvil.send(&raw(&answer)).unwrap();
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    assert_eq!(staked(&anvil, CUSTOMER), U256::from(2 * ETHER));
    assert_eq!(client.used("stakes-day"), units(2 * ETHER));
}

/// The contract is declared as a token as well: of it approvals are understood.
fn nothing_allows_an_approval(client: &mut Client, from: &str) {
    let approves = approve_call(STRANGER, 1);
    let refused = client.refused(&calls("approves", from, (0, 0, approves)));
    assert_eq!(refused.reasons[0].code, "uncovered", "{refused:?}");
}

/// "Hidden call", "ERC-20 calldata", "Approvals as spends" and "Nesting" of the attack corpus, beside a
/// function that is declared of the very contract.
#[test]
fn what_hides_behind_a_declared_function_is_refused_by_name() {
    let world = world();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let good = stake(CUSTOMER, ETHER);
    let changed = |at: usize, byte: u8| {
        let mut data = good.clone();
        data[at] = byte;
        data
    };
    let selector = |text: &str| hex::decode(text).unwrap();
    let word = |byte: u8| [[0; 31].as_slice(), &[byte]].concat();
    let gap = {
        // The bytes begin a word later: the word between says nothing, and could say anything.
        let mut data = changed(4 + 31, 0x80);
        data.splice(4 + 96..4 + 96, [0; 32]);
        data
    };
    let transfer = token_call(STRANGER, 1);
    nothing_allows_an_approval(&mut client, &from);
    let cases = [
        ("evm-abi-padding", changed(4 + 32, 1)),
        ("evm-abi-padding", changed(good.len() - 1, 1)),
        ("evm-abi-offset", changed(4 + 31, 0x40)),
        ("evm-abi-offset", gap),
        ("evm-abi-short", good[..good.len() - 32].to_vec()),
        ("evm-abi-short", changed(4 + 96 + 24, 0xff)),
        ("evm-abi-trailing", [good.as_slice(), &word(0)].concat()),
        ("evm-abi-trailing", [good.as_slice(), &transfer].concat()),
        (
            "evm-calldata-unknown",
            [selector("deadbeef"), good[4..].to_vec()].concat(),
        ),
        ("evm-permit2", [selector("87517c45"), vec![0; 128]].concat()),
        (
            "evm-multicall",
            [selector("ac9650d8"), word(32), word(0)].concat(),
        ),
        (
            "evm-transfer-from",
            [selector("23b872dd"), vec![0; 96]].concat(),
        ),
        ("evm-authority", [selector("f2fde38b"), word(1)].concat()),
        (
            "evm-calldata-size",
            [good[..4].to_vec(), vec![0; 8192]].concat(),
        ),
    ];
    for (number, (code, data)) in cases.into_iter().enumerate() {
        let refused = client.refused(&calls(&format!("hidden-{number}"), &from, (0, 0, data)));
        assert_eq!(
            refused.reasons[0].code, "transaction",
            "{code}: {refused:?}"
        );
        assert!(refused.detail.starts_with(code), "{code}: {refused:?}");
    }
    assert_eq!(client.used("stakes-day"), units(0));
    // The same function of another contract.
    let elsewhere = Draft {
        gas: 200_000,
        data: good,
        ..Draft::transfer(0, STRANGER, ETHER)
    };
    let refused = client.refused(&request("elsewhere", elsewhere.from(&from), Vec::new()));
    assert!(
        refused.detail.starts_with("evm-calldata-unknown"),
        "{refused:?}"
    );
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn hex(&mut self, bytes: u64) -> String {
        (0..bytes)
            .map(|_| format!("{:02x}", self.below(256)))
            .collect()
    }

    fn list(&mut self, most: u64, mut item: impl FnMut(&mut Self) -> String) -> String {
        let count = self.below(most + 1);
        let items: Vec<String> = (0..count).map(|_| item(self)).collect();
        format!("[{}]", items.join(", "))
    }
}

const ECHO: &str = "echo((address to, uint128[] amounts)[2] parts, (int24 tick, bool flag, bytes3 tag) flat, \
                    string note, bytes[][] blobs, uint8[3][] digits)";

fn echo(random: &mut Random) -> Vec<u8> {
    let part = |random: &mut Random| {
        let to = format!("0x{}", random.hex(20));
        let amounts = random.list(3, |random| random.below(u64::MAX).to_string());
        format!("({to}, {amounts})")
    };
    let parts = format!("[{}, {}]", part(random), part(random));
    let tick = i64::try_from(random.below(1 << 24)).unwrap() - (1 << 23);
    let blobs = random.list(2, |random| {
        random.list(2, |random| {
            let count = random.below(70);
            format!("0x{}", random.hex(count))
        })
    });
    let digits = random.list(2, |random| {
        let digit = |random: &mut Random| random.below(256);
        format!("[{}, {}, {}]", digit(random), digit(random), digit(random))
    });
    let note = "caf\u{e9} \u{1f511} ".repeat(random.below(6) as usize);
    calldata(
        ECHO,
        &[
            ("parts", &parts),
            ("flat.tick", &tick.to_string()),
            (
                "flat.flag",
                if random.below(2) == 1 {
                    "true"
                } else {
                    "false"
                },
            ),
            ("flat.tag", &format!("0x{}", random.hex(3))),
            ("note", &note),
            ("blobs", &blobs),
            ("digits", &digits),
        ],
    )
}

/// The arguments as Solidity's compiler encodes what it has decoded on a node; nothing where it refuses them.
fn echoed(anvil: &Anvil, data: &[u8]) -> Option<Vec<u8>> {
    let call = json!([{ "to": CALLS, "data": format!("0x{}", hex::encode(data)) }, "latest"]);
    let answer: Value = anvil.node().try_call("eth_call", call).ok()?;
    let bytes = hex::decode(answer.as_str()?.strip_prefix("0x")?).ok()?;
    let length = quantity(&json!(format!("0x{}", hex::encode(&bytes[32..64]))));
    let length = usize::try_from(length).unwrap();
    Some(bytes[64..64 + length].to_vec())
}

/// Whether the signer reads the arguments.
fn is_read(data: &[u8]) -> bool {
    let mut functions = Functions::default();
    let contract = tx::Address::parse(EVM, CALLS).unwrap();
    functions.declare(contract, function("echo", ECHO)).unwrap();
    let draft = Draft {
        gas: 200_000,
        data: data.to_vec(),
        ..Draft::transfer(0, CALLS, 0)
    };
    let payload = format!("0x{}", hex::encode(draft.payload()));
    tx::evm::Unsigned::parse_with(EVM, &payload, &functions).is_ok()
}

/// What is encoded here is what the compiler encodes, and what is read here the compiler reads, and encodes to the
/// very same bytes. It reads more, which is refused here.
#[test]
fn arguments_are_encoded_and_read_as_solidity_s_compiler_does() {
    let folder = tempfile::tempdir().unwrap();
    let anvil = Anvil::start(folder.path());
    deploy(&anvil);
    let mut random = Random(7);
    let (mut read, mut refused, mut lenient) = (0, 0, 0);
    for _ in 0..40 {
        let data = echo(&mut random);
        assert!(is_read(&data));
        assert_eq!(echoed(&anvil, &data).unwrap(), data[4..]);
        for _ in 0..10 {
            let mut other = data.clone();
            let at = 4 + random.below(data.len() as u64 - 4) as usize;
            other[at] ^= 1 << random.below(8);
            let by_compiler = echoed(&anvil, &other);
            if is_read(&other) {
                read += 1;
                assert_eq!(by_compiler.unwrap(), other[4..], "byte {at}");
            } else {
                refused += 1;
                // What the compiler reads of it, it would have encoded otherwise; or it is no UTF-8.
                lenient += usize::from(by_compiler.is_some());
            }
        }
    }
    println!(
        "{read} changed calls are read, {refused} refused, {lenient} of them not by the compiler"
    );
    assert!(read > 20 && refused > 100 && lenient > 5);
}

/// What a value is in the journal is what it is made of again.
#[test]
fn the_texts_of_arguments_make_the_same_calldata() {
    let function = function("echo", ECHO);
    let mut random = Random(11);
    for _ in 0..100 {
        let data = echo(&mut random);
        let mut functions = Functions::default();
        let contract = tx::Address::parse(EVM, CALLS).unwrap();
        functions.declare(contract, Arc::clone(&function)).unwrap();
        let draft = Draft {
            gas: 200_000,
            data: data.clone(),
            ..Draft::transfer(0, CALLS, 0)
        };
        let payload = format!("0x{}", hex::encode(draft.payload()));
        let read = tx::evm::Unsigned::parse_with(EVM, &payload, &functions).unwrap();
        let tx::evm::Action::Call { call, .. } = read.action() else {
            panic!("{read:?}");
        };
        let described = call.described(EVM, &tx::Registry::default());
        let leaves = function.signature.leaves();
        let texts = leaves
            .iter()
            .zip(&described.arguments)
            .map(|((name, of), argument)| {
                let text = match Argument::parse(of, &argument.value).unwrap() {
                    Argument::String(text) => text,
                    other => other.to_string(),
                };
                (name.clone(), text)
            });
        let again = CallData::of_texts(&function, &texts.collect()).unwrap();
        assert_eq!(again.encode(), data);
    }
}
