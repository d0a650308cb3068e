//! Approvals of spenders of declared tokens: their one encoding, what they do, and all that stays refused.

use alloy_primitives::{U256, hex, keccak256};
use proptest::prelude::*;
use strongroom_tx::evm::{Action, Functions, Refusal, TokenCall, TokenFunction, Unsigned};
use strongroom_tx::{Amount, Asset, Decoded, EffectKind};

use super::calls::decode_with;
use super::fixture::{
    MAINNET, STRANGER, TOKEN, address, deposit, eip155, eip1559, eip2930, hot, hot_too, payload,
    terms,
};
use super::oracle::{self, Plain};

fn tokens() -> Functions {
    let mut functions = Functions::default();
    functions.declare_token(address(TOKEN));
    functions
}

/// `approve(address,uint256)`, by hand.
pub(crate) fn calldata(spender: &[u8], amount: Amount) -> Vec<u8> {
    [
        hex!("095ea7b3000000000000000000000000").as_slice(),
        spender,
        &amount.to_be_bytes(),
    ]
    .concat()
}

/// Decodes a transaction to a contract, made by alloy, where [`TOKEN`] is declared.
pub(crate) fn decode(to: &str, calldata: &[u8], value: u64) -> Result<Decoded, Refusal> {
    let bytes = oracle::eip1559(Plain {
        nonce: 9,
        price: 2_000,
        tip: 1_000,
        gas_limit: 60_000,
        to: address(to).as_bytes().try_into().unwrap(),
        value: U256::from(value),
        input: calldata.to_vec(),
    });
    decode_with(&tokens(), &hex::encode_prefixed(bytes))
}

fn code(to: &str, calldata: &[u8], value: u64) -> &'static str {
    decode(to, calldata, value).unwrap_err().code()
}

fn good() -> Vec<u8> {
    calldata(address(STRANGER).as_bytes(), Amount::from(5_u64))
}

#[test]
fn an_approval_is_one_effect_of_its_amount_and_a_fee() {
    for amount in [Amount::ZERO, Amount::from(5_u64), Amount::MAX] {
        let calldata = calldata(address(STRANGER).as_bytes(), amount);
        let decoded = decode(TOKEN, &calldata, 0).unwrap();
        let [approval, fee] = decoded.effects() else {
            panic!("{:?}", decoded.effects());
        };
        assert_eq!(approval.kind, EffectKind::Approval);
        assert_eq!(approval.account.as_str(), "hot");
        assert_eq!(approval.asset, Asset::erc20(address(TOKEN)));
        assert_eq!(approval.amount, amount);
        let to = approval.to.as_ref().unwrap();
        assert_eq!((&to.address, &to.own), (&address(STRANGER), &None));
        assert_eq!((&approval.tag, &approval.call), (&None, &None));
        assert_eq!(fee.kind, EffectKind::Fee);
        assert_eq!(fee.asset, Asset::native(MAINNET));
        assert_eq!(decoded.conflict_keys().len(), 1);
    }
}

#[test]
fn what_is_built_is_what_is_read() {
    let action = Action::Approve {
        token: address(TOKEN),
        spender: address(STRANGER),
        amount: Amount::MAX,
    };
    for fees in [eip155(), eip2930(), eip1559()] {
        let payload = payload(fees, action.clone());
        let read = Unsigned::parse_with(MAINNET, &payload, &tokens()).unwrap();
        assert_eq!((read.action(), read.terms()), (&action, terms(fees)));
        let json = serde_json::to_value(read.action()).unwrap();
        assert_eq!(json["kind"], "approve");
        assert_eq!(json["spender"], format!("eip155:1:{STRANGER}"));
    }
}

/// Of a contract that the bundle does not declare as a token it is what it was.
#[test]
fn an_approval_of_no_declared_token_is_refused_by_its_name() {
    let refusal = decode(STRANGER, &good(), 0).unwrap_err();
    assert_eq!(refusal.code(), "evm-approve");
    let says = "approve(address,uint256) is signed of tokens alone that the bundle declares";
    assert_eq!(refusal.to_string(), says);
    let payload = payload(
        eip1559(),
        Action::Approve {
            token: address(TOKEN),
            spender: address(STRANGER),
            amount: Amount::from(5_u64),
        },
    );
    let undeclared = Unsigned::parse(MAINNET, &payload).unwrap_err();
    assert_eq!(undeclared.code(), "evm-approve");
}

/// "Approvals as spends" of the attack corpus: one form is understood, and its relatives are not.
#[test]
fn all_else_by_which_others_get_a_right_stays_refused() {
    let relatives = [
        (
            "evm-increase-allowance",
            "increaseAllowance(address,uint256)",
        ),
        (
            "evm-increase-allowance",
            "increaseApproval(address,uint256)",
        ),
        (
            "evm-decrease-allowance",
            "decreaseAllowance(address,uint256)",
        ),
        (
            "evm-set-approval-for-all",
            "setApprovalForAll(address,bool)",
        ),
        ("evm-approve", "setOperator(address,bool)"),
        ("evm-approve", "authorizeOperator(address)"),
        ("evm-approve", "approveAndCall(address,uint256)"),
        ("evm-approve", "approve(address,address,uint256)"),
        ("evm-permit2", "approve(address,address,uint160,uint48)"),
        (
            "evm-permit",
            "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
        ),
        ("evm-transfer-from", "transferFrom(address,address,uint256)"),
    ];
    for (name, signature) in relatives {
        let selector = &keccak256(signature)[..4];
        let data = [selector, &good()[4..]].concat();
        assert_eq!(code(TOKEN, &data, 0), name, "{signature}");
    }
    assert_eq!(code(TOKEN, &good(), 1), "evm-value-with-call");
    let mut dirty = good();
    dirty[15] = 1;
    assert_eq!(code(TOKEN, &dirty, 0), "evm-calldata-dirty");
    let longer = [good().as_slice(), &[0]].concat();
    assert_eq!(code(TOKEN, &longer, 0), "evm-calldata-trailing");
    assert_eq!(code(TOKEN, &good()[..67], 0), "evm-calldata-short");
    assert_eq!(code(TOKEN, &good()[..4], 0), "evm-calldata-short");
}

#[test]
fn nobody_and_nothing_of_ours_is_a_spender() {
    let by = |spender: &[u8]| code(TOKEN, &calldata(spender, Amount::ZERO), 0);
    assert_eq!(by(&[0; 20]), "evm-spender-zero");
    assert_eq!(by(address(TOKEN).as_bytes()), "evm-spender-token");
    for own in [hot(), hot_too(), deposit()] {
        assert_eq!(by(own.as_bytes()), "evm-spender-own");
    }
    // A token at an address of ours is none.
    let mut functions = Functions::default();
    functions.declare_token(deposit());
    let action = Action::Approve {
        token: deposit(),
        spender: address(STRANGER),
        amount: Amount::ZERO,
    };
    let refusal = decode_with(&functions, &payload(eip1559(), action)).unwrap_err();
    assert_eq!(refusal.code(), "evm-call-of-own");
}

/// Whatever one changed bit makes of it, it is refused or means something else.
#[test]
fn no_bit_of_an_approval_is_without_meaning() {
    let meant = decode(TOKEN, &good(), 0).unwrap().effects().to_vec();
    for at in 0..good().len() {
        for bit in 0..8 {
            let mut data = good();
            data[at] ^= 1 << bit;
            let read = decode(TOKEN, &data, 0);
            let read = read.map(|decoded| decoded.effects().to_vec());
            assert_ne!(read.ok().as_ref(), Some(&meant), "byte {at}");
        }
    }
}

proptest! {
    /// What is read has no other encoding.
    #[test]
    fn calldata_of_a_token_has_one_encoding(
        approves in any::<bool>(),
        to in any::<[u8; 20]>(),
        amount in any::<[u8; 32]>(),
        noise in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let function = if approves { TokenFunction::Approve } else { TokenFunction::Transfer };
        let call = TokenCall { function, to, amount: Amount::from_be_bytes(amount) };
        let bytes = call.encode();
        prop_assert_eq!(TokenCall::parse(&bytes, TokenFunction::OF_DECLARED), Ok(call));
        let undeclared = TokenCall::parse(&bytes, TokenFunction::OF_ANY);
        prop_assert_eq!(undeclared.is_ok(), !approves);
        for selector in [&bytes[..4], &[]] {
            let other = [selector, &noise].concat();
            if let Ok(read) = TokenCall::parse(&other, TokenFunction::OF_DECLARED) {
                prop_assert_eq!(read.encode(), other);
            }
        }
    }
}
