//! Calls of declared functions: their one encoding, and what they say.

mod properties;

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{U256, hex, keccak256};
use strongroom_tx::evm::{
    Action, CallData, DeclareError, Function, Functions, Refusal, Signature, Unsigned, Value,
};
use strongroom_tx::{Amount, Argument, Asset, Call, ChainRules, Decoded, EffectKind, Own};

use super::fixture::{
    COLD, MAINNET, STRANGER, TOKEN, address, eip1559, hot, registry, request, terms,
};
use super::oracle::{self, Plain};

/// `note(string text, uint64 number, int8 shift, bool flag)`, of the contract at [`TOKEN`].
const NOTE: &str = "note(string text, uint64 number, int8 shift, bool flag)";

fn function(name: &str, signature: &str) -> Arc<Function> {
    Arc::new(Function {
        name: name.parse().unwrap(),
        signature: Signature::parse(signature).unwrap(),
    })
}

fn declared(signature: &str) -> Functions {
    let mut functions = Functions::default();
    let function = function("it", signature);
    functions.declare(address(TOKEN), function).unwrap();
    functions
}

pub(crate) fn selector() -> [u8; 4] {
    Signature::parse(NOTE).unwrap().selector()
}

/// `("hi", 7, -1, true)`.
pub(crate) fn arguments() -> Vec<u8> {
    hex!(
        "0000000000000000000000000000000000000000000000000000000000000080"
        "0000000000000000000000000000000000000000000000000000000000000007"
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        "0000000000000000000000000000000000000000000000000000000000000001"
        "0000000000000000000000000000000000000000000000000000000000000002"
        "6869000000000000000000000000000000000000000000000000000000000000"
    )
    .to_vec()
}

/// Decodes where [`NOTE`] is declared.
pub(crate) fn decode(payload: &str) -> Result<Decoded, Refusal> {
    decode_with(&declared(NOTE), payload)
}

pub(crate) fn decode_with(functions: &Functions, payload: &str) -> Result<Decoded, Refusal> {
    let rules = ChainRules {
        functions,
        ..ChainRules::default()
    };
    let request = request(&hot().to_string(), payload);
    strongroom_tx::decode(&request, registry(), rules).map_err(|refusal| match refusal {
        strongroom_tx::Refusal::Evm(refusal) => refusal,
        other => panic!("{other:?}"),
    })
}

/// A transaction to the contract, by alloy.
fn payload(calldata: &[u8], value: u64) -> Vec<u8> {
    oracle::eip1559(Plain {
        nonce: 9,
        price: 2_000,
        tip: 1_000,
        gas_limit: 60_000,
        to: address(TOKEN).as_bytes().try_into().unwrap(),
        value: U256::from(value),
        input: calldata.to_vec(),
    })
}

/// The call of calldata; the refusal's name otherwise.
fn call(functions: &Functions, calldata: &[u8]) -> Result<Call, &'static str> {
    let payload = hex::encode_prefixed(payload(calldata, 0));
    let decoded = decode_with(functions, &payload).map_err(|refusal| refusal.code())?;
    let effect = decoded.effects()[0].clone();
    assert_eq!(effect.kind, EffectKind::Call);
    Ok(*effect.call.unwrap())
}

fn values(call: &Call) -> Vec<&str> {
    let arguments = call.arguments.iter();
    arguments.map(|argument| argument.value.as_str()).collect()
}

/// The examples of the ABI's specification (Solidity, "Contract ABI Specification"), where the signatures
/// and bytes stand as here; names of arguments are ours.
const SPECIFICATION: [(&str, &[u8], &[&str]); 6] = [
    (
        "baz(uint32 x, bool y)",
        &hex!(
            "cdcd77c0"
            "0000000000000000000000000000000000000000000000000000000000000045"
            "0000000000000000000000000000000000000000000000000000000000000001"
        ),
        &["69", "true"],
    ),
    (
        "bar(bytes3[2] x)",
        &hex!(
            "fce353f6"
            "6162630000000000000000000000000000000000000000000000000000000000"
            "6465660000000000000000000000000000000000000000000000000000000000"
        ),
        &["[0x616263, 0x646566]"],
    ),
    (
        "sam(bytes a, bool b, uint256[] c)",
        &hex!(
            "a5643bf2"
            "0000000000000000000000000000000000000000000000000000000000000060"
            "0000000000000000000000000000000000000000000000000000000000000001"
            "00000000000000000000000000000000000000000000000000000000000000a0"
            "0000000000000000000000000000000000000000000000000000000000000004"
            "6461766500000000000000000000000000000000000000000000000000000000"
            "0000000000000000000000000000000000000000000000000000000000000003"
            "0000000000000000000000000000000000000000000000000000000000000001"
            "0000000000000000000000000000000000000000000000000000000000000002"
            "0000000000000000000000000000000000000000000000000000000000000003"
        ),
        &["0x64617665", "true", "[1, 2, 3]"],
    ),
    (
        "f(uint256 a, uint32[] b, bytes10 c, bytes d)",
        &hex!(
            "8be65246"
            "0000000000000000000000000000000000000000000000000000000000000123"
            "0000000000000000000000000000000000000000000000000000000000000080"
            "3132333435363738393000000000000000000000000000000000000000000000"
            "00000000000000000000000000000000000000000000000000000000000000e0"
            "0000000000000000000000000000000000000000000000000000000000000002"
            "0000000000000000000000000000000000000000000000000000000000000456"
            "0000000000000000000000000000000000000000000000000000000000000789"
            "000000000000000000000000000000000000000000000000000000000000000d"
            "48656c6c6f2c20776f726c642100000000000000000000000000000000000000"
        ),
        &[
            "291",
            "[1110, 1929]",
            "0x31323334353637383930",
            "0x48656c6c6f2c20776f726c6421",
        ],
    ),
    (
        "g(uint256[][] a, string[] b)",
        &hex!(
            "2289b18c"
            "0000000000000000000000000000000000000000000000000000000000000040"
            "0000000000000000000000000000000000000000000000000000000000000140"
            "0000000000000000000000000000000000000000000000000000000000000002"
            "0000000000000000000000000000000000000000000000000000000000000040"
            "00000000000000000000000000000000000000000000000000000000000000a0"
            "0000000000000000000000000000000000000000000000000000000000000002"
            "0000000000000000000000000000000000000000000000000000000000000001"
            "0000000000000000000000000000000000000000000000000000000000000002"
            "0000000000000000000000000000000000000000000000000000000000000001"
            "0000000000000000000000000000000000000000000000000000000000000003"
            "0000000000000000000000000000000000000000000000000000000000000003"
            "0000000000000000000000000000000000000000000000000000000000000060"
            "00000000000000000000000000000000000000000000000000000000000000a0"
            "00000000000000000000000000000000000000000000000000000000000000e0"
            "0000000000000000000000000000000000000000000000000000000000000003"
            "6f6e650000000000000000000000000000000000000000000000000000000000"
            "0000000000000000000000000000000000000000000000000000000000000003"
            "74776f0000000000000000000000000000000000000000000000000000000000"
            "0000000000000000000000000000000000000000000000000000000000000005"
            "7468726565000000000000000000000000000000000000000000000000000000"
        ),
        &["[[1, 2], [3]]", "[\"one\", \"two\", \"three\"]"],
    ),
    ("deposit()", &hex!("d0e30db0"), &[]),
];

#[test]
fn the_examples_of_the_specification_are_read() {
    for (signature, calldata, expected) in SPECIFICATION {
        let call = call(&declared(signature), calldata).unwrap();
        assert_eq!(values(&call), expected, "{signature}");
    }
}

/// What stands in the journal and before people: everything that the transaction says.
#[test]
fn a_call_is_an_effect_with_every_argument_and_the_fee() {
    let signature = "order((address to, (uint128 most, int24 tick) price)[] parts, \
                     (address owner, bytes key) of, string note)";
    let functions = declared(signature);
    let found = functions.find(
        &address(TOKEN),
        Signature::parse(signature).unwrap().selector(),
    );
    let parts = format!("[({STRANGER}, (5, -8388608)), ({COLD}, (0, 8388607))]");
    let texts = [
        ("parts", parts.as_str()),
        ("of.owner", COLD),
        ("of.key", "0x00ff"),
        ("note", "a \"b\"\\\u{e9}\n"),
    ];
    let texts = texts.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let called = CallData::of_texts(found.unwrap(), &texts.into()).unwrap();
    let action = Action::Call {
        contract: address(TOKEN),
        value: Amount::from(7_u64),
        call: called,
    };
    let unsigned = Unsigned::new(MAINNET, terms(eip1559()), action).unwrap();
    let decoded = decode_with(&functions, &unsigned.payload()).unwrap();
    let [effect, fee] = decoded.effects() else {
        panic!("{decoded:?}");
    };
    assert_eq!(fee.kind, EffectKind::Fee);
    assert_eq!(fee.amount, unsigned.fee_max());
    assert_eq!(
        (effect.kind, effect.amount),
        (EffectKind::Call, Amount::from(7_u64))
    );
    assert_eq!(effect.asset, Asset::native(MAINNET));
    let to = effect.to.as_ref().unwrap();
    assert_eq!((&to.address, &to.own), (&address(TOKEN), &None));
    let cold = Own {
        account: "vault".parse().unwrap(),
        class: strongroom_tx::AccountClass::Cold,
    };
    let argument = |name: &str, value: &str, own: Option<Own>| Argument {
        name: name.into(),
        value: value.into(),
        own,
    };
    let call = Call {
        function: "it".parse().unwrap(),
        signature: "order((address,(uint128,int24))[],(address,bytes),string)".into(),
        arguments: vec![
            argument("parts", &parts, None),
            argument("of.owner", COLD, Some(cold)),
            argument("of.key", "0x00ff", None),
            argument("note", "\"a \\\"b\\\"\\\\\\u{e9}\\u{a}\"", None),
        ],
    };
    assert_eq!(effect.call.as_deref(), Some(&call));
    assert!(call.to_string().is_ascii());
    let stored = serde_json::to_string(effect).unwrap();
    assert_eq!(
        serde_json::from_str::<strongroom_tx::Effect>(&stored).unwrap(),
        *effect
    );
}

/// Journals from before there were calls.
#[test]
fn an_effect_without_a_call_is_written_as_ever() {
    let payload = super::fixture::payload(eip1559(), super::fixture::native(address(STRANGER), 1));
    let decoded = super::fixture::decode_from_hot(&payload).unwrap();
    let stored = serde_json::to_string(&decoded.effects()[0]).unwrap();
    assert!(!stored.contains("call"), "{stored}");
    let read: strongroom_tx::Effect = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, decoded.effects()[0]);
}

#[test]
fn what_is_not_declared_of_this_very_contract_is_refused() {
    let functions = declared(NOTE);
    let good = [selector().as_slice(), &arguments()].concat();
    call(&functions, &good).unwrap();
    assert_eq!(
        call(&Functions::default(), &good),
        Err("evm-calldata-unknown")
    );
    let mut elsewhere = Functions::default();
    elsewhere
        .declare(address(STRANGER), function("it", NOTE))
        .unwrap();
    assert_eq!(call(&elsewhere, &good), Err("evm-calldata-unknown"));
    // Types make the selector: the same words in another order are another function.
    let other = declared("note(uint64 number, string text, int8 shift, bool flag)");
    assert_eq!(call(&other, &good), Err("evm-calldata-unknown"));
}

#[test]
fn an_account_of_our_own_is_not_called() {
    for own in [hot(), address(COLD)] {
        let mut functions = Functions::default();
        functions
            .declare(own.clone(), function("it", "ping()"))
            .unwrap();
        let selector = Signature::parse("ping()").unwrap().selector();
        let bytes = oracle::eip1559(Plain {
            nonce: 9,
            price: 2_000,
            tip: 1_000,
            gas_limit: 60_000,
            to: own.as_bytes().try_into().unwrap(),
            value: U256::ZERO,
            input: selector.to_vec(),
        });
        let refusal = decode_with(&functions, &hex::encode_prefixed(bytes)).unwrap_err();
        assert_eq!(refusal.code(), "evm-call-of-own");
    }
}

/// Rights, transfers and calls in calls cannot be declared, whatever their arguments are called.
#[test]
fn what_is_refused_by_name_cannot_be_declared() {
    let declare = |signature: &str| {
        let mut functions = Functions::default();
        functions.declare(address(TOKEN), function("it", signature))
    };
    let code = |signature: &str| match declare(signature) {
        Err(DeclareError::Known { code, .. }) => code,
        other => panic!("{signature}: {other:?}"),
    };
    assert_eq!(
        code("approve(address spender, uint256 amount)"),
        "evm-approve"
    );
    assert_eq!(code("multicall(bytes[] calls)"), "evm-multicall");
    assert_eq!(
        code("execute(address to, uint256 value, bytes data)"),
        "evm-execute"
    );
    assert_eq!(code("transferOwnership(address to)"), "evm-authority");
    assert_eq!(
        code("aggregate3((address to, bool may_fail, bytes data)[] calls)"),
        "evm-multicall"
    );
    // Found by brute force, it has the selector of transferFrom(address,address,uint256).
    assert_eq!(
        keccak256("gasprice_bit_ether(int128)")[..4],
        hex!("23b872dd")
    );
    assert_eq!(code("gasprice_bit_ether(int128 x)"), "evm-transfer-from");
    let transfer = declare("transfer(address to, uint256 amount)");
    assert_eq!(transfer, Err(DeclareError::Transfer));
}

#[test]
fn one_contract_has_one_function_of_a_selector() {
    let mut functions = declared(NOTE);
    let again = functions.declare(address(TOKEN), function("again", NOTE));
    assert!(matches!(again, Err(DeclareError::Twice { other, .. }) if other == "it"));
    functions
        .declare(address(STRANGER), function("again", NOTE))
        .unwrap();
}

#[test]
fn signatures_are_read_or_refused_by_what_is_wrong() {
    let canonical = |text: &str| Signature::parse(text).map(|read| read.canonical());
    assert_eq!(canonical("f()").unwrap(), "f()");
    assert_eq!(
        canonical("f( (uint8 a,bytes32 b)[2][] x , string  y )").unwrap(),
        "f((uint8,bytes32)[2][],string)"
    );
    let refused = [
        ("", "the function's name"),
        ("1f()", "the function's name"),
        ("f", "\"(\""),
        ("f(uint256)", "a space and the argument's name"),
        ("f(uint256 a", "\",\" or \")\""),
        ("f(uint256 a,)", "is no type"),
        ("f(uint a)", "\"uint\" is no type"),
        ("f(uint7 a)", "\"uint7\" is no type"),
        ("f(uint264 a)", "\"uint264\" is no type"),
        ("f(uint08 a)", "\"uint08\" is no type"),
        ("f(int0 a)", "\"int0\" is no type"),
        ("f(bytes0 a)", "\"bytes0\" is no type"),
        ("f(bytes33 a)", "\"bytes33\" is no type"),
        ("f(function a)", "\"function\" is no type"),
        ("f(fixed128x18 a)", "\"fixed128x18\" is no type"),
        ("f(uint256[0] a)", "a list of \"0\" items"),
        ("f(uint256[-1] a)", "\"]\" is expected"),
        ("f(uint256[129] a)", "a list of \"129\" items"),
        ("f(uint256[128][2] a)", "more than 128 words"),
        ("f(() a)", "a tuple with a field"),
        ("f(uint8 a, bool a)", "two arguments called \"a\""),
        ("f((uint8 a, bool a) b)", "two arguments called \"a\""),
        ("f(uint256 calldata a)", "\",\" or \")\""),
        ("f(uint256 a) payable", "nothing is expected"),
        ("f(uint8[][][][][] a)", "more than 5 types in one another"),
        (
            "f((((((uint8 a) b) c) d) e) f)",
            "more than 5 types in one another",
        ),
    ];
    for (text, says) in refused {
        let error = Signature::parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    let many: Vec<String> = (0..65).map(|n| format!("bool a{n}")).collect();
    let error = Signature::parse(&format!("f({})", many.join(", "))).unwrap_err();
    assert!(error.to_string().contains("more than 64 arguments"));
    assert!(Signature::parse(&format!("f({})", many[1..].join(", "))).is_ok());
    let nested = format!("f({}uint8 a", "(".repeat(500));
    assert!(Signature::parse(&nested).is_err());
}

#[test]
fn every_value_has_one_text() {
    let of = |text: &str| {
        let signature = Signature::parse(&format!("f({text} a)")).unwrap();
        signature.parameters()[0].of.clone()
    };
    let good = [
        ("uint8", "255"),
        ("int8", "-128"),
        (
            "int256",
            "-57896044618658097711785492504343953926634992332820282019728792003956564819968",
        ),
        ("bytes2", "0x00ff"),
        ("bytes", "0x"),
        ("string", "\"\\u{0}, ]\""),
        ("uint8[]", "[]"),
        ("(uint8 a, bool b)[1]", "[(0, true)]"),
        ("address", COLD),
    ];
    for (kind, text) in good {
        assert_eq!(Value::parse(&of(kind), text).unwrap().to_string(), text);
    }
    let lower = COLD.to_lowercase();
    assert_eq!(
        Value::parse(&of("address"), &lower).unwrap().to_string(),
        COLD
    );
    let bad = [
        ("uint8", "256"),
        ("uint8", "01"),
        ("uint8", "-1"),
        ("uint8", " 1"),
        ("int8", "128"),
        ("int8", "-129"),
        ("int8", "-0"),
        ("int8", "+1"),
        ("bool", "1"),
        ("bytes2", "0x0"),
        ("bytes2", "0x00FF"),
        ("bytes2", "0x000000"),
        ("bytes", "00"),
        ("bytes", "0x0x00"),
        ("string", "a"),
        ("string", "\"\\u{61}\""),
        ("string", "\"\\u{0e9}\""),
        ("string", "\"\u{e9}\""),
        ("string", "\"a\"b"),
        ("uint8[]", "[1,2]"),
        ("uint8[]", "[1, ]"),
        ("uint8[2]", "[1]"),
        ("(uint8 a, bool b)", "(1)"),
        ("address", "0xfb6916095ca1df60bB79Ce92cE3Ea74c37c5d359"),
    ];
    for (kind, text) in bad {
        let error = Value::parse(&of(kind), text).unwrap_err().to_string();
        assert!(error.contains("is no "), "{kind} {text}: {error}");
    }
}

#[test]
fn a_call_is_made_of_exactly_its_arguments() {
    let function = function("it", "f((uint8 a, string b) x, bool y)");
    let made = |texts: &[(&str, &str)]| {
        let texts = texts
            .iter()
            .map(|(name, text)| ((*name).into(), (*text).into()));
        CallData::of_texts(&function, &texts.collect::<BTreeMap<String, String>>())
            .map(|call| call.values().to_vec())
            .map_err(|error| error.to_string())
    };
    let good = [("x.a", "1"), ("x.b", "hi"), ("y", "true")];
    let tuple = Value::Tuple(vec![Value::Uint(Amount::ONE), Value::String("hi".into())]);
    assert_eq!(made(&good), Ok(vec![tuple, Value::Bool(true)]));
    assert!(made(&good[1..]).unwrap_err().contains("\"x.a\" is missing"));
    let more = [good.as_slice(), &[("x", "(1, \"hi\")")]].concat();
    assert!(made(&more).unwrap_err().contains("has no argument \"x\""));
    let wrong = [("x.a", "256"), good[1], good[2]];
    assert!(
        made(&wrong)
            .unwrap_err()
            .contains("\"x.a\": \"256\" is no uint8")
    );
}

/// Claims of lengths that are not there cost nothing: memory is taken for words that are.
#[test]
fn claimed_lengths_allocate_nothing() {
    let functions = declared("f(bytes[][] a)");
    let selector = Signature::parse("f(bytes[][] a)").unwrap().selector();
    let word = |number: u64| U256::from(number).to_be_bytes::<32>();
    for claimed in [2, 1 << 16, 1 << 32, u64::MAX >> 6, u64::MAX] {
        let bytes = [selector.as_slice(), &word(32), &word(claimed), &word(32)].concat();
        assert_eq!(call(&functions, &bytes), Err("evm-abi-short"), "{claimed}");
    }
    let huge = [selector.as_slice(), &word(32), &[0xff; 32], &word(32)].concat();
    assert_eq!(call(&functions, &huge), Err("evm-abi-short"));
}
