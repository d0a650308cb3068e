//! What cannot be read or is not understood: refused by name, and the daemon goes on.

use api::problem::ProblemKind;
use serde::Deserialize;
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    ask::{intent, request},
    coins::{self, Previous, foreign_script},
    evm::{Draft, on},
    program::repository,
    world::{Client, World, problem},
};
use tx::Transaction;

use crate::support::{
    BITCOIN, CUSTOMER, EVM, LITECOIN, coin_scripts, eth, payment, sender, transfer,
};

/// One transaction of the corpus: `prefix`, the RLP of `fields`, `suffix`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What a hostile coordinator tries.
    name: String,
    /// The reason's detail begins with it.
    refused: String,
    #[serde(default)]
    prefix: String,
    fields: Value,
    #[serde(default)]
    suffix: String,
    /// The sender, where it is not the account that is charged.
    from: Option<String>,
    /// The chain that the request says, where it is not the test's.
    chain: Option<tx::Chain>,
}

/// RLP of hexadecimal strings and lists of them.
fn rlp(value: &Value) -> Vec<u8> {
    let with_length = |bytes: Vec<u8>, short: u8, long: u8| {
        let mut out = match bytes.len() {
            length @ 0..=55 => vec![short + length as u8],
            length @ 56..=255 => vec![long, length as u8],
            length => vec![long + 1, (length >> 8) as u8, length as u8],
        };
        out.extend(bytes);
        out
    };
    match value {
        Value::Array(items) => with_length(items.iter().flat_map(rlp).collect(), 0xc0, 0xf8),
        text => {
            let text = text.as_str().expect("a hexadecimal string");
            // As it is, whatever RLP it is.
            if let Some(raw) = text.strip_prefix('=') {
                return hex::decode(raw).unwrap();
            }
            let bytes = hex::decode(text).unwrap();
            if let [byte @ ..0x80] = bytes[..] {
                vec![byte]
            } else {
                with_length(bytes, 0x80, 0xb8)
            }
        }
    }
}

/// Asserts that a transaction is not understood, for this reason, and that nothing was charged.
fn not_understood(client: &mut Client, name: &str, transaction: Transaction, expected: &str) {
    let before = client.keys().limits;
    let paid = intent(name, &eth(), 1, CUSTOMER);
    let answer = client.send(&request(name, transaction, vec![paid]));
    let refused = problem(&answer);
    assert_eq!(refused.kind, ProblemKind::Refused, "{name}: {refused:?}");
    let reason = &refused.reasons[0];
    assert_eq!(reason.code, "transaction", "{name}: {refused:?}");
    let code = reason.detail.split(':').next().unwrap();
    assert_eq!(code, expected, "{name}: {refused:?}");
    assert_eq!(client.keys().limits, before, "{name}");
}

#[test]
fn the_evm_corpus_is_refused_by_name() {
    let path = repository("softhsm-tests/corpus/evm.json");
    let corpus: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(corpus.len() >= 30);
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let mut codes = std::collections::BTreeSet::new();
    for case in &corpus {
        let hex = |text: &str| hex::decode(text).unwrap();
        let payload = [hex(&case.prefix), rlp(&case.fields), hex(&case.suffix)].concat();
        let from = case.from.as_deref().unwrap_or(&from);
        let transaction = on(case.chain.unwrap_or(EVM), from, &payload);
        not_understood(&mut client, &case.name, transaction, &case.refused);
        codes.insert(&case.refused);
    }
    assert!(codes.len() >= 25, "{codes:?}");
    client.sign(&transfer("good", &from, &Draft::transfer(0, CUSTOMER, 1)));
}

#[test]
fn every_truncation_and_every_trailing_byte_of_a_payload_is_refused() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let payload = Draft::transfer(0, CUSTOMER, 1).payload();
    let mut variants: Vec<Vec<u8>> = (0..payload.len())
        .map(|end| payload[..end].to_vec())
        .collect();
    variants.push([&payload[..], &[0]].concat());
    variants.push([&payload[..], &payload[..]].concat());
    for (index, variant) in variants.iter().enumerate() {
        let id = format!("variant-{index}");
        let paid = intent(&id, &eth(), 1, CUSTOMER);
        let refused = client.refused(&request(&id, on(EVM, &from, variant), vec![paid]));
        assert_eq!(
            refused.reasons[0].code, "transaction",
            "{index}: {refused:?}"
        );
    }
    client.sign(&transfer("good", &from, &Draft::transfer(0, CUSTOMER, 1)));
}

#[test]
fn malformed_psbts_are_refused_by_name() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let scripts = coin_scripts(&mut client);
    let coin = |salt| Previous::invented(salt, 1_000_000, &scripts[0]);
    let outputs = [(990_000, foreign_script(1))];
    let good = coins::psbt(&[coin(1)], &outputs);
    let bytes = good.serialize();
    let mut refuse = |name: &str, bytes: &[u8], code: &str| {
        not_understood(&mut client, name, coins::on_bytes(BITCOIN, bytes), code);
    };
    refuse("empty", &[], "utxo-magic");
    refuse("no-magic", b"psbu\xff", "utxo-magic");
    refuse("truncated", &bytes[..bytes.len() - 1], "utxo-truncated");
    refuse(
        "trailing",
        &[&bytes[..], &[0]].concat(),
        "utxo-trailing-bytes",
    );
    refuse(
        "field-twice",
        &with_input_field(&bytes, &good, 0x03, &[1, 0, 0, 0], 2),
        "utxo-field-twice",
    );
    for sighash in [0u8, 2, 3, 0x81, 0x82, 0x83, 0x41] {
        let field = with_input_field(&bytes, &good, 0x03, &[sighash, 0, 0, 0], 1);
        refuse(&format!("sighash-{sighash}"), &field, "utxo-sighash-type");
    }
    let edited = |edit: &dyn Fn(&mut bitcoin::Psbt)| {
        let mut psbt = coins::psbt(&[coin(1), coin(2)], &outputs);
        edit(&mut psbt);
        psbt.serialize()
    };
    let missing = edited(&|psbt| psbt.inputs[0].non_witness_utxo = None);
    refuse("previous-missing", &missing, "utxo-previous-missing");
    let swapped = edited(&|psbt| {
        psbt.inputs[0].non_witness_utxo = Some(coin(3).transaction);
    });
    refuse("previous-of-another", &swapped, "utxo-previous-txid");
    let amount = edited(&|psbt| {
        let mut output = coin(1).output().clone();
        output.value = bitcoin::Amount::from_sat(999);
        psbt.inputs[0].witness_utxo = Some(output);
    });
    refuse("another-amount", &amount, "utxo-witness-utxo");
    let twice = edited(&|psbt| psbt.unsigned_tx.input[1] = psbt.unsigned_tx.input[0].clone());
    refuse("input-twice", &twice, "utxo-input-twice");
    let locked = edited(&|psbt| {
        psbt.unsigned_tx.lock_time = bitcoin::absolute::LockTime::from_height(1).unwrap()
    });
    refuse("locked", &locked, "utxo-lock-time-far");
    let dust = edited(&|psbt| psbt.unsigned_tx.output[0].value = bitcoin::Amount::from_sat(10));
    refuse("dust", &dust, "utxo-output-dust");
    let rich =
        edited(&|psbt| psbt.unsigned_tx.output[0].value = bitcoin::Amount::from_sat(3_000_000));
    refuse("overspent", &rich, "utxo-overspent");
    let (_, request) = payment("good", BITCOIN, &[coin(1)], &outputs);
    client.sign(&request);
}

/// A field of the first input, `times` times, before its others.
fn with_input_field(
    bytes: &[u8],
    psbt: &bitcoin::Psbt,
    key: u8,
    value: &[u8],
    times: usize,
) -> Vec<u8> {
    // Magic, then the global map: one key of one byte, and the unsigned transaction.
    let unsigned = bitcoin::consensus::serialize(&psbt.unsigned_tx).len();
    assert!(unsigned < 0xfd);
    let inputs = 5 + 2 + 1 + unsigned + 1;
    let field: Vec<u8> = [&[1, key, value.len() as u8], value].concat();
    [&bytes[..inputs], &field.repeat(times), &bytes[inputs..]].concat()
}

#[test]
fn foreign_inputs_and_other_chains_are_refused() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let scripts = coin_scripts(&mut client);
    let own = Previous::invented(1, 1_000_000, &scripts[0]);
    let foreign = Previous::invented(2, 1_000_000, &foreign_script(9));
    let psbt = coins::psbt(&[own.clone(), foreign], &[(1_900_000, foreign_script(1))]);
    not_understood(
        &mut client,
        "foreign",
        coins::on(BITCOIN, &psbt),
        "utxo-input-foreign",
    );
    // A chain that the account is not used on, and one that no policy names.
    let psbt = coins::psbt(&[own], &[(900_000, foreign_script(1))]);
    let testnet = "bitcoin:testnet".parse().unwrap();
    not_understood(
        &mut client,
        "testnet",
        coins::on(testnet, &psbt),
        "utxo-input-foreign",
    );
    let eth = Transaction::Psbt {
        chain: EVM,
        psbt: String::new(),
    };
    not_understood(&mut client, "psbt-on-evm", eth, "utxo-chain");
    let evm = Transaction::Eip2718 {
        chain: LITECOIN,
        from: from.clone(),
        payload: "0x02".into(),
    };
    not_understood(&mut client, "evm-on-litecoin", evm, "evm-chain-family");
    let other = Draft {
        chain_id: 1,
        ..Draft::transfer(0, CUSTOMER, 1)
    };
    let payload = other.payload();
    not_understood(
        &mut client,
        "chain-id",
        on(EVM, &from, &payload),
        "evm-chain-id",
    );
    not_understood(
        &mut client,
        "mainnet",
        on(tx::Chain::Evm(1), &from, &payload),
        "evm-from-unknown",
    );
}

#[test]
fn bodies_that_are_no_requests_are_refused() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let good =
        serde_json::to_value(transfer("good", &from, &Draft::transfer(0, CUSTOMER, 1))).unwrap();
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        edit(&mut value);
        value.to_string()
    };
    let deep = "[".repeat(100_000);
    let bodies = [
        String::new(),
        "null".into(),
        "{".into(),
        deep.clone(),
        format!("{{\"request_id\":{deep}"),
        edited(&|request| request["extra"] = json!(1)),
        edited(&|request| request["request_id"] = json!("")),
        edited(&|request| request["request_id"] = json!("a b")),
        edited(&|request| request["request_id"] = json!("x".repeat(129))),
        edited(&|request| request["lane_epoch"] = json!(-1)),
        edited(&|request| request["lane_epoch"] = json!(1e300)),
        edited(&|request| request["intents"][0]["intent"]["amount"] = json!(1)),
        edited(&|request| request["intents"][0]["intent"]["amount"] = json!("01")),
        edited(&|request| request["intents"][0]["intent"]["amount"] = json!("-1")),
        edited(&|request| request["intents"][0]["intent"]["destination"] = json!("0x00")),
        edited(&|request| request["transaction"]["format"] = json!("hash")),
        edited(&|request| request["transaction"]["chain"] = json!("eip155:0")),
        edited(&|request| request["intents"] = json!(vec![request["intents"][0].clone(); 501])),
        edited(&|request| request["replaces"] = json!(vec![1; 501])),
        format!("{} {}", good, good),
        good.to_string()
            .replacen("{", "{\"request_id\":\"twice\",", 1),
    ];
    for body in bodies {
        let answer = client.post("/v1/sign", body.as_bytes());
        let shown: String = body.chars().take(60).collect();
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
        assert_eq!(problem(&answer).kind, ProblemKind::Malformed, "{shown}");
    }
    let not_json = "POST /v1/sign HTTP/1.1\r\nhost: signer\r\ncontent-length: 2\r\n\r\n{}";
    let answer = client.connection().exchange(not_json.as_bytes()).unwrap();
    assert_eq!(problem(&answer).kind, ProblemKind::MediaType);
    assert_eq!(
        problem(&client.get("/v1/sign")).kind,
        ProblemKind::MethodNotAllowed
    );
    assert_eq!(
        problem(&client.get("/v1/sign/hash")).kind,
        ProblemKind::NotFound
    );
    client.sign(&transfer("good", &from, &Draft::transfer(0, CUSTOMER, 1)));
}
