//! What `alloy-consensus` understands of a payload, put into our terms.

use alloy_consensus::{
    SignableTransaction, Transaction as _, TxEip1559, TxEip2930, TxLegacy, TypedTransaction,
};
use alloy_primitives::{Bytes, TxKind, U256, hex};
use strongroom_tx::evm::{Action, Fees, Terms, Unsigned};
use strongroom_tx::{
    Address, Amount, Asset, ConflictKey, Decoded, Destination, Effect, EffectKind, FeeTerms,
    Registry,
};

use super::fixture::{MAINNET, hot};

/// A transaction for alloy to encode.
pub(crate) struct Plain {
    pub(crate) nonce: u64,
    pub(crate) price: u128,
    pub(crate) tip: u128,
    pub(crate) gas_limit: u64,
    pub(crate) to: [u8; 20],
    pub(crate) value: U256,
    pub(crate) input: Vec<u8>,
}

pub(crate) fn legacy(plain: Plain) -> Vec<u8> {
    TxLegacy {
        chain_id: Some(1),
        nonce: plain.nonce,
        gas_price: plain.price,
        gas_limit: plain.gas_limit,
        to: TxKind::Call(plain.to.into()),
        value: plain.value,
        input: plain.input.into(),
    }
    .encoded_for_signing()
}

pub(crate) fn eip2930(plain: Plain) -> Vec<u8> {
    TxEip2930 {
        chain_id: 1,
        nonce: plain.nonce,
        gas_price: plain.price,
        gas_limit: plain.gas_limit,
        to: TxKind::Call(plain.to.into()),
        value: plain.value,
        access_list: Default::default(),
        input: plain.input.into(),
    }
    .encoded_for_signing()
}

pub(crate) fn eip1559(plain: Plain) -> Vec<u8> {
    TxEip1559 {
        chain_id: 1,
        nonce: plain.nonce,
        max_fee_per_gas: plain.price,
        max_priority_fee_per_gas: plain.tip,
        gas_limit: plain.gas_limit,
        to: TxKind::Call(plain.to.into()),
        value: plain.value,
        access_list: Default::default(),
        input: plain.input.into(),
    }
    .encoded_for_signing()
}

/// Holds everything decoded, and the encoder, against what alloy reads in the same bytes.
pub(crate) fn agrees(bytes: &[u8], decoded: &Decoded, registry: &Registry) {
    let mut rest = bytes;
    let alloy = TypedTransaction::decode_unsigned(&mut rest).unwrap();
    assert!(rest.is_empty());
    assert_eq!(alloy.encoded_for_signing(), bytes);
    assert_eq!(alloy.signature_hash(), decoded.signings()[0].digest);
    assert_eq!(alloy.chain_id(), Some(1));
    assert_eq!(decoded.chain(), MAINNET);
    assert_eq!(decoded.fee_terms(), fee_terms(&alloy));
    let nonce = ConflictKey::Nonce {
        account: hot(),
        nonce: alloy.nonce(),
    };
    assert!(decoded.conflict_keys().iter().eq([&nonce]));
    assert_eq!(decoded.effects(), effects(&alloy, registry));
    let unsigned = Unsigned::new(MAINNET, terms(&alloy), action(&alloy)).unwrap();
    assert_eq!(unsigned.payload(), hex::encode_prefixed(bytes));
}

fn fee_terms(alloy: &TypedTransaction) -> FeeTerms {
    FeeTerms::Evm {
        max_fee_per_gas: alloy.max_fee_per_gas().into(),
        max_priority_fee_per_gas: alloy.priority_fee_or_price().into(),
        gas_limit: alloy.gas_limit(),
    }
}

fn terms(alloy: &TypedTransaction) -> Terms {
    let gas_price = Amount::from(alloy.max_fee_per_gas());
    let fees = match alloy {
        TypedTransaction::Legacy(_) => Fees::Eip155 { gas_price },
        TypedTransaction::Eip2930(_) => Fees::Eip2930 { gas_price },
        TypedTransaction::Eip1559(transaction) => Fees::Eip1559 {
            max_fee_per_gas: transaction.max_fee_per_gas.into(),
            max_priority_fee_per_gas: transaction.max_priority_fee_per_gas.into(),
        },
        other => panic!("accepted {other:?}"),
    };
    Terms {
        nonce: alloy.nonce(),
        gas_limit: alloy.gas_limit(),
        fees,
    }
}

fn action(alloy: &TypedTransaction) -> Action {
    let to = evm_address(alloy.to().unwrap().as_slice());
    let value = Amount::from_be_bytes(alloy.value().to_be_bytes());
    match transfer(alloy.input()) {
        None => Action::Native { to, value },
        Some((recipient, amount)) => {
            assert!(value.is_zero());
            Action::Erc20 {
                token: to,
                to: recipient,
                amount,
            }
        }
    }
}

/// The recipient and the amount in the calldata of a token transfer.
fn transfer(input: &Bytes) -> Option<(Address, Amount)> {
    if input.is_empty() {
        return None;
    }
    assert_eq!(input.len(), 68);
    assert!(input.starts_with(&hex!("a9059cbb000000000000000000000000")));
    let amount = Amount::from_be_bytes(input[36..].try_into().unwrap());
    Some((evm_address(&input[16..36]), amount))
}

fn effects(alloy: &TypedTransaction, registry: &Registry) -> Vec<Effect> {
    let (asset, to, amount) = match action(alloy) {
        Action::Native { to, value } => (Asset::native(MAINNET), to, value),
        Action::Erc20 { token, to, amount } => (Asset::erc20(token), to, amount),
        Action::Approve { .. } | Action::Call { .. } => panic!("nothing is declared here"),
    };
    let own = registry.own(&to).cloned();
    let kind = match &own {
        None => EffectKind::Payment,
        Some(_) if to == hot() => EffectKind::Cancellation,
        Some(_) => EffectKind::OwnTransfer,
    };
    assert_eq!(kind == EffectKind::Cancellation, amount.is_zero());
    let account = "hot".parse::<strongroom_tx::Name>().unwrap();
    let fee = U256::from(alloy.gas_limit()) * U256::from(alloy.max_fee_per_gas());
    let moved = Effect {
        kind,
        account: account.clone(),
        asset,
        amount,
        to: Some(Destination { address: to, own }),
        tag: None,
        call: None,
    };
    let fee = Effect {
        kind: EffectKind::Fee,
        account,
        asset: Asset::native(MAINNET),
        amount: Amount::from_be_bytes(fee.to_be_bytes()),
        to: None,
        tag: None,
        call: None,
    };
    vec![moved, fee]
}

fn evm_address(bytes: &[u8]) -> Address {
    Address::evm(MAINNET, bytes.try_into().unwrap()).unwrap()
}
