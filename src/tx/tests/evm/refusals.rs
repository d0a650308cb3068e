//! Every refusal is reached, by the smallest change to a good transaction.

use std::collections::BTreeSet;

use alloy_primitives::{hex, keccak256};
use alloy_rlp::Header;
use strongroom_tx::evm::{Action, Fees, Refusal, Unsigned};
use strongroom_tx::{
    Address, Amount, Bip340Signature, Chain, EcdsaSignature, KeySignature, Network, Transaction,
    assemble,
};

use super::fixture::{
    COLD, MAINNET, STRANGER, TOKEN, address, decode_from_hot, decode_request, deposit, eip155,
    eip1559, eip2930, erc20, hot, native, payload, request, terms,
};
use super::{approvals, calls as declared};

/// The fields of an EIP-1559 transaction, each already in RLP.
#[derive(Clone)]
struct Fields([Vec<u8>; 9]);

const CHAIN_ID: usize = 0;
const NONCE: usize = 1;
const TIP: usize = 2;
const CAP: usize = 3;
const GAS: usize = 4;
const TO: usize = 5;
const VALUE: usize = 6;
const DATA: usize = 7;
const ACCESS: usize = 8;

fn fields() -> Fields {
    let number = |n: u64| alloy_rlp::encode(n);
    Fields([
        number(1),
        number(9),
        number(1_000),
        number(2_000),
        number(60_000),
        string(address(STRANGER).as_bytes()),
        number(5),
        string(&[]),
        vec![0xc0],
    ])
}

impl Fields {
    fn with(mut self, field: usize, item: Vec<u8>) -> Self {
        self.0[field] = item;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        typed(2, &self.0.concat())
    }

    fn refusal(&self) -> Refusal {
        refusal_of(&self.bytes())
    }
}

fn string(content: &[u8]) -> Vec<u8> {
    alloy_rlp::encode(content)
}

fn list(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let payload_length = payload.len();
    Header {
        list: true,
        payload_length,
    }
    .encode(&mut out);
    out.extend(payload);
    out
}

fn typed(kind: u8, payload: &[u8]) -> Vec<u8> {
    [vec![kind], list(payload)].concat()
}

fn refusal_of(bytes: &[u8]) -> Refusal {
    decode_from_hot(&hex::encode_prefixed(bytes)).unwrap_err()
}

/// The refusal of calldata sent to a token.
fn call(calldata: &[u8]) -> Refusal {
    fields()
        .with(TO, string(address(TOKEN).as_bytes()))
        .with(VALUE, string(&[]))
        .with(DATA, string(calldata))
        .refusal()
}

/// The payload of a transaction that sends nothing but calldata.
fn payload_of(to: &str, calldata: &[u8]) -> String {
    let fields = fields()
        .with(TO, string(address(to).as_bytes()))
        .with(VALUE, string(&[]))
        .with(DATA, string(calldata));
    hex::encode_prefixed(fields.bytes())
}

fn transfer_to(to: &[u8], amount: u64) -> Vec<u8> {
    let mut calldata = hex!("a9059cbb000000000000000000000000").to_vec();
    calldata.extend(to);
    calldata.extend(Amount::from(amount).to_be_bytes());
    calldata
}

fn transfer() -> Vec<u8> {
    transfer_to(address(STRANGER).as_bytes(), 7)
}

fn from(from: &str) -> Refusal {
    let payload = payload(eip1559(), native(address(STRANGER), 5));
    decode_request(&request(from, &payload)).unwrap_err()
}

fn on_chain(chain: Chain) -> Refusal {
    let payload = payload(eip1559(), native(address(STRANGER), 5));
    let from = hot().to_string();
    decode_request(&Transaction::Eip2718 {
        chain,
        from,
        payload,
    })
    .unwrap_err()
}

#[test]
fn the_unchanged_fields_are_accepted() {
    assert!(decode_from_hot(&hex::encode_prefixed(fields().bytes())).is_ok());
    let token = fields()
        .with(TO, string(address(TOKEN).as_bytes()))
        .with(VALUE, string(&[]))
        .with(DATA, string(&transfer()));
    assert!(decode_from_hot(&hex::encode_prefixed(token.bytes())).is_ok());
}

fn request_cases() -> Vec<(&'static str, Refusal)> {
    let bitcoin = Chain::Bitcoin(Network::Mainnet);
    let elsewhere = Address::parse(Chain::Evm(5), STRANGER).unwrap();
    let mixed = "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    let too_long = format!("0x{}", "00".repeat(128 * 1024 + 1));
    let text = |payload: &str| decode_from_hot(payload).unwrap_err();
    vec![
        ("evm-chain-family", on_chain(bitcoin)),
        (
            "evm-address-chain",
            Unsigned::new(MAINNET, terms(eip1559()), native(elsewhere, 1)).unwrap_err(),
        ),
        ("evm-from-form", from("0x12")),
        ("evm-from-form", from(mixed)),
        ("evm-from-unknown", from(STRANGER)),
        ("evm-from-without-key", from(COLD)),
        ("evm-payload-form", text("")),
        ("evm-payload-form", text("02c0")),
        ("evm-payload-form", text("0X02c0")),
        ("evm-payload-form", text("0x0x02c0")),
        ("evm-payload-form", text("0x02c")),
        ("evm-payload-form", text("0x02c0 ")),
        ("evm-payload-form", text("0x02c\u{e9}")),
        ("evm-payload-empty", text("0x")),
        ("evm-payload-size", text(&too_long)),
    ]
}

fn envelope_cases() -> Vec<(&'static str, Refusal)> {
    let message = b"\x19Ethereum Signed Message:\n2hi";
    let body = fields().0.concat();
    let signature = hex!("808201028203 04");
    let with_signature = [body.clone(), signature.to_vec()].concat();
    let legacy = fields().0[NONCE..ACCESS].concat();
    let legacy_of = |tail: &[u8]| {
        // Without the tip: nonce, price, gas limit, recipient, value, calldata.
        let head = [&fields().0[NONCE][..], &fields().0[CAP..ACCESS].concat()].concat();
        refusal_of(&list(&[&head, tail].concat()))
    };
    vec![
        ("evm-message", refusal_of(message)),
        ("evm-message", refusal_of(&[0x19, 0x01])),
        ("evm-blob", refusal_of(&typed(3, &body))),
        ("evm-set-code", refusal_of(&typed(4, &body))),
        ("evm-type-unknown", refusal_of(&typed(0, &body))),
        ("evm-type-unknown", refusal_of(&typed(5, &body))),
        ("evm-type-unknown", refusal_of(&typed(0x80, &body))),
        ("evm-signed", refusal_of(&typed(2, &with_signature))),
        ("evm-signed", legacy_of(&hex!("25 820102 820304"))),
        ("evm-signed", legacy_of(&hex!("1b 820102 820304"))),
        ("evm-signed", legacy_of(&hex!("01 00 00"))),
        ("evm-no-chain-id", legacy_of(&[])),
        ("evm-chain-id", legacy_of(&hex!("02 80 80"))),
        ("evm-field-count", legacy_of(&hex!("01"))),
        ("evm-field-count", refusal_of(&list(&legacy))),
        ("evm-field-count", refusal_of(&typed(1, &body))),
        ("evm-field-count", refusal_of(&typed(2, &[]))),
        ("evm-field-count", refusal_of(&[0xc0])),
        ("evm-rlp-truncated", refusal_of(&[0x02])),
        ("evm-rlp-truncated", refusal_of(&[0x02, 0xf8, 0x50, 0x01])),
        (
            "evm-rlp-trailing",
            refusal_of(&[fields().bytes(), vec![0]].concat()),
        ),
        (
            "evm-rlp-length",
            fields().with(NONCE, vec![0xb8, 1, 0x80]).refusal(),
        ),
        (
            "evm-rlp-byte",
            fields().with(NONCE, vec![0x81, 0x01]).refusal(),
        ),
        ("evm-rlp-not-list", refusal_of(&[0x02, 0x80])),
        (
            "evm-rlp-not-list",
            fields().with(ACCESS, vec![0x80]).refusal(),
        ),
        (
            "evm-rlp-not-string",
            fields().with(DATA, vec![0xc0]).refusal(),
        ),
    ]
}

fn number_cases() -> Vec<(&'static str, Refusal)> {
    let number = |field, digits: &[u8]| fields().with(field, string(digits)).refusal();
    let max = [0xff; 32];
    vec![
        ("evm-number-leading-zero", number(NONCE, &[0])),
        ("evm-number-leading-zero", number(VALUE, &[0, 5])),
        ("evm-number-leading-zero", number(CAP, &[0; 33])),
        ("evm-number-too-large", number(NONCE, &[1; 9])),
        ("evm-number-too-large", number(CHAIN_ID, &[1; 9])),
        ("evm-number-too-large", number(VALUE, &[1; 33])),
        ("evm-chain-id", number(CHAIN_ID, &[2])),
        ("evm-chain-id", number(CHAIN_ID, &[])),
        ("evm-nonce-exhausted", number(NONCE, &[0xff; 8])),
        ("evm-gas-limit", number(GAS, &20_999_u16.to_be_bytes())),
        ("evm-gas-limit", number(GAS, &30_000_001_u32.to_be_bytes())),
        ("evm-fee-cap", number(CAP, &[1; 17])),
        ("evm-priority-fee", number(TIP, &[0x07, 0xd1])),
        ("evm-cost-overflow", number(VALUE, &max)),
        (
            "evm-access-list",
            fields().with(ACCESS, vec![0xc1, 0xc0]).refusal(),
        ),
    ]
}

fn destination_cases() -> Vec<(&'static str, Refusal)> {
    let to = |bytes: &[u8]| fields().with(TO, string(bytes)).refusal();
    let low = |last: [u8; 2]| [vec![0; 18], last.to_vec()].concat();
    let token = |to: &[u8], amount| call(&transfer_to(to, amount));
    let none = string(&[]);
    vec![
        ("evm-contract-creation", to(&[])),
        ("evm-to-length", to(&[1; 19])),
        ("evm-to-length", to(&[1; 21])),
        ("evm-destination-zero", to(&[0; 20])),
        ("evm-destination-zero", token(&[0; 20], 7)),
        (
            "evm-destination-zero",
            fields()
                .with(TO, string(&[0; 20]))
                .with(VALUE, none.clone())
                .with(DATA, string(&transfer()))
                .refusal(),
        ),
        ("evm-destination-reserved", to(&low([0, 1]))),
        ("evm-destination-reserved", to(&low([1, 0]))),
        ("evm-destination-reserved", token(&low([0xde, 0xad]), 7)),
        ("evm-destination-token", token(address(TOKEN).as_bytes(), 7)),
        ("evm-destination-self", to(hot().as_bytes())),
        ("evm-destination-self", token(hot().as_bytes(), 7)),
        (
            "evm-value-zero",
            fields().with(VALUE, none.clone()).refusal(),
        ),
        (
            "evm-value-zero",
            fields()
                .with(VALUE, none.clone())
                .with(TO, string(deposit().as_bytes()))
                .refusal(),
        ),
        ("evm-amount-zero", token(address(STRANGER).as_bytes(), 0)),
        (
            "evm-call-of-own",
            fields()
                .with(VALUE, none)
                .with(TO, string(deposit().as_bytes()))
                .with(DATA, string(&transfer()))
                .refusal(),
        ),
    ]
}

fn calldata_cases() -> Vec<(&'static str, Refusal)> {
    let mut dirty = transfer();
    dirty[4] = 1;
    let trailing = [transfer(), vec![0]].concat();
    let with_value = fields()
        .with(TO, string(address(TOKEN).as_bytes()))
        .with(DATA, string(&transfer()))
        .refusal();
    let mut cases = vec![
        ("evm-calldata-short", call(&[0xa9, 0x05, 0x9c])),
        ("evm-calldata-short", call(&transfer()[..4])),
        ("evm-calldata-short", call(&transfer()[..67])),
        ("evm-calldata-trailing", call(&trailing)),
        ("evm-calldata-dirty", call(&dirty)),
        ("evm-calldata-unknown", call(&[0xde, 0xad, 0xbe, 0xef])),
        ("evm-calldata-unknown", call(&[0; 68])),
        ("evm-value-with-call", with_value),
    ];
    cases.extend(KNOWN.map(|(code, signature)| {
        let selector = &keccak256(signature)[..4];
        (code, call(&[selector, &[0; 64]].concat()))
    }));
    cases
}

fn argument_cases() -> Vec<(&'static str, Refusal)> {
    let refusal = |arguments: &[u8]| {
        let calldata = [declared::selector().as_slice(), arguments].concat();
        declared::decode(&payload_of(TOKEN, &calldata)).unwrap_err()
    };
    let good = declared::arguments();
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        refusal(&bytes)
    };
    assert!(
        declared::decode(&payload_of(
            TOKEN,
            &[declared::selector().as_slice(), &good].concat()
        ))
        .is_ok()
    );
    vec![
        ("evm-abi-short", refusal(&good[..good.len() - 1])),
        ("evm-abi-short", refusal(&[])),
        // A text of 2^63 bytes and more.
        ("evm-abi-short", changed(128 + 24, 0x80)),
        (
            "evm-abi-trailing",
            refusal(&[good.as_slice(), &[0; 32]].concat()),
        ),
        (
            "evm-abi-trailing",
            refusal(&[good.as_slice(), &[0]].concat()),
        ),
        ("evm-abi-offset", changed(31, 0xa0)),
        ("evm-abi-offset", changed(31, 0x60)),
        ("evm-abi-padding", changed(191, 1)),
        ("evm-abi-padding", changed(32, 1)),
        ("evm-abi-padding", changed(64, 0x80)),
        ("evm-abi-bool", changed(127, 2)),
        ("evm-abi-bool", changed(96, 1)),
        ("evm-abi-utf8", changed(160, 0xff)),
        ("evm-calldata-size", refusal(&vec![0; 8 * 1024])),
    ]
}

/// Of a token that is declared.
fn approval_cases() -> Vec<(&'static str, Refusal)> {
    let refusal = |spender: &[u8]| {
        let calldata = approvals::calldata(spender, Amount::from(5_u64));
        approvals::decode(TOKEN, &calldata, 0).unwrap_err()
    };
    vec![
        ("evm-spender-zero", refusal(&[0; 20])),
        ("evm-spender-token", refusal(address(TOKEN).as_bytes())),
        ("evm-spender-own", refusal(hot().as_bytes())),
        ("evm-spender-own", refusal(address(COLD).as_bytes())),
        (
            "evm-destination-reserved",
            refusal(&[[0; 19].as_slice(), &[9]].concat()),
        ),
    ]
}

/// One function for each name.
const KNOWN: [(&str, &str); 15] = [
    ("evm-approve", "approve(address,uint256)"),
    (
        "evm-increase-allowance",
        "increaseAllowance(address,uint256)",
    ),
    (
        "evm-decrease-allowance",
        "decreaseAllowance(address,uint256)",
    ),
    (
        "evm-set-approval-for-all",
        "setApprovalForAll(address,bool)",
    ),
    (
        "evm-permit",
        "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
    ),
    ("evm-permit2", "approve(address,address,uint160,uint48)"),
    ("evm-transfer-from", "transferFrom(address,address,uint256)"),
    (
        "evm-transfer-with-authorization",
        "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
    ),
    (
        "evm-transfer-and-call",
        "transferAndCall(address,uint256,bytes)",
    ),
    ("evm-multicall", "multicall(bytes[])"),
    ("evm-multi-send", "multiSend(bytes)"),
    (
        "evm-exec-transaction",
        "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)",
    ),
    ("evm-execute", "execute(address,uint256,bytes)"),
    ("evm-authority", "transferOwnership(address)"),
    ("evm-authority", "upgradeToAndCall(address,bytes)"),
];

fn assembly_cases() -> Vec<(&'static str, Refusal)> {
    let decoded = || decode_from_hot(&hex::encode_prefixed(fields().bytes())).unwrap();
    let refusal = |signatures: &[_]| match assemble(decoded(), signatures).unwrap_err() {
        strongroom_tx::Refusal::Evm(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    let recovery_id = 2;
    let (r, s) = ([1; 32], [1; 32]);
    let odd = KeySignature::Ecdsa(EcdsaSignature { r, s, recovery_id });
    let schnorr = KeySignature::Bip340(Bip340Signature { r, s });
    vec![
        ("evm-signature-count", refusal(&[])),
        ("evm-signature-count", refusal(&[odd; 2])),
        ("evm-signature-scheme", refusal(&[schnorr])),
        ("evm-recovery-id", refusal(&[odd])),
    ]
}

fn cases() -> Vec<(&'static str, Refusal)> {
    [
        request_cases(),
        envelope_cases(),
        number_cases(),
        destination_cases(),
        calldata_cases(),
        argument_cases(),
        approval_cases(),
        assembly_cases(),
    ]
    .concat()
}

#[test]
fn each_case_is_refused_by_its_own_name() {
    for (code, refusal) in cases() {
        assert_eq!(refusal.code(), code, "{refusal:?}");
        let sentence = refusal.to_string();
        assert!(
            sentence.len() > 20 && !sentence.ends_with('.'),
            "{sentence}"
        );
    }
}

/// A name that is added to the code without a case here fails this.
#[test]
fn every_name_in_the_code_has_a_case() {
    let sources = [
        include_str!("../../evm/refusal.rs"),
        include_str!("../../evm/rlp.rs"),
        include_str!("../../evm/known.rs"),
        include_str!("../../evm/abi/decode.rs"),
    ];
    let names = sources.iter().flat_map(|source| {
        let literals = source.split('"').skip(1).step_by(2);
        literals.filter(|literal| literal.starts_with("evm-"))
    });
    let mut names: BTreeSet<&str> = names.collect();
    // No bytes reach it while the reader is strict; its check has a test of its own.
    assert!(names.remove("evm-not-identical"));
    let hit: BTreeSet<&str> = cases().into_iter().map(|(code, _)| code).collect();
    assert_eq!(hit, names);
}

/// The encoder holds what it makes to the same rules.
#[test]
fn the_encoder_refuses_what_the_decoder_would() {
    let build = |fees, action: Action| {
        Unsigned::new(MAINNET, terms(fees), action)
            .unwrap_err()
            .code()
    };
    let zero = address("0x0000000000000000000000000000000000000000");
    let priority_above = Fees::Eip1559 {
        max_fee_per_gas: Amount::from(1_u64),
        max_priority_fee_per_gas: Amount::from(2_u64),
    };
    let dear = Fees::Eip155 {
        gas_price: Amount::MAX,
    };
    let pay = || native(address(STRANGER), 1);
    assert_eq!(build(priority_above, pay()), "evm-priority-fee");
    assert_eq!(build(dear, pay()), "evm-fee-cap");
    assert_eq!(build(eip155(), native(zero, 1)), "evm-destination-zero");
    let token = || address(TOKEN);
    assert_eq!(
        build(eip2930(), erc20(token(), token(), 1)),
        "evm-destination-token"
    );
    assert_eq!(
        build(eip2930(), erc20(token(), address(STRANGER), 0)),
        "evm-amount-zero"
    );
}

/// The attacker at the place of every byte that the signature commits to: one bit of the operation
/// flips the verdict or the effects.
#[test]
fn no_byte_is_without_meaning() {
    let good = fields()
        .with(TO, string(address(TOKEN).as_bytes()))
        .with(VALUE, string(&[]))
        .with(DATA, string(&transfer()))
        .bytes();
    let effects = |bytes: &[u8]| {
        decode_from_hot(&hex::encode_prefixed(bytes)).map(|decoded| {
            let nonce = decoded.conflict_keys().first().cloned();
            (decoded.effects().to_vec(), nonce, decoded.fee_terms())
        })
    };
    let meant = effects(&good).unwrap();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            assert_ne!(effects(&bytes).ok().as_ref(), Some(&meant), "byte {at}");
        }
    }
}
