//! Every refusal, each by a PSBT that is good but for one thing.

use std::collections::BTreeSet;

use base64ct::{Base64, Encoding};
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, absolute::LockTime, hashes::Hash, transaction::Version,
};
use strongroom_tx::utxo;

use super::support::{
    BITCOIN, COLD, FOREIGN, GLOBAL, HOT, HOT_KEYLESS, INPUT, Maps, OTHER, OUTPUT, PREVIOUS,
    RETIRED, SIGHASH_TYPE, UNSIGNED, WITNESS_UTXO, code, edited, maps, paying, previous, public,
    sample, script, spend, taproot_script, text, witness_utxo,
};

type Case = (&'static str, String);

/// One input that spends `script`.
fn spending(script_pubkey: ScriptBuf) -> String {
    let transactions = vec![previous(1, &[(1_000_000, script_pubkey)])];
    text(&spend(transactions, &[(900_000, script(FOREIGN))]))
}

/// The sample with other bytes as its unsigned transaction.
fn unsigned(edit: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = maps().value(GLOBAL, UNSIGNED);
    edit(&mut bytes);
    maps().set(GLOBAL, UNSIGNED, &bytes).text()
}

/// The sample with other bytes as the previous transaction of input 0.
fn previous_bytes(edit: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = maps().value(INPUT, PREVIOUS);
    edit(&mut bytes);
    maps().set(INPUT, PREVIOUS, &bytes).text()
}

fn bytes_text(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

fn container_cases() -> Vec<Case> {
    let good = sample().serialize();
    let with_trailing = [good.as_slice(), &[0]].concat();
    let compact = {
        // The length of the first key, 1, in three bytes.
        let mut bytes = good.clone();
        bytes.splice(5..6, [0xfd, 0x01, 0x00]);
        bytes
    };
    vec![
        ("utxo-base64", "*".into()),
        ("utxo-base64", text(&sample()).replace("=", "")),
        ("utxo-base64", format!("{}\n", text(&sample()))),
        ("utxo-base64", text(&sample()).replace('/', "_")),
        ("utxo-size", "A".repeat(1_500_000)),
        ("utxo-size", bytes_text(&vec![0; utxo::PSBT_BYTES_MAX + 1])),
        ("utxo-magic", String::new()),
        ("utxo-magic", bytes_text(b"psbt\xfe")),
        ("utxo-magic", bytes_text(&good[1..])),
        ("utxo-truncated", bytes_text(&good[..good.len() - 1])),
        ("utxo-truncated", bytes_text(&good[..good.len() / 2])),
        ("utxo-trailing-bytes", bytes_text(&with_trailing)),
        ("utxo-compact-size", bytes_text(&compact)),
        (
            "utxo-unsigned-missing",
            maps().without(GLOBAL, UNSIGNED).text(),
        ),
        ("utxo-unsigned-missing", bytes_text(b"psbt\xff\0")),
        ("utxo-map-entries", many_entries().text()),
    ]
}

/// An output's map with 65 derivations.
fn many_entries() -> Maps {
    (1..=65u8).fold(maps(), |maps, seed| {
        let key = [&[0x02][..], public(seed).as_bytes()].concat();
        maps.with(OUTPUT, &key, &[0; 4])
    })
}

/// An output's map with two paths for one key.
fn twice_derived() -> Maps {
    let key = [&[0x02][..], public(1).as_bytes()].concat();
    maps()
        .with(OUTPUT, &key, &[0; 4])
        .with(OUTPUT, &key, &[1; 4])
}

fn field_cases() -> Vec<Case> {
    let derivation = |seed: u8| [&[0x06][..], public(seed).as_bytes()].concat();
    let off_curve = [&[0x06, 0x02], [0xff; 32].as_slice()].concat();
    let unsigned = maps().value(GLOBAL, UNSIGNED);
    let with = |map, key: &[u8], value: &[u8]| maps().with(map, key, value).text();
    vec![
        ("utxo-psbt-version", with(GLOBAL, &[0xfb], &[2, 0, 0, 0])),
        ("utxo-psbt-version", with(GLOBAL, &[0x04], &[1])),
        ("utxo-field-malformed", with(GLOBAL, &[0xfb], &[0])),
        (
            "utxo-field-malformed",
            with(GLOBAL, &[0x00, 0x01], &unsigned),
        ),
        ("utxo-field-malformed", with(GLOBAL, &[0x01], &[0; 4])),
        ("utxo-field-malformed", with(INPUT, &[0x00, 0x00], &[])),
        ("utxo-field-malformed", with(INPUT, WITNESS_UTXO, &[0; 8])),
        ("utxo-field-malformed", with(INPUT, WITNESS_UTXO, &[0; 10])),
        ("utxo-field-malformed", with(INPUT, SIGHASH_TYPE, &[1])),
        ("utxo-field-malformed", with(INPUT, &derivation(1), &[0; 5])),
        ("utxo-field-malformed", with(INPUT, &derivation(1), &[])),
        ("utxo-field-malformed", with(INPUT, &off_curve, &[0; 4])),
        ("utxo-field-malformed", with(INPUT, &[0x06], &[0; 4])),
        ("utxo-field-twice", with(GLOBAL, UNSIGNED, &unsigned)),
        (
            "utxo-field-twice",
            with(INPUT, PREVIOUS, &maps().value(INPUT, PREVIOUS)),
        ),
        ("utxo-field-twice", twice_derived().text()),
    ]
}

fn unwanted_field_cases() -> Vec<Case> {
    let with = |map, key: &[u8], value: &[u8]| maps().with(map, key, value).text();
    vec![
        ("utxo-field-unknown", with(GLOBAL, &[0x07], &[])),
        // BIP-322's message, proof of reserves, taproot's key signature and internal key.
        ("utxo-field-unknown", with(GLOBAL, &[0x09], b"message")),
        ("utxo-field-unknown", with(INPUT, &[0x09], b"message")),
        ("utxo-field-unknown", with(INPUT, &[0x13], &[0; 64])),
        ("utxo-field-unknown", with(INPUT, &[0x17], &[0; 32])),
        ("utxo-field-unknown", with(INPUT, &[0xfd, 0x00, 0x01], &[])),
        ("utxo-field-unknown", with(OUTPUT, &[0x05], &[0; 32])),
        (
            "utxo-compact-size",
            with(INPUT, &[0xfd, 0x03, 0x00], &[1, 0, 0, 0]),
        ),
        (
            "utxo-field-proprietary",
            with(GLOBAL, &[0xfc, 0x00, 0x00], &[]),
        ),
        ("utxo-field-proprietary", with(INPUT, &[0xfc], &[])),
        ("utxo-field-proprietary", with(OUTPUT, &[0xfc, 0x01], &[1])),
        ("utxo-field-script", with(INPUT, &[0x04], &[0x51])),
        ("utxo-field-script", with(INPUT, &[0x05], &[0x51])),
        ("utxo-field-script", with(OUTPUT, &[0x00], &[0x51])),
        ("utxo-field-script", with(OUTPUT, &[0x01], &[0x51])),
        ("utxo-signed-already", with(INPUT, &[0x02, 0x02], &[0x30])),
        ("utxo-signed-already", with(INPUT, &[0x07], &[])),
        ("utxo-signed-already", with(INPUT, &[0x08], &[])),
        (
            "utxo-sighash-type",
            with(INPUT, SIGHASH_TYPE, &[0, 0, 0, 0]),
        ),
        (
            "utxo-sighash-type",
            with(INPUT, SIGHASH_TYPE, &[2, 0, 0, 0]),
        ),
        (
            "utxo-sighash-type",
            with(INPUT, SIGHASH_TYPE, &[3, 0, 0, 0]),
        ),
        (
            "utxo-sighash-type",
            with(INPUT, SIGHASH_TYPE, &[0x81, 0, 0, 0]),
        ),
        (
            "utxo-sighash-type",
            with(INPUT, SIGHASH_TYPE, &[0x41, 0, 0, 0]),
        ),
        (
            "utxo-sighash-type",
            with(INPUT, SIGHASH_TYPE, &[1, 0, 0, 1]),
        ),
    ]
}

fn transaction_cases() -> Vec<Case> {
    let lock_time =
        |height| edited(|psbt| psbt.unsigned_tx.lock_time = LockTime::from_consensus(height));
    let version = |version| edited(|psbt| psbt.unsigned_tx.version = Version(version));
    let sequence =
        |sequence| edited(|psbt| psbt.unsigned_tx.input[1].sequence = Sequence(sequence));
    vec![
        ("utxo-transaction-version", version(0)),
        ("utxo-transaction-version", version(3)),
        ("utxo-transaction-version", version(-1)),
        (
            "utxo-unsigned-witness",
            unsigned(|bytes| drop(bytes.splice(4..4, [0, 1]))),
        ),
        (
            "utxo-mweb",
            unsigned(|bytes| drop(bytes.splice(4..4, [0, 8]))),
        ),
        (
            "utxo-unsigned-script",
            unsigned(|bytes| drop(bytes.splice(41..42, [1, 0x51]))),
        ),
        ("utxo-trailing-bytes", unsigned(|bytes| bytes.push(0))),
        ("utxo-truncated", unsigned(|bytes| bytes.truncate(60))),
        // The number of inputs in three bytes; a number that no bytes can follow.
        (
            "utxo-compact-size",
            unsigned(|bytes| drop(bytes.splice(4..5, [0xfd, 2, 0]))),
        ),
        (
            "utxo-truncated",
            unsigned(|bytes| drop(bytes.splice(4..5, [0xff; 9]))),
        ),
        (
            "utxo-input-count",
            unsigned(|bytes| drop(bytes.splice(4..5, [0]))),
        ),
        ("utxo-input-count", many_inputs()),
        (
            "utxo-output-count",
            edited(|psbt| {
                psbt.unsigned_tx.output.clear();
                psbt.outputs.clear();
            }),
        ),
        (
            "utxo-output-count",
            paying(&vec![(1_000, script(FOREIGN)); utxo::OUTPUTS_MAX + 1]),
        ),
        ("utxo-lock-time-far", lock_time(850_001)),
        ("utxo-lock-time-far", lock_time(499_999_999)),
        ("utxo-lock-time-timestamp", lock_time(500_000_000)),
        ("utxo-lock-time-timestamp", lock_time(u32::MAX)),
        ("utxo-sequence", sequence(0)),
        ("utxo-sequence", sequence(0x0040_0001)),
        ("utxo-sequence", sequence(0x8000_0000)),
        ("utxo-sequence", sequence(0xffff_fffc)),
    ]
}

fn many_inputs() -> String {
    edited(|psbt| {
        let (input, map) = (psbt.unsigned_tx.input[0].clone(), psbt.inputs[0].clone());
        psbt.unsigned_tx.input = vec![input; utxo::INPUTS_MAX + 1];
        psbt.inputs = vec![map; utxo::INPUTS_MAX + 1];
    })
}

fn input_cases() -> Vec<Case> {
    let outpoint = |outpoint| edited(|psbt| psbt.unsigned_tx.input[0].previous_output = outpoint);
    let txid = sample().unsigned_tx.input[0].previous_output.txid;
    vec![
        (
            "utxo-input-twice",
            edited(|psbt| {
                psbt.unsigned_tx.input[1] = psbt.unsigned_tx.input[0].clone();
                psbt.inputs[1] = psbt.inputs[0].clone();
            }),
        ),
        ("utxo-input-coinbase", outpoint(OutPoint::null())),
        (
            "utxo-input-coinbase",
            outpoint(OutPoint::new(bitcoin::Txid::all_zeros(), 0)),
        ),
        (
            "utxo-previous-missing",
            edited(|psbt| psbt.inputs[1].non_witness_utxo = None),
        ),
        (
            "utxo-previous-missing",
            edited(|psbt| {
                let spent = psbt.inputs[0].non_witness_utxo.take().unwrap();
                psbt.inputs[0].witness_utxo = Some(spent.output[0].clone());
            }),
        ),
        (
            "utxo-previous-txid",
            edited(|psbt| {
                let other = psbt.inputs[0].non_witness_utxo.clone();
                psbt.inputs[1].non_witness_utxo = other;
            }),
        ),
        // CVE-2020-14199 with a whole transaction: more than there is, so that the fee looks small.
        (
            "utxo-previous-txid",
            edited(|psbt| {
                let previous = psbt.inputs[0].non_witness_utxo.as_mut().unwrap();
                previous.output[0].value = Amount::from_sat(2_000_000);
            }),
        ),
        ("utxo-previous-output", outpoint(OutPoint::new(txid, 2))),
        (
            "utxo-previous-output",
            outpoint(OutPoint::new(txid, u32::MAX)),
        ),
    ]
}

fn previous_cases() -> Vec<Case> {
    vec![
        (
            "utxo-previous-malformed",
            previous_bytes(|bytes| drop(bytes.splice(4..4, [0, 2]))),
        ),
        (
            "utxo-previous-malformed",
            previous_bytes(|bytes| drop(bytes.splice(4..4, [0, 0]))),
        ),
        (
            "utxo-previous-malformed",
            previous_bytes(superfluous_witness),
        ),
        (
            "utxo-mweb",
            previous_bytes(|bytes| drop(bytes.splice(4..4, [0, 8]))),
        ),
        (
            "utxo-mweb",
            previous_bytes(|bytes| drop(bytes.splice(4..4, [0, 9]))),
        ),
        ("utxo-trailing-bytes", previous_bytes(|bytes| bytes.push(0))),
        ("utxo-truncated", previous_bytes(|bytes| bytes.truncate(80))),
        ("utxo-truncated", previous_bytes(Vec::clear)),
        (
            "utxo-compact-size",
            previous_bytes(|bytes| drop(bytes.splice(4..5, [0xfd, 1, 0]))),
        ),
    ]
}

fn spent_output_cases() -> Vec<Case> {
    let p2pkh = bitcoin::PubkeyHash::from_byte_array([1; 20]);
    vec![
        (
            "utxo-witness-utxo",
            witness_utxo(|output| output.value = Amount::from_sat(999_999)),
        ),
        (
            "utxo-witness-utxo",
            witness_utxo(|output| output.script_pubkey = script(HOT[1])),
        ),
        ("utxo-input-script", spending(ScriptBuf::new_p2pkh(&p2pkh))),
        (
            "utxo-input-script",
            spending(ScriptBuf::from_bytes(vec![0x51])),
        ),
        ("utxo-input-script", spending(ScriptBuf::new())),
        ("utxo-input-taproot", spending(taproot_script(FOREIGN))),
        ("utxo-input-foreign", spending(script(FOREIGN))),
        ("utxo-input-keyless", spending(script(HOT_KEYLESS))),
        ("utxo-input-keyless", spending(script(COLD))),
        (
            "utxo-several-accounts",
            text(&spend(
                vec![
                    previous(1, &[(1_000_000, script(HOT[0]))]),
                    previous(2, &[(1_000_000, script(OTHER))]),
                ],
                &[(1_900_000, script(FOREIGN))],
            )),
        ),
    ]
}

/// Adds a marker and one empty witness.
fn superfluous_witness(bytes: &mut Vec<u8>) {
    bytes.splice(4..4, [0, 1]);
    bytes.insert(bytes.len() - 4, 0);
}

fn output_cases() -> Vec<Case> {
    let coins = |amount| {
        text(&spend(
            vec![previous(1, &[(amount, script(HOT[0]))])],
            &[(1_000_000, script(FOREIGN))],
        ))
    };
    let script_of = |hex: &str| ScriptBuf::from_bytes(hex::decode(hex).unwrap());
    let most = 2_100_000_000_000_000;
    vec![
        ("utxo-amount-range", coins(most + 1)),
        ("utxo-amount-range", coins(u64::MAX)),
        (
            "utxo-amount-range",
            paying(&[(u64::MAX, script(FOREIGN)), (1_000_000, script(FOREIGN))]),
        ),
        (
            "utxo-amount-range",
            paying(&[(most, script(FOREIGN)), (1_000, script(FOREIGN))]),
        ),
        ("utxo-overspent", paying(&[(1_000_001, script(FOREIGN))])),
        (
            "utxo-output-data",
            paying(&[(0, ScriptBuf::new_op_return([1; 8]))]),
        ),
        (
            "utxo-output-data",
            paying(&[(900_000, script(FOREIGN)), (0, script_of("6a"))]),
        ),
        ("utxo-output-script", paying(&[(900_000, ScriptBuf::new())])),
        ("utxo-output-script", paying(&[(900_000, script_of("51"))])),
        (
            "utxo-output-script",
            paying(&[(900_000, script_of("51024e73"))]),
        ),
        ("utxo-output-dust", paying(&[(293, script(FOREIGN))])),
        (
            "utxo-output-dust",
            paying(&[(900_000, script(FOREIGN)), (293, script(HOT[1]))]),
        ),
        ("utxo-output-retired", paying(&[(900_000, script(RETIRED))])),
        (
            "utxo-change-keyless",
            paying(&[(900_000, script(HOT_KEYLESS))]),
        ),
        (
            "utxo-change-count",
            paying(&HOT.map(|seed| (100_000, script(seed)))),
        ),
    ]
}

#[test]
fn every_bad_thing_is_refused_by_its_name() {
    for (index, (expected, psbt)) in all_cases().iter().enumerate() {
        assert_eq!(code(BITCOIN, psbt), *expected, "case {index} of {expected}");
    }
}

fn all_cases() -> Vec<Case> {
    [
        container_cases(),
        field_cases(),
        unwanted_field_cases(),
        transaction_cases(),
        input_cases(),
        previous_cases(),
        spent_output_cases(),
        output_cases(),
    ]
    .concat()
}

#[test]
fn every_refusal_is_tested() {
    let named: BTreeSet<&str> = include_str!("../../utxo/refusal.rs")
        .split('"')
        .filter(|text| text.starts_with("utxo-"))
        .collect();
    let mut hit: BTreeSet<&str> = all_cases().iter().map(|(code, _)| *code).collect();
    hit.extend([
        // By tests of `attacks.rs` and `taproot.rs`.
        "utxo-chain",
        "utxo-output-chain",
        "utxo-signature-count",
        "utxo-signature-scheme",
        // Beside the code: no input reaches it, and that is its point.
        "utxo-not-canonical",
    ]);
    assert_eq!(hit, named);
}
